// From the commit of a streamed part to the pixel in the viewer: `make bench-page`.
//
// The clock starts before COMMIT is sent, and stops when the frame that shows the text has been drawn. Beside it, in the same run: how
// long the same page takes to draw a change of its own, and how long the change takes to a bare reader in Node.

import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { ShapeStream } from '@electric-sql/client';
import { Service } from '../../../tests/node/support/service.js';
import { Browser } from '../support/chromium.js';
import { fill } from '../support/work.js';

const ROUNDS = Number(process.env.ROUNDS ?? 300);
const SESSION = 'ses_bench';
const PART = 'prt_bench';
const now = () => performance.timeOrigin + performance.now();

/** In the page: tells when each `[n]` that appears in the conversation has been drawn. */
function watch() {
  const drawn = (n) => requestAnimationFrame(() => {
    // A task after the frame's own work: the frame is on its way to the screen.
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => window.seen(n, performance.timeOrigin + performance.now());
    port2.postMessage(null);
  });
  let last = -1;
  new MutationObserver(() => {
    const found = document.querySelector('[data-testid=conversation]').innerText.match(/\[(\d+)\]/);
    const n = found ? Number(found[1]) : -1;
    if (n === last) return;
    last = n;
    drawn(n);
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
  const own = document.body.appendChild(document.createElement('i'));
  window.change = (n) => {
    own.textContent = `own ${n}`;
    drawn(-n);
  };
}

const service = new Service('serve');
const browser = await Browser.launch();
try {
  await service.start({ PLUE_SERVER__VIEWER: 'true' });
  await fill(service, SESSION);
  const messages = `/v1/sessions/${SESSION}/messages`;
  await service.ask('POST', messages, { id: 'msg_bench', role: 'assistant', status: 'streaming', parts: [{ id: PART, type: 'text', text: 'begins' }] });
  const page = await (await browser.context()).newPage();
  const waiting = new Map();
  await page.exposeFunction('seen', (n, at) => waiting.get(n)?.(at));
  const shown = (n) => new Promise((resolve) => waiting.set(n, resolve));
  await page.goto(`${service.url}/#/s/${SESSION}`);
  await page.getByText('begins').waitFor();
  await page.evaluate(watch);

  const readBy = new Map();
  const stream = new ShapeStream({ url: `${service.url}/v1/shape`, params: { table: 'parts', where: 'id = $1', params: { 1: PART } } });
  stream.subscribe((messages) => {
    for (const { value } of messages) readBy.get(value?.text)?.(now());
  });

  const [pixel, frame, bytes] = [[], [], []];
  for (let n = 1; n <= ROUNDS; n++) {
    const text = `Streaming so far [${n}]`;
    const [seen, read] = [shown(n), new Promise((resolve) => readBy.set(text, resolve))];
    await service.rows('BEGIN');
    await service.rows('UPDATE parts SET text = $1 WHERE id = $2', [text, PART]);
    const from = now();
    await service.rows('COMMIT');
    bytes.push((await read) - from);
    pixel.push((await seen) - from);
    const own = shown(-n);
    const changed = await page.evaluate((n) => (window.change(n), performance.timeOrigin + performance.now()), n);
    frame.push((await own) - changed);
    await sleep(20 + Math.random() * 40);
  }
  const quantile = (list, q) => list.toSorted((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * q))];
  const row = (name, list) => console.log(`${name.padEnd(52)} ${quantile(list, 0.5).toFixed(1).padStart(7)} ms median ${quantile(list, 0.99).toFixed(1).padStart(7)} ms 99th`);
  row('commit to a bare reader in Node', bytes);
  row("the page's own change to the pixel", frame);
  row('commit to the pixel', pixel);
  console.log(`ratio of the last two, median: ${(quantile(pixel, 0.5) / quantile(frame, 0.5)).toFixed(2)}  (${ROUNDS} rounds)`);
} finally {
  await browser.close();
  await service.close();
}
// The reader in Node would go on.
process.exit();
