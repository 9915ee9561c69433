// The registry of subscriptions, as an administrator sees it.

import assert from 'node:assert/strict';
import { eventually } from './eventually.js';

const PAGE = 200;

export class Registry {
  #url;

  /** `url` is that of an instance of the program. */
  constructor(url) {
    this.#url = `${url}/v1/admin`;
  }

  /** The subscriptions that `filters` pick, of all pages; `limit` is the size of one. */
  async list({ limit = PAGE, ...filters } = {}) {
    const all = [];
    for (let after; ; ) {
      const query = new URLSearchParams({ ...filters, limit, ...(after === undefined ? {} : { after }) });
      const { subscriptions, next } = await this.ask('GET', `/subscriptions?${query}`);
      assert(subscriptions.length <= limit, `${subscriptions.length} on a page of ${limit}`);
      all.push(...subscriptions);
      if (next === null) return all;
      assert.notEqual(next, after, 'the same page again');
      after = next;
    }
  }

  /** One subscription by its id. */
  async get(id) {
    return (await this.ask('GET', `/subscriptions/${id}`)).subscription;
  }

  /** Sessions that have subscriptions: `{ session, subscriptions }`. */
  async sessions() {
    return (await this.ask('GET', '/sessions')).sessions;
  }

  /** Ends what `path` names, and keeps those readers away for `block` seconds if that is given; the number that were ended. */
  async end(path, { block } = {}) {
    return (await this.ask('DELETE', `${path}${block === undefined ? '' : `?block=${block}`}`)).ended;
  }

  /** Waits until exactly these clients have a subscription, and gives the subscriptions. */
  async untilClients(clients, options = {}) {
    const wanted = clients.toSorted();
    let found;
    const same = async () => {
      found = (await this.list()).map(({ client }) => client).sort();
      return JSON.stringify(found) === JSON.stringify(wanted);
    };
    const difference = () => ({
      missing: wanted.filter((client) => !found.includes(client)).slice(0, 10),
      tooMany: found.filter((client, at) => !wanted.includes(client) || found.indexOf(client) !== at).slice(0, 10),
    });
    await eventually(`the subscriptions of ${wanted.length} clients`, same, { ...options, seen: difference });
    return this.list();
  }

  /** Follows what becomes of subscriptions; see `Events`. */
  async events() {
    return Events.open(`${this.#url}/events`);
  }

  /** Asks, and gives the body of the answer, which must be 200. */
  async ask(method, path) {
    const response = await fetch(`${this.#url}${path}`, { method });
    const text = await response.text();
    assert.equal(response.status, 200, `${method} ${path}: ${text}`);
    return JSON.parse(text);
  }
}

/** Events of the registry: `{ event, subscription, reason }`, in `all`. */
class Events {
  all = [];
  #aborter = new AbortController();

  static async open(url) {
    const events = new Events();
    const response = await fetch(url, { headers: { accept: 'text/event-stream' }, signal: events.#aborter.signal });
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type'), /^text\/event-stream/);
    // Ends when it is closed, which is no failure.
    events.#read(response.body).catch(() => {});
    return events;
  }

  /** Waits for an event of this kind about the subscription of `client`, and gives it. */
  async until(event, client) {
    const find = () => this.all.find((told) => told.event === event && told.subscription.client === client);
    return eventually(`${event} of ${client}`, find, { seen: () => this.all.map((told) => [told.event, told.subscription.client, told.reason]) });
  }

  close() {
    this.#aborter.abort();
  }

  async #read(body) {
    let text = '';
    for await (const part of body.pipeThrough(new TextDecoderStream())) {
      text += part;
      const blocks = text.split('\n\n');
      text = blocks.pop();
      for (const block of blocks) this.#take(block);
    }
  }

  /** One event; comments keep the stream alive. */
  #take(block) {
    const fields = block.split('\n').filter((line) => line !== '' && !line.startsWith(':'));
    if (fields.length === 0) return;
    const value = (name) => fields.find((line) => line.startsWith(`${name}:`))?.slice(name.length + 1).trim();
    this.all.push({ event: value('event'), ...JSON.parse(value('data')) });
  }
}
