/** Rendered on a server, and gone on with in a browser, against the real program. */
import { flushSync } from "react-dom";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { StrictMode } from "react";
import { expect, it, onTestFinished } from "vitest";
import { type Preloaded, preloadSession, preloadSessions, preloadShape, messagesShapeConfig } from "../src/index.js";
import { PreloadedProvider, useMessagesShape, useSessionRealtime, useSessionsShape, useSnapshotHistoryShape, useSubtasksShape } from "../src/react/index.js";
import { shapeKey } from "../src/preload.js";
import { resultOf, subscriptionKey } from "../src/react/subscription.js";
import { eventually, serve, session } from "./support/service.js";

/** Hydrates as a page does, and notes what React had to mend. */
function hydrate(html: string, node: React.ReactNode) {
  const container = document.body.appendChild(document.createElement("div"));
  container.innerHTML = html;
  const mended: unknown[] = [];
  const root = flushSync(() => hydrateRoot(container, <StrictMode>{node}</StrictMode>, { onRecoverableError: (error) => mended.push(error) }));
  onTestFinished(() => {
    root.unmount();
    container.remove();
  });
  return { container, mended, root };
}

it("a session is there in the first render, and goes on from its offset without a second snapshot", async () => {
  const service = await serve();
  const agent = await session(service, "s", 3);
  await agent.messages.update("s", "s-m0", { cost: 0.5 });
  await agent.parts.delete("s", "s-m2", "s-m2-p1");
  await agent.snapshots.append("s", { change_id: "one" });
  await agent.subtasks.append("s", { result: { found: 1 } });
  // A server reaches the program by another address, and speaks for itself.
  const read = await preloadSession("s", { url: service.url.replace("127.0.0.1", "localhost"), client: "server" });
  const preloaded = JSON.parse(JSON.stringify(read)) as Preloaded;
  expect(Object.keys(preloaded)).toHaveLength(5);

  const asked: string[] = [];
  const noted: typeof fetch = (input, init) => {
    asked.push(String(input));
    return fetch(input, init);
  };
  function Session() {
    const options = { url: service.url, fetch: noted };
    const { session, messages, isLoading } = useSessionRealtime("s", options);
    const snapshots = useSnapshotHistoryShape("s", options).data.length;
    const subtasks = useSubtasksShape("s", options).data.length;
    return (
      <main data-state={`${isLoading} ${snapshots} ${subtasks}`}>
        <h1>{session?.title}</h1>
        {messages.map(({ message, parts }) => (
          <p key={message.id}>{`${message.time_created} ${message.created_at.toISOString()} ${message.cost} ${parts.map((part) => part.text).join(";")}`}</p>
        ))}
      </main>
    );
  }
  const page = (
    <PreloadedProvider preloaded={preloaded}>
      <Session />
    </PreloadedProvider>
  );
  const html = renderToString(<StrictMode>{page}</StrictMode>);
  expect(html).toContain("part 0 of message 2");
  expect(html).toContain('data-state="false 1 1"');
  expect(html).toContain(" 0.5 ");
  expect(asked, "a server's render asks for nothing").toEqual([]);

  const { container, mended } = hydrate(html, page);
  // What was written between the two is not lost.
  await agent.messages.append("s", { role: "user", parts: [{ type: "text", text: "meanwhile" }] });
  await eventually("the next message", () => container.textContent?.includes("meanwhile"), { seen: () => container.textContent });
  expect(container.textContent).toContain("part 1 of message 0");
  expect(container.textContent).not.toContain("part 1 of message 2");
  expect(mended).toEqual([]);
  expect(asked.length).toBeGreaterThan(0);
  expect(asked.filter((url) => new URL(url).searchParams.get("offset") === "-1"), "a second snapshot").toEqual([]);
});

it("a shape that has been made anew meanwhile is read again", async () => {
  const service = await serve();
  await session(service, "s", 1);
  const preloaded = await preloadShape(messagesShapeConfig("s", { url: service.url }));
  const [shape] = Object.values(preloaded);
  shape!.handle = "0-0";
  shape!.rows.push(["gone", { ...shape!.rows[0]![1], id: "never-there" }]);
  function Ids() {
    const { messages, isUpToDate } = useSessionRealtime("s", { url: service.url });
    return <p>{`${isUpToDate} ${messages.map(({ message }) => message.id).join()}`}</p>;
  }
  const page = (
    <PreloadedProvider preloaded={preloaded}>
      <Ids />
    </PreloadedProvider>
  );
  const html = renderToString(page);
  expect(html).toContain("never-there,s-m0");
  const { container } = hydrate(html, page);
  await eventually("what is there", () => container.textContent === "true s-m0", { seen: () => container.textContent });
});

it("what a server has read is shown once, and not when the page comes back to it later", async () => {
  const service = await serve();
  const agent = await session(service, "s", 2);
  const config = messagesShapeConfig("s", { url: service.url });
  const preloaded = await preloadShape(config);
  const key = subscriptionKey(shapeKey(config), config as never);
  const seen: string[] = [];
  function Ids() {
    const text = useMessagesShape("s", { url: service.url, timeout: 10 }).data.map(({ id }) => id).join();
    if (seen.at(-1) !== text) seen.push(text);
    return <p>{text}</p>;
  }
  const page = (isShown: boolean) => <PreloadedProvider preloaded={preloaded}>{isShown && <Ids />}</PreloadedProvider>;
  const { container, root } = hydrate(renderToString(page(true)), page(true));
  await agent.messages.delete("s", "s-m0");
  await eventually("one less", () => container.textContent === "s-m1", { seen: () => seen });
  flushSync(() => root.render(page(false)));
  // Between two long-polls the server holds none either.
  await eventually("the end of the subscription", () => resultOf(key) === undefined);
  seen.length = 0;
  flushSync(() => root.render(page(true)));
  await eventually("what is there", () => container.textContent === "s-m1", { seen: () => seen });
  expect(seen).toEqual(["", "s-m1"]);
});

it("lists of sessions are preloaded too, and a refusal is told", async () => {
  const service = await serve();
  await session(service, "a", 0);
  await session(service, "b", 0);
  const options = { url: service.url, params: ["a"] };
  const preloaded = await preloadSessions("id = $1", options);
  const List = () => <p>{useSessionsShape("id = $1", options).data.map(({ id }) => id).join()}</p>;
  const html = renderToString(<PreloadedProvider preloaded={preloaded}>{<List />}</PreloadedProvider>);
  expect(html).toBe("<p>a</p>");
  expect(renderToString(<List />), "what was not preloaded is loading").toBe("<p></p>");
  await expect(preloadSessions("nonsense", { url: service.url })).rejects.toMatchObject({ status: 400 });
  await expect(preloadSession("a", { url: service.url, signal: AbortSignal.abort(new Error("too late")) })).rejects.toThrow("too late");
  const noToken = preloadSession("a", { url: service.url, token: () => Promise.reject(new Error("offline")) });
  await expect(noToken).rejects.toThrow("the token could not be had");
  const nowhere = preloadSession("a", { url: "http://127.0.0.1:1", signal: AbortSignal.timeout(300) });
  await expect(nowhere).rejects.toThrow(/timeout/i);
});
