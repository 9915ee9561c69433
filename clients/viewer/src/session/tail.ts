/**
 * Following the tail: the newest stays in sight, also while the last message grows, until the reader scrolls up; back at the end, it
 * follows again.
 */
import { useCallback, useEffect, useRef, useState } from "react";

/** This near to the end, in pixels, counts as being there. */
const NEAR = 32;

/** A scroll within this time of a wheel, a touch or a key is the reader's, in ms. */
const TOUCH_MS = 1_000;

/** A wheel has scrolled by then, if not something within the conversation took it. */
const WHEEL_MS = 300;

export interface Tail {
  isFollowing: boolean;
  /** For `scrollerRef`. */
  scroller: (element: HTMLElement | Window | null) => void;
  /** The content has another height. */
  grew: () => void;
  toEnd: () => void;
  /** The reader goes elsewhere. */
  letGo: () => void;
}

export function useTail(): Tail {
  const [isFollowing, setFollowing] = useState(true);
  const following = useRef(true);
  const [box, setBox] = useState<HTMLElement | null>(null);
  const current = useRef<HTMLElement>(null);

  const follow = useCallback((now: boolean): void => {
    following.current = now;
    setFollowing(now);
  }, []);

  const grew = useCallback((): void => {
    const element = current.current;
    if (!element) return;
    if (following.current) element.scrollTop = element.scrollHeight;
    else if (isNearEnd(element)) follow(true);
  }, [follow]);

  const scroller = useCallback((found: HTMLElement | Window | null): void => {
    current.current = found instanceof HTMLElement ? found : null;
    setBox(current.current);
  }, []);

  const letGo = useCallback((): void => follow(false), [follow]);

  const toEnd = useCallback((): void => {
    follow(true);
    grew();
  }, [follow, grew]);

  useEffect(() => (box ? watch(box, following, follow, grew) : undefined), [box, follow, grew]);

  return { isFollowing, scroller, grew, toEnd, letGo };
}

function watch(box: HTMLElement, following: { current: boolean }, follow: (now: boolean) => void, grew: () => void): () => void {
  const end = new AbortController();
  const on = (target: EventTarget, kinds: string[], hear: (event: Event) => void): void => {
    for (const kind of kinds) target.addEventListener(kind, hear, { passive: true, signal: end.signal });
  };
  let last = { top: box.scrollTop, height: box.scrollHeight };
  let touchedAt = 0;
  let isPressed = false;
  on(box, ["wheel", "touchmove", "pointerdown", "keydown"], () => {
    touchedAt = performance.now();
  });
  // At once: a long way up measures so many heights anew that it no longer looks like one.
  on(box, ["wheel"], (event) => {
    if (!(event instanceof WheelEvent) || event.deltaY >= 0 || !following.current || box.scrollTop === 0) return;
    follow(false);
    setTimeout(() => isNearEnd(box) && follow(true), WHEEL_MS);
  });
  // The bar beside the text is dragged for longer than one touch.
  on(box, ["pointerdown"], () => {
    isPressed = true;
  });
  on(window, ["pointerup", "pointercancel"], () => {
    isPressed = false;
  });
  on(box, ["scroll"], () => {
    const now = { top: box.scrollTop, height: box.scrollHeight };
    const isTouched = isPressed || performance.now() - touchedAt < TOUCH_MS;
    // Heights that are measured anew move the content as well; but not by a screen.
    const isUp = now.top < last.top && now.height >= last.height && (isTouched || last.top - now.top > box.clientHeight);
    last = now;
    if (isNearEnd(box)) {
      if (!following.current) follow(true);
    } else if (isUp && following.current) follow(false);
  });
  // What the reader opens stays where it is, and is not pushed out of sight by its own content.
  on(box, ["click"], ({ target }) => {
    if (target instanceof Element && target.closest("[aria-expanded], [data-unfolds]")) follow(false);
  });
  const resized = new ResizeObserver(grew);
  resized.observe(box);
  return () => {
    resized.disconnect();
    end.abort();
  };
}

function isNearEnd({ scrollHeight, scrollTop, clientHeight }: HTMLElement): boolean {
  return scrollHeight - scrollTop - clientHeight <= NEAR;
}
