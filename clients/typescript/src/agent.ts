/**
 * Writes for agents. Ids are chosen here where the caller names none, so that what creates something can be sent again when its answer
 * was lost, without being done twice. If somebody has changed it in between, that second try is told `already_exists`.
 */
import type { Json, MessageRow, MessageStatus, PartRow, SessionRow, SnapshotRow, SubtaskRow, ToolState } from "./rows.js";
import { apiUrl, authorization, type Settings, settled } from "./settings.js";

/** What every write answers, after its commit. */
export interface Written {
  /** What the shape log shows in `txids`; `null` if nothing changed. See `awaitTxId`. */
  txid: number | null;
  /** No earlier than the commit: an unsigned 64-bit number as text. */
  lsn: string;
}

/** A row as the API has it: times that the shapes give as `Date` are text here. */
export type Answered<Row> = { [Column in keyof Row]: Row[Column] extends Date ? string : Row[Column] };

type Columns<Row, Required extends keyof Row> = Pick<Row, Required> & Partial<Omit<Row, Required>>;

export type NewSession = Columns<Omit<SessionRow, "time_updated">, "directory" | "title">;
export type SessionPatch = Partial<Omit<SessionRow, "id" | "time_created" | "time_updated">>;

export interface NewPart {
  id?: string;
  type: PartRow["type"];
  text?: string | null;
  tool_name?: string | null;
  tool_state?: ToolState | null;
  mime?: string | null;
  url?: string | null;
  filename?: string | null;
  time_start?: number | null;
  time_end?: number | null;
  sort_order?: number;
}

type MessageColumns = Omit<MessageRow, "id" | "session_id" | "role" | "created_at">;
export type NewMessage = Partial<MessageColumns> & { id?: string; role: MessageRow["role"]; parts?: NewPart[] };
export type MessagePatch = Partial<Omit<MessageColumns, "time_created">> & { status?: MessageStatus | null };

export type AnsweredMessage = Answered<MessageRow> & { parts: PartRow[] };

/** An answer that is no success. `code` is for programs and never changes; `message` says what to do. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryAfterMs: number | undefined,
  ) {
    super(message);
  }
}

export interface AgentSettings extends Pick<Settings, "url" | "token" | "fetch"> {
  /**
   * How often a request is sent again that the server had no time for (`busy`, `unavailable`, 429); 4. What may have been done,
   * because its answer was lost (`outcome_unknown`, a broken connection), is sent again only where that does no harm: what creates
   * something under an id, a part that has not been saved again since, and what reads.
   */
  retries?: number;
  /** Ends all requests of this client. */
  signal?: AbortSignal;
}

export type AgentClient = ReturnType<typeof createAgentClient>;

export function createAgentClient(settings: AgentSettings = {}) {
  const send = sender(settings);
  /** The last save of each part that is on its way: an older one that is sent again must not come after it. */
  const saves = new Map<string, object>();
  const at = (sessionId: string, ...path: string[]) => ["/v1/sessions", sessionId, ...path].map((step, n) => (n === 0 ? step : encodeURIComponent(step))).join("/");
  return {
    sessions: {
      /** The one updated last first. Give `next` as `after` for the next page. */
      list: (page: { project_id?: string; archived?: boolean; limit?: number; after?: string } = {}) =>
        send<{ sessions: SessionRow[]; next: string | null }>("GET", `/v1/sessions${queryOf(page)}`),
      get: (sessionId: string) => send<{ session: SessionRow }>("GET", at(sessionId)),
      create: (session: NewSession) => send<Written & { session: SessionRow }>("POST", "/v1/sessions", withId("ses", session), always),
      /** Changes the fields that are named; `null` clears one. */
      update: (sessionId: string, patch: SessionPatch) => send<Written & { session: SessionRow }>("PATCH", at(sessionId), patch),
      /** With everything below it. */
      delete: (sessionId: string) => send<Written>("DELETE", at(sessionId)),
      /** Everything below it; the session stays. */
      clear: (sessionId: string) => send<Written>("DELETE", at(sessionId, "state")),
    },
    messages: {
      /** In order, each with its parts. */
      list: (sessionId: string) => send<{ messages: AnsweredMessage[] }>("GET", at(sessionId, "messages")),
      append: (sessionId: string, message: NewMessage) =>
        send<Written & { message: AnsweredMessage }>("POST", at(sessionId, "messages"), withId("msg", { ...message, ...(message.parts && { parts: withPartIds(message.parts) }) }), always),
      /** The whole list, in place of what is there; rows that stay equal are not touched. */
      replace: (sessionId: string, messages: (NewMessage & { id: string })[]) =>
        send<Written & { messages: AnsweredMessage[] }>("PUT", at(sessionId, "messages"), { messages }),
      update: (sessionId: string, messageId: string, patch: MessagePatch) =>
        send<Written & { message: Answered<MessageRow> }>("PATCH", at(sessionId, "messages", messageId), patch),
      delete: (sessionId: string, messageId: string) => send<Written>("DELETE", at(sessionId, "messages", messageId)),
    },
    parts: {
      append: (sessionId: string, messageId: string, parts: NewPart[]) =>
        send<Written & { parts: PartRow[] }>("POST", at(sessionId, "messages", messageId, "parts"), withPartIds(parts), always),
      /** Creates the part, or replaces it as a whole. */
      async save(sessionId: string, messageId: string, part: NewPart & { id: string }) {
        const [path, save] = [at(sessionId, "messages", messageId, "parts", part.id), {}];
        saves.set(path, save);
        const isLast = () => saves.get(path) === save;
        try {
          return await send<Written & { part: PartRow }>("PUT", path, part, isLast);
        } finally {
          if (isLast()) saves.delete(path);
        }
      },
      delete: (sessionId: string, messageId: string, partId: string) =>
        send<Written>("DELETE", at(sessionId, "messages", messageId, "parts", partId)),
    },
    snapshots: {
      list: (sessionId: string) => send<{ snapshots: Answered<SnapshotRow>[] }>("GET", at(sessionId, "snapshots")),
      /** At the next place, unless `sort_order` names it. */
      append: (sessionId: string, snapshot: { change_id: string; sort_order?: number }) =>
        send<Written & { snapshot: Answered<SnapshotRow> }>("POST", at(sessionId, "snapshots"), snapshot, () => snapshot.sort_order !== undefined),
      replace: (sessionId: string, snapshots: { change_id: string; sort_order?: number }[]) =>
        send<Written & { snapshots: Answered<SnapshotRow>[] }>("PUT", at(sessionId, "snapshots"), { snapshots }),
    },
    subtasks: {
      list: (sessionId: string) => send<{ subtasks: Answered<SubtaskRow>[] }>("GET", at(sessionId, "subtasks")),
      append: (sessionId: string, subtask: { result: Json; key?: string }) =>
        send<Written & { subtask: Answered<SubtaskRow> }>("POST", at(sessionId, "subtasks"), { ...subtask, key: subtask.key ?? newId("sub") }, always),
      clear: (sessionId: string) => send<Written>("DELETE", at(sessionId, "subtasks")),
    },
  };
}

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** Answers that say that nothing was done, and that the same request may work later. */
const NOTHING_DONE = ["busy", "unavailable", "too_many_requests"];
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 10_000;

const always = () => true;
const never = () => false;

function sender(settings: AgentSettings) {
  const { retries = 4, signal } = settings;
  /** `mayRepeat`: whether the request may be sent again that may have been done. */
  return async function send<Answer>(method: Method, path: string, body?: unknown, mayRepeat = method === "GET" ? always : never): Promise<Answer> {
    const text = JSON.stringify(body);
    for (let tried = 0; ; tried++) {
      try {
        return await once<Answer>(settings, method, path, text);
      } catch (error) {
        const isRefused = error instanceof ApiError;
        const isLost = isRefused ? error.status === 503 && !NOTHING_DONE.includes(error.code) : error instanceof TypeError;
        const isPassing = isLost ? mayRepeat() : isRefused && NOTHING_DONE.includes(error.code);
        if (!isPassing || tried >= retries || signal?.aborted) throw error;
        const wait = Math.max(Math.random() * FIRST_WAIT_MS * 2 ** tried, (isRefused && error.retryAfterMs) || 0);
        await pause(Math.min(wait, LONGEST_WAIT_MS), signal);
      }
    }
  };
}

async function once<Answer>(given: AgentSettings, method: Method, path: string, body: string | undefined): Promise<Answer> {
  const { url, token, fetch: ask = fetch } = settled(given);
  const bearer = token === undefined ? undefined : authorization(token);
  const headers = {
    ...(body !== undefined && { "content-type": "application/json" }),
    ...(bearer !== undefined && { authorization: typeof bearer === "string" ? bearer : await bearer() }),
  };
  const response = await ask(`${apiUrl(url)}${path}`, {
    method,
    headers,
    ...(body !== undefined && { body }),
    ...(given.signal && { signal: given.signal }),
  });
  if (response.ok) return (await response.json()) as Answer;
  const said = (await response.json().catch(() => ({}))) as { code?: string; message?: string };
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  const message = said.message ?? `${method} ${path} was answered ${response.status}`;
  throw new ApiError(response.status, said.code ?? "unknown", message, Number.isFinite(seconds) ? seconds * 1000 : undefined);
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = () => (clearTimeout(timer), reject(signal?.reason));
    const over = () => (signal?.removeEventListener("abort", aborted), resolve());
    const timer = setTimeout(over, ms);
    signal?.addEventListener("abort", aborted, { once: true });
  });
}

function queryOf(given: Record<string, string | number | boolean | undefined>): string {
  const named = Object.entries(given).filter(([, value]) => value !== undefined);
  return named.length === 0 ? "" : `?${new URLSearchParams(named.map(([name, value]) => [name, String(value)]))}`;
}

function withId<T extends { id?: string }>(prefix: string, row: T): T & { id: string } {
  return { ...row, id: row.id ?? newId(prefix) };
}

function withPartIds(parts: NewPart[]): NewPart[] {
  return parts.map((part) => withId("prt", part));
}

/** Sortable by time, as those of the server: 48 bits of milliseconds, then randomness. */
export function newId(prefix: string): string {
  const random = crypto.getRandomValues(new Uint8Array(10));
  const hex = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${prefix}_${Date.now().toString(16).padStart(12, "0")}${hex}`;
}
