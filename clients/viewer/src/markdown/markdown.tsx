/** Text as Markdown, without raw HTML. What was read once is kept: a text that grows, or is scrolled back to, is not read again. */
import { memo, type ReactNode, useState } from "react";
import Markdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";
import { CodeBlock } from "./code";
import { Blocks } from "./blocks";
import { imageOf, linkOf } from "./links";

/** `isGrowing` draws a caret at its end. */
export function Prose({ text, isGrowing = false }: { text: string; isGrowing?: boolean }): ReactNode {
  // It only remembers, so that it may be asked while rendering.
  const [blocks] = useState(() => new Blocks());
  return (
    <div className={isGrowing ? "prose prose-growing" : "prose"}>
      {blocks.of(text).map((block, n) => (
        <Block key={n} text={block} />
      ))}
    </div>
  );
}

const Block = memo(function Block({ text }: { text: string }): ReactNode {
  return drawn(text);
});

/** Blocks that are kept, the last used ones. */
const MAX_KEPT = 2_000;
/** Longer ones are not: the one that grows would push out the others. */
const MAX_KEPT_LENGTH = 20_000;
const kept = new Map<string, ReactNode>();

function drawn(text: string): ReactNode {
  const known = kept.get(text);
  if (known !== undefined) {
    kept.delete(text);
    kept.set(text, known);
    return known;
  }
  const fresh = Markdown({ children: text, remarkPlugins: PLUGINS, components: COMPONENTS, urlTransform: (url) => linkOf(url) ?? "", skipHtml: false });
  if (text.length <= MAX_KEPT_LENGTH) {
    kept.set(text, fresh);
    for (const oldest of kept.keys()) {
      if (kept.size <= MAX_KEPT) break;
      kept.delete(oldest);
    }
  }
  return fresh;
}

const PLUGINS = [remarkGfm];

const COMPONENTS: Components = {
  a: ({ href, children }) =>
    href ? (
      <a href={href} target="_blank" rel="noreferrer noopener">
        {children}
      </a>
    ) : (
      <span>{children}</span>
    ),
  img: ({ src, alt }) => {
    const address = typeof src === "string" ? src : null;
    const [image, link] = [imageOf(address), linkOf(address)];
    if (image !== null) return <img src={image} alt={alt ?? ""} loading="lazy" />;
    if (link === null) return <span>{alt}</span>;
    return (
      <a href={link} target="_blank" rel="noreferrer noopener">
        {alt || link}
      </a>
    );
  },
  // Wide ones scroll by themselves.
  table: ({ children }) => (
    <div className="table-scroller">
      <table>{children}</table>
    </div>
  ),
  pre: ({ children }) => <CodeBlock>{children}</CodeBlock>,
  input: ({ checked, type }) => <input type={type} checked={checked === true} readOnly aria-label={checked ? "done" : "to do"} tabIndex={-1} />,
};
