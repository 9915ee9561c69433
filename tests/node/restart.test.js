// The program, or the engine that it asks, ends under its readers and comes back: they go on where they were.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { eventually } from './support/eventually.js';
import { addPart, scenario } from './support/service.js';

const SESSION = 'ses_one';
const PARTS = { table: 'parts', where: 'session_id = $1', params: [SESSION] };
/** A stream that is cut when it is young counts as short, and after three of them the client polls. That is its right. */
const young = /SSE connections are closing immediately/;
/** What ends, where there is such a thing, and what may be complained of. */
const CASES = [
  { what: 'the program', of: (service) => service.server, warnings: [young] },
  // The program says so when it has nobody to ask.
  { what: 'the upstream', of: (service) => service.upstream, sources: ['proxy'], warnings: [young, /upstream/i] },
];

for (const { what, of, ...options } of CASES) {
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    scenario(`readers lose nothing and fetch nothing again after ${signal} for ${what}`, options, (service) =>
      followThrough(service, (meanwhile) => of(service).restart(signal, meanwhile)),
    );
  }
}

/** Readers follow while somebody writes, and `restart` calls its argument while nobody answers them. */
async function followThrough(service, restart) {
  await service.session(SESSION);
  await service.ask('POST', `/v1/sessions/${SESSION}/messages`, { id: 'm', role: 'user' });
  const full = { ...PARTS, replica: 'full' };
  const readers = [
    service.read(PARTS),
    service.read(PARTS, { sse: true }),
    service.read(full),
    service.read(full, { sse: true }),
  ];
  await Promise.all(readers.map((reader) => reader.upToDate()));
  const handles = readers.map((reader) => reader.stream.shapeHandle);

  const writer = new Writer(service);
  for (let round = 0; round < 3; round++) {
    const changes = readers[0].changes.length + randomInt(10, 200);
    await Promise.all(readers.map((reader) => reader.until('more changes', () => reader.changes.length >= changes)));
    const written = writer.txids.length;
    await restart(() => writer.until(written + 20));
  }
  const last = await writer.stop();
  await Promise.all(readers.map((reader) => reader.seen(last)));

  const rows = await service.rows('SELECT * FROM parts');
  readers.forEach((reader, at) => {
    reader.assertRows(rows);
    assert.equal(reader.refetches, 0, `${reader}`);
    assert.equal(reader.stream.shapeHandle, handles[at], `${reader}`);
    assert(reader.requests.every(({ status }) => status !== 409), `${reader}`);
    const seen = reader.changes.map(({ headers }) => headers.txids[0]);
    assert.deepEqual([...new Set(seen)], writer.txids, `transactions of ${reader}`);
    assert.equal(seen.length, writer.changes, `changes of ${reader}`);
  });
}

/** Writes transactions until it is stopped, past the program and whether or not that runs. */
class Writer {
  /** Transactions that are committed, in order. */
  txids = [];
  /** How many rows they changed. */
  changes = 0;
  #stopped = false;
  #done;
  #failure;

  constructor(service) {
    this.#done = this.#write(service).catch((error) => (this.#failure = error));
  }

  /** Waits until at least so many transactions are committed. */
  async until(count) {
    const reached = () => {
      if (this.#failure) throw this.#failure;
      return this.txids.length >= count;
    };
    await eventually(`${count} transactions`, reached, { seen: () => this.txids.length });
  }

  /** Gives the number of the last transaction. */
  async stop() {
    this.#stopped = true;
    await this.#done;
    if (this.#failure) throw this.#failure;
    return this.txids.at(-1);
  }

  async #write(service) {
    for (let n = 0; !this.#stopped; n++) {
      const statements = [addPart(SESSION, 'm', `p${n}`, n), addPart(SESSION, 'm', `q${n}`, n)];
      statements.push(["UPDATE parts SET text = 'changed', sort_order = -1 WHERE id = $1", [`p${n}`]]);
      if (n > 0) statements.push(['DELETE FROM parts WHERE id = $1', [`q${n - 1}`]]);
      this.txids.push(await service.transact(...statements));
      this.changes += statements.length;
    }
  }
}
