/** About how high a message will be, in pixels: so that the scroll bar tells the truth before everything was seen. */
import type { MessageWithParts, PartRow } from "@plue/sync";

const HEADER = 52;
const FOOTER = 26;
const LINE = 23;
const LINE_LENGTH = 105;
const GAP = 10;

export function heightOf({ message, parts }: MessageWithParts): number {
  const own = message.role === "user" ? HEADER + 22 : HEADER + FOOTER;
  const failure = message.status === "failed" ? 70 : 0;
  return own + failure + parts.reduce((sum, part) => sum + heightOfPart(part) + GAP, 0);
}

function heightOfPart({ type, text, mime }: PartRow): number {
  switch (type) {
    case "text":
      return (text ?? "").split("\n").reduce((sum, line) => sum + Math.max(0.5, Math.ceil(line.length / LINE_LENGTH)) * LINE, 0);
    case "tool":
      return 31;
    case "file":
      return mime?.startsWith("image/") ? 240 : 32;
    default:
      return 24;
  }
}
