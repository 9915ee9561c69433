// A relay of HTTP connections: between the program and its upstream, or between readers and the program.
//
// Without a fault each byte goes on as it came, and an end of one side is an end of the other. It counts what is open and in flight,
// remembers every request, cuts sockets, and goes wrong where it is told to: see `Fault`.

import { once } from 'node:events';
import { createServer } from 'node:net';
import { Connection } from './connection.js';
import { Fault } from './fault.js';

export class Relay {
  /** Every request so far, in order; see `requestOf`. */
  requests = [];
  /** `127.0.0.1:<port>`. */
  address;
  #target;
  #server = createServer((down) => this.#accept(down));
  #connections = new Set();
  #faults = [];

  /** Starts it in front of `<host>:<port>`. */
  static async start(target) {
    const relay = new Relay();
    const [host, port] = target.split(':');
    relay.#target = { host, port: Number(port) };
    await relay.#listen(0);
    relay.address = `127.0.0.1:${relay.#server.address().port}`;
    return relay;
  }

  get url() {
    return `http://${this.address}`;
  }

  /** How many connections are open to it. */
  get sockets() {
    return this.#connections.size;
  }

  /** The requests that have no complete answer yet and whose sender still waits for one. */
  inFlight(filter = () => true) {
    return this.requests.filter((request) => !request.done && filter(request));
  }

  /** Goes wrong with the next `times` requests that `on` picks; `options` are those of the kind. */
  inject(kind, { times = 1, on = () => true, ...options } = {}) {
    const fault = new Fault(kind, { times, on, ...options });
    this.#faults.push(fault);
    return fault;
  }

  /** Resets the sockets, on both sides, whose current request `filter` picks; without one, all of them. */
  cutSockets(filter) {
    const isCut = ({ request }) => filter === undefined || (request !== undefined && filter(request));
    const cut = [...this.#connections].filter(isCut);
    for (const connection of cut) connection.reset();
    return cut.length;
  }

  /** Takes no connection from now on, as if nothing were there; those that are open stay. */
  refuse() {
    this.#server.close();
  }

  /** Takes connections again, on the same port. */
  async accept() {
    this.#server = createServer((down) => this.#accept(down));
    await this.#listen(Number(this.address.split(':')[1]));
  }

  close() {
    for (const fault of this.#faults) fault.lift();
    this.refuse();
    this.cutSockets();
  }

  async #listen(port) {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  #accept(down) {
    const connection = new Connection(down, this.#target, (request) => {
      this.requests.push(request);
      return this.#faults.find((fault) => fault.takes(request));
    });
    this.#connections.add(connection);
    down.once('close', () => this.#connections.delete(connection));
  }
}
