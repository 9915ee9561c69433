// The official client on one shape, bare: whatever its options, and only its own idea of the rows.

import { Shape, ShapeStream } from '@electric-sql/client';
import { eventually } from './eventually.js';

const BACKOFF = { initialDelay: 20, maxDelay: 200, multiplier: 2, maxRetries: Infinity };

/** Unlike `Reader`, it judges no message: parts of a shape and moves of rows come in another order than a log. */
export class Follower {
  stream;
  shape;
  /** Every message but those that say that it is up to date. */
  messages = [];
  /** Every request: `{ url, method }`. */
  requests = [];
  errors = [];
  #aborter = new AbortController();
  #params;

  /** `params` and `options` are the client's. */
  constructor(url, params, options = {}) {
    this.#params = params;
    this.stream = new ShapeStream({
      url,
      params,
      signal: this.#aborter.signal,
      backoffOptions: BACKOFF,
      fetchClient: (...request) => this.#fetch(...request),
      onError: (error) => void this.errors.push(error),
      ...options,
    });
    this.stream.subscribe((messages) => this.messages.push(...messages.filter(({ headers }) => headers.control !== 'up-to-date')));
    this.shape = new Shape(this.stream);
  }

  get rows() {
    return this.shape.currentRows;
  }

  /** Waits for a condition, and ends at once where the client has failed. */
  async until(what, check) {
    const checked = () => {
      if (this.errors.length > 0) throw this.errors[0];
      return check();
    };
    await eventually(`${what}, by the follower of ${JSON.stringify(this.#params)}`, checked, { seen: () => this.#state() });
  }

  close() {
    this.#aborter.abort();
  }

  async #fetch(url, init) {
    this.requests.push({ url: String(url), method: init?.method ?? 'GET' });
    return fetch(url, init);
  }

  #state() {
    const { rows, messages, requests, errors } = this;
    return { rows: rows.length, messages: messages.slice(-3), requests: requests.slice(-3), errors, offset: this.stream.lastOffset };
  }
}
