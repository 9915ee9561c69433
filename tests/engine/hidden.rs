//! Conditions of which a part leaves rows out and another part fails on just those: no error tells that they are there.

use serde_json::{Value, json};

use super::{LONG_POLL, SOON, Scene};
use crate::support::{Reader, Shape};

/// Rows of `b`, and the one of nobody, must not be heard of.
const TABLES: &str = "
    CREATE TABLE parent (id int PRIMARY KEY, tenant text, open bool, n int);
    CREATE TABLE child (id int PRIMARY KEY, tenant text, parent_id int, team_id int, n int);
    INSERT INTO parent VALUES (1, 'a', true, 6), (2, 'b', false, 5), (3, 'a', false, 6);
    INSERT INTO child VALUES (10, 'a', 1, 1, 6), (20, 'b', 1, 2, 5), (30, 'a', 3, 1, 7), (40, 'b', 3, 2, 5), (50, 'b', 2, 2, 5), (60, NULL, 3, NULL, 5);";

/// Fails on them.
const FAILS: &str = "1 / (n - 5) >= 0";

/// Leaves only `a`, and costs more than what fails: Postgres tries the cheaper part first.
const SCOPE: &str = "tenant IN ('a', 'c', 'd', 'e', 'f', 'g', 'h', 'i')";

async fn tenants() -> (Scene, Shape) {
    let scene = Scene::with(TABLES, &[LONG_POLL]).await;
    let shape = scene.engine.shape("child");
    (scene, shape)
}

#[actix_rt::test]
async fn a_snapshot_does_not_fail_on_rows_that_it_leaves_out() {
    let (scene, shape) = tenants().await;
    // Postgres does what is feared.
    let bare = scene.client.query(&format!("SELECT FROM child WHERE {SCOPE} AND {FAILS}"), &[]).await;
    assert!(bare.is_err_and(|error| error.as_db_error().is_some_and(|error| error.code().code() == "22012")));
    for condition in [format!("({SCOPE}) AND ({FAILS})"), format!("({FAILS}) AND ({SCOPE})")] {
        let reader = Reader::up_to_date(&shape.clone().with("where", &condition)).await;
        assert_eq!(reader.ids(), ["10", "30"], "{condition}");
    }
    // Without anything that leaves rows out, the client's error is the client's.
    shape.clone().with("where", FAILS).first().await.is(400);
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn a_subset_does_not_fail_on_rows_that_its_shape_leaves_out() {
    let (scene, shape) = tenants().await;
    let shape = shape.with("where", &format!("({SCOPE}) AND ({FAILS})")).with("log", "changes_only");
    for own in ["id > 0", "1 / (n - 5) = 1 OR id = 30"] {
        let more = [("offset", "-1"), ("subset__where", own), ("subset__order_by", "id")];
        let rows = shape.get(&more).await.is(200).json();
        let ids: Vec<&Value> = rows["data"].as_array().expect("rows").iter().map(|row| &row["value"]["id"]).collect();
        assert_eq!(json!(ids), json!(["10", "30"]), "{own}");
    }
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn a_move_does_not_fail_on_rows_that_the_shape_leaves_out() {
    let (scene, shape) = tenants().await;
    let open = "parent_id IN (SELECT id FROM parent WHERE open)";
    let team = "team_id IN (SELECT id FROM parent WHERE tenant = 'a')";
    let by_value = format!("({SCOPE}) AND ({open} AND {FAILS})");
    // What hides rows may itself be a subquery.
    let by_subquery = format!("({team}) AND ({FAILS} AND {open})");
    let mut readers = Vec::new();
    for condition in [by_value, by_subquery] {
        let reader = Reader::up_to_date(&shape.clone().with("where", &condition)).await;
        assert_eq!(reader.ids(), ["10"], "{condition}");
        readers.push(reader);
    }
    scene.sql("UPDATE parent SET open = true WHERE id = 3").await;
    for reader in &mut readers {
        reader.until_ids(SOON, &["10", "30"]).await;
        assert_eq!(reader.refetches, 0, "the move was read without an error");
    }
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn rows_that_the_subquery_leaves_out_bring_no_error() {
    let (scene, shape) = tenants().await;
    scene.sql("UPDATE child SET n = 6 WHERE id <> 50").await;
    let shape =
        shape.with("where", &format!("{FAILS} AND parent_id IN (SELECT id FROM parent WHERE open AND tenant = 'a')"));
    let mut reader = Reader::up_to_date(&shape).await;
    assert_eq!(reader.ids(), ["10", "20"]);
    // So many at once that they, too, cost more than what fails.
    let more = "INSERT INTO parent SELECT n, 'a', true FROM generate_series(101, 107) n";
    scene.sql(&format!("{more}; UPDATE parent SET open = true WHERE id = 3")).await;
    reader.until_ids(SOON, &["10", "20", "30", "40", "60"]).await;
    assert_eq!(reader.refetches, 0, "the move was read without an error");
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn a_subquery_does_not_fail_on_rows_that_it_leaves_out() {
    let (scene, shape) = tenants().await;
    let shape = shape.with("where", &format!("parent_id IN (SELECT id FROM parent WHERE ({SCOPE}) AND ({FAILS}))"));
    let mut reader = Reader::up_to_date(&shape).await;
    assert_eq!(reader.ids(), ["10", "20", "30", "40", "60"]);
    scene.sql("UPDATE parent SET tenant = 'a', n = 7 WHERE id = 2").await;
    reader.until_ids(SOON, &["10", "20", "30", "40", "50", "60"]).await;
    assert_eq!(reader.refetches, 0);
    scene.engine.binary.assert_quiet(&[]);
}
