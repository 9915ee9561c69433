/** Who this page is to the server: one reader per browser, so that tabs count once and share their requests. */
import type { HookOptions } from "@plue/sync/react";

const KEY = "plue-sync reader";

function readerName(): string {
  const known = localStorage.getItem(KEY);
  if (known && /^viewer-[0-9a-f]{12}$/.test(known)) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  const name = `viewer-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  localStorage.setItem(KEY, name);
  return name;
}

export const READER = readerName();

/** Every shape is followed with these, so that components which follow the same one share it. */
export const AS_READER: HookOptions = { client: READER };
