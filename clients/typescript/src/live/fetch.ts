/**
 * The `fetch` of shapes in a browser that has few connections: live requests are shared, all others pass. What shares them is loaded
 * with the first of them, and never by pages that have no need of it.
 */
import { responseOf } from "../response.js";
import type { Tabs } from "./tabs.js";

/** Parameters of those who want a stream. */
const SSE = ["live_sse", "experimental_live_sse"];

/** By the address of a shape route. */
const tabs = new Map<string, Tabs>();

export const sharedFetch: typeof fetch = async (input, init) => {
  const url = new URL(input instanceof Request ? input.url : String(input));
  const authorization = onlyAuthorization(init?.headers);
  const isLive = url.searchParams.get("live") === "true" && !SSE.some((name) => url.searchParams.has(name));
  const isPlain = !(input instanceof Request) && (init?.method ?? "GET") === "GET" && authorization !== false;
  if (!isLive || !isPlain) return fetch(input, init);
  const { Tabs } = await import("./tabs.js");
  const shape = url.origin + url.pathname;
  let shared = tabs.get(shape);
  if (!shared) {
    shared = new Tabs(shape, (...asked) => fetch(...asked));
    tabs.set(shape, shared);
  }
  const { body, ...head } = await shared.ask(url.search.slice(1), authorization, init?.signal);
  return responseOf(body, head);
};

/** The token that a request shows, if it has no other header; else `false`. */
function onlyAuthorization(headers: HeadersInit | undefined): string | undefined | false {
  const given = new Headers(headers);
  const token = given.get("authorization") ?? undefined;
  given.delete("authorization");
  return [...given].length === 0 && token;
}
