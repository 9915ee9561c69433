/** The real program on a database of its own, for one test. */
import { onTestFinished } from "vitest";
// The harness of the tests in tests/node, which is plain JavaScript.
// @ts-expect-error it has no types
import { eventually as untyped } from "../../../../tests/node/support/eventually.js";
// @ts-expect-error it has no types
import { Service as Untyped } from "../../../../tests/node/support/service.js";
// @ts-expect-error it has no types
import { sign as untypedSign } from "../../../../tests/node/support/token.js";
import { createAgentClient } from "../../src/index.js";

export interface Service {
  readonly url: string;
  rows(sql: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
  transact(...statements: (string | [string, unknown[]])[]): Promise<number>;
  restart(signal: NodeJS.Signals, meanwhile?: () => Promise<void>): Promise<void>;
  start(settings: Record<string, string>): Promise<void>;
  close(): Promise<void>;
  printLogs(): void;
}

type Eventually = <T>(what: string, check: () => T | Promise<T>, options?: { deadlineMs?: number; seen?: () => unknown }) => Promise<NonNullable<T>>;

export const eventually = untyped as Eventually;

/** A token as an issuer signs it. */
export const sign = untypedSign as (secret: string, claims: Record<string, unknown>) => string;

/** Starts the program. Whatever becomes of the test, nothing is left behind. */
export async function serve(settings: Record<string, string> = {}): Promise<Service> {
  const service = new (Untyped as new (command: string) => Service)("serve");
  onTestFinished(async ({ task }) => {
    if (task.result?.state === "fail") service.printLogs();
    await service.close();
  });
  await service.start(settings);
  return service;
}

/** A session with `messages` messages of two parts each, written through the API; and the client that wrote it. */
export async function session(service: Service, id: string, messages = 2) {
  const agent = createAgentClient({ url: service.url });
  await agent.sessions.create({ id, directory: "/src", title: `Session ${id}` });
  for (let n = 0; n < messages; n++) {
    const parts = [0, 1].map((p) => ({ id: `${id}-m${n}-p${p}`, type: "text" as const, text: `part ${p} of message ${n}` }));
    await agent.messages.append(id, { id: `${id}-m${n}`, role: n % 2 ? "assistant" : "user", time_created: 1_000 + n, parts });
  }
  return agent;
}

/** Live requests that the program holds now, for each shape of `table`. */
export async function waiting(service: Service, table: string): Promise<number> {
  const response = await fetch(`${service.url}/v1/admin/shapes?limit=500`);
  const { shapes } = (await response.json()) as { shapes: { table: string; readers: number }[] };
  return shapes.filter((shape) => shape.table.replace(/.*\./, "") === table).reduce((all, { readers }) => all + readers, 0);
}
