// A program that ends and comes back where it was: all its runs, one after the other.

import { Program } from './program.js';

export class Server {
  #start;
  /** The last one runs, if it has not been ended. */
  #runs = [];

  /** `start` is what `Program.start` takes, without `listen`; `name` is for whoever reads the logs. */
  constructor(name, start) {
    this.name = name;
    this.#start = start;
  }

  /** Starts it on any free port, or on the one that it had. */
  async start() {
    const listen = this.#runs.length === 0 ? '127.0.0.1:0' : this.address;
    this.#runs.push(await Program.start({ ...this.#start, listen }));
  }

  /** `127.0.0.1:<port>`. */
  get address() {
    return this.#runs.at(-1).address;
  }

  get url() {
    return `${this.#start.env.PLUE_SERVER__TLS_KEY ? 'https' : 'http'}://${this.address}`;
  }

  /** Everything it printed, also before restarts. */
  get log() {
    return this.#runs.map(({ log }) => log).join('');
  }

  /** Ends it by `signal`, calls `meanwhile`, and starts it again on the same port. */
  async restart(signal, meanwhile = async () => {}) {
    await (signal === 'SIGKILL' ? this.kill() : this.terminate());
    await meanwhile();
    await this.start();
  }

  /** See `Program`. */
  async terminate() {
    await this.#runs.at(-1).terminate();
  }

  async kill() {
    await this.#runs.at(-1)?.kill();
  }

  /** Throws if one of its runs logged a warning or an error that matches none of the `expected` patterns. */
  assertQuiet(expected) {
    for (const run of this.#runs) run.assertQuiet(expected, this.name);
  }
}
