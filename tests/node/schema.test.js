// A table changes while it is followed: those who follow all of its columns start over, those who named theirs go on.

import assert from 'node:assert/strict';
import { scenario } from './support/service.js';

/** The client says so where the reader of a shape that has gone is the first to come back: there is no other shape yet. */
const warnings = [/409 response without a shape handle/];
const engine = { command: 'engine', warnings };
const TABLE = 'CREATE TABLE things (id text PRIMARY KEY, a int NOT NULL, b text)';
const FILL = "INSERT INTO things SELECT 't' || n, n, 'thing ' || n FROM generate_series(1, 50) n";

scenario('a new column starts over who follows all of them', engine, async (service) => {
  await service.transact(TABLE, FILL);
  const [all, events, full] = [
    service.read({ table: 'things' }),
    service.read({ table: 'things' }, { sse: true }),
    service.read({ table: 'things', replica: 'full' }),
  ];
  const named = [
    service.read({ table: 'things', columns: ['id', 'a'] }),
    service.read({ table: 'things', columns: ['id', 'a'], where: 'a > 10', replica: 'full' }, { sse: true }),
  ];
  const readers = [all, events, full, ...named];
  await Promise.all(readers.map((reader) => reader.upToDate()));
  const handles = named.map((reader) => reader.stream.shapeHandle);

  await service.transact("ALTER TABLE things ADD COLUMN c jsonb DEFAULT '[1]'");
  const txid = await service.transact("UPDATE things SET c = '{}', a = a + 1 WHERE id = 't1'", "INSERT INTO things VALUES ('new', 100, 'b', '{\"n\": null}')");
  const hasNew = (reader) => reader.until('the new row', () => reader.rows.has('"public"."things"/"new"') && reader.shape.isUpToDate);
  await Promise.all(readers.map(hasNew));
  await Promise.all(named.map((reader) => reader.seen(txid)));
  const last = await service.transact("UPDATE things SET c = '[2]', a = a + 1 WHERE id IN ('t2', 't30')");
  await Promise.all(readers.map((reader) => reader.seen(last)));

  const rows = await service.rows('SELECT * FROM things');
  for (const reader of [all, events, full]) {
    reader.assertRows(rows);
    assert.equal(reader.refetches, 1, `${reader}`);
  }
  named.forEach((reader, at) => {
    const wanted = rows.map(({ id, a }) => ({ id, a })).filter(({ a }) => at === 0 || a > 10);
    reader.assertRows(wanted);
    assert.equal(reader.refetches, 0, `${reader}`);
    assert.equal(reader.stream.shapeHandle, handles[at], `${reader}`);
  });
});

scenario('columns that go or become another type start over who follows them', engine, async (service) => {
  await service.transact(TABLE, FILL);
  const all = service.read({ table: 'things' });
  const withB = service.read({ table: 'things', columns: ['id', 'b'] });
  const withA = service.read({ table: 'things', columns: ['id', 'a'] });
  const readers = [all, withB, withA];
  await Promise.all(readers.map((reader) => reader.upToDate()));
  const hasRow = (reader, id) => reader.until(`row ${id}`, () => reader.rows.has(`"public"."things"/"${id}"`) && reader.shape.isUpToDate);

  await service.transact('ALTER TABLE things ALTER COLUMN a TYPE int8', "INSERT INTO things VALUES ('new1', 9007199254740993, 'b')");
  await Promise.all(readers.map((reader) => hasRow(reader, 'new1')));
  assert.deepEqual(readers.map(({ refetches }) => refetches), [1, 0, 1]);
  const rows = await service.rows('SELECT * FROM things');
  all.assertRows(rows);
  withA.assertRows(rows.map(({ id, a }) => ({ id, a })));
  withB.assertRows(rows.map(({ id, b }) => ({ id, b })));

  withB.close();
  await service.transact('ALTER TABLE things DROP COLUMN b', "INSERT INTO things VALUES ('new2', 2)");
  await Promise.all([all, withA].map((reader) => hasRow(reader, 'new2')));
  assert.deepEqual([all.refetches, withA.refetches], [2, 1]);
  const left = await service.rows('SELECT * FROM things');
  all.assertRows(left);
  withA.assertRows(left);
});
