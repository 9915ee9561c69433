"use client";
/** `@plue/sync/react`: hooks that follow shapes. */
export * from "./hooks.js";
export type { ShapeResult } from "./subscription.js";
export { PreloadedProvider, useShapeWithAbort } from "./use-shape.js";
