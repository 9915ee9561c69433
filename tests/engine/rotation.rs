//! What ends a shape, and how its readers are told.

use std::time::{Duration, Instant};

use super::{LONG_POLL, SOON, Scene, Tail};
use crate::support::{Reader, Reply, Shape, eventually};

const ITEMS: &str =
    "CREATE TABLE items (id int PRIMARY KEY, title text NOT NULL, grp int); INSERT INTO items VALUES (1, 'a', 1);";

/// What an old handle is answered now.
async fn ask(tail: &Tail) -> Reply {
    tail.shape.get(&[("offset", &tail.offset), ("handle", &tail.handle)]).await
}

/// Waits until the old handle is refused, while rows are written; gives the first answer of the new shape.
async fn refused(tail: &Tail, name: &str) -> Reply {
    let refusal = eventually(SOON, name, async || match ask(tail).await {
        reply if reply.status == 409 => Ok(reply),
        reply => Err(reply.text()),
    });
    let refusal = refusal.await;
    assert_eq!(refusal.text(), r#"[{"headers":{"control":"must-refetch"}}]"#);
    let fresh = tail.shape.first().await.is(200);
    assert_ne!(fresh.handle(), tail.handle, "a handle is never used again");
    if let Some(told) = refusal.header("electric-handle") {
        assert_eq!(told, fresh.handle());
    }
    fresh
}

#[actix_rt::test]
async fn a_truncation_releases_everyone_who_waits_and_leaves_the_rows_of_now() {
    let scene = Scene::new(ITEMS).await;
    let tails = [
        Tail::of(&scene.engine.shape("items")).await,
        Tail::of(&scene.engine.shape("items").with("where", "grp = 1")).await,
        Tail::of(&scene.engine.shape("items").with("columns", "id")).await,
    ];
    let waiting = tails.iter().map(async |tail| {
        let live = [("offset", tail.offset.as_str()), ("handle", &tail.handle), ("live", "true")];
        tail.shape.get(&live).await.is(409)
    });
    let write = scene.sql("BEGIN; INSERT INTO items VALUES (2, 'lost', 1); TRUNCATE items; INSERT INTO items VALUES (3, 'new', 1); COMMIT");
    let began = Instant::now();
    let (refusals, ()) = futures_util::future::join(futures_util::future::join_all(waiting), write).await;
    assert!(began.elapsed() < Duration::from_secs(15), "released by the truncation, not by time");
    for (tail, refusal) in tails.iter().zip(refusals) {
        assert_eq!(refusal.text(), r#"[{"headers":{"control":"must-refetch"}}]"#);
        let cache = if refusal.header("electric-handle").is_some() { 60 } else { 1 };
        assert_eq!(refusal.header("cache-control"), Some(&*format!("public, max-age={cache}, must-revalidate")));
        let fresh = refused(tail, "a refusal").await;
        let ids: Vec<_> = fresh.changes().iter().map(|row| row.column("id").map(str::to_owned)).collect();
        assert_eq!(ids, [Some("3".to_owned())], "{}", tail.shape.name());
    }
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn readers_of_a_table_that_is_truncated_again_and_again_end_with_its_rows() {
    let scene = Scene::new(ITEMS).await;
    let shape = scene.engine.shape("items");
    let mut readers = [Reader::up_to_date(&shape).await, Reader::up_to_date(&shape).await];
    let [one, two] = &mut readers;
    let done = |reader: &Reader| reader.rows.contains_key(r#""public"."items"/"99""#);
    let write = async {
        for n in 0..5 {
            scene.sql(&format!("TRUNCATE items; INSERT INTO items VALUES ({n}, 'x', {n})")).await;
            Reader::up_to_date(&shape).await;
        }
        scene.sql("INSERT INTO items VALUES (99, 'last', 9)").await;
    };
    let polls = one.follow_until(SOON, "the last row", done);
    let events = two.stream_until(SOON, "the last row", done);
    futures_util::future::join3(polls, events, write).await;
    for reader in readers {
        assert_eq!(reader.rows.keys().collect::<Vec<_>>(), [r#""public"."items"/"4""#, r#""public"."items"/"99""#]);
        assert!(reader.refetches >= 1);
    }
}

/// A change of the table, and whether it ends the shape of all columns, and the one of `id` and `title`.
const CHANGES: &[(&str, bool, bool)] = &[
    ("ALTER TABLE items ADD added int", true, false),
    ("ALTER TABLE items DROP added", true, false),
    ("ALTER TABLE items RENAME grp TO class", true, false),
    ("ALTER TABLE items ALTER class TYPE bigint", true, false),
    ("ALTER TABLE items ALTER title TYPE varchar(90)", true, true),
    ("ALTER TABLE items RENAME title TO name; ALTER TABLE items ADD title text", true, true),
    ("ALTER TABLE items ALTER class SET DEFAULT 5", false, false),
    ("ALTER TABLE items ADD CHECK (id >= 0)", false, false),
    ("CREATE INDEX ON items (title)", false, false),
];

#[actix_rt::test]
async fn a_changed_table_ends_the_shapes_that_show_the_change_and_no_others() {
    let scene = Scene::new(ITEMS).await;
    let all = scene.engine.shape("items");
    let some = all.clone().with("columns", "id,title");
    for (number, (sql, ends_all, ends_some)) in CHANGES.iter().enumerate() {
        let tails = [Tail::of(&all).await, Tail::of(&some).await];
        scene.sql(sql).await;
        let id = 100 + number;
        // The stream tells of the table with the next row.
        scene.sql(&format!("INSERT INTO items (id, {}) VALUES ({id}, 'x')", columns(number))).await;
        for (mut tail, ends) in tails.into_iter().zip([*ends_all, *ends_some]) {
            let name = format!("{sql}: {}", tail.shape.name());
            if ends {
                let fresh = refused(&tail, &name).await;
                assert!(fresh.changes().iter().any(|row| row.column("id") == Some(&*id.to_string())), "{name}");
            } else {
                assert_eq!(tail.next().await.len(), 1, "{name}");
            }
        }
    }
    scene.engine.binary.assert_quiet(&[]);
}

/// The text column that must have a value, after so many changes.
fn columns(changes: usize) -> &'static str {
    if changes < 5 { "title" } else { "name" }
}

#[actix_rt::test]
async fn a_column_that_may_be_null_now_changes_only_the_header() {
    let scene = Scene::new(ITEMS).await;
    let shape = scene.engine.shape("items");
    let mut tail = Tail::of(&shape).await;
    assert!(not_null(&shape.first().await.is(200)));
    scene.sql("ALTER TABLE items ALTER title DROP NOT NULL; INSERT INTO items VALUES (2, NULL, 1)").await;
    assert_eq!(tail.next().await[0].column("title"), None);
    eventually(SOON, "a new header", async || match ask(&tail).await.is(200) {
        reply if not_null(&reply) => Err(reply.headers),
        _ => Ok(()),
    })
    .await;
    assert_eq!(shape.first().await.is(200).handle(), tail.handle);
}

fn not_null(reply: &Reply) -> bool {
    let schema: serde_json::Value =
        serde_json::from_str(reply.header("electric-schema").expect("a schema")).expect("JSON");
    schema["title"]["not_null"] == true
}

#[actix_rt::test]
async fn a_table_dropped_and_made_again_is_another_table() {
    let scene = Scene::new(ITEMS).await;
    let shape = scene.engine.shape("items");
    let tail = Tail::of(&shape).await;
    scene.sql("DROP TABLE items").await;
    let gone = async |shape: &Shape| match shape.first().await {
        reply if reply.status == 400 => Ok(reply.json()),
        reply if matches!(reply.status, 200 | 409 | 503) => Err(reply.text()),
        reply => panic!("{reply:?}"),
    };
    let errors = eventually(SOON, "no such table", async || gone(&shape).await).await;
    assert!(errors["errors"]["table"][0].as_str().is_some_and(|text| text.contains("does not exist")), "{errors}");
    scene.sql("CREATE TABLE items (id int PRIMARY KEY, other text); INSERT INTO items VALUES (5, 'new')").await;
    let fresh = eventually(SOON, "the new table", async || match shape.first().await {
        reply if reply.status == 200 => Ok(reply),
        reply => Err(reply.text()),
    })
    .await;
    assert_ne!(fresh.handle(), tail.handle);
    assert_eq!(fresh.changes()[0].column("other"), Some("new"));
    assert_eq!(ask(&tail).await.is(409).handle(), fresh.handle());
    let mut tail = Tail::of(&shape).await;
    scene.sql("INSERT INTO items VALUES (6, 'followed')").await;
    assert_eq!(tail.next().await[0].column("id"), Some("6"));
}

#[actix_rt::test]
async fn a_table_replaced_at_once_is_another_table() {
    let scene = Scene::new(ITEMS).await;
    let tail = Tail::of(&scene.engine.shape("items")).await;
    scene.sql(&format!("BEGIN; DROP TABLE items; {ITEMS} UPDATE items SET title = 'replaced'; COMMIT")).await;
    let fresh = refused(&tail, "the old handle to be refused").await;
    assert_eq!(fresh.changes()[0].column("title"), Some("replaced"));
}

#[actix_rt::test]
async fn an_offset_past_the_end_is_refused_after_half_a_long_poll() {
    let scene = Scene::with(ITEMS, &[LONG_POLL]).await;
    let tail = Tail::of(&scene.engine.shape("items")).await;
    for live in ["false", "true"] {
        let began = Instant::now();
        let more = [("offset", "9999999999999_0"), ("handle", &*tail.handle), ("live", live)];
        let reply = tail.shape.get(&more).await.is(400);
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(490), "{took:?}");
        let expected =
            serde_json::json!({"message": "Invalid request", "errors": {"offset": ["out of bounds for this shape"]}});
        assert_eq!(reply.json(), expected);
    }
}
