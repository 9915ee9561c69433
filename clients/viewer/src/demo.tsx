/** Has the server play a session, and shows it. Only where the server says that it would. */
import { type ReactNode, useState } from "react";
import { authorizationHeaders } from "./access";
import { PlayIcon, Spinner } from "./icons";
import { show } from "./route";

export function DemoButton({ isPrimary = false }: { isPrimary?: boolean }): ReactNode {
  const [isAsking, setAsking] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const play = async (): Promise<void> => {
    setAsking(true);
    setError(null);
    try {
      show(await playDemo());
    } catch (cause) {
      setError(cause instanceof Error ? cause.message : String(cause));
    } finally {
      setAsking(false);
    }
  };
  return (
    <>
      <button
        type="button"
        className={isPrimary ? "button button-primary" : "button button-quiet"}
        disabled={isAsking}
        onClick={() => void play()}
        title={error ?? "Play a demo session"}
        data-testid="play-demo"
      >
        {isAsking ? <Spinner size={13} /> : <PlayIcon size={13} />}
        {isPrimary ? "Play a demo session" : "Demo"}
      </button>
      {isPrimary && error && <p className="error-text">{error}</p>}
    </>
  );
}

async function playDemo(): Promise<string> {
  const answer = await fetch("/v1/demo", { method: "POST", headers: authorizationHeaders() });
  const said = (await answer.json().catch(() => ({}))) as { session?: string; message?: string };
  if (!answer.ok || !said.session) throw new Error(said.message ?? `the server answered ${answer.status}`);
  return said.session;
}
