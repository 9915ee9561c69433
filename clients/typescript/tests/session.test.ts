import { describe, expect, it } from "vitest";
import type { MessageRow, PartRow } from "../src/rows.js";
import { isSame, sorted, totals, treeBuilder } from "../src/session.js";

const message = (id: string, time_created: number, rest: Partial<MessageRow> = {}) => ({ id, time_created, ...rest }) as MessageRow;
const part = (id: string, message_id: string, sort_order: number) => ({ id, message_id, sort_order }) as PartRow;
const ids = (tree: ReturnType<ReturnType<typeof treeBuilder>>) => tree.map(({ message, parts }) => [message.id, parts.map(({ id }) => id)]);

describe("the tree of a session", () => {
  it("has messages by time and id, each with its parts by order and id", () => {
    const messages = [message("c", 2), message("b", 1), message("a", 2)];
    const parts = [part("p3", "a", 1), part("p2", "a", 0), part("p1", "a", 1), part("q", "b", 9), part("lost", "nobody", 0)];
    expect(ids(treeBuilder()(messages, parts))).toEqual([["b", ["q"]], ["a", ["p2", "p1", "p3"]], ["c", []]]);
  });

  it("keeps what did not change", () => {
    const build = treeBuilder();
    const messages = [message("a", 1), message("b", 2)];
    const parts = [part("p", "a", 0), part("q", "b", 0), part("r", "b", 1)];
    const before = build(messages, parts);
    expect(build([...messages], [...parts])).toBe(before);
    const after = build([...messages], [parts[0]!, parts[1]!, { ...parts[2]! }]);
    expect(after).not.toBe(before);
    expect(after[0]).toBe(before[0]);
    expect(after[1]).not.toBe(before[1]);
    expect(after[1]!.parts[0]).toBe(before[1]!.parts[0]);
    const changed = build([messages[0]!, { ...messages[1]! }], [parts[0]!, parts[1]!, after[1]!.parts[1]!]);
    expect(changed[1]!.parts, "a message that changed keeps its list of parts").toBe(after[1]!.parts);
  });

  it("loses parts and messages that are gone", () => {
    const build = treeBuilder();
    const messages = [message("a", 1), message("b", 2)];
    build(messages, [part("p", "a", 0), part("q", "a", 1)]);
    expect(ids(build(messages.slice(0, 1), [part("p", "a", 0)]))).toEqual([["a", ["p"]]]);
    expect(ids(build([], []))).toEqual([]);
  });
});

it.each([
  [[], true],
  [[1, 1, 2], true],
  [[2, 1], false],
])("%o is given back as it is: %o", (list: number[], same) => {
  const order = (a: number, b: number) => a - b;
  expect(sorted(list, order) === list).toBe(same);
  expect(sorted(list, order)).toEqual([...list].sort(order));
});

it.each([
  [[], [], true],
  [[1, 2], [1, 2], true],
  [[1, 2], [2, 1], false],
  [[1], [1, 2], false],
])("%o and %o are the same list: %o", (a: number[], b: number[], same) => {
  expect(isSame(a, b)).toBe(same);
});

it("adds up what messages used, where they say it", () => {
  const used = message("a", 1, { cost: 0.25, tokens_input: 10, tokens_output: 3 });
  expect(totals([used, message("b", 2, { cost: null, tokens_input: 5, tokens_cache_read: 7 })])).toEqual({
    ...{ cost: 0.25, input: 15, output: 3, reasoning: 0, cacheRead: 7, cacheWrite: 0 },
  });
});
