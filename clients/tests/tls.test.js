// HTTP/2 from our own server: each shape has a request of its own, and all of them one connection.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { eventually, scenario } from './support/scenario.js';
import { fill, say } from './support/work.js';

const dir = mkdtempSync(join(tmpdir(), 'plue-sync-tls-'));
after(() => rmSync(dir, { recursive: true, force: true }));
const [key, certificate] = [join(dir, 'key.pem'), join(dir, 'certificate.pem')];
const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-keyout', key, '-out', certificate, ...subject], { stdio: 'ignore' });

const settings = { PLUE_SERVER__TLS_CERTIFICATE: certificate, PLUE_SERVER__TLS_KEY: key };
/** Nobody else has signed our certificate. */
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';

scenario('a page over HTTP/2 has as many live requests as it likes on one connection', { settings }, async ({ service, browser }) => {
  await fill(service, 'ses_secure');
  const context = await browser.context({ ignoreHTTPSErrors: true });
  const asked = [];
  context.on('request', (request) => asked.push(new URL(request.url())));
  const tabs = [];
  for (let n = 0; n < 8; n++) tabs.push(await browser.open(`${service.url}/#/s/ses_secure`, { context }));
  for (const tab of tabs) await tab.getByTestId('connection').getByText(/live/i).waitFor();
  await say(service, 'ses_secure', 'over HTTP/2');
  for (const tab of tabs) await tab.getByTestId('conversation').getByText('over HTTP/2').waitFor();
  // More than the six that HTTP/1.1 would allow. Tabs that ask the same wait for one answer: the browser's cache sees to that.
  await eventually('a request for each of seven shapes', async () => {
    const { shapes } = await service.registry.ask('GET', '/shapes?limit=500');
    return shapes.filter(({ readers }) => readers > 0).length >= 7;
  });
  const protocols = await tabs[0].evaluate(() => performance.getEntriesByType('resource').map(({ nextHopProtocol }) => nextHopProtocol));
  assert.deepEqual([...new Set(protocols.filter(Boolean))], ['h2']);
  assert.deepEqual(asked.filter(({ pathname }) => pathname.endsWith('/first')), [], 'nothing has to be shared');
});
