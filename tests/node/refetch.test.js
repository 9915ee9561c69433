// TRUNCATE: readers are told to start over, once, and then have what is there.

import assert from 'node:assert/strict';
import { addPart, scenario } from './support/service.js';

const SESSION = 'ses_one';
const shape = (table) => ({ table, where: 'session_id = $1', params: { 1: SESSION } });
/** The client says so where the reader of a shape that has gone is the first to come back: there is no other shape yet. */
const warnings = [/409 response without a shape handle/];

scenario('c277 readers of a truncated table start over once', { warnings }, async (service) => {
  await service.session(SESSION);
  const parts = Array.from({ length: 20 }, (_, n) => ({ id: `old${n}`, type: 'text', text: `old ${n}` }));
  await service.ask('POST', `/v1/sessions/${SESSION}/messages`, { id: 'm', role: 'user', parts });
  const readers = [
    service.read(shape('parts')),
    service.read(shape('parts'), { sse: true }),
    service.read({ ...shape('parts'), replica: 'full' }, { sse: true }),
  ];
  const untouched = service.read(shape('messages'));
  await Promise.all([...readers, untouched].map((reader) => reader.upToDate()));
  const handles = readers.map((reader) => reader.stream.shapeHandle);
  const handle = untouched.stream.shapeHandle;
  const asked = readers.map((reader) => reader.requests.length);

  await service.transact('TRUNCATE parts', addPart(SESSION, 'm', 'new0', 0), addPart(SESSION, 'm', 'new1', 1));
  const hasNew = (reader) => reader.until('two rows', () => reader.rows.has(`"public"."parts"/"new1"`) && reader.shape.isUpToDate);
  await Promise.all(readers.map(hasNew));
  const { txid } = await service.ask('PUT', `/v1/sessions/${SESSION}/messages/m/parts/new2`, { type: 'text' });
  await Promise.all(readers.map((reader) => reader.seen(txid)));

  const rows = await service.rows('SELECT * FROM parts');
  assert.deepEqual(rows.map(({ id }) => id).sort(), ['new0', 'new1', 'new2']);
  readers.forEach((reader, at) => {
    reader.assertRows(rows);
    assert.equal(reader.refetches, 1, `${reader}`);
    assert.notEqual(reader.stream.shapeHandle, handles[at], `${reader}`);
    const since = reader.requests.slice(asked[at]);
    // One that was told 409, two for the snapshot, and then one for each change and one that waits.
    assert(since.length <= 8, `${since.length} requests of ${reader}: ${JSON.stringify(since)}`);
    assert.equal(reader.requests.filter(({ status }) => status === 409).length, 1, `${reader}`);
  });
  assert.equal(untouched.refetches, 0);
  assert.equal(untouched.stream.shapeHandle, handle);
});
