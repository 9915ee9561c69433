/** In place of a session that is not there. */
import type { ReactNode } from "react";
import { BackIcon, TrashIcon } from "../icons";

export function Missing({ title, text, onList }: { title: string; text: string; onList: () => void }): ReactNode {
  return (
    <div className="blank" data-testid="session-missing" role="status">
      <TrashIcon size={22} />
      <h1>{title}</h1>
      <p>{text}</p>
      <button type="button" className="button" onClick={onList}>
        <BackIcon size={14} /> To the sessions
      </button>
    </div>
  );
}
