/** Who else is watching: the server's count of readers, where it tells. */
import { type ReactNode, useEffect, useState } from "react";
import { authorizationHeaders, claimedRole, currentToken } from "../access";
import { plural } from "../format";
import { EyeIcon } from "../icons";
import { READER } from "../reader";

const EVERY_MS = 4_000;

interface Subscription {
  client: string | null;
  peer: string | null;
  principal: string | null;
}

export function Watchers({ session }: { session: string }): ReactNode {
  const others = useOthers(session);
  if (others === null) return null;
  const said = others.length === 0 ? "Nobody else is watching" : `${plural(others.length, "other")} watching: ${others.join(", ")}`;
  return (
    <span className="watchers" title={said} data-testid="watchers" data-count={others.length}>
      <EyeIcon size={14} />
      <span className="num" aria-hidden="true">
        {others.length === 0 ? "only you" : `+${others.length}`}
      </span>
      <span className="sr-only">{said}</span>
    </span>
  );
}

/** Names of other readers of a session; `null` where it is not told. */
function useOthers(session: string): readonly string[] | null {
  const [others, setOthers] = useState<{ of: string; names: readonly string[] } | null>(null);
  useEffect(() => {
    if (!mayAsk()) return;
    const end = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async (): Promise<void> => {
      clearTimeout(timer);
      if (document.hidden || end.signal.aborted) return;
      const answer = await askReaders(session, end.signal);
      if (end.signal.aborted) return;
      if (answer === "refused") return setOthers(null);
      if (answer !== "away") setOthers({ of: session, names: answer });
      timer = setTimeout(() => void ask(), EVERY_MS);
    };
    const shown = (): void => void (!document.hidden && ask());
    document.addEventListener("visibilitychange", shown);
    void ask();
    return () => {
      end.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", shown);
    };
  }, [session]);
  return others?.of === session ? others.names : null;
}

/** Only an admin is told. A minted token is never one's; a signed one says it. */
function mayAsk(): boolean {
  return currentToken() === null || claimedRole() === "admin";
}

async function askReaders(session: string, signal: AbortSignal): Promise<readonly string[] | "refused" | "away"> {
  if (!navigator.onLine) return "away";
  try {
    const answer = await fetch(`/v1/admin/subscriptions?${new URLSearchParams({ session, limit: "500" })}`, { headers: authorizationHeaders(), signal });
    if ([401, 403, 404, 501].includes(answer.status)) return "refused";
    if (!answer.ok) return "away";
    const { subscriptions } = (await answer.json()) as { subscriptions: Subscription[] };
    return [...new Set(subscriptions.map(nameOf))].filter((name) => name !== READER);
  } catch {
    return "away";
  }
}

/** A reader that names itself is one wherever it comes from; others are told apart by their address. */
function nameOf({ client, principal, peer }: Subscription): string {
  return client ?? [principal, peer].filter(Boolean).join(" ") ?? "somebody";
}
