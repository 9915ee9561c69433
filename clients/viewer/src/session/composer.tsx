/** A box to post a message as a user. What is written stays until the server has it, also while another session is looked at. */
import { ApiError, createAgentClient, newId } from "@plue/sync";
import { type KeyboardEvent, memo, type ReactNode, type RefObject, useId, useLayoutEffect, useState } from "react";
import { claimedRole, refuse } from "../access";
import { useObstacle } from "../connection";
import { SendIcon, Spinner } from "../icons";

interface Draft {
  text: string;
  /** Chosen with the text: sent again after an answer that was lost, the message is still one. */
  message: string;
  part: string;
}

/** By session. */
const drafts = new Map<string, Draft>();

function draftOf(text: string): Draft {
  return { text, message: newId("msg"), part: newId("prt") };
}

interface Props {
  session: string;
  box: RefObject<HTMLTextAreaElement | null>;
  onPosted: () => void;
}

export const Composer = memo(function Composer({ session, box, onPosted }: Props): ReactNode {
  const [draft, setDraft] = useState(() => drafts.get(session) ?? draftOf(""));
  const [isSending, setSending] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const connected = useObstacle();
  const obstacle = claimedRole() === "viewer" ? "This token may read, and not write." : connected;
  const hint = useId();

  useLayoutEffect(() => grow(box.current), [box, draft.text]);

  const write = (text: string): void => {
    const next = draftOf(text);
    drafts.set(session, next);
    setDraft(next);
    setError(null);
  };

  const send = async (): Promise<void> => {
    const text = draft.text.trim();
    if (text === "" || isSending || obstacle !== null) return;
    setSending(true);
    setError(null);
    try {
      await post(session, { ...draft, text });
      // Only what was sent is taken away.
      if (drafts.get(session) === draft) drafts.delete(session);
      setDraft((now) => (now === draft ? draftOf("") : now));
      onPosted();
    } catch (cause) {
      setError(reasonOf(cause));
    } finally {
      setSending(false);
    }
  };

  const press = (event: KeyboardEvent): void => {
    // An input method takes Enter to choose a word.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void send();
  };

  return (
    <form
      className="composer"
      data-testid="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {error !== null && (
        <p className="composer-error" role="alert">
          Not sent: {error}
        </p>
      )}
      <div className="composer-box">
        <textarea
          ref={box}
          rows={1}
          value={draft.text}
          placeholder={obstacle ?? "Write a message"}
          aria-label="Message"
          aria-describedby={hint}
          aria-keyshortcuts="c"
          readOnly={isSending}
          disabled={obstacle !== null && draft.text === ""}
          onChange={(event) => write(event.target.value)}
          onKeyDown={press}
        />
        <button type="submit" className="composer-send" aria-label="Send" title={obstacle ?? "Send (Enter)"} disabled={draft.text.trim() === "" || isSending || obstacle !== null}>
          {isSending ? <Spinner size={15} /> : <SendIcon size={15} />}
        </button>
      </div>
      <p id={hint} className="composer-hint">
        {obstacle !== null && draft.text !== "" ? (
          obstacle
        ) : (
          <>
            <kbd>Enter</kbd> sends, <kbd>Shift Enter</kbd> breaks the line
          </>
        )}
      </p>
    </form>
  );
});

async function post(session: string, { text, message, part }: Draft): Promise<void> {
  const agent = createAgentClient({ retries: 2 });
  await agent.messages.append(session, { id: message, role: "user", status: "completed", parts: [{ id: part, type: "text", text }] });
}

function reasonOf(cause: unknown): string {
  if (cause instanceof ApiError) {
    if (cause.status === 401) refuse(cause.message);
    if (cause.status === 403) return "this token may read, and not write";
    if (cause.status === 404) return "the session is gone";
    return cause.message;
  }
  return cause instanceof TypeError ? "the server cannot be reached" : String(cause);
}

/** As high as its text, up to what the style sheet allows. */
function grow(box: HTMLTextAreaElement | null): void {
  if (!box) return;
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
}
