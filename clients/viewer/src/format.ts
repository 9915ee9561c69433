/** How numbers, times and paths are written. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long something took, of milliseconds: `340 ms`, `4.2 s`, `3m 04s`, `1h 12m`. */
export function duration(ms: number): string {
  if (ms < SECOND) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10 * SECOND) return `${(ms / SECOND).toFixed(1)} s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)}m ${two((ms % MINUTE) / SECOND)}s`;
  return `${Math.floor(ms / HOUR)}h ${two((ms % HOUR) / MINUTE)}m`;
}

/** How long something has been going on: whole seconds, so that it does not flicker. */
export function running(ms: number): string {
  return ms < MINUTE ? `${Math.max(0, Math.floor(ms / SECOND))} s` : duration(ms);
}

/** How long ago, short: `now`, `12s`, `5m`, `3h`, `2d`, then the date. */
export function age(at: number, now: number): string {
  const ms = now - at;
  if (ms < 2 * SECOND) return "now";
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)}s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)}m`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)}h`;
  if (ms < 7 * DAY) return `${Math.floor(ms / DAY)}d`;
  return (isThisYear(at, now) ? SHORT_DATE : LONG_DATE).format(at);
}

/** The same as a phrase. */
export function ago(at: number, now: number): string {
  const short = age(at, now);
  if (short === "now") return "just now";
  return now - at < 7 * DAY ? `${short.replace(/([a-z])$/, " $1")} ago` : short;
}

export function clockTime(at: number): string {
  return CLOCK.format(at);
}

export function fullTime(at: number): string {
  return FULL.format(at);
}

/** `950`, `12.4k`, `3.1M`. */
export function count(value: number): string {
  if (value < 1_000) return String(value);
  if (value < 999_500) return `${(value / 1_000).toFixed(value < 99_950 ? 1 : 0)}k`;
  return `${(value / 1_000_000).toFixed(1)}M`;
}

/** Cents where they tell something, more digits for less than that. */
export function cost(value: number): string {
  if (value === 0) return "$0";
  return `$${value >= 0.1 ? value.toFixed(2) : value.toPrecision(2)}`;
}

export function bytes(value: number): string {
  if (value < 1_024) return `${value} B`;
  return value < 1_048_576 ? `${(value / 1_024).toFixed(1)} KB` : `${(value / 1_048_576).toFixed(1)} MB`;
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${value.toLocaleString("en")} ${value === 1 ? one : many}`;
}

/** The end of a path, which tells most: `…/web/checkout`. */
export function pathTail(path: string, steps = 2): string {
  const parts = path.split("/").filter(Boolean);
  return parts.length <= steps ? path : `…/${parts.slice(-steps).join("/")}`;
}

/** A model without its maker. */
export function modelName(model: string): string {
  return model.slice(model.lastIndexOf("/") + 1);
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const SHORT_DATE = new Intl.DateTimeFormat("en", { month: "short", day: "numeric" });
const LONG_DATE = new Intl.DateTimeFormat("en", { year: "numeric", month: "short", day: "numeric" });

function isThisYear(at: number, now: number): boolean {
  return new Date(at).getFullYear() === new Date(now).getFullYear();
}

function two(value: number): string {
  return String(Math.floor(value)).padStart(2, "0");
}
