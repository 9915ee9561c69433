/**
 * The rows that shapes show, one type per table, and how their columns are read from the wire.
 *
 * Times called `time_*` are Unix milliseconds; `created_at` is a `Date`; `numeric` is a number; `jsonb` is parsed.
 */
import type { ShapeStreamOptions } from "@electric-sql/client";

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

export type SessionRow = {
  id: string;
  project_id: string;
  directory: string;
  title: string;
  version: string;
  time_created: number;
  time_updated: number;
  time_archived: number | null;
  parent_id: string | null;
  fork_point: string | null;
  summary: Json;
  revert: Json;
  compaction: Json;
  token_count: number;
  bypass_mode: boolean;
  model: string | null;
  reasoning_effort: "minimal" | "low" | "medium" | "high" | null;
  ghost_commit: Json;
  plugins: Json;
};

export type MessageStatus = "pending" | "streaming" | "completed" | "failed" | "aborted";

export type MessageRow = {
  id: string;
  session_id: string;
  role: "user" | "assistant";
  time_created: number;
  time_completed: number | null;
  status: MessageStatus | null;
  thinking_text: string | null;
  error_message: string | null;
  agent: string | null;
  model_provider_id: string | null;
  model_model_id: string | null;
  system_prompt: string | null;
  tools: Json;
  parent_id: string | null;
  mode: string | null;
  path_cwd: string | null;
  path_root: string | null;
  /** In the currency of the writer. A double: of the ten digits after the point that Postgres keeps, the last may be off. */
  cost: number | null;
  tokens_input: number | null;
  tokens_output: number | null;
  tokens_reasoning: number | null;
  tokens_cache_read: number | null;
  tokens_cache_write: number | null;
  finish: string | null;
  is_summary: boolean | null;
  error: Json;
  created_at: Date;
};

/** What agents usually write into `tool_state`; any JSON is possible. */
export type ToolState = {
  status?: "pending" | "running" | "completed" | "error";
  title?: string;
  input?: Json;
  output?: Json;
  error?: Json;
  [name: string]: Json | undefined;
};

type PartOf<Type extends string, Columns> = {
  id: string;
  session_id: string;
  message_id: string;
  type: Type;
  text: string | null;
  tool_name: string | null;
  tool_state: ToolState | null;
  mime: string | null;
  url: string | null;
  filename: string | null;
  time_start: number | null;
  time_end: number | null;
  sort_order: number;
} & Columns;

export type TextPart = PartOf<"text", { tool_name: null; tool_state: null }>;
export type ReasoningPart = PartOf<"reasoning", { tool_name: null; tool_state: null }>;
export type ToolPart = PartOf<"tool", { tool_name: string | null; tool_state: ToolState | null }>;
export type FilePart = PartOf<"file", { mime: string | null; url: string | null; filename: string | null }>;

/** One part of a message; `type` tells which. */
export type PartRow = TextPart | ReasoningPart | ToolPart | FilePart;

export type SnapshotRow = {
  id: number;
  session_id: string;
  change_id: string;
  sort_order: number;
  created_at: Date;
};

export type SubtaskRow = {
  id: number;
  session_id: string;
  key: string | null;
  result: Json;
  created_at: Date;
};

/** Reads what the client itself would leave as text or as `bigint`. Milliseconds and the counters here fit a number. */
export const parser: NonNullable<ShapeStreamOptions<Date>["parser"]> = {
  int8: Number,
  numeric: Number,
  timestamptz: readTimestamp,
};

/** Reads `2026-01-31 12:00:00.123456+00`, which not every browser takes as it is. */
export function readTimestamp(text: string): Date {
  return new Date(text.replace(" ", "T").replace(/([+-]\d\d)$/, "$1:00"));
}
