/** Beside the conversation: what was used, tasks handed out, snapshots of the working copy, and the facts. */
import { type Json, type MessageWithParts, type SessionRow, type SubtaskRow, totals } from "@plue/sync";
import { useSnapshotHistoryShape, useSubtasksShape } from "@plue/sync/react";
import { type ReactNode, useMemo } from "react";
import { Ago } from "../clock";
import { CopyButton } from "../copy";
import { cost, count, fullTime } from "../format";
import { CloseIcon } from "../icons";
import { AS_READER } from "../reader";
import { useBroughtBack } from "../reconnect";
import { linkTo } from "../route";
import { StateIcon } from "../state-mark";
import { Fold } from "./fold";
import { textOf } from "./parts/tool-state";
import { Value } from "./parts/value";

interface Props {
  session: SessionRow;
  messages: readonly MessageWithParts[];
  onClose: () => void;
}

export function Panel({ session, messages, onClose }: Props): ReactNode {
  return (
    <aside className="panel" aria-label="Details of the session" data-testid="panel">
      <div className="panel-head">
        <h2>Details</h2>
        <button type="button" className="icon-button" aria-label="Close the details" onClick={onClose}>
          <CloseIcon />
        </button>
      </div>
      <div className="panel-body">
        <Usage messages={messages} />
        <Subtasks session={session.id} />
        <Snapshots session={session.id} />
        <Facts session={session} />
      </div>
    </aside>
  );
}

function Section({ title, count: many, children, testid }: { title: string; count?: number; children: ReactNode; testid: string }): ReactNode {
  return (
    <section className="panel-section" data-testid={testid}>
      <h3>
        {title} {many !== undefined && <span className="panel-count num">{many}</span>}
      </h3>
      {children}
    </section>
  );
}

function Usage({ messages }: { messages: readonly MessageWithParts[] }): ReactNode {
  const used = useMemo(() => totals(messages.map(({ message }) => message)), [messages]);
  const facts: [string, string][] = [
    ["Messages", messages.length.toLocaleString("en")],
    ["Input", count(used.input)],
    ["Output", count(used.output)],
    ["Reasoning", count(used.reasoning)],
    ["Cache read", count(used.cacheRead)],
    ["Cache write", count(used.cacheWrite)],
    ["Cost", cost(used.cost)],
  ];
  return (
    <Section title="Usage" testid="usage">
      <FactList className="num" facts={facts} />
    </Section>
  );
}

function Subtasks({ session }: { session: string }): ReactNode {
  const { data, isLoading, isUpToDate, stream } = useSubtasksShape(session, AS_READER);
  useBroughtBack(stream, isUpToDate);
  return (
    <Section title="Subtasks" count={data.length} testid="subtasks">
      {data.length === 0 && <p className="panel-none">{isLoading ? "…" : "None handed out"}</p>}
      <ul className="subtasks">
        {data.map((subtask) => (
          <li key={subtask.id}>
            <Subtask subtask={subtask} />
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Subtask({ subtask: { id, key, result, created_at } }: { subtask: SubtaskRow }): ReactNode {
  const isFailed = saysOf(result, ["status", "state"]) === "failed" || saysOf(result, ["error"]) !== null;
  const title = saysOf(result, ["title", "name", "description", "task", "summary"]) ?? key ?? `Subtask ${id}`;
  const summary = (
    <span className="subtask-line">
      <StateIcon state={isFailed ? "failed" : "done"} size={13} />
      <span className="sr-only">{isFailed ? "failed: " : "done: "}</span>
      <span className="subtask-title" title={title}>
        {title}
      </span>
      <span className="subtask-age">
        <Ago at={created_at.getTime()} />
      </span>
    </span>
  );
  return (
    <Fold name={`subtask ${id}`} className="subtask" summary={summary}>
      {() => <Value label="Result" value={textOf(result)} name={`subtask ${id} result`} />}
    </Fold>
  );
}

/** The first of some fields that says something. */
function saysOf(result: Json, names: readonly string[]): string | null {
  if (typeof result === "string") return null;
  if (typeof result !== "object" || result === null || Array.isArray(result)) return null;
  const found = names.map((name) => result[name]).find((value) => typeof value === "string" && value !== "");
  return typeof found === "string" ? found : null;
}

function Snapshots({ session }: { session: string }): ReactNode {
  const { data, isLoading, isUpToDate, stream } = useSnapshotHistoryShape(session, AS_READER);
  useBroughtBack(stream, isUpToDate);
  return (
    <Section title="Snapshots" count={data.length} testid="snapshots">
      {data.length === 0 && <p className="panel-none">{isLoading ? "…" : "None taken"}</p>}
      <ol className="snapshots">
        {[...data].reverse().map(({ id, change_id, sort_order, created_at }) => (
          <li key={id}>
            <span className="snapshot-order num">{sort_order}</span>
            <code title={change_id}>{change_id}</code>
            <Ago at={created_at.getTime()} />
          </li>
        ))}
      </ol>
    </Section>
  );
}

function Facts({ session }: { session: SessionRow }): ReactNode {
  const facts: [string, ReactNode][] = [
    ["Id", <Copied key="id" text={session.id} />],
    ["Directory", <Copied key="directory" text={session.directory} />],
    ["Project", session.project_id],
    ["Created", fullTime(session.time_created)],
  ];
  if (session.model) facts.push(["Model", session.model]);
  if (session.reasoning_effort) facts.push(["Effort", session.reasoning_effort]);
  if (session.parent_id) facts.push(["Parent", <a key="parent" href={linkTo(session.parent_id)}>{session.parent_id}</a>]);
  if (session.time_archived !== null) facts.push(["Archived", fullTime(session.time_archived)]);
  return (
    <Section title="About" testid="facts">
      <FactList className="facts-long" facts={facts} />
    </Section>
  );
}

function FactList({ facts, className }: { facts: [string, ReactNode][]; className: string }): ReactNode {
  return (
    <dl className={`facts ${className}`}>
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Copied({ text }: { text: string }): ReactNode {
  return (
    <span className="copied">
      <span title={text}>{text}</span>
      <CopyButton text={text} />
    </span>
  );
}
