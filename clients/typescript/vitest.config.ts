import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.{ts,tsx}"],
    setupFiles: ["tests/support/page.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Each file runs programs of its own, and two cores have enough with two.
    maxWorkers: 2,
  },
});
