//! An upstream that fails: what readers are told, and that it is left alone.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{SOON, Setup};
use crate::support::{Fault, Reader, Reply, eventually};

/// An error of ours: its status, when to come back, and that no cache keeps it.
#[track_caller]
fn told(reply: &Reply, status: u16, case: &str) {
    assert_eq!(reply.status, status, "{case}: {}", reply.text());
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{case}");
    let retry_after = reply.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(retry_after.is_some_and(|seconds| seconds > 0), "{case}: {reply:?}");
    assert!(reply.json()["message"].is_string(), "{case}: {}", reply.text());
}

fn say(head: &str, body: &str) -> Fault {
    Fault::Say(format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

#[actix_rt::test]
async fn each_failure_has_its_answer_and_the_next_request_works() {
    let setup = Setup::with(&[], &[("PLUE_UPSTREAM__RESPONSE_TIMEOUT", "700ms")]).await;
    setup.add(0..3).await;
    let json = "content-type: application/json";
    let cases = [
        (Fault::Refuse, 503),
        (Fault::Silence, 503),
        (Fault::Say("\0\0\0 garbage\r\n\r\n".to_owned()), 502),
        (Fault::Say("HTTP/1.1 200 OK\r\nelectric-han".to_owned()), 503),
        (Fault::Say(String::new()), 503),
        (say("200 OK\r\ncontent-type: text/html", "<html>"), 502),
        (say(&format!("500 Oops\r\n{json}"), "{}"), 502),
        (say("302 Found\r\nlocation: http://127.0.0.1:1/", ""), 502),
        (say(&format!("401 No\r\n{json}"), "{}"), 502),
        (say(&format!("403 No\r\n{json}"), "{}"), 502),
        (say("404 Not found", "Not found"), 502),
        (say("503 Later\r\ncontent-type: text/html", "<html>"), 503),
    ];
    for (fault, status) in cases {
        let case = format!("{fault:?}");
        setup.relay.set(Some(fault));
        told(&setup.sessions().first().await, status, &case);
        setup.recovers().await;
    }
    let passed = [
        (429, say(&format!("429 Busy\r\n{json}\r\nretry-after: 7"), r#"{"message":"x"}"#), "7", r#"{"message":"x"}"#),
        (503, say(&format!("503 Busy\r\n{json}"), r#"{"message":"y"}"#), "1", r#"{"message":"y"}"#),
    ];
    for (status, fault, retry_after, body) in passed {
        setup.relay.set(Some(fault));
        let reply = setup.sessions().first().await.is(status);
        assert_eq!((reply.header("retry-after"), reply.text().as_str()), (Some(retry_after), body));
        setup.recovers().await;
    }
    let refetch = r#"[{"headers":{"control":"must-refetch"}}]"#;
    setup.relay.set(Some(say(&format!("409 Gone\r\n{json}\r\nelectric-handle: new-1"), refetch)));
    let reply = setup.sessions().first().await.is(409);
    assert_eq!((reply.header("electric-handle"), reply.text().as_str()), (Some("new-1"), refetch));
    setup.recovers().await;
    let log = setup.serve.log();
    let told = log.matches("set ELECTRIC_SECRET to the secret of the service").count();
    assert_eq!(told, 1, "for 401 and 403 together: {log}");
    assert!(log.contains("set ELECTRIC_URL to the address of a shape service"), "{log}");
    setup.is_idle().await;
}

/// A whole answer as it comes: HTTP clients may take a body that breaks off for one that ends.
async fn raw(setup: &Setup) -> String {
    let address = setup.serve.url().replace("http://", "");
    let mut reader = TcpStream::connect(&address).await.expect("a connection");
    let request =
        format!("GET /shape?table=sessions&offset=-1 HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    reader.write_all(request.as_bytes()).await.expect("a request");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(SOON, reader.read_to_end(&mut answer)).await;
    read.expect("an end").expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

#[actix_rt::test]
async fn a_body_that_breaks_off_cuts_its_reader_off() {
    let setup = Setup::with(&[], &[("PLUE_UPSTREAM__BODY_TIMEOUT", "700ms")]).await;
    setup.add(0..50).await;
    setup.recovers().await;
    let head = "HTTP/1.1 200 OK\r\nelectric-handle: h\r\nelectric-offset: 0_0\r\nelectric-schema: {}\r\n";
    let chunked = Fault::Say(format!("{head}transfer-encoding: chunked\r\n\r\n3\r\n[{{}}\r\n"));
    for fault in [Fault::Reset, Fault::Truncate, Fault::Stall, chunked] {
        setup.relay.set(Some(fault.clone()));
        let answer = raw(&setup).await;
        // A connection that is cut at once takes its head along.
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or(("HTTP/1.1 200 cut", ""));
        assert!(head.starts_with("HTTP/1.1 200"), "{fault:?}: {head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|length| length.parse());
        let whole = length.map_or(body.ends_with("0\r\n\r\n"), |length| length == Ok(body.len()));
        assert!(!whole, "{fault:?}: a body that looks whole: {answer}");
        let whole = setup.recovers().await;
        assert_eq!(whole.changes().len(), 50);
    }
    assert!(setup.serve.log().contains("its answers break off"), "{}", setup.serve.log());
    setup.is_idle().await;
}

#[actix_rt::test]
async fn a_live_answer_that_is_broken_is_no_answer() {
    let setup = Setup::with(&[("ELECTRIC_LONG_POLL_TIMEOUT", "1000")], &[]).await;
    setup.add(0..1).await;
    let start = Reader::up_to_date(&setup.sessions()).await;
    let live = [("handle", start.handle.as_str()), ("offset", &start.offset), ("live", "true")];
    let head = "200 OK\r\nelectric-handle: h\r\nelectric-offset: 9_9\r\nelectric-cursor: 5";
    let cases = [
        (Fault::Reset, 502),
        (Fault::Truncate, 502),
        (say(head, "<html>"), 502),
        (say(head, "{}"), 502),
        (say("200 OK\r\nelectric-handle: h\r\nelectric-offset: x\r\nelectric-cursor: 5", "[]"), 502),
        (say("200 OK\r\nelectric-handle: h\r\nelectric-offset: 9_9", "[]"), 502),
        (say("500 Oops", ""), 502),
    ];
    for (fault, status) in cases {
        let case = format!("{fault:?}");
        setup.relay.set(Some(fault));
        told(&setup.sessions().get(&live).await, status, &case);
        let refused = setup.sessions().events(&start.handle, &start.offset).await;
        // A broken body may take its time to be seen: then the stream has begun, and ends.
        assert!([status, 200].contains(&refused.status), "{case}: {}", refused.status);
        setup.recovers().await;
    }
    // Electric before 1.0.4 answered so when nothing had changed.
    setup.relay.set(Some(Fault::Say(format!("HTTP/1.1 {}\r\n\r\n", head.replace("200 OK", "204 No Content")))));
    let reply = setup.sessions().get(&live).await.is(204);
    assert_eq!((reply.header("electric-has-data"), reply.offset().as_str()), (Some("false"), "9_9"));
    setup.recovers().await;
    setup.is_idle().await;
}

#[actix_rt::test]
async fn an_upstream_that_is_down_is_left_alone_and_noticed_when_it_is_back() {
    let setup = Setup::start().await;
    setup.add(0..3).await;
    setup.recovers().await;
    setup.relay.set(Some(Fault::Refuse));
    let before = setup.relay.counts().accepted;
    let begun = Instant::now();
    let mut refused = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        told(&setup.sessions().first().await, 503, "down");
        refused += 1;
    }
    let asked = setup.relay.counts().accepted - before;
    // Five failures of two attempts each, a few probes, and one look at its health a second.
    assert!(refused > 100 && asked < 40, "{refused} requests made {asked} connections");
    let body = setup.is_ready(false).await;
    assert_eq!(body, r#"{"status":"not ready","upstream":"unreachable"}"#);

    setup.relay.set(None);
    let body = setup.is_ready(true).await;
    assert_eq!(body, r#"{"status":"ready","upstream":"active"}"#);
    setup.sessions().first().await.is(200);
    setup.serve.assert_quiet(&["does not answer as a shape service; see ELECTRIC_URL"]);
}

#[actix_rt::test]
async fn an_engine_that_ends_and_comes_back_is_followed_on() {
    let setup = Setup::with(&[("ELECTRIC_LONG_POLL_TIMEOUT", "1000")], &[]).await;
    setup.add(0..3).await;
    let mut reader = Reader::up_to_date(&setup.sessions()).await;
    setup.relay.set(Some(Fault::Refuse));
    let done = |reader: &Reader| reader.rows.len() == 6;
    let back = async {
        eventually(SOON, "refusals", async || {
            let reply = setup.sessions().first().await;
            if reply.status == 503 { Ok(()) } else { Err(reply.status) }
        })
        .await;
        setup.add(3..6).await;
        setup.relay.set(None);
    };
    tokio::join!(back, reader.follow_until(SOON, "six rows", done));
    assert_eq!(reader.refetches, 0);
}
