// Tabs of one origin that ask through one of them: who asks may go, and nobody gets what is another's.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { sign } from '../../tests/node/support/token.js';
import { whoAsks } from './support/chromium.js';
import { servePage } from './support/fixture.js';
import { inPage, scenario } from './support/scenario.js';
import { say } from './support/work.js';

let page;
before(async () => (page = await servePage()));
after(() => page?.close());

const shows = ([id, text]) => document.getElementById(id)?.innerText.includes(text);
const live = (id) => document.getElementById(id)?.dataset.live === 'true';
const SECRET = 'a secret of at least thirty-two bytes';

/** As the browser does it when another tab is chosen. */
function show(tab, state) {
  return tab.evaluate((state) => {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state });
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => state === 'hidden' });
    document.dispatchEvent(new Event('visibilitychange'));
  }, state);
}

scenario('whoever asks for others is hidden, leaves the page and comes back, and nobody waits for it', {}, async ({ service, browser }) => {
  await service.session('a');
  const context = await browser.context();
  const url = page.url({ api: service.url, sessions: 'a' });
  const leader = whoAsks(context);
  const tabs = [await browser.open(url, { context }), await browser.open(url, { context }), await browser.open(url, { context })];
  const round = async (text, tabs) => {
    await say(service, 'a', text);
    for (const tab of tabs) await inPage(tab, text, shows, ['a', text]);
  };
  for (const tab of tabs) await inPage(tab, 'the session', live, 'a');
  await round('all together', tabs);
  const first = leader();
  const others = tabs.filter((tab) => tab !== first);
  await show(first, 'hidden');
  await round('without the first', others);
  await show(first, 'visible');
  await round('with it again', [first, ...others]);
  await others[0].goto('about:blank');
  await round('while one is elsewhere', [first, others[1]]);
  await others[0].goBack();
  await round('when it is back', [first, ...others]);
  // All of them, one after the other: somebody leads in between.
  for (const tab of [first, ...others]) await show(tab, 'hidden');
  await say(service, 'a', 'while nobody looks');
  for (const tab of [others[1], first, others[0]]) await show(tab, 'visible');
  for (const tab of [first, ...others]) await inPage(tab, 'what nobody saw', shows, ['a', 'while nobody looks']);
  await round('at last', [first, ...others]);
});

scenario('tabs of two people in one browser see what is theirs', { settings: { PLUE_AUTH__JWT_SECRET: SECRET, PLUE_AUTH__LEEWAY: '0s' }, complaints: [/401/] }, async ({ service, browser }) => {
  const exp = Math.floor(Date.now() / 1000) + 600;
  service.token = sign(SECRET, { sub: 'root', role: 'admin', sessions: '*', exp });
  for (const id of ['a', 'b']) await service.session(id);
  const context = await browser.context();
  const open = (token) => browser.open(page.url({ api: service.url, sessions: 'a,b', token }), { context });
  const tokens = ['a', 'b'].map((id) => sign(SECRET, { sub: `friend of ${id}`, role: 'viewer', sessions: [id], exp }));
  const short = sign(SECRET, { sub: 'somebody', role: 'viewer', sessions: ['a'], exp: Math.floor(Date.now() / 1000) + 12 });
  const [ofA, ofB, ofNobody] = [await open(tokens[0]), await open(tokens[1]), await open(short)];
  await inPage(ofA, 'their session', live, 'a');
  await inPage(ofB, 'their session', live, 'b');
  await inPage(ofNobody, 'their session', live, 'a');
  for (let n = 0; n < 5; n++) {
    for (const id of ['a', 'b']) await say(service, id, `${n} in ${id}`);
    await inPage(ofA, 'their text', shows, ['a', `${n} in a`]);
    await inPage(ofB, 'their text', shows, ['b', `${n} in b`]);
  }
  assert(!(await ofA.content()).includes('in b'), 'another one has seen it');
  assert(!(await ofB.content()).includes('in a'), 'another one has seen it');
  // One's token ends, and theirs alone.
  await inPage(ofNobody, 'the refusal', () => document.getElementById('a').dataset.error?.includes('401'));
  await say(service, 'a', 'for those who are left');
  await inPage(ofA, 'their text', shows, ['a', 'for those who are left']);
  assert(!(await ofNobody.content()).includes('for those who are left'));
});

scenario('tabs with a token each share the connections as well', { settings: { PLUE_AUTH__JWT_SECRET: SECRET } }, async ({ service, browser }) => {
  const exp = Math.floor(Date.now() / 1000) + 600;
  service.token = sign(SECRET, { sub: 'root', role: 'admin', sessions: '*', exp });
  await service.session('a');
  const context = await browser.context();
  const tabs = [];
  for (let n = 0; n < 7; n++) {
    // As libraries do that keep a token in memory: the same person, and each time another text.
    const token = sign(SECRET, { sub: 'somebody', role: 'viewer', sessions: ['a'], exp: exp + n });
    tabs.push(await browser.open(page.url({ api: service.url, sessions: 'a', token }), { context }));
  }
  for (const tab of tabs) await inPage(tab, 'the session', live, 'a');
  for (let n = 0; n < 3; n++) {
    await say(service, 'a', `round ${n}`);
    for (const tab of tabs) await inPage(tab, `round ${n}`, shows, ['a', `round ${n}`]);
  }
});

scenario('whoever asks for others is busy, and nobody waits for it for long', {}, async ({ service, browser }) => {
  await service.session('a');
  const context = await browser.context();
  const url = page.url({ api: service.url, sessions: 'a' });
  const leader = whoAsks(context);
  const tabs = [await browser.open(url, { context }), await browser.open(url, { context })];
  for (const tab of tabs) await inPage(tab, 'the session', live, 'a');
  for (let n = 0; n < 3; n++) {
    await say(service, 'a', `round ${n}`);
    for (const tab of tabs) await inPage(tab, `round ${n}`, shows, ['a', `round ${n}`]);
  }
  const other = tabs.find((tab) => tab !== leader());
  let isBusy = true;
  // As with a long render, or at a breakpoint: the page hears nothing.
  const busy = leader().evaluate(() => {
    for (const end = Date.now() + 15_000; Date.now() < end; );
  });
  busy.then(() => (isBusy = false));
  await say(service, 'a', 'while it is busy');
  await inPage(other, 'the text', shows, ['a', 'while it is busy']);
  assert(isBusy, 'it was waited for');
  await busy;
  await say(service, 'a', 'when it is back');
  for (const tab of tabs) for (const text of ['while it is busy', 'when it is back']) await inPage(tab, text, shows, ['a', text]);
});
