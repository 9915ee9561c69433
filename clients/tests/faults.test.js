// What happens to people who watch: the network, the server, the session and their token go, and come back.

import { shoot } from './support/chromium.js';
import { sign } from '../../tests/node/support/token.js';
import { eventually, scenario } from './support/scenario.js';
import { fill, say } from './support/work.js';

const viewer = (service, session) => `${service.url}/#/s/${session}`;
const conversation = (page) => page.getByTestId('conversation');
const connection = (page) => page.getByTestId('connection');

/** Requests that cannot be made are told to the console by the browser itself. */
const NETWORK = /Failed to load resource|net::ERR_/;

const shown = (page, text) => conversation(page).getByText(text).waitFor();

scenario('a page without a network says so, and misses nothing', { complaints: [NETWORK] }, async ({ service, browser }) => {
  await fill(service, 'ses_away');
  const page = await browser.open(viewer(service, 'ses_away'));
  await connection(page).getByText(/live/i).waitFor();
  await page.context().setOffline(true);
  await connection(page).getByText(/offline/i).waitFor();
  await shoot(page, 'offline');
  for (let n = 0; n < 5; n++) await say(service, 'ses_away', `meanwhile ${n}`);
  await page.context().setOffline(false);
  for (let n = 0; n < 5; n++) await shown(page, `meanwhile ${n}`);
  await connection(page).getByText(/live/i).waitFor();
});

for (const signal of ['SIGTERM', 'SIGKILL']) {
  scenario(`a page outlives a restart of the server by ${signal}`, { complaints: [NETWORK], warnings: [/.*/] }, async ({ service, browser }) => {
    await fill(service, 'ses_kept');
    const page = await browser.open(viewer(service, 'ses_kept'));
    await connection(page).getByText(/live/i).waitFor();
    await service.restart(signal, async () => {
      await connection(page).getByText(/connecting|offline/i).waitFor();
    });
    await say(service, 'ses_kept', 'after the restart');
    await shown(page, 'after the restart');
    await connection(page).getByText(/live/i).waitFor();
  });
}

scenario('a session that is deleted while it is shown is told to be gone', { complaints: [/404/] }, async ({ service, browser }) => {
  await fill(service, 'ses_gone');
  const page = await browser.open(viewer(service, 'ses_gone'));
  await conversation(page).getByTestId('message').first().waitFor();
  await service.ask('DELETE', '/v1/sessions/ses_gone');
  await page.getByText(/deleted|gone|no longer/i).first().waitFor();
  await eventually('an empty list', async () => (await page.getByTestId('session-row').count()) === 0);
  await shoot(page, 'deleted');
});

const SECRET = 'a secret of at least thirty-two bytes';

scenario('a token that expires is asked for, and the page goes on', { settings: { PLUE_AUTH__JWT_SECRET: SECRET, PLUE_AUTH__LEEWAY: '0s' }, complaints: [/401|403/] }, async ({ service, browser }) => {
  const token = (role, seconds) => sign(SECRET, { sub: 'somebody', role, sessions: '*', exp: Math.floor(Date.now() / 1000) + seconds });
  service.token = token('admin', 600);
  await fill(service, 'ses_locked');
  const page = await browser.open(`${viewer(service, 'ses_locked')}`);
  const panel = page.getByTestId('token-panel');
  await panel.waitFor();
  await shoot(page, 'token-wanted');
  const give = async (text) => {
    await panel.locator('input, textarea').first().fill(text);
    await page.keyboard.press('Enter');
  };
  await give(token('viewer', 8));
  await conversation(page).getByTestId('message').first().waitFor();
  await panel.waitFor({ timeout: 60_000 });
  await shoot(page, 'token-expired');
  await say(service, 'ses_locked', 'while it was locked');
  await give(token('agent', 600));
  await shown(page, 'while it was locked');
});
