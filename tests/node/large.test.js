// A snapshot of 30 MB in chunks of the usual size, while its table changes: no row is missing, and none comes twice.

import assert from 'node:assert/strict';
import { scenario } from './support/service.js';

const ROWS = 31_000;
const BYTES_PER_ROW = 1_000;
const CHUNK_BYTES = 10_485_760;
const engine = { command: 'engine' };
const TABLE = 'CREATE TABLE blobs (id text PRIMARY KEY, n int NOT NULL, body text NOT NULL)';
/** Text that no compression makes small, and that JSON has to escape here and there. */
const FILL = [
  `INSERT INTO blobs
   SELECT 'r' || n, n, (SELECT string_agg(md5(n::text || i), CASE WHEN n % 7 = 0 THEN '"ü' ELSE '-' END) FROM generate_series(1, $2::int / 33) i)
     FROM generate_series(1, $1::int) n`,
  [ROWS, BYTES_PER_ROW],
];

scenario('a snapshot of 30 MB comes whole and once', engine, async (service) => {
  await service.transact(TABLE, FILL);
  const early = [service.read({ table: 'blobs' }), service.read({ table: 'blobs', replica: 'full' }, { sse: true })];
  const ahead = early.map((reader) => {
    const asked = [];
    reader.stream.subscribe(() => void asked.push(reader.requests.length));
    return asked;
  });
  for (let n = 1; n <= 100; n++) {
    await service.transact(
      ['UPDATE blobs SET body = reverse(body) WHERE id IN ($1, $2)', [`r${n}`, `r${ROWS - n}`]],
      ['DELETE FROM blobs WHERE id = $1', [`r${15_000 + n}`]],
      ["INSERT INTO blobs VALUES ($1, $2, 'late')", [`late${n}`, n]],
    );
  }
  const late = service.read({ table: 'blobs' });
  const readers = [...early, late];
  const txid = await service.transact("INSERT INTO blobs VALUES ('last', 0, 'last')");
  await Promise.all(readers.map((reader) => reader.seen(txid)));

  const rows = await service.rows('SELECT * FROM blobs');
  assert.equal(rows.length, ROWS + 1);
  const bytes = rows.reduce((sum, { body }) => sum + body.length, 0);
  assert(bytes > 30_000_000, `${bytes} bytes`);
  for (const reader of readers) {
    // That none came twice, or as a change before it was there, the reader has checked with each message.
    reader.assertRows(rows);
    assert.equal(reader.refetches, 0, `${reader}`);
    const asked = reader.requests.map(({ url }) => url);
    assert.deepEqual(asked, [...new Set(asked)], `${reader} asked for something twice`);
    const chunks = reader.requests.filter(({ url }) => /^(-1|0_\d+)$/.test(new URL(url).searchParams.get('offset')));
    assert(chunks.length >= Math.ceil(bytes / CHUNK_BYTES), `${reader} read ${chunks.length} chunks`);
  }
  for (const [first] of ahead) assert(first > 1, 'the client asks for the second chunk before it has read the first');
});
