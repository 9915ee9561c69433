// A request that is refused reaches the program that made it, which can mend it.

import assert from 'node:assert/strict';
import { FetchError } from '@electric-sql/client';
import { scenario } from './support/service.js';

/** The client's parameters, the field that is blamed, and what is said of it. */
const CASES = [
  [{ table: 'parts', where: 'nope = 1' }, 'where', /nope/],
  [{ table: 'parts', where: 'session_id = ' }, 'where', /./],
  [{ table: 'parts', where: 'session_id = $1 AND id = $3', params: { 1: 'a', 3: 'b' } }, 'params', /sequentially/],
  [{ table: 'parts', columns: ['id', 'nope'] }, 'columns', /nope/],
  [{ table: 'parts', columns: ['text'] }, 'columns', /primary key/],
  [{ table: 'pg_authid' }, 'table', /pg_authid/],
];

scenario('a request that is refused reaches onError with the reason', {}, async (service) => {
  for (const [params, field, text] of CASES) {
    const told = [];
    const reader = service.read(params, { onError: (error) => void told.push(error) });
    await reader.until('an error', () => told.length > 0);
    const [error] = told;
    const what = JSON.stringify(params);
    assert(error instanceof FetchError, `${what}: ${error}`);
    assert.equal(error.status, 400, what);
    assert.equal(error.json.message, 'Invalid request', what);
    assert.deepEqual(Object.keys(error.json.errors), [field], what);
    assert.match(error.json.errors[field].join(), text, what);
    assert.equal(reader.requests.length, 1, `${what} is not tried again`);
  }
});

scenario('a request that was refused goes on when it is mended', {}, async (service) => {
  await service.session('ses_one');
  const mended = { where: 'id = $1', params: { 1: 'ses_one' } };
  const refused = [];
  const onError = (error) => {
    refused.push(error.status);
    return { params: mended };
  };
  const reader = service.read({ table: 'sessions', where: 'idd = $1', params: { 1: 'ses_one' } }, { onError });
  await reader.until('a row', () => reader.rows.size === 1 && reader.shape.isUpToDate);
  reader.assertRows(await service.rows('SELECT * FROM sessions'));
  assert.deepEqual(refused, [400]);
});
