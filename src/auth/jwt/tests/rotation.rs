//! Keys from a URL: there at last, changed, taken out, and asked for by many at once.

use std::time::Duration;

use futures_util::future::join_all;
use jsonwebtoken::Algorithm::ES256;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::super::ring::Pace;
use super::super::{Denied, Running, Verifier};
use super::issuer::Issuer;
use super::{P256, P256_SECOND, config, file, jwk, path, plain, seen};

const LONG: Duration = Duration::from_secs(3600);
const DEADLINE: Duration = Duration::from_secs(20);

/// Only a token of an unknown key has the keys read again, and `apart` is the least time between.
fn pace(apart: Duration) -> Pace {
    Pace { refresh: LONG, retry: LONG, apart, patience: DEADLINE }
}

async fn verifier(jwks: &str, pace: Pace) -> (Verifier, Running) {
    let config = config(&[("PLUE_AUTH__JWKS", jwks)]);
    Verifier::start_at(&config, pace).await.expect("a start").expect("a verifier")
}

fn jwks(keys: &[(&[u8], &str)]) -> String {
    let keys: Vec<_> = keys.iter().map(|(pem, kid)| jwk(ES256, pem, kid)).collect();
    json!({ "keys": keys }).to_string()
}

/// Waits until the issuer has been asked so often.
async fn until_asked(issuer: &Issuer, times: usize) {
    let end = Instant::now() + DEADLINE;
    while issuer.asked() < times {
        assert!(Instant::now() < end, "waited {DEADLINE:?} for {times} requests, saw {}", issuer.asked());
        sleep(Duration::from_millis(5)).await;
    }
}

#[actix_rt::test]
async fn an_unknown_key_is_looked_for_once_for_all_who_wait() {
    let issuer = Issuer::start(200, &jwks(&[(P256, "old")])).await;
    let (verifier, _task) = verifier(&issuer.url, pace(Duration::ZERO)).await;
    let (old, new) = (plain(ES256, P256, Some("old")), plain(ES256, P256_SECOND, Some("new")));
    assert_eq!(seen(&verifier, &old).await.as_deref(), Ok("alice"));
    let asked = issuer.asked();

    issuer.publish(200, &jwks(&[(P256, "old"), (P256_SECOND, "new")]));
    issuer.open(false);
    let waiting = join_all((0..20).map(|_| seen(&verifier, &new)));
    let opened = async {
        until_asked(&issuer, asked + 1).await;
        // Whoever knows its key needs not wait for it.
        assert_eq!(seen(&verifier, &old).await.as_deref(), Ok("alice"));
        issuer.open(true);
    };
    let (answers, ()) = tokio::join!(waiting, opened);
    assert!(answers.iter().all(|answer| answer.as_deref() == Ok("alice")), "{answers:?}");
    assert_eq!(issuer.asked(), asked + 1);
}

#[actix_rt::test]
async fn whoever_asks_the_keys_are_not_read_twice_in_a_moment() {
    let issuer = Issuer::start(200, &jwks(&[(P256, "old")])).await;
    let (verifier, _task) = verifier(&issuer.url, pace(LONG)).await;
    assert_eq!(seen(&verifier, &plain(ES256, P256, Some("old"))).await.as_deref(), Ok("alice"));
    issuer.publish(200, &jwks(&[(P256_SECOND, "new")]));
    let unknown: Vec<_> = (0..50).map(|number| plain(ES256, P256_SECOND, Some(&number.to_string()))).collect();
    let answers = join_all(unknown.iter().map(|token| seen(&verifier, token))).await;
    assert!(answers.iter().all(|answer| *answer == Err(Denied::UnknownKey)), "{answers:?}");
    assert_eq!(issuer.asked(), 1);
}

#[actix_rt::test]
async fn a_key_that_was_taken_out_counts_no_more() {
    let issuer = Issuer::start(200, &jwks(&[(P256, "old")])).await;
    let (verifier, _task) = verifier(&issuer.url, pace(Duration::ZERO)).await;
    let (old, new) = (plain(ES256, P256, Some("old")), plain(ES256, P256_SECOND, Some("new")));
    assert_eq!(seen(&verifier, &old).await.as_deref(), Ok("alice"));
    issuer.publish(200, &jwks(&[(P256_SECOND, "new")]));
    assert_eq!(seen(&verifier, &new).await.as_deref(), Ok("alice"));
    assert_eq!(seen(&verifier, &old).await, Err(Denied::UnknownKey));
    issuer.publish(200, r#"{"keys": []}"#);
    assert_eq!(seen(&verifier, &old).await, Err(Denied::UnknownKey));
    assert_eq!(seen(&verifier, &new).await, Err(Denied::UnknownKey));
}

#[actix_rt::test]
async fn the_time_alone_has_the_keys_read_again() {
    let issuer = Issuer::start(200, &jwks(&[(P256, "old")])).await;
    let often = Pace { refresh: Duration::from_millis(20), retry: LONG, apart: Duration::ZERO, patience: DEADLINE };
    let (verifier, task) = verifier(&issuer.url, often).await;
    until_asked(&issuer, 3).await;
    issuer.publish(200, &jwks(&[(P256_SECOND, "old")]));
    let new = plain(ES256, P256_SECOND, Some("old"));
    let end = Instant::now() + DEADLINE;
    // The key's name is known, so that the token alone would not have them read.
    while seen(&verifier, &new).await != Ok("alice".to_owned()) {
        assert!(Instant::now() < end, "the new key of the old name did not come");
        sleep(Duration::from_millis(5)).await;
    }
    drop(task);
    // Without the task there is nobody to look for a key, and nobody waits for it.
    let unknown = plain(ES256, P256, Some("unknown"));
    assert_eq!(seen(&verifier, &unknown).await, Err(Denied::UnknownKey));
}

#[actix_rt::test]
async fn what_cannot_be_read_leaves_the_keys_as_they_were() {
    let good = jwks(&[(P256, "old")]);
    let large = format!("{good}{}", " ".repeat(super::keys::MAX_BYTES));
    let many = json!({"keys": vec![jwk(ES256, P256_SECOND, "unknown"); 65]}).to_string();
    let redirected = jwks(&[(P256_SECOND, "unknown")]);
    let bad =
        [(200, ""), (200, "<html>"), (200, &large), (200, &many), (302, &redirected), (404, &redirected), (500, "")];
    for (status, body) in bad {
        // Before there was anything ..
        let issuer = Issuer::start(status, body).await;
        let (verifier, _task) = verifier(&issuer.url, pace(Duration::ZERO)).await;
        let (old, unknown) = (plain(ES256, P256, Some("old")), plain(ES256, P256_SECOND, Some("unknown")));
        let case = format!("{status} {}", &body[..body.len().min(20)]);
        assert_eq!(seen(&verifier, &old).await, Err(Denied::KeysUnavailable), "{case}");
        issuer.publish(200, &good);
        assert_eq!(seen(&verifier, &old).await.as_deref(), Ok("alice"), "{case}");
        // .. and after.
        issuer.publish(status, body);
        let asked = issuer.asked();
        assert_eq!(seen(&verifier, &unknown).await, Err(Denied::UnknownKey), "{case}");
        assert!(issuer.asked() > asked, "{case}");
        assert_eq!(seen(&verifier, &old).await.as_deref(), Ok("alice"), "{case}");
    }
}

#[actix_rt::test]
async fn an_issuer_that_does_not_answer_holds_nobody_for_longer_than_a_fetch() {
    let issuer = Issuer::start(200, &jwks(&[(P256, "old")])).await;
    issuer.open(false);
    let patience = Duration::from_millis(100);
    let (verifier, _task) = verifier(&issuer.url, Pace { refresh: LONG, retry: LONG, apart: LONG, patience }).await;
    let token = plain(ES256, P256, Some("old"));
    assert_eq!(seen(&verifier, &token).await, Err(Denied::KeysUnavailable));
    issuer.open(true);

    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
    let url = format!("http://{closed}/jwks.json");
    let config = config(&[("PLUE_AUTH__JWKS", &url)]);
    let (verifier, _task) = Verifier::start(&config).await.expect("a start all the same").expect("a verifier");
    assert_eq!(seen(&verifier, &token).await, Err(Denied::KeysUnavailable));
}

#[actix_rt::test]
async fn a_file_is_read_again_for_an_unknown_key() {
    let file = file(&jwks(&[(P256, "old")]));
    let (verifier, _task) = verifier(path(&file), pace(Duration::ZERO)).await;
    let (old, new) = (plain(ES256, P256, Some("old")), plain(ES256, P256_SECOND, Some("new")));
    assert_eq!(seen(&verifier, &new).await, Err(Denied::UnknownKey));
    std::fs::write(file.path(), jwks(&[(P256_SECOND, "new")])).expect("a new text");
    assert_eq!(seen(&verifier, &new).await.as_deref(), Ok("alice"));
    assert_eq!(seen(&verifier, &old).await, Err(Denied::UnknownKey));
    std::fs::remove_file(file.path()).expect("a file to take away");
    assert_eq!(seen(&verifier, &old).await, Err(Denied::UnknownKey));
    assert_eq!(seen(&verifier, &new).await.as_deref(), Ok("alice"));
}
