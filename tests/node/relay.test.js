// The relay that other tests look and break through: it changes nothing unless it is told to, and then does what it says.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { test } from 'node:test';
import { eventually } from './support/eventually.js';
import { Relay } from './support/relay.js';
import { isLive, isNotLive, placeOf } from './support/request.js';

const LIVE = '/v1/shape?table=parts&where=a%20%3D%201&offset=7_0&handle=h&live=true&cursor=3&client=c1';
const FIRST = '/v1/shape?where=a+%3D+1&table=parts&offset=-1&client=c2&log=full';
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Odd:  a:b \r\n\r\n5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n';
const COUNTED = 'HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n[1, 2,3]';

/** A relay before a server that `serve(socket, text)`s what it is sent, and both gone at the end. */
function relayed(name, serve, body) {
  test(name, { timeout: 30_000 }, async () => {
    const upstream = { sockets: new Set(), received: '' };
    const server = createServer((socket) => {
      upstream.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => upstream.sockets.delete(socket));
      socket.on('data', (bytes) => {
        upstream.received += bytes.toString('latin1');
        serve(socket, bytes.toString('latin1'), upstream);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const relay = await Relay.start(`127.0.0.1:${server.address().port}`);
    try {
      await body(relay, upstream);
      relay.close();
      await eventually('no socket', () => relay.sockets === 0 && upstream.sockets.size === 0, { deadlineMs: 5_000 });
    } finally {
      relay.close();
      for (const socket of upstream.sockets) socket.destroy();
      server.close();
    }
  });
}

/** Answers each request at once. */
const always = (answer) => (socket, text) => {
  for (const _ of text.matchAll(/\r\n\r\n/g)) socket.write(answer);
};

/** Sends nothing until the test does. */
const silent = () => {};

relayed('bytes go on as they come, both ways and in pieces of any size', silent, async (relay, upstream) => {
  const requests = [
    `GET ${LIVE} HTTP/1.1\r\nhOST: x\r\nX-Odd:  y \r\n\r\n`,
    'POST /v1/shape?table=a HTTP/1.1\r\nContent-Length: 4\r\n\r\n\r\n\r\n',
    'POST /b HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    'HEAD /c HTTP/1.1\r\n\r\n',
    'GET /d HTTP/1.1\r\n\r\n',
  ];
  const announced = 'HTTP/1.1 100 Continue\r\n\r\n';
  const empty = 'HTTP/1.1 204 No Content\r\n\r\n';
  const answers = [CHUNKED, announced + COUNTED, empty, 'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\nuntil the end'];
  const client = await Client.open(relay);
  for (const step of [1, 3, 1000]) {
    // The last answer ends with its connection.
    const last = step === 1000 ? requests.length : requests.length - 1;
    for (let at = 0; at < last; at++) {
      upstream.received = '';
      client.received = '';
      await inSteps(client.socket, requests[at], step);
      await eventually('the request', () => upstream.received === requests[at], { seen: () => upstream.received });
      assert.equal(relay.inFlight().length, 1);
      const [socket] = upstream.sockets;
      await inSteps(socket, answers[at], step);
      await eventually('the answer', () => client.received === answers[at], { seen: () => client.received });
      if (at === requests.length - 1) socket.end();
      await eventually('the end of the request', () => relay.inFlight().length === 0);
    }
  }
  await eventually('the end', () => client.closed);
  assert.deepEqual(relay.requests.at(0).path, LIVE);
  assert.deepEqual(relay.requests.map(({ status }) => status), [...Array(2).fill([200, 200, 204, 200]).flat(), 200, 200, 204, 200, 200]);
});

const LARGE = Buffer.alloc(20_000_000, 'abcdefg');

relayed(
  'a large body comes whole to a slow reader',
  (socket) => socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${LARGE.length}\r\n\r\n`) && socket.write(LARGE),
  async (relay) => {
    const response = await fetch(`${relay.url}/v1/shape?table=a`);
    const parts = [];
    for await (const part of response.body) {
      parts.push(part);
      await new Promise(setImmediate);
    }
    assert(Buffer.concat(parts).equals(LARGE));
  },
);

relayed('it counts what is open and in flight, by shape and place', silent, async (relay, upstream) => {
  const clients = await Promise.all([LIVE, LIVE.replace('c1', 'c9').replace('cursor=3', 'cursor=4&live_sse=true'), FIRST].map((path) => Client.ask(relay, path)));
  await eventually('three requests', () => relay.inFlight().length === 3);
  assert.deepEqual([relay.sockets, upstream.sockets.size], [3, 3]);
  assert.equal(relay.inFlight(isLive).length, 2);
  assert.equal(new Set(relay.inFlight(isLive).map(placeOf)).size, 1, 'the same place, whoever asks and however');
  assert.deepEqual(relay.inFlight(isLive).map(({ client }) => client).sort(), ['c1', 'c9']);
  const [first] = relay.inFlight(isNotLive);
  assert.equal(first.shape, '/v1/shape?log=full&table=parts&where=a+%3D+1');
  assert.deepEqual([first.offset, first.handle, first.sse], ['-1', undefined, false]);
  clients[0].socket.destroy();
  await eventually('one less', () => relay.inFlight(isLive).length === 1 && upstream.sockets.size === 2 && relay.sockets === 2);
  for (const socket of upstream.sockets) socket.destroy();
  await eventually('the end of all', () => clients.every(({ closed }) => closed) && relay.inFlight().length === 0);
});

relayed('sockets are cut as by a process that dies', silent, async (relay, upstream) => {
  const [live, first] = await Promise.all([LIVE, FIRST].map((path) => Client.ask(relay, path)));
  await eventually('two requests', () => relay.inFlight().length === 2);
  const ends = [];
  for (const socket of upstream.sockets) socket.on('error', ({ code }) => ends.push(code));
  assert.equal(relay.cutSockets(isLive), 1);
  await eventually('the cut', () => live.error === 'ECONNRESET' && ends.length === 1, { seen: () => [live.error, ends] });
  assert.equal(first.error, undefined);
  assert.equal(relay.cutSockets(), 1);
  await eventually('the other cut', () => first.error === 'ECONNRESET');
});

relayed('it refuses connections until it takes them again', always(COUNTED), async (relay) => {
  const client = await Client.ask(relay, FIRST);
  await eventually('an answer', () => client.received === COUNTED);
  relay.refuse();
  await assert.rejects(fetch(`${relay.url}${FIRST}`), ({ cause }) => cause.code === 'ECONNREFUSED');
  client.ask(FIRST);
  await eventually('an answer on the open connection', () => client.received === COUNTED.repeat(2));
  await relay.accept();
  assert.deepEqual(await get(relay, FIRST), [200, '[1, 2,3]']);
});

/** The fault with its options, and what a reader of `CHUNKED` or `COUNTED` gets. */
const FAULTS = [
  ['refuse', {}, /^ECONNRESET$|^UND_ERR_SOCKET$/],
  ['reset', {}, /^ECONNRESET$|^UND_ERR_SOCKET$/],
  ['truncate', {}, /^UND_ERR_SOCKET$|^UND_ERR_RES_CONTENT_LENGTH_MISMATCH$/],
  ['garbage', {}, /^HPE_/],
  ['status', { status: 500 }, [500, '{"message":"status 500 by the relay"}']],
  ['status', { status: 429, retryAfter: 1 }, [429, '{"message":"status 429 by the relay"}']],
  ['status', { status: 409, handle: 'new' }, [409, '[{"headers":{"control":"must-refetch"}}]']],
];

for (const [what, body] of [['chunked', CHUNKED], ['counted', COUNTED]]) {
  relayed(`each fault meets the requests it is for, and no other, ${what}`, always(body), async (relay) => {
    const whole = await get(relay, FIRST);
    for (const [kind, options, expected] of FAULTS) {
      const fault = relay.inject(kind, { times: 2, on: isLive, ...options });
      const name = `${kind} ${JSON.stringify(options)}`;
      assert.deepEqual(await get(relay, FIRST), whole, `${name}: not for this one`);
      for (let hit = 1; hit <= 2; hit++) {
        const got = await get(relay, LIVE);
        if (expected instanceof RegExp) assert.match(got, expected, name);
        else assert.deepEqual(got, expected, name);
        assert.equal(fault.hits.length, hit, name);
      }
      assert.deepEqual(await get(relay, LIVE), whole, `${name}: over`);
    }
    assert.equal((await fetchStatus(relay, { status: 429, retryAfter: 7 })).headers.get('retry-after'), '7');
    assert.equal((await fetchStatus(relay, { status: 409, handle: 'new' })).headers.get('electric-handle'), 'new');
  });
}

relayed('a request is stalled until it is released, or its sender goes', always(COUNTED), async (relay, upstream) => {
  const fault = relay.inject('stall', { times: 2 });
  const [stays, goes] = await Promise.all([Client.ask(relay, LIVE), Client.ask(relay, LIVE)]);
  await eventually('two hits', () => fault.hits.length === 2);
  goes.socket.destroy();
  await eventually('one less', () => relay.inFlight().length === 1);
  assert.deepEqual([stays.received, upstream.received], ['', '']);
  fault.release();
  await eventually('an answer', () => stays.received === COUNTED);
  assert.equal(upstream.received.match(/GET/g).length, 1);
});

relayed('half of a body comes before a reset, and all but the end before a cut', always(CHUNKED), async (relay) => {
  for (const kind of ['reset', 'truncate']) {
    relay.inject(kind);
    const client = await Client.ask(relay, FIRST);
    await eventually(`the ${kind}`, () => client.closed);
    if (kind === 'truncate') assert.equal(client.error, undefined);
    const [head, body] = client.received.split('\r\n\r\n');
    assert(CHUNKED.startsWith(`${head}\r\n\r\n`), head);
    if (kind === 'truncate') assert.equal(body, '5;ext=1\r\nhello\r\n1\r\n!\r\n');
    else assert(body.length > 0 && body.length < 10, body);
  }
});

/** A status and a body, or the code of the error. */
async function get(relay, path) {
  try {
    const response = await fetch(`${relay.url}${path}`);
    return [response.status, await response.text()];
  } catch ({ cause }) {
    return cause.code;
  }
}

async function fetchStatus(relay, options) {
  relay.inject('status', options);
  const response = await fetch(`${relay.url}${FIRST}`);
  await response.text();
  return response;
}

async function inSteps(socket, text, step) {
  for (let at = 0; at < text.length; at += step) {
    await new Promise((sent) => socket.write(text.slice(at, at + step), 'latin1', sent));
  }
}

/** A bare socket, and what came from it. */
class Client {
  socket;
  received = '';
  closed = false;
  error;

  static async open(relay) {
    const client = new Client();
    const [host, port] = relay.address.split(':');
    client.socket = connect({ host, port: Number(port), noDelay: true });
    client.socket.on('data', (bytes) => (client.received += bytes.toString('latin1')));
    client.socket.on('error', ({ code }) => (client.error = code));
    client.socket.on('close', () => (client.closed = true));
    await once(client.socket, 'connect');
    return client;
  }

  static async ask(relay, path) {
    const client = await Client.open(relay);
    client.ask(path);
    return client;
  }

  ask(path) {
    this.socket.write(`GET ${path} HTTP/1.1\r\nhost: relay\r\n\r\n`);
  }
}
