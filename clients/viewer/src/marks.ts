/** What the list knows of messages: a shape of the few that are not well, or not over. */
import { type MessageRow, messagesShapeConfig, type ShapeConfig } from "@plue/sync";
import { useShapeWithAbort } from "@plue/sync/react";
import { useMemo } from "react";
import { AS_READER, READER } from "./reader";
import { useBroughtBack } from "./reconnect";
import { type Mark, marksOf } from "./states";

/** A few columns of the few messages that are not well or not over, of all sessions: cheap however many there are. */
function marksShapeConfig(): ShapeConfig<MessageRow> {
  return {
    ...messagesShapeConfig("", AS_READER),
    params: {
      table: "messages",
      where: "role = 'assistant' AND status IN ('streaming', 'pending', 'failed')",
      columns: ["id", "session_id", "status", "time_created", "time_completed"],
      client: READER,
    },
  };
}

/** By session. */
export function useMarks(): ReadonlyMap<string, Mark> {
  const { data, stream, isUpToDate } = useShapeWithAbort<MessageRow>(marksShapeConfig());
  useBroughtBack(stream, isUpToDate);
  return useMemo(() => marksOf(data), [data]);
}
