-- Tokens that were minted here for one session. Only their hashes are kept: who reads this table can use none of them.
CREATE TABLE capability_tokens (
    id varchar(64) PRIMARY KEY,
    hash bytea NOT NULL UNIQUE,
    -- Without a reference: what was for a session that is gone must stay known as revoked, also when another gets its name.
    session_id varchar(64) NOT NULL,
    role varchar(20) NOT NULL CHECK (role IN ('viewer', 'agent')),
    -- The tables that may be read; all where it is null.
    tables text[],
    -- The principal that minted it, where there was one.
    minted_by text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX capability_tokens_session_id ON capability_tokens (session_id);
-- Every process asks for these every few seconds.
CREATE INDEX capability_tokens_revoked ON capability_tokens (expires_at) WHERE revoked_at IS NOT NULL;

CREATE FUNCTION revoke_capability_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE capability_tokens SET revoked_at = now() WHERE session_id = OLD.id AND revoked_at IS NULL;
    RETURN OLD;
END
$$;
CREATE TRIGGER revoke_capability_tokens AFTER DELETE ON sessions
    FOR EACH ROW EXECUTE FUNCTION revoke_capability_tokens();

-- Principals that an operator keeps out.
CREATE TABLE blocked_principals (
    principal text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Null: until an operator lets it in again.
    expires_at timestamptz
);
