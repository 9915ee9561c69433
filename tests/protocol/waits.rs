//! How long requests are held by default: statements 168, 174, 193 and 194. All at once, for this takes a minute.

use std::time::{Duration, Instant};

use actix_web::http::Method;
use futures_util::future::join3;
use serde_json::json;

use super::{A, B, ITEMS, Server, insert, kinds};

/// More than what a busy machine adds.
const LATE: Duration = Duration::from_secs(8);

/// Bytes of log that no test run writes. Up to where the stream was followed no offset is past the end, even if the shape has nothing there.
const FAR: u64 = 1 << 40;

#[track_caller]
fn took(began: Instant, seconds: u64) {
    let (took, expected) = (began.elapsed(), Duration::from_secs(seconds));
    // A timer's steps are a millisecond.
    assert!(took >= expected - Duration::from_millis(10) && took < expected + LATE, "{took:?}, not {expected:?}");
}

#[actix_rt::test]
async fn c168_c174_c193_c194_waits_by_default() {
    let server = Server::new(ITEMS).await;
    let mut tail = server.tail("table=items").await;
    server.sql(&insert(A, "a")).await;
    let position = tail.changes(1).await[0].position().expect("a position").0;
    let beyond = format!("table=items&handle={}&offset={}_0", tail.handle, position + FAR);
    let began = Instant::now();
    let beyond = async {
        let errors = server.refusal(&beyond).await;
        took(began, 10);
        assert_eq!(errors, json!({"offset": ["out of bounds for this shape"]}));
    };
    let poll = async {
        let reply = tail.poll().await.is(200);
        took(began, 20);
        assert_eq!((kinds(&reply.messages()), reply.offset()), (vec!["up-to-date"], tail.offset.clone()));
        assert_eq!(reply.header("electric-has-data"), Some("false"));
    };
    let stream = async {
        let target = format!("/v1/shape?{}&live=true&live_sse=true", tail.query());
        let mut stream = server.http.open(&Method::GET, &target, &[], b"").await;
        let (text, ended) = stream.until(|text| !text.is_empty()).await;
        assert_eq!((text.as_str(), ended), (": keep-alive\n\n", false));
        took(began, 21);
        let (text, ended) = stream.until(|_| false).await;
        assert!(ended && !text.contains("data:"), "{text}");
        took(began, 60);
    };
    join3(beyond, poll, stream).await;
    // Nobody was harmed by waiting.
    server.sql(&insert(B, "b")).await;
    assert_eq!(kinds(&tail.changes(1).await), ["insert"]);
}
