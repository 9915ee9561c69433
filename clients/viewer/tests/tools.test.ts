/** What is told of a tool's state, whatever JSON an agent wrote. */
import type { Json, ToolPart } from "@plue/sync";
import { describe, expect, it } from "vitest";
import { diffOf, diffSize, isDiff } from "../src/session/parts/diff";
import { editOf, isEmpty, type Progress, progressOf, reasonOf, summaryOf, textOf } from "../src/session/parts/tool-state";

function part(tool_state: unknown, times: { time_start?: number; time_end?: number } = {}): ToolPart {
  return { time_start: null, time_end: null, ...times, tool_state } as ToolPart;
}

describe("progress", () => {
  //      state, times, while its message is written, after
  const cases: [state: unknown, times: { time_start?: number; time_end?: number }, open: Progress, over: Progress][] = [
    [{ status: "pending" }, {}, "pending", "stopped"],
    [{ status: "running" }, {}, "running", "stopped"],
    [{ status: "in_progress" }, {}, "running", "stopped"],
    [{ status: "completed" }, {}, "completed", "completed"],
    [{ status: "success" }, {}, "completed", "completed"],
    [{ status: "error" }, {}, "error", "error"],
    [{ status: "failed" }, {}, "error", "error"],
    [{ status: "completed", error: "exit code 1" }, {}, "error", "error"],
    [{ status: "completed", error: null }, {}, "completed", "completed"],
    [{ status: "cancelled" }, {}, "stopped", "stopped"],
    [{}, {}, "pending", "completed"],
    [{}, { time_start: 1 }, "running", "completed"],
    [{}, { time_start: 1, time_end: 2 }, "completed", "completed"],
    [{ output: "x" }, {}, "completed", "completed"],
    [null, {}, "pending", "completed"],
    ["odd", {}, "pending", "completed"],
    [7, {}, "pending", "completed"],
    [{ status: 7 }, {}, "pending", "completed"],
  ];
  it.each(cases)("%j %j", (state, times, open, over) => {
    expect(progressOf(part(state, times), true)).toBe(open);
    expect(progressOf(part(state, times), false)).toBe(over);
  });
});

describe("summary", () => {
  const cases: [state: { title?: string; input?: Json }, summary: string][] = [
    [{ title: "Run the tests", input: { command: "npm test" } }, "Run the tests"],
    [{ input: { path: "src", pattern: "a\n  b" } }, "a b"],
    [{ input: { something: 1, other: "else" } }, "else"],
    [{ input: "plain" }, "plain"],
    [{ input: [1, 2] }, ""],
    [{ input: null }, ""],
    [{}, ""],
  ];
  it.each(cases)("%j", (state, summary) => {
    expect(summaryOf(state)).toBe(summary);
  });
});

describe("diffs", () => {
  it("are known by their hunks or their files", () => {
    expect(isDiff("@@ -1,2 +1,3 @@\n a")).toBe(true);
    expect(isDiff("--- a/x\n+++ b/x\n")).toBe(true);
    expect(isDiff("- one\n+ two")).toBe(false);
    expect(isDiff("---\ntitle: a\n---")).toBe(false);
  });

  it("are made of an edit, with a little around it", () => {
    expect(diffOf("a\nb\nc", "a\nx\nc")).toBe(" a\n-b\n+x\n c");
    expect(diffOf("", "a\nb")).toBe("+a\n+b");
    expect(diffOf("1\n2\n3\n4\n5", "1\n2\n3\n4\n6").split("\n")).toEqual([" 2", " 3", " 4", "-5", "+6"]);
    expect(diffSize(diffOf("a\nb\nc", "a\nx\ny\nc"))).toEqual({ added: 2, removed: 1 });
  });

  it("are found in what went in or came out", () => {
    expect(editOf({ input: { old_string: "a", new_string: "b" } })).toBe("-a\n+b");
    expect(editOf({ input: {}, output: { diff: "@@ -1 +1 @@\n-a\n+b" } })).toContain("-a");
    expect(editOf({ input: "x", output: null })).toBeNull();
  });
});

it("reasons are told by name and message", () => {
  expect(reasonOf({ name: "ProviderError", data: { message: "overloaded" } })).toBe("ProviderError: overloaded");
  expect(reasonOf({ message: "gone", code: 5 })).toBe("gone");
  expect(reasonOf("plain")).toBe("plain");
  expect(reasonOf({ code: 5 })).toBe('{\n  "code": 5\n}');
});

it("values read as a person would write them", () => {
  expect(textOf("a")).toBe("a");
  expect(textOf({ message: "gone" })).toBe("gone");
  expect(textOf([1])).toBe("[\n  1\n]");
  expect([null, undefined, "", {}, []].every(isEmpty)).toBe(true);
  expect([0, false, "a", [0]].some(isEmpty)).toBe(false);
});
