/** Waiting for one's own write to come back: what was written under a txid is in the shape. */
import { isChangeMessage, isControlMessage, isVisibleInSnapshot, type Message, type Row, type ShapeStreamInterface } from "@electric-sql/client";

/** Transactions of a stream that are remembered: a write may come back before its answer does. */
const MAX_REMEMBERED = 1000;

type Snapshot = Parameters<typeof isVisibleInSnapshot>[1];

class Seen {
  readonly #txids = new Set<number>();
  readonly #waiting = new Set<() => void>();
  /** What the rows that were there at the start include. */
  #snapshots: Snapshot[] = [];

  note(messages: readonly Message<Row<unknown>>[]): void {
    for (const message of messages) {
      if (isChangeMessage(message)) {
        for (const txid of message.headers.txids ?? []) this.#txids.add(txid);
      } else if (isControlMessage(message)) {
        const { headers } = message;
        if (headers.control === "snapshot-end") this.#snapshots.push(headers as unknown as Snapshot);
        if (headers.control === "must-refetch") this.#snapshots = [];
      }
    }
    for (const oldest of this.#txids) {
      if (this.#txids.size <= MAX_REMEMBERED) break;
      this.#txids.delete(oldest);
    }
    for (const look of this.#waiting) look();
  }

  has(txid: number): boolean {
    return this.#txids.has(txid) || this.#snapshots.some((snapshot) => isVisibleInSnapshot(txid, snapshot));
  }

  onNews(look: () => void): () => void {
    this.#waiting.add(look);
    return () => this.#waiting.delete(look);
  }
}

const seen = new WeakMap<object, Seen>();

/**
 * Begins to remember the transactions of a stream of one's own, when it is made: a change may come before one waits for it. Those of
 * this package's hooks are remembered from their start.
 */
export function rememberTxIds<T extends Row<unknown>>(stream: ShapeStreamInterface<T>): void {
  seenOf(stream);
}

function seenOf<T extends Row<unknown>>(stream: ShapeStreamInterface<T>): Seen {
  let noted = seen.get(stream);
  if (!noted) {
    const made = new Seen();
    stream.subscribe((messages) => made.note(messages as Message<Row<unknown>>[]), () => undefined);
    seen.set(stream, made);
    noted = made;
  }
  return noted;
}

/**
 * Waits until a stream has shown the transaction `txid` of a write's answer; `null`, of a write that changed nothing, is there already.
 * The stream must be of a shape that the write changed, and remembered since its start (`rememberTxIds`).
 *
 * Fails after `timeoutMs` (5 s), or with the reason of `signal`.
 */
export async function awaitTxId<T extends Row<unknown>>(
  stream: ShapeStreamInterface<T>,
  txid: number | null,
  { timeoutMs = 5_000, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<void> {
  if (txid === null) return;
  const noted = seenOf(stream);
  if (noted.has(txid)) return;
  signal?.throwIfAborted();
  let end = (): void => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const forget = noted.onNews(() => noted.has(txid) && resolve());
      const late = () => reject(new Error(`the shape has not shown the transaction ${txid} within ${timeoutMs} ms`));
      const timer = setTimeout(late, timeoutMs);
      const aborted = () => reject(signal?.reason);
      signal?.addEventListener("abort", aborted);
      end = () => {
        forget();
        clearTimeout(timer);
        signal?.removeEventListener("abort", aborted);
      };
    });
  } finally {
    end();
  }
}
