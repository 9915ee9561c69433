/** The keys, in a dialog. */
import { type ReactNode, useEffect, useRef } from "react";
import { CloseIcon } from "./icons";
import { HELP } from "./keys";

export function Help({ onClose }: { onClose: () => void }): ReactNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    // The dialog itself is only hit beside its content.
    <dialog ref={dialog} className="help" aria-label="Keys" onClose={onClose} onClick={(event) => event.target === event.currentTarget && onClose()} data-testid="help">
      <div className="help-body">
        <div className="help-head">
          <h2>Keys</h2>
          <button type="button" className="icon-button" aria-label="Close" onClick={onClose}>
            <CloseIcon />
          </button>
        </div>
        <dl>
          {HELP.map(([keys, does]) => (
            <div key={does}>
              <dt>{does}</dt>
              <dd>
                {keys.map((key) => (
                  <kbd key={key}>{key}</kbd>
                ))}
              </dd>
            </div>
          ))}
        </dl>
      </div>
    </dialog>
  );
}
