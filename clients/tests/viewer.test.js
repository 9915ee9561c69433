// The viewer as people use it, against the real program.

import assert from 'node:assert/strict';
import { shoot } from './support/chromium.js';
import { eventually, inPage, scenario } from './support/scenario.js';
import { fill, long, stream } from './support/work.js';

const viewer = (service, session) => `${service.url}/${session ? `#/s/${session}` : ''}`;
const conversation = (page) => page.getByTestId('conversation');

scenario('what one posts the other shows, and what an agent streams appears in both', {}, async ({ service, browser }) => {
  await fill(service, 'ses_shared');
  // Each has a browser of their own.
  const [one, other] = [await browser.open(viewer(service, 'ses_shared')), await browser.open(viewer(service, 'ses_shared'))];
  for (const page of [one, other]) await conversation(page).getByText('the parser accepts a trailing comma').first().waitFor();
  await one.getByTestId('composer').locator('textarea').fill('Please look at the **tests** too');
  await one.keyboard.press('Enter');
  for (const page of [one, other]) await conversation(page).getByText('Please look at the tests too').waitFor();
  assert.equal(await one.getByTestId('composer').locator('textarea').inputValue(), '', 'it is empty once the message is there');

  const pieces = Array.from({ length: 40 }, (_, n) => `word${n} `);
  await stream(service, 'ses_shared', 'msg_streamed', pieces, async (n) => {
    // Half of it is shown while the rest is still to come.
    if (n === 20) for (const page of [one, other]) await conversation(page).getByText('word19').waitFor();
  });
  for (const page of [one, other]) await conversation(page).getByText('word39').waitFor();
  // Each is told of the other.
  for (const page of [one, other]) await page.locator('[data-testid=watchers][data-count="1"]').waitFor();
  await shoot(one, 'shared-one');
  await shoot(other, 'shared-other');
});

scenario('a list of sessions is live, searched and filtered', {}, async ({ service, browser }) => {
  for (const name of ['alpha', 'beta', 'gamma']) await service.ask('POST', '/v1/sessions', { id: `ses_${name}`, directory: `/src/${name}`, title: `Work on ${name}` });
  const page = await browser.open(viewer(service));
  const rows = page.getByTestId('session-row');
  const titles = async () => (await rows.allInnerTexts()).map((text) => text.match(/Work on \w+/)?.[0]);
  const until = (expected) => eventually(`the sessions ${expected}`, async () => JSON.stringify(await titles()) === JSON.stringify(expected), { seen: () => 'see the page' });
  await until(['Work on gamma', 'Work on beta', 'Work on alpha']);
  await service.ask('POST', '/v1/sessions/ses_alpha/messages', { role: 'user', parts: [{ type: 'text', text: 'first' }] });
  await until(['Work on alpha', 'Work on gamma', 'Work on beta']);
  await page.keyboard.press('/');
  await page.keyboard.type('beta');
  await until(['Work on beta']);
  await page.keyboard.press('Escape');
  await page.getByRole('searchbox').fill('');
  await service.ask('PATCH', '/v1/sessions/ses_gamma', { time_archived: Date.now() });
  await until(['Work on alpha', 'Work on beta']);
});

scenario('a session is a conversation at every width, in the dark and in the light', {}, async ({ service, browser }) => {
  await fill(service, 'ses_wide');
  await fill(service, 'ses_failed', { fails: true });
  for (const [width, height] of [[1440, 900], [768, 1024], [390, 844]]) {
    for (const colorScheme of ['light', 'dark']) {
      for (const session of ['ses_wide', 'ses_failed']) {
        const page = await browser.open(viewer(service, session), { viewport: { width, height }, colorScheme });
        await conversation(page).getByTestId('message').first().waitFor();
        await inPage(page, 'no sideways scrolling', () => document.documentElement.scrollWidth <= window.innerWidth);
        await shoot(page, `${session}-${width}-${colorScheme}`);
        await page.context().close();
      }
    }
  }
});

scenario('two thousand messages are a few in the page, and the last one is shown first', {}, async ({ service, browser }) => {
  await long(service, 'ses_long', 2_000);
  const page = await browser.open(viewer(service, 'ses_long'));
  await conversation(page).getByText('message 1999', { exact: false }).first().waitFor();
  const drawn = await page.getByTestId('message').count();
  assert(drawn < 100, `${drawn} messages are drawn`);
  // Whoever reads above is left there, and told what is new.
  await conversation(page).hover();
  await page.mouse.wheel(0, -4_000);
  await eventually('to be above', async () => (await conversation(page).getByText('message 1999', { exact: false }).count()) === 0);
  await service.ask('POST', '/v1/sessions/ses_long/messages', { role: 'user', parts: [{ type: 'text', text: 'the newest one' }] });
  const jump = page.getByTestId('jump-to-latest');
  await jump.waitFor();
  assert.equal(await conversation(page).getByText('the newest one').count(), 0);
  await jump.click();
  await conversation(page).getByText('the newest one').waitFor();
});
