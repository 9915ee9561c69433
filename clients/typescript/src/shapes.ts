/** One configuration per shape, as `ShapeStream`, `useShape` and `useShapeWithAbort` take it. Values are always parameters. */
import { FetchError, type GetExtensions, type Row, type ShapeStreamOptions } from "@electric-sql/client";
import { sharedFetch } from "./live/fetch.js";
import { type MessageRow, parser, type PartRow, type SessionRow, type SnapshotRow, type SubtaskRow } from "./rows.js";
import { apiUrl, authorization, type Settings, settled, TokenError } from "./settings.js";

/** What follows a shape of rows of type `T`. */
export type ShapeConfig<T extends Row<unknown>> = ShapeStreamOptions<GetExtensions<T>> & {
  /** Only here to tell the type of the rows; never set. */
  readonly row?: T;
};

export interface ShapeOptions extends Settings {
  /** Only these columns; the key must be among them. */
  columns?: string[];
  /** A name for this reader, which the operator sees in `/v1/admin/subscriptions`. Tabs share only what has the same one. */
  client?: string;
  /** Live answers as server-sent events, each shape over a connection of its own. */
  liveSse?: boolean;
}

/** Sessions, all of them or those that `where` lets through: `sessionsShapeConfig("project_id = $1", { params: [project] })`. */
export function sessionsShapeConfig(where?: string, options: ShapeOptions & { params?: string[] } = {}): ShapeConfig<SessionRow> {
  const { params = [], ...rest } = options;
  return tableConfig<SessionRow>("sessions", where, params, rest);
}

/** One session: a row, or none where it is gone or not to be seen. */
export function sessionShapeConfig(sessionId: string, options?: ShapeOptions): ShapeConfig<SessionRow> {
  return tableConfig<SessionRow>("sessions", "id = $1", [sessionId], options);
}

/** The messages of a session. */
export function messagesShapeConfig(sessionId: string, options?: ShapeOptions): ShapeConfig<MessageRow> {
  return ofSession<MessageRow>("messages", sessionId, options);
}

/** The parts of all messages of a session: what streams. */
export function partsShapeConfig(sessionId: string, options?: ShapeOptions): ShapeConfig<PartRow> {
  return ofSession<PartRow>("parts", sessionId, options);
}

/** The snapshots of a session's working copy. */
export function snapshotHistoryShapeConfig(sessionId: string, options?: ShapeOptions): ShapeConfig<SnapshotRow> {
  return ofSession<SnapshotRow>("snapshot_history", sessionId, options);
}

/** What the tasks came back with that a session handed out. */
export function subtasksShapeConfig(sessionId: string, options?: ShapeOptions): ShapeConfig<SubtaskRow> {
  return ofSession<SubtaskRow>("subtasks", sessionId, options);
}

/**
 * A shape that the operator has named (`[shapes.NAME]` of the settings), with the values that it asks for. Its columns are read as
 * the client reads them by default: `bigint` as BigInt, times as text.
 */
export function customShapeConfig<T extends Row<unknown> = Row>(
  name: string,
  params: Record<string, string> = {},
  options: ShapeOptions & Pick<ShapeConfig<T>, "parser"> = {},
): ShapeConfig<T> {
  const { parser: ownParser, ...rest } = options;
  const config = shapeConfig<T>({ table: name, ...(Object.keys(params).length > 0 && { params }) }, rest);
  return ownParser ? { ...config, parser: ownParser } : config;
}

/** Where a shape's log starts, or goes on after `offset`: what one would give to `curl`. */
export function buildShapeUrl(
  config: Pick<ShapeStreamOptions, "url" | "params">,
  at: { offset?: string; handle?: string; live?: boolean } = {},
): string {
  const url = new URL(config.url);
  for (const [name, value] of Object.entries(config.params ?? {})) {
    if (value === undefined) continue;
    if (typeof value === "function") throw new TypeError(`buildShapeUrl: the parameter ${name} is a function; give its value`);
    if (Array.isArray(value)) {
      if (name === "params") value.forEach((one, n) => url.searchParams.set(`params[${n + 1}]`, one));
      else url.searchParams.set(name, value.join(","));
    } else if (typeof value === "object") {
      for (const [key, one] of Object.entries(value)) url.searchParams.set(`${name}[${key}]`, one);
    } else {
      url.searchParams.set(name, value);
    }
  }
  url.searchParams.set("offset", at.offset ?? "-1");
  if (at.handle !== undefined) url.searchParams.set("handle", at.handle);
  if (at.live) url.searchParams.set("live", "true");
  return url.href;
}

function ofSession<T extends Row<unknown>>(table: string, sessionId: string, options?: ShapeOptions): ShapeConfig<T> {
  return tableConfig<T>(table, "session_id = $1", [sessionId], options);
}

function tableConfig<T extends Row<unknown>>(table: string, where: string | undefined, values: string[], options?: ShapeOptions) {
  const params = Object.fromEntries(values.map((value, n) => [String(n + 1), value]));
  const condition = where !== undefined && { where, ...(values.length > 0 && { params }) };
  return { ...shapeConfig<T>({ table, ...condition }, options), parser } as ShapeConfig<T>;
}

function shapeConfig<T extends Row<unknown>>(params: Record<string, unknown>, options: ShapeOptions = {}): ShapeConfig<T> {
  const { columns, client, liveSse, ...own } = options;
  const settings = settled(own);
  const url = `${apiUrl(settings.url)}/v1/shape`;
  const { token } = settings;
  return {
    url,
    params: { ...params, ...(columns && { columns }), ...(client !== undefined && { client }) },
    ...(token !== undefined && { headers: { authorization: authorization(token) } }),
    ...(typeof token === "function" && { onError: askAgain() }),
    ...(liveSse && { liveSse }),
    ...(settings.fetch ? { fetchClient: settings.fetch } : isShared(settings, url) && SHARED),
  } as ShapeConfig<T>;
}

/** A quiet shape waits there for as long as it is quiet, and whoever asks for it looks after the request. */
const SHARED = { fetchClient: sharedFetch, warnOnHttp: false, liveRequestTimeoutMs: false };

function isShared({ connections }: Settings, url: string): boolean {
  const inBrowser = typeof document !== "undefined";
  return inBrowser && (connections ? connections === "shared" : url.startsWith("http:"));
}

/** Refusals in a row that end a shape: a token may be renewed a moment after it has expired. */
const MAX_REFUSALS = 6;
/** What lies further apart is not in a row: the client asks again within seconds. */
const IN_A_ROW_MS = 60_000;

/** Asks for the token again after a 401, and where there was none to be had. */
function askAgain() {
  let [refusals, last] = [0, 0];
  return (error: Error): void | Record<string, never> => {
    if (error instanceof TokenError) return {};
    if (!isUnauthenticated(error)) return;
    refusals = Date.now() - last > IN_A_ROW_MS ? 1 : refusals + 1;
    last = Date.now();
    if (refusals < MAX_REFUSALS) return {};
  };
}

/** Whether an error says that the reader has to show who they are. */
export function isUnauthenticated(error: unknown): boolean {
  return error instanceof FetchError && error.status === 401;
}
