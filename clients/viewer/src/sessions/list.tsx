/** The sessions, newest first: searched, filtered, and only those drawn that are in sight. */
import type { SessionRow } from "@plue/sync";
import { type ReactNode, type RefObject, useEffect, useMemo, useRef } from "react";
import { Virtuoso, type VirtuosoHandle } from "react-virtuoso";
import { plural } from "../format";
import { CloseIcon, SearchIcon } from "../icons";
import { useMarks } from "../marks";
import { stateIn } from "../states";
import { EmptyList, NothingFound } from "./empty";
import { Row } from "./row";
import { type Archive, found, isIn, type Search } from "./search";

/** Of a row, in pixels; the style sheet has the same. */
const ROW_HEIGHT = 62;

interface Props {
  sessions: readonly SessionRow[];
  isLoading: boolean;
  error: Error | undefined;
  search: Search;
  onSearch: (search: Search) => void;
  shown: string | null;
  box: RefObject<HTMLInputElement | null>;
}

export function SessionList({ sessions, isLoading, error, search, onSearch, shown, box }: Props): ReactNode {
  const list = useMemo(() => found(sessions, search), [sessions, search]);
  return (
    <nav className="sessions" aria-label="Sessions">
      <div className="sessions-tools">
        <SearchBox search={search} onSearch={onSearch} box={box} />
        <Filter sessions={sessions} search={search} onSearch={onSearch} />
      </div>
      <div className="sessions-body">
        {isLoading ? (
          <Skeleton />
        ) : error && sessions.length === 0 ? (
          <p className="sessions-note">The list could not be read: {error.message}</p>
        ) : sessions.length === 0 ? (
          <EmptyList />
        ) : list.length === 0 ? (
          <NothingFound search={search} onSearch={onSearch} />
        ) : (
          <Rows list={list} shown={shown} />
        )}
      </div>
      <p className="sr-only" role="status">
        {isLoading ? "Loading sessions" : plural(list.length, "session")}
      </p>
    </nav>
  );
}

function Rows({ list, shown }: { list: readonly SessionRow[]; shown: string | null }): ReactNode {
  const marks = useMarks();
  const handle = useRef<VirtuosoHandle>(null);
  const current = useRef(list);
  current.current = list;
  // What the keys chose comes into sight; what only moved because it changed does not pull the list along.
  useEffect(() => {
    const index = current.current.findIndex(({ id }) => id === shown);
    if (index >= 0) handle.current?.scrollIntoView({ index, behavior: "auto" });
  }, [shown]);
  return (
    <Virtuoso
      ref={handle}
      className="sessions-scroller"
      data={list}
      fixedItemHeight={ROW_HEIGHT}
      increaseViewportBy={ROW_HEIGHT * 6}
      computeItemKey={(_, session) => session.id}
      itemContent={(_, session) => <Row session={session} state={stateIn(marks.get(session.id), session)} isShown={session.id === shown} />}
      tabIndex={-1}
    />
  );
}

function SearchBox({ search, onSearch, box }: Pick<Props, "search" | "onSearch" | "box">): ReactNode {
  return (
    <div className="search">
      <SearchIcon size={14} />
      <input
        ref={box}
        type="search"
        placeholder="Search sessions"
        aria-label="Search sessions by title, directory, project or id"
        aria-keyshortcuts="/"
        autoComplete="off"
        spellCheck={false}
        value={search.text}
        onChange={(event) => onSearch({ ...search, text: event.target.value })}
        data-testid="search"
      />
      {search.text ? (
        <button type="button" className="search-clear" aria-label="Clear the search" onClick={() => (onSearch({ ...search, text: "" }), box.current?.focus())}>
          <CloseIcon size={12} />
        </button>
      ) : (
        <kbd aria-hidden="true">/</kbd>
      )}
    </div>
  );
}

const FILTERS: readonly (readonly [Archive, string])[] = [
  ["active", "Active"],
  ["archived", "Archived"],
  ["all", "All"],
];

function Filter({ sessions, search, onSearch }: Pick<Props, "sessions" | "search" | "onSearch">): ReactNode {
  return (
    <div className="filter" role="group" aria-label="Which sessions">
      {FILTERS.map(([archive, name]) => (
        <button
          key={archive}
          type="button"
          aria-pressed={search.archive === archive}
          onClick={() => onSearch({ ...search, archive })}
          data-testid={`filter-${archive}`}
        >
          {name} <span className="filter-count num">{sessions.filter((session) => isIn(session, archive)).length}</span>
        </button>
      ))}
    </div>
  );
}

function Skeleton(): ReactNode {
  return (
    <div className="sessions-skeleton" aria-hidden="true">
      {[72, 58, 84, 49, 66, 77, 53].map((width) => (
        <div key={width} className="row-skeleton">
          <span className="bone" style={{ width: `${width}%` }} />
          <span className="bone bone-thin" style={{ width: `${width / 2}%` }} />
        </div>
      ))}
    </div>
  );
}
