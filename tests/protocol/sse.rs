//! Streams of events: statements 187 to 192 and 195 to 198. Their end and their keep-alive are in `waits.rs`.

use actix_web::http::Method;
use serde_json::Value;

use super::raw::Stream;
use super::{A, B, C, ITEMS, Server, Tail, insert, key};

const UP_TO_DATE: &str = r#""control":"up-to-date""#;
const SSE: &str = "&live=true&live_sse=true";

/// Opens the stream of what follows.
async fn open(tail: &Tail, more: &str) -> Stream {
    let target = format!("/v1/shape?{}{more}", tail.query());
    tail.http.open(&Method::GET, &target, &[("accept", "text/event-stream")], b"").await
}

/// The events of a text that consists of whole events, comments apart.
fn events(text: &str) -> Vec<Value> {
    let all = text.strip_suffix("\n\n").unwrap_or_else(|| panic!("an event without its end: {text:?}")).split("\n\n");
    let data = all.filter(|event| *event != ": keep-alive").map(|event| {
        assert!(!event.contains(['\n', '\r']), "an event of several lines: {event:?}");
        event.strip_prefix("data: ").unwrap_or_else(|| panic!("no data: {event:?}"))
    });
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|e| panic!("{e}: {data}"))).collect()
}

/// Reads until so many up-to-date events have come, or more at once.
async fn batches(stream: &mut Stream, count: usize) -> Vec<Value> {
    let ends = |text: &str| {
        text.strip_suffix("\n\n").is_some_and(|text| text.rsplit("\n\n").next().unwrap_or(text).contains(UP_TO_DATE))
    };
    let (text, ended) = stream.until(|text| ends(text) && text.matches(UP_TO_DATE).count() >= count).await;
    assert!(!ended, "the stream ended after {text}");
    events(&text)
}

fn told(events: &[Value]) -> Vec<String> {
    let name = |event: &Value| {
        let headers = &event["headers"];
        headers["operation"].as_str().or(headers["control"].as_str()).unwrap_or_default().to_owned()
    };
    events.iter().map(name).collect()
}

#[actix_rt::test]
async fn c187_c188_c189_c190_c192_c195_a_stream_of_events() {
    let server = Server::new(ITEMS).await;
    for (more, id) in [(SSE, A), ("&live=true&experimental_live_sse=true", B), ("&live&live_sse", C)] {
        let tail = server.tail("table=items").await;
        let mut stream = open(&tail, more).await;
        assert_eq!(stream.status, 200, "{more}");
        let kind = stream.header("content-type").unwrap_or_default();
        assert_eq!(kind.split(';').next(), Some("text/event-stream"), "{more}");
        assert_eq!(stream.header("cache-control"), Some("public, max-age=59"), "{more}");
        assert_eq!(stream.header("electric-handle"), Some(&*tail.handle), "{more}");
        assert!(stream.header("electric-cursor").is_some() && stream.header("electric-offset").is_some(), "{more}");
        assert_eq!(stream.header("electric-schema"), None, "{more}");
        // The head is here: what comes first is this change, and nothing was sent before it.
        server.sql(&insert(id, "a\nb")).await;
        let first = batches(&mut stream, 1).await;
        assert_eq!(told(&first), ["insert", "up-to-date"], "{more}");
        assert_eq!((&first[0]["key"], &first[0]["value"]["value"]), (&Value::from(key(id)), &Value::from("a\nb")));
        assert!(first[1]["headers"]["global_last_seen_lsn"].is_string());
        let both =
            format!("UPDATE items SET value = 'c' WHERE id = '{id}'; UPDATE items SET value = 'd' WHERE id = '{id}';");
        server.sql(&both).await;
        let all = batches(&mut stream, 2).await;
        assert_eq!(told(&all[2..]), ["update", "update", "up-to-date"], "{more}");
    }
}

#[actix_rt::test]
async fn c191_unread_changes_come_first() {
    let server = Server::new(ITEMS).await;
    let (start, mut tail) = (server.tail("table=items").await, server.tail("table=items").await);
    server.sql(&insert(A, "a")).await;
    server.sql(&insert(B, "b")).await;
    tail.changes(2).await;
    let mut stream = open(&start, SSE).await;
    let unread = batches(&mut stream, 1).await;
    assert_eq!(told(&unread), ["insert", "insert", "up-to-date"]);
    // The description ends the stream here; ours goes on, see docs/DECISIONS.md.
    server.sql(&insert(C, "c")).await;
    let all = batches(&mut stream, 2).await;
    assert_eq!(told(&all[3..]), ["insert", "up-to-date"]);
}

#[actix_rt::test]
async fn c196_a_reader_that_comes_back_misses_nothing() {
    let server = Server::new(ITEMS).await;
    let mut tail = server.tail("table=items").await;
    let mut keys = Vec::new();
    for round in 0..5 {
        let mut stream = open(&tail, SSE).await;
        let id = |n: usize| format!("00000000-0000-0000-0000-{:012}", round * 10 + n);
        server.sql(&(0..3).map(|n| insert(&id(n), "x")).collect::<String>()).await;
        let batch = batches(&mut stream, 1).await;
        keys.extend(batch.iter().filter_map(|event| event["key"].as_str().map(str::to_owned)));
        let seen = batch.last().and_then(|event| event["headers"]["global_last_seen_lsn"].as_str()).expect("an LSN");
        tail.offset = format!("{seen}_0");
        drop(stream);
        // While nobody reads.
        server.sql(&(3..5).map(|n| insert(&id(n), "x")).collect::<String>()).await;
    }
    // A round that began with unread rows ended with those: what was written meanwhile comes now, in one batch or in more.
    let last = "00000000-0000-0000-0000-000000000044";
    let mut stream = open(&tail, SSE).await;
    let (text, _) = stream.until(|text| text.ends_with("\n\n") && text.contains(last)).await;
    keys.extend(events(&text).iter().filter_map(|event| event["key"].as_str().map(str::to_owned)));
    // What comes twice is no loss.
    keys.sort();
    keys.dedup();
    let ids = (0..5).flat_map(|round| (0..5).map(move |n| format!("00000000-0000-0000-0000-{:012}", round * 10 + n)));
    assert_eq!(keys, ids.map(|id| key(&id)).collect::<Vec<_>>());
}

#[actix_rt::test]
async fn c197_rotation_ends_the_stream() {
    let server = Server::new(&format!("{ITEMS} {}", insert(A, "a"))).await;
    let tail = server.tail("table=items").await;
    let mut stream = open(&tail, SSE).await;
    server.sql("TRUNCATE items").await;
    let (text, ended) = stream.until(|_| false).await;
    assert!(ended, "{text}");
    // An event that says so before the end is allowed.
    assert!(text.is_empty() || told(&events(&text)) == ["must-refetch"], "{text}");
    let next = open(&tail, SSE).await;
    assert_eq!(next.status, 409);
}

#[actix_rt::test]
async fn c198_a_wrong_handle_is_no_stream() {
    let server = Server::new(ITEMS).await;
    let tail = server.tail("table=items").await;
    let refused = server.get(&format!("table=items&offset=0_0&handle=wrong{SSE}")).await.is(409);
    assert_eq!(refused.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(refused.text(), r#"[{"headers":{"control":"must-refetch"}}]"#);
    assert_eq!(refused.handle(), tail.handle);
}
