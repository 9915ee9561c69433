/** A block of code: its language, its colours, and a button to copy it. */
import { isValidElement, type ReactNode } from "react";
import { CopyButton } from "../copy";
import { Diff, isDiff } from "../session/parts/diff";
import { highlighted } from "./highlight";

/** `children` is the `code` element that Markdown makes. */
export function CodeBlock({ children }: { children: ReactNode }): ReactNode {
  const props = isValidElement<{ className?: string; children?: ReactNode }>(children) ? children.props : {};
  const text = String(props.children ?? "").replace(/\n$/, "");
  const [, language] = /language-(\S+)/.exec(props.className ?? "") ?? [];
  const isPatch = language === "diff" || language === "patch" || isDiff(text);
  return (
    <div className="code-block">
      {language && <span className="code-language">{language}</span>}
      <CopyButton text={text} label="Copy the code" />
      {isPatch ? (
        <Diff text={text} />
      ) : (
        <pre tabIndex={0}>
          <code>{highlighted(text, language)}</code>
        </pre>
      )}
    </div>
  );
}
