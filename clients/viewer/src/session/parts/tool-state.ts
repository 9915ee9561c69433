/** What can be told of a tool's state, which may be any JSON: agents differ. Pure functions. */
import type { Json, ToolPart, ToolState } from "@plue/sync";
import { diffOf, isDiff } from "./diff";

export type Progress = "pending" | "running" | "completed" | "error" | "stopped";

/** `isOpen`: its message is still being written. A call that was left running when its message ended has stopped. */
export function progressOf({ tool_state, time_start, time_end }: ToolPart, isOpen: boolean): Progress {
  const told: unknown = tool_state?.status;
  const isTold = typeof told === "string";
  if ((tool_state?.error ?? null) !== null || (isTold && /err|fail/i.test(told))) return "error";
  if (isTold && /cancel|abort|stop|den(y|ied)/i.test(told)) return "stopped";
  const isGoing = isTold && /run|progress|pend|wait|queue/i.test(told);
  if (isTold && !isGoing) return "completed";
  if (!isTold && (time_end !== null || tool_state?.output !== undefined || !isOpen)) return "completed";
  if (!isOpen) return "stopped";
  return isTold ? (/run|progress/i.test(told) ? "running" : "pending") : time_start !== null ? "running" : "pending";
}

/** Input fields that say most about a call, the best first. */
const TELLING = ["command", "cmd", "pattern", "query", "file_path", "filePath", "path", "url", "description", "prompt", "name"];

/** One line: the title that the agent gave, or what of the input tells most. */
export function summaryOf({ title, input }: ToolState): string {
  if (typeof title === "string" && title) return oneLine(title);
  if (typeof input === "string") return oneLine(input);
  if (!isRecord(input)) return "";
  const named = TELLING.map((name) => input[name]).find((value) => typeof value === "string" && value !== "");
  const any = named ?? Object.values(input).find((value) => typeof value === "string" && value !== "");
  return typeof any === "string" ? oneLine(any) : "";
}

/** The change that a call makes to a file, as a diff, if it is one. */
export function editOf({ input, output }: ToolState): string | null {
  if (isRecord(input)) {
    const before = input.old_string ?? input.oldString ?? input.old_text;
    const after = input.new_string ?? input.newString ?? input.new_text;
    if (typeof before === "string" && typeof after === "string") return diffOf(before, after);
    const patch = input.patch ?? input.diff;
    if (typeof patch === "string" && isDiff(patch)) return patch;
  }
  if (isRecord(output) && typeof output.diff === "string" && isDiff(output.diff)) return output.diff;
  return null;
}

/** A value as a person reads it. */
export function textOf(value: Json): string {
  if (typeof value === "string") return value;
  if (isRecord(value)) {
    const { message } = value;
    if (typeof message === "string" && Object.keys(value).length === 1) return message;
  }
  return JSON.stringify(value, null, 2);
}

/** Why something failed: its name and message, where they are told as errors usually are. */
export function reasonOf(error: Json): string {
  if (!isRecord(error)) return textOf(error);
  const { name, message, data } = error;
  const said = typeof message === "string" ? message : isRecord(data) && typeof data.message === "string" ? data.message : null;
  if (said === null) return textOf(error);
  return typeof name === "string" ? `${name}: ${said}` : said;
}

/** Whether there is anything to show. */
export function isEmpty(value: Json | undefined): boolean {
  return value === undefined || value === null || value === "" || (typeof value === "object" && Object.keys(value).length === 0);
}

function isRecord(value: Json | undefined): value is { [name: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim().slice(0, 400);
}
