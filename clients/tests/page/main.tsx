// Five shapes of each session that `?sessions=a,b` names, as text; and a button that writes.
import { configure, createAgentClient } from "@plue/sync";
import { useSessionRealtime, useSnapshotHistoryShape, useSubtasksShape } from "@plue/sync/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

const query = new URLSearchParams(location.search);
const connections = query.get("connections") as "own" | "shared" | null;
configure({
  url: query.get("api") ?? undefined,
  token: query.get("token") ?? undefined,
  ...(connections && { connections }),
});
const agent = createAgentClient();

function Session({ id }: { id: string }) {
  const { session, messages, isUpToDate, error } = useSessionRealtime(id);
  const snapshots = useSnapshotHistoryShape(id);
  const subtasks = useSubtasksShape(id);
  const isLive = isUpToDate && snapshots.isUpToDate && subtasks.isUpToDate;
  return (
    <section id={id} data-live={isLive} data-error={error?.message}>
      <h1>{session?.title}</h1>
      <ol>
        {messages.map(({ message, parts }) => (
          <li key={message.id}>{parts.map((part) => part.text).join(" ")}</li>
        ))}
      </ol>
      <p>{`${snapshots.data.length} snapshots, ${subtasks.data.length} subtasks`}</p>
      <button type="button" onClick={() => void agent.messages.append(id, { role: "user", parts: [{ type: "text", text: "clicked" }] })}>
        Write
      </button>
    </section>
  );
}

const ids = (query.get("sessions") ?? "").split(",");
createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    {ids.map((id) => (
      <Session key={id} id={id} />
    ))}
  </StrictMode>,
);
