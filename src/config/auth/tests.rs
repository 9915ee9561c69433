//! What is pinned by default, and each refusal with its key and its cure.

use jsonwebtoken::Algorithm::{ES256, ES384, EdDSA, HS256, HS512, RS256};

use super::*;
use crate::config::Config;

const SECRET: (&str, &str) = ("PLUE_AUTH__JWT_SECRET", "0123456789abcdef0123456789abcdef");
const JWKS: (&str, &str) = ("PLUE_AUTH__JWKS", "https://issuer.example/jwks.json");

type Variables<'a> = &'a [(&'a str, &'a str)];

fn load(variables: Variables) -> Result<AuthConfig, ConfigError> {
    Config::load(None, &variables.iter().copied().collect()).map(|config| config.auth)
}

#[test]
fn what_is_there_decides_what_is_pinned() {
    let algorithms = |names| ("PLUE_AUTH__ALGORITHMS", names);
    let long = ("PLUE_AUTH__JWT_SECRET", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    let cases: [(Variables, bool, &[Algorithm]); 6] = [
        (&[], false, &[]),
        (&[SECRET], true, &[HS256]),
        (&[JWKS], true, &[RS256, ES256, EdDSA]),
        (&[SECRET, JWKS], true, &[HS256, RS256, ES256, EdDSA]),
        (&[long, algorithms("HS512")], true, &[HS512]),
        (&[SECRET, JWKS, algorithms("ES384, HS256")], true, &[ES384, HS256]),
    ];
    for (variables, is_set, pinned) in cases {
        let auth = load(variables).expect("settings");
        assert_eq!((auth.is_set(), auth.pinned().as_slice()), (is_set, pinned), "{variables:?}");
        assert!(!format!("{auth:?}").contains("0123456789"), "{auth:?}");
    }
    let auth = load(&[SECRET, ("PLUE_AUTH__JWKS", "./keys.json")]).expect("settings");
    assert_eq!((auth.jwks_url(), auth.default_role), (None, None));
    assert!(auth.column_claims.is_empty());
    assert_eq!(load(&[JWKS]).expect("settings").jwks_url(), Some(JWKS.1));
}

#[test]
fn roles_and_columns_are_read_from_text() {
    let columns = ("PLUE_AUTH__COLUMN_CLAIMS", "org_id=org_id, team=https://issuer.example/team?x=y");
    let auth = load(&[columns, ("PLUE_AUTH__DEFAULT_ROLE", "agent")]).expect("settings");
    assert_eq!(auth.default_role, Some(Role::Agent));
    let pair = |column: &str, claim: &str| ColumnClaim { column: column.to_owned(), claim: claim.to_owned() };
    assert_eq!(auth.column_claims, [pair("org_id", "org_id"), pair("team", "https://issuer.example/team?x=y")]);
}

#[test]
fn what_would_weaken_it_is_refused_by_name() {
    let algorithms = |names| ("PLUE_AUTH__ALGORITHMS", names);
    let cases: &[(Variables, &str)] = &[
        (
            &[("PLUE_AUTH__JWT_SECRET", "short")],
            "auth.jwt_secret in the settings must be 32 bytes or more: take what `openssl",
        ),
        (&[SECRET, algorithms("HS384")], "auth.jwt_secret in the settings must be 48 bytes or more"),
        (&[SECRET, algorithms("HS256,HS512")], "auth.jwt_secret in the settings must be 64 bytes or more"),
        (&[algorithms("HS256")], "auth.jwt_secret in the settings must be set, because auth.algorithms has an HS"),
        (&[SECRET, algorithms("RS256")], "auth.jwks in the settings must be set, because auth.algorithms"),
        (&[SECRET, algorithms("HS256,none")], "auth.algorithms in the environment must be without `none`"),
        (&[SECRET, algorithms("NonE")], "auth.algorithms in the environment must be without `none`"),
        (&[JWKS, algorithms("PS256")], "auth.algorithms in the environment must be a list of HS256, HS384"),
        (&[JWKS, algorithms("rs256")], "auth.algorithms in the environment must be a list of HS256, HS384"),
        (&[("PLUE_AUTH__JWKS", "ftp://issuer/keys")], "auth.jwks in the settings must be a file, or a URL with http"),
        (&[("PLUE_AUTH__JWKS", "https://")], "auth.jwks in the settings must be a file, or a URL such as https://"),
        (&[("PLUE_AUTH__JWKS", "https://me:pw@issuer/")], "auth.jwks in the settings must be a URL without user"),
        (&[("PLUE_AUTH__LEEWAY", "11m")], "auth.leeway in the settings must be 10m or less"),
        (&[("PLUE_AUTH__JWKS_REFRESH", "9s")], "auth.jwks_refresh in the settings must be 10s or more"),
        (&[("PLUE_AUTH__MAX_TOKEN_LIFETIME", "0s")], "auth.max_token_lifetime in the settings must be more than 0"),
        (&[("PLUE_AUTH__COOKIE", "a b")], "auth.cookie in the settings must be at most 64 letters"),
        (&[("PLUE_AUTH__ROLE_CLAIM", "sub")], "auth.role_claim in the settings must be another claim"),
        (&[("PLUE_AUTH__SESSIONS_CLAIM", "exp")], "auth.sessions_claim in the settings must be the name of a claim"),
        (
            &[("PLUE_AUTH__DEFAULT_ROLE", "root")],
            "auth.default_role in the environment must be viewer, agent, admin or",
        ),
        (&[("PLUE_AUTH__COLUMN_CLAIMS", "org_id")], "auth.column_claims in the environment must be a list of column="),
        (&[("PLUE_AUTH__COLUMN_CLAIMS", "a b=c")], "auth.column_claims in the environment must be a list of column="),
        (&[("PLUE_AUTH__COLUMN_CLAIMS", "a=")], "auth.column_claims in the environment must be a list of column="),
        (&[("PLUE_AUTH__COLUMN_CLAIMS", "a=b,a=c")], "auth.column_claims in the environment must be a list of column="),
        (&[("PLUE_AUTH__BURST", "-1")], "auth.burst in the environment must be"),
    ];
    for (variables, message) in cases {
        let error = load(variables).expect_err(message).to_string();
        assert!(error.starts_with(message), "{variables:?}: {error}");
        assert!(!error.contains("0123456789") && !error.contains("pw"), "{error}");
    }
}
