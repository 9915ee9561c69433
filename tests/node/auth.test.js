// The official client with a token: one that expires and is replaced, one for another session, and one that is revoked.

import assert from 'node:assert/strict';
import { FetchError } from '@electric-sql/client';
import { scenario } from './support/service.js';
import { sign as signWith } from './support/token.js';

const SECRET = 'a secret of the tests that is long enough';
const settings = { PLUE_AUTH__JWT_SECRET: SECRET, PLUE_AUTH__LEEWAY: '0s' };
const [ONE, TWO] = ['ses_one', 'ses_two'];
const PARTS_OF_ONE = { table: 'parts', where: 'session_id = $1', params: { 1: ONE } };
const HOUR_S = 3600;
/** As long as a reader may take to begin, and more than one change lasts. */
const SHORT_S = 3;
/** A stream that ends within a second, three times, lets the client poll. */
const warnings = [/SSE connections are closing immediately/];

/** A token as an application signs it, for so many seconds. */
const sign = (claims, seconds = HOUR_S) => signWith(SECRET, { ...claims, exp: Math.floor(Date.now() / 1000) + seconds });

const viewer = (sub, sessions, seconds) => sign({ sub, role: 'viewer', sessions }, seconds);

/** Two sessions, and what adds a message with one part to one of them and gives the number of the transaction. */
async function begin(service) {
  service.token = sign({ sub: 'root', role: 'admin' });
  for (const session of [ONE, TWO]) await service.session(session);
  let written = 0;
  return async (session) => {
    const id = `msg_${++written}`;
    const parts = [{ id: `${id}_part`, type: 'text', text: `text ${written} of ${session}` }];
    return (await service.ask('POST', `/v1/sessions/${session}/messages`, { id, role: 'user', parts })).txid;
  };
}

for (const sse of [false, true]) {
  const how = sse ? 'events' : 'long-polls';

  scenario(`a reader by ${how} whose token expires goes on with a new one, and misses nothing`, { settings, warnings }, async (service) => {
    const write = await begin(service);
    await write(ONE);
    let token = viewer('reader', [ONE], SHORT_S);
    const told = [];
    const reader = service.read(PARTS_OF_ONE, {
      sse,
      headers: { Authorization: async () => `Bearer ${token}` },
      onError: (error) => {
        told.push(error.status);
        token = viewer('reader', [ONE]);
        return {};
      },
    });
    await reader.upToDate();
    const { size: first } = reader.rows;
    let written = 0;
    let txid;
    const more = async () => {
      txid = await write(ONE);
      written += 1;
    };
    // One at a time is seen until the token expires; from then on they come while nobody may read.
    while (told.length === 0) {
      await more();
      const expected = txid;
      await reader.until(`transaction ${expected} or the end of the token`, () => told.length > 0 || reader.rows.size === first + written);
    }
    for (let count = 0; count < 3; count++) await more();
    await reader.seen(txid);
    reader.assertRows(await service.rows('SELECT * FROM parts WHERE session_id = $1', [ONE]));
    assert.deepEqual(told, [401], 'it was refused once');
    assert.equal(reader.rows.size, 1 + written);
    assert.equal(reader.changes.length, written, 'every change came once');
    assert.equal(reader.refetches, 0);
  });

  scenario(`a reader by ${how} whose token is revoked stops, and is told why`, { settings, warnings }, async (service) => {
    const write = await begin(service);
    await write(ONE);
    const { token, id } = await service.ask('POST', `/v1/sessions/${ONE}/tokens`, {});
    const told = [];
    const reader = service.read(PARTS_OF_ONE, {
      sse,
      headers: { Authorization: async () => `Bearer ${token}` },
      onError: (error) => void told.push(error),
    });
    await reader.upToDate();
    await reader.seen(await write(ONE));
    assert.deepEqual(told, []);
    assert.equal((await service.ask('DELETE', `/v1/sessions/${ONE}/tokens/${id}`)).revoked, 1);
    await reader.until('an error', () => told.length > 0);
    const [error] = told;
    assert(error instanceof FetchError, `${error}`);
    assert.equal(error.status, 401);
    assert.match(error.json.message, /revoked/);
    // What is written now comes to those who may read, and not to this one.
    const asked = reader.requests.length;
    const other = service.read(PARTS_OF_ONE, { sse, headers: { Authorization: `Bearer ${viewer('other', [ONE])}` } });
    const txid = await write(ONE);
    await other.until(`transaction ${txid}`, () => other.rows.size === 3);
    assert.equal(reader.rows.size, 2);
    assert.equal(reader.requests.length, asked, 'it does not ask again by itself');
    assert.equal(told.length, 1);
  });
}

scenario('a reader with a token for another session sees none of the rows', { settings }, async (service) => {
  const write = await begin(service);
  for (const session of [ONE, TWO]) await write(session);
  const headers = { Authorization: async () => `Bearer ${viewer('two', [TWO])}` };
  const none = service.read(PARTS_OF_ONE, { headers });
  const own = service.read({ table: 'parts' }, { headers });
  await Promise.all([none.upToDate(), own.upToDate()]);
  // From here on, what is written is no part of a snapshot.
  await write(ONE);
  await own.seen(await write(TWO));
  own.assertRows(await service.rows('SELECT * FROM parts WHERE session_id = $1', [TWO]));
  assert.equal(own.rows.size, 2);
  none.assertRows([]);
  assert.deepEqual(none.changes, []);
});
