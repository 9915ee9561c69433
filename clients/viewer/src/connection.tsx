/** Whether what is shown is what is: live, on its way, or refused; and when something last changed. */
import { useMessagesShape, usePartsShape, useSession } from "@plue/sync/react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { useTicking } from "./clock";
import { ago, fullTime } from "./format";
import { LockIcon, OfflineIcon, Spinner } from "./icons";
import { AS_READER } from "./reader";
import { type Stream, useBringingBack, useBroughtBack } from "./reconnect";
import { useFollowedSession } from "./route";
import { useSessions } from "./sessions/shape";
import { createStore, useStore } from "./store";

export type ConnectionState = "live" | "connecting" | "offline" | "refused";

/** For those who must know without following the shapes themselves. */
export const connection = createStore<ConnectionState>("connecting");

/** Follows what the page follows (shared, not once more): the list, and the session that is shown. */
export function Connection(): ReactNode {
  const shown = useFollowedSession();
  const sessions = useSessions();
  const session = useSession(shown, AS_READER);
  const messages = useMessagesShape(shown, AS_READER);
  const parts = usePartsShape(shown, AS_READER);
  const followed: Followed[] = shown === null ? [sessions] : [session, messages, parts];
  const known = shown === null ? sessions.data[0]?.time_updated : session.session?.time_updated;
  const changedAt = useLastChange(shown, known, followed);
  const state = useTicking((now): ConnectionState => stateNow(followed, now));
  const isLost = useTicking(() => isLostNow(followed));
  useBroughtBack(sessions.stream, sessions.isUpToDate);
  useBroughtBack(session.stream, session.isUpToDate);
  useBroughtBack(messages.stream, messages.isUpToDate);
  useBroughtBack(parts.stream, parts.isUpToDate);
  useBringingBack(isLost);
  useEffect(() => connection.set(state), [state]);
  return <ConnectionMark state={state} changedAt={changedAt} />;
}

interface Followed {
  readonly data: readonly unknown[];
  readonly error: Error | undefined;
  readonly stream: Stream | undefined;
}

/** A shape that begins, or goes on after it was let go, is no lost connection yet; in ms. */
const GRACE_MS = 2_000;

/** When all was last connected. */
let connectedAt = 0;

function stateNow(followed: readonly Followed[], now: number): ConnectionState {
  if (followed.some(({ error }) => error)) return "refused";
  if (!navigator.onLine) return "offline";
  if (!isLostNow(followed)) connectedAt = now;
  return now - connectedAt < GRACE_MS ? "live" : "connecting";
}

function isLostNow(followed: readonly Followed[]): boolean {
  return !followed.every(({ stream }) => stream?.isConnected());
}

const WORDS: Record<ConnectionState, string> = { live: "Live", connecting: "Connecting", offline: "Offline", refused: "Refused" };

function ConnectionMark({ state, changedAt }: { state: ConnectionState; changedAt: number | undefined }): ReactNode {
  return (
    <div className={`connection connection-${state}`} data-testid="connection" data-state={state}>
      <span className="connection-glyph">{glyph(state)}</span>
      {/* The age is left out of what is read aloud: it changes each second. */}
      <span role="status">{WORDS[state]}</span>
      {changedAt !== undefined && <LastChange at={changedAt} />}
    </div>
  );
}

function LastChange({ at }: { at: number }): ReactNode {
  const text = useTicking((now) => ago(at, now));
  return (
    <span className="connection-age num" title={`Last change: ${fullTime(at)}`} aria-hidden="true">
      {text}
    </span>
  );
}

function glyph(state: ConnectionState): ReactNode {
  if (state === "live") return <span className="connection-dot" />;
  if (state === "connecting") return <Spinner size={12} />;
  return state === "offline" ? <OfflineIcon size={13} /> : <LockIcon size={12} />;
}

/** When what is shown changed: the server's time, until a change is seen to come; then this machine's, so that two clocks are never compared. */
function useLastChange(shown: string | null, known: number | undefined, followed: readonly Followed[]): number | undefined {
  const [seen, setSeen] = useState<{ of: string | null; at: number }>();
  const before = useRef<{ shown: string | null; data: readonly (readonly unknown[])[] }>(undefined);
  useEffect(() => {
    const data = followed.map((shape) => shape.data);
    const last = before.current;
    before.current = { shown, data };
    if (last?.shown !== shown) return;
    // Rows that arrive for the first time are no change.
    if (data.some((list, n) => list !== last.data[n] && (last.data[n]?.length ?? 0) > 0)) setSeen({ of: shown, at: Date.now() });
  });
  return seen?.of === shown ? seen?.at : known;
}

/** Why nothing can be written now, or `null`. */
export function useObstacle(): string | null {
  const state = useStore(connection);
  if (state === "offline") return "You are offline. What you write stays here until you are back.";
  if (state === "refused") return "The server refuses this reader.";
  return null;
}
