// The settings of a scenario reach the process that heeds them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { divide } from './support/settings.js';

test('settings of the engine go to the engine by the names that Electric has for them', () => {
  const settings = {
    PLUE_SUBSCRIPTIONS__IDLE_TIMEOUT: '2s',
    PLUE_ENGINE__SSE_TIMEOUT: '2s',
    PLUE_ENGINE__SSE_KEEP_ALIVE: '300ms',
    PLUE_ENGINE__LONG_POLL_TIMEOUT: '2s',
    PLUE_ENGINE__CACHE_MAX_AGE: '2m',
    PLUE_ENGINE__CHUNK_BYTES: '20000',
    PLUE_ENGINE__STORAGE_DIR: '/somewhere',
    PLUE_ENGINE__MAX_INITIAL_REQUESTS: '3',
    PLUE_ENGINE__MAX_EXISTING_REQUESTS: '4',
  };
  assert.deepEqual(divide(settings), {
    serve: { PLUE_SUBSCRIPTIONS__IDLE_TIMEOUT: '2s', PLUE_ENGINE__SSE_TIMEOUT: '2s', PLUE_ENGINE__SSE_KEEP_ALIVE: '300ms' },
    engine: {
      ELECTRIC_LONG_POLL_TIMEOUT: '2000',
      ELECTRIC_CACHE_MAX_AGE: '120',
      ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD: '20000',
      ELECTRIC_STORAGE_DIR: '/somewhere',
      ELECTRIC_MAX_CONCURRENT_REQUESTS: '{"initial":3,"existing":4}',
    },
  });
});

test('a setting that would do nothing is refused', () => {
  const cases = [
    [{ PLUE_ENGINE__MEMORY_BYTES: '1' }, /PLUE_ENGINE__MEMORY_BYTES: Electric has no name/],
    [{ PLUE_ENGINE__SNAPSHOT_TIMEOUT: '1s' }, /PLUE_ENGINE__SNAPSHOT_TIMEOUT/],
    [{ ELECTRIC_MAX_SHAPES: '1' }, /not a setting of/],
    [{ PLUE_ENGINE__CACHE_MAX_AGE: '1500ms' }, /whole number of seconds/],
    [{ PLUE_ENGINE__LONG_POLL_TIMEOUT: '2' }, /not a time/],
  ];
  for (const [settings, refusal] of cases) assert.throws(() => divide(settings), refusal, JSON.stringify(settings));
});
