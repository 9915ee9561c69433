/** What this server is, and whether this reader may in: the token is asked for when it is refused, never before. */
import { configure } from "@plue/sync";
import { replaceAddress } from "./route";
import { createStore } from "./store";

export interface Access {
  /** `checking` until it is known whether a token is needed. */
  readonly phase: "checking" | "open" | "refused";
  /** `null` of a server that does not tell. */
  readonly version: string | null;
  /** Whether the server plays a demo when asked. */
  readonly demo: boolean;
  /** What the server said when it refused. */
  readonly reason: string | null;
  /** Another one for each token: everything is followed anew with it. */
  readonly entry: number;
}

export const access = createStore<Access>({ phase: "checking", version: null, demo: false, reason: null, entry: 0 });

const KEY = "plue-sync token";

/** Reads what the address or this tab knows of a token, and asks the server whether one is needed. */
export async function enter(): Promise<void> {
  const given = tokenOfAddress();
  if (given) sessionStorage.setItem(KEY, given);
  configureWith(currentToken());
  const viewer = await askViewer();
  const known = { ...access.get(), version: viewer.version, demo: viewer.demo };
  const refusal = viewer.needsToken ? await refusalOf() : null;
  access.set(refusal === null ? { ...known, phase: "open" } : { ...known, phase: "refused", reason: refusal });
}

/** Tries a token; what was refused of it, or `null` when it lets in. */
export async function tryToken(token: string): Promise<string | null> {
  const refusal = await refusalOf(token);
  if (refusal !== null) return refusal;
  sessionStorage.setItem(KEY, token);
  configureWith(token);
  const known = access.get();
  access.set({ ...known, phase: "open", reason: null, entry: known.entry + 1 });
  return null;
}

/** A shape or a write was answered 401. */
export function refuse(reason: string): void {
  const known = access.get();
  if (known.phase === "open") access.set({ ...known, phase: "refused", reason });
}

export function currentToken(): string | null {
  return sessionStorage.getItem(KEY);
}

/** The role that a signed token names; `null` where it cannot be told. Nothing is trusted to it: it only spares vain requests. */
export function claimedRole(): string | null {
  const [, claims] = currentToken()?.split(".") ?? [];
  if (!claims) return null;
  try {
    const { role } = JSON.parse(atob(claims.replace(/-/g, "+").replace(/_/g, "/"))) as { role?: unknown };
    return typeof role === "string" ? role : null;
  } catch {
    return null;
  }
}

/** For requests that the package has no function for. */
export function authorizationHeaders(token = currentToken()): Record<string, string> {
  return token ? { authorization: `Bearer ${token}` } : {};
}

/** Removed at once, so that it stays out of the history, and out of links that are passed on. */
function tokenOfAddress(): string | null {
  const [found, token, rest] = /^#token=([^&#/]+)[&#]?(\/.*)?$/.exec(location.hash) ?? [];
  if (!found || !token) return null;
  replaceAddress(`#${rest ?? "/"}`);
  return decodeURIComponent(token);
}

function configureWith(token: string | null): void {
  configure({ url: location.origin, ...(token && { token }) });
}

interface ViewerAnswer {
  version?: string;
  needs_token?: boolean;
  demo?: boolean;
}

async function askViewer(): Promise<{ version: string | null; needsToken: boolean; demo: boolean }> {
  // Where nobody answers the shapes keep trying, and say so.
  const answer = await fetch("/v1/viewer").catch(() => null);
  const said: ViewerAnswer = answer?.ok ? ((await answer.json().catch(() => ({}))) as ViewerAnswer) : {};
  return { version: said.version ?? null, needsToken: said.needs_token === true, demo: said.demo === true };
}

/** One cheap request, rather than a 401 for every shape. A cookie may let in without any token. */
async function refusalOf(token = currentToken()): Promise<string | null> {
  const answer = await fetch("/v1/sessions?limit=1", { headers: authorizationHeaders(token) }).catch(() => null);
  if (answer?.status !== 401) return null;
  const said = (await answer.json().catch(() => ({}))) as { message?: string };
  return said.message ?? "a token is needed";
}
