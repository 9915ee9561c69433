/** How a session fares: from its own messages where they are followed, for the list from those that matter. Pure functions. */
import type { MessageRow, SessionRow } from "@plue/sync";

/** `waiting`: the last word is a user's. */
export type SessionState = "running" | "failed" | "aborted" | "done" | "waiting" | "empty";

/** Of all its messages, in order. */
export function stateOf(messages: readonly MessageRow[]): SessionState {
  if (messages.some(isAtWork)) return "running";
  const last = messages.at(-1);
  if (!last) return "empty";
  if (last.role === "user") return "waiting";
  return last.status === "failed" || last.status === "aborted" ? last.status : "done";
}

export function isRunning({ status }: Pick<MessageRow, "status">): boolean {
  return status === "streaming" || status === "pending";
}

/** What a user posts is whole, whatever its status: only an agent is at work. */
export function isAtWork(message: Pick<MessageRow, "role" | "status">): boolean {
  return message.role === "assistant" && isRunning(message);
}

/** What the list knows of a session's messages. */
export interface Mark {
  isRunning: boolean;
  /** When its last failure ended, or 0. */
  failedAt: number;
}

/** How much later than its failure a session may have changed for the failure to be its last word: an agent that fails still closes its books. */
const LAST_WORD_MS = 30_000;

/** How long a message may have taken that does not say when it ended. */
const UNTOLD_MS = 10 * 60_000;

/** How a session of the list fares. That a failure was its last word is told from the times: its other messages are not followed. */
export function stateIn(mark: Mark | undefined, { time_updated }: Pick<SessionRow, "time_updated">): "running" | "failed" | "done" {
  if (!mark) return "done";
  if (mark.isRunning) return "running";
  return time_updated - mark.failedAt <= LAST_WORD_MS ? "failed" : "done";
}

/** By session. */
export function marksOf(messages: readonly MessageRow[]): Map<string, Mark> {
  const marks = new Map<string, Mark>();
  for (const message of messages) {
    const mark = marks.get(message.session_id) ?? { isRunning: false, failedAt: 0 };
    if (isRunning(message)) mark.isRunning = true;
    else mark.failedAt = Math.max(mark.failedAt, message.time_completed ?? message.time_created + UNTOLD_MS);
    marks.set(message.session_id, mark);
  }
  return marks;
}
