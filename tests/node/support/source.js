// Where shapes come from in this run of the tests: `PLUE_TEST_SOURCE`.
//
// - `engine`, the default: from the engine inside `plue-sync serve`.
// - `proxy`: `plue-sync serve` asks a `plue-sync engine` in another process, through a relay that tests look at and break.

import assert from 'node:assert/strict';

export const SOURCES = ['engine', 'proxy'];
export const SOURCE = process.env.PLUE_TEST_SOURCE ?? 'engine';
assert(SOURCES.includes(SOURCE), `PLUE_TEST_SOURCE must be one of ${SOURCES}, and is ${SOURCE}`);

export const isProxy = SOURCE === 'proxy';
