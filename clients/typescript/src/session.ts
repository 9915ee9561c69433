/** Pure functions: rows of shapes -> a session as a tree, in order. */
import type { MessageRow, PartRow, SessionRow, SnapshotRow, SubtaskRow } from "./rows.js";

export interface MessageWithParts {
  readonly message: MessageRow;
  /** In their order. */
  readonly parts: readonly PartRow[];
}

type Order<T> = (a: T, b: T) => number;

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** As the API lists sessions: the one updated last first. */
export const sessionOrder: Order<SessionRow> = (a, b) => b.time_updated - a.time_updated || byText(a.id, b.id);
export const messageOrder: Order<MessageRow> = (a, b) => a.time_created - b.time_created || byText(a.id, b.id);
export const partOrder: Order<PartRow> = (a, b) => a.sort_order - b.sort_order || byText(a.id, b.id);
export const snapshotOrder: Order<SnapshotRow> = (a, b) => a.sort_order - b.sort_order;
export const subtaskOrder: Order<SubtaskRow> = (a, b) => a.id - b.id;

/** The same rows in order. */
export function sorted<T>(rows: readonly T[], order: Order<T>): readonly T[] {
  return rows.every((row, n) => n === 0 || order(rows[n - 1] as T, row) <= 0) ? rows : [...rows].sort(order);
}

/** Whether two lists have the same objects in the same order. */
export function isSame<T>(a: readonly T[], b: readonly T[]): boolean {
  return a === b || (a.length === b.length && a.every((one, n) => one === b[n]));
}

/**
 * Makes a function that puts parts below their messages. What did not change since its last call is the same object as then, also
 * a list as a whole, so that only what moved is drawn again. Parts of messages that are not there (yet) are left out.
 */
export function treeBuilder(): (messages: readonly MessageRow[], parts: readonly PartRow[]) => readonly MessageWithParts[] {
  let last: { messages: readonly MessageRow[]; parts: readonly PartRow[]; tree: readonly MessageWithParts[] } | undefined;
  let known = new Map<string, MessageWithParts>();
  return (messages, parts) => {
    if (last?.messages === messages && last.parts === parts) return last.tree;
    const below = partsByMessage(parts);
    const tree = sorted(messages, messageOrder).map((message): MessageWithParts => {
      const own = below.get(message.id) ?? NO_PARTS;
      const before = known.get(message.id);
      const same = before && isSame(before.parts, own) ? before.parts : own;
      return before?.message === message && before.parts === same ? before : { message, parts: same };
    });
    known = new Map(tree.map((entry) => [entry.message.id, entry]));
    last = { messages, parts, tree: last && isSame(last.tree, tree) ? last.tree : tree };
    return last.tree;
  };
}

const NO_PARTS: readonly PartRow[] = [];

/** The parts of each message, in order. */
export function partsByMessage(parts: readonly PartRow[]): Map<string, readonly PartRow[]> {
  const below = new Map<string, PartRow[]>();
  for (const part of parts) {
    const list = below.get(part.message_id);
    if (list) list.push(part);
    else below.set(part.message_id, [part]);
  }
  for (const list of below.values()) list.sort(partOrder);
  return below;
}

/** What a session has used, over all of its messages. */
export interface Totals {
  cost: number;
  input: number;
  output: number;
  reasoning: number;
  cacheRead: number;
  cacheWrite: number;
}

export function totals(messages: readonly MessageRow[]): Totals {
  const sum = (of: (message: MessageRow) => number | null): number => messages.reduce((all, message) => all + (of(message) ?? 0), 0);
  return {
    cost: sum((message) => message.cost),
    input: sum((message) => message.tokens_input),
    output: sum((message) => message.tokens_output),
    reasoning: sum((message) => message.tokens_reasoning),
    cacheRead: sum((message) => message.tokens_cache_read),
    cacheWrite: sum((message) => message.tokens_cache_write),
  };
}
