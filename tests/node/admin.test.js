// What an administrator sees of readers, and does to them: those who are ended come back by themselves, unless they are kept away.

import assert from 'node:assert/strict';
import { FetchError } from '@electric-sql/client';
import { eventually } from './support/eventually.js';
import { Registry } from './support/registry.js';
import { scenario } from './support/service.js';

const [ONE, TWO] = ['ses_one', 'ses_two'];
const settings = { PLUE_SUBSCRIPTIONS__IDLE_TIMEOUT: '2s' };
const FIELDS = [
  ...['bytes', 'client', 'columns', 'handle', 'id', 'instance', 'log', 'offset', 'params', 'peer', 'principal', 'replica', 'requests'],
  ...['session', 'table', 'time_last_seen', 'time_opened', 'transport', 'where'],
];

scenario('readers ended by an administrator come back and miss nothing', { settings }, async (service) => {
  const readers = await followTwoSessions(service);
  const { poll, events, other } = readers;
  const { registry } = service;
  const before = await byClient(registry);

  await assertEnds(readers, ['events'], () => registry.end(`/subscriptions/${before.get('events').id}`));
  await assertFollow(service, readers);
  await assertEnds(readers, ['poll', 'events'], () => registry.end(`/sessions/${ONE}/subscriptions`));
  await assertFollow(service, readers);

  const after = await byClient(registry);
  assert.equal(after.get('other').id, before.get('other').id, 'the subscription of a reader that was left alone');
  for (const client of ['poll', 'events']) assert.notEqual(after.get(client).id, before.get(client).id, `another one of ${client}`);
  await assert.rejects(registry.get(before.get('poll').id), ({ actual }) => actual === 404, 'one that has gone');
  for (const reader of [poll, events, other]) assert.equal(reader.refetches, 0, `${reader}`);
});

scenario('a reader that is kept away is told so, stops, and may come back later', { settings }, async (service) => {
  await begin(service, ONE);
  const { registry } = service;
  for (const sse of [false, true]) {
    const client = `blocked by ${sse ? 'events' : 'poll'}`;
    const told = [];
    const blocked = read(service, ONE, client, { sse, onError: (error) => void told.push(error) });
    const other = read(service, ONE, `not ${client}`, { sse });
    await Promise.all([blocked.upToDate(), other.upToDate()]);
    await untilLive([blocked, other]);
    const { id } = (await byClient(registry)).get(client);
    assert.equal(await registry.end(`/subscriptions/${id}`, { block: 2 }), 1);
    await eventually('an error', () => told.length > 0, { seen: () => blocked.requests.slice(-3) });
    assert(told[0] instanceof FetchError, `${told[0]}`);
    assert.equal(told[0].status, 403);
    const asked = blocked.requests.length;

    const status = async () => {
      const response = await fetch(blocked.requests[0].url);
      await response.arrayBuffer();
      return response.status;
    };
    assert.equal(await status(), 403, 'nor by another connection');
    await eventually('the end of the block', async () => (await status()) === 200, { deadlineMs: 10_000 });
    assert.equal(blocked.requests.length, asked, 'it did not ask again by itself');
    assert.equal(told.length, 1);
    const back = read(service, ONE, client, { sse });
    await assertFollow(service, { back, other });
    for (const reader of [blocked, back, other]) reader.close();
  }
});

scenario('it is told when subscriptions open and end, and why', { settings }, async (service) => {
  await begin(service, ONE);
  const { registry } = service;
  const events = await registry.events();
  try {
    const reader = read(service, ONE, 'ended', { sse: true });
    const { subscription: opened } = await events.until('opened', 'ended');
    assert.equal(opened.session, ONE);
    assert.equal(opened.table, 'parts');
    await reader.upToDate();
    await untilLive([reader]);
    assert.equal(await registry.end(`/subscriptions/${opened.id}`), 1);
    const ended = await events.until('ended', 'ended');
    assert.equal(ended.reason, 'admin');
    assert.equal(ended.subscription.id, opened.id);
    reader.close();

    for (const sse of [false, true]) {
      const client = `left by ${sse ? 'events' : 'poll'}`;
      const left = read(service, ONE, client, { sse });
      await left.upToDate();
      await untilLive([left]);
      assert.equal((await events.until('opened', client)).reason, undefined);
      left.close();
      assert.equal((await events.until('ended', client)).reason, 'idle');
    }
    await registry.untilClients([]);
  } finally {
    events.close();
  }
});

scenario('subscriptions are listed in pages and found by what they are', { settings }, async (service) => {
  const { poll, events, other } = await followTwoSessions(service);
  const { registry } = service;
  const more = Array.from({ length: 4 }, (_, n) => read(service, TWO, `more ${n}`, { table: 'messages' }));
  await Promise.all(more.map((reader) => reader.upToDate()));
  const all = ['poll', 'events', 'other', 'more 0', 'more 1', 'more 2', 'more 3'];
  await untilLive([poll, events, other, ...more]);
  await registry.untilClients(all);

  const found = async (filters) => (await registry.list(filters)).map(({ client }) => client).sort();
  for (const limit of [1, 2, 7, 100]) assert.deepEqual(await found({ limit }), all.toSorted(), `pages of ${limit}`);
  assert.deepEqual(await found({ session: ONE }), ['events', 'poll']);
  assert.deepEqual(await found({ session: 'ses_none' }), []);
  assert.deepEqual(await found({ table: 'messages', limit: 3 }), ['more 0', 'more 1', 'more 2', 'more 3']);
  assert.deepEqual(await found({ transport: 'sse' }), ['events', 'other']);
  assert.deepEqual(await found({ transport: 'sse', session: TWO }), ['other']);
  const sessions = (await registry.sessions()).map(({ session, subscriptions }) => [session, subscriptions]).sort();
  assert.deepEqual(sessions, [[ONE, 2], [TWO, 5]]);

  const [shown] = (await registry.list({ session: ONE })).filter(({ client }) => client === 'poll');
  assert.deepEqual(Object.keys(shown).sort(), FIELDS);
  const { session, table, transport, handle, offset, replica } = shown;
  const { shapeHandle, lastOffset } = poll.stream;
  const wanted = { session: ONE, table: 'parts', transport: 'long_poll', handle: shapeHandle, offset: lastOffset, replica: 'default' };
  assert.deepEqual({ session, table, transport, handle, offset, replica }, wanted);
  assert(shown.requests >= poll.requests.length - 1 && shown.bytes > 0, JSON.stringify(shown));
  assert.match(shown.peer, /^127\.0\.0\.1/);
  assert.equal((await registry.get(shown.id)).client, 'poll');
});

// Without an upstream, one instance follows a database and the others wait for it to end.
scenario('an administrator of one instance sees and ends the readers of all', { settings, sources: ['proxy'] }, async (service) => {
  await begin(service, ONE);
  await begin(service, TWO);
  const there = await service.another();
  const here = service.registry;
  const readers = {
    here: read(service, ONE, 'here', { sse: true }),
    there: read(service, ONE, 'there', { sse: true, through: there.url }),
    thereToo: read(service, ONE, 'there too', { through: there.url }),
    other: read(service, TWO, 'other', { sse: true, through: there.url }),
  };
  await Promise.all(Object.values(readers).map((reader) => reader.upToDate()));
  await untilLive(Object.values(readers));
  for (const registry of [here, new Registry(there.url)]) {
    const listed = new Map((await registry.untilClients(['here', 'there', 'there too', 'other'])).map((one) => [one.client, one]));
    assert.notEqual(listed.get('here').instance, listed.get('there').instance);
    assert.equal(listed.get('there').instance, listed.get('there too').instance);
    assert.equal(listed.get('there').instance, listed.get('other').instance);
  }

  await assertEnds(readers, ['here', 'there', 'thereToo'], () => here.end(`/sessions/${ONE}/subscriptions`));
  await assertFollow(service, readers);
  const { id } = (await here.list({ session: ONE })).find(({ client }) => client === 'there');
  await assertEnds(readers, ['there'], () => here.end(`/subscriptions/${id}`));
  await assertFollow(service, readers);
});

/** A session with one message and one part. */
async function begin(service, session) {
  await service.session(session);
  await service.ask('POST', `/v1/sessions/${session}/messages`, { id: `${session}_m`, role: 'user' });
  await write(service, session);
}

let written = 0;
async function write(service, session) {
  const path = `/v1/sessions/${session}/messages/${session}_m/parts/${session}_p${written++}`;
  return (await service.ask('PUT', path, { type: 'text', text: 'new' })).txid;
}

function read(service, session, client, { table = 'parts', ...options } = {}) {
  return service.read({ table, where: 'session_id = $1', params: { 1: session }, client }, options);
}

/** Two readers of one session, by both transports, and one of another; by the name of their client. */
async function followTwoSessions(service) {
  await begin(service, ONE);
  await begin(service, TWO);
  const readers = {
    poll: read(service, ONE, 'poll'),
    events: read(service, ONE, 'events', { sse: true }),
    other: read(service, TWO, 'other', { sse: true }),
  };
  await Promise.all(Object.values(readers).map((reader) => reader.upToDate()));
  await untilLive(Object.values(readers));
  await service.registry.untilClients(Object.keys(readers));
  return readers;
}

/** Waits until each has a live request that waits: by events it has an answer, which does not end. */
async function untilLive(readers) {
  for (const reader of readers) await reader.until('that it is live', () => new URL(reader.requests.at(-1).url).searchParams.get('live') === 'true');
}

/** Those named are ended by `end`, which says how many they are, and ask again; the others do not notice. */
async function assertEnds(readers, named, end) {
  await untilLive(Object.values(readers));
  const before = new Map(Object.values(readers).map((reader) => [reader, reader.requests.length]));
  assert.equal(await end(), named.length);
  for (const name of named) {
    const reader = readers[name];
    await reader.until('another request', () => reader.requests.length > before.get(reader));
  }
  for (const [name, reader] of Object.entries(readers)) {
    if (!named.includes(name)) assert.equal(reader.requests.length, before.get(reader), `${name} was left alone`);
  }
}

/** A change after what happened comes to all of them, and they have what is there. */
async function assertFollow(service, readers) {
  for (const reader of Object.values(readers)) {
    const session = reader.stream.options.params.params[1];
    await reader.seen(await write(service, session));
    reader.assertRows(await service.rows('SELECT * FROM parts WHERE session_id = $1', [session]));
  }
}

async function byClient(registry) {
  return new Map((await registry.list()).map((subscription) => [subscription.client, subscription]));
}
