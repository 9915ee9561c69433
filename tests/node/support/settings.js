// The settings of a scenario, as `plue-sync serve` has them, divided between it and the engine in another process.

const PREFIX = 'PLUE_ENGINE__';
/** What `serve` does itself with an upstream: it frames the event streams. */
const OF_SERVE = new Set(['SSE_TIMEOUT', 'SSE_KEEP_ALIVE']);
const MS = { ms: 1, s: 1000, m: 60_000 };

const asItIs = (value) => value;
const inMs = (value) => {
  const [, number, unit] = value.match(/^(\d+)(ms|s|m)$/) ?? [];
  if (!unit) throw new Error(`not a time: ${value}`);
  return `${Number(number) * MS[unit]}`;
};
const inSeconds = (value) => {
  const seconds = Number(inMs(value)) / 1000;
  if (!Number.isInteger(seconds)) throw new Error(`not a whole number of seconds: ${value}`);
  return `${seconds}`;
};

/** Our name without its prefix, Electric's name, and its unit. Source: src/config/electric.rs. */
const OF_ENGINE = new Map([
  ['ALLOW_DELETE', ['ELECTRIC_ENABLE_INTEGRATION_TESTING', asItIs]],
  ['CACHE_MAX_AGE', ['ELECTRIC_CACHE_MAX_AGE', inSeconds]],
  ['CACHE_STALE_AGE', ['ELECTRIC_CACHE_STALE_AGE', inSeconds]],
  ['CHUNK_BYTES', ['ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD', asItIs]],
  ['LONG_POLL_TIMEOUT', ['ELECTRIC_LONG_POLL_TIMEOUT', inMs]],
  ['MANUAL_PUBLISHING', ['ELECTRIC_MANUAL_TABLE_PUBLISHING', asItIs]],
  ['MAX_SHAPES', ['ELECTRIC_MAX_SHAPES', asItIs]],
  ['POOL_SIZE', ['ELECTRIC_DB_POOL_SIZE', asItIs]],
  ['PUBLICATION_KEEP', ['ELECTRIC_TWEAKS_PUBLICATION_REFRESH_PERIOD', asItIs]],
  ['RECONCILE_INTERVAL', ['ELECTRIC_TWEAKS_SCHEMA_RECONCILER_PERIOD', asItIs]],
  ['STORAGE_DIR', ['ELECTRIC_STORAGE_DIR', asItIs]],
  ['STREAM_ID', ['ELECTRIC_REPLICATION_STREAM_ID', asItIs]],
]);
/** Two of ours in one of Electric's. */
const LIMITS = new Map([['MAX_INITIAL_REQUESTS', 'initial'], ['MAX_EXISTING_REQUESTS', 'existing']]);

/**
 * `{ serve, engine }`: the environments of both. Throws on a setting that neither of them would heed: nobody should believe that it does
 * something.
 */
export function divide(settings) {
  const [serve, engine, limits] = [{}, {}, {}];
  for (const [name, value] of Object.entries(settings)) {
    const short = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : undefined;
    if (name.startsWith('ELECTRIC_')) throw new Error(`${name} is not a setting of \`plue-sync serve\``);
    if (short === undefined || OF_SERVE.has(short)) serve[name] = value;
    else if (LIMITS.has(short)) limits[LIMITS.get(short)] = Number(value);
    else if (OF_ENGINE.has(short)) {
      const [electric, convert] = OF_ENGINE.get(short);
      engine[electric] = convert(value);
    } else throw new Error(`an engine in another process cannot be told ${name}: Electric has no name for it`);
  }
  if (Object.keys(limits).length > 0) engine.ELECTRIC_MAX_CONCURRENT_REQUESTS = JSON.stringify(limits);
  return { serve, engine };
}
