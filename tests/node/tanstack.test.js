// Collections of TanStack DB: what applications use instead of the bare client.

import assert from 'node:assert/strict';
import { BTreeIndex, and, eq, lt } from '@tanstack/db';
import { plain } from './support/collected.js';
import { scenario } from './support/service.js';

const engine = { command: 'engine' };
const TABLE = `CREATE TABLE tasks (id int PRIMARY KEY, project int NOT NULL, rank int NOT NULL, title text NOT NULL, done bool NOT NULL)`;
const FILL = `INSERT INTO tasks SELECT n, n % 10, (n * 7919) % 1000, 'task ' || n, n % 3 = 0 FROM generate_series(1, 1000) n`;
const insert = (id, project, rank) => ['INSERT INTO tasks VALUES ($1, $2, $3, $4, false)', [id, project, rank, `new ${id}`]];

scenario('an eager collection follows', engine, async (service) => {
  await service.transact(TABLE, FILL);
  const all = service.collect({ table: 'tasks' });
  const some = service.collect({ table: 'tasks', where: 'project = $1 AND NOT done', params: { 1: '3' }, replica: 'full' });
  await Promise.all([all.ready(), some.ready()]);
  await all.untilRows(await service.rows('SELECT * FROM tasks'));
  await some.untilRows(await service.rows('SELECT * FROM tasks WHERE project = 3 AND NOT done'));
  await service.transact(insert(2001, 3, 1), 'DELETE FROM tasks WHERE id = 13', 'UPDATE tasks SET project = 4 WHERE id = 23');
  const txid = await service.transact("UPDATE tasks SET title = 'changed' WHERE project IN (3, 4)", insert(2002, 3, 2));
  await Promise.all([all.seen(txid), some.seen(txid)]);
  await all.untilRows(await service.rows('SELECT * FROM tasks'));
  await some.untilRows(await service.rows('SELECT * FROM tasks WHERE project = 3 AND NOT done'));
});

for (const replica of ['default', 'full']) {
  scenario(`an on-demand collection loads what is asked of it, replica ${replica}`, engine, async (service) => {
    await service.transact(TABLE, FILL);
    const tasks = service.collect({ table: 'tasks', replica }, { syncMode: 'on-demand', autoIndex: 'eager', defaultIndexType: BTreeIndex });
    const top = service.query((q) =>
      q.from({ task: tasks.collection }).where(({ task }) => eq(task.project, 3)).orderBy(({ task }) => task.rank, 'desc').limit(10),
    );
    const topSql = 'SELECT * FROM tasks WHERE project = 3 ORDER BY rank DESC LIMIT 10';
    const done = service.query((q) => q.from({ task: tasks.collection }).where(({ task }) => and(eq(task.done, true), lt(task.rank, 50))));
    const doneSql = 'SELECT * FROM tasks WHERE done AND rank < 50';
    const judge = async () => {
      await top.untilRows(await service.rows(topSql));
      await done.untilRows(await service.rows(doneSql));
    };
    await Promise.all([top.ready(), done.ready()]);
    await judge();
    assert(tasks.subsets.length >= 2, 'the rows came as subsets');
    assert(tasks.subsets.some(({ url }) => new URL(url).searchParams.get('subset__limit') === '10'), 'a part of them');
    assert(tasks.rows.length < 100, `${tasks.rows.length} rows, where less than 30 were asked for`);

    await service.transact(insert(2001, 3, 5000), insert(2002, 4, 5000), insert(2003, 3, -1));
    await judge();
    // The tenth is another one: it must be loaded, or be there.
    const [{ id: first }, { id: second }] = await service.rows(topSql);
    await service.transact(['DELETE FROM tasks WHERE id = $1', [first]], ['UPDATE tasks SET rank = -2 WHERE id = $1', [second]]);
    await judge();
    await service.transact("UPDATE tasks SET title = 'changed', rank = rank + 10000 WHERE done AND rank BETWEEN 20 AND 49");
    await judge();
    if (replica === 'full') {
      // Only the whole row tells who has not loaded it what it is.
      await service.transact('UPDATE tasks SET project = 3, rank = rank + 20000 WHERE project = 7 AND rank BETWEEN 400 AND 499');
      await judge();
    }
    // One who comes later finds what has been loaded, and loads the rest.
    const all = service.query((q) => q.from({ task: tasks.collection }).where(({ task }) => eq(task.project, 3)));
    await all.ready();
    await all.untilRows(await service.rows('SELECT * FROM tasks WHERE project = 3'));
    await judge();
  });
}

scenario('a progressive collection answers before all of it is there', engine, async (service) => {
  await service.transact(TABLE, FILL);
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const tasks = service.collect({ table: 'tasks' }, { syncMode: 'progressive', held });
  const some = service.query((q) => q.from({ task: tasks.collection }).where(({ task }) => eq(task.project, 3)));
  some.start();
  await some.untilRows(await service.rows('SELECT * FROM tasks WHERE project = 3'));
  assert.notEqual(tasks.collection.status, 'ready');
  assert.equal(tasks.rows.length, 100, 'nothing but what was asked for');
  assert(tasks.subsets.length > 0);

  await service.transact('DELETE FROM tasks WHERE id = 13', "UPDATE tasks SET title = 'changed' WHERE id = 23", insert(2001, 3, 5000));
  release();
  await tasks.ready();
  const txid = await service.transact(insert(2002, 3, 5001));
  await tasks.seen(txid);
  await tasks.untilRows(await service.rows('SELECT * FROM tasks'));
  await some.untilRows(await service.rows('SELECT * FROM tasks WHERE project = 3'));
});

for (const syncMode of ['eager', 'on-demand', 'progressive']) {
  scenario(`what is written is matched by its transaction, ${syncMode}`, engine, async (service) => {
    await service.transact(TABLE, FILL);
    const written = [];
    // As an application's backend does: one transaction for all changes, and its number as the answer.
    const write = (statement) => async ({ transaction }) => {
      const txid = await service.transact(...transaction.mutations.map(statement));
      written.push(txid);
      return { txid, timeout: 20_000 };
    };
    const tasks = service.collect(
      { table: 'tasks', where: 'project = 3' },
      {
        syncMode,
        onInsert: write(({ modified: { id, project, rank } }) => insert(id, project, rank)),
        onUpdate: write(({ original, changes }) => ["UPDATE tasks SET title = $2 || '!' WHERE id = $1", [original.id, changes.title]]),
        onDelete: write(({ original }) => ['DELETE FROM tasks WHERE id = $1', [original.id]]),
      },
    );
    const all = service.query((q) => q.from({ task: tasks.collection }));
    await all.ready();
    const row = (id) => ({ id, project: 3, rank: id, title: 'not yet', done: false });
    const persisted = async (transaction) => {
      await transaction.isPersisted.promise;
      // Without a wait: what was written is there when it is said to be.
      assert.deepEqual(byId(plain(tasks.collection.toArray)), byId(await service.rows('SELECT * FROM tasks WHERE project = 3')));
    };
    for (let n = 0; n < 10; n++) {
      await persisted(tasks.collection.insert([row(3000 + n), row(4000 + n)]));
      await persisted(tasks.collection.update(3000 + n, (draft) => void (draft.title = `title ${n}`)));
      if (n % 2 === 0) await persisted(tasks.collection.delete(4000 + n));
    }
    assert.equal(written.length, 25);
    for (const txid of written) await tasks.seen(txid);
    assert.equal((await service.rows("SELECT * FROM tasks WHERE title LIKE 'title %!'")).length, 10);
    await all.untilRows(await service.rows('SELECT * FROM tasks WHERE project = 3'));
  });
}

const byId = (rows) => Object.fromEntries(rows.map((row) => [row.id, row]));
