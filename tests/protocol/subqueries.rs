//! Shapes with subqueries: statements 246 to 254.

use tokio_postgres::Client;

use super::{SOON, kinds};
use crate::support::{Database, Engine, FAMILY, Reader, Shape};

/// The tables with an engine on them. What is named first is dropped first.
struct Family {
    engine: Engine,
    client: Client,
    _database: Database,
}

impl Family {
    async fn new() -> Self {
        let database = Database::fresh().await;
        let client = database.connect().await;
        client.batch_execute(FAMILY).await.expect("the tables");
        let engine = Engine::with(&database, &[("ELECTRIC_LONG_POLL_TIMEOUT", "1000")]).await;
        Self { engine, client, _database: database }
    }

    async fn sql(&self, text: &str) {
        self.client.batch_execute(text).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    }
}

async fn family(filter: &str) -> (Family, Shape) {
    let family = Family::new().await;
    let shape = family.engine.shape("child").with("where", filter);
    (family, shape)
}

#[actix_rt::test]
async fn c246_a_snapshot_has_the_rows_of_the_subquery_with_one_tag_each() {
    let (_scene, shape) = family("parent_id IN (SELECT id FROM parent WHERE value = 1)").await;
    let rows = shape.first().await.is(200).changes();
    assert_eq!(rows.len(), 2, "{rows:?}");
    for row in rows {
        let tags = row.headers.tags.as_ref().expect("tags");
        assert!(tags.len() == 1 && !tags[0].is_empty() && !tags[0].contains('/'), "{row:?}");
        assert_eq!(row.headers.active_conditions.as_deref(), Some(&[true][..]), "{row:?}");
    }
}

#[actix_rt::test]
async fn c247_c248_c249_values_that_leave_and_come_are_told_as_events() {
    let (scene, shape) = family("parent_id IN (SELECT id FROM parent WHERE value = 1)").await;
    let mut reader = Reader::up_to_date(&shape).await;
    let tag = shape.first().await.changes().into_iter().find(|row| row.column("id") == Some("10"));
    let tag = tag.and_then(|row| row.headers.tags).expect("the tags of row 10").remove(0);
    let live = [("handle", &*reader.handle.clone()), ("offset", &*reader.offset.clone()), ("live", "true")];

    scene.sql("UPDATE parent SET value = 5 WHERE id = 1").await;
    let out = shape.get(&live).await.is(200).messages();
    assert_eq!(kinds(&out), ["move-out", "up-to-date"]);
    let patterns = out[0].headers.patterns.as_ref().expect("patterns");
    assert_eq!((patterns.len(), patterns[0].pos, &patterns[0].value), (1, 0, &tag));
    assert_eq!(out[0].headers.txids.as_ref().map(Vec::len), Some(1));
    reader.until_ids(SOON, &["30"]).await;

    let live = [("handle", &*reader.handle.clone()), ("offset", &*reader.offset.clone()), ("live", "true")];
    scene.sql("UPDATE parent SET value = 1 WHERE id = 2").await;
    let come = shape.get(&live).await.is(200).messages();
    assert_eq!(kinds(&come), ["move-in", "insert", "snapshot-end", "up-to-date"]);
    assert_eq!(come[1].headers.is_move_in, Some(true));
    assert!(come[1].position().is_none() && come[1].headers.txids.is_none(), "{:?}", come[1]);
    assert_eq!(
        come[0].headers.patterns.as_ref().map(|patterns| patterns[0].value.clone()),
        come[1].headers.tags.clone().map(|tags| tags[0].clone())
    );
    reader.until_ids(SOON, &["20", "30"]).await;
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn c250_not_in_swaps_the_roles() {
    let (scene, shape) = family("parent_id NOT IN (SELECT id FROM parent WHERE value = 1)").await;
    let mut reader = Reader::up_to_date(&shape).await;
    assert_eq!(reader.ids(), ["20"]);
    let live = [("handle", &*reader.handle.clone()), ("offset", &*reader.offset.clone()), ("live", "true")];
    scene.sql("UPDATE parent SET value = 1 WHERE id = 2").await;
    assert_eq!(kinds(&shape.get(&live).await.is(200).messages()), ["move-out", "up-to-date"]);
    reader.until_ids(SOON, &[]).await;
    // Nothing is IN an empty result, and so everything is NOT IN it, NULL too.
    scene.sql("DELETE FROM parent").await;
    reader.until_ids(SOON, &["10", "20", "30", "40"]).await;
    scene.sql("INSERT INTO parent VALUES (99, 1, NULL)").await;
    reader.until_ids(SOON, &["10", "20", "30"]).await;
    assert_eq!(reader.refetches, 0);
}

#[actix_rt::test]
async fn c251_c252_what_cannot_be_followed_is_refused_with_its_reason() {
    let (scene, _) = family("true").await;
    let cases = [
        ("parent_id IN (SELECT id FROM nobody)", "table", "\"public\".\"nobody\" does not exist"),
        (
            "parent_id IN (SELECT id FROM parent) AND id NOT IN (SELECT id FROM parent)",
            "where",
            "both positive and negative polarity",
        ),
        ("parent_id IN (SELECT id FROM parent ORDER BY id)", "where", "must not contain any clauses"),
        ("parent_id IN (SELECT id FROM parent LIMIT 1)", "where", "must not contain any clauses"),
        ("parent_id IN (SELECT DISTINCT id FROM parent)", "where", "must not contain any clauses"),
        ("parent_id IN (SELECT id FROM parent, child)", "where", "Expected a single table reference"),
        ("parent_id IN (SELECT id FROM parent JOIN child USING (id))", "where", "Expected a single table reference"),
        ("parent_id IN (SELECT id + 1 FROM parent)", "where", "Expected a plain column reference"),
        ("parent_id IN (SELECT parent.id FROM parent)", "where", "Expected a plain column reference"),
        (
            "parent_id + 1 IN (SELECT id FROM parent)",
            "where",
            "left side of `IN (SELECT ...)` can only be a column reference",
        ),
        ("parent_id IN (SELECT name FROM parent)", "where", "has type int4 but subquery returns text[]"),
        ("(parent_id IN (SELECT id FROM parent)) IS TRUE", "where", "only be combined by AND, OR and NOT"),
        ("EXISTS (SELECT id FROM parent)", "where", "only `value IN (SELECT ...)` sublinks are supported right now"),
        (
            "parent_id = (SELECT id FROM parent)",
            "where",
            "only `value IN (SELECT ...)` sublinks are supported right now",
        ),
        ("parent_id IN (SELECT id FROM parent WHERE value = note)", "where", "unknown reference note"),
    ];
    for (filter, field, text) in cases {
        let reply = scene.engine.shape("child").with("where", filter).first().await.is(400);
        let error = reply.json()["errors"][field][0].as_str().unwrap_or_default().to_owned();
        assert!(error.contains(text), "{filter}: {}", reply.text());
    }
}

#[actix_rt::test]
async fn c253_c254_rows_of_two_columns_alternatives_and_parameters_work() {
    let (scene, _) = family("true").await;
    let pairs = scene.engine.shape("child").with("where", "(parent_id, note) IN (SELECT id, name FROM parent)");
    let mut pairs = Reader::up_to_date(&pairs).await;
    let either =
        "parent_id IN (SELECT id FROM parent WHERE value = $1) OR note IN (SELECT name FROM parent WHERE id > $2)";
    let either = scene.engine.shape("child").with("where", either).with("params[1]", "2").with("params[2]", "2");
    let mut either = Reader::up_to_date(&either).await;
    assert_eq!((pairs.ids(), either.ids()), (vec![], vec!["20".to_owned()]));
    scene.sql("UPDATE child SET note = 'c' WHERE id = 30").await;
    pairs.until_ids(SOON, &["30"]).await;
    either.until_ids(SOON, &["20", "30"]).await;
    // The row stays for its other reason, and then goes with that one.
    scene.sql("UPDATE parent SET value = 2 WHERE id = 3").await;
    scene.sql("UPDATE parent SET name = 'q' WHERE id = 3").await;
    pairs.until_ids(SOON, &[]).await;
    scene.sql("UPDATE child SET note = 'changed' WHERE id = 30").await;
    either
        .follow_until(SOON, "the new note", |reader| {
            reader.rows.values().any(|row| row["note"].as_deref() == Some("changed"))
        })
        .await;
    assert_eq!(either.ids(), ["20", "30"]);
    scene.sql("UPDATE parent SET value = 3 WHERE id = 3").await;
    either.until_ids(SOON, &["20"]).await;
    assert_eq!(pairs.refetches + either.refetches, 0);
    scene.engine.binary.assert_quiet(&[]);
}
