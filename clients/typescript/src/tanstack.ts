/**
 * `@plue/sync/tanstack`: options for `createCollection` of TanStack DB, for the tables of agent state.
 *
 * Handlers of writes give the `txid` that the collection waits for, as the answers of the agent client have it:
 * `onUpdate: ({ transaction: { mutations: [{ original, changes }] } }) => agent.messages.update(session, original.id, changes)`.
 */
import type { Row } from "@electric-sql/client";
import { type ElectricCollectionConfig, electricCollectionOptions } from "@tanstack/electric-db-collection";
import type { MessageRow, PartRow, SessionRow, SnapshotRow, SubtaskRow } from "./rows.js";
import {
  messagesShapeConfig,
  partsShapeConfig,
  type ShapeConfig,
  type ShapeOptions,
  sessionsShapeConfig,
  snapshotHistoryShapeConfig,
  subtasksShapeConfig,
} from "./shapes.js";

type Given<T extends Row<unknown>> = Pick<ElectricCollectionConfig<T>, "onInsert" | "onUpdate" | "onDelete">;

/** What a collection does when it is written to; `txid` is `null` where nothing had to change. */
export type Handlers<T extends Row<unknown>> = {
  [On in keyof Given<T>]?: (written: Parameters<NonNullable<Given<T>[On]>>[0]) => Promise<{ txid: number | null }>;
};

/** Sessions, all of them or those that `where` lets through. */
export function sessionsCollection(where?: string, options?: ShapeOptions & { params?: string[] }, handlers?: Handlers<SessionRow>) {
  return electricCollectionOptions<SessionRow>(collection(sessionsShapeConfig(where, options), handlers));
}

/** The messages of a session. */
export function messagesCollection(sessionId: string, options?: ShapeOptions, handlers?: Handlers<MessageRow>) {
  return electricCollectionOptions<MessageRow>(collection(messagesShapeConfig(sessionId, options), handlers));
}

/** The parts of all messages of a session. */
export function partsCollection(sessionId: string, options?: ShapeOptions, handlers?: Handlers<PartRow>) {
  return electricCollectionOptions<PartRow>(collection(partsShapeConfig(sessionId, options), handlers));
}

/** The snapshots of a session's working copy. */
export function snapshotHistoryCollection(sessionId: string, options?: ShapeOptions, handlers?: Handlers<SnapshotRow>) {
  return electricCollectionOptions<SnapshotRow>(collection(snapshotHistoryShapeConfig(sessionId, options), handlers));
}

/** What the tasks of a session came back with. */
export function subtasksCollection(sessionId: string, options?: ShapeOptions, handlers?: Handlers<SubtaskRow>) {
  return electricCollectionOptions<SubtaskRow>(collection(subtasksShapeConfig(sessionId, options), handlers));
}

function collection<T extends Row<unknown> & { id: string | number }>(shapeOptions: ShapeConfig<T>, handlers: Handlers<T> = {}) {
  const waited = Object.entries(handlers).map(([on, handle]) => {
    const waitFor = async (written: never) => {
      const { txid } = await handle(written);
      // Nothing comes of a write that changed nothing.
      return txid === null ? undefined : { txid };
    };
    return [on, waitFor];
  });
  const own = Object.fromEntries(waited) as Given<T>;
  return { id: JSON.stringify(shapeOptions.params), shapeOptions, getKey: (row: T) => row.id, ...own };
}
