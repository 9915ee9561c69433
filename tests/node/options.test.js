// A stream with all that narrows or widens what it tells: columns, parameters of the condition, whole old rows.

import assert from 'node:assert/strict';
import { scenario } from './support/service.js';

const engine = { command: 'engine' };
const TABLE = `CREATE TABLE notes (id text PRIMARY KEY, owner text NOT NULL, rank int8 NOT NULL, tags text[], meta jsonb, body text, secret text)`;
const insert = (id, owner, rank) => [
  `INSERT INTO notes VALUES ($1, $2, $3, ARRAY['a', NULL, 'ü"'], '{"n": [1, null]}', $1 || ' body', 'secret')`,
  [id, owner, rank],
];
const COLUMNS = ['id', 'rank', 'tags', 'meta', 'body'];
const WHERE = 'owner = $1 AND rank >= $2';
const SQL = `SELECT ${COLUMNS} FROM notes WHERE owner = 'it''s "me"' AND rank >= 10`;

for (const sse of [false, true]) {
  scenario(`columns, parameters and old rows in one stream, by ${sse ? 'events' : 'long-poll'}`, engine, async (service) => {
    const me = `it's "me"`;
    await service.transact(TABLE, insert('n1', me, 10), insert('n2', me, 9), insert('n3', 'you', 11), insert('n4', me, '9007199254740993'));
    const shape = { table: 'notes', columns: COLUMNS, where: WHERE, params: [me, '10'] };
    const full = service.read({ ...shape, replica: 'full' }, { sse });
    const plain = service.read(shape, { sse });
    const readers = [full, plain];
    await Promise.all(readers.map((reader) => reader.upToDate()));

    await service.transact("UPDATE notes SET body = 'two', rank = rank + 1 WHERE id IN ('n1', 'n2')", "DELETE FROM notes WHERE id = 'n4'");
    await service.transact("UPDATE notes SET owner = 'you' WHERE id = 'n1'", "UPDATE notes SET owner = 'it''s \"me\"' WHERE id = 'n3'");
    // Of columns that were not asked for, readers hear nothing: with the key alone, or not at all.
    await service.transact("UPDATE notes SET secret = 'other' WHERE id = 'n3'");
    const txid = await service.transact("UPDATE notes SET meta = NULL, tags = '{}' WHERE id = 'n3'", insert('n5', me, 12));
    await Promise.all(readers.map((reader) => reader.seen(txid)));

    const rows = await service.rows(SQL);
    assert.deepEqual(rows.map(({ id }) => id).sort(), ['n2', 'n3', 'n5']);
    for (const reader of readers) {
      reader.assertRows(rows.map((row) => ({ ...row, tags: tags(row.tags) })));
      assert.equal(reader.refetches, 0);
      const told = reader.changes.flatMap(({ value, old_value: old }) => [value, old ?? {}]).flatMap(Object.keys);
      assert.deepEqual([...new Set(told)].filter((name) => !COLUMNS.includes(name)), [], `${reader}`);
      assert.equal(reader.live({ sse }).length > 0, true, `${reader}`);
    }
    const moves = (reader) => reader.changes.map(({ headers, value }) => `${headers.operation} ${value.id}`);
    assert.deepEqual(moves(plain).filter((move) => move !== 'update n3'), [
      'update n1',
      'insert n2',
      'delete n4',
      'delete n1',
      'insert n3',
      'insert n5',
    ]);
  });
}

/** A one-dimensional array of texts as Postgres prints it, in the way of the client. */
function tags(printed) {
  return printed === '{}' ? [] : ['a', null, 'ü"'];
}
