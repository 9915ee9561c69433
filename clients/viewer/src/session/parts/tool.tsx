/** A call of a tool: a line that says what, how it fares and how long it took; behind it what went in and what came out. */
import type { ToolPart } from "@plue/sync";
import type { ReactNode } from "react";
import { RunningFor } from "../../clock";
import { duration } from "../../format";
import { StateIcon } from "../../state-mark";
import { Fold } from "../fold";
import { diffSize, isDiff } from "./diff";
import { editOf, isEmpty, progressOf, summaryOf, textOf } from "./tool-state";
import { Value } from "./value";

const MARKS = { pending: "waiting", running: "running", completed: "done", error: "failed", stopped: "aborted" } as const;
const SPOKEN = { pending: "waiting", running: "running", completed: "done", error: "failed", stopped: "stopped" };

export function ToolCard({ part, isOpen }: { part: ToolPart; isOpen: boolean }): ReactNode {
  const state = part.tool_state ?? {};
  const progress = progressOf(part, isOpen);
  const summary = summaryOf(state);
  const edit = editOf(state);
  const change = edit ?? (typeof state.output === "string" && isDiff(state.output) ? state.output : null);
  const hasBody = [state.input, state.output, state.error, part.text].some((value) => !isEmpty(value));
  const line = (
    <span className="tool-line">
      <StateIcon state={MARKS[progress]} />
      <span className="sr-only">{SPOKEN[progress]}: </span>
      <span className="tool-name">{part.tool_name ?? "tool"}</span>
      <span className="tool-summary" title={summary}>
        {summary}
      </span>
      {change !== null && <Size text={change} />}
      <span className="tool-time num">{timeOf(part, progress)}</span>
    </span>
  );
  return (
    <Fold name={part.id} className={`tool tool-${progress}`} summary={line} isEmpty={!hasBody}>
      {() => (
        <>
          {edit !== null && <Value label="Change" value={edit} name={`${part.id} edit`} />}
          {!isEmpty(state.input) && edit === null && <Value label="Input" value={state.input ?? null} name={`${part.id} input`} />}
          {part.text && <Value label="Text" value={part.text} name={`${part.id} text`} />}
          {!isEmpty(state.output) && <Value label="Output" value={state.output ?? null} name={`${part.id} output`} />}
          {!isEmpty(state.error) && <Value label="Error" value={textOf(state.error ?? null)} name={`${part.id} error`} isError />}
          {progress === "running" && state.output === undefined && <p className="tool-wait">No output yet</p>}
        </>
      )}
    </Fold>
  );
}

function Size({ text }: { text: string }): ReactNode {
  const { added, removed } = diffSize(text);
  return (
    <span className="diff-size num" title={`${added} lines added, ${removed} removed`}>
      {added > 0 && <span className="diff-plus">+{added}</span>}
      {removed > 0 && <span className="diff-minus">−{removed}</span>}
    </span>
  );
}

function timeOf({ time_start, time_end }: ToolPart, progress: keyof typeof MARKS): ReactNode {
  if (progress === "running" && time_start !== null) return <RunningFor since={time_start} />;
  if (time_start !== null && time_end !== null) return duration(time_end - time_start);
  return null;
}
