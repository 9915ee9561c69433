/** The page: who may in, the list, and the session that the address names. */
import { isUnauthenticated } from "@plue/sync";
import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { access, refuse } from "./access";
import { Help } from "./help";
import { useKeys } from "./keys";
import { show, useFollowedSession, useShownSession } from "./route";
import type { ConversationHandle } from "./session/conversation";
import { SessionView } from "./session/view";
import { FirstMinute } from "./sessions/empty";
import { SessionList } from "./sessions/list";
import { found, type Search } from "./sessions/search";
import { useSessions } from "./sessions/shape";
import { useMedia, useStore } from "./store";
import { useTheme } from "./theme";
import { TokenPanel } from "./token-panel";
import { TopBar } from "./top-bar";

export function App(): ReactNode {
  const { phase, entry } = useStore(access);
  // What is shown stays behind the panel when a token expires; with another token everything is followed anew.
  const [hasBeenOpen, setHasBeenOpen] = useState(false);
  if (phase === "open" && !hasBeenOpen) setHasBeenOpen(true);
  return (
    <>
      {(phase === "open" || hasBeenOpen) && <Page key={entry} />}
      {phase === "refused" && <TokenPanel />}
    </>
  );
}

function Page(): ReactNode {
  const shown = useShownSession();
  const followed = useFollowedSession();
  const theme = useTheme();
  const { data: sessions, isLoading, error } = useSessions();
  const [search, setSearch] = useState<Search>({ text: "", archive: "active" });
  const [isHelpOpen, setHelpOpen] = useState(false);
  const panel = usePanel();
  const searchBox = useRef<HTMLInputElement>(null);
  const composer = useRef<HTMLTextAreaElement>(null);
  const conversation = useRef<ConversationHandle>(null);
  const list = useMemo(() => found(sessions, search), [sessions, search]);

  useEffect(() => {
    if (error && isUnauthenticated(error)) refuse(messageOf(error));
  }, [error]);

  const step = (by: number): void => {
    const at = list.findIndex(({ id }) => id === shown);
    const next = list[at < 0 ? (by > 0 ? 0 : list.length - 1) : at + by];
    // One leafs through many: the way back leads to where one began.
    if (next) show(next.id, { replace: shown !== null });
  };
  const leave = (event: KeyboardEvent): void => {
    const { target } = event;
    if (target instanceof HTMLElement && /^(INPUT|TEXTAREA)$/.test(target.tagName)) {
      if (target === searchBox.current && search.text) setSearch({ ...search, text: "" });
      target.blur();
    } else if (panel.isDrawer && panel.isOpen) panel.toggle();
    else if (shown !== null) show(null);
  };
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    ArrowDown: (event) => (isInList(event) ? step(1) : false),
    ArrowUp: (event) => (isInList(event) ? step(-1) : false),
    "/": () => searchBox.current?.focus(),
    c: () => composer.current?.focus(),
    g: () => conversation.current?.toStart(),
    G: () => conversation.current?.toEnd(),
    p: panel.toggle,
    t: theme.toggle,
    "?": () => setHelpOpen(true),
    ...(!isHelpOpen && { Escape: leave }),
  });

  return (
    <div className="page" data-shown={shown === null ? "list" : "session"}>
      <TopBar shown={shown} theme={theme} onHelp={() => setHelpOpen(true)} />
      <SessionList sessions={sessions} isLoading={isLoading} error={error} search={search} onSearch={setSearch} shown={shown} box={searchBox} />
      <main className="main">
        {followed !== null ? (
          <SessionView key={followed} id={followed} known={sessions.find(({ id }) => id === followed)} isPanelOpen={panel.isOpen} onPanel={panel.toggle} conversation={conversation} composer={composer} />
        ) : (
          <Welcome isEmpty={!isLoading && sessions.length === 0} isLoading={isLoading} />
        )}
      </main>
      {isHelpOpen && <Help onClose={() => setHelpOpen(false)} />}
    </div>
  );
}

function Welcome({ isEmpty, isLoading }: { isEmpty: boolean; isLoading: boolean }): ReactNode {
  if (isLoading) return null;
  if (!isEmpty) {
    return (
      <div className="blank">
        <p>
          Choose a session, or press <kbd>j</kbd>
        </p>
      </div>
    );
  }
  return (
    <div className="blank blank-wide">
      <h1>No sessions yet</h1>
      <p>Agents write sessions, and this page shows each word as it is written. Start one, and watch it appear.</p>
      <FirstMinute />
    </div>
  );
}

/** A column where there is room for three, else a drawer that is closed at first. */
function usePanel(): { isOpen: boolean; isDrawer: boolean; toggle: () => void } {
  const isDrawer = !useMedia("(min-width: 1200px)");
  const [column, setColumn] = useState(true);
  const [drawer, setDrawer] = useState(false);
  return isDrawer ? { isDrawer, isOpen: drawer, toggle: () => setDrawer(!drawer) } : { isDrawer, isOpen: column, toggle: () => setColumn(!column) };
}

function isInList({ target }: KeyboardEvent): boolean {
  return target instanceof Element && target.closest(".sessions") !== null;
}

/** What the server said, out of what the client says around it. */
function messageOf(error: Error): string {
  const { json } = error as Error & { json?: { message?: string } };
  return json?.message ?? error.message;
}
