/** Asks for a token, and says what was refused of the last one. */
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { access, currentToken, tryToken } from "./access";
import { LockIcon, Spinner } from "./icons";
import { useStore } from "./store";

export function TokenPanel(): ReactNode {
  const { reason } = useStore(access);
  const [token, setToken] = useState("");
  const [isTrying, setTrying] = useState(false);
  const [refusal, setRefusal] = useState(currentToken() === null ? null : reason);
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => box.current?.focus(), []);
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    if (token.trim() === "") return;
    setTrying(true);
    // When it lets in, this panel is gone.
    setRefusal(await tryToken(token.trim()));
    setTrying(false);
  };
  return (
    <div className="token-backdrop">
      <form className="token-panel" role="dialog" aria-modal="true" aria-labelledby="token-title" onSubmit={(event) => void submit(event)} data-testid="token-panel">
        <LockIcon size={20} />
        <h1 id="token-title">{refusal === null ? "A token is needed" : "The token was refused"}</h1>
        {refusal !== null && (
          <p className="error-text" role="alert" data-testid="token-refusal">
            {refusal}
          </p>
        )}
        <p>
          Sign one with <code>plue-sync token</code>, or ask who runs this server. It stays in this tab only.
        </p>
        <label>
          <span className="sr-only">Token</span>
          <input
            ref={box}
            type="password"
            autoComplete="off"
            spellCheck={false}
            placeholder="eyJ… or pst_…"
            value={token}
            onChange={(event) => setToken(event.target.value)}
          />
        </label>
        <button type="submit" className="button button-primary" disabled={token.trim() === "" || isTrying}>
          {isTrying && <Spinner size={13} />} Continue
        </button>
      </form>
    </div>
  );
}
