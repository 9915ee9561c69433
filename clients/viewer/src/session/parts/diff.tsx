/** A unified diff, or something like it, with its lines in colour. The signs stay, so that it can be copied and read without colour. */
import type { ReactNode } from "react";

/** Whether a text looks like a unified diff: a hunk's header, or both files' names. */
export function isDiff(text: string): boolean {
  return /^@@ -\d+(?:,\d+)? \+\d+/m.test(text) || /^diff --git /m.test(text) || /^--- \S.*\n\+\+\+ \S/m.test(text);
}

export function Diff({ text }: { text: string }): ReactNode {
  const lines = text.replace(/\n$/, "").split("\n");
  return (
    <pre className="diff" tabIndex={0}>
      <code>
        {lines.map((line, n) => (
          <span key={n} className={`diff-line diff-${kindOf(line)}`}>
            {line}
            {"\n"}
          </span>
        ))}
      </code>
    </pre>
  );
}

/** How many lines come and go, for the card's summary. */
export function diffSize(text: string): { added: number; removed: number } {
  const kinds = text.split("\n").map(kindOf);
  return { added: kinds.filter((kind) => kind === "added").length, removed: kinds.filter((kind) => kind === "removed").length };
}

/** An edit that is given as the text before and after. */
export function diffOf(before: string, after: string): string {
  const signed = (sign: string, text: string): string[] => (text === "" ? [] : text.split("\n").map((line) => sign + line));
  const [a, b] = [before.split("\n"), after.split("\n")];
  let same = 0;
  while (same < a.length && same < b.length && a[same] === b[same]) same++;
  let end = 0;
  while (end < a.length - same && end < b.length - same && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const middle = (lines: string[]): string => lines.slice(same, lines.length - end).join("\n");
  const around = (lines: string[]): string[] => lines.map((line) => ` ${line}`);
  return [
    ...around(a.slice(Math.max(0, same - CONTEXT), same)),
    ...signed("-", middle(a)),
    ...signed("+", middle(b)),
    ...around(a.slice(a.length - end, a.length - end + CONTEXT)),
  ].join("\n");
}

/** Lines that stay the same and are shown around a change. */
const CONTEXT = 3;

function kindOf(line: string): "added" | "removed" | "hunk" | "file" | "same" {
  if (line.startsWith("@@")) return "hunk";
  if (/^(?:\+\+\+ |--- |diff --git |index [0-9a-f]|new file|deleted file|rename |similarity )/.test(line)) return "file";
  if (line.startsWith("+")) return "added";
  return line.startsWith("-") ? "removed" : "same";
}
