//! The first answers of a shape: chunks, headers, and what caches are told.

use std::collections::BTreeSet;

use super::{Scene, Tail};
use crate::support::Reader;

const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, title text);";

#[actix_rt::test]
async fn the_first_answer_has_its_headers_and_ends_with_the_end_of_the_snapshot() {
    let scene = Scene::new(&format!("{ITEMS} INSERT INTO items VALUES (1, 'a'), (2, NULL)")).await;
    let shape = scene.engine.shape("items");
    let reply = shape.first().await.is(200);
    let handle = reply.handle();
    for (name, value) in [
        ("content-type", Some("application/json; charset=utf-8")),
        ("cache-control", Some("public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746")),
        ("electric-offset", Some("0_0")),
        ("electric-has-data", Some("true")),
        ("etag", Some(&*format!("\"{handle}:-1:0_0\""))),
        ("electric-up-to-date", None),
        ("electric-cursor", None),
        ("access-control-allow-origin", Some("*")),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    let exposed: BTreeSet<_> =
        reply.header("access-control-expose-headers").expect("exposed headers").split(',').collect();
    for name in ["cursor", "handle", "has-data", "offset", "schema", "up-to-date", "internal-known-error"] {
        assert!(exposed.contains(&*format!("electric-{name}")), "{name} in {exposed:?}");
    }
    let messages = reply.messages();
    assert_eq!(messages.iter().map(|message| message.kind()).collect::<Vec<_>>(), ["insert", "insert", "snapshot-end"]);
    let body = reply.json();
    let row = body.as_array().and_then(|rows| rows.iter().find(|row| row["value"]["id"] == "2"));
    let expected = serde_json::json!({
        "key": r#""public"."items"/"2""#,
        "value": {"id": "2", "title": null},
        "headers": {"operation": "insert", "relation": ["public", "items"]},
    });
    assert_eq!(row, Some(&expected));
    let end = &messages[2].headers;
    let (xmin, xmax) = (end.xmin.as_ref().expect("xmin"), end.xmax.as_ref().expect("xmax"));
    assert!(xmin.parse::<u64>().expect("a number") <= xmax.parse::<u64>().expect("a number"));

    let next = shape.get(&[("offset", "0_0"), ("handle", &handle)]).await.is(200);
    for (name, value) in [
        ("cache-control", Some("public, max-age=60, stale-while-revalidate=300")),
        ("electric-offset", Some("0_inf")),
        ("electric-has-data", Some("true")),
        ("electric-up-to-date", Some("")),
        ("etag", Some(&*format!("\"{handle}:0_0:0_inf\""))),
        ("electric-schema", reply.header("electric-schema")),
        ("electric-cursor", None),
    ] {
        assert_eq!(next.header(name), value, "{name}");
    }
    let [last] = &next.messages()[..] else { panic!("{}", next.text()) };
    assert!(last.headers.global_last_seen_lsn.as_ref().is_some_and(|lsn| lsn.parse::<u64>().is_ok()), "{last:?}");
}

#[actix_rt::test]
async fn the_settings_of_caches_are_told_to_them() {
    let settings = [("ELECTRIC_CACHE_MAX_AGE", "7"), ("ELECTRIC_CACHE_STALE_AGE", "8")];
    let scene = Scene::with(ITEMS, &settings).await;
    let tail = Tail::of(&scene.engine.shape("items")).await;
    let reply = tail.shape.get(&[("offset", "0_0"), ("handle", &tail.handle)]).await.is(200);
    assert_eq!(reply.header("cache-control"), Some("public, max-age=7, stale-while-revalidate=8"));
}

#[actix_rt::test]
async fn an_empty_table_is_the_end_of_its_snapshot() {
    let scene = Scene::new(ITEMS).await;
    let messages = scene.engine.shape("items").first().await.is(200).messages();
    assert_eq!(messages.iter().map(|message| message.kind()).collect::<Vec<_>>(), ["snapshot-end"]);
}

#[actix_rt::test]
async fn a_large_snapshot_comes_in_chunks_that_never_change() {
    let sql = format!("{ITEMS} INSERT INTO items SELECT n, repeat('x', 100) FROM generate_series(1, 1000) n");
    let scene = Scene::with(&sql, &[("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "20000")]).await;
    let shape = scene.engine.shape("items");
    let mut chunks = vec![shape.first().await.is(200)];
    let handle = chunks[0].handle();
    while chunks[chunks.len() - 1].header("electric-up-to-date").is_none() {
        let from = chunks[chunks.len() - 1].offset();
        chunks.push(shape.get(&[("offset", &from), ("handle", &handle)]).await.is(200));
    }
    let offsets: Vec<_> = chunks.iter().map(|chunk| chunk.offset()).collect();
    let count = chunks.len() - 1;
    assert!((8..=20).contains(&count), "{offsets:?}");
    let expected: Vec<_> = (0..count).map(|n| format!("0_{n}")).chain(["0_inf".to_owned()]).collect();
    assert_eq!(offsets, expected);
    let ids: Vec<_> = chunks.iter().flat_map(|chunk| chunk.changes()).filter_map(|message| message.key).collect();
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (1000, 1000), "each row once");
    scene.sql("UPDATE items SET title = 'later'").await;
    Tail { shape: shape.clone(), handle: handle.clone(), offset: "0_inf".to_owned() }.next().await;
    let again = shape.get(&[("offset", "0_0"), ("handle", &handle)]).await.is(200);
    assert_eq!((again.offset(), again.body), (chunks[1].offset(), chunks[1].body.clone()));
}

#[actix_rt::test]
async fn a_log_comes_in_chunks_and_only_its_end_is_up_to_date() {
    let scene = Scene::with(ITEMS, &[("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "100000")]).await;
    let shape = scene.engine.shape("items");
    let mut reader = Reader::up_to_date(&shape).await;
    let from = reader.offset.clone();
    scene
        .sql("INSERT INTO items VALUES (1, repeat('a', 60000)), (2, repeat('b', 70000)), (3, repeat('c', 40000))")
        .await;
    reader.follow_until(super::SOON, "three rows", |reader| reader.rows.len() == 3).await;
    let first = shape.get(&[("offset", &from), ("handle", &reader.handle)]).await.is(200);
    let kinds =
        |reply: &crate::support::Reply| reply.messages().iter().map(|m| m.kind().to_owned()).collect::<Vec<_>>();
    assert_eq!((kinds(&first), first.header("electric-up-to-date")), (vec!["insert".to_owned(); 2], None));
    let second = shape.get(&[("offset", &first.offset()), ("handle", &reader.handle)]).await.is(200);
    assert_eq!(
        (kinds(&second), second.header("electric-up-to-date")),
        (vec!["insert".into(), "up-to-date".into()], Some(""))
    );
    scene.sql("INSERT INTO items VALUES (4, 'd')").await;
    reader.follow_until(super::SOON, "four rows", |reader| reader.rows.len() == 4).await;
    let again = shape.get(&[("offset", &from), ("handle", &reader.handle)]).await.is(200);
    assert_eq!((again.offset(), again.body), (first.offset(), first.body), "a closed chunk is closed");
}

#[actix_rt::test]
async fn an_answer_that_the_caller_has_is_not_sent_again() {
    let scene = Scene::new(&format!("{ITEMS} INSERT INTO items VALUES (1, 'a')")).await;
    let shape = scene.engine.shape("items");
    let first = shape.first().await.is(200);
    let (handle, etag) = (first.handle(), first.header("etag").expect("an etag").to_owned());
    for tags in [etag.clone(), format!("\"x\", {etag}"), etag.trim_matches('"').to_owned()] {
        let reply =
            shape.send(actix_web::http::Method::GET, &[("offset", "-1")], &[("if-none-match", &tags)]).await.is(304);
        assert!(reply.body.is_empty());
        for same in ["electric-handle", "electric-offset", "etag", "cache-control", "electric-has-data"] {
            assert_eq!(reply.header(same), first.header(same), "{same}");
        }
        assert_eq!(reply.header("electric-schema"), None);
    }
    for tags in ["\"x\"", "*", ""] {
        shape.send(actix_web::http::Method::GET, &[("offset", "-1")], &[("if-none-match", tags)]).await.is(200);
    }
    let more = [("offset", "0_0"), ("handle", &*handle)];
    let end = shape.get(&more).await.is(200);
    let tag = end.header("etag").expect("an etag").to_owned();
    let live = [("offset", "0_0"), ("handle", &*handle), ("live", "true")];
    let at_once = shape.send(actix_web::http::Method::GET, &live, &[("if-none-match", &tag)]).await.is(304);
    assert!(at_once.header("electric-cursor").is_some());
    scene.sql("INSERT INTO items VALUES (2, 'b')").await;
    Tail { shape: shape.clone(), handle: handle.clone(), offset: "0_inf".to_owned() }.next().await;
    shape.send(actix_web::http::Method::GET, &more, &[("if-none-match", &tag)]).await.is(200);
}
