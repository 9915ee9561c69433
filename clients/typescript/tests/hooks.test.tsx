/** Hooks against the real program. */
import { expect, it } from "vitest";
import { awaitTxId, createAgentClient, messagesShapeConfig, type MessageWithParts, type PartRow } from "../src/index.js";
import {
  type SessionRealtime,
  type ShapeResult,
  useMessageParts,
  useMessagesShape,
  usePartsShape,
  useSession,
  useSessionRealtime,
  useSessionsShape,
  useShapeWithAbort,
  useSnapshotHistoryShape,
  useSubtasksShape,
} from "../src/react/index.js";
import { render } from "./support/render.js";
import { eventually, serve, session, sign, waiting } from "./support/service.js";

const SECRET = "a secret of at least thirty-two bytes";

const until = <T,>(what: string, check: () => T | Promise<T>, seen?: () => unknown) => eventually(what, check, { deadlineMs: 20_000, ...(seen && { seen }) });

it("shows all tables of a session, with values that are parsed", async () => {
  const service = await serve();
  const agent = await session(service, "s", 2);
  await agent.messages.update("s", "s-m1", { cost: 0.125, status: "completed", tokens_input: 7 });
  await agent.snapshots.append("s", { change_id: "one" });
  await agent.subtasks.append("s", { result: { done: [1, null] } });
  const options = { url: service.url };
  let shown: unknown[] = [];
  function Probe() {
    const all = [
      useSessionsShape(undefined, options),
      useSession("s", options),
      useMessagesShape("s", options),
      usePartsShape("s", options),
      useSnapshotHistoryShape("s", options),
      useSubtasksShape("s", options),
    ] as ShapeResult<Record<string, unknown>>[];
    shown = all.map(({ data, isLoading, isUpToDate, error }) => ({ data, isLoading, isUpToDate, error }));
    return all.every((shape) => shape.isUpToDate) ? <p>there</p> : <p>loading</p>;
  }
  const page = render(<Probe />);
  await until("all shapes", () => page.text === "there", () => shown);
  const [sessions, one, messages, parts, snapshots, subtasks] = shown as ShapeResult<Record<string, unknown>>[];
  expect(sessions!.data).toMatchObject([{ id: "s", title: "Session s", bypass_mode: false, plugins: [], token_count: 0 }]);
  expect(one!.data[0]).toEqual(sessions!.data[0]);
  expect(messages!.data.map(({ id }) => id)).toEqual(["s-m0", "s-m1"]);
  expect(messages!.data[1]).toMatchObject({ time_created: 1_001, cost: 0.125, tokens_input: 7, created_at: expect.any(Date) });
  expect(parts!.data.map(({ id }) => id)).toEqual(["s-m0-p0", "s-m1-p0", "s-m0-p1", "s-m1-p1"]);
  expect(snapshots!.data).toMatchObject([{ change_id: "one", sort_order: 0, created_at: expect.any(Date) }]);
  expect(subtasks!.data).toMatchObject([{ result: { done: [1, null] } }]);
});

it("shares one request among all components, and aborts it when the last has been gone for a while", async () => {
  const service = await serve();
  const agent = await session(service, "s");
  const config = { ...messagesShapeConfig("s", { url: service.url }), fetchClient: undefined };
  const Count = () => <b>{useShapeWithAbort({ ...config }, 300).data.length};</b>;
  const page = render([<Count key="1" />, <Count key="2" />]);
  await until("the rows in both", () => page.text === "2;2;", () => page.text);
  await until("one request that waits", async () => (await waiting(service, "messages")) === 1);
  // One goes and one comes: nothing happens to the request.
  page.render([<Count key="2" />, <Count key="3" />]);
  expect(page.text).toBe("2;2;");
  // All go, and one comes back before the time is over.
  page.render(<p>away</p>);
  page.render(<Count />);
  expect(page.text, "the rows are there at once").toBe("2;");
  await agent.messages.append("s", { role: "user" });
  await until("the next row", () => page.text === "3;", () => page.text);
  await until("still one request", async () => (await waiting(service, "messages")) === 1);
  page.unmount();
  await until("no request", async () => (await waiting(service, "messages")) === 0);
  const again = render(<Count />);
  await until("the rows, read again", () => again.text === "3;", () => again.text);
});

it("gives what did not change as the same objects, and draws only what moved", async () => {
  const service = await serve();
  const agent = await session(service, "s", 3);
  const seen: SessionRealtime[] = [];
  const drawn: string[] = [];
  const Message = ({ entry }: { entry: MessageWithParts }) => {
    drawn.push(entry.message.id);
    return <p>{entry.parts.map((part) => part.text).join()}</p>;
  };
  // As `React.memo` compares, without its own rules for StrictMode.
  const cache = new Map<MessageWithParts, ReturnType<typeof Message>>();
  function Probe() {
    const realtime = useSessionRealtime("s", { url: service.url });
    if (seen.at(-1) !== realtime) seen.push(realtime);
    return realtime.messages.map((entry) => {
      if (!cache.has(entry)) cache.set(entry, <Message key={entry.message.id} entry={entry} />);
      return cache.get(entry);
    });
  }
  const page = render(<Probe />);
  await until("the session", () => seen.at(-1)?.isUpToDate && seen.at(-1)?.messages.length === 3, () => seen.at(-1));
  const before = seen.at(-1)!;
  expect(before).toMatchObject({ session: { id: "s" }, isLoading: false, error: undefined });
  drawn.length = 0;
  await agent.parts.save("s", "s-m1", { id: "s-m1-p0", type: "text", text: "streamed", sort_order: 0 });
  await until("the new text", () => page.text.includes("streamed"), () => page.text);
  const after = seen.at(-1)!;
  expect(after.messages[0]).toBe(before.messages[0]);
  expect(after.messages[2]).toBe(before.messages[2]);
  expect(after.messages[1]!.message).toBe(before.messages[1]!.message);
  expect(after.messages[1]!.parts[1]).toBe(before.messages[1]!.parts[1]);
  expect(new Set(drawn)).toEqual(new Set(["s-m1"]));
});

it("gives one message's parts from the session's shape, as the same list while they are", async () => {
  const service = await serve();
  const agent = await session(service, "s", 2);
  const lists = new Set<readonly PartRow[]>();
  function Probe() {
    const parts = useMessageParts("s", "s-m0", { url: service.url });
    const { data } = usePartsShape("s", { url: service.url });
    lists.add(parts);
    return <p>{`${parts.map(({ id }) => id).join()} of ${data.length}`}</p>;
  }
  const page = render(<Probe />);
  await until("the parts", () => page.text === "s-m0-p0,s-m0-p1 of 4", () => page.text);
  const known = lists.size;
  await agent.parts.append("s", "s-m1", [{ type: "text", text: "of the other" }]);
  await until("the other's part", () => page.text === "s-m0-p0,s-m0-p1 of 5", () => page.text);
  expect(lists.size).toBe(known);
  await agent.parts.delete("s", "s-m0", "s-m0-p0");
  await until("one part less", () => page.text === "s-m0-p1 of 4", () => page.text);
});

it("follows nothing without an id, and another session when the id changes", async () => {
  const service = await serve();
  await session(service, "a", 1);
  await session(service, "b", 2);
  function Probe({ id }: { id?: string }) {
    const { messages, isLoading, session } = useSessionRealtime(id, { url: service.url, timeout: 50 });
    return <p>{`${session?.id} ${messages.length} ${isLoading}`}</p>;
  }
  const page = render(<Probe />);
  expect(page.text).toBe("undefined 0 true");
  page.render(<Probe id="a" />);
  await until("the first session", () => page.text === "a 1 false", () => page.text);
  page.render(<Probe id="b" />);
  await until("the other session", () => page.text === "b 2 false", () => page.text);
  await until("only its requests", async () => (await waiting(service, "messages")) === 1 && (await waiting(service, "parts")) === 1);
});

it("shows that a session is gone", async () => {
  const service = await serve();
  const agent = await session(service, "s", 1);
  function Probe() {
    const { messages, session } = useSessionRealtime("s", { url: service.url });
    return <p>{`${session?.id} ${messages.length}`}</p>;
  }
  const page = render(<Probe />);
  await until("the session", () => page.text === "s 1", () => page.text);
  await agent.sessions.delete("s");
  await until("its end", () => page.text === "undefined 0", () => page.text);
});

it("tells why a shape was refused, and tries again for whoever comes next", async () => {
  const service = await serve();
  await session(service, "s", 1);
  const bad = { ...messagesShapeConfig("s", { url: service.url }), params: { table: "messages", where: "nonsense" } };
  let result: ShapeResult<Record<string, unknown>> | undefined;
  const Probe = () => <p>{(result = useShapeWithAbort(bad as never)).isError ? "refused" : "waiting"}</p>;
  const page = render(<Probe />);
  await until("the refusal", () => page.text === "refused", () => result);
  expect(result).toMatchObject({ isLoading: false, isUpToDate: false, error: { status: 400 } });
});

it("asks for a token again that could not be had, or was renewed a moment late", async () => {
  const service = await serve({ PLUE_AUTH__JWT_SECRET: SECRET, PLUE_AUTH__LEEWAY: "0s" });
  const good = sign(SECRET, { sub: "a", role: "agent", sessions: "*", exp: Math.floor(Date.now() / 1000) + 600 });
  await createAgentClient({ url: service.url, token: good }).sessions.create({ id: "s", directory: "/", title: "t" });
  const given: (string | Error)[] = [new Error("offline"), "nonsense", "nonsense", good];
  let asked = 0;
  const token = async () => {
    const now = given[Math.min(asked++, given.length - 1)]!;
    if (now instanceof Error) throw now;
    return now;
  };
  let result: ShapeResult<Record<string, unknown>> | undefined;
  const Probe = () => <p>{(result = useSession("s", { url: service.url, token }) as never as typeof result)!.data.length}</p>;
  const page = render(<Probe />);
  await until("the session", () => page.text === "1", () => result);
  expect(asked).toBeGreaterThanOrEqual(4);
});

it("begins again for all who show a shape when somebody comes to it after a refusal", async () => {
  const service = await serve();
  await session(service, "s", 2);
  let isRefused = true;
  const fetchOnceRefused: typeof fetch = (...asked) => (isRefused ? Promise.resolve(new Response("{}", { status: 400 })) : fetch(...asked));
  const config = messagesShapeConfig("s", { url: service.url, fetch: fetchOnceRefused });
  const Probe = () => {
    const { data, error } = useShapeWithAbort(config);
    return <b>{error ? "refused;" : `${data.length};`}</b>;
  };
  const page = render([<Probe key="1" />]);
  await until("the refusal", () => page.text === "refused;", () => page.text);
  isRefused = false;
  page.render([<Probe key="1" />, <Probe key="2" />]);
  await until("the rows in both", () => page.text === "2;2;", () => page.text);
});

it("keeps what it shows when its signal is aborted, and asks no more", async () => {
  const service = await serve();
  await session(service, "s", 2);
  const controller = new AbortController();
  const config = { ...messagesShapeConfig("s", { url: service.url }), signal: controller.signal };
  const Probe = ({ mark }: { mark: string }) => <p>{`${useShapeWithAbort(config).data.length} ${mark}`}</p>;
  const page = render(<Probe mark="first" />);
  await until("the rows", () => page.text === "2 first", () => page.text);
  controller.abort();
  await until("no request", async () => (await waiting(service, "messages")) === 0);
  page.render(<Probe mark="again" />);
  expect(page.text).toBe("2 again");
});

it("goes on after the program was started again", async () => {
  const service = await serve();
  const agent = await session(service, "s", 1);
  const Probe = () => <p>{useMessagesShape("s", { url: service.url }).data.length}</p>;
  const page = render(<Probe />);
  await until("the row", () => page.text === "1", () => page.text);
  await service.restart("SIGTERM");
  await agent.messages.append("s", { role: "user" });
  await until("the next row", () => page.text === "2", () => page.text);
});

it("shows one's own write when its transaction has come back", async () => {
  const service = await serve();
  const agent = await session(service, "s", 1);
  let shape: ShapeResult<Record<string, unknown>> | undefined;
  const Probe = () => <p>{(shape = useMessagesShape("s", { url: service.url }) as never as typeof shape)!.data.length}</p>;
  const page = render(<Probe />);
  await until("the stream", () => shape?.isUpToDate);
  for (let n = 2; n < 12; n++) {
    const { txid } = await agent.messages.append("s", { role: "user" });
    await awaitTxId(shape!.stream!, txid);
    await until("the row", () => page.text === String(n), () => page.text);
  }
  const { txid } = await agent.sessions.create({ directory: "/", title: "another shape's" });
  await expect(awaitTxId(shape!.stream!, txid, { timeoutMs: 100 })).rejects.toThrow(/transaction \d+ within 100 ms/);
  await awaitTxId(shape!.stream!, null);
});
