/**
 * Tabs of one origin ask through one of them, the leader: then they share its connections, and what they ask alike is asked once.
 *
 * ```text
 * tab ── ask ──► leader ── LivePool ──► server          (BroadcastChannel; the leader holds a Web Lock)
 *     ◄─ taken ─        ◄─ answer ─
 * ```
 * Nobody depends on the leader for long: who is not told at once that its question was taken, or hears nothing of the leader for
 * seconds, asks by itself, and a new leader is asked again. Where there are no locks (pages of `http:` other than localhost), each tab asks for itself.
 */
import { type Answer, LivePool } from "./pool.js";
import { Slots } from "./slots.js";

/** What one tab says to the others. */
type Said =
  | { kind: "ask"; from: string; id: number; query: string; authorization: string | undefined }
  | { kind: "taken"; to: Address[] }
  | { kind: "answer"; to: Address[]; answer: Answer }
  | { kind: "failed"; to: Address[]; reason: string }
  | { kind: "drop"; from: string; id: number }
  | { kind: "leads" | "here" | "resigns" | "gone"; from: string };

/** A question of a tab. */
interface Address {
  from: string;
  id: number;
}

/** As the leader: one request, and all who wait for its answer. */
interface Errand {
  readonly controller: AbortController;
  asked: Address[];
}

/** A question of this tab. */
interface Question {
  readonly id: number;
  readonly query: string;
  readonly authorization: string | undefined;
  readonly signal: AbortSignal | null | undefined;
  resolve(answer: Answer): void;
  reject(reason: unknown): void;
  /** Until it is asked alone, or put to the leader again. */
  timer?: ReturnType<typeof setTimeout>;
}

/** How long a leader may take to say that it has taken a question; a busy one takes milliseconds. */
const TAKEN_WITHIN_MS = 500;
/** How often a leader says that it is at work, and how long it is believed without that: its page may be busy, or put to sleep. */
const HERE_EVERY_MS = 2_000;
const TRUSTED_MS = 5_000;

export class Tabs {
  readonly #me = Math.random().toString(36).slice(2);
  readonly #shape: string;
  readonly #fetch: typeof fetch;
  readonly #name: string;
  #channel: BroadcastChannel | undefined;
  readonly #slots = new Slots();
  readonly #pools = new Map<string | undefined, LivePool>();
  /** Those that wait for a leader. */
  readonly #questions = new Map<number, Question>();
  /** As the leader: what is asked for others, by token and query. */
  readonly #errands = new Map<string, Errand>();
  #heart: ReturnType<typeof setInterval> | undefined;
  #next = 0;
  #leads = false;
  /** Ends a leadership, or the wait for it. */
  #resign: (() => void) | undefined;

  /** `shape` is the address of the shape route. */
  constructor(shape: string, fetchClient: typeof fetch) {
    this.#shape = shape;
    this.#fetch = fetchClient;
    this.#name = `plue-sync ${shape}`;
    if (typeof BroadcastChannel === "undefined" || typeof document === "undefined" || !globalThis.navigator?.locks) return;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }: MessageEvent<Said>) => this.#hear(data);
    // A hidden tab may be put to sleep with all that others have asked of it.
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#withdraw() : this.#campaign()));
    globalThis.addEventListener("pagehide", () => this.#leave());
    globalThis.addEventListener("pageshow", () => this.#comeBack());
    this.#campaign();
  }

  /** Waits for the answer to a live request. */
  ask(query: string, authorization: string | undefined, signal?: AbortSignal | null): Promise<Answer> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      const end = () => {
        clearTimeout(question.timer);
        signal?.removeEventListener("abort", dropped);
        this.#questions.delete(id);
      };
      const dropped = () => {
        end();
        this.#say({ kind: "drop", from: this.#me, id });
        reject(signal?.reason);
      };
      const question: Question = {
        ...{ id, query, authorization, signal },
        resolve: (answer) => (end(), resolve(answer)),
        reject: (reason) => (end(), reject(reason)),
      };
      signal?.addEventListener("abort", dropped, { once: true });
      this.#put(question);
    });
  }

  #put(question: Question): void {
    if (!this.#channel || this.#leads) return this.#askAlone(question);
    const { id, query, authorization } = question;
    this.#questions.set(id, question);
    this.#say({ kind: "ask", from: this.#me, id, query, authorization });
    clearTimeout(question.timer);
    question.timer = setTimeout(() => this.#askAlone(question), TAKEN_WITHIN_MS);
  }

  /** The leader has it, as far as is known now. */
  #trust(question: Question): void {
    clearTimeout(question.timer);
    question.timer = setTimeout(() => this.#put(question), TRUSTED_MS);
  }

  #putAll(): void {
    for (const question of this.#questions.values()) this.#put(question);
  }

  #askAlone(question: Question): void {
    clearTimeout(question.timer);
    this.#questions.delete(question.id);
    this.#pool(question.authorization).ask(question.query, question.signal).then(question.resolve, question.reject);
  }

  #hear(said: Said): void {
    if ("to" in said) {
      for (const { from, id } of said.to) {
        const question = from === this.#me ? this.#questions.get(id) : undefined;
        if (!question) continue;
        if (said.kind === "taken") this.#trust(question);
        else if (said.kind === "answer") question.resolve(said.answer);
        // As `fetch` says it.
        else question.reject(new TypeError(said.reason));
      }
      return;
    }
    switch (said.kind) {
      case "leads":
      case "resigns":
        return this.#putAll();
      case "here":
        for (const question of this.#questions.values()) this.#trust(question);
        return;
      case "ask":
        if (this.#leads) this.#run(said);
        return;
      case "drop":
        return this.#drop(({ from, id }) => from === said.from && id === said.id);
      case "gone":
        return this.#drop(({ from }) => from === said.from);
    }
  }

  /** Asks for another tab; together with others that ask the same. */
  #run({ from, id, query, authorization }: Said & { kind: "ask" }): void {
    this.#say({ kind: "taken", to: [{ from, id }] });
    const key = JSON.stringify([authorization, query]);
    const known = this.#errands.get(key);
    if (known) {
      if (!known.asked.some((other) => other.from === from && other.id === id)) known.asked.push({ from, id });
      return;
    }
    const errand: Errand = { controller: new AbortController(), asked: [{ from, id }] };
    this.#errands.set(key, errand);
    this.#heart ??= setInterval(() => this.#beat(), HERE_EVERY_MS);
    const over = (said: { kind: "answer"; answer: Answer } | { kind: "failed"; reason: string }) => {
      if (this.#errands.get(key) === errand) this.#errands.delete(key);
      // Who dropped it knows; and who asked a leader that resigned asks the next one.
      if (!errand.controller.signal.aborted) this.#say({ ...said, to: errand.asked });
    };
    this.#pool(authorization)
      .ask(query, errand.controller.signal)
      .then(
        (answer) => over({ kind: "answer", answer }),
        (error) => over({ kind: "failed", reason: String(error) }),
      );
  }

  #beat(): void {
    if (this.#errands.size > 0) return this.#say({ kind: "here", from: this.#me });
    clearInterval(this.#heart);
    this.#heart = undefined;
  }

  #drop(isGone: (address: Address) => boolean): void {
    for (const [key, errand] of this.#errands) {
      errand.asked = errand.asked.filter((address) => !isGone(address));
      if (errand.asked.length > 0) continue;
      this.#errands.delete(key);
      errand.controller.abort();
    }
  }

  #campaign(): void {
    if (document.hidden || this.#resign) return;
    const waiting = new AbortController();
    this.#resign = () => waiting.abort();
    const lead = () =>
      new Promise<void>((resign) => {
        if (waiting.signal.aborted) return resign();
        this.#resign = resign;
        this.#leads = true;
        this.#say({ kind: "leads", from: this.#me });
        for (const question of this.#questions.values()) this.#askAlone(question);
      });
    navigator.locks.request(this.#name, { signal: waiting.signal }, lead).catch(() => {
      // The wait is over without a leadership; or this page may have no locks, and so no part in this.
      if (waiting.signal.aborted) return;
      this.#channel?.close();
      this.#channel = undefined;
      for (const question of this.#questions.values()) this.#askAlone(question);
    });
  }

  #withdraw(): void {
    const led = this.#leads;
    this.#leads = false;
    this.#resign?.();
    this.#resign = undefined;
    this.#drop(() => true);
    if (led) this.#say({ kind: "resigns", from: this.#me });
  }

  #leave(): void {
    this.#withdraw();
    this.#say({ kind: "gone", from: this.#me });
  }

  /** The page was kept and is shown again: what it had asked was dropped when it left. */
  #comeBack(): void {
    this.#campaign();
    this.#putAll();
  }

  #pool(authorization: string | undefined): LivePool {
    for (const [other, pool] of this.#pools) if (other !== authorization && pool.isEmpty) this.#pools.delete(other);
    let pool = this.#pools.get(authorization);
    if (!pool) {
      pool = new LivePool(this.#shape, authorization, this.#fetch, this.#slots);
      this.#pools.set(authorization, pool);
    }
    return pool;
  }

  #say(said: Said): void {
    this.#channel?.postMessage(said);
  }
}
