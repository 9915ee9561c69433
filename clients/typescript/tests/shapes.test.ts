import { afterEach, describe, expect, it } from "vitest";
import { preloadedRows, shapeKey } from "../src/preload.js";
import { parser, readTimestamp } from "../src/rows.js";
import { apiUrl, configure } from "../src/settings.js";
import {
  buildShapeUrl,
  customShapeConfig,
  messagesShapeConfig,
  partsShapeConfig,
  sessionShapeConfig,
  sessionsShapeConfig,
  snapshotHistoryShapeConfig,
  subtasksShapeConfig,
} from "../src/shapes.js";

const AWKWARD = `x' OR '1'='1`;
afterEach(() => configure({}));

describe("shape configurations", () => {
  it.each([
    [messagesShapeConfig, "messages", "session_id = $1"],
    [partsShapeConfig, "parts", "session_id = $1"],
    [snapshotHistoryShapeConfig, "snapshot_history", "session_id = $1"],
    [subtasksShapeConfig, "subtasks", "session_id = $1"],
    [sessionShapeConfig, "sessions", "id = $1"],
  ])("%o keeps the id out of the condition", (config, table, where) => {
    const { params, url } = config(AWKWARD, { url: "https://api.example/" });
    expect(url).toBe("https://api.example/v1/shape");
    expect(params).toEqual({ table, where, params: { 1: AWKWARD } });
  });

  it("lists all sessions, or those of a condition with its values", () => {
    expect(sessionsShapeConfig().params).toEqual({ table: "sessions" });
    expect(sessionsShapeConfig("project_id = $1", { params: [AWKWARD] }).params).toEqual({
      table: "sessions",
      where: "project_id = $1",
      params: { 1: AWKWARD },
    });
    expect(sessionsShapeConfig("time_archived IS NULL").params).toEqual({ table: "sessions", where: "time_archived IS NULL" });
  });

  it("asks for a named shape with its values, and reads it as the client does by default", () => {
    const config = customShapeConfig("tickets", { since: AWKWARD }, { columns: ["id", "title"] });
    expect(config.params).toEqual({ table: "tickets", params: { since: AWKWARD }, columns: ["id", "title"] });
    expect(config.parser).toBeUndefined();
    expect(customShapeConfig("tickets").params).toEqual({ table: "tickets" });
  });

  it("names the reader and asks for events where that is wanted", () => {
    const config = partsShapeConfig("s", { client: "tab", liveSse: true });
    expect(config.params).toMatchObject({ client: "tab" });
    expect(config.liveSse).toBe(true);
  });
});

describe("tokens", () => {
  const authorization = async (config: { headers?: Record<string, unknown> }) => {
    const given = config.headers?.authorization;
    return typeof given === "function" ? ((await given()) as string) : given;
  };

  it("come from the call, or from what was configured", async () => {
    expect(messagesShapeConfig("s").headers).toBeUndefined();
    configure({ token: "configured", url: "https://configured.example" });
    expect(await authorization(messagesShapeConfig("s"))).toBe("Bearer configured");
    expect(messagesShapeConfig("s").url).toBe("https://configured.example/v1/shape");
    expect(await authorization(messagesShapeConfig("s", { token: async () => "given" }))).toBe("Bearer given");
    expect(await authorization(messagesShapeConfig("s", { token: undefined }))).toBe("Bearer configured");
  });

  it("of a function are asked for each time, by the same function for the same token", async () => {
    let token = "first";
    const give = () => token;
    const config = messagesShapeConfig("s", { token: give });
    expect(await authorization(config)).toBe("Bearer first");
    token = "second";
    expect(await authorization(config)).toBe("Bearer second");
    expect(config.headers?.authorization).toBe(messagesShapeConfig("t", { token: give }).headers?.authorization);
  });
});

describe("apiUrl", () => {
  it.each([
    ["https://a.example///", "https://a.example"],
    ["https://a.example/base/", "https://a.example/base"],
  ])("%s without the slash at its end", (url, expected) => {
    expect(apiUrl(url)).toBe(expected);
  });

  it("prefers what is configured to the environment, and that to the page", () => {
    // Vitest's own environment of the bundler has nothing of the kind.
    expect(apiUrl()).toBe("http://localhost:4000");
    process.env.PUBLIC_CLIENT_API_URL = "https://environment.example";
    try {
      expect(apiUrl()).toBe("https://environment.example");
      configure({ url: "https://configured.example" });
      expect(apiUrl()).toBe("https://configured.example");
    } finally {
      delete process.env.PUBLIC_CLIENT_API_URL;
    }
  });
});

describe("buildShapeUrl", () => {
  const url = "https://api.example/v1/shape";
  it.each([
    [{ table: "sessions" }, {}, "table=sessions&offset=-1"],
    [{ table: "t", params: { 1: "a&b=c", 2: "ä" } }, {}, "table=t&params%5B1%5D=a%26b%3Dc&params%5B2%5D=%C3%A4&offset=-1"],
    [{ table: "t", params: ["x", "y,z"] }, {}, "table=t&params%5B1%5D=x&params%5B2%5D=y%2Cz&offset=-1"],
    [{ table: "t", columns: ["id", "b"] }, {}, "table=t&columns=id%2Cb&offset=-1"],
    [{ table: "t", where: undefined }, { offset: "12_3", handle: "h-1", live: true }, "table=t&offset=12_3&handle=h-1&live=true"],
  ])("%o at %o", (params, at, query) => {
    expect(buildShapeUrl({ url, params }, at)).toBe(`${url}?${query}`);
  });

  it("does not guess what a function would give", () => {
    expect(() => buildShapeUrl({ url, params: { table: "t", day: () => "today" } })).toThrow(/parameter day/);
  });
});

describe("values", () => {
  it.each([
    ["2026-01-31 12:00:00.123456+00", "2026-01-31T12:00:00.123Z"],
    ["2026-01-31 12:00:00+02", "2026-01-31T10:00:00.000Z"],
    ["2026-01-31 12:00:00-03:30", "2026-01-31T15:30:00.000Z"],
  ])("%s is %s", (text, iso) => {
    expect(readTimestamp(text).toISOString()).toBe(iso);
  });

  it("of a preloaded shape are read as those of a live one", () => {
    const columns = { id: "text", n: "int8", cost: "numeric", ok: "bool", at: "timestamptz", data: "jsonb" };
    const schema = JSON.stringify({ ...Object.fromEntries(Object.entries(columns).map(([name, type]) => [name, { type }])), list: { type: "int4", dims: 1 } });
    const raw = { id: "1", n: "17", cost: "0.5000000000", ok: "true", at: "2026-01-31 12:00:00+00", data: '{"a":[1]}', list: "{1,2}" };
    const preloaded = { handle: "h", offset: "0_0", schema, rows: [["k", raw] as [string, Record<string, string | null>]] };
    const at = new Date("2026-01-31T12:00:00Z");
    expect(preloadedRows(preloaded, { parser })).toEqual([{ id: "1", n: 17, cost: 0.5, ok: true, at, data: { a: [1] }, list: "{1,2}" }]);
    expect(preloadedRows({ ...preloaded, rows: [["k", { ...raw, n: null }]] }, {})[0]).toMatchObject({ n: null, cost: "0.5000000000" });
    expect(preloadedRows(preloaded, {})[0]).toMatchObject({ n: 17n });
  });

  it("of shapes that are the same have the same key, whoever asks", () => {
    const one = messagesShapeConfig("s", { client: "a", url: "https://a.example", token: "x" });
    expect(shapeKey(one)).toBe(shapeKey(messagesShapeConfig("s")));
    expect(shapeKey({ params: { b: "1", a: { d: "2", c: "3" } } })).toBe(shapeKey({ params: { a: { c: "3", d: "2" }, b: "1" } }));
    expect(shapeKey(one)).not.toBe(shapeKey(messagesShapeConfig("t")));
    expect(shapeKey(one)).not.toBe(shapeKey(partsShapeConfig("s")));
  });
});
