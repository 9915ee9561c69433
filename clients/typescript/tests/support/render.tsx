/** Components in a document, and what they showed. */
import { type ReactNode, StrictMode } from "react";
import { flushSync } from "react-dom";
import { createRoot } from "react-dom/client";
import { onTestFinished } from "vitest";

export interface Rendered {
  render(node: ReactNode): void;
  unmount(): void;
  readonly text: string;
}

/** Renders in StrictMode, which mounts everything twice. Taken away with the test. */
export function render(node: ReactNode): Rendered {
  const container = document.body.appendChild(document.createElement("div"));
  const root = createRoot(container);
  let isMounted = true;
  const rendered: Rendered = {
    render: (next) => flushSync(() => root.render(<StrictMode>{next}</StrictMode>)),
    unmount() {
      if (!isMounted) return;
      isMounted = false;
      root.unmount();
      container.remove();
    },
    get text() {
      return container.textContent ?? "";
    },
  };
  onTestFinished(() => rendered.unmount());
  rendered.render(node);
  return rendered;
}
