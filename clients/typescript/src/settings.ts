/** Where the API is, and who asks. */

/** A token, or a function that gives the one that counts now: it is called before each request. */
export type Token = string | (() => string | Promise<string>);

export interface Settings {
  /** Address of the API, such as `https://sync.example.com`; see `apiUrl` for what counts without it. */
  url?: string | undefined;
  /**
   * Sent as `authorization: Bearer`. Where it is a function, that must be the same function each time: define it outside of
   * components. After a 401, and where it fails, it is asked again; a shape that is refused six times in a row ends with the error.
   */
  token?: Token | undefined;
  /** Used instead of `fetch`; then nothing is shared. */
  fetch?: typeof fetch | undefined;
  /**
   * `shared`: all live requests of a page, and of all tabs of its origin, go over one or two connections. `own`: each has its
   * own. Without it `shared` in browsers where the address is `http:`, since HTTP/1.1 has six connections to a host, and `own` over
   * `https:`, where HTTP/2 has no such limit.
   */
  connections?: "shared" | "own" | undefined;
}

let defaults: Settings = {};

/**
 * Sets what counts wherever a call names nothing else. For browsers: on a server, where one process speaks for several users, name
 * `token` in each call.
 */
export function configure(settings: Settings): void {
  defaults = { ...settings };
}

/** The settings of a call: its own, and the others as configured. */
export function settled(settings: Settings = {}): Settings {
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(given) };
}

type Environment = Record<string, string | undefined>;

/**
 * The address of the API, without a slash at its end: `url`, what was configured, `PUBLIC_CLIENT_API_URL` of the bundler or the
 * process, the origin of the page, `http://localhost:4000`; the first that there is.
 */
export function apiUrl(url?: string): string {
  const found = url ?? defaults.url ?? fromBundler() ?? fromProcess() ?? fromPage() ?? "http://localhost:4000";
  return found.replace(/\/+$/, "");
}

/** Vite and Astro put their public variables there. */
function fromBundler(): string | undefined {
  return (import.meta as { env?: Environment }).env?.PUBLIC_CLIENT_API_URL || undefined;
}

function fromProcess(): string | undefined {
  const { process } = globalThis as { process?: { env?: Environment } };
  return process?.env?.PUBLIC_CLIENT_API_URL || undefined;
}

function fromPage(): string | undefined {
  const origin = globalThis.location?.origin;
  return origin?.startsWith("http") ? origin : undefined;
}

/** The value of `authorization`. The same token gives the same function, so that configurations can be compared. */
export function authorization(token: Token): string | (() => Promise<string>) {
  if (typeof token === "string") return `Bearer ${token}`;
  let bearer = bearers.get(token);
  if (!bearer) {
    bearer = async () => {
      try {
        return `Bearer ${await token()}`;
      } catch (cause) {
        throw new TokenError(cause);
      }
    };
    bearers.set(token, bearer);
  }
  return bearer;
}

/** There is no token, because the function that gives it failed. It is asked again, as where the network fails. */
export class TokenError extends Error {
  override readonly name = "TokenError";
  constructor(cause: unknown) {
    super("the token could not be had", { cause });
  }
}

const bearers = new WeakMap<object, () => Promise<string>>();
