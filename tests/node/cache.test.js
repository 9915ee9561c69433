// A cache in front, which keeps what it is told it may keep: readers behind it see the same as others, and share what it fetches.

import assert from 'node:assert/strict';
import { Cache } from './support/cache.js';
import { scenario } from './support/service.js';

const SESSION = 'ses_one';
const PATH = `/v1/sessions/${SESSION}/messages`;
const shape = { table: 'parts', where: 'session_id = $1', params: { 1: SESSION } };
const CHANGES = 5;
/** What the client may say of a shape that has gone before there is another, and of an answer that the cache still has of it. */
const warnings = [/409 response without a shape handle/, /[Ss]tale cached response/];

scenario('c280 readers behind a cache converge, and a change is fetched once for all of them', { warnings }, async (service) => {
  await service.session(SESSION);
  const parts = Array.from({ length: 20 }, (_, n) => ({ id: `old${n}`, type: 'text', text: `old ${n}` }));
  await service.ask('POST', PATH, { id: 'm', role: 'user', parts });
  const cache = await Cache.start(service.url);
  try {
    const read = () => service.read(shape, { through: cache.url });
    const readers = [read(), read()];
    await Promise.all(readers.map((reader) => reader.upToDate()));
    const put = async (id) => (await service.ask('PUT', `${PATH}/m/parts/${id}`, { type: 'text', text: id })).txid;
    const converge = async (these, txid) => {
      await Promise.all(these.map((reader) => reader.seen(txid)));
      const rows = await service.rows('SELECT * FROM parts');
      for (const reader of these) reader.assertRows(rows);
    };

    for (let n = 0; n < CHANGES; n++) await converge(readers, await put(`new${n}`));
    const live = (await cache.requests()).filter(({ url, status }) => isLive(url) && status === 200);
    for (const url of new Set(live.map((request) => request.url))) {
      const of = live.filter((request) => request.url === url);
      assert.equal(of.filter(({ upstream }) => upstream !== '-').length, 1, `fetched once: ${JSON.stringify(of)}`);
      assert.equal(of.length, readers.length, `asked for by all: ${JSON.stringify(of)}`);
    }
    assert.equal(new Set(live.map(({ url }) => url)).size, CHANGES);

    // The cache still has the old first answer, for an hour; nobody goes round in circles over it.
    const asked = readers.map((reader) => reader.requests.length);
    await service.transact('TRUNCATE parts');
    await Promise.all(readers.map((reader) => reader.until('the fresh start', () => reader.refetches > 0)));
    const late = read();
    await late.until('an answer', () => late.requests.some(({ status }) => status !== undefined));
    await converge([...readers, late], await put('last'));
    readers.forEach((reader, at) => {
      assert.equal(reader.refetches, 1, `${reader}`);
      const since = reader.requests.slice(asked[at]);
      assert(since.length <= 10, `${since.length} requests of ${reader}: ${JSON.stringify(since)}`);
    });
    assert(late.requests.length <= 12, `${late.requests.length} requests of a new reader: ${JSON.stringify(late.requests)}`);
    service.closeReaders();
  } finally {
    await cache.close();
  }
});

function isLive(url) {
  return new URL(url).searchParams.get('live') === 'true';
}
