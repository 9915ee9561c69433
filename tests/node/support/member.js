// One of a crowd: the official client on one shape, of which only is kept how often each row came.

import { ShapeStream } from '@electric-sql/client';

const BACKOFF = { initialDelay: 20, maxDelay: 200, multiplier: 2, maxRetries: Infinity };

export class Member {
  /** What the program knows it by. */
  client;
  /** How often each row was inserted, by its id. */
  inserts = new Map();
  errors = [];
  #stream;
  #aborter = new AbortController();

  /** `params` are the client's; `sse`: follow by server-sent events. */
  constructor(url, client, params, { sse }) {
    this.client = client;
    this.#stream = new ShapeStream({
      url: `${url}/v1/shape`,
      params: { ...params, client },
      liveSse: sse,
      signal: this.#aborter.signal,
      backoffOptions: BACKOFF,
      onError: (error) => void this.errors.push(error),
    });
    this.#stream.subscribe((messages) => this.#take(messages));
  }

  get isUpToDate() {
    return this.#stream.isUpToDate;
  }

  close() {
    this.#aborter.abort();
  }

  #take(messages) {
    for (const { headers, value } of messages) {
      if (headers.control === 'must-refetch') this.inserts.clear();
      if (headers.operation === 'insert') this.inserts.set(value.id, (this.inserts.get(value.id) ?? 0) + 1);
    }
  }
}
