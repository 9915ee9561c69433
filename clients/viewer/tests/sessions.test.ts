/** How sessions are found, how they fare, and how numbers and times are written. */
import type { MessageRow, SessionRow } from "@plue/sync";
import { describe, expect, it } from "vitest";
import { age, ago, cost, count, duration, modelName, pathTail, plural, running } from "../src/format";
import { found } from "../src/sessions/search";
import { marksOf, stateIn, stateOf } from "../src/states";

const session = (columns: Partial<SessionRow>): SessionRow =>
  ({ id: "ses_1", project_id: "default", directory: "/tmp", title: "", model: null, time_archived: null, ...columns }) as SessionRow;
const message = (columns: Partial<MessageRow>): MessageRow =>
  ({ session_id: "ses_1", role: "assistant", time_created: 0, time_completed: null, ...columns }) as MessageRow;

describe("search", () => {
  const sessions = [
    session({ id: "ses_a", title: "Fix the Parser", directory: "/src/web", project_id: "atlas" }),
    session({ id: "ses_b", title: "Write docs", model: "x/large" }),
    session({ id: "ses_c", title: "Old", time_archived: 1 }),
  ];
  const cases: [text: string, archive: "active" | "archived" | "all", ids: string[]][] = [
    ["", "all", ["ses_a", "ses_b", "ses_c"]],
    ["", "active", ["ses_a", "ses_b"]],
    ["", "archived", ["ses_c"]],
    ["parser atlas", "all", ["ses_a"]],
    ["  PARSER ", "active", ["ses_a"]],
    ["large", "all", ["ses_b"]],
    ["ses_c", "active", []],
    ["web docs", "all", []],
  ];
  it.each(cases)("%s, %s", (text, archive, ids) => {
    expect(found(sessions, { text, archive }).map(({ id }) => id)).toEqual(ids);
  });
});

describe("states", () => {
  const cases: [name: string, messages: MessageRow[], state: string][] = [
    ["nothing said", [], "empty"],
    ["a user waits", [message({ role: "user", status: "pending" })], "waiting"],
    ["an agent writes", [message({ status: "streaming" })], "running"],
    ["an agent begins", [message({ role: "user", status: "completed" }), message({ status: "pending" })], "running"],
    ["failed", [message({ status: "completed" }), message({ status: "failed" })], "failed"],
    ["failed, then done", [message({ status: "failed" }), message({ status: "completed" })], "done"],
    ["stopped", [message({ status: "aborted" })], "aborted"],
    ["no status", [message({ status: null })], "done"],
  ];
  it.each(cases)("%s", (_, messages, state) => {
    expect(stateOf(messages)).toBe(state);
  });

  it("of the list: running first, failed only as the last word", () => {
    const marks = marksOf([
      message({ session_id: "a", status: "streaming" }),
      message({ session_id: "a", status: "failed", time_completed: 10 }),
      message({ session_id: "b", status: "failed", time_completed: 1_000_000 }),
    ]);
    expect(stateIn(marks.get("a"), { time_updated: 20 })).toBe("running");
    expect(stateIn(marks.get("b"), { time_updated: 1_005_000 })).toBe("failed");
    expect(stateIn(marks.get("b"), { time_updated: 1_100_000 })).toBe("done");
    expect(stateIn(undefined, { time_updated: 1 })).toBe("done");
  });
});

describe("format", () => {
  const cases: [written: string, expected: string][] = [
    [duration(0), "0 ms"],
    [duration(340), "340 ms"],
    [duration(4_240), "4.2 s"],
    [duration(59_900), "59 s"],
    [duration(184_000), "3m 04s"],
    [duration(4_320_000), "1h 12m"],
    [duration(-5), "0 ms"],
    [running(4_900), "4 s"],
    [running(-900), "0 s"],
    [running(61_000), "1m 01s"],
    [age(0, 1_000), "now"],
    [age(5_000, 1_000), "now"],
    [age(0, 59_999), "59s"],
    [age(0, 3_600_000), "1h"],
    [age(0, 6 * 86_400_000), "6d"],
    [ago(0, 500), "just now"],
    [ago(0, 125_000), "2 m ago"],
    [count(999), "999"],
    [count(1_000), "1.0k"],
    [count(123_456), "123k"],
    [count(3_100_000), "3.1M"],
    [count(999_499), "999k"],
    [count(999_600), "1.0M"],
    [cost(0), "$0"],
    [cost(0.00123), "$0.0012"],
    [cost(0.0421), "$0.042"],
    [cost(1.5), "$1.50"],
    [pathTail("/home/a/b/c"), "…/b/c"],
    [pathTail("/tmp"), "/tmp"],
    [modelName("maker/large"), "large"],
    [plural(1, "line"), "1 line"],
    [plural(1_204, "line"), "1,204 lines"],
  ];
  it.each(cases)("%s", (written, expected) => {
    expect(written).toBe(expected);
  });
});
