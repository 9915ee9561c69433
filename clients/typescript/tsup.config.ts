import { defineConfig } from "tsup";

export default defineConfig({
  entry: { index: "src/index.ts", "react/index": "src/react/index.ts", tanstack: "src/tanstack.ts" },
  format: "esm",
  target: "es2022",
  dts: true,
  clean: true,
  sourcemap: true,
  minify: true,
});
