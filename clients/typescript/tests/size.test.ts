import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, it } from "vitest";

it("is less than 8 KB in a page, all its entries together, without its peers", async () => {
  const entries = ["index.ts", "react/index.ts", "tanstack.ts"].map((name) => `export * from "./${name}";`).join("\n");
  const { outputFiles, metafile } = await build({
    stdin: { contents: entries, resolveDir: new URL("../src", import.meta.url).pathname, loader: "ts" },
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    outdir: "out",
    write: false,
    metafile: true,
    external: ["react", "@electric-sql/*", "@tanstack/*"],
  });
  // What is only loaded over HTTP/1.1, to share its connections, is a file of its own.
  const bytes = Object.fromEntries(outputFiles.map(({ path, contents }) => [path.includes("stdin") ? "page" : "sharing", gzipSync(contents, { level: 9 }).length]));
  console.log(`gzipped bytes of the package: ${JSON.stringify(bytes)}`);
  expect(Object.keys(metafile.outputs)).toHaveLength(2);
  expect(bytes.page).toBeLessThan(8 * 1024);
});
