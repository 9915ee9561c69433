// A page of somebody's own that uses the package, from an origin of its own.

import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ENTRY = fileURLToPath(new URL('../page/main.tsx', import.meta.url));
const PACKAGE = fileURLToPath(new URL('../../typescript/src/', import.meta.url));

/** Serves the page, made for development: only there does StrictMode mount everything twice. */
export async function servePage() {
  const { outputFiles } = await build({
    entryPoints: [ENTRY],
    bundle: true,
    format: 'esm',
    write: false,
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"development"' },
    alias: { '@plue/sync/react': `${PACKAGE}react/index.ts`, '@plue/sync': `${PACKAGE}index.ts` },
  });
  const script = outputFiles[0].contents;
  const html = '<!doctype html><title>Fixture</title><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/main.js"></script>';
  const server = createServer((request, response) => {
    const isScript = request.url === '/main.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html; charset=utf-8');
    response.end(isScript ? script : html);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address();
  return {
    /** `localhost` counts as secure, so that tabs can share. */
    url: (params) => `http://localhost:${port}/?${new URLSearchParams(params)}`,
    close: () => new Promise((closed) => (server.closeAllConnections(), server.close(closed))),
  };
}
