/** What changes with time alone: one timer for the page, and only text that becomes another is drawn again. */
import { type ReactNode, useSyncExternalStore } from "react";
import { age, ago, fullTime, running } from "./format";

const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    for (const tick of [...listeners]) tick();
  }, 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** What `read` makes of the time; looked at each second. */
export function useTicking<T extends string | number | boolean>(read: (now: number) => T): T {
  return useSyncExternalStore(subscribe, () => read(Date.now()));
}

/** `5m`, or `5m ago` as a phrase. */
export function Ago({ at, phrase = false }: { at: number; phrase?: boolean }): ReactNode {
  const text = useTicking((now) => (phrase ? ago(at, now) : age(at, now)));
  return (
    <time className="num" dateTime={new Date(at).toISOString()} title={fullTime(at)}>
      {text}
    </time>
  );
}

/** How long something has been going on. */
export function RunningFor({ since }: { since: number }): ReactNode {
  return <span className="num">{useTicking((now) => running(now - since))}</span>;
}
