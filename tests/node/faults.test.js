// What goes wrong between the program and its upstream costs readers time, and nothing else.

import { eventually } from './support/eventually.js';
import { isLive, isNotLive } from './support/request.js';
import { scenario } from './support/service.js';

const IDLE_MS = 2_000;
const LONG_POLL_MS = 2_000;
/** On a machine that is busy with other tests. */
const PATIENCE_MS = 10_000;
const settings = {
  PLUE_SUBSCRIPTIONS__IDLE_TIMEOUT: `${IDLE_MS}ms`,
  PLUE_ENGINE__LONG_POLL_TIMEOUT: `${LONG_POLL_MS}ms`,
};
const warnings = [
  // The program says what its upstream does.
  /upstream/i,
  // Streams that end young, of which three let the client poll.
  /SSE connections are closing immediately/,
];
/** A 409 that the upstream knows nothing of leaves the client with a handle that it has given up, and that is still the right one. */
const forgotten = [/409 response without a shape handle/, /[Ss]tale cache/, /fast retry loop/];

/** The fault and its options; `times`: how many requests meet it. */
const FAULTS = [
  { kind: 'refuse', times: 3 },
  { kind: 'reset', times: 3 },
  { kind: 'stall', times: 1 },
  { kind: 'truncate', times: 3 },
  { kind: 'garbage', times: 3 },
  { kind: 'status', status: 500, times: 3 },
  { kind: 'status', status: 429, retryAfter: 1, times: 2 },
  { kind: 'status', status: 409, times: 1 },
];
/**
 * Which requests, and what an application has to do so that its readers get over it. A body that ends too early stops the client, unless
 * `onError` tells it to go on; live answers have one only when the upstream's has come whole.
 */
const WHERE = [
  { which: 'live', on: isLive },
  { which: 'non-live', on: isNotLive, onError: (error) => (error.status === 200 ? {} : undefined) },
];

for (const { kind, times, ...options } of FAULTS) {
  const name = options.status ? `an answer of ${options.status}` : `"${kind}"`;
  const expected = options.status === 409 ? [...warnings, ...forgotten] : warnings;
  scenario(`readers get over ${name} on the way to the upstream`, { settings, warnings: expected, sources: ['proxy'] }, async (service) => {
    for (const { which, on, onError } of WHERE) {
      const inject = () => {
        const fault = service.relay.inject(kind, { ...options, times, on });
        return { isMet: () => fault.hits.length > 0, isOver: () => fault.hits.length === times, end: () => fault.release() };
      };
      try {
        await getOver(service, `ses_${which}`, inject, onError);
      } catch (error) {
        throw new Error(`${name} on ${which} requests: ${error.message}`, { cause: error });
      }
    }
  });
}

scenario('readers get over an upstream that is not there', { settings, warnings, sources: ['proxy'] }, async (service) => {
  await getOver(service, 'ses_gone', () => {
    const { relay } = service;
    relay.refuse();
    relay.cutSockets();
    return { isMet: () => relay.sockets === 0, isOver: () => true, end: () => relay.accept() };
  });
});

/**
 * Readers who come before and during what `inject` does, by both transports, have what is there; and then nothing is left of them.
 * `inject` gives `{ isMet, isOver, end }`: whether a request has met the fault, whether all have that should, and what ends it.
 */
async function getOver(service, session, inject, onError) {
  const [message, { relay }] = [`${session}_m`, service];
  await service.session(session);
  await service.ask('POST', `/v1/sessions/${session}/messages`, { id: message, role: 'user' });
  let written = 0;
  const write = async () => {
    const id = `${session}_p${written++}`;
    await service.ask('PUT', `/v1/sessions/${session}/messages/${message}/parts/${id}`, { type: 'text', text: 'some text '.repeat(100) });
    return id;
  };
  for (let n = 0; n < 5; n++) await write();

  const read = (client, options) =>
    service.read({ table: 'parts', where: 'session_id = $1', params: { 1: session }, client: `${session} ${client}` }, { onError, ...options });
  const before = [read('before by poll'), read('before by events', { sse: true })];
  await Promise.all(before.map((reader) => reader.upToDate()));

  const fault = inject();
  const readers = [...before, read('during by poll'), read('during by events', { sse: true })];
  const seen = () => relay.requests.slice(-8);
  // A change ends a live request, and the next may meet the fault.
  await eventually('a request that meets the fault', async () => (await write()) && fault.isMet(), { seen });
  await write();
  await fault.end();
  await eventually('that all requests have met it that should', async () => (await write()) && fault.isOver(), { seen });
  // By its row and not by its transaction: readers who start over find it in the snapshot.
  const last = await write();
  const hasLast = (reader) => reader.rows.has(`"public"."parts"/"${last}"`) && reader.shape.isUpToDate;
  await Promise.all(readers.map((reader) => reader.until(`row ${last}`, () => hasLast(reader))));
  const rows = await service.rows('SELECT * FROM parts WHERE session_id = $1', [session]);
  for (const reader of readers) reader.assertRows(rows);

  for (const reader of readers) reader.close();
  await service.registry.untilClients([], { deadlineMs: IDLE_MS + PATIENCE_MS });
  await eventually('nothing in flight', () => relay.inFlight().length === 0, { deadlineMs: PATIENCE_MS, seen: () => relay.inFlight() });
}
