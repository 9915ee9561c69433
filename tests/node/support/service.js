// What a test stands on: a database, the program that serves it, readers of its shapes, and one way to end all of them.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Collected, Queried } from './collected.js';
import { Database } from './database.js';
import { Follower } from './follower.js';
import { Reader } from './reader.js';
import { Registry } from './registry.js';
import { Relay } from './relay.js';
import { Server } from './server.js';
import { divide } from './settings.js';
import { SOURCE, SOURCES, isProxy } from './source.js';

const TEST_TIMEOUT_MS = 180_000;

/** What the shape client complains of goes to the console and nowhere else. */
const complaints = [];
console.warn = (...told) => complaints.push(told.filter((part) => !(part instanceof Error)).join(' '));

/**
 * A test with a service of its own: the whole of it, or with `command: 'engine'` the shape engine alone on an empty database.
 * Whatever becomes of it, nothing is left behind.
 *
 * The whole of it has the source of this run, and `settings` reach the process that heeds them. What means something only with some
 * `sources` is skipped with others; so is the engine alone, which is the same whoever asks it.
 *
 * It fails also on a warning in the log of a program, or by the shape client, that matches none of the patterns in `warnings`, and
 * where a SIGTERM at the end does not stop a program within its time.
 */
export function scenario(name, { command = 'serve', sources, settings = {}, warnings = [] }, body) {
  const possible = sources ?? (command === 'engine' ? ['engine'] : SOURCES);
  const skip = !possible.includes(SOURCE) && `not with the source ${SOURCE}: ${possible} only`;
  test(name, { timeout: TEST_TIMEOUT_MS, skip }, async (t) => {
    const service = new Service(command);
    let passed = false;
    t.after(async () => {
      if (!passed) service.printLogs();
      await service.close();
    });
    complaints.length = 0;
    await service.start(settings);
    await body(service);
    await service.closeReaders();
    await service.stop();
    service.assertQuiet(warnings);
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

export class Service {
  /** The program that readers ask. */
  server;
  /** With the source `proxy`: the engine that it asks, and the relay between the two. */
  upstream;
  relay;
  /** What `ask` shows, where the program wants to know who asks. */
  token;
  #command;
  #database;
  #sql;
  #dir;
  #environment;
  /** All programs, in the order in which they started. */
  #servers = [];
  #readers = [];
  #collections = [];

  constructor(command) {
    this.#command = command;
  }

  async start(settings) {
    this.#database = await Database.fresh();
    this.#dir = await mkdtemp(join(tmpdir(), 'plue-sync-node-'));
    const folder = join(this.#dir, 'shapes');
    const engine = { ELECTRIC_STORAGE_DIR: folder, ELECTRIC_INSECURE: 'true' };
    if (this.#command === 'serve' && isProxy) {
      const divided = divide(settings);
      this.upstream = await this.#run('the engine upstream', 'engine', { ...engine, ...divided.engine });
      this.relay = await Relay.start(this.upstream.address);
      this.#environment = { ELECTRIC_URL: this.relay.url, ...divided.serve };
    } else {
      this.#environment = { ...(this.#command === 'engine' ? engine : { PLUE_ENGINE__STORAGE_DIR: folder }), ...settings };
    }
    this.server = await this.#run('the program', this.#command, this.#environment);
    this.#sql = await this.#database.connect();
  }

  get url() {
    return this.server.url;
  }

  /** The subscriptions of the program. */
  get registry() {
    return new Registry(this.url);
  }

  /** Starts another instance of the program with the same settings, which only an upstream can serve too. */
  async another() {
    return this.#run('the other instance', this.#command, this.#environment);
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
    const headers = this.token ? { authorization: `Bearer ${this.token}` } : {};
    const asked = { method, headers, body: body === undefined ? undefined : JSON.stringify(body) };
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

  /** Ends the program that readers ask by `signal`, calls `meanwhile`, and starts it again on the same port. */
  async restart(signal, meanwhile) {
    await this.server.restart(signal, meanwhile);
  }

  async closeReaders() {
    for (const reader of this.#readers) reader.close();
    for (const collected of this.#collections) await collected.close();
  }

  /** Ends the programs in the proper way, the last one first: an upstream outlives those that ask it. */
  async stop() {
    for (const server of this.#servers.toReversed()) await server.terminate();
  }

  assertQuiet(warnings) {
    for (const server of this.#servers) server.assertQuiet(warnings);
  }

  printLogs() {
    for (const { name, log } of this.#servers) console.error(`--- ${name} printed ---\n${log}`);
  }

  async close() {
    await this.closeReaders();
    for (const server of this.#servers) await server.kill();
    this.relay?.close();
    await this.#database?.drop();
    if (this.#dir) await rm(this.#dir, { recursive: true, force: true });
  }

  async #run(name, command, settings) {
    const env = { DATABASE_URL: this.#database.url, ...settings };
    const server = new Server(name, { command, cwd: this.#dir, env });
    this.#servers.push(server);
    await server.start();
    return server;
  }
}
