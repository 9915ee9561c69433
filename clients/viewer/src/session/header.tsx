/** What the session is, how it fares, and what it has used. */
import { type MessageWithParts, type SessionRow, totals } from "@plue/sync";
import { type ReactNode, useMemo } from "react";
import { RunningFor } from "../clock";
import { cost, count, modelName } from "../format";
import { FolderIcon, PanelIcon } from "../icons";
import { StateChip } from "../state-mark";
import { isAtWork, stateOf } from "../states";
import { Watchers } from "./watchers";

interface Props {
  session: SessionRow;
  messages: readonly MessageWithParts[];
  /** Its messages are not there yet. */
  isLoading: boolean;
  isPanelOpen: boolean;
  onPanel: () => void;
}

export function Header({ session, messages, isLoading, isPanelOpen, onPanel }: Props): ReactNode {
  const rows = useMemo(() => messages.map(({ message }) => message), [messages]);
  const used = useMemo(() => totals(rows), [rows]);
  const state = stateOf(rows);
  const running = state === "running" ? rows.findLast(isAtWork) : undefined;
  const [tokensIn, tokensOut] = [used.input + used.cacheRead + used.cacheWrite, used.output + used.reasoning];
  return (
    <header className="session-header">
      <div className="session-heading">
        <h1 title={session.title}>{session.title || "Untitled"}</h1>
        {!isLoading && state !== "empty" && <StateChip state={state}>{running && <RunningFor since={running.time_created} />}</StateChip>}
        <span className="session-heading-end">
          <Watchers session={session.id} />
          <button type="button" className="icon-button" aria-pressed={isPanelOpen} aria-label="Details" aria-keyshortcuts="p" title="Details (p)" onClick={onPanel} data-testid="panel-toggle">
            <PanelIcon />
          </button>
        </span>
      </div>
      <div className="session-facts">
        <span className="session-directory" title={session.directory}>
          <FolderIcon size={13} />
          <bdi>{session.directory}</bdi>
        </span>
        {session.model && (
          <span title={session.model}>
            <bdi>{modelName(session.model)}</bdi>
          </span>
        )}
        {tokensIn + tokensOut > 0 && (
          <span className="num" title="Tokens in and out, over all messages" data-testid="total-tokens">
            {count(tokensIn)} → {count(tokensOut)} tokens
          </span>
        )}
        {used.cost > 0 && (
          <span className="num" title="Cost of all messages" data-testid="total-cost">
            {cost(used.cost)}
          </span>
        )}
      </div>
    </header>
  );
}
