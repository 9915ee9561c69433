/** Dark and light: the system's choice, until the reader makes one. */
import { createStore, useMedia, useStore } from "./store";

type Theme = "light" | "dark";

const KEY = "plue-sync theme";

const chosen = createStore<Theme | null>(remembered());

function remembered(): Theme | null {
  const theme = localStorage.getItem(KEY);
  return theme === "light" || theme === "dark" ? theme : null;
}

/** Puts the choice where the style sheet sees it. */
export function applyTheme(): void {
  const theme = chosen.get();
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

export function useTheme(): { theme: Theme; toggle: () => void } {
  const own = useStore(chosen);
  const system: Theme = useMedia("(prefers-color-scheme: dark)") ? "dark" : "light";
  const theme = own ?? system;
  const toggle = (): void => {
    const next: Theme = theme === "dark" ? "light" : "dark";
    // Who goes back to what the system has follows the system again.
    chosen.set(next === system ? null : next);
    if (next === system) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
    applyTheme();
  };
  return { theme, toggle };
}
