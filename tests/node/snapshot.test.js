// A snapshot and a log of many chunks, which the client asks for ahead of what it has read.

import assert from 'node:assert/strict';
import { addPart, scenario } from './support/service.js';

const SESSION = 'ses_one';
const ROWS = 4000;
const CHUNK_BYTES = 20_000;
const shape = { table: 'parts', where: 'session_id = $1', params: [SESSION] };

scenario('c279 many chunks come whole and once', { settings: { PLUE_ENGINE__CHUNK_BYTES: `${CHUNK_BYTES}` } }, async (service) => {
  await service.session(SESSION);
  await service.ask('POST', `/v1/sessions/${SESSION}/messages`, { id: 'm', role: 'user' });
  await service.transact([
    `INSERT INTO parts (id, session_id, message_id, type, text, sort_order)
     SELECT 'p' || n, $1, 'm', 'text', repeat('text ', 20), n FROM generate_series(1, $2::int) n`,
    [SESSION, ROWS],
  ]);

  const early = [service.read(shape), service.read({ ...shape, replica: 'full' }, { sse: true })];
  const ahead = early.map((reader) => {
    const asked = [];
    reader.stream.subscribe(() => void asked.push(reader.requests.length));
    return asked;
  });
  // Changes of rows that the snapshot is being made of.
  for (let n = 1; n <= 300; n++) {
    await service.transact(
      ["UPDATE parts SET text = text || 'more' WHERE id IN ($1, $2)", [`p${n}`, `p${ROWS - n}`]],
      ['DELETE FROM parts WHERE id = $1', [`p${1000 + n}`]],
      addPart(SESSION, 'm', `late${n}`, n),
    );
  }
  // A reader that finds a log of several chunks behind the snapshot.
  const late = service.read(shape);
  const readers = [...early, late];
  const { txid } = await service.ask('PUT', `/v1/sessions/${SESSION}/messages/m/parts/last`, { type: 'text' });
  await Promise.all(readers.map((reader) => reader.seen(txid)));

  const rows = await service.rows('SELECT * FROM parts');
  assert.equal(rows.length, ROWS + 1);
  for (const reader of readers) {
    reader.assertRows(rows);
    assert.equal(reader.refetches, 0, `${reader}`);
    const asked = reader.requests.map(({ url }) => url);
    assert.deepEqual(asked, [...new Set(asked)], `${reader} asked for something twice`);
    const chunks = reader.requests.filter(({ url }) => /^(-1|0_\d+)$/.test(new URL(url).searchParams.get('offset')));
    assert(chunks.length > (ROWS * 100) / CHUNK_BYTES, `${reader} read ${chunks.length} chunks`);
  }
  for (const [first] of ahead) assert(first > 1, 'the client asks for the second chunk before it has read the first');
});
