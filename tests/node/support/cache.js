// A cache in front of the program: nginx, without privileges, on a free port, with a folder of its own.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { eventually } from './eventually.js';

/** Packages put it where only the superuser looks for programs. */
const PATH = [process.env.PATH, '/usr/sbin', '/usr/local/sbin'].join(delimiter);

export class Cache {
  /** `http://127.0.0.1:<port>`. */
  url;
  #dir;
  #child;
  #ended;
  #log = '';

  /** Starts it in front of `http://<host>:<port>`, and waits until it answers. */
  static async start(upstream) {
    const cache = new Cache();
    cache.#dir = await mkdtemp(join(tmpdir(), 'plue-sync-cache-'));
    try {
      await cache.#start(upstream);
    } catch (error) {
      await cache.close();
      throw error;
    }
    return cache;
  }

  /** What it was asked for so far: `{ url, status, cache, upstream }`, in the order of the answers; see `log_format`. */
  async requests() {
    const lines = (await readFile(join(this.#dir, 'access.log'), 'utf8')).split('\n').slice(0, -1);
    return lines.map((line) => {
      const [status, cache, upstream, path] = line.split(' ');
      return { url: this.url + path, status: Number(status), cache, upstream };
    });
  }

  /** Stops it, and forgets what it kept. */
  async close() {
    if (this.#child && !this.#hasEnded()) {
      this.#child.kill('SIGTERM');
      await this.#ended;
    }
    process.removeListener('exit', this.#endWithUs);
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #start(upstream) {
    const port = await freePort();
    this.url = `http://127.0.0.1:${port}`;
    const config = join(this.#dir, 'nginx.conf');
    await writeFile(config, configuration(this.#dir, port, upstream));
    // Not detached, and without a master that could outlive us.
    this.#child = spawn('nginx', ['-p', this.#dir, '-c', config, '-e', 'stderr'], {
      env: { PATH },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => (this.#log += text));
    }
    // A program that is not there emits `error` and no `exit`.
    this.#ended = once(this.#child, 'exit').catch((error) => (this.#log += String(error)));
    process.once('exit', this.#endWithUs);
    const answers = async () => {
      assert(!this.#hasEnded(), `nginx ended at once: ${this.#log}`);
      return fetch(`${this.url}/health`).then(({ ok }) => ok, () => false);
    };
    await eventually('an answer through the cache', answers, { seen: () => this.#log });
  }

  #hasEnded() {
    return this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  #endWithUs = () => this.#child.kill('SIGKILL');
}

/** Answers are kept as their `cache-control` says, and of several requests for one address one goes on. */
function configuration(dir, port, upstream) {
  const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`);
  return `
    daemon off;
    master_process off;
    pid ${dir}/nginx.pid;
    events { worker_connections 256; }
    http {
      ${folders.join('\n      ')}
      log_format shapes '$status $upstream_cache_status $upstream_status $request_uri';
      access_log ${dir}/access.log shapes;
      proxy_cache_path ${dir}/cache keys_zone=shapes:1m;
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass ${upstream};
          proxy_http_version 1.1;
          proxy_set_header connection '';
          proxy_read_timeout 60s;
          proxy_cache shapes;
          proxy_cache_key $request_uri;
          proxy_cache_lock on;
          proxy_cache_lock_timeout 60s;
          proxy_cache_lock_age 60s;
          proxy_cache_revalidate on;
          proxy_cache_background_update on;
        }
      }
    }`;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
