// An agent: writes one session through the HTTP API, and notes what readers must be told of each row.

import assert from 'node:assert/strict';

/** What a message goes through. Text that is awkward to quote is in all of them. */
const TEXT = 'Zeile 1\n"zwei" \\ \' \u{1F600} {"a":[null]}\t$1';
const PARTS = [
  (text) => ({ type: 'text', text }),
  (text) => ({ type: 'reasoning', text, time_start: 1_700_000_000_000 }),
  (text) => ({ type: 'tool', tool_name: 'grep', tool_state: { status: 'running', input: { text }, output: [1, 2.5, null] } }),
  () => ({ type: 'file', mime: 'image/png', url: 'https://example.com/a.png', filename: 'ä.png' }),
  (text) => ({ type: 'text', text, time_start: 1, time_end: 2 }),
];
export const PARTS_PER_MESSAGE = PARTS.length;

export class Agent {
  /** By table and id of a row, in order: `{ operation, txid, row }`, with the row as the API answered it. */
  expected = { messages: new Map(), parts: new Map() };
  /** Transactions that changed something in the session. */
  txids = new Set();
  #service;
  #session;
  /** The rows of `parts` that each message has, by id of the message. */
  #parts = new Map();

  constructor(service, session) {
    this.#service = service;
    this.#session = session;
  }

  /**
   * Writes `count` messages with their parts, some of them in steps, `workers` at a time; changes all of them, and deletes some.
   * Calls `before(n)` before it starts with the `n`th.
   */
  async write(count, { workers = 8, before = () => {} } = {}) {
    let next = 0;
    const work = async () => {
      while (next < count) {
        const n = next++;
        before(n);
        await this.#live(n);
      }
    };
    await Promise.all(Array.from({ length: workers }, work));
  }

  /** Replaces the whole list by one that differs in every way that it can, and gives the number of that transaction. */
  async replaceAll() {
    const path = `/v1/sessions/${this.#session}/messages`;
    const { messages: before } = await this.#service.ask('GET', path);
    const wanted = structuredClone(before).slice(3);
    wanted.forEach((message, n) => {
      if (n % 5 === 0) message.parts[0].text = `replaced ${n}`;
      if (n % 7 === 0) message.parts.pop();
      if (n % 11 === 0) message.finish = 'stop';
    });
    const moved = wanted[1].parts.pop();
    wanted[2].parts.push({ ...moved, message_id: wanted[2].id, sort_order: 100 });
    wanted[4].time_created -= 1;
    const added = ['new_1', 'new_2'].map((id) => ({ id, role: 'user', parts: [{ id: `${id}_p`, type: 'text', text: TEXT }] }));
    const { messages: after, txid } = await this.#service.ask('PUT', path, { messages: [...added, ...wanted] });
    this.#noteDifference(before, after, txid);
    return txid;
  }

  /** The life of one message. */
  async #live(n) {
    const [id, path] = [`${this.#session}_m${n}`, `/v1/sessions/${this.#session}/messages`];
    await this.#append(n, id, path);
    await this.#change(id, path, { status: 'streaming' });
    await this.#putPart(path, id, `${id}_p1`, { ...PARTS[1](`more of ${TEXT}`), sort_order: 1 });
    const done = { status: 'completed', time_completed: 1_700_000_000_000 + n, tokens_output: n, cost: n / 1000, error: { n } };
    await this.#change(id, path, done);
    if (n % 7 === 0) {
      const { txid } = await this.#service.ask('PATCH', `${path}/${id}`, done);
      assert.equal(txid, null, 'the same again is no change');
    }
    if (n % 10 === 0) {
      const { part, txid } = await this.#service.ask('DELETE', `${path}/${id}/parts/${id}_p2`);
      this.#note('parts', 'delete', part, txid);
      this.#parts.get(id).delete(part.id);
    }
    if (n % 25 === 0) {
      const { message, txid } = await this.#service.ask('DELETE', `${path}/${id}`);
      this.#note('messages', 'delete', message, txid);
      for (const part of this.#parts.get(id).values()) this.#note('parts', 'delete', part, txid);
    }
  }

  /** The message and its parts: at once, in two steps, or one by one. */
  async #append(n, id, path) {
    const parts = PARTS.map((part, at) => ({ id: `${id}_p${at}`, ...part(`${n} ${TEXT}`) }));
    const message = { id, role: n % 2 === 0 ? 'user' : 'assistant', agent: TEXT, tools: { bash: true }, is_summary: n % 3 === 0 };
    if (n % 3 === 0) message.parts = parts;
    const appended = await this.#service.ask('POST', path, message);
    const { parts: inserted = [], ...row } = appended.message;
    this.#note('messages', 'insert', row, appended.txid);
    this.#parts.set(id, new Map());
    for (const part of inserted) this.#notePart('insert', part, appended.txid);
    if (n % 3 === 1) {
      const { parts: rows, txid } = await this.#service.ask('POST', `${path}/${id}/parts`, { parts });
      for (const part of rows) this.#notePart('insert', part, txid);
    }
    if (n % 3 === 2) {
      for (const { id: part, ...fields } of parts) await this.#putPart(path, id, part, fields);
    }
  }

  async #putPart(path, message, id, fields) {
    const operation = this.#parts.get(message).has(id) ? 'update' : 'insert';
    const { part, txid } = await this.#service.ask('PUT', `${path}/${message}/parts/${id}`, fields);
    this.#notePart(operation, part, txid);
  }

  async #change(id, path, fields) {
    const { message, txid } = await this.#service.ask('PATCH', `${path}/${id}`, fields);
    this.#note('messages', 'update', message, txid);
  }

  #noteDifference(before, after, txid) {
    const rows = {
      messages: (list) => list.map(({ parts, ...row }) => row),
      parts: (list) => list.flatMap(({ parts }) => parts),
    };
    for (const [table, of] of Object.entries(rows)) {
      const [old, now] = [before, after].map((list) => new Map(of(list).map((row) => [row.id, row])));
      for (const row of old.values()) if (!now.has(row.id)) this.#note(table, 'delete', row, txid);
      for (const row of now.values()) {
        if (!old.has(row.id)) this.#note(table, 'insert', row, txid);
        else if (JSON.stringify(old.get(row.id)) !== JSON.stringify(row)) this.#note(table, 'update', row, txid);
      }
    }
  }

  #notePart(operation, part, txid) {
    this.#parts.get(part.message_id).set(part.id, part);
    this.#note('parts', operation, part, txid);
  }

  #note(table, operation, row, txid) {
    assert.equal(typeof txid, 'number', `the ${operation} of ${row.id} in ${table} is a change`);
    this.txids.add(txid);
    const noted = this.expected[table];
    if (!noted.has(row.id)) noted.set(row.id, []);
    noted.get(row.id).push({ operation, txid, row });
  }
}
