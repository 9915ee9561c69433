/** Puts a text on the clipboard, and says that it did. */
import { type ReactNode, useEffect, useState } from "react";
import { CheckIcon, CopyIcon } from "./icons";

export function CopyButton({ text, label = "Copy" }: { text: string; label?: string }): ReactNode {
  const [isDone, setDone] = useState(false);
  useEffect(() => {
    if (!isDone) return;
    const timer = setTimeout(() => setDone(false), 1_500);
    return () => clearTimeout(timer);
  }, [isDone]);
  // Absent where the page is not served securely.
  if (!navigator.clipboard) return null;
  return (
    <button
      type="button"
      className="copy"
      aria-label={isDone ? "Copied" : label}
      title={isDone ? "Copied" : label}
      onClick={() => void navigator.clipboard.writeText(text).then(() => setDone(true), () => undefined)}
    >
      {isDone ? <CheckIcon size={13} /> : <CopyIcon size={13} />}
    </button>
  );
}
