// A collection of TanStack DB over one shape, and what is there of it to be judged.

import assert from 'node:assert/strict';
import { createCollection, liveQueryCollectionOptions } from '@tanstack/db';
import { electricCollectionOptions } from '@tanstack/electric-db-collection';
import { eventually } from './eventually.js';

const BACKOFF = { initialDelay: 20, maxDelay: 200, multiplier: 2, maxRetries: Infinity };
const DEADLINE_MS = 30_000;
let made = 0;

/** A live query of TanStack DB, over collections. */
export class Queried {
  collection;

  /** `query` is built as TanStack DB's functions do it. */
  constructor(query) {
    this.collection = createCollection(liveQueryCollectionOptions({ query }));
  }

  /** Asks its collections for what it needs. */
  start() {
    this.collection.startSyncImmediate();
  }

  /** Waits until it has what it asked for at first. */
  async ready() {
    await this.collection.preload();
  }

  /** Waits until its rows are these, in whatever order. */
  async untilRows(expected) {
    const wanted = show(byId(expected));
    const rows = () => show(byId(plain(this.collection.toArray)));
    await eventually(`the rows ${wanted} by a live query`, () => rows() === wanted, { deadlineMs: DEADLINE_MS, seen: rows });
  }

  async close() {
    await this.collection.cleanup();
  }
}

/** Keeps the requests that it made, and fails where the client could not get over an error by itself. */
export class Collected {
  collection;
  /** Every request: `{ url, method, status }`, with `status` undefined while it waits, and 0 where there was no answer. */
  requests = [];
  errors = [];
  params;
  #name;

  #held;

  /**
   * `params` are the client's, and `options` those of the collection; `sse`: follow by server-sent events. What the log answers is held back until `held` is fulfilled;
   * subsets are not.
   */
  constructor(url, params, { held = Promise.resolve(), sse = false, ...options } = {}) {
    this.#held = held;
    this.params = params;
    this.#name = `the collection over ${JSON.stringify(params)} ${options.syncMode ?? 'eager'} ${sse ? 'by events' : 'by long-poll'}`;
    const shapeOptions = {
      url,
      params,
      liveSse: sse,
      backoffOptions: BACKOFF,
      fetchClient: (...request) => this.#fetch(...request),
      onError: (error) => void this.errors.push(error),
    };
    const id = `collection ${made++}`;
    this.collection = createCollection(electricCollectionOptions({ id, shapeOptions, getKey: (row) => row.id, ...options }));
  }

  /** The requests for subsets. */
  get subsets() {
    return this.requests.filter(isSubset);
  }

  /** The rows, without what the collection itself adds to each. */
  get rows() {
    return plain(this.collection.toArray);
  }

  /** Waits until the first rows are there. */
  async ready() {
    this.collection.startSyncImmediate();
    await this.until('that it is ready', () => this.collection.status === 'ready');
  }

  /** Waits until the transaction has come through the stream. */
  async seen(txid) {
    assert.equal(await this.collection.utils.awaitTxId(txid, DEADLINE_MS), true);
  }

  /** Waits until its rows are these. */
  async untilRows(expected) {
    const wanted = byId(expected);
    await this.until(`the rows ${show(wanted)}`, () => show(byId(this.rows)) === show(wanted));
  }

  /** Waits for a condition, and ends at once where the collection has failed. */
  async until(what, check) {
    const checked = () => {
      if (this.errors.length > 0) throw this.errors[0];
      return check();
    };
    await eventually(`${what}, by ${this.#name}`, checked, { deadlineMs: DEADLINE_MS, seen: () => this.#state() });
  }

  async close() {
    await this.collection.cleanup();
  }

  toString() {
    return this.#name;
  }

  async #fetch(url, init) {
    const request = { url: String(url), method: init?.method ?? 'GET', status: undefined };
    this.requests.push(request);
    try {
      const response = await fetch(url, init);
      request.status = response.status;
      if (!isSubset(request)) await this.#held;
      return response;
    } catch (error) {
      request.status = 0;
      throw error;
    }
  }

  #state() {
    return { status: this.collection.status, rows: show(byId(this.rows)), lastRequests: this.requests.slice(-3) };
  }
}

function isSubset({ url, method }) {
  return method === 'POST' || url.includes('subset__');
}

/** Rows of a collection or of a live query, without the properties that TanStack DB adds. */
export function plain(rows) {
  return rows.map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => !name.startsWith('$'))));
}

function byId(rows) {
  return rows.toSorted((a, b) => (a.id < b.id ? -1 : Number(a.id > b.id)));
}

/** As text that is the same for equal rows, whatever the order of their columns. */
function show(rows) {
  return JSON.stringify(rows.map((row) => Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1))));
}
