/** Which sessions the list shows. */
import type { SessionRow } from "@plue/sync";

export type Archive = "active" | "archived" | "all";

export interface Search {
  readonly text: string;
  readonly archive: Archive;
}

/** Those that have each of the words in their title, directory, project, model or id. The order stays. */
export function found(sessions: readonly SessionRow[], { text, archive }: Search): readonly SessionRow[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0 && archive === "all") return sessions;
  return sessions.filter((session) => isIn(session, archive) && words.every((word) => textOf(session).includes(word)));
}

export function isIn({ time_archived }: SessionRow, archive: Archive): boolean {
  return archive === "all" || (archive === "archived") === (time_archived !== null);
}

function textOf(session: SessionRow): string {
  let text = texts.get(session);
  if (text === undefined) {
    text = [session.title, session.directory, session.project_id, session.model ?? "", session.id].join("\n").toLowerCase();
    texts.set(session, text);
  }
  return text;
}

/** Rows that did not change are the same objects: their text is made once, not at each key. */
const texts = new WeakMap<SessionRow, string>();
