// A tab that nobody looks at. In a file of its own: a minute is long, and passes beside the other tests.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, scenario } from './support/scenario.js';
import { fill, say } from './support/work.js';

const MINUTE_MS = 60_000;

scenario('a page that was hidden for a minute shows all of it when it is shown again', { settings: { PLUE_SUBSCRIPTIONS__IDLE_TIMEOUT: '2s' } }, async ({ service, browser }) => {
  await fill(service, 'ses_hidden');
  const page = await browser.open(`${service.url}/#/s/ses_hidden`);
  await page.getByTestId('connection').getByText(/live/i).waitFor();
  const conversation = page.getByTestId('conversation');
  const show = (state) =>
    page.evaluate((state) => {
      Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state });
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => state === 'hidden' });
      document.dispatchEvent(new Event('visibilitychange'));
    }, state);
  await show('hidden');
  await eventually('nobody to watch', async () => (await service.registry.list()).length === 0);
  // The minute is what is tested.
  for (let n = 0; n < 6; n++) {
    await say(service, 'ses_hidden', `in the minute ${n}`);
    await sleep(MINUTE_MS / 6);
  }
  assert.equal(await conversation.getByText('in the minute 0').count(), 0, 'a hidden page asks for nothing');
  await show('visible');
  for (let n = 0; n < 6; n++) await conversation.getByText(`in the minute ${n}`).waitFor();
});
