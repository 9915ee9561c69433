// The six connections that a browser has to one host over HTTP/1.1.
import { after, before } from 'node:test';
import { whoAsks } from './support/chromium.js';
import { servePage } from './support/fixture.js';
import { eventually, inPage, scenario } from './support/scenario.js';

let page;
before(async () => (page = await servePage()));
after(() => page?.close());

const live = (ids) => ids.every((id) => document.getElementById(id)?.dataset.live === 'true');
const shows = ([id, text]) => document.getElementById(id)?.innerText.includes(text);

/** Requests that the program holds now. */
async function held(service) {
  const { shapes } = await service.registry.ask('GET', '/shapes?limit=500');
  return shapes.reduce((all, { readers }) => all + readers, 0);
}

/** A change to each of the five tables of a session. */
async function changeAll(service, id, n) {
  await service.ask('PATCH', `/v1/sessions/${id}`, { title: `title ${n} of ${id}` });
  await service.ask('POST', `/v1/sessions/${id}/messages`, { id: `${id}-${n}`, role: 'user', parts: [{ type: 'text', text: `text ${n}` }] });
  await service.ask('POST', `/v1/sessions/${id}/snapshots`, { change_id: String(n) });
  await service.ask('POST', `/v1/sessions/${id}/subtasks`, { result: n });
}

async function untilShown(tab, id, n) {
  for (const text of [`title ${n} of ${id}`, `text ${n}`, `${n + 1} snapshots, ${n + 1} subtasks`]) {
    await inPage(tab, `${text} in ${id}`, shows, [id, text]);
  }
}

scenario('five shapes of two sessions are live in one page, which can write meanwhile', {}, async ({ service, browser }) => {
  const ids = ['a', 'b'];
  for (const id of ids) await service.session(id);
  const tab = await browser.open(page.url({ api: service.url, sessions: ids }));
  await inPage(tab, 'both sessions', live, ids);
  for (let n = 0; n < 5; n++) {
    for (const id of ids) await changeAll(service, id, n);
    for (const id of ids) await untilShown(tab, id, n);
  }
  // All ten wait, and there is a connection left to write over.
  await eventually('ten requests that wait', async () => (await held(service)) === 10);
  await tab.locator('#b button').click();
  await inPage(tab, 'what was written', shows, ['b', 'clicked']);
});

scenario('twelve tabs of one origin are all live, and ask once', {}, async ({ service, browser }) => {
  const ids = ['a', 'b'];
  for (const id of ids) await service.session(id);
  const context = await browser.context();
  const url = page.url({ api: service.url, sessions: ids });
  const leader = whoAsks(context);
  const tabs = [];
  for (let n = 0; n < 12; n++) tabs.push(await browser.open(url, { context }));
  for (const tab of tabs) await inPage(tab, 'both sessions', live, ids);
  for (let n = 0; n < 3; n++) {
    for (const id of ids) await changeAll(service, id, n);
    for (const tab of tabs) for (const id of ids) await untilShown(tab, id, n);
  }
  await eventually('what one tab would ask', async () => (await held(service)) === 10, { seen: () => browser.complaints });
  const round = async (text) => {
    await service.ask('POST', '/v1/sessions/a/messages', { role: 'user', parts: [{ type: 'text', text }] });
    for (const tab of tabs) await inPage(tab, text, shows, ['a', text]);
  };
  // The one that asks for all of them goes, and then others.
  const [asking] = tabs.splice(tabs.indexOf(leader()), 1);
  await asking.close();
  await round('without it');
  for (const tab of tabs.splice(3, 5)) await tab.close();
  await round('with six');
  await eventually('what one tab would ask', async () => (await held(service)) === 10);
  await tabs[2].locator('#a button').click();
  for (const tab of tabs) await inPage(tab, 'what was written', shows, ['a', 'clicked']);
});

for (const [how, headers] of [['says so', { 'access-control-allow-origin': '*' }], ['lets no page see its answer', {}]]) {
  scenario(`a server that knows only the protocol, and ${how}, is asked for each shape`, { complaints: [/404|CORS policy|ERR_FAILED/] }, async ({ service, browser }) => {
    await service.session('a');
    const context = await browser.context();
    await context.route('**/v1/shape/first', (route) => route.fulfill({ status: 404, headers, body: '' }));
    const tab = await browser.open(page.url({ api: service.url, sessions: 'a' }), { context });
    await inPage(tab, 'the session', live, ['a']);
    for (let n = 0; n < 3; n++) {
      await changeAll(service, 'a', n);
      await untilShown(tab, 'a', n);
    }
    await eventually('a request for each', async () => (await held(service)) === 5);
  });
}
