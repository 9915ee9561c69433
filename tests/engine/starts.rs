//! Where a reader may begin: at the end of a log, in a log without a snapshot, and by HEAD and POST.

use actix_web::http::Method;

use super::{LONG_POLL, SOON, Scene, Tail, told};
use crate::support::{Engine, Message, eventually};

const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, value text); INSERT INTO items VALUES (1, 'a'), (2, 'b');";

fn kinds(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(Message::kind).collect()
}

#[actix_rt::test]
async fn now_is_the_end_of_the_log_and_what_follows_is_new() {
    let scene = Scene::new(ITEMS).await;
    let shape = scene.engine.shape("items");
    let reply = shape.get(&[("offset", "now"), ("handle", "ignored")]).await.is(200);
    assert_eq!(kinds(&reply.messages()), ["up-to-date"]);
    for (name, value) in [
        ("electric-offset", Some("0_inf")),
        ("electric-has-data", Some("false")),
        ("electric-up-to-date", Some("")),
        ("electric-cursor", None),
        ("cache-control", Some("public, max-age=60, stale-while-revalidate=300")),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    assert!(reply.header("electric-schema").is_some());
    let etag = reply.header("etag").expect("an etag").to_owned();
    assert!(etag.starts_with(&format!("\"{}:now:0_inf:", reply.handle())), "{etag}");
    shape.send(Method::GET, &[("offset", "now")], &[("if-none-match", &etag)]).await.is(200);

    let mut tail = Tail { shape: shape.clone(), handle: reply.handle(), offset: reply.offset() };
    for id in 3..6 {
        scene.sql(&format!("INSERT INTO items VALUES ({id}, 'x')")).await;
        let changes = tail.next().await;
        assert_eq!(changes.iter().map(told).collect::<Vec<_>>(), [format!("insert \"{id}\": id={id} value=x")]);
        let now = shape.get(&[("offset", "now")]).await.is(200);
        assert_eq!((now.offset(), now.handle()), (tail.offset.clone(), tail.handle.clone()));
        let seen: u64 = now.messages()[0].headers.global_last_seen_lsn.as_ref().expect("it").parse().expect("an LSN");
        assert!(seen >= changes[0].position().expect("a position").0);
    }
    scene.sql("TRUNCATE items").await;
    let next = eventually(SOON, "another shape", async || match shape.get(&[("offset", "now")]).await {
        reply if reply.status == 200 && reply.handle() != tail.handle => Ok(reply),
        reply => Err((reply.status, reply.text())),
    });
    assert_eq!(next.await.offset(), "0_inf");
}

#[actix_rt::test]
async fn a_log_of_changes_alone_has_no_rows_and_the_mark_of_a_real_snapshot() {
    let mut scene = Scene::new(ITEMS).await;
    let shape = scene.engine.shape("items").with("log", "changes_only").with("where", "id < 10");
    let reply = shape.first().await.is(200);
    let messages = reply.messages();
    assert_eq!(kinds(&messages), ["snapshot-end"]);
    let mark = |name: &Option<String>| name.as_ref().expect("a mark").parse::<u64>().expect("a transaction id");
    let row = scene.client.query_one("SELECT pg_snapshot_xmax(pg_current_snapshot())::text", &[]).await;
    let now: u64 = row.expect("a snapshot").get::<_, &str>(0).parse().expect("a transaction id");
    let (xmin, xmax) = (mark(&messages[0].headers.xmin), mark(&messages[0].headers.xmax));
    assert!(xmin > 2 && xmin <= xmax && xmax <= now, "{xmin} {xmax} {now}");
    assert_eq!(reply.offset(), "0_0");
    let full = scene.engine.shape("items").with("where", "id < 10").first().await.is(200);
    assert_ne!(full.handle(), reply.handle());

    let mut tail = Tail::of(&shape).await;
    scene.sql("UPDATE items SET value = 'c' WHERE id = 1; UPDATE items SET id = 20 WHERE id = 2").await;
    let changes: Vec<_> = tail.next().await.iter().map(told).collect();
    assert_eq!(changes, ["update \"1\": id=1 value=c", "delete \"2\": id=2"]);

    scene.engine.binary.kill();
    let dir = scene.engine.binary.dir().join("persistent");
    let storage = ("ELECTRIC_STORAGE_DIR", dir.to_str().expect("a path in UTF-8"));
    let again = Engine::with(&scene.database, &[storage]).await;
    let shape = again.shape("items").with("log", "changes_only").with("where", "id < 10");
    let same = shape.first().await.is(200);
    assert_eq!((same.handle(), same.body), (reply.handle(), reply.body), "it is still a log of changes alone");
    scene.sql("INSERT INTO items VALUES (3, 'd')").await;
    let mut tail = Tail { shape, ..tail };
    assert_eq!(tail.next().await.iter().map(told).collect::<Vec<_>>(), ["insert \"3\": id=3 value=d"]);
    assert_eq!(again.shape("items").with("where", "id < 10").first().await.is(200).handle(), full.handle());
}

#[actix_rt::test]
async fn a_head_request_waits_as_the_get_does() {
    let scene = Scene::with(ITEMS, &[LONG_POLL]).await;
    let tail = Tail::of(&scene.engine.shape("items")).await;
    let live = [("offset", &*tail.offset), ("handle", &*tail.handle), ("live", "true")];
    let began = std::time::Instant::now();
    let timed_out = tail.shape.send(Method::HEAD, &live, &[]).await.is(200);
    assert!(began.elapsed().as_millis() >= 990, "it waits");
    assert_eq!(timed_out.header("electric-has-data"), Some("false"));
    let writes = async {
        for id in 3.. {
            scene.sql(&format!("INSERT INTO items VALUES ({id}, 'x')")).await;
            let reply = tail.shape.send(Method::HEAD, &live, &[]).await.is(200);
            assert!(reply.body.is_empty(), "{reply:?}");
            if reply.header("electric-has-data") == Some("true") {
                return reply;
            }
        }
        unreachable!("there are numbers enough")
    };
    let told = tokio::time::timeout(SOON, writes).await.expect("a change");
    let get = tail.shape.get(&live).await.is(200);
    for name in ["electric-handle", "electric-up-to-date", "cache-control", "content-type"] {
        assert_eq!(told.header(name), get.header(name), "{name}");
    }
}

#[actix_rt::test]
async fn a_reader_that_has_the_answer_is_told_before_it_waits() {
    let scene = Scene::new(ITEMS).await;
    let tail = Tail::of(&scene.engine.shape("items")).await;
    let tag = format!("\"{}:{}:{}\"", tail.handle, tail.offset, tail.offset);
    for (live, cached) in [
        (&[][..], "public, max-age=60, stale-while-revalidate=300"),
        (&[("live", "true")], "public, max-age=5, stale-while-revalidate=5"),
        (&[("live", "true"), ("live_sse", "true")], "public, max-age=59"),
    ] {
        let more = [&[("offset", &*tail.offset), ("handle", &*tail.handle)], live].concat();
        for method in [Method::GET, Method::HEAD] {
            let began = std::time::Instant::now();
            let reply = tail.shape.send(method, &more, &[("if-none-match", &format!("\"x\", {tag}"))]).await.is(304);
            assert!(began.elapsed().as_secs() < 15, "it did not wait");
            for (name, value) in [
                ("etag", Some(&*tag)),
                ("cache-control", Some(cached)),
                ("electric-handle", Some(&*tail.handle)),
                ("electric-offset", Some(&*tail.offset)),
                ("electric-up-to-date", Some("")),
                ("electric-has-data", Some("true")),
                ("electric-schema", None),
            ] {
                assert_eq!(reply.header(name), value, "{live:?}: {name}");
            }
            assert_eq!(reply.header("electric-cursor").is_some(), !live.is_empty(), "{live:?}");
            assert!(reply.body.is_empty());
        }
        // A POST has no answer that could be had already.
        if live.len() < 2 {
            continue;
        }
        let posted = tail.shape.send(Method::POST, &more[..2], &[("if-none-match", &tag)]).await;
        posted.is(200);
    }
}

#[actix_rt::test]
async fn a_post_is_a_get_that_no_cache_keeps() {
    let scene = Scene::with(ITEMS, &[LONG_POLL]).await;
    let shape = scene.engine.shape("items");
    let first = shape.first().await.is(200);
    let url = format!("{}/v1/shape", scene.engine.binary.url());
    let handle = first.handle();
    let post = async |query: &str, body: &'static [u8]| {
        let request = scene.engine.http.post(format!("{url}?{query}"));
        let mut response =
            request.insert_header(("content-type", "text/plain")).send_body(body).await.expect("an answer");
        let bytes = response.body().await.expect("a body");
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
        assert_eq!(header("cache-control").as_deref(), Some("no-cache"), "{query}");
        assert_eq!(header("surrogate-control"), None, "{query}");
        (response.status().as_u16(), header("electric-handle"), bytes)
    };
    for (query, body) in [
        ("table=items&offset=-1", &b""[..]),
        ("table=items&offset=-1", b"{}"),
        ("offset=-1", br#"{"table":"items"}"#),
        ("table=none&offset=-1", br#"{"table":"\"public\".items","live":false,"handle":"ignored","unknown":[]}"#),
    ] {
        assert_eq!(post(query, body).await, (200, Some(handle.clone()), first.body.clone()), "{query}");
    }
    let (status, listed, body) = post("table=items&offset=-1", br#"{"columns":["id"]}"#).await;
    assert_eq!(status, 200);
    assert!(!String::from_utf8_lossy(&body).contains("value\":\"a"));
    let same = shape.clone().with("columns", "id").first().await.is(200);
    assert_eq!(listed, Some(same.handle()));
    let live = format!("table=items&offset=0_inf&handle={handle}&live=true");
    assert_eq!(post(&live, b"").await.0, 200);
    assert_eq!(post("table=items&offset=0_inf&handle=other", b"").await.0, 409);
    assert_eq!(post("table=items&offset=0_inf", br#"{"handle":"other"}"#).await.0, 409);
    assert_eq!(post("table=items", b"").await.0, 400);
    scene.engine.binary.assert_quiet(&[]);
}
