// A database of one test, in the cluster that all tests share.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { eventually } from './eventually.js';

/** Types that the client gives as something else than Postgres' text; here in the same way, so that rows can be compared. */
const PARSED = new Map([
  [16, (text) => text === 't'],
  [20, BigInt],
  [21, Number],
  [23, Number],
  [114, JSON.parse],
  [3802, JSON.parse],
]);
const types = { getTypeParser: (oid) => PARSED.get(oid) ?? String };

export class Database {
  /** Its address for the superuser. */
  url;
  #name;
  #adminUrl;
  #connections = [];

  /** Makes an empty database. */
  static async fresh() {
    const database = new Database();
    database.#adminUrl = process.env.PLUE_TEST_POSTGRES;
    assert(database.#adminUrl, 'PLUE_TEST_POSTGRES must be the superuser address of a running cluster');
    database.#name = `test_${randomUUID().replaceAll('-', '')}`;
    const url = new URL(database.#adminUrl);
    url.pathname = `/${database.#name}`;
    database.url = url.toString();
    await withConnection(database.#adminUrl, (admin) => admin.query(`CREATE DATABASE ${database.#name}`));
    return database;
  }

  /** A connection of its own; closed with the database. Values are as the shape client gives them. */
  async connect() {
    const connection = new pg.Client({ connectionString: this.url, types });
    // The database is dropped under the connections of a test that failed.
    connection.on('error', () => {});
    await connection.connect();
    this.#connections.push(connection);
    await connection.query("SET TimeZone = 'UTC'");
    return connection;
  }

  /** Drops it with its slots, which would otherwise hold a slot of the cluster for ever. */
  async drop() {
    await Promise.all(this.#connections.map((connection) => connection.end().catch(() => {})));
    await withConnection(this.#adminUrl, async (admin) => {
      let refusal;
      const dropped = async () => {
        try {
          await admin.query(
            `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
              WHERE database = $1 AND active_pid IS NOT NULL`,
            [this.#name],
          );
          await admin.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1', [
            this.#name,
          ]);
          await admin.query(`DROP DATABASE IF EXISTS ${this.#name} WITH (FORCE)`);
          return true;
        } catch (error) {
          refusal = error;
          return false;
        }
      };
      await eventually(`database ${this.#name} to be dropped`, dropped, { seen: () => String(refusal) });
    });
  }
}

async function withConnection(url, use) {
  const connection = new pg.Client({ connectionString: url });
  await connection.connect();
  try {
    return await use(connection);
  } finally {
    await connection.end();
  }
}
