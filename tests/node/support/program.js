// The real program, `plue-sync serve` or `plue-sync engine`, on a port that it chooses.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { eventually } from './eventually.js';

const BINARY =
  process.env.PLUE_SYNC_BINARY ?? fileURLToPath(new URL('../../../target/debug/plue-sync', import.meta.url));
/** Names that the program reads; none of the developer's may reach it. */
const OURS = ['PLUE_', 'ELECTRIC_', 'DATABASE_URL', 'PUBLIC_CLIENT_', 'RUST_LOG', 'PG'];
const LISTENING = /the (?:API|shape engine) listens on (?:https:\/\/)?([0-9.:]+)/;
/** What each command needs besides its address. */
const flags = (command, env) => (command === 'serve' && !env.PLUE_AUTH__JWT_SECRET ? ['--insecure'] : []);
const STOP_LIMIT_MS = 2_000;

export class Program {
  /** Everything it printed so far. */
  log = '';
  /** `127.0.0.1:<port>`. */
  address;
  #child;
  #ended;

  /** Starts it in the empty folder `cwd`, where no `.env` is, and waits until it says where it listens. `args` are further flags. */
  static async start({ command, listen, args = [], cwd, env }) {
    const program = new Program();
    const inherited = Object.entries(process.env).filter(([name]) => !OURS.some((prefix) => name.startsWith(prefix)));
    program.#child = spawn(BINARY, [command, ...flags(command, env), '--listen', listen, ...args], {
      cwd,
      env: { ...Object.fromEntries(inherited), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [program.#child.stdout, program.#child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => (program.log += text));
    }
    // A program that cannot be run at all emits `error` and no `exit`.
    program.#ended = once(program.#child, 'exit').catch((error) => (program.log += String(error)));
    process.once('exit', program.#endWithUs);
    try {
      program.address = await eventually('an address of the program', () => program.#listening(), {
        deadlineMs: 60_000,
        seen: () => program.log,
      });
    } catch (error) {
      await program.kill();
      throw error;
    }
    return program;
  }

  /** Ends it as a crash would (`kill -9`). */
  async kill() {
    this.#child.kill('SIGKILL');
    await this.#gone();
  }

  /** Asks it to stop (SIGTERM), and checks that it does, in time. */
  async terminate() {
    const asked = Date.now();
    this.#child.kill('SIGTERM');
    await Promise.race([this.#ended, eventually('the end of the program', () => this.#hasEnded(), { seen: () => this.log })]);
    const tookMs = Date.now() - asked;
    await this.#gone();
    assert.equal(this.#child.exitCode, 0, `it ended with ${this.#child.exitCode ?? this.#child.signalCode}: ${this.log}`);
    assert(tookMs < STOP_LIMIT_MS, `it took ${tookMs} ms to stop: ${this.log}`);
  }

  /** Throws if it, called `name`, logged a warning or an error that matches none of the `expected` patterns. */
  assertQuiet(expected, name) {
    const loud = this.log.split('\n').filter((line) => / (WARN|ERROR) |panicked at/.test(line));
    assert.deepEqual(
      loud.filter((line) => !expected.some((pattern) => pattern.test(line))),
      [],
      `unexpected in the log of ${name}`,
    );
  }

  #listening() {
    if (this.#hasEnded()) throw new Error(`the program ended at once: ${this.log}`);
    return this.log.match(LISTENING)?.[1];
  }

  #hasEnded() {
    return this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async #gone() {
    if (!this.#hasEnded()) await this.#ended;
    process.removeListener('exit', this.#endWithUs);
  }

  #endWithUs = () => this.#child.kill('SIGKILL');
}
