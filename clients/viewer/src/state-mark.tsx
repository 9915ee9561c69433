/** How something fares: colour, icon and text, since colour alone tells not everybody. */
import type { ReactNode } from "react";
import { AbortedIcon, CheckIcon, FailedIcon, Spinner, WaitingIcon } from "./icons";
import type { SessionState } from "./states";

const WORDS: Record<SessionState, string> = { running: "Running", failed: "Failed", aborted: "Stopped", done: "Done", empty: "Empty", waiting: "Waiting" };

export function StateIcon({ state, size = 14 }: { state: SessionState; size?: number }): ReactNode {
  return <span className={`state state-${state}`}>{glyph(state, size)}</span>;
}

export function StateChip({ state, children }: { state: SessionState; children?: ReactNode }): ReactNode {
  return (
    <span className={`state state-chip state-${state}`} data-testid="session-state" data-state={state}>
      {glyph(state, 13)}
      {WORDS[state]}
      {children}
    </span>
  );
}

function glyph(state: SessionState, size: number): ReactNode {
  if (state === "running") return <Spinner size={size} />;
  if (state === "failed") return <FailedIcon size={size} />;
  if (state === "aborted") return <AbortedIcon size={size} />;
  if (state === "done") return <CheckIcon size={size} />;
  return <WaitingIcon size={size} />;
}
