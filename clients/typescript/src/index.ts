/** `@plue/sync`: shapes of agent sessions, and writes of agents. Hooks are in `@plue/sync/react`, collections in `@plue/sync/tanstack`. */
export * from "./agent.js";
export { type Preloaded, type PreloadedShape, preloadSession, preloadSessions, preloadShape } from "./preload.js";
export * from "./rows.js";
export * from "./session.js";
export { apiUrl, configure, type Settings, type Token } from "./settings.js";
export * from "./shapes.js";
export { awaitTxId, rememberTxIds } from "./txid.js";
