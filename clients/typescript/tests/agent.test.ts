/** Writes of agents, against the real program. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { type ApiError, createAgentClient, newId } from "../src/index.js";
import { serve, session } from "./support/service.js";

it("writes everything that a session has, and says under which transaction", async () => {
  const service = await serve();
  const agent = createAgentClient({ url: service.url });
  const { session, txid, lsn } = await agent.sessions.create({ directory: "/src", title: "First", model: "m" });
  expect(session.id).toMatch(/^ses_[0-9a-f]{32}$/);
  expect(txid).toBeGreaterThan(0);
  expect(BigInt(lsn)).toBeGreaterThan(0n);
  const { message } = await agent.messages.append(session.id, { role: "assistant", parts: [{ type: "text", text: "a" }] });
  const { parts } = await agent.parts.append(session.id, message.id, [
    { type: "tool", tool_name: "grep", tool_state: { status: "running", input: { for: "x" } } },
    { type: "file", mime: "text/plain", url: "https://a.example/f", filename: "f" },
  ]);
  expect(parts.map(({ sort_order }) => sort_order)).toEqual([1, 2]);
  const saved = await agent.parts.save(session.id, message.id, { id: parts[0]!.id, type: "tool", tool_name: "grep", tool_state: { status: "completed" }, sort_order: 1 });
  expect(saved.part.tool_state).toEqual({ status: "completed" });
  const again = await agent.parts.save(session.id, message.id, { id: parts[0]!.id, type: "tool", tool_name: "grep", tool_state: { status: "completed" }, sort_order: 1 });
  expect(again.txid, "the same again is no change").toBeNull();
  await agent.messages.update(session.id, message.id, { status: "completed", cost: 0.5, tokens_output: 3 });
  await agent.parts.delete(session.id, message.id, parts[1]!.id);
  const { messages } = await agent.messages.list(session.id);
  expect(messages).toMatchObject([{ status: "completed", tokens_output: 3, parts: [{ text: "a" }, { type: "tool" }] }]);

  await agent.snapshots.append(session.id, { change_id: "one" });
  await agent.snapshots.replace(session.id, [{ change_id: "one" }, { change_id: "two" }]);
  expect((await agent.snapshots.list(session.id)).snapshots.map(({ change_id }) => change_id)).toEqual(["one", "two"]);
  await agent.subtasks.append(session.id, { result: [1] });
  expect((await agent.subtasks.list(session.id)).subtasks).toMatchObject([{ result: [1], key: expect.stringMatching(/^sub_/) }]);
  await agent.subtasks.clear(session.id);

  await agent.messages.replace(session.id, [{ id: "m", role: "user" }]);
  await agent.messages.delete(session.id, "m");
  await agent.sessions.update(session.id, { title: "Other", time_archived: 17 });
  expect((await agent.sessions.get(session.id)).session).toMatchObject({ title: "Other", time_archived: 17 });
  expect((await agent.sessions.list({ archived: true, limit: 1 })).sessions).toHaveLength(1);
  await agent.sessions.clear(session.id);
  await agent.sessions.delete(session.id);
  expect((await agent.sessions.list()).sessions).toEqual([]);
});

it("tells what was wrong, and takes any id", async () => {
  const service = await serve();
  const agent = await session(service, "a/b ?#%ä", 1);
  expect((await agent.messages.list("a/b ?#%ä")).messages).toHaveLength(1);
  const refused = await agent.sessions.create({ directory: "/", title: "t", reasoning_effort: "lots" as "low" }).catch((error: ApiError) => error);
  expect(refused).toMatchObject({ name: "ApiError", status: 400, code: "invalid_request", message: expect.stringContaining("reasoning_effort") });
  await expect(agent.sessions.get("nowhere")).rejects.toMatchObject({ status: 404, code: "not_found" });
});

it("sends a write again whose answer was lost, and it is done once", async () => {
  const service = await serve();
  const agent = createAgentClient({ url: service.url });
  const { session } = await agent.sessions.create({ directory: "/", title: "t" });
  // Passes everything on, but cuts the connection in place of the first answers.
  let cuts = 0;
  const cutter = createServer(async (request, response) => {
    const body = await new Response(request as never).text();
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${service.url}${request.url}`, { method: request.method!, headers, ...(body && { body }) });
    if (cuts-- > 0) return request.socket.destroy();
    response.writeHead(answer.status).end(await answer.text());
  });
  await new Promise<void>((listening) => cutter.listen(0, "127.0.0.1", listening));
  onTestFinished(() => void cutter.close());
  const far = createAgentClient({ url: `http://127.0.0.1:${(cutter.address() as AddressInfo).port}` });
  cuts = 2;
  await far.messages.append(session.id, { role: "user", parts: [{ type: "text", text: "once" }] });
  cuts = 1;
  await far.subtasks.append(session.id, { result: "once" });
  const { messages } = await agent.messages.list(session.id);
  expect(messages.map(({ parts }) => parts.map(({ text }) => text))).toEqual([["once"]]);
  expect((await agent.subtasks.list(session.id)).subtasks).toHaveLength(1);
  cuts = 1;
  await expect(far.snapshots.append(session.id, { change_id: "c" }), "it could be done twice").rejects.toBeInstanceOf(TypeError);
  cuts = 1;
  await expect(far.sessions.clear(session.id), "more may be lost by it the second time").rejects.toBeInstanceOf(TypeError);
  const { message } = await agent.messages.append(session.id, { role: "assistant" });
  const part = { id: "streamed", type: "text" as const };
  cuts = 1;
  const [older, newer] = await Promise.allSettled([
    far.parts.save(session.id, message.id, { ...part, text: "Hel" }),
    far.parts.save(session.id, message.id, { ...part, text: "Hello" }),
  ]);
  expect([older.status, newer.status], "one of them was cut").toContain("fulfilled");
  if (older.status === "rejected") expect((await agent.messages.list(session.id)).messages.at(-1)?.parts[0]?.text).toBe("Hello");
  const twice = { result: 1, key: undefined };
  await agent.subtasks.append(session.id, twice as never);
  expect((await agent.subtasks.list(session.id)).subtasks[0]?.key).toMatch(/^sub_/);
  cuts = 9;
  await expect(createAgentClient({ url: `http://127.0.0.1:${(cutter.address() as AddressInfo).port}`, retries: 1 }).sessions.list()).rejects.toBeInstanceOf(TypeError);
  expect(cuts, "it was tried twice").toBe(7);
});

it("makes ids that are sorted by time", async () => {
  const first = newId("msg");
  await new Promise((later) => setTimeout(later, 2));
  expect(first < newId("msg")).toBe(true);
  expect(first).toMatch(/^msg_[0-9a-f]{32}$/);
});
