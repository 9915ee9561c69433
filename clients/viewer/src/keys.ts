/** Keys of the page. One listener; what has the focus and takes text keeps its keys. */
import { useEffect, useRef } from "react";

/** What a key does; `false` if it was not meant for it, and keeps what it does anyway. */
export type Keys = Partial<Record<string, (event: KeyboardEvent) => false | void>>;

export const HELP: readonly (readonly [keys: readonly string[], does: string])[] = [
  [["j", "↓"], "Next session"],
  [["k", "↑"], "Previous session"],
  [["/"], "Search sessions"],
  [["c"], "Write a message"],
  [["g"], "To the start of the conversation"],
  [["G"], "To the latest message"],
  [["p"], "Show or hide the details"],
  [["t"], "Dark or light"],
  [["Esc"], "Leave: a box, a drawer, the session"],
  [["?"], "These keys"],
];

function takesText(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** `Escape` is heard everywhere, all others only outside of boxes. */
export function useKeys(keys: Keys): void {
  const current = useRef(keys);
  useEffect(() => {
    current.current = keys;
  });
  useEffect(() => {
    const hear = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (takesText(event.target) && event.key !== "Escape") return;
      const act = current.current[event.key];
      if (act && act(event) !== false) event.preventDefault();
    };
    addEventListener("keydown", hear);
    return () => removeEventListener("keydown", hear);
  }, []);
}
