/** Which session is shown: `#/s/ses_...`, so that back, forward and links work. */
import { useSyncExternalStore } from "react";
import { createStore, useStore } from "./store";

function subscribe(listener: () => void): () => void {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
}

/** The id in the address, or `null` for the list alone. */
export function shownSession(): string | null {
  const [, id] = /^#\/s\/(.+)$/.exec(location.hash) ?? [];
  if (!id) return null;
  try {
    return decodeURIComponent(id);
  } catch {
    return null;
  }
}

export function useShownSession(): string | null {
  return useSyncExternalStore(subscribe, shownSession);
}

/** The same, but not for each session that is only leafed over: to follow one costs requests. */
export function useFollowedSession(): string | null {
  return useStore(followed);
}

/** In ms; a key that is held comes more often. */
const LEAF_MS = 130;

const followed = createStore(shownSession());
let leafing: ReturnType<typeof setTimeout> | undefined;
addEventListener("hashchange", ({ isTrusted }) => {
  clearTimeout(leafing);
  if (isTrusted) followed.set(shownSession());
  else leafing = setTimeout(() => followed.set(shownSession()), LEAF_MS);
});

export function linkTo(session: string | null): string {
  return session === null ? "#/" : `#/s/${encodeURIComponent(session)}`;
}

/** `replace` leaves no step to go back to: for those who leaf through. */
export function show(session: string | null, { replace = false } = {}): void {
  if (session === shownSession()) return;
  if (!replace) {
    location.hash = linkTo(session);
    return;
  }
  replaceAddress(linkTo(session));
}

/** Without a step to go back to; the browser itself tells nobody of it. */
export function replaceAddress(hash: string): void {
  history.replaceState(null, "", hash);
  dispatchEvent(new HashChangeEvent("hashchange"));
}
