// A reader of one shape: the official client, and a record of everything that it told.

import assert from 'node:assert/strict';
import { Shape, ShapeStream } from '@electric-sql/client';
import { eventually } from './eventually.js';

/** The client keeps a timer of a minute for a cache of its own, and one for ever after an error; they must not keep this process. */
const timers = { setTimeout, setInterval };
for (const [name, set] of Object.entries(timers)) globalThis[name] = (...timer) => set(...timer).unref();

/** The service is on this machine and comes back at once: no need to wait for it as the Internet does. */
const BACKOFF = { initialDelay: 20, maxDelay: 200, multiplier: 2, maxRetries: Infinity };

/**
 * Follows a shape from the moment it is made, and checks each message against those before it.
 *
 * What must stay true of the messages between two `must-refetch`:
 * - offsets increase; a transaction's changes follow each other, and only the last says that it is the last;
 * - a key is inserted when it is not there, and updated or deleted when it is;
 * - with `replica: 'full'`, the old row of a change is the row that the reader has.
 */
export class Reader {
  /** Each change in the order of its arrival, without the rows of the snapshot. */
  changes = [];
  /** Rows by key, put together by hand from the messages. */
  rows = new Map();
  /** How often the client was told to start over. */
  refetches = 0;
  /** Every request: `{ url, status }`, with `status` undefined while it waits, and 0 where there was no answer. */
  requests = [];
  /** What the checks found, and what the client could not get over by itself. */
  errors = [];
  stream;
  /** The client's own idea of the rows. */
  shape;
  #aborter = new AbortController();
  #txids = new Set();
  #full;
  #sse;

  /** `params` are the client's; `sse`: follow by server-sent events; `headers` and `onError` are the client's. */
  constructor(url, params, { sse = false, headers, onError } = {}) {
    this.#full = params.replica === 'full';
    this.#sse = sse;
    this.stream = new ShapeStream({
      url,
      params,
      headers,
      liveSse: sse,
      signal: this.#aborter.signal,
      backoffOptions: BACKOFF,
      fetchClient: (...request) => this.#fetch(...request),
      onError: onError ?? ((error) => void this.errors.push(error)),
    });
    this.stream.subscribe((messages) => this.#take(messages));
    this.shape = new Shape(this.stream);
  }

  close() {
    this.#aborter.abort();
  }

  /** Waits until the client has caught up with the log. */
  async upToDate() {
    await this.until('that it is up to date', () => this.shape.isUpToDate);
  }

  /** Waits until the client has seen the transaction. */
  async seen(txid) {
    await this.until(`transaction ${txid}`, () => this.#txids.has(txid) && this.shape.isUpToDate);
  }

  /** Waits for a condition, and ends at once where the reader has failed. */
  async until(what, check, deadlineMs = 30_000) {
    const checked = () => {
      if (this.errors.length > 0) throw this.errors[0];
      return check();
    };
    await eventually(`${what}, by ${this}`, checked, { deadlineMs, seen: () => this.#state() });
  }

  /** Checks that the rows put together by hand, and those of the client, are these. */
  assertRows(expected) {
    if (this.errors.length > 0) throw this.errors[0];
    assert.deepEqual(byId([...this.rows.values()]), byId(expected), `rows by hand of ${this}`);
    assert.deepEqual(byId(this.shape.currentRows), byId(expected), `rows of the Shape of ${this}`);
  }

  /** The requests that were live, by whether they were event streams. */
  live({ sse }) {
    const has = (url, name) => new URL(url).searchParams.get(name) === 'true';
    return this.requests.filter(({ url }) => has(url, 'live') && has(url, 'live_sse') === sse);
  }

  toString() {
    const { table, where, replica, columns } = this.stream.options.params;
    const how = this.#sse ? 'by events' : 'by long-poll';
    return `the reader of ${table} where ${where} ${how}, replica ${replica ?? 'default'}, columns ${columns ?? 'all'}`;
  }

  async #fetch(url, init) {
    const request = { url: String(url), status: undefined };
    this.requests.push(request);
    try {
      const response = await fetch(url, init);
      request.status = response.status;
      return response;
    } catch (error) {
      request.status = 0;
      throw error;
    }
  }

  #take(messages) {
    // Where one check has failed, the others would only tell of its consequences.
    if (this.errors.length > 0) return;
    for (const message of messages) {
      const row = this.rows.get(message.key);
      const previous = this.changes.at(-1);
      try {
        this.#check(message, previous);
      } catch (error) {
        const context = `${show(message)} after ${show(previous)}, while the row is ${show(row)}`;
        this.errors.push(new Error(`${this}: ${error.message}: ${context}`, { cause: error }));
        return;
      }
    }
  }

  #check(message, previous) {
    const { control, operation, lsn } = message.headers;
    if (control === 'must-refetch') {
      this.refetches += 1;
      this.changes = [];
      this.rows.clear();
    }
    if (control === 'up-to-date' && previous) assert(previous.headers.last, 'up to date within a transaction');
    if (operation === undefined) return;
    if (lsn === undefined) {
      assert(previous === undefined, 'a row of the snapshot behind the log');
    } else {
      if (previous) checkOrder(previous.headers, message.headers);
      this.changes.push(message);
      for (const txid of message.headers.txids) this.#txids.add(txid);
    }
    this.#apply(message);
  }

  #apply({ key, value, old_value: old, headers: { operation } }) {
    const row = this.rows.get(key);
    assert.equal(key.split('"').at(-2), value.id, 'the key of another row');
    assert.equal(row !== undefined, operation !== 'insert', 'an insert of a row that is there, or a change of one that is not');
    const isFullUpdate = this.#full && operation === 'update';
    assert.equal(old !== undefined, isFullUpdate, 'an old row where there should be none, or none where it should be');
    if (isFullUpdate) {
      assert.deepEqual(Object.keys(value).sort(), Object.keys(row).sort(), 'not all columns');
      assert.deepEqual({ ...row, ...value, ...old }, row, 'another old row than the reader has');
    }
    if (operation === 'delete') {
      if (this.#full) assert.deepEqual(value, row, 'another old row than the reader has');
      this.rows.delete(key);
    } else {
      this.rows.set(key, { ...row, ...value });
    }
  }

  #state() {
    return {
      rows: this.rows.size,
      changes: this.changes.length,
      lastChange: this.changes.at(-1),
      refetches: this.refetches,
      handle: this.stream.shapeHandle,
      offset: this.stream.lastOffset,
      upToDate: this.stream.isUpToDate,
      connected: this.stream.isConnected(),
      error: this.stream.error,
      lastRequests: this.requests.slice(-3),
    };
  }
}

/** Offsets increase, and a transaction ends where the next begins. */
function checkOrder(before, after) {
  const [from, to] = [BigInt(before.lsn), BigInt(after.lsn)];
  assert(from < to || (from === to && before.op_position < after.op_position), 'out of order, or twice');
  assert.equal(before.last === true, from !== to, '`last` is not on the last change of the transaction');
  assert.equal(before.txids[0] !== after.txids[0], from !== to, 'another transaction at the same place');
}

function byId(rows) {
  return Object.fromEntries(rows.map((row) => [row.id, row]));
}

function show(message) {
  return JSON.stringify(message, (_, value) => (typeof value === 'bigint' ? String(value) : value));
}
