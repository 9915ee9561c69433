// Subsets: a client that follows the changes only, and asks for the rows that it shows.

import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { scenario } from './support/service.js';

const engine = { command: 'engine' };
const TABLE = 'CREATE TABLE items (id text PRIMARY KEY, project int NOT NULL, rank int NOT NULL, title text)';
const FILL = "INSERT INTO items SELECT 'i' || n, n % 5, (n * 7919) % 1000, 'item ' || n FROM generate_series(1, 500) n";
const SELECT = 'SELECT * FROM items';

for (const method of ['GET', 'POST']) {
  scenario(`parts asked for by ${method} are kept true by the changes`, engine, async (service) => {
    await service.transact(TABLE, FILL);
    const follower = service.follow({ table: 'items', where: 'project <> $1', params: { 1: '4' } }, { log: 'changes_only' });
    const { stream } = follower;
    const ask = async (part) => (await stream.requestSnapshot({ ...part, method })).data.map(({ value }) => value);

    const top = { where: 'project = $1', params: { 1: '2' }, orderBy: 'rank DESC', limit: 7 };
    const first = await ask(top);
    assert.deepEqual(first, await service.rows(`${SELECT} WHERE project = 2 ORDER BY rank DESC LIMIT 7`), 'in the order asked for');
    const second = await ask({ ...top, offset: 7 });
    assert.deepEqual(second, await service.rows(`${SELECT} WHERE project = 2 ORDER BY rank DESC LIMIT 7 OFFSET 7`));
    const third = await ask({ where: 'project >= 3 OR rank < 0' });
    assert.equal(third.length, 100);
    assert(third.every(({ project }) => project === 3), 'no row that is not of the shape');
    const asked = follower.requests.filter((request) => request.method === 'POST' || request.url.includes('subset__'));
    assert(asked.length >= 3 && asked.every((request) => request.method === method), JSON.stringify(asked));
    await assertTrue(service, follower.rows, 114);

    // Rows that nobody asked for come where they are new to the shape, and are left out where they only change.
    const [gone, changed, left] = first.map(({ id }) => id);
    const other = (await service.rows('SELECT id FROM items WHERE project = 1 LIMIT 1'))[0].id;
    await service.transact(
      ['DELETE FROM items WHERE id = $1', [gone]],
      ['UPDATE items SET title = NULL WHERE id IN ($1, $2)', [changed, other]],
      ['UPDATE items SET project = 4 WHERE id = $1', [left]],
      "INSERT INTO items VALUES ('new', 1, 1, 'new')",
    );
    await follower.until('the new row', () => follower.rows.some(({ id }) => id === 'new'));
    const ids = follower.rows.map(({ id }) => id);
    assert(!ids.includes(gone) && !ids.includes(left) && !ids.includes(other) && ids.includes(changed));
    await assertTrue(service, follower.rows, 113);
  });
}

scenario('parts asked for while rows change are as Postgres has them', engine, async (service) => {
  await service.transact(TABLE, FILL);
  const follower = service.follow({ table: 'items' }, { log: 'changes_only' });
  await follower.until('that it is up to date', () => follower.shape.isUpToDate);
  let writing = true;
  const write = async () => {
    for (let n = 0; writing; n++) {
      await service.transact(
        ['UPDATE items SET title = $1, rank = rank + 1 WHERE rank % 50 = $2', [`title ${n}`, n % 50]],
        ['UPDATE items SET project = (project + 1) % 5 WHERE id = $1', [`i${(n % 500) + 1}`]],
      );
    }
  };
  const written = write();
  // Three at once: the client stops following until the last of them is there.
  for (let round = 0; round < 25; round++) {
    const parts = [1, 8, 14].map((first) => {
      const ids = [0, 1, 2].map((n) => `i${round * 20 + first + n}`);
      return { where: 'id = ANY($1)', params: { 1: `{${ids}}` }, method: first === 1 ? 'GET' : 'POST' };
    });
    await Promise.all(parts.map((part) => follower.stream.requestSnapshot(part)));
  }
  writing = false;
  await written;
  await service.transact("INSERT INTO items VALUES ('last', 0, 0, 'last')");
  await follower.until('the last row', () => follower.rows.some(({ id }) => id === 'last'));
  await assertTrue(service, follower.rows, 25 * 9 + 1);
});

/** Each row that the client has is as Postgres has it. */
async function assertTrue(service, rows, count) {
  assert.equal(rows.length, count);
  const expected = await service.rows(`${SELECT} WHERE id = ANY($1)`, [rows.map(({ id }) => id)]);
  const truth = new Map(expected.map((row) => [row.id, row]));
  const wrong = rows.filter((row) => !isDeepStrictEqual(row, truth.get(row.id)));
  assert.deepEqual(wrong, wrong.map(({ id }) => truth.get(id)), `${wrong.length} of ${count} rows`);
}
