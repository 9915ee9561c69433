import type { Preloaded } from "@plue/sync";
import { PreloadedProvider, useSessionRealtime } from "@plue/sync/react";

export default function SessionViewer({ sessionId, preloaded }: { sessionId: string; preloaded: Preloaded }) {
  return (
    <PreloadedProvider preloaded={preloaded}>
      <Session id={sessionId} />
    </PreloadedProvider>
  );
}

function Session({ id }: { id: string }) {
  const { session, messages, isLoading, error } = useSessionRealtime(id);
  if (error) return <p role="alert">{error.message}</p>;
  if (isLoading) return <p>Loading</p>;
  if (!session) return <p>There is no such session.</p>;
  return (
    <main>
      <h1>{session.title}</h1>
      <ol>
        {messages.map(({ message, parts }) => (
          <li key={message.id}>
            <strong>{message.role}</strong> {parts.map((part) => (part.type === "tool" ? <code key={part.id}>{part.tool_name} </code> : <span key={part.id}>{part.text} </span>))}
          </li>
        ))}
      </ol>
    </main>
  );
}
