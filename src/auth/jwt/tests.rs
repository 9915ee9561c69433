//! Tokens that count and tokens that do not; keys that come, change, and cannot be had.

mod forged;
mod issuer;
mod key_sets;
mod rotation;

use std::io::Write;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::*;
use crate::config::{Config, Environment};

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const RSA: &[u8] = include_bytes!("../../../tests/fixtures/jwt/rsa.pem");
const RSA_1024: &[u8] = include_bytes!("../../../tests/fixtures/jwt/rsa-1024.pem");
const RSA_PUBLIC: &str = include_str!("../../../tests/fixtures/jwt/rsa-public.pem");
const P256: &[u8] = include_bytes!("../../../tests/fixtures/jwt/p256.pem");
const P256_SECOND: &[u8] = include_bytes!("../../../tests/fixtures/jwt/p256-second.pem");
const P384: &[u8] = include_bytes!("../../../tests/fixtures/jwt/p384.pem");
const ED25519: &[u8] = include_bytes!("../../../tests/fixtures/jwt/ed25519.pem");
/// Seconds since 1970 at which the tests take place.
const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

/// Settings with these variables, and everything else by default.
fn config(variables: &[(&str, &str)]) -> AuthConfig {
    Config::load(None, &variables.iter().copied().collect::<Environment>()).expect("settings").auth
}

async fn verifier(variables: &[(&str, &str)]) -> (Verifier, Running) {
    Verifier::start(&config(variables)).await.expect("usable keys").expect("something to verify with")
}

/// The private key of an algorithm.
fn private(algorithm: Algorithm, pem: &[u8]) -> EncodingKey {
    let key = match algorithm.family() {
        AlgorithmFamily::Hmac => Ok(EncodingKey::from_secret(pem)),
        AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(pem),
        AlgorithmFamily::Ec => EncodingKey::from_ec_pem(pem),
        AlgorithmFamily::Ed => EncodingKey::from_ed_pem(pem),
    };
    key.expect("a private key")
}

/// The public half as an issuer would publish it, without `alg`.
fn jwk(algorithm: Algorithm, pem: &[u8], kid: &str) -> Value {
    let mut jwk = json!(Jwk::from_encoding_key(&private(algorithm, pem), algorithm).expect("a public key"));
    jwk["kid"] = kid.into();
    jwk.as_object_mut().expect("an object").remove("alg");
    jwk
}

fn all_keys() -> Value {
    json!({"keys": [
        jwk(Algorithm::RS256, RSA, "rsa"),
        jwk(Algorithm::ES256, P256, "p256"),
        jwk(Algorithm::ES256, P256_SECOND, "p256-second"),
        jwk(Algorithm::ES384, P384, "p384"),
        jwk(Algorithm::EdDSA, ED25519, "ed25519"),
    ]})
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("its text");
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("a path of letters")
}

/// A token with a header and claims of any kind, signed properly.
fn token(header: &Value, claims: &Value, algorithm: Algorithm, key: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &private(algorithm, key), algorithm);
    format!("{message}.{}", signature.expect("a signature"))
}

/// A token of one hour for `alice`, by an issuer of our own.
fn plain(algorithm: Algorithm, key: &[u8], kid: Option<&str>) -> String {
    let header = match kid {
        Some(kid) => json!({"alg": algorithm, "kid": kid, "typ": "JWT"}),
        None => json!({"alg": algorithm}),
    };
    token(&header, &json!({"sub": "alice", "exp": NOW + 3600}), algorithm, key)
}

/// A token by the secret with these claims.
fn claiming(claims: &Value) -> String {
    token(&json!({"alg": "HS256"}), claims, Algorithm::HS256, SECRET.as_bytes())
}

/// What a verifier makes of a token: the caller's name, or why not.
async fn seen(verifier: &Verifier, token: &str) -> Result<String, Denied> {
    let claims = verifier.verify(token, now()).await?;
    Ok(claims.map["sub"].as_str().expect("a name").to_owned())
}

const EVERY: &str = "HS256,HS384,HS512,RS256,RS384,RS512,ES256,ES384,EdDSA";

#[actix_rt::test]
async fn every_algorithm_counts_that_is_pinned_and_no_other() {
    let jwks = file(&all_keys().to_string());
    let secret = SECRET.as_bytes();
    let tokens = [
        (Algorithm::HS256, secret, "any"),
        (Algorithm::HS384, secret, "any"),
        (Algorithm::HS512, secret, "any"),
        (Algorithm::RS256, RSA, "rsa"),
        (Algorithm::RS384, RSA, "rsa"),
        (Algorithm::RS512, RSA, "rsa"),
        (Algorithm::ES256, P256_SECOND, "p256-second"),
        (Algorithm::ES384, P384, "p384"),
        (Algorithm::EdDSA, ED25519, "ed25519"),
    ];
    let both = [("PLUE_AUTH__JWT_SECRET", SECRET), ("PLUE_AUTH__JWKS", path(&jwks))];
    let (all, _task) = verifier(&[both[0], both[1], ("PLUE_AUTH__ALGORITHMS", EVERY)]).await;
    for (algorithm, key, kid) in tokens {
        for kid in [Some(kid), None] {
            let token = plain(algorithm, key, kid);
            assert_eq!(seen(&all, &token).await.as_deref(), Ok("alice"), "{algorithm:?} {kid:?}");
        }
        let name = format!("{algorithm:?}");
        let (one, _task) = verifier(&[both[0], both[1], ("PLUE_AUTH__ALGORITHMS", &name)]).await;
        for (other, key, kid) in tokens {
            let expected = if other == algorithm { Ok("alice".to_owned()) } else { Err(Denied::Algorithm) };
            assert_eq!(
                seen(&one, &plain(other, key, Some(kid))).await,
                expected,
                "{other:?} where {algorithm:?} counts"
            );
        }
    }
    // An issuer's other keys, of the same kind or not.
    for (algorithm, key, kid, denied) in [
        (Algorithm::ES256, P256, "p256-second", Denied::Signature),
        (Algorithm::ES256, P256, "rsa", Denied::UnknownKey),
        (Algorithm::RS256, RSA, "p256", Denied::UnknownKey),
        (Algorithm::ES256, P256, "", Denied::UnknownKey),
        (Algorithm::ES256, P256, "../p256", Denied::UnknownKey),
        (Algorithm::RS256, RSA_1024, "rsa", Denied::Signature),
    ] {
        assert_eq!(seen(&all, &plain(algorithm, key, Some(kid))).await, Err(denied), "{algorithm:?} {kid}");
    }
    assert_eq!(seen(&all, &plain(Algorithm::RS256, RSA_1024, None)).await, Err(Denied::Signature));
    assert_eq!(
        seen(&all, &plain(Algorithm::HS256, b"another secret of thirty-two byt", None)).await,
        Err(Denied::Signature)
    );
}

#[actix_rt::test]
async fn a_token_counts_between_its_times() {
    let (verifier, _task) = verifier(&[("PLUE_AUTH__JWT_SECRET", SECRET), ("PLUE_AUTH__LEEWAY", "30s")]).await;
    let with = |mut claims: Value| {
        claims["sub"] = "alice".into();
        claiming(&claims)
    };
    let cases = [
        (json!({"exp": NOW + 1}), None),
        (json!({"exp": NOW as f64 + 0.5}), None),
        (json!({"exp": NOW - 29}), None),
        (json!({"exp": NOW - 30}), Some(Denied::Expired)),
        (json!({"exp": NOW - 3600}), Some(Denied::Expired)),
        (json!({"exp": 0}), Some(Denied::Expired)),
        (json!({}), Some(Denied::NoExpiry)),
        (json!({"exp": null}), Some(Denied::Malformed)),
        (json!({"exp": (NOW + 60).to_string()}), Some(Denied::Malformed)),
        (json!({"exp": -1}), Some(Denied::Malformed)),
        (json!({"exp": (NOW + 60) * 1000}), Some(Denied::Malformed)),
        (json!({"exp": u64::MAX}), Some(Denied::Malformed)),
        (json!({"exp": 1e300}), Some(Denied::Malformed)),
        (json!({"exp": [NOW + 60]}), Some(Denied::Malformed)),
        (json!({"exp": NOW + 60, "nbf": NOW}), None),
        (json!({"exp": NOW + 60, "nbf": NOW + 30}), None),
        (json!({"exp": NOW + 60, "nbf": NOW + 31}), Some(Denied::NotYet)),
        (json!({"exp": NOW + 60, "nbf": "now"}), Some(Denied::Malformed)),
        (json!({"exp": NOW - 60, "nbf": NOW + 60}), Some(Denied::Expired)),
    ];
    for (claims, denied) in cases {
        let found = seen(&verifier, &with(claims.clone())).await.err();
        assert_eq!(found, denied, "{claims}");
    }
    let huge = URL_SAFE_NO_PAD.encode(r#"{"sub":"alice","exp":1e999}"#);
    let message = format!("{}.{huge}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#));
    let key = private(Algorithm::HS256, SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).expect("a signature");
    assert_eq!(seen(&verifier, &format!("{message}.{signature}")).await, Err(Denied::Malformed));

    // The end that is told is the moment from which it is refused.
    let token = with(json!({"exp": NOW + 10}));
    let claims = verifier.verify(&token, now()).await.expect("a token that counts");
    assert_eq!(claims.expires, now() + Duration::from_secs(40));
    let just_before = claims.expires - Duration::from_millis(1);
    assert!(verifier.verify(&token, just_before).await.is_ok());
    assert_eq!(verifier.verify(&token, claims.expires).await.err(), Some(Denied::Expired));
    assert!(!format!("{claims:?}").contains("alice"), "{claims:?}");
}

#[actix_rt::test]
async fn issuer_and_audience_are_as_configured() {
    let secret = ("PLUE_AUTH__JWT_SECRET", SECRET);
    let (any, _one) = verifier(&[secret]).await;
    let (ours, _two) = verifier(&[secret, ("PLUE_AUTH__ISSUER", "https://us"), ("PLUE_AUTH__AUDIENCE", "plue")]).await;
    let no = Some;
    let cases = [
        (json!({}), None, no(Denied::Issuer)),
        (json!({"iss": "https://us"}), None, no(Denied::Audience)),
        (json!({"iss": "https://us", "aud": "plue"}), no(Denied::Audience), None),
        (json!({"iss": "https://us", "aud": ["x", "plue"]}), no(Denied::Audience), None),
        (json!({"iss": "https://us", "aud": ["x"]}), no(Denied::Audience), no(Denied::Audience)),
        (json!({"iss": "https://us", "aud": []}), no(Denied::Audience), no(Denied::Audience)),
        (json!({"iss": "https://us", "aud": ""}), no(Denied::Audience), no(Denied::Audience)),
        (json!({"iss": "https://us", "aud": null}), no(Denied::Audience), no(Denied::Audience)),
        (json!({"iss": "https://us", "aud": {"plue": true}}), no(Denied::Audience), no(Denied::Audience)),
        (json!({"iss": "https://us", "aud": "PLUE"}), no(Denied::Audience), no(Denied::Audience)),
        (json!({"iss": "https://us/", "aud": "plue"}), no(Denied::Audience), no(Denied::Issuer)),
        (json!({"iss": ["https://us"], "aud": "plue"}), no(Denied::Audience), no(Denied::Issuer)),
        (json!({"iss": "https://them"}), None, no(Denied::Issuer)),
    ];
    for (mut claims, where_any, where_ours) in cases {
        claims["sub"] = "alice".into();
        claims["exp"] = (NOW + 60).into();
        let token = claiming(&claims);
        assert_eq!(seen(&any, &token).await.err(), where_any, "{claims} where nothing is configured");
        assert_eq!(seen(&ours, &token).await.err(), where_ours, "{claims} where both are");
    }
}

#[actix_rt::test]
async fn workers_on_all_threads_share_one_verifier() {
    let jwks = file(&all_keys().to_string());
    let (verifier, _task) = verifier(&[("PLUE_AUTH__JWKS", path(&jwks))]).await;
    let verifier = std::sync::Arc::new(verifier);
    let token = plain(Algorithm::ES256, P256, Some("p256"));
    let workers = (0..4).map(|_| {
        let (verifier, token) = (std::sync::Arc::clone(&verifier), token.clone());
        std::thread::spawn(move || {
            futures_util::future::FutureExt::now_or_never(verifier.verify(&token, now()))
                .is_some_and(|seen| seen.is_ok())
        })
    });
    let workers: Vec<_> = workers.collect();
    assert!(workers.into_iter().all(|worker| worker.join().expect("a worker")));
}

#[actix_rt::test]
async fn what_we_sign_counts_and_only_a_secret_signs() {
    let secret: SecretString = SECRET.into();
    let claims = json!({"sub": "alice", "exp": NOW + 60});
    let claims = claims.as_object().expect("an object");
    let (verifier, _task) = verifier(&[("PLUE_AUTH__JWT_SECRET", SECRET), ("PLUE_AUTH__ALGORITHMS", "HS512")]).await;
    let token = sign(&secret, Algorithm::HS512, claims).expect("a token");
    assert_eq!(verifier.verify(&token, now()).await.expect("a token that counts").map, *claims);
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        assert_eq!(sign(&secret, algorithm, claims), Err(NotBySecret));
    }
}
