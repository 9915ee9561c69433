// Many readers of many sessions: those who leave without goodbye are forgotten, those who stay are served, and nothing is held for nobody.

import assert from 'node:assert/strict';
import { eventually } from './support/eventually.js';
import { Member } from './support/member.js';
import { Relay } from './support/relay.js';
import { isLive, placeOf } from './support/request.js';
import { scenario } from './support/service.js';

const SESSIONS = Array.from({ length: 50 }, (_, n) => `ses_${n}`);
const READERS_PER_SESSION = 10;
const IDLE_MS = 3_000;
/** On a machine that is busy with other tests. */
const PATIENCE_MS = 10_000;
const settings = { PLUE_SUBSCRIPTIONS__IDLE_TIMEOUT: `${IDLE_MS}ms` };

scenario('a crowd of readers of which half leaves without goodbye', { settings }, async (service) => {
  for (const session of SESSIONS) {
    await service.session(session);
    await write(service, session, 'first');
  }
  const leaving = await Relay.start(service.server.address);
  const crowd = SESSIONS.flatMap((session, at) => gather(session, at, { stay: service.url, leave: leaving.url }));
  const [staying, gone] = [true, false].map((stays) => crowd.filter((reader) => reader.stays === stays));
  try {
    await until('that all are up to date', crowd, ({ member }) => member.isUpToDate);
    await service.registry.untilClients(clientsOf(crowd), { deadlineMs: PATIENCE_MS });
    const streaming = async () => (await service.registry.list({ transport: 'sse' })).length === crowd.length / 2;
    await eventually('that half of them stream', streaming, { deadlineMs: PATIENCE_MS });

    leaving.refuse();
    leaving.cutSockets();
    for (const { member } of gone) member.close();
    const left = await service.registry.untilClients(clientsOf(staying), { deadlineMs: IDLE_MS + PATIENCE_MS });
    assertSame(left, staying);

    const before = service.relay?.requests.length;
    await Promise.all(SESSIONS.map((session) => write(service, session, 'second')));
    await until('the change', staying, ({ member, session, table }) => member.inserts.has(rowOf(table, session, 'second')));
    for (const { member, session, table } of staying) {
      const rows = ['first', 'second'].map((which) => [rowOf(table, session, which), 1]);
      assert.deepEqual([...member.inserts], rows, `${member.client} on ${table} of ${session}: each row once`);
    }
    if (service.relay) await assertShared(service.relay, staying, before);

    for (const { member } of staying) member.close();
    await service.registry.untilClients([], { deadlineMs: IDLE_MS + PATIENCE_MS });
    assert.deepEqual(await service.registry.sessions(), []);
    if (service.relay) {
      await eventually('that nothing is asked of the upstream', () => service.relay.inFlight().length === 0, {
        deadlineMs: PATIENCE_MS,
        seen: () => service.relay.inFlight(),
      });
    }
    const errors = crowd.flatMap(({ member }) => member.errors);
    assert.deepEqual(errors, [], 'that a client could not get over');
  } finally {
    for (const { member } of crowd) member.close();
    leaving.close();
  }
});

/** The readers of one session: of both tables, by both transports, and half of each that stay. */
function gather(session, at, { stay, leave }) {
  return Array.from({ length: READERS_PER_SESSION }, (_, n) => {
    const table = n % 2 === 0 ? 'messages' : 'parts';
    const sse = (Math.floor(n / 2) + at) % 2 === 0;
    const stays = n < READERS_PER_SESSION / 2;
    const params = { table, where: 'session_id = $1', params: { 1: session } };
    const client = `c${at * READERS_PER_SESSION + n}`;
    return { session, table, sse, stays, member: new Member(stays ? stay : leave, client, params, { sse }) };
  });
}

/** A message with one part: a row for each reader of the session. */
async function write(service, session, which) {
  const [id, part] = ['messages', 'parts'].map((table) => rowOf(table, session, which));
  await service.ask('POST', `/v1/sessions/${session}/messages`, { id, role: 'user', parts: [{ id: part, type: 'text', text: which }] });
}

function rowOf(table, session, which) {
  return `${session}_${table}_${which}`;
}

function clientsOf(readers) {
  return readers.map(({ member }) => member.client);
}

async function until(what, readers, check) {
  const late = () => readers.filter((reader) => !check(reader)).map(({ member }) => member);
  await eventually(`${what}, by ${readers.length} readers`, () => late().length === 0, {
    deadlineMs: 60_000,
    seen: () => ({ late: late().length, some: late().slice(0, 3) }),
  });
}

/** The registry tells of each reader what it follows, and how. */
function assertSame(subscriptions, readers) {
  const byClient = (a, b) => (a.client < b.client ? -1 : 1);
  const told = subscriptions.map(({ client, session, table, transport }) => ({ client, session, table, transport }));
  const wanted = readers.map(({ member, session, table, sse }) => ({
    client: member.client,
    session,
    table,
    transport: sse ? 'sse' : 'long_poll',
  }));
  assert.deepEqual(told.sort(byClient), wanted.sort(byClient));
}

/** One request waits upstream for all readers of a shape, and after a change they do not all ask for themselves. */
async function assertShared(relay, readers, before) {
  const shapes = new Set(readers.map(({ session, table }) => `${table} of ${session}`)).size;
  const waiting = () => relay.inFlight(isLive).map(placeOf);
  await eventually('one live request for each shape', () => waiting().length === shapes && new Set(waiting()).size === shapes, {
    deadlineMs: PATIENCE_MS,
    seen: () => ({ shapes, requests: waiting().length, places: new Set(waiting()).size, some: waiting().slice(0, 5) }),
  });
  const asked = relay.requests.slice(before).length;
  assert(asked <= 2 * shapes, `${asked} requests upstream after a change in each of ${shapes} shapes`);
}
