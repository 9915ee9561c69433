//! `plue-sync token`: what it prints is a token that the same settings believe.

use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use plue_sync::auth::jwt::{Claims, Denied, Verifier};
use plue_sync::config::Config;
use serde_json::json;

use super::Case;

const SECRET: (&str, &str) = ("PLUE_AUTH__JWT_SECRET", "0123456789abcdef0123456789abcdef");

/// Runs the command to its end, in an empty folder and with this environment only.
fn token(flags: &[&str], env: &[(&str, &str)]) -> Output {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_plue-sync"));
    command.arg("token").args(flags).env_clear().envs(env.iter().copied()).current_dir(dir.path());
    command.output().expect("the program")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// What a server with these settings makes of what was printed.
async fn verified(output: &Output, env: &[(&str, &str)]) -> Result<Claims, Denied> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    let config = Config::load(None, &env.iter().copied().collect()).expect("settings").auth;
    let (verifier, _task) = Verifier::start(&config).await.expect("a start").expect("a verifier");
    let token = text(&output.stdout).strip_suffix('\n').expect("one line");
    verifier.verify(token, SystemTime::now()).await
}

#[actix_rt::test]
async fn a_token_says_what_was_asked_for_and_counts() {
    let printed = token(&["--session", "ses_1", "--session", "ses_2", "--project", "p"], &[SECRET]);
    let claims = verified(&printed, &[SECRET]).await.expect("a token that counts").map;
    let expected = json!({
        "sub": "dev", "role": "viewer", "sessions": ["ses_1", "ses_2"], "projects": ["p"],
        "iat": claims["iat"], "exp": claims["iat"].as_u64().expect("a time") + 3600,
    });
    assert_eq!(json!(claims), expected);
    let told = text(&printed.stderr);
    assert!(told.starts_with("plue-sync: dev is viewer of session ses_1, session ses_2, project p until 20"), "{told}");
    assert!(told.lines().count() == 1 && told.ends_with("Z\n"), "{told}");
    assert!(!told.contains(text(&printed.stdout).trim()) && !told.contains(SECRET.1), "{told}");
}

#[actix_rt::test]
async fn names_issuer_and_audience_are_those_of_the_settings() {
    let env = [
        ("PLUE_AUTH__JWT_SECRET", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
        ("PLUE_AUTH__ALGORITHMS", "HS512"),
        ("PLUE_AUTH__ISSUER", "us"),
        ("PLUE_AUTH__AUDIENCE", "plue"),
        ("PLUE_AUTH__SUBJECT_CLAIM", "user"),
        ("PLUE_AUTH__ROLE_CLAIM", "https://us/role"),
        ("PLUE_AUTH__SESSIONS_CLAIM", "rooms"),
    ];
    let flags = ["--role", "agent", "--all-sessions", "--subject", "ann", "--lifetime", "2m", "--claim", "org_id=a=b"];
    let claims = verified(&token(&flags, &env), &env).await.expect("a token that counts");
    let left = claims.expires.duration_since(SystemTime::now()).expect("a time to come");
    let most = Duration::from_secs(120 + 30);
    assert!(left <= most && left > most - Duration::from_secs(60), "{left:?}");
    for (name, value) in [("user", "ann"), ("https://us/role", "agent"), ("rooms", "*"), ("org_id", "a=b")] {
        assert_eq!(claims.map[name], value, "{name}");
    }
    // Another server has another secret, or another name.
    let others = [SECRET, ("PLUE_AUTH__AUDIENCE", "plue")];
    assert_eq!(verified(&token(&flags, &env), &others).await.err(), Some(Denied::Algorithm));
    let audience = [SECRET, ("PLUE_AUTH__AUDIENCE", "theirs")];
    assert_eq!(verified(&token(&flags, &others), &audience).await.err(), Some(Denied::Audience));
}

#[test]
fn what_cannot_be_signed_is_refused_with_its_cure() {
    let by_keys = [SECRET, ("PLUE_AUTH__JWKS", "keys.json"), ("PLUE_AUTH__ALGORITHMS", "RS256")];
    let cases: &[Case] = &[
        (&[], &[], "set PLUE_AUTH__JWT_SECRET, for example to what `openssl rand -hex 32` prints"),
        (&[], &[("PLUE_AUTH__JWT_SECRET", "short")], "auth.jwt_secret in the settings must be 32 bytes or more"),
        (&[], &by_keys, "auth.algorithms has none that signs with a secret; add HS256"),
        (&["--role", "root"], &[SECRET], "viewer, agent or admin"),
        (&["--session", ""], &[SECRET], "expected 1 to 64 characters"),
        (&["--session", "a", "--all-sessions"], &[SECRET], "cannot be used with"),
        (&["--lifetime", "1"], &[SECRET], "a whole number with ms, s, m or h"),
        (&["--lifetime", "0s"], &[SECRET], "expected 1s to 8784h"),
        (&["--lifetime", "18446744073709551615ms"], &[SECRET], "expected 1s to 8784h"),
        (&["--claim", "x"], &[SECRET], "expected NAME=VALUE"),
        (&["--claim", "exp=9999999999"], &[SECRET], "--claim exp: this claim is there already"),
        (&["--claim", "role=admin"], &[SECRET], "--claim role: this claim is there already"),
    ];
    for (flags, env, told) in cases {
        let output = token(flags, env);
        let errors = text(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{flags:?}: {errors}");
        assert!(
            errors.contains(told) && !errors.contains(SECRET.1) && !errors.contains("panicked"),
            "{flags:?}: {errors}"
        );
    }
}
