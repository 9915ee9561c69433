/** Collections of TanStack DB over the tables of a session, against the real program. */
import { createCollection } from "@tanstack/db";
import { expect, it, onTestFinished } from "vitest";
import { createAgentClient } from "../src/index.js";
import { messagesCollection, partsCollection, sessionsCollection, snapshotHistoryCollection, subtasksCollection } from "../src/tanstack.js";
import { serve, session } from "./support/service.js";

it("have the rows, and what is written through them comes back", async () => {
  const service = await serve();
  const agent = await session(service, "s", 2);
  await agent.snapshots.append("s", { change_id: "one" });
  await agent.subtasks.append("s", { result: { a: 1 } });
  const options = { url: service.url };
  const messages = createCollection(
    messagesCollection("s", options, {
      onUpdate: ({ transaction }) => {
        const [{ original, changes }] = transaction.mutations;
        return createAgentClient(options).messages.update("s", original.id, changes);
      },
    }),
  );
  const parts = createCollection(partsCollection("s", options));
  const sessions = createCollection(sessionsCollection("id = $1", { ...options, params: ["s"] }));
  const snapshots = createCollection(snapshotHistoryCollection("s", options));
  const subtasks = createCollection(subtasksCollection("s", options));
  const all = [messages, parts, sessions, snapshots, subtasks];
  onTestFinished(async () => {
    await Promise.all(all.map((collection) => collection.cleanup()));
  });
  await Promise.all(all.map((collection) => collection.preload()));
  expect(all.map(({ size }) => size)).toEqual([2, 4, 1, 1, 1]);
  expect(messages.get("s-m0")).toMatchObject({ time_created: 1_000, created_at: expect.any(Date) });
  await messages.update("s-m1", (draft) => void (draft.finish = "stop")).isPersisted.promise;
  expect(messages.get("s-m1")?.finish).toBe("stop");
  expect((await agent.messages.list("s")).messages[1]?.finish).toBe("stop");
  // Somebody has done the same already: there is nothing to wait for.
  await agent.messages.update("s", "s-m0", { finish: "length" });
  await messages.update("s-m0", (draft) => void (draft.finish = "length")).isPersisted.promise;
});
