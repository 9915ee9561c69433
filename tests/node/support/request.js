// A shape request as a relay and its tests tell it from others.

/** Where in the log a reader is, how it waits, and who it is; the rest of the query says which shape. */
const NOT_THE_SHAPE = new Set([
  'cache-buster',
  'client',
  'cursor',
  'experimental_live_sse',
  'expired_handle',
  'handle',
  'live',
  'live_sse',
  'offset',
]);

/**
 * `{ method, path, shape, offset, handle, client, live, sse, status, done }`: `path` with its query as it came, `shape` the same for all
 * requests for one shape, `status` undefined until there is an answer, `done` when that is complete or can never be.
 */
export function requestOf({ line }) {
  const [method, path] = line.split(' ');
  const { pathname, searchParams } = new URL(path, 'http://relay');
  const shape = [...searchParams].filter(([name]) => !NOT_THE_SHAPE.has(name)).sort(([a], [b]) => (a < b ? -1 : Number(a > b)));
  const value = (name) => searchParams.get(name) ?? undefined;
  return {
    method,
    path,
    shape: `${pathname}?${new URLSearchParams(shape)}`,
    offset: value('offset'),
    handle: value('handle'),
    client: value('client'),
    live: value('live') === 'true',
    sse: value('live_sse') === 'true',
    status: undefined,
    done: false,
  };
}

/** Filters for `Relay`. */
export const isLive = ({ live, path }) => live && isShape({ path });
export const isNotLive = ({ live, path }) => !live && isShape({ path });
const isShape = ({ path }) => path.startsWith('/v1/shape?');

/** One text for each shape and offset, by which live requests are shared. */
export const placeOf = ({ shape, offset, handle }) => JSON.stringify([shape, handle, offset]);
