DROP TABLE blocked_principals;
DROP TRIGGER revoke_capability_tokens ON sessions;
DROP FUNCTION revoke_capability_tokens;
DROP TABLE capability_tokens;
