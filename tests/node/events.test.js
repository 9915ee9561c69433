// Event streams end after a while by themselves: their readers connect again, miss nothing and get nothing twice.

import assert from 'node:assert/strict';
import { scenario } from './support/service.js';

const SESSION = 'ses_one';
const PATH = `/v1/sessions/${SESSION}/messages`;
const settings = { PLUE_ENGINE__SSE_TIMEOUT: '2s', PLUE_ENGINE__SSE_KEEP_ALIVE: '300ms' };

scenario('c278 readers by events connect again and again without a loss or a repeat', { settings }, async (service) => {
  await service.session(SESSION);
  const shape = { where: 'session_id = $1', params: { 1: SESSION } };
  const readers = [
    service.read({ table: 'parts', ...shape }, { sse: true }),
    service.read({ table: 'parts', replica: 'full', ...shape }, { sse: true }),
    service.read({ table: 'messages', ...shape }, { sse: true }),
  ];
  const quiet = service.read({ table: 'subtasks', ...shape }, { sse: true });
  const all = [...readers, quiet];
  await Promise.all(all.map((reader) => reader.upToDate()));
  const streams = () => Math.min(...all.map((reader) => reader.live({ sse: true }).length));

  let written = 0;
  const write = async () => {
    const id = `m${written++}`;
    // Several changes in the last transaction before a stream ends: those are what could come twice.
    const parts = [0, 1, 2].map((n) => ({ id: `${id}_p${n}`, type: 'text', text: `${n}` }));
    return (await service.ask('POST', PATH, { id, role: 'user', parts })).txid;
  };
  // Streams that end in silence, each after a change in its time.
  for (let round = 1; round <= 3; round++) {
    const txid = await write();
    await Promise.all(readers.map((reader) => reader.seen(txid)));
    await quiet.until('another stream', () => streams() > round);
  }
  // Streams that end while changes come.
  let txid;
  for (const before = streams(); streams() < before + 2; ) txid = await write();
  await Promise.all(readers.map((reader) => reader.seen(txid)));

  for (const [at, count] of [3, 3, 1, 0].entries()) {
    const reader = all[at];
    reader.assertRows(await service.rows(`SELECT * FROM ${reader.stream.options.params.table}`));
    assert.equal(reader.changes.length, written * count, `${reader}`);
    assert.equal(reader.live({ sse: false }).length, 0, `${reader} never polls`);
    assert.equal(reader.refetches, 0, `${reader}`);
  }
});
