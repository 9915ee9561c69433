/**
 * Back at once after an outage: the official client waits longer and longer between its tries, up to half a minute. While a shape is not
 * connected the server is asked whether it is there, and as soon as it is, the shape asks again.
 */
import { useEffect } from "react";

/** What is used of a stream of the official client. */
export interface Stream {
  isConnected: () => boolean;
  forceDisconnectAndRefresh: () => Promise<void>;
}

const streams = new Set<Stream>();

/** Between two looks, in ms. */
const LOOK_MS = 1_000;
/** A shape that was told to ask again is given this long for its answer, in ms. */
const PATIENCE_MS = 5_000;

/** Has a shape be brought back while the component is there. */
export function useBroughtBack(stream: Stream | undefined, isUpToDate: boolean): void {
  // One that never was up to date has no place to go on from; its first request is tried again by the client.
  useEffect(() => {
    if (!stream || !isUpToDate) return;
    streams.add(stream);
    return () => void streams.delete(stream);
  }, [stream, isUpToDate]);
}

/** Looks while `isLost`. */
export function useBringingBack(isLost: boolean): void {
  useEffect(() => {
    if (!isLost) return;
    const end = new AbortController();
    const told = new WeakMap<Stream, number>();
    const look = async (): Promise<void> => {
      if (navigator.onLine && !document.hidden && (await isThere(end.signal))) {
        for (const stream of streams) {
          if (end.signal.aborted || stream.isConnected() || Date.now() - (told.get(stream) ?? 0) < PATIENCE_MS) continue;
          told.set(stream, Date.now());
          stream.forceDisconnectAndRefresh().catch(() => undefined);
        }
      }
      if (!end.signal.aborted) timer = setTimeout(() => void look(), LOOK_MS);
    };
    let timer = setTimeout(() => void look(), 0);
    return () => {
      end.abort();
      clearTimeout(timer);
    };
  }, [isLost]);
}

async function isThere(signal: AbortSignal): Promise<boolean> {
  const answer = await fetch("/health", { cache: "no-store", signal: AbortSignal.any([signal, AbortSignal.timeout(3_000)]) }).catch(() => null);
  return answer?.ok === true;
}
