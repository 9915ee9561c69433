// HTTP/1.1 as a relay sees it: where each message on a connection begins and ends, and not one byte changed.

const END_OF_HEAD = '\r\n\r\n';
const END_OF_LINE = '\r\n';
const NO_BYTES = Buffer.alloc(0);
/** Longer than any address that a test asks for; more is not HTTP. */
const LONGEST_HEAD = 65_536;

/**
 * Cuts the bytes of one direction into pieces: `{ kind, bytes, head }`, where `kind` is
 * - `head`: the first line and the headers of a message, parsed as `head`: `{ line, headers }`;
 * - `body`: some of what follows, with the framing of its chunks;
 * - `end`: what completes the message: the last byte of a body of a known length, the end mark of a chunked one, or nothing.
 *
 * The pieces' bytes one after the other are the bytes that were fed. A body that ends with the connection has no `end`.
 */
export class Scanner {
  #rest = NO_BYTES;
  /** Reads what comes next. */
  #next = this.#head;
  /** Bytes of the body, or of the chunk with its framing, that are still to come. */
  #left = 0;
  #hasBody;

  /** `hasBody(head)`: whether a body follows, whatever the headers say, as none does after an answer to HEAD. */
  constructor(hasBody = () => true) {
    this.#hasBody = hasBody;
  }

  /** The pieces that are complete with these bytes. */
  *feed(bytes) {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    for (let piece; (piece = this.#next()); ) yield piece;
  }

  #head() {
    const end = this.#rest.indexOf(END_OF_HEAD);
    if (end === -1 && this.#rest.length > LONGEST_HEAD) throw new Error('a head without an end');
    if (end === -1) return undefined;
    const bytes = this.#take(end + END_OF_HEAD.length);
    const head = parse(bytes);
    this.#next = this.#after(head);
    return { kind: 'head', bytes, head };
  }

  #after(head) {
    const { line, headers } = head;
    const isAnswer = line.startsWith('HTTP/');
    const status = Number(line.split(' ')[1]);
    // 100 and its like announce the answer, and are none.
    if (isAnswer && status >= 100 && status < 200) return this.#head;
    if ((isAnswer && [204, 304].includes(status)) || !this.#hasBody(head)) return this.#nothing;
    if (headers.get('transfer-encoding')?.toLowerCase().endsWith('chunked')) return this.#chunkSize;
    const length = headers.get('content-length');
    if (length === undefined) return isAnswer ? this.#all : this.#nothing;
    this.#left = Number(length);
    return this.#left === 0 ? this.#nothing : this.#counted;
  }

  #nothing() {
    this.#next = this.#head;
    return { kind: 'end', bytes: NO_BYTES };
  }

  #counted() {
    if (this.#rest.length === 0) return undefined;
    if (this.#left === 1) return this.#end(1);
    const bytes = this.#take(Math.min(this.#rest.length, this.#left - 1));
    this.#left -= bytes.length;
    return { kind: 'body', bytes };
  }

  #chunkSize() {
    const end = this.#rest.indexOf(END_OF_LINE);
    if (end === -1) return undefined;
    const size = Number.parseInt(this.#rest.toString('latin1', 0, end), 16);
    if (Number.isNaN(size)) throw new Error('a chunk without a size');
    this.#left = end + END_OF_LINE.length + size + END_OF_LINE.length;
    this.#next = size === 0 ? this.#lastChunk : this.#chunk;
    return this.#next();
  }

  #chunk() {
    if (this.#rest.length === 0) return undefined;
    const bytes = this.#take(Math.min(this.#rest.length, this.#left));
    this.#left -= bytes.length;
    if (this.#left === 0) this.#next = this.#chunkSize;
    return { kind: 'body', bytes };
  }

  /** The empty chunk, trailers if there are any, and an empty line. */
  #lastChunk() {
    const end = this.#rest.indexOf(END_OF_HEAD);
    return end === -1 ? undefined : this.#end(end + END_OF_HEAD.length);
  }

  #all() {
    return this.#rest.length === 0 ? undefined : { kind: 'body', bytes: this.#take(this.#rest.length) };
  }

  #end(length) {
    this.#next = this.#head;
    return { kind: 'end', bytes: this.#take(length) };
  }

  #take(length) {
    const bytes = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return bytes;
  }
}

function parse(bytes) {
  const [line, ...lines] = bytes.toString('latin1').trimEnd().split(END_OF_LINE);
  const headers = lines.map((text) => {
    const colon = text.indexOf(':');
    return [text.slice(0, colon).trim().toLowerCase(), text.slice(colon + 1).trim()];
  });
  return { line, headers: new Map(headers) };
}
