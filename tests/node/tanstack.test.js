// Collections of TanStack DB: what applications use instead of the bare client.

import assert from 'node:assert/strict';
import { createCollection, eq, gt, liveQueryCollectionOptions } from '@tanstack/db';
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
