// Waiting for a condition: never a sleep and a hope.

import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';

const POLL_MS = 10;

/**
 * Asks `check` until it answers something truthy, and gives that answer.
 *
 * Throws after `deadlineMs` with what was waited for and what `seen` says then. An error of `check` ends the wait at once.
 */
export async function eventually(what, check, { deadlineMs = 30_000, seen = () => 'nothing' } = {}) {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const answer = await check();
    if (answer) return answer;
    if (Date.now() >= end) throw new Error(`waited ${deadlineMs} ms for ${what}; last saw ${show(seen())}`);
    await sleep(POLL_MS);
  }
}

function show(seen) {
  return typeof seen === 'string' ? seen : inspect(seen, { depth: 6, maxArrayLength: 50, breakLength: 120 });
}
