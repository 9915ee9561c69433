/** Hooks for the tables of agent state. Without an id they follow nothing and stay loading. */
import type { Row } from "@electric-sql/client";
import { useMemo } from "react";
import type { MessageRow, PartRow, SessionRow, SnapshotRow, SubtaskRow } from "../rows.js";
import {
  isSame,
  type MessageWithParts,
  messageOrder,
  partOrder,
  partsByMessage,
  sessionOrder,
  snapshotOrder,
  sorted,
  subtaskOrder,
  treeBuilder,
} from "../session.js";
import {
  messagesShapeConfig,
  partsShapeConfig,
  sessionShapeConfig,
  sessionsShapeConfig,
  type ShapeConfig,
  type ShapeOptions,
  snapshotHistoryShapeConfig,
  subtasksShapeConfig,
} from "../shapes.js";
import type { ShapeResult } from "./subscription.js";
import { useSelection, useShapeWithAbort } from "./use-shape.js";

type Id = string | null | undefined;

export interface HookOptions extends ShapeOptions {
  /** How long the subscription outlives the last component that shows it, in ms; 1000. */
  timeout?: number;
}

/** Sessions, the one updated last first: all of them, or those that `where` lets through. */
export function useSessionsShape(where?: string, options: HookOptions & { params?: string[] } = {}): ShapeResult<SessionRow> {
  const { timeout, ...own } = options;
  return useSorted(sessionsShapeConfig(where, own), sessionOrder, timeout);
}

/** One session; `session` is `undefined` while it loads, and where it is gone or not to be seen. */
export function useSession(sessionId: Id, options?: HookOptions): ShapeResult<SessionRow> & { session: SessionRow | undefined } {
  const result = useOfSession(sessionShapeConfig, sessionId, undefined, options);
  return useMemo(() => ({ ...result, session: result.data[0] }), [result]);
}

/** The messages of a session, in order. */
export function useMessagesShape(sessionId: Id, options?: HookOptions): ShapeResult<MessageRow> {
  return useOfSession(messagesShapeConfig, sessionId, messageOrder, options);
}

/** All parts of a session, by their order within their message. */
export function usePartsShape(sessionId: Id, options?: HookOptions): ShapeResult<PartRow> {
  return useOfSession(partsShapeConfig, sessionId, partOrder, options);
}

/** The parts of one message, in order: a share of the session's, and no subscription of its own. The list is the same while they are. */
export function useMessageParts(sessionId: Id, messageId: Id, { timeout, ...options }: HookOptions = {}): readonly PartRow[] {
  const select = useMemo(() => (result: ShapeResult<PartRow>) => (messageId ? partsOf(result, messageId) : NO_PARTS), [messageId]);
  return useSelection(sessionId ? partsShapeConfig(sessionId, options) : undefined, timeout, select);
}

const NO_PARTS: readonly PartRow[] = [];

/** The parts of each message, made once for all who show one, and the same lists as before where they are. */
function partsOf({ stream, data }: ShapeResult<PartRow>, messageId: string): readonly PartRow[] {
  const owner = stream ?? data;
  let known = indexes.get(owner);
  if (known?.data !== data) {
    const parts = partsByMessage(data);
    for (const [id, list] of parts) {
      const before = known?.parts.get(id);
      if (before && isSame(before, list)) parts.set(id, before);
    }
    known = { data, parts };
    indexes.set(owner, known);
  }
  return known.parts.get(messageId) ?? NO_PARTS;
}

const indexes = new WeakMap<object, { data: readonly PartRow[]; parts: Map<string, readonly PartRow[]> }>();

/** The snapshots of a session's working copy, in order. */
export function useSnapshotHistoryShape(sessionId: Id, options?: HookOptions): ShapeResult<SnapshotRow> {
  return useOfSession(snapshotHistoryShapeConfig, sessionId, snapshotOrder, options);
}

/** What the tasks came back with that a session handed out, oldest first. */
export function useSubtasksShape(sessionId: Id, options?: HookOptions): ShapeResult<SubtaskRow> {
  return useOfSession(subtasksShapeConfig, sessionId, subtaskOrder, options);
}

export interface SessionRealtime {
  /** `undefined` while it loads, and where it is gone or not to be seen. */
  session: SessionRow | undefined;
  /** In order. What did not change is the same object as before. */
  messages: readonly MessageWithParts[];
  isLoading: boolean;
  isUpToDate: boolean;
  error: Error | undefined;
}

/** A session with its messages and their parts, live. */
export function useSessionRealtime(sessionId: Id, options?: HookOptions): SessionRealtime {
  const session = useOfSession(sessionShapeConfig, sessionId, undefined, options);
  const messages = useOfSession(messagesShapeConfig, sessionId, undefined, options);
  const parts = useOfSession(partsShapeConfig, sessionId, undefined, options);
  const build = useMemo(treeBuilder, [sessionId]);
  const tree = build(messages.data, parts.data);
  const all = [session, messages, parts];
  const isLoading = all.some((shape) => shape.isLoading);
  const isUpToDate = all.every((shape) => shape.isUpToDate);
  const error = all.find((shape) => shape.error)?.error;
  const row = session.data[0];
  return useMemo(() => ({ session: row, messages: tree, isLoading, isUpToDate, error }), [row, tree, isLoading, isUpToDate, error]);
}

function useOfSession<T extends Row<unknown>>(
  config: (sessionId: string, options?: ShapeOptions) => ShapeConfig<T>,
  sessionId: Id,
  order: ((a: T, b: T) => number) | undefined,
  { timeout, ...options }: HookOptions = {},
): ShapeResult<T> {
  return useSorted(sessionId ? config(sessionId, options) : undefined, order, timeout);
}

function useSorted<T extends Row<unknown>>(config: ShapeConfig<T> | undefined, order: ((a: T, b: T) => number) | undefined, timeout?: number): ShapeResult<T> {
  const result = useShapeWithAbort<T>(config, timeout);
  return useMemo(() => (order ? { ...result, data: sorted(result.data, order) } : result), [result, order]);
}
