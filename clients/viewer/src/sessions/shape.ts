/** The one shape that the list follows: all sessions, without the columns that only writers need. */
import { useSessionsShape } from "@plue/sync/react";
import { READER } from "../reader";

/** A session as the list has it. */
const COLUMNS = ["id", "project_id", "directory", "title", "time_created", "time_updated", "time_archived", "parent_id", "model"];

const OPTIONS = { client: READER, columns: COLUMNS };

export function useSessions(): ReturnType<typeof useSessionsShape> {
  return useSessionsShape(undefined, OPTIONS);
}
