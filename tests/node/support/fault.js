// What can go wrong with a request on its way.

const JSON_TYPE = 'content-type: application/json';
const GARBAGE = Buffer.from('HTTP/1.1 200 OK\r\nelectric\0handle\r\n\xff\xfe\r\n\r\n{', 'latin1');
const MUST_REFETCH = '[{"headers":{"control":"must-refetch"}}]';

/** Linux shows a reset that comes before the bytes in front of it are read as an ordinary end. */
const READ_MS = 20;

/** By kind: what becomes of the pieces of a request, and of its answer; see `Scanner`. What is not said goes on as without a fault. */
const KINDS = {
  /** The connection is reset before there is an answer. */
  refuse: { onRequest: (connection) => connection.reset() },
  /** The connection is reset in the middle of the body: something of it has been sent, and never all. */
  reset: {
    onAnswer(connection, { kind, bytes }) {
      if (kind === 'head') connection.answer(bytes);
      // The first piece is all there is of a short body.
      else if (!this.cut.has(connection)) connection.answer(bytes.subarray(0, bytes.length / 2), () => setTimeout(() => connection.reset(), READ_MS));
      if (kind !== 'head') this.cut.add(connection);
    },
  },
  /** Not a byte until it is released. */
  stall: {
    onRequest(connection, { bytes }) {
      if (this.isReleased) connection.forward(bytes);
      else this.waiting.push(() => connection.forward(bytes));
    },
  },
  /** The connection ends properly, and the body does not. */
  truncate: {
    onAnswer(connection, { kind, bytes }) {
      if (kind === 'end') connection.end();
      else connection.answer(bytes);
    },
  },
  /** Bytes that are no answer. */
  garbage: { onRequest: (connection, piece) => answerAndEnd(connection, piece, GARBAGE) },
  /** Another answer than the upstream's, of `options.status`. */
  status: { onRequest: (connection, piece, options) => answerAndEnd(connection, piece, statusAnswer(options)) },
};

export class Fault {
  /** The requests that met it. */
  hits = [];
  kind;
  isReleased = false;
  /** What is done at the release. */
  waiting = [];
  /** Connections whose answer has been cut. */
  cut = new WeakSet();
  #left;
  #on;
  #options;

  /** `status` takes `{ status, retryAfter, handle }`. */
  constructor(kind, { times, on, ...options }) {
    if (!(kind in KINDS)) throw new Error(`no kind of fault: ${kind}`);
    this.kind = kind;
    this.#left = times;
    this.#on = on;
    this.#options = options;
  }

  /** Whether it is this request's. */
  takes(request) {
    return this.#left > 0 && this.#on(request);
  }

  meet(request) {
    this.#left -= 1;
    this.hits.push(request);
  }

  onRequest(connection, piece) {
    const { onRequest } = KINDS[this.kind];
    if (onRequest) onRequest.call(this, connection, piece, this.#options);
    else connection.forward(piece.bytes);
  }

  onAnswer(connection, piece) {
    const { onAnswer } = KINDS[this.kind];
    if (onAnswer) onAnswer.call(this, connection, piece);
    else connection.answer(piece.bytes);
  }

  /** Lets go what is stalled. */
  release() {
    this.isReleased = true;
    for (const go of this.waiting.splice(0)) go();
  }

  /** Ends it, for what it holds and for what comes. */
  lift() {
    this.#left = 0;
    this.release();
  }
}

function answerAndEnd(connection, { kind }, bytes) {
  if (kind !== 'head') return;
  connection.answer(bytes);
  connection.end();
}

function statusAnswer({ status, retryAfter, handle }) {
  const body = status === 409 ? MUST_REFETCH : `{"message":"status ${status} by the relay"}`;
  const headers = [JSON_TYPE, 'cache-control: no-store', 'connection: close', `content-length: ${body.length}`];
  if (retryAfter !== undefined) headers.push(`retry-after: ${retryAfter}`);
  if (handle !== undefined) headers.push(`electric-handle: ${handle}`);
  return Buffer.from(`HTTP/1.1 ${status} Fault\r\n${headers.join('\r\n')}\r\n\r\n${body}`);
}
