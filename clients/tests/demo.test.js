// The first minute of a newcomer: `plue-sync dev --demo`, and a look at the page.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Program } from '../../tests/node/support/program.js';
import { Browser, shoot } from './support/chromium.js';

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

test('a demo is seen at work, and the button plays another one', { timeout: 180_000 }, async (t) => {
  const cwd = mkdtempSync(join(tmpdir(), 'plue-sync-demo-'));
  const browser = await Browser.launch();
  let program;
  t.after(async () => {
    await browser.close();
    await program?.kill();
    rmSync(cwd, { recursive: true, force: true });
  });
  const args = ['--demo', '--engine-port', String(await freePort()), '--postgres-port', String(await freePort())];
  program = await Program.start({ command: 'dev', listen: '127.0.0.1:0', args, cwd, env: {} });
  const page = await browser.open(`http://${program.address}/`);
  const rows = page.getByTestId('session-row');
  await rows.nth(2).waitFor();
  await rows.first().click();
  const conversation = page.getByTestId('conversation');
  await conversation.getByTestId('part').nth(3).waitFor();
  await shoot(page, 'demo');
  await page.getByRole('button', { name: /demo/i }).first().click();
  await rows.nth(3).waitFor();
  await conversation.getByTestId('message').first().waitFor();
  browser.assertQuiet();
  await browser.close();
  await program.terminate();
  assert.match(program.log, /Viewer +http:\/\/localhost/);
});
