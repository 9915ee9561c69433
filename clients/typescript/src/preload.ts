/**
 * Rows rendered on a server, and the place in each shape's log from which a browser goes on: no second snapshot.
 *
 * The browser's client is given, as the answer to its first request, what the server has read; from there on it asks for itself.
 */
import { type ColumnInfo, type Row, ShapeStream } from "@electric-sql/client";
import { responseOf } from "./response.js";
import {
  messagesShapeConfig,
  partsShapeConfig,
  sessionShapeConfig,
  sessionsShapeConfig,
  type ShapeConfig,
  type ShapeOptions,
  snapshotHistoryShapeConfig,
  subtasksShapeConfig,
} from "./shapes.js";

type RawRow = Record<string, string | null>;

/** What was read of a shape, as plain JSON. */
export interface PreloadedShape {
  handle: string;
  offset: string;
  /** The header `electric-schema`. */
  schema: string;
  /** The message `snapshot-end`: the transactions that the first rows contain. */
  snapshot?: object;
  /** Each with its key, as they are on the wire. */
  rows: [key: string, row: RawRow][];
}

/** By `shapeKey`. Plain JSON: put it into the page as any other data. */
export type Preloaded = Record<string, PreloadedShape>;

/** What a shape is: the same for a server and a browser, though they may reach it by other addresses and tokens. */
export function shapeKey({ params = {} }: { params?: object | undefined }): string {
  const plain = (_: string, value: unknown): unknown =>
    value && typeof value === "object" && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : typeof value === "function"
        ? String(value)
        : value;
  return JSON.stringify({ ...params, client: undefined }, plain);
}

/** A session and all that is below it. */
export async function preloadSession(sessionId: string, options: ShapeOptions & Stop = {}): Promise<Preloaded> {
  const { signal, ...own } = options;
  const shapes = [sessionShapeConfig, messagesShapeConfig, partsShapeConfig, snapshotHistoryShapeConfig, subtasksShapeConfig];
  return preloadAll(shapes.map((config) => config(sessionId, own) as ShapeConfig<Row<unknown>>), { signal });
}

/** A list of sessions. */
export async function preloadSessions(where?: string, options: ShapeOptions & { params?: string[] } & Stop = {}): Promise<Preloaded> {
  const { signal, ...own } = options;
  return preloadShape(sessionsShapeConfig(where, own), { signal });
}

/** Any shape. */
export async function preloadShape<T extends Row<unknown>>(config: ShapeConfig<T>, { signal }: Stop = {}): Promise<Preloaded> {
  return { [shapeKey(config)]: await read(config as ShapeConfig<Row<unknown>>, signal) };
}

interface Stop {
  /** Gives up, for example `AbortSignal.timeout(2_000)`; without it an absent server is waited for. */
  signal?: AbortSignal | undefined;
}

async function preloadAll(configs: ShapeConfig<Row<unknown>>[], stop: Stop): Promise<Preloaded> {
  const read = await Promise.all(configs.map((config) => preloadShape(config, stop)));
  return Object.assign({}, ...read) as Preloaded;
}

/** Has the official client read a shape to its end, and keeps what it was sent. */
async function read(config: ShapeConfig<Row<unknown>>, signal?: AbortSignal): Promise<PreloadedShape> {
  signal?.throwIfAborted();
  const rows = new Map<string, RawRow>();
  const at: Omit<PreloadedShape, "rows"> = { handle: "", offset: "", schema: "{}" };
  const ask = config.fetchClient ?? fetch;
  const noted: typeof fetch = async (...asked) => {
    const response = await ask(...asked);
    const body = await response.text();
    if (response.ok) note(body, response.headers);
    return responseOf(body, response);
  };
  const note = (body: string, headers: Headers) => {
    const handle = headers.get("electric-handle") ?? at.handle;
    // Another generation of the shape starts from nothing.
    if (handle !== at.handle) rows.clear();
    at.handle = handle;
    at.offset = headers.get("electric-offset") ?? at.offset;
    at.schema = headers.get("electric-schema") ?? at.schema;
    for (const { key, value, headers } of JSON.parse(body || "[]") as Change[]) {
      if (headers.control === "snapshot-end") at.snapshot = headers;
      if (key === undefined) continue;
      if (headers.operation === "delete") rows.delete(key);
      else rows.set(key, { ...rows.get(key), ...value });
    }
  };
  const stream = new ShapeStream<Row<unknown>>({ ...config, onError: () => undefined, subscribe: false, fetchClient: noted, signal });
  let aborted = (): void => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      stream.subscribe(() => {
        if (stream.isUpToDate) resolve();
      }, reject);
      aborted = () => reject(signal?.reason);
      signal?.addEventListener("abort", aborted);
    });
  } finally {
    signal?.removeEventListener("abort", aborted);
  }
  return { ...at, rows: [...rows] };
}

interface Change {
  key?: string;
  value?: RawRow;
  headers: { operation?: string; control?: string };
}

/** A `fetch` that answers the first request of a shape with what was preloaded, and passes all others on. */
export function resumedFetch({ handle, offset, schema, snapshot, rows }: PreloadedShape, next: typeof fetch = (...asked) => fetch(...asked)): typeof fetch {
  let isGiven = false;
  return async (input, init) => {
    const isFirst = !isGiven && new URL(String(input)).searchParams.get("offset") === "-1";
    isGiven = true;
    if (!isFirst) return next(input, init);
    const inserts = rows.map(([key, value]) => ({ key, value, headers: { operation: "insert" } }));
    const controls = [...(snapshot ? [snapshot] : []), { control: "up-to-date" }].map((headers) => ({ headers }));
    return new Response(JSON.stringify([...inserts, ...controls]), {
      headers: { "electric-handle": handle, "electric-offset": offset, "electric-schema": schema, "electric-up-to-date": "" },
    });
  };
}

/** The preloaded rows as the shape itself will show them, for the first render. */
export function preloadedRows<T extends Row<unknown>>({ schema, rows }: PreloadedShape, { parser = {} }: Pick<ShapeConfig<T>, "parser">): T[] {
  const columns = JSON.parse(schema) as Record<string, ColumnInfo>;
  const parsers = { ...DEFAULTS, ...parser } as Record<string, (text: string, column: ColumnInfo) => unknown>;
  const read = ([name, value]: [string, string | null]): [string, unknown] => {
    const column = columns[name];
    // Arrays are left to the client, whose own reading of them follows at once.
    const parse = column && !column.dims ? parsers[column.type] : undefined;
    return [name, value === null || !parse ? value : parse(value, column as ColumnInfo)];
  };
  return rows.map(([, row]) => Object.fromEntries(Object.entries(row).map(read)) as T);
}

/** As the client reads them, which keeps its own to itself. */
const DEFAULTS: Record<string, (text: string) => unknown> = {
  int2: Number,
  int4: Number,
  int8: BigInt,
  float4: Number,
  float8: Number,
  bool: (text) => text === "true" || text === "t",
  json: (text) => JSON.parse(text),
  jsonb: (text) => JSON.parse(text),
};
