// One connection through a relay: a socket of our own for each that comes in, so that what happens to one happens to the other.

import { connect } from 'node:net';
import { Scanner } from './http1.js';
import { requestOf } from './request.js';

/**
 * What must stay true: bytes go on in the order in which they came; a request is `done` when its answer is complete or can never be.
 * Requests on one connection come one after the other, each when the one before is answered, as both clients do it.
 */
export class Connection {
  /** The request that is being answered. */
  request;
  #down;
  #up;
  #target;
  #asked;
  #fault;
  #answers = new Scanner(() => this.request?.method !== 'HEAD');

  /** `asked(request)` notes a request, and gives the fault that it meets, if any. */
  constructor(down, target, asked) {
    this.#down = down;
    this.#target = target;
    this.#asked = asked;
    const requests = new Scanner();
    down.setNoDelay(true);
    // Nothing holds this side back: a socket that is not read does not tell that it was closed.
    down.on('data', (bytes) => this.#scan(requests, bytes, (piece) => this.#takeRequest(piece)));
    down.on('drain', () => this.#up?.resume());
    down.on('error', () => reset(this.#up));
    down.once('close', () => this.#gone());
  }

  /** Sends bytes towards the upstream. */
  forward(bytes) {
    if (this.#down.destroyed) return;
    this.#up ??= this.#connect();
    this.#up.write(bytes);
  }

  /** Sends bytes towards the reader; calls `sent` when they have left. */
  answer(bytes, sent) {
    if (!this.#down.write(bytes, sent)) this.#up?.pause();
  }

  /** Ends the connection in the proper way, after what was sent. */
  end() {
    this.#down.end();
  }

  /** Ends it as a process that dies does, on both sides. */
  reset() {
    reset(this.#down);
    reset(this.#up);
  }

  #connect() {
    const up = connect(this.#target);
    up.setNoDelay(true);
    up.on('data', (bytes) => this.#scan(this.#answers, bytes, (piece) => this.#takeAnswer(piece)));
    up.on('error', () => reset(this.#down));
    up.on('end', () => this.#down.end());
    up.once('close', () => this.#down.end());
    return up;
  }

  #scan(scanner, bytes, take) {
    try {
      for (const piece of scanner.feed(bytes)) take(piece);
    } catch (error) {
      // Not HTTP: a test that sends it looks at what comes back.
      console.error('the relay cannot read a message:', error);
      this.reset();
    }
  }

  #takeRequest(piece) {
    if (piece.head) {
      this.request = requestOf(piece.head);
      this.#fault = this.#asked(this.request);
      this.#fault?.meet(this.request);
    }
    if (this.#fault) this.#fault.onRequest(this, piece);
    else this.forward(piece.bytes);
  }

  #takeAnswer(piece) {
    if (this.#down.destroyed) return;
    if (piece.head) this.request.status = Number(piece.head.line.split(' ')[1]);
    if (this.#fault) this.#fault.onAnswer(this, piece);
    else this.answer(piece.bytes);
    if (piece.kind === 'end') {
      this.request.done = true;
      this.request = undefined;
      this.#fault = undefined;
    }
  }

  #gone() {
    this.#up?.destroy();
    if (this.request) this.request.done = true;
  }
}

/** A socket that is not connected has nobody to tell, and one that is being ended is never closed by a reset: Node 20 then spins at its exit. */
function reset(socket) {
  if (!socket || socket.destroyed) return;
  if (socket.connecting || socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
