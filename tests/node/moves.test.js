// Collections over conditions with a subquery: rows come in and go out when rows of another table change.

import assert from 'node:assert/strict';
import { lt } from '@tanstack/db';
import { scenario } from './support/service.js';

const engine = { command: 'engine' };
const TABLES = [
  'CREATE TABLE sort (name text PRIMARY KEY, open bool NOT NULL)',
  "INSERT INTO sort VALUES ('a', true), ('b', false)",
  'CREATE TABLE parent (id int PRIMARY KEY, active bool NOT NULL, kind text NOT NULL)',
  'CREATE TABLE child (id int PRIMARY KEY, parent_id int, shared bool NOT NULL, note text NOT NULL)',
  "INSERT INTO parent SELECT n, n % 2 = 0, CASE WHEN n % 3 = 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 12) n",
  "INSERT INTO child SELECT n, CASE WHEN n % 13 = 0 THEN NULL ELSE n % 13 END, n % 5 = 0, 'note ' || n FROM generate_series(1, 60) n",
];
const ACTIVE = 'SELECT id FROM parent WHERE active';
const OF_KIND_A = "SELECT id FROM parent WHERE kind = 'a'";
const OF_OPEN_SORT = 'SELECT id FROM parent WHERE kind IN (SELECT name FROM sort WHERE open)';
const CONDITIONS = [
  `parent_id IN (${ACTIVE})`,
  `parent_id NOT IN (${ACTIVE})`,
  `shared OR parent_id IN (${ACTIVE})`,
  `shared AND parent_id IN (${ACTIVE})`,
  `parent_id IN (${ACTIVE}) OR parent_id IN (${OF_KIND_A})`,
  `parent_id IN (${ACTIVE}) AND parent_id NOT IN (${OF_KIND_A})`,
  `(shared AND parent_id NOT IN (${ACTIVE})) OR (NOT shared AND parent_id IN (${OF_KIND_A}))`,
  `parent_id IN (${OF_OPEN_SORT}) OR (shared AND parent_id NOT IN (${ACTIVE}))`,
  `parent_id IN (${OF_OPEN_SORT}) AND parent_id NOT IN (${ACTIVE})`,
];
/** Each changes which rows are in, or what they are. */
const CHANGES = [
  ['a parent becomes active', ['UPDATE parent SET active = true WHERE id = 3']],
  ['a parent becomes inactive', ['UPDATE parent SET active = false WHERE id = 4']],
  ['a child goes to an active parent', ['UPDATE child SET parent_id = 6 WHERE id = 1']],
  ['a child goes to an inactive parent', ['UPDATE child SET parent_id = 1 WHERE id = 2']],
  ['a child has no parent any more', ['UPDATE child SET parent_id = NULL WHERE id IN (6, 8)']],
  ['a child goes from one active parent to another', ['UPDATE child SET parent_id = 8 WHERE id = 10']],
  ['a child changes and stays', ["UPDATE child SET note = note || '!' WHERE id IN (10, 15, 16, 17)"]],
  ['a parent comes and goes in one transaction', ['UPDATE parent SET active = true WHERE id = 7', 'UPDATE parent SET active = false WHERE id = 7']],
  [
    'a parent goes out while its child changes',
    ["UPDATE child SET note = 'before' WHERE parent_id = 8", 'UPDATE parent SET active = false WHERE id = 8', "UPDATE child SET note = 'after' WHERE id = 21"],
  ],
  ['a parent with children comes', ["INSERT INTO parent VALUES (20, true, 'a')", "INSERT INTO child VALUES (100, 20, false, 'x'), (101, 20, true, 'y')"]],
  ['a parent goes for ever', ['DELETE FROM parent WHERE id = 10']],
  ['all parents change', ["UPDATE parent SET active = NOT active, kind = CASE WHEN kind = 'a' THEN 'b' ELSE 'a' END"]],
  ['a sort closes, and another opens', ['UPDATE sort SET open = NOT open']],
  ['children change their parents at once', ['UPDATE child SET parent_id = (parent_id + 5) % 12 + 1, shared = NOT shared WHERE id % 4 = 0']],
  ['no parent is active', ['UPDATE parent SET active = false']],
  ['no parent is there', ['DELETE FROM parent']],
  ['parents are there again', ["INSERT INTO parent SELECT n, n % 2 = 0, CASE WHEN n % 3 = 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 12) n"]],
];

const collectAll = (service) =>
  CONDITIONS.flatMap((where) => [
    service.collect({ table: 'child', where }),
    service.collect({ table: 'child', where, replica: 'full' }, { sse: true }),
    service.collect({ table: 'child', where }, { syncMode: 'progressive' }),
  ]);

/** Waits until each collection has what Postgres finds by its condition. */
async function judge(service, collections) {
  for (const collected of collections) {
    const { where } = collected.params;
    await collected.untilRows(await service.rows(`SELECT * FROM child WHERE ${where}`));
  }
}

scenario('rows move in and out of collections over a subquery', engine, async (service) => {
  await service.transact(...TABLES);
  const collections = collectAll(service);
  await Promise.all(collections.map((collected) => collected.ready()));
  await judge(service, collections);
  for (const [what, statements] of CHANGES) {
    await service.transact(...statements);
    try {
      await judge(service, collections);
    } catch (error) {
      throw new Error(`${what}: ${error.message}`, { cause: error });
    }
  }
});

/** Another one is another test: `SEED=7 node --test moves.test.js`. */
const SEED = Number(process.env.SEED ?? 1);

for (const signal of ['SIGTERM', 'SIGKILL']) {
  scenario(`rows move in and out around a restart by ${signal}`, engine, async (service) => {
    await service.transact(...TABLES);
    const collections = collectAll(service);
    await Promise.all(collections.map((collected) => collected.ready()));
    const random = generator(SEED);
    const write = async (count) => {
      for (let n = 0; n < count; n++) await service.transact(...randomChange(random));
    };
    await write(150);
    await service.restart(signal, () => write(50));
    await write(150);
    // Rows that are in some shapes by each side of their conditions: what came before them has come.
    await service.transact("INSERT INTO parent VALUES (30, true, 'b'), (31, false, 'a')", "UPDATE sort SET open = name = 'a'");
    const txid = await service.transact("INSERT INTO child VALUES (1000, 30, true, 'x'), (1001, 31, true, 'x'), (1002, 31, false, 'x')");
    await Promise.all(collections.map((collected) => collected.seen(txid)));
    await judge(service, collections);
    for (const collected of collections) {
      assert.deepEqual(collected.requests.filter(({ status }) => status === 409), [], `${collected} went on where it was`);
    }
    const late = collectAll(service);
    await Promise.all(late.map((collected) => collected.ready()));
    await judge(service, late);
  });
}

scenario('rows move in and out of what was loaded on demand', engine, async (service) => {
  await service.transact(...TABLES);
  const loaded = CONDITIONS.map((where) => {
    const { collection } = service.collect({ table: 'child', where, replica: 'full' }, { syncMode: 'on-demand' });
    const query = service.query((q) => q.from({ row: collection }).where(({ row }) => lt(row.id, 40)));
    return { query, sql: `SELECT * FROM child WHERE (${where}) AND id < 40` };
  });
  await Promise.all(loaded.map(({ query }) => query.ready()));
  const judgeLoaded = async () => {
    for (const { query, sql } of loaded) await query.untilRows(await service.rows(sql), sql);
  };
  await judgeLoaded();
  for (const [what, statements] of CHANGES) {
    await service.transact(...statements);
    try {
      await judgeLoaded();
    } catch (error) {
      throw new Error(`${what}: ${error.message}`, { cause: error });
    }
  }
});

/** One to three statements on a few rows, of which most change who is in. */
function randomChange(random) {
  const pick = (from, to) => from + Math.floor(random() * (to - from + 1));
  const statement = [
    () => ['UPDATE parent SET active = NOT active WHERE id = $1', [pick(1, 12)]],
    () => ["UPDATE parent SET kind = CASE WHEN kind = 'a' THEN 'b' ELSE 'a' END WHERE id IN ($1, $2)", [pick(1, 12), pick(1, 12)]],
    () => ["UPDATE parent SET active = NOT active, kind = CASE WHEN kind = 'a' THEN 'b' ELSE 'a' END WHERE id % 3 = $1", [pick(0, 2)]],
    () => ['UPDATE sort SET open = NOT open WHERE name = $1', [random() < 0.5 ? 'a' : 'b']],
    () => ['UPDATE child SET parent_id = $1 WHERE id % 7 = $2', [pick(1, 12), pick(0, 6)]],
    () => ["UPDATE child SET note = note || '.', shared = NOT shared WHERE id % 9 = $1", [pick(0, 8)]],
    () => ['UPDATE child SET parent_id = NULL WHERE id = $1', [pick(1, 60)]],
    () => ['DELETE FROM parent WHERE id = $1', [pick(1, 12)]],
    () => ["INSERT INTO parent VALUES ($1, $2, 'a') ON CONFLICT (id) DO UPDATE SET active = NOT parent.active", [pick(1, 12), random() < 0.5]],
    () => ['DELETE FROM child WHERE id = $1', [pick(1, 60)]],
    () => ["INSERT INTO child VALUES ($1, $2, $3, 'again') ON CONFLICT DO NOTHING", [pick(1, 60), pick(1, 12), random() < 0.5]],
  ];
  return Array.from({ length: pick(1, 3) }, () => statement[pick(0, statement.length - 1)]());
}

/** Numbers from 0 to 1 that are the same for the same seed. */
function generator(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
