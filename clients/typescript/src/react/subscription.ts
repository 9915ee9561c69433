/** One subscription per shape, however many components show it. */
import { type Row, Shape, ShapeStream } from "@electric-sql/client";
import { type PreloadedShape, preloadedRows, resumedFetch } from "../preload.js";
import type { ShapeConfig } from "../shapes.js";
import { rememberTxIds } from "../txid.js";

/** What a shape shows at one moment. A new object for each change; rows that did not change are the same objects. */
export interface ShapeResult<T extends Row<unknown>> {
  readonly data: readonly T[];
  /** Until the rows are there for the first time. */
  readonly isLoading: boolean;
  /** Whether the rows are all that the server had when it last answered. */
  readonly isUpToDate: boolean;
  /** What ended the shape, if anything did: a refusal. An absent network does not; it is tried again. */
  readonly error: Error | undefined;
  readonly isError: boolean;
  /** Unix milliseconds. */
  readonly lastSyncedAt: number | undefined;
  /** For `awaitTxId`; absent on a server and before the first effect. */
  readonly stream: ShapeStream<T> | undefined;
}

export const LOADING: ShapeResult<never> = {
  data: [],
  isLoading: true,
  isUpToDate: false,
  error: undefined,
  isError: false,
  lastSyncedAt: undefined,
  stream: undefined,
};

/** By `subscriptionKey`. */
const subscriptions = new Map<string, Subscription<Row<unknown>>>();

/** A timer can wait no longer. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

class Subscription<T extends Row<unknown>> {
  result: ShapeResult<T>;
  readonly #key: string;
  readonly #config: ShapeConfig<T>;
  readonly #listeners = new Set<() => void>();
  #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What ended the stream. */
  #error: Error | undefined;

  constructor(key: string, config: ShapeConfig<T>, preloaded: PreloadedShape | undefined) {
    this.#key = key;
    this.#config = config;
    this.result = preloaded ? preloadedResult(preloaded, config) : LOADING;
    config.signal?.addEventListener("abort", this.#abort);
    this.#begin(preloaded ? resumedFetch(preloaded, config.fetchClient) : config.fetchClient);
  }

  /** Until the function that it gives is called, and `timeout` ms more unless somebody else comes. */
  add(listener: () => void, timeout: number): () => void {
    clearTimeout(this.#timer);
    this.#listeners.add(listener);
    // Whoever comes to a shape that was refused tries again, for all who show it.
    if (this.#error) this.#begin(this.#config.fetchClient);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#timer = setTimeout(() => this.#end(), Math.min(timeout, MAX_TIMEOUT_MS));
    };
  }

  #begin(fetchClient: typeof fetch | undefined): void {
    const controller = new AbortController();
    this.#controller = controller;
    this.#error = undefined;
    if (this.#config.signal?.aborted) controller.abort(this.#config.signal.reason);
    // Without `onError` an error would also be thrown, to nobody.
    const stream = new ShapeStream<T>({ onError: () => undefined, ...this.#config, fetchClient, signal: controller.signal });
    rememberTxIds(stream);
    const shape = new Shape<T>(stream);
    const look = (error?: Error) => {
      if (this.#controller !== controller) return;
      this.#error ??= error;
      this.#show(shape, stream);
    };
    shape.subscribe(() => look());
    // A shape keeps only refusals of the server; its stream tells of the rest.
    stream.subscribe(() => undefined, look);
  }

  /** What there is stays shown for as long as somebody looks. */
  readonly #abort = (): void => this.#controller.abort(this.#config.signal?.reason);

  #end(): void {
    if (subscriptions.get(this.#key) === (this as unknown)) subscriptions.delete(this.#key);
    this.#config.signal?.removeEventListener("abort", this.#abort);
    this.#controller.abort();
  }

  #show(shape: Shape<T>, stream: ShapeStream<T>): void {
    const error = this.#error ?? (shape.error || undefined);
    this.result = {
      data: shape.currentRows,
      isLoading: shape.isLoading() && !error,
      isUpToDate: shape.isUpToDate && !error,
      error,
      isError: error !== undefined,
      lastSyncedAt: shape.lastSyncedAt(),
      stream,
    };
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Follows a shape for as long as it is not told to stop. */
export function follow<T extends Row<unknown>>(
  key: string,
  config: ShapeConfig<T>,
  preloaded: PreloadedShape | undefined,
  timeout: number,
  listener: () => void,
): () => void {
  let subscription = subscriptions.get(key) as Subscription<T> | undefined;
  if (!subscription) {
    subscription = new Subscription(key, config, preloaded && isNew(preloaded) ? preloaded : undefined);
    if (preloaded) used.add(preloaded);
    subscriptions.set(key, subscription as unknown as Subscription<Row<unknown>>);
  }
  return subscription.add(listener, timeout);
}

/** Whether what a server has read is still to be shown: later it would be the past. */
export function isNew(preloaded: PreloadedShape): boolean {
  return !used.has(preloaded);
}

const used = new WeakSet<PreloadedShape>();

/** What is known of a shape now. */
export function resultOf<T extends Row<unknown>>(key: string): ShapeResult<T> | undefined {
  return (subscriptions.get(key) as Subscription<T> | undefined)?.result;
}

/** The first result of a shape that a server has read; the same object each time. */
export function preloadedResult<T extends Row<unknown>>(preloaded: PreloadedShape, config: ShapeConfig<T>): ShapeResult<T> {
  let result = preloadedResults.get(preloaded) as ShapeResult<T> | undefined;
  if (!result) {
    result = { ...LOADING, data: preloadedRows<T>(preloaded, config), isLoading: false };
    preloadedResults.set(preloaded, result);
  }
  return result;
}

const preloadedResults = new WeakMap<PreloadedShape, unknown>();

/** Whose subscription may be shared: the same shape at the same address, for the same token. `shape` is its `shapeKey`. */
export function subscriptionKey(shape: string, { url, params, headers = {}, log, liveSse, offset, handle }: ShapeConfig<Row<unknown>>): string {
  const told = Object.entries(headers).map(([name, value]) => [name, typeof value === "function" ? numberOf(value) : value]);
  const client = (params as Record<string, unknown> | undefined)?.client;
  return JSON.stringify([url, shape, client, told, log, liveSse, offset, handle]);
}

/** A function is only equal to itself. */
function numberOf(value: object): number {
  let number = numbers.get(value);
  if (number === undefined) {
    number = ++count;
    numbers.set(value, number);
  }
  return number;
}

const numbers = new WeakMap<object, number>();
let count = 0;
