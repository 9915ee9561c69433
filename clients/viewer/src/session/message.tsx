/** One message: who, its parts in order, how it ended and what it used. Drawn again only when it, or a part of it, changed. */
import type { MessageRow, MessageWithParts, PartRow } from "@plue/sync";
import { memo, type ReactNode } from "react";
import { RunningFor } from "../clock";
import { clockTime, cost, count, duration, fullTime, modelName } from "../format";
import { AbortedIcon, FailedIcon } from "../icons";
import { isAtWork } from "../states";
import { Part } from "./parts/part";
import { Reasoning } from "./parts/reasoning";
import { progressOf, reasonOf } from "./parts/tool-state";

interface Props {
  entry: MessageWithParts;
  /** The one before is of the same role: no need to say again who speaks. */
  isContinued: boolean;
}

export const Message = memo(function Message({ entry: { message, parts }, isContinued }: Props): ReactNode {
  const isUser = message.role === "user";
  const isOpen = isAtWork(message);
  const name = isUser ? "User" : (message.agent ?? "Assistant");
  return (
    <article
      className={`message message-${message.role}`}
      aria-label={`${name}, ${clockTime(message.time_created)}`}
      data-testid="message"
      data-message={message.id}
      data-role={message.role}
      data-status={message.status ?? "none"}
      data-continued={isContinued}
    >
      {!isContinued && (
        <header className="message-header">
          <span className="message-name">{name}</span>
          {message.mode && message.mode !== message.agent && <span className="message-mode">{message.mode}</span>}
          <time className="message-time num" dateTime={new Date(message.time_created).toISOString()} title={fullTime(message.time_created)}>
            {clockTime(message.time_created)}
          </time>
        </header>
      )}
      <div className="message-parts">
        {message.thinking_text && !parts.some(({ type }) => type === "reasoning") && (
          <Reasoning name={`${message.id} thinking`} text={message.thinking_text} start={null} end={null} isGrowing={isOpen && parts.length === 0} />
        )}
        {parts.map((part, n) => (
          <Part key={part.id} part={part} isOpen={isOpen} isGrowing={isOpen && n === parts.length - 1} />
        ))}
        {isOpen && isQuiet(message, parts.at(-1)) && <p className="message-waiting shimmer">{message.status === "pending" ? "Waiting" : "Working"}</p>}
      </div>
      {message.status === "failed" && <Failure message={message} />}
      {message.status === "aborted" && (
        <p className="message-aborted">
          <AbortedIcon size={14} /> Stopped{message.error_message ? `: ${message.error_message}` : ""}
        </p>
      )}
      {!isUser && <Footer message={message} isOpen={isOpen} />}
    </article>
  );
});

/** Nothing that is drawn shows that the agent is at work: it is between two parts. */
function isQuiet({ thinking_text }: MessageRow, last: PartRow | undefined): boolean {
  if (last === undefined) return !thinking_text;
  if (last.type === "tool") return !["running", "pending"].includes(progressOf(last, true));
  return last.type === "file" || (last.type === "reasoning" && last.time_end !== null);
}

function Failure({ message: { error_message, error } }: { message: MessageRow }): ReactNode {
  return (
    <div className="message-failure" data-testid="message-failure">
      <FailedIcon size={15} />
      <div>
        <strong>Failed</strong>
        <p>{error_message ?? (error === null ? "No reason was given." : reasonOf(error))}</p>
      </div>
    </div>
  );
}

/** What was written in one go took no time worth telling, in ms. */
const TELLING_MS = 100;

/** The quiet line: model, time, tokens, cost. */
function Footer({ message, isOpen }: { message: MessageRow; isOpen: boolean }): ReactNode {
  const { model_model_id, tokens_input, tokens_output, time_created, time_completed, finish } = message;
  const facts: [name: string, fact: ReactNode][] = [];
  if (model_model_id) facts.push(["Model", modelName(model_model_id)]);
  if (isOpen) facts.push(["Running for", <RunningFor key="for" since={time_created} />]);
  else if (time_completed !== null && time_completed - time_created >= TELLING_MS) facts.push(["Took", duration(time_completed - time_created)]);
  if (tokens_input !== null || tokens_output !== null) facts.push(["Tokens in and out", `${count(tokens_input ?? 0)} → ${count(tokens_output ?? 0)} tokens`]);
  if (message.cost !== null) facts.push(["Cost", cost(message.cost)]);
  if (finish && !["stop", "end_turn", "tool-calls", "tool_use"].includes(finish)) facts.push(["Finish", finish]);
  if (facts.length === 0) return null;
  return (
    <footer className="message-footer num">
      {facts.map(([fact, value]) => (
        <span key={fact} title={fact}>
          {value}
        </span>
      ))}
    </footer>
  );
}
