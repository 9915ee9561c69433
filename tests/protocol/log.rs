//! Reading a log: statements 155 to 167 and 169 to 171.

use futures_util::future::join;
use serde_json::{Value, json};

use super::{A, AT_ONCE, B, C, ITEMS, SOON, Server, insert, key, kinds};
use crate::support::{Reply, eventually};

fn last_seen(reply: &Reply) -> u64 {
    let json = reply.json();
    let end = json.as_array().and_then(|log| log.last()).unwrap_or_else(|| panic!("nothing in {json}"));
    assert_eq!(end["headers"]["control"], "up-to-date", "{json}");
    let lsn = end["headers"]["global_last_seen_lsn"].as_str().unwrap_or_else(|| panic!("no text: {end}"));
    lsn.parse().unwrap_or_else(|e| panic!("{e}: {lsn}"))
}

fn lsn(reply: &Reply) -> u64 {
    reply.changes().last().and_then(|change| change.position()).expect("a position").0
}

#[actix_rt::test]
async fn c155_c156_c157_c158_c159_the_end_of_a_log() {
    let server = Server::new(&format!("{ITEMS} CREATE TABLE others (id int PRIMARY KEY);")).await;
    let (tail, mut others) = (server.tail("table=items").await, server.tail("table=others").await);
    server.sql(&insert(A, "a")).await;
    let live = tail.poll().await.is(200);
    assert_eq!(kinds(&live.messages()), ["insert", "up-to-date"]);
    assert_eq!(last_seen(&live), lsn(&live));

    let read = tail.read("").await.is(200);
    assert_eq!(kinds(&read.messages()), ["insert", "up-to-date"]);
    assert_eq!(read.header("electric-up-to-date"), Some(""));
    assert!(last_seen(&read) >= lsn(&read));

    server.sql("INSERT INTO others VALUES (1)").await;
    let position = others.changes(1).await[0].position().expect("a position").0;
    let again = tail.read("").await.is(200);
    assert_eq!(again.changes(), read.changes());
    assert!(last_seen(&again) > last_seen(&read) && last_seen(&again) >= position, "{}, {position}", again.text());
}

#[actix_rt::test]
async fn c160_c161_chunks_of_a_log() {
    let settings = [("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "10000")];
    let server = Server::with(ITEMS, &settings).await;
    let mut tail = server.tail("table=items").await;
    let start = tail.query();
    for (id, size) in [(A, 6_000), (B, 7_000), (C, 4_000)] {
        server.sql(&insert(id, &"x".repeat(size))).await;
    }
    tail.changes(3).await;
    let first = server.get(&start).await.is(200);
    assert_eq!(
        first.messages().iter().map(|message| message.key.clone()).collect::<Vec<_>>(),
        [Some(key(A)), Some(key(B))]
    );
    assert_eq!(first.header("electric-up-to-date"), None);
    let (handle, offset) = (&tail.handle, first.offset());
    let second = server.get(&format!("table=items&handle={handle}&offset={offset}")).await.is(200);
    assert_eq!(kinds(&second.messages()), ["insert", "up-to-date"]);
    assert_eq!(second.changes()[0].key, Some(key(C)));
    assert_eq!(second.header("electric-up-to-date"), Some(""));

    // However much follows.
    server.sql(&format!("UPDATE items SET value = repeat('y', 9000) WHERE id = '{A}'")).await;
    tail.changes(1).await;
    let again = server.get(&start).await.is(200);
    assert_eq!((&again.body, again.offset()), (&first.body, offset));
}

#[actix_rt::test]
async fn c162_c163_caches_are_told_how_long() {
    let server = Server::new(ITEMS).await;
    let tail = server.tail("table=items").await;
    let usual = tail.read("").await.is(200);
    assert_eq!(usual.header("cache-control"), Some("public, max-age=60, stale-while-revalidate=300"));
    let settings = [("ELECTRIC_CACHE_MAX_AGE", "7"), ("ELECTRIC_CACHE_STALE_AGE", "11")];
    let other = Server::with(ITEMS, &settings).await;
    let tail = other.tail("table=items").await;
    let set = tail.read("").await.is(200);
    assert_eq!(set.header("cache-control"), Some("public, max-age=7, stale-while-revalidate=11"));
}

#[actix_rt::test]
async fn c164_c165_c166_c167_etags() {
    let server = Server::new(ITEMS).await;
    let mut tail = server.tail("table=items").await;
    let start = server.tail("table=items").await;
    server.sql(&insert(A, "a")).await;
    tail.changes(1).await;
    let read = start.read("").await.is(200);
    let etag = format!("\"{}:{}:{}\"", start.handle, start.offset, read.offset());
    assert_eq!(read.header("etag"), Some(&*etag));
    for condition in [etag.clone(), format!("\"x\", {etag}"), format!("{etag},\"x\"")] {
        let unchanged = start.read_with("", &[("if-none-match", &condition)]).await.is(304);
        assert_eq!(unchanged.text(), "", "{condition}");
        for name in
            ["electric-handle", "electric-offset", "etag", "cache-control", "electric-up-to-date", "electric-has-data"]
        {
            assert_eq!(unchanged.header(name), read.header(name), "{name} with {condition}");
        }
        assert_eq!(unchanged.header("electric-schema"), None, "{condition}");
    }
    start.read_with("", &[("if-none-match", "\"x\"")]).await.is(200);

    let first = server.get("table=items&offset=-1").await.is(200);
    let condition = [("if-none-match", first.header("etag").expect("an etag"))];
    let unchanged = server.send(actix_web::http::Method::GET, "table=items&offset=-1", &condition, b"").await.is(304);
    let long = "public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746";
    assert_eq!(unchanged.header("cache-control"), Some(long));
}

#[actix_rt::test]
async fn c169_an_offset_that_comes_into_being_is_waited_for() {
    let server = Server::new(ITEMS).await;
    let mut tail = server.tail("table=items").await;
    server.sql(&insert(A, "a")).await;
    let position = tail.changes(1).await[0].position().expect("a position").0;
    // Before the next commit, whose record is longer than this.
    let beyond = format!("table=items&handle={}&offset={}_0", tail.handle, position + 8);
    let write = async {
        // By the time these are answered, the engine has the other request too.
        for _ in 0..10 {
            server.http.get("/v1/health").await.is(200);
        }
        server.sql(&insert(B, "b")).await;
    };
    let (reply, ()) = join(server.get(&beyond), write).await;
    reply.is(200);
    // Other commits of the cluster may bring the offset into being before this one does; then it comes with the next request.
    tail.offset = format!("{}_0", position + 8);
    assert_eq!(tail.changes(1).await[0].key, Some(key(B)));
}

#[actix_rt::test]
async fn c170_c171_now() {
    let server = Server::new(&format!("{ITEMS} {}", insert(A, "a"))).await;
    let now = server.get("table=items&offset=now").await.is(200);
    assert_eq!(kinds(&now.messages()), ["up-to-date"]);
    for (name, value) in [
        ("electric-offset", Some("0_inf")),
        ("electric-has-data", Some("false")),
        ("electric-up-to-date", Some("")),
        ("electric-cursor", None),
    ] {
        assert_eq!(now.header(name), value, "{name}");
    }
    let schema: Value = serde_json::from_str(now.header("electric-schema").expect("a schema")).expect("JSON");
    assert_eq!(schema["value"], json!({"type": "text"}));
    last_seen(&now);
    assert_eq!(server.get("table=items&offset=now&handle=whatever").await.is(200).handle(), now.handle());

    let mut tail = server.tail("table=items").await;
    assert_eq!(tail.handle, now.handle());
    server.sql(&insert(B, "b")).await;
    tail.changes(1).await;
    let now = server.get("table=items&offset=now").await.is(200);
    assert_eq!((now.offset(), kinds(&now.messages())), (tail.offset.clone(), vec!["up-to-date"]));
    tail.offset = now.offset();
    server.sql(&insert(C, "c")).await;
    let later = tokio::time::timeout(AT_ONCE, tail.changes(1)).await.expect("no wait");
    assert_eq!(later[0].key, Some(key(C)));
    eventually(SOON, "now to be the new end", async || {
        match server.get("table=items&offset=now").await.is(200).offset() {
            offset if offset == tail.offset => Ok(()),
            offset => Err(offset),
        }
    })
    .await;
}
