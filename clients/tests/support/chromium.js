// The system's Chromium, and contexts of it that note what went wrong in them.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const KNOWN = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'];
/** Where screenshots land; no part of the repository. */
const SHOTS = process.env.PLUE_SCREENSHOTS ?? fileURLToPath(new URL('../../../target/screenshots/', import.meta.url));

export class Browser {
  #browser;
  #pages = [];

  static async launch() {
    const executablePath = process.env.PLUE_CHROMIUM ?? KNOWN.find(existsSync);
    assert(executablePath, 'Chromium is missing; install it, or name it by PLUE_CHROMIUM');
    const browser = new Browser();
    // Root has no sandbox of its own.
    const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
    browser.#browser = await chromium.launch({ executablePath, args });
    return browser;
  }

  /** A browser of somebody else: nothing is shared with other contexts. */
  async context(options = {}) {
    const context = await this.#browser.newContext(options);
    context.on('page', (page) => this.#watch(page));
    return context;
  }

  /** A page of a context, of a new one unless it is given. */
  async open(url, { context, ...options } = {}) {
    const page = await (context ?? (await this.context(options))).newPage();
    await page.goto(url);
    return page;
  }

  /** Fails if a page complained of anything that matches none of `expected`. */
  assertQuiet(expected = []) {
    const loud = this.#pages.flatMap(({ complaints }) => complaints).filter((told) => !expected.some((pattern) => pattern.test(told)));
    assert.deepEqual(loud, [], 'unexpected in the console of a page');
  }

  /** What all pages complained of so far. */
  get complaints() {
    return this.#pages.flatMap(({ complaints }) => complaints);
  }

  async close() {
    await this.#browser.close();
  }

  #watch(page) {
    const complaints = [];
    this.#pages.push({ complaints });
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(`${message.text()} (${message.location().url})`);
    });
    page.on('pageerror', (error) => complaints.push(String(error.stack ?? error)));
  }
}

/** Notes which page of a context asks for all: gives what tells it. It is theirs to find out, and not always the first. */
export function whoAsks(context) {
  let last;
  context.on('request', (request) => {
    if (request.url().endsWith('/v1/shape/first')) last = request.frame().page();
  });
  return () => last;
}

/** Keeps a picture of a page as an artefact of the run. */
export async function shoot(page, name) {
  await mkdir(SHOTS, { recursive: true });
  await page.screenshot({ path: `${SHOTS}/${name}.png` });
}
