//! Readers that wait: long-polls and streams of events.

use std::time::{Duration, Instant};

use actix_web::http::Method;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::{LONG_POLL, SOON, Scene, Tail};
use crate::support::{Api, Database, Event, Message, Reader, Reply, Shape, eventually};

const ITEMS: &str =
    "CREATE TABLE items (id int PRIMARY KEY, title text, grp int); INSERT INTO items VALUES (1, 'a', 1);";

impl Tail {
    async fn poll(&self, more: &[(&str, &str)]) -> Reply {
        let own = [("offset", self.offset.as_str()), ("handle", &self.handle), ("live", "true")];
        self.shape.get(&[&own[..], more].concat()).await.is(200)
    }
}

#[actix_rt::test]
async fn a_change_releases_everyone_who_waits_for_it() {
    let scene = Scene::new(ITEMS).await;
    let tail = Tail::of(&scene.engine.shape("items")).await;
    let waiting = join_all((0..50).map(|_| tail.poll(&[])));
    let write = scene.sql("INSERT INTO items VALUES (2, 'b', 1)");
    let began = Instant::now();
    let (replies, ()) = futures_util::future::join(waiting, write).await;
    assert!(began.elapsed() < Duration::from_secs(15), "released by the change, not by time");
    for reply in &replies {
        assert_eq!(reply.body, replies[0].body);
        assert_eq!(reply.offset(), replies[0].offset());
    }
    let messages = replies[0].messages();
    assert_eq!(messages.iter().map(Message::kind).collect::<Vec<_>>(), ["insert", "up-to-date"]);
    assert_eq!(messages[0].headers.lsn, messages[1].headers.global_last_seen_lsn);
    let (lsn, op) = messages[0].position().expect("a position");
    assert_eq!(replies[0].offset(), format!("{lsn}_{op}"));
    for (name, value) in [
        ("cache-control", Some("public, max-age=5, stale-while-revalidate=5")),
        ("electric-up-to-date", Some("")),
        ("electric-has-data", Some("true")),
        ("electric-schema", None),
    ] {
        assert_eq!(replies[0].header(name), value, "{name}");
    }
    let etag = format!("\"{}:{}:{}\"", tail.handle, tail.offset, replies[0].offset());
    assert_eq!(replies[0].header("etag"), Some(&*etag));
}

#[actix_rt::test]
async fn a_long_poll_without_change_ends_in_time_where_it_began() {
    let scene = Scene::with(ITEMS, &[LONG_POLL]).await;
    let mut tail = Tail::of(&scene.engine.shape("items")).await;
    tail.offset = "0_0".to_owned();
    let mut etags = Vec::new();
    for _ in 0..2 {
        let began = Instant::now();
        let reply = tail.poll(&[]).await;
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(990), "it waits: {took:?}");
        assert_eq!(reply.messages().iter().map(Message::kind).collect::<Vec<_>>(), ["up-to-date"]);
        for (name, value) in [
            ("electric-has-data", Some("false")),
            ("electric-up-to-date", Some("")),
            ("electric-offset", Some("0_inf")),
            ("electric-schema", None),
        ] {
            assert_eq!(reply.header(name), value, "{name}");
        }
        etags.push(reply.header("etag").expect("an etag").to_owned());
    }
    assert_ne!(etags[0], etags[1], "no cache may take one for the other");
    let more = [("offset", "0_0"), ("handle", &*tail.handle), ("live", "true")];
    tail.shape.send(Method::GET, &more, &[("if-none-match", &etags[0])]).await.is(200);
}

#[actix_rt::test]
async fn a_change_outside_the_filter_releases_nobody() {
    let scene = Scene::with(ITEMS, &[LONG_POLL]).await;
    let tail = Tail::of(&scene.engine.shape("items").with("where", "grp = 1")).await;
    let all = Tail::of(&scene.engine.shape("items")).await;
    let write = scene.sql("INSERT INTO items VALUES (2, 'b', 2); UPDATE items SET title = 'c' WHERE grp = 2");
    let (held, released, ()) = futures_util::future::join3(tail.poll(&[]), all.poll(&[]), write).await;
    assert_eq!(held.header("electric-has-data"), Some("false"));
    assert_eq!(released.header("electric-has-data"), Some("true"));
}

#[actix_rt::test]
async fn a_reader_that_is_behind_is_answered_at_once() {
    let scene = Scene::new(ITEMS).await;
    let behind = Tail::of(&scene.engine.shape("items")).await;
    let mut tail = Tail { shape: behind.shape.clone(), handle: behind.handle.clone(), offset: behind.offset.clone() };
    for id in 2..5 {
        scene.sql(&format!("INSERT INTO items VALUES ({id}, 'b', 1)")).await;
    }
    tail.before("/\"4\"").await;
    let reply = timeout(Duration::from_secs(10), behind.poll(&[])).await.expect("no wait");
    assert_eq!(reply.changes().len(), 3);
}

#[actix_rt::test]
async fn the_cursor_moves_on_from_the_one_that_was_sent() {
    let scene = Scene::new(ITEMS).await;
    let tail = Tail::of(&scene.engine.shape("items")).await;
    scene.sql("INSERT INTO items VALUES (2, 'b', 1)").await;
    let cursor = async |sent: &[(&str, &str)]| -> u64 {
        let reply = tail.poll(sent).await;
        reply.header("electric-cursor").expect("a cursor").parse().expect("a number")
    };
    for sent in [&[][..], &[("cursor", "")], &[("cursor", "abc")]] {
        let cursor = cursor(sent).await;
        assert!(cursor > 0 && cursor.is_multiple_of(20), "{sent:?}: {cursor}");
    }
    let first = cursor(&[]).await;
    assert!(cursor(&[("cursor", &first.to_string())]).await > first);
    let next = cursor(&[("cursor", "99999999999")]).await;
    assert!((100_000_000_000..=100_000_003_599).contains(&next), "{next}");
}

#[actix_rt::test]
async fn an_idle_shape_hears_of_what_happens_elsewhere() {
    let scene = Scene::new(&format!("{ITEMS} CREATE TABLE notes (id int PRIMARY KEY)")).await;
    let shape = scene.engine.shape("items");
    let idle = Tail::of(&shape).await;
    let mut notes = Tail::of(&scene.engine.shape("notes")).await;
    let seen = async || -> u64 {
        let reply = shape.get(&[("offset", &idle.offset), ("handle", &idle.handle)]).await.is(200);
        let last = reply.messages().pop().expect("up-to-date");
        last.headers.global_last_seen_lsn.expect("a position").parse().expect("a number")
    };
    let before = seen().await;
    scene.sql("INSERT INTO notes VALUES (1)").await;
    let commit = notes.next().await[0].position().expect("a position").0;
    assert!(commit > before);
    assert!(seen().await >= commit);
}

#[actix_rt::test]
async fn a_stream_sends_changes_as_events_and_can_be_taken_up_without_loss() {
    let scene = Scene::new(ITEMS).await;
    let shape = scene.engine.shape("items");
    let tail = Tail::of(&shape).await;
    let mut events = shape.events(&tail.handle, &tail.offset).await;
    assert_eq!(events.status, 200);
    let header = |name: &str| events.headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!(header("content-type"), Some("text/event-stream"));
    assert_eq!(header("cache-control"), Some("public, max-age=59"));
    assert_eq!(header("electric-up-to-date"), Some(""));
    assert!(header("electric-cursor").is_some() && header("electric-schema").is_none());
    scene.sql("INSERT INTO items VALUES (2, 'line\nbreak', 1), (3, 'c', 1)").await;
    let batch = timeout(SOON, events.batch()).await.expect("events");
    assert_eq!(batch.iter().map(Message::kind).collect::<Vec<_>>(), ["insert", "insert", "up-to-date"]);
    assert_eq!(batch[0].column("title"), Some("line\nbreak"));
    let seen = batch[2].headers.global_last_seen_lsn.clone().expect("a position");
    drop(events);
    scene.sql("UPDATE items SET title = 'd' WHERE id = 3").await;
    let mut events = shape.events(&tail.handle, &format!("{seen}_0")).await;
    let batch = timeout(SOON, events.batch()).await.expect("events");
    assert_eq!(
        batch.iter().map(Message::kind).collect::<Vec<_>>(),
        ["update", "up-to-date"],
        "nothing lost, nothing twice"
    );
    let old =
        [("offset", &*tail.offset), ("handle", &tail.handle), ("live", "true"), ("experimental_live_sse", "true")];
    let head = shape.send(Method::HEAD, &old, &[]).await;
    assert_eq!(head.header("content-type"), Some("text/event-stream"), "by its old name too");
}

#[actix_rt::test]
async fn a_silent_stream_keeps_alive_and_ends_in_time() {
    let database = Database::fresh().await;
    // An engine's own variables have no names for these times.
    let times = [("PLUE_ENGINE__SSE_TIMEOUT", "2s"), ("PLUE_ENGINE__SSE_KEEP_ALIVE", "500ms")];
    let api = Api::with_settings(database.url(), &times).await;
    let shape = Shape::new(awc::Client::default(), format!("http://{}", api.address()), &[("table", "sessions")]);
    let tail = Tail::of(&shape).await;
    let began = Instant::now();
    let mut events = shape.events(&tail.handle, &tail.offset).await;
    let mut comments = 0;
    while let Some(event) = timeout(SOON, events.next()).await.expect("an event or the end") {
        assert_eq!(event, Event::KeepAlive);
        comments += 1;
    }
    let took = began.elapsed();
    assert!((1..=3).contains(&comments), "{comments}");
    assert!(took >= Duration::from_millis(1990), "{took:?}");
    api.stop().await;
}

#[actix_rt::test]
async fn a_stream_ends_with_its_shape_and_the_next_request_is_told_the_new_one() {
    let scene = Scene::new(ITEMS).await;
    let shape = scene.engine.shape("items");
    let tail = Tail::of(&shape).await;
    let mut events = shape.events(&tail.handle, &tail.offset).await;
    scene.sql("TRUNCATE items; INSERT INTO items VALUES (7, 'new', 1)").await;
    let end = timeout(SOON, async {
        loop {
            match events.next().await {
                None => break None,
                Some(Event::KeepAlive) => continue,
                other => break other,
            }
        }
    });
    assert_eq!(end.await.expect("an end"), None);
    let refused = shape.get(&[("offset", &tail.offset), ("handle", &tail.handle), ("live", "true")]).await.is(409);
    let fresh = shape.first().await.is(200);
    assert_eq!(refused.handle(), fresh.handle());
    assert_eq!(fresh.changes()[0].column("id"), Some("7"));
}

#[actix_rt::test]
async fn a_hundred_readers_of_both_kinds_see_the_same() {
    let scene = Scene::new(ITEMS).await;
    let shape = scene.engine.shape("items");
    let done = |reader: &Reader| reader.rows.contains_key(r#""public"."items"/"200""#);
    let follow = async |by_events: bool| {
        let mut reader = Reader::new(&shape);
        match by_events {
            true => reader.stream_until(SOON, "the last row", done).await,
            false => reader.follow_until(SOON, "the last row", done).await,
        }
        reader
    };
    let write = async {
        for id in 2..=200 {
            scene
                .sql(&format!(
                    "INSERT INTO items VALUES ({id}, 'x', 1); UPDATE items SET title = 'y{id}' WHERE id = {id} / 2"
                ))
                .await;
        }
    };
    let (readers, ()) = futures_util::future::join(join_all((0..100).map(|n| follow(n % 2 == 0))), write).await;
    for reader in &readers {
        assert_eq!((reader.rows.len(), reader.refetches), (200, 0));
        assert_eq!(reader.rows, readers[0].rows);
    }
    eventually(SOON, "a replay", async || {
        let replayed = Reader::up_to_date(&shape).await;
        if replayed.rows == readers[0].rows { Ok(()) } else { Err(replayed.rows.len()) }
    })
    .await;
    scene.engine.binary.assert_quiet(&[]);
}
