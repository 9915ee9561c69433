/** The connections that live requests may hold, of the six that a browser has: shared by all who ask with different tokens. */

/** Whoever holds connections. */
export interface Holder {
  /** There may be one free now. */
  wake(): void;
  /** Is to give one up, for somebody who has none. */
  yieldOne(): void;
}

/** With the two that are left, a page can write and take snapshots. */
const MAX_HELD = 4;
/** For one token. */
const MAX_EACH = 2;
/** How long whoever has none waits until another one gives up theirs. */
const TURN_MS = 1_000;

export class Slots {
  /** One for each, the one that was taken longest ago first. */
  #held: Holder[] = [];
  readonly #waiting = new Set<Holder>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** How many of its own one may have now. */
  get each(): number {
    return new Set([...this.#held, ...this.#waiting]).size > MAX_HELD / MAX_EACH ? 1 : MAX_EACH;
  }

  /** Takes one; where there is none, its holder is woken when there is. */
  take(holder: Holder): boolean {
    const isFree = this.#held.length < MAX_HELD;
    if (isFree) {
      this.#waiting.delete(holder);
      this.#held.push(holder);
    } else {
      this.#waiting.add(holder);
      this.#timer ??= setTimeout(() => this.#turn(), TURN_MS);
    }
    return isFree;
  }

  give(holder: Holder): void {
    this.#held.splice(this.#held.indexOf(holder), 1);
    for (const waiting of this.#waiting) return waiting.wake();
  }

  /** It does not want any more. */
  forget(holder: Holder): void {
    this.#waiting.delete(holder);
  }

  #turn(): void {
    this.#timer = undefined;
    if (this.#waiting.size === 0) return;
    this.#timer = setTimeout(() => this.#turn(), TURN_MS);
    this.#held[0]?.yieldOne();
  }
}
