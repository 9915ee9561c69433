import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const source = (path: string): string => fileURLToPath(new URL(`../typescript/src/${path}`, import.meta.url));

// The API that `npm run dev` and `vite preview` pass requests on to.
const api = process.env.PLUE_URL ?? "http://127.0.0.1:4000";
const proxy = Object.fromEntries(["/v1", "/shape", "/health"].map((path) => [path, { target: api, changeOrigin: false }]));

// What the binary sends along with the page, so that `vite preview` shows what it forbids.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'";

export default defineConfig({
  plugins: [react()],
  // The package's source, by its public entries: so that one `npm run build` is enough after a fresh clone.
  resolve: {
    alias: [
      { find: "@plue/sync/react", replacement: source("react/index.ts") },
      { find: "@plue/sync", replacement: source("index.ts") },
    ],
    dedupe: ["react", "react-dom", "@electric-sql/client"],
  },
  // Nothing is inlined into the page: its policy allows scripts and styles of its own origin only.
  build: { chunkSizeWarningLimit: 700, target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { proxy },
  preview: { proxy, headers: { "content-security-policy": policy } },
});
