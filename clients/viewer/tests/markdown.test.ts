/** Text is cut into blocks that can be read one by one, and growing text is cut as if it had come at once. */
import { describe, expect, it } from "vitest";
import { Blocks, cut } from "../src/markdown/blocks";
import { imageOf, linkOf } from "../src/markdown/links";

const TEXT = `# Title

A paragraph
of two lines.

- one

- two

  more of two

1. first

\`\`\`ts
const a = 1;

const b = 2;
\`\`\`

~~~
\`\`\`

still code
~~~

The end.
`;

describe("blocks", () => {
  const cases: [name: string, text: string, blocks: number][] = [
    ["nothing", "", 0],
    ["one line", "a", 1],
    ["paragraphs", "a\n\nb\n\n\nc", 3],
    ["a loose list is one", "- a\n\n- b\n\n- c", 1],
    ["what is indented belongs to the item before it", "- a\n\n  b", 1],
    ["blank lines of code do not cut", "```\na\n\nb\n```", 1],
    ["an open fence takes the rest", "a\n\n```\nb\n\nc", 2],
    ["a shorter fence does not close", "````\n```\n\na\n````\n\nb", 2],
    ["a definition counts for the whole text", "[a]\n\nb\n\n[a]: https://example.com", 1],
  ];
  it.each(cases)("%s", (_, text, blocks) => {
    expect(cut(text)).toHaveLength(blocks);
    expect(cut(text).join("")).toBe(text);
  });

  it("are the same whether a text comes at once or letter by letter", () => {
    const growing = new Blocks();
    for (let length = 1; length <= TEXT.length; length++) {
      const text = TEXT.slice(0, length);
      expect(growing.of(text), `after ${length} letters`).toEqual(cut(text));
    }
  });

  it("start over when the text is another", () => {
    const blocks = new Blocks();
    blocks.of("a\n\nb\n\nc\n\nd");
    expect(blocks.of("x\n\ny")).toEqual(["x\n\n", "y"]);
  });
});

describe("links", () => {
  const cases: [url: string | null, isLink: boolean][] = [
    ["https://example.com/a", true],
    ["http://localhost:3000", true],
    ["data:image/png;base64,AAAA", true],
    ["data:text/html,<script>alert(1)</script>", false],
    ["javascript:alert(1)", false],
    ["JaVaScRiPt:alert(1)", false],
    [" javascript:alert(1)", false],
    ["java\nscript:alert(1)", false],
    ["file:///etc/passwd", false],
    ["blob:https://example.com/1", false],
    ["vbscript:x", false],
    ["/relative", false],
    ["", false],
    [null, false],
  ];
  it.each(cases)("%s", (url, isLink) => {
    expect(linkOf(url)).toBe(isLink ? url : null);
  });

  it("are images by their type, or by what they hold", () => {
    // Nothing is loaded from elsewhere because an agent wrote its address.
    for (const url of ["https://example.com/a.png", "data:text/html,a", "javascript:alert(1)", "", null]) expect(imageOf(url)).toBeNull();
    expect(imageOf("data:image/gif;base64,AAAA")).toBe("data:image/gif;base64,AAAA");
  });
});
