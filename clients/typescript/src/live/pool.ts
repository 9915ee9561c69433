/**
 * Puts live requests of many shapes into one or two requests of `POST /v1/shape/first`, which answers as soon as the first of them
 * has something. Where the server has no such route, each shape has a request of its own.
 */
import type { Holder, Slots } from "./slots.js";

/** A response that can be handed to other tabs. */
export interface Answer {
  status: number;
  headers: [string, string][];
  body: string;
}

/** One live request, maybe of several readers. */
interface Ask {
  /** Its query string. */
  readonly query: string;
  readonly takers: Set<Taker>;
  /** The request that it waits in. */
  flight: Flight | undefined;
}

interface Taker {
  resolve(answer: Answer): void;
  reject(reason: unknown): void;
}

interface Flight {
  readonly asks: readonly Ask[];
  readonly controller: AbortController;
  /** Ends a request that is held for longer than any server holds one. */
  readonly watchdog: ReturnType<typeof setTimeout>;
  /** Whether it is of one shape, and has no slot. */
  readonly alone: boolean;
}

/** Live requests that the server takes in one. */
const MAX_ASKS = 64;
/** After an answer, how long the others wait for the next request of the one that was answered, to go with it. */
const TOGETHER_MS = 15;
/** Servers hold a live request for 20 s. One that lasts for so long has been lost, and is sent again. */
const LOST_MS = 45_000;
/** How long the route is left alone that did not work. */
const MINUTE_MS = 60_000;
/** And where the server said that it has none. */
const HOUR_MS = 60 * MINUTE_MS;
/** Says which of them is answered. */
const INDEX_HEADER = "plue-index";

/** The requests of one token. */
export class LivePool implements Holder {
  readonly #shape: string;
  readonly #authorization: string | undefined;
  readonly #fetch: typeof fetch;
  readonly #slots: Slots;
  /** By query, the one that waits longest first: so the server sees them, and a busy shape keeps nobody else waiting. */
  readonly #asks = new Map<string, Ask>();
  #flights: Flight[] = [];
  /** Whether the route has answered. */
  #isKnown = false;
  /** Until when each shape is asked for alone; Unix milliseconds. */
  #aloneUntil = 0;
  #isScheduled = false;

  /** `shape` is the address of the shape route. */
  constructor(shape: string, authorization: string | undefined, fetchClient: typeof fetch, slots: Slots) {
    this.#shape = shape;
    this.#authorization = authorization;
    this.#fetch = fetchClient;
    this.#slots = slots;
  }

  /** Whether nobody waits here. */
  get isEmpty(): boolean {
    return this.#asks.size === 0;
  }

  /** Waits for the answer to a live request. The same query asked twice is asked once. */
  ask(query: string, signal?: AbortSignal | null): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      let ask = this.#asks.get(query);
      if (!ask) {
        ask = { query, takers: new Set(), flight: undefined };
        this.#asks.set(query, ask);
      }
      const entered = ask;
      const leave = () => {
        reject(signal?.reason);
        this.#leave(entered, taker);
      };
      const done = () => signal?.removeEventListener("abort", leave);
      const taker: Taker = {
        resolve: (answer) => (done(), resolve(answer)),
        reject: (reason) => (done(), reject(reason)),
      };
      entered.takers.add(taker);
      signal?.addEventListener("abort", leave, { once: true });
      this.wake();
    });
  }

  /** Sends what waits; later in this turn, since several shapes often begin to wait together. */
  wake(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#launch();
    });
  }

  yieldOne(): void {
    const longest = this.#flights.find((flight) => !flight.alone);
    if (longest) this.#land(longest, { abort: true, after: TOGETHER_MS });
  }

  #leave(ask: Ask, taker: Taker): void {
    ask.takers.delete(taker);
    if (ask.takers.size > 0 || this.#asks.get(ask.query) !== ask) return;
    this.#asks.delete(ask.query);
    if (this.isEmpty) this.#slots.forget(this);
    // The server must not go on holding it.
    if (ask.flight) this.#land(ask.flight, { abort: true });
  }

  #launch(): void {
    const idle = () => [...this.#asks.values()].filter((ask) => !ask.flight);
    if (idle().length === 0) return;
    if (Date.now() < this.#aloneUntil) {
      this.#slots.forget(this);
      for (const ask of idle()) this.#start([ask], true);
      return;
    }
    // What is held already goes with the new ones where there is no slot for these.
    const shared = this.#flights.filter((flight) => !flight.alone);
    const least = shared.toSorted((a, b) => a.asks.length - b.asks.length)[0];
    if (least && shared.length >= this.#slots.each && least.asks.length < MAX_ASKS) this.#land(least, { abort: true });
    const asks = idle();
    for (let first = 0; first < asks.length && this.#slots.take(this); first += MAX_ASKS) {
      this.#start(asks.slice(first, first + MAX_ASKS), false);
    }
  }

  #start(asks: Ask[], alone: boolean): void {
    const watchdog = setTimeout(() => this.#land(flight, { abort: true }), LOST_MS);
    const flight: Flight = { asks, controller: new AbortController(), watchdog, alone };
    for (const ask of asks) ask.flight = flight;
    this.#flights.push(flight);
    void (alone ? this.#flyAlone(flight) : this.#fly(flight));
  }

  /** Ends a request; those of its shapes that still wait go into the next one, `after` some milliseconds. */
  #land(flight: Flight, { abort = false, after = 0 }: { abort?: boolean; after?: number } = {}): void {
    if (!this.#flights.includes(flight)) return;
    clearTimeout(flight.watchdog);
    this.#flights = this.#flights.filter((other) => other !== flight);
    for (const ask of flight.asks) if (ask.flight === flight) ask.flight = undefined;
    if (abort) flight.controller.abort();
    if (!flight.alone) this.#slots.give(this);
    if (after > 0) setTimeout(() => this.wake(), after);
    else this.wake();
  }

  async #fly(flight: Flight): Promise<void> {
    try {
      const response = await this.#fetch(`${this.#shape}/first`, {
        method: "POST",
        headers: { "content-type": "application/json", ...this.#headers() },
        body: JSON.stringify(flight.asks.map((ask) => ask.query)),
        signal: flight.controller.signal,
      });
      const index = response.headers.get(INDEX_HEADER);
      const answered = index === null ? undefined : flight.asks[Number(index)];
      const answer = await answerOf(response);
      if (!answered) return this.#refused(flight, answer);
      this.#isKnown = true;
      this.#settle(answered, answer);
      this.#land(flight, { after: TOGETHER_MS });
    } catch (error) {
      if (flight.controller.signal.aborted) return;
      if (this.#isKnown) return this.#fail(flight, error);
      // Maybe the network; but a page may not see that another origin's server has no such route.
      this.#apart(flight, MINUTE_MS);
    }
  }

  /** The call is refused as a whole. */
  #refused(flight: Flight, answer: Answer): void {
    const { status } = answer;
    if ([404, 405, 501].includes(status)) return this.#apart(flight, this.#isKnown ? MINUTE_MS : HOUR_MS);
    // Some shapes are there for everybody, but no list of them.
    if (status === 401 && this.#authorization === undefined) return this.#apart(flight, HOUR_MS);
    // One of them is wrong, and only that one is to be told.
    if (status < 500 && ![401, 403, 429].includes(status)) return this.#apart(flight, MINUTE_MS);
    for (const ask of flight.asks) this.#settle(ask, answer);
    this.#land(flight);
  }

  /** From now on, and for so long, each is asked for alone. */
  #apart(flight: Flight, ms: number): void {
    this.#aloneUntil = Date.now() + ms;
    this.#land(flight);
  }

  async #flyAlone(flight: Flight): Promise<void> {
    const [ask] = flight.asks;
    if (!ask) return;
    try {
      const asked = { headers: this.#headers(), signal: flight.controller.signal };
      this.#settle(ask, await answerOf(await this.#fetch(`${this.#shape}?${ask.query}`, asked)));
      this.#land(flight);
    } catch (error) {
      if (!flight.controller.signal.aborted) this.#fail(flight, error);
    }
  }

  #settle(ask: Ask, answer: Answer): void {
    this.#end(ask, (taker) => taker.resolve(answer));
  }

  /** The network failed, and readers know how to try again. */
  #fail(flight: Flight, error: unknown): void {
    for (const ask of flight.asks) this.#end(ask, (taker) => taker.reject(error));
    this.#land(flight);
  }

  #end(ask: Ask, tell: (taker: Taker) => void): void {
    if (this.#asks.get(ask.query) === ask) this.#asks.delete(ask.query);
    for (const taker of ask.takers) tell(taker);
    ask.takers.clear();
  }

  #headers(): Record<string, string> {
    return this.#authorization === undefined ? {} : { authorization: this.#authorization };
  }
}

async function answerOf(response: Response): Promise<Answer> {
  return { status: response.status, headers: [...response.headers], body: await response.text() };
}
