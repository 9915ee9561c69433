// The main job, from one end to the other: an agent writes a session, and twenty readers see each row change, once and in order.

import assert from 'node:assert/strict';
import { Agent, PARTS_PER_MESSAGE } from './support/agent.js';
import { scenario } from './support/service.js';

const SESSION = 'ses_one';
const MESSAGES = 200;

/** Each is read by long-poll and by events. `from`: the message before which the readers come, if it is not the first. */
const SHAPES = [
  { table: 'parts' },
  { table: 'parts', from: 70 },
  { table: 'parts', replica: 'full' },
  { table: 'parts', columns: ['id', 'message_id', 'text', 'sort_order'] },
  { table: 'messages' },
  { table: 'messages', replica: 'full', from: 120 },
  { table: 'messages', columns: ['id', 'role', 'status', 'tools'] },
  { table: 'messages', columns: ['id', 'cost', 'session_id'], replica: 'full' },
  { table: 'sessions' },
  { table: 'sessions', replica: 'full' },
];

scenario('c276 twenty readers see what an agent writes, each change once and in order', {}, async (service) => {
  await service.session(SESSION);
  await service.session('ses_other');
  const readers = SHAPES.map((shape) => ({ shape, opened: shape.from ? [] : open(service, shape) }));
  await Promise.all(readers.flatMap(({ opened }) => opened).map((reader) => reader.upToDate()));

  const agent = new Agent(service, SESSION);
  const before = (n) => {
    for (const late of readers) if (late.shape.from === n) late.opened = open(service, late.shape);
  };
  // What readers of the first session must not see.
  const other = new Agent(service, 'ses_other');
  await Promise.all([agent.write(MESSAGES, { before }), other.write(20, { workers: 1 })]);
  const last = await agent.replaceAll();
  const all = readers.flatMap(({ opened }) => opened);
  assert.equal(all.length, 20);
  await Promise.all(all.map((reader) => reader.seen(last)));

  for (const { shape, opened } of readers) {
    const rows = await service.rows(...select(shape));
    for (const reader of opened) {
      reader.assertRows(rows);
      assert.equal(reader.refetches, 0, `${reader}`);
      assertOneWay(reader);
    }
    assert.deepEqual(opened[0].changes, opened[1].changes, `two readers of ${JSON.stringify(shape)}`);
  }
  const of = (at) => readers[at].opened[0];
  assert.deepEqual(of(0).changes, of(1).changes, 'a reader that came later reads the same log');
  assertTold(of(0), agent.expected.parts);
  assertTold(of(2), agent.expected.parts);
  assertTold(of(3), visible(agent.expected.parts, SHAPES[3].columns));
  assertTold(of(4), agent.expected.messages);
  assertToldRest(of(5), agent.expected.messages);
  assertTold(of(6), visible(agent.expected.messages, SHAPES[6].columns));
  assertTold(of(7), visible(agent.expected.messages, SHAPES[7].columns));
  for (const at of [8, 9]) {
    const txids = of(at).changes.map(({ headers }) => headers.txids[0]);
    assert.deepEqual(new Set(txids), agent.txids, 'the session moves with every transaction');
    assert.equal(txids.length, agent.txids.size, 'and once in each');
    assert(isIncreasing(of(at).changes.map(({ value }) => value.time_updated)), 'and forward');
  }
  const inserts = of(0).changes.filter(({ headers }) => headers.operation === 'insert');
  assert.equal(inserts.length, MESSAGES * PARTS_PER_MESSAGE + 2, 'each part is inserted once');
});


/** A reader by long-poll and one by events. */
function open(service, { from, ...shape }) {
  const column = shape.table === 'sessions' ? 'id' : 'session_id';
  const params = { ...shape, where: `${column} = $1` };
  return [
    service.read({ ...params, params: [SESSION] }),
    service.read({ ...params, params: { 1: SESSION } }, { sse: true }),
  ];
}

function select({ table, columns = ['*'] }) {
  const column = table === 'sessions' ? 'id' : 'session_id';
  return [`SELECT ${columns.join(', ')} FROM ${table} WHERE ${column} = $1`, [SESSION]];
}

/** A reader that follows by events never asks in another way, and the other way round. */
function assertOneWay(reader) {
  const [events, polls] = [true, false].map((sse) => reader.live({ sse }).length);
  assert(events === 0 || polls === 0, `${reader}: ${events} event streams and ${polls} long-polls`);
}

/** Every change of every row that the agent made, with the values that the API answered, and nothing else. */
function assertTold(reader, expected) {
  const told = byRow(reader);
  assert.deepEqual([...told.keys()].sort(), [...expected.keys()].sort(), `rows that ${reader} was told of`);
  for (const [id, changes] of expected) assertSame(told.get(id), changes, `${reader}, row ${id}`);
}

/** The same for a reader that came when some was written: what was not in its snapshot, by whole transactions. */
function assertToldRest(reader, expected) {
  const told = byRow(reader);
  const seen = new Set(reader.changes.map(({ headers }) => headers.txids[0]));
  for (const [id, changes] of expected) {
    const rest = changes.filter(({ txid }) => seen.has(txid));
    assertSame(told.get(id) ?? [], rest, `${reader}, row ${id}`);
    assert.deepEqual(rest, changes.slice(changes.length - rest.length), `${reader}, row ${id}: a gap`);
  }
}

function assertSame(told, expected, what) {
  const brief = ({ headers }) => [headers.operation, ...headers.txids];
  assert.deepEqual(told.map(brief), expected.map(({ operation, txid }) => [operation, txid]), what);
  told.forEach(({ value, headers }, at) => {
    // A delete tells the old row, which is not always what the API said last: a cascade has no answer of its own.
    if (headers.operation === 'delete') return;
    for (const [column, shown] of Object.entries(value)) {
      assert.deepEqual(plain(column, shown), plain(column, expected[at].row[column]), `${what}, change ${at}, ${column}`);
    }
  });
}

/** The changes by id of the row, in order. */
function byRow(reader) {
  const rows = new Map();
  for (const change of reader.changes) {
    const { id } = change.value;
    rows.set(id, [...(rows.get(id) ?? []), change]);
  }
  return rows;
}

/** Without the updates that change none of the columns. */
function visible(expected, columns) {
  const shown = ({ row }) => JSON.stringify(columns.map((column) => row[column]));
  const kept = (change, at, all) => change.operation !== 'update' || shown(change) !== shown(all[at - 1]);
  return new Map([...expected].map(([id, changes]) => [id, changes.filter(kept)]));
}

/** A value of the API or of the shape, in a form that both have. */
function plain(column, value) {
  if (value === null) return null;
  if (column === 'cost') return Number(value);
  if (column === 'created_at') return Date.parse(value.replace(' ', 'T').replace(/\+00$/, 'Z'));
  return typeof value === 'bigint' ? Number(value) : value;
}

function isIncreasing(values) {
  return values.every((value, at) => at === 0 || values[at - 1] < value);
}
