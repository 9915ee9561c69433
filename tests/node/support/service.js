// What a test stands on: a database, the program that serves it, readers of its shapes, and one way to end all of them.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Collected, Queried } from './collected.js';
import { Database } from './database.js';
import { Follower } from './follower.js';
import { Program } from './program.js';
import { Reader } from './reader.js';

const TEST_TIMEOUT_MS = 180_000;

/** What the shape client complains of goes to the console and nowhere else. */
const complaints = [];
console.warn = (...told) => complaints.push(told.filter((part) => !(part instanceof Error)).join(' '));

/**
 * A test with a service of its own: the whole of it, or with `command: 'engine'` the shape engine alone on an empty database.
 * Whatever becomes of it, nothing is left behind.
 *
 * It fails also on a warning in the log of the program, or by the shape client, that matches none of the patterns in `warnings`, and
 * where a SIGTERM at the end does not stop the program within its time.
 */
export function scenario(name, { command = 'serve', settings = {}, warnings = [] }, body) {
  test(name, { timeout: TEST_TIMEOUT_MS }, async (t) => {
    const service = new Service(command);
    let passed = false;
    t.after(async () => {
      if (!passed) console.error(`--- the program printed ---\n${service.log}`);
      await service.close();
    });
    complaints.length = 0;
    await service.start(settings);
    await body(service);
    await service.closeReaders();
    await service.stop();
    service.program.assertQuiet(warnings);
    const unexpected = complaints.filter((told) => !warnings.some((pattern) => pattern.test(told)));
    assert.deepEqual(unexpected, [], 'unexpected complaints of the shape client');
    passed = true;
  });
}

/** A statement that inserts a part, for `Service.transact`. */
export function addPart(session, message, id, sortOrder) {
  const columns = 'id, session_id, message_id, type, text, sort_order';
  return [`INSERT INTO parts (${columns}) VALUES ($1, $2, $3, 'text', 'some text', $4)`, [id, session, message, sortOrder]];
}

class Service {
  program;
  #command;
  #database;
  #sql;
  #dir;
  #env;
  #readers = [];
  #logsBefore = '';
  #collections = [];

  constructor(command) {
    this.#command = command;
  }

  async start(settings) {
    this.#database = await Database.fresh();
    this.#dir = await mkdtemp(join(tmpdir(), 'plue-sync-node-'));
    const folder = join(this.#dir, 'shapes');
    const ours = { serve: { PLUE_ENGINE__STORAGE_DIR: folder }, engine: { ELECTRIC_STORAGE_DIR: folder, ELECTRIC_INSECURE: 'true' } };
    this.#env = { DATABASE_URL: this.#database.url, ...ours[this.#command], ...settings };
    await this.#run('127.0.0.1:0');
    this.#sql = await this.#database.connect();
  }

  /** Everything the program printed, also before restarts. */
  get log() {
    return this.#logsBefore + (this.program?.log ?? '');
  }

  get url() {
    return `http://${this.program.address}`;
  }

  /** The rows that a query finds. */
  async rows(sql, values = []) {
    return (await this.#sql.query(sql, values)).rows;
  }

  /**
   * Runs statements, each a text or `[text, values]`, in one transaction past the API, and gives its number as the shape log names it.
   * One at a time, on a connection that `rows` uses too.
   */
  async transact(...statements) {
    await this.#sql.query('BEGIN');
    for (const statement of statements) await this.#sql.query(...[statement].flat(1));
    const { rows } = await this.#sql.query("SELECT pg_current_xact_id()::xid::text AS txid");
    await this.#sql.query('COMMIT');
    return Number(rows[0].txid);
  }

  /** Asks the API, and gives the body of the answer, which must be 200 or 201. */
  async ask(method, path, body) {
    const asked = { method, body: body === undefined ? undefined : JSON.stringify(body) };
    const response = await fetch(`${this.url}${path}`, asked);
    const text = await response.text();
    assert([200, 201].includes(response.status), `${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text);
  }

  /** Makes a session with nothing special about it. */
  async session(id) {
    return this.ask('POST', '/v1/sessions', { id, directory: '/src', title: 'A session' });
  }

  /** Opens a reader of a shape, `through` another address if that is given; see `Reader`. Closed with the service. */
  read(params, { through = this.url, ...options } = {}) {
    const reader = new Reader(`${through}/v1/shape`, params, options);
    this.#readers.push(reader);
    return reader;
  }

  /** Opens the bare client on a shape; see `Follower`. Closed with the service. */
  follow(params, options = {}) {
    const follower = new Follower(`${this.url}/v1/shape`, params, options);
    this.#readers.push(follower);
    return follower;
  }

  /** Opens a collection of TanStack DB over a shape; see `Collected`. Closed with the service. */
  collect(params, options = {}) {
    const collected = new Collected(`${this.url}/v1/shape`, params, options);
    this.#collections.push(collected);
    return collected;
  }

  /** Opens a live query over collections; see `Queried`. Closed with the service, before them. */
  query(query) {
    const queried = new Queried(query);
    this.#collections.unshift(queried);
    return queried;
  }

  /** Ends the program by `signal`, calls `meanwhile`, and starts it again on the same port. */
  async restart(signal, meanwhile = async () => {}) {
    const { address } = this.program;
    await (signal === 'SIGKILL' ? this.program.kill() : this.program.terminate());
    await meanwhile();
    this.#logsBefore = this.log;
    await this.#run(address);
  }

  async closeReaders() {
    for (const reader of this.#readers) reader.close();
    for (const collected of this.#collections) await collected.close();
  }

  async stop() {
    await this.program.terminate();
  }

  async close() {
    await this.closeReaders();
    await this.program?.kill();
    await this.#database?.drop();
    if (this.#dir) await rm(this.#dir, { recursive: true, force: true });
  }

  async #run(listen) {
    this.program = await Program.start({ command: this.#command, listen, cwd: this.#dir, env: this.#env });
  }
}
