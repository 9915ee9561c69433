/** What stands where there are no sessions. */
import { type ReactNode, useState } from "react";
import { access, currentToken } from "../access";
import { CopyButton } from "../copy";
import { DemoButton } from "../demo";
import { useStore } from "../store";
import type { Search } from "./search";

export function NothingFound({ search, onSearch }: { search: Search; onSearch: (search: Search) => void }): ReactNode {
  const where = search.archive === "all" ? "" : ` among the ${search.archive} ones`;
  return (
    <div className="sessions-note" data-testid="nothing-found">
      <p>{search.text ? `Nothing matches “${search.text}”${where}.` : `No ${search.archive} sessions.`}</p>
      <button type="button" className="button" onClick={() => onSearch({ text: "", archive: search.text ? search.archive : "all" })}>
        {search.text ? "Clear the search" : "Show all"}
      </button>
    </div>
  );
}

/** In the list's column, short: the first minute is told on the right, where there is room. */
export function EmptyList(): ReactNode {
  return (
    <div className="sessions-note" data-testid="no-sessions">
      <p>No sessions yet. They appear here as soon as an agent starts one.</p>
      <div className="only-narrow">
        <FirstMinute />
      </div>
    </div>
  );
}

/** How a newcomer gets to see something. */
export function FirstMinute(): ReactNode {
  const { demo } = useStore(access);
  const [commands] = useState(firstCommands);
  return (
    <div className="first-minute">
      {demo && (
        <>
          <DemoButton isPrimary />
          <p className="first-minute-or">or from a terminal</p>
        </>
      )}
      <div className="code-block">
        <CopyButton text={commands} label="Copy the commands" />
        <pre>
          <code>{commands}</code>
        </pre>
      </div>
    </div>
  );
}

function firstCommands(): string {
  const at = location.origin;
  const token = currentToken() === null ? "" : `  -H "authorization: Bearer $TOKEN" \\\n`;
  return `curl ${at}/v1/sessions \\
${token}  -H 'content-type: application/json' \\
  -d '{"id": "ses_1", "directory": "/tmp", "title": "First"}'

curl ${at}/v1/sessions/ses_1/messages \\
${token}  -H 'content-type: application/json' \\
  -d '{"role": "assistant", "status": "completed",
       "parts": [{"type": "text", "text": "Hello"}]}'`;
}
