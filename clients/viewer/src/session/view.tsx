/** A session: its header, the conversation, the box to write in, and the details beside them. */
import type { SessionRow } from "@plue/sync";
import { useSessionRealtime } from "@plue/sync/react";
import { type ReactNode, type RefObject, useCallback, useEffect, useRef } from "react";
import { AS_READER } from "../reader";
import { show } from "../route";
import { Composer } from "./composer";
import { Conversation, type ConversationHandle } from "./conversation";
import { Header } from "./header";
import { Missing } from "./missing";
import { Panel } from "./panel";
import { SessionSkeleton } from "./skeleton";

interface Props {
  id: string;
  /** As the list has it. */
  known: SessionRow | undefined;
  isPanelOpen: boolean;
  onPanel: () => void;
  conversation: RefObject<ConversationHandle | null>;
  composer: RefObject<HTMLTextAreaElement | null>;
}

export function SessionView({ id, known, isPanelOpen, onPanel, conversation, composer }: Props): ReactNode {
  const { session: row, messages, isLoading, isUpToDate, error } = useSessionRealtime(id, AS_READER);
  // The list knows it already: the header need not wait.
  const session = row ?? (isLoading ? known : undefined);
  const toEnd = useCallback((): void => conversation.current?.toEnd(), [conversation]);
  const wasThere = useRef(false);
  if (row) wasThere.current = true;
  const title = session?.title;
  useEffect(() => {
    if (title === undefined) return;
    document.title = `${title || "Untitled"} · plue-sync`;
    return () => {
      document.title = "plue-sync";
    };
  }, [title]);

  if (!session) {
    if (error) return <Missing title="This session cannot be shown" text={error.message} onList={() => show(null)} />;
    if (isLoading || !isUpToDate) return <SessionSkeleton />;
    return wasThere.current ? (
      <Missing title="This session was deleted" text="Somebody removed it while you were here." onList={() => show(null)} />
    ) : (
      <Missing title="There is no such session" text="It may have been deleted, or your token does not show it." onList={() => show(null)} />
    );
  }
  return (
    <div className="session" data-panel={isPanelOpen ? "open" : "closed"} data-session={id}>
      <section className="session-main" aria-label={title || "Untitled"}>
        <Header session={session} messages={messages} isLoading={isLoading} isPanelOpen={isPanelOpen} onPanel={onPanel} />
        {isLoading ? (
          <SessionSkeleton isBody />
        ) : messages.length === 0 ? (
          <p className="conversation-none">Nothing has been said yet.</p>
        ) : (
          <Conversation messages={messages} handle={conversation} />
        )}
        <Composer session={id} box={composer} onPosted={toEnd} />
      </section>
      {isPanelOpen && <Panel session={session} messages={messages} onClose={onPanel} />}
    </div>
  );
}
