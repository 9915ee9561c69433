// What a browser test stands on: the real program, Chromium, and one way to end both.

import { test } from 'node:test';
import { Service } from '../../../tests/node/support/service.js';
import { Browser } from './chromium.js';

export { eventually } from '../../../tests/node/support/eventually.js';

const TEST_TIMEOUT_MS = 180_000;

/**
 * A test with a program and a browser of its own. It fails also on a warning in the log of the program that matches none of
 * `warnings`, and on whatever a page complains of in its console that matches none of `complaints`.
 */
export function scenario(name, { settings = {}, warnings = [], complaints = [] }, body) {
  test(name, { timeout: TEST_TIMEOUT_MS }, async (t) => {
    const service = new Service('serve');
    let browser;
    let passed = false;
    t.after(async () => {
      await browser?.close();
      if (!passed) service.printLogs();
      await service.close();
    });
    await service.start({ PLUE_SERVER__VIEWER: 'true', ...settings });
    browser = await Browser.launch();
    await body({ service, browser });
    browser.assertQuiet(complaints);
    await browser.close();
    await service.stop();
    service.assertQuiet(warnings);
    passed = true;
  });
}

/** Waits until a script in the page gives something truthy, and gives that. */
export async function inPage(page, what, script, argument) {
  try {
    return await (await page.waitForFunction(script, argument, { timeout: 30_000 })).jsonValue();
  } catch (error) {
    const seen = await page.evaluate(() => document.body.innerText).catch(String);
    throw new Error(`waited for ${what}; the page shows: ${seen.slice(0, 4000)}`, { cause: error });
  }
}
