/** One part of a message, by its type. Drawn again only when its row is another. */
import type { PartRow } from "@plue/sync";
import { memo, type ReactNode } from "react";
import { Prose } from "../../markdown/markdown";
import { FileCard } from "./file";
import { Reasoning } from "./reasoning";
import { ToolCard } from "./tool";

interface Props {
  part: PartRow;
  /** Its message is being written, and nothing follows it yet. */
  isGrowing: boolean;
  /** Its message is being written. */
  isOpen: boolean;
}

export const Part = memo(function Part({ part, isGrowing, isOpen }: Props): ReactNode {
  return (
    <div className={`part part-${part.type}`} data-testid="part" data-part={part.id} data-type={part.type}>
      {inner(part, isGrowing, isOpen)}
    </div>
  );
});

function inner(part: PartRow, isGrowing: boolean, isOpen: boolean): ReactNode {
  switch (part.type) {
    case "text":
      return <Prose text={part.text ?? ""} isGrowing={isGrowing} />;
    case "reasoning":
      return <Reasoning name={part.id} text={part.text ?? ""} start={part.time_start} end={part.time_end} isGrowing={isGrowing && part.time_end === null} />;
    case "tool":
      return <ToolCard part={part} isOpen={isOpen} />;
    case "file":
      return <FileCard part={part} />;
    default:
      // A type that a later server may add: better seen than lost.
      return <Prose text={(part as PartRow).text ?? ""} />;
  }
}
