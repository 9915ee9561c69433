/** What can be opened and closed. What the reader chose is kept while the page lives: rows leave the page when they are scrolled away. */
import { type ReactNode, useId, useState } from "react";
import { ChevronIcon } from "../icons";

const chosen = new Map<string, boolean>();

/** `name` says which fold it is; `byDefault` counts until the reader chooses. */
export function useFold(name: string, byDefault: boolean): readonly [isOpen: boolean, toggle: () => void] {
  const [own, setOwn] = useState(() => chosen.get(name));
  const isOpen = own ?? byDefault;
  const toggle = (): void => {
    chosen.set(name, !isOpen);
    setOwn(!isOpen);
  };
  return [isOpen, toggle];
}

interface Props {
  name: string;
  byDefault?: boolean;
  className: string;
  summary: ReactNode;
  /** Drawn only while it is open. */
  children: () => ReactNode;
  /** There is nothing in it. */
  isEmpty?: boolean;
}

export function Fold({ name, byDefault = false, className, summary, children, isEmpty = false }: Props): ReactNode {
  const [isOpen, toggle] = useFold(name, byDefault);
  const id = useId();
  return (
    <div className={className} data-open={isOpen && !isEmpty}>
      <button type="button" className="fold-button" aria-expanded={isEmpty ? undefined : isOpen} aria-controls={isOpen && !isEmpty ? id : undefined} disabled={isEmpty} onClick={toggle}>
        {summary}
        <ChevronIcon size={13} className="fold-chevron" />
      </button>
      {isOpen && !isEmpty && (
        <div id={id} className="fold-body">
          {children()}
        </div>
      )}
    </div>
  );
}
