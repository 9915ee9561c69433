/** The hook that the others are made of. */
import type { Row } from "@electric-sql/client";
import { createContext, createElement, type ReactNode, useContext, useMemo, useSyncExternalStore } from "react";
import { type Preloaded, shapeKey } from "../preload.js";
import type { ShapeConfig } from "../shapes.js";
import { follow, isNew, LOADING, preloadedResult, resultOf, type ShapeResult, subscriptionKey } from "./subscription.js";

/** How long a subscription outlives the last component that shows it, in ms. */
const LINGER_MS = 1_000;

const PreloadedContext = createContext<Preloaded>({});

/** Gives the hooks below it what a server has read (`preloadSession`): in the server's render, and again in the browser's. */
export function PreloadedProvider({ preloaded, children }: { preloaded: Preloaded; children?: ReactNode }): ReactNode {
  return createElement(PreloadedContext.Provider, { value: preloaded }, children);
}

/**
 * Follows a shape. All components that show the same one share a subscription, which lives until `timeout` ms after the last of them
 * is gone; then its request is aborted. Without a configuration nothing is followed, and it stays loading.
 *
 * The configuration may be made anew for each render; functions in it (tokens) must stay the same.
 */
export function useShapeWithAbort<T extends Row<unknown>>(config: ShapeConfig<T> | undefined, timeout: number = LINGER_MS): ShapeResult<T> {
  return useSelection(config, timeout, all);
}

const all = <T,>(whole: T): T => whole;

/** The same, for a share of what it shows: drawn again only where `select`, always the same function, gives something else. */
export function useSelection<T extends Row<unknown>, Share>(
  config: ShapeConfig<T> | undefined,
  timeout: number = LINGER_MS,
  select: (result: ShapeResult<T>) => Share,
): Share {
  const given = useContext(PreloadedContext);
  const shape = config && shapeKey(config);
  const key = config && shape && subscriptionKey(shape, config as unknown as ShapeConfig<Row<unknown>>);
  const preloaded = shape === undefined ? undefined : given[shape];
  // What has the same key is the same shape: the first configuration will do.
  const subscribe = useMemo(
    () => (listener: () => void) =>
      key === undefined || !config ? () => undefined : follow(key, config, preloaded, timeout, listener),
    [key, preloaded, timeout],
  );
  const first = (): ShapeResult<T> => (config && preloaded ? preloadedResult(preloaded, config) : LOADING);
  const current = (): ShapeResult<T> => {
    if (key === undefined) return LOADING;
    return resultOf<T>(key) ?? (preloaded && isNew(preloaded) ? first() : LOADING);
  };
  return useSyncExternalStore(
    subscribe,
    () => select(current()),
    () => select(first()),
  );
}
