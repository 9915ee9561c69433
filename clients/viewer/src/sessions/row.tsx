/** One session of the list. */
import type { SessionRow } from "@plue/sync";
import { memo, type ReactNode } from "react";
import { Ago } from "../clock";
import { modelName, pathTail } from "../format";
import { ArchiveIcon, BranchIcon } from "../icons";
import { linkTo } from "../route";
import { StateIcon } from "../state-mark";

interface Props {
  session: SessionRow;
  state: "running" | "failed" | "done";
  isShown: boolean;
}

const WORDS = { running: "Running", failed: "Failed" };

export const Row = memo(function Row({ session, state, isShown }: Props): ReactNode {
  const { id, title, directory, model, time_updated, time_archived, parent_id } = session;
  return (
    <a
      className="row"
      href={linkTo(id)}
      aria-current={isShown ? "page" : undefined}
      data-testid="session-row"
      data-session={id}
      data-state={state}
    >
      <span className="row-top">
        <StateIcon state={state} size={13} />
        <span className="row-title" title={title}>
          {title || "Untitled"}
        </span>
        <span className="row-age">
          <Ago at={time_updated} />
        </span>
      </span>
      <span className="row-bottom">
        {state !== "done" && <span className={`row-state state-${state}`}>{WORDS[state]}</span>}
        {parent_id !== null && <BranchIcon size={12} />}
        {time_archived !== null && <ArchiveIcon size={12} />}
        <span className="row-directory" title={directory}>
          {pathTail(directory)}
        </span>
        {model && (
          <span className="row-model" title={model}>
            {modelName(model)}
          </span>
        )}
      </span>
    </a>
  );
});
