/** What the agent thought: one line, and the text behind it. Open while it is being thought. */
import type { ReactNode } from "react";
import { RunningFor } from "../../clock";
import { duration } from "../../format";
import { Prose } from "../../markdown/markdown";
import { Fold } from "../fold";

interface Props {
  name: string;
  text: string;
  start: number | null;
  end: number | null;
  isGrowing: boolean;
}

export function Reasoning({ name, text, start, end, isGrowing }: Props): ReactNode {
  const summary = (
    <span className="reasoning-summary">
      {isGrowing ? <span className="shimmer">Thinking</span> : <span>{start !== null && end !== null ? "Thought for" : "Thought"}</span>}
      {isGrowing && start !== null && <RunningFor since={start} />}
      {!isGrowing && start !== null && end !== null && <span className="num">{duration(end - start)}</span>}
    </span>
  );
  return (
    <Fold name={name} byDefault={isGrowing} className="reasoning" summary={summary} isEmpty={text === ""}>
      {() => <Prose text={text} isGrowing={isGrowing} />}
    </Fold>
  );
}
