/** What went into a tool or came out of it: text, JSON or a diff; long ones in part until the reader wants all. */
import type { Json } from "@plue/sync";
import type { ReactNode } from "react";
import { CopyButton } from "../../copy";
import { plural } from "../../format";
import { useFold } from "../fold";
import { Diff, isDiff } from "./diff";
import { textOf } from "./tool-state";

/** Lines and characters that are shown at first. */
const MAX_LINES = 40;
const MAX_CHARACTERS = 6_000;

interface Props {
  label: string;
  value: Json;
  /** Which fold it is. */
  name: string;
  isError?: boolean;
}

export function Value({ label, value, name, isError = false }: Props): ReactNode {
  const [isWhole, toggle] = useFold(name, false);
  const text = soleTextOf(value) ?? textOf(value);
  const short = shortened(text);
  const shown = isWhole ? text : short;
  return (
    <section className={isError ? "value value-error" : "value"}>
      <header className="value-header">
        <span>{label}</span>
        <CopyButton text={text} label={`Copy the ${label.toLowerCase()}`} />
      </header>
      {isDiff(text) || label === "Change" ? (
        <Diff text={shown} />
      ) : (
        <pre tabIndex={0}>
          <code>{shown}</code>
        </pre>
      )}
      {short.length < text.length && (
        <button type="button" className="value-more" data-unfolds onClick={toggle}>
          {isWhole ? "Show less" : `Show all ${plural(text.split("\n").length, "line")}`}
        </button>
      )}
    </section>
  );
}

/** `{"command": "cargo test"}` reads best as the command itself. */
function soleTextOf(value: Json): string | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const all = Object.values(value);
  return all.length === 1 && typeof all[0] === "string" ? all[0] : null;
}

function shortened(text: string): string {
  const lines = text.split("\n");
  // Not for the sake of a few lines.
  const short = lines.length > MAX_LINES + 10 ? lines.slice(0, MAX_LINES).join("\n") : text;
  return short.length > MAX_CHARACTERS + 500 ? short.slice(0, MAX_CHARACTERS) : short;
}
