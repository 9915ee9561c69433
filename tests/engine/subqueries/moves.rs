//! What readers are told when values come to a subquery or leave it.

use crate::engine::{LONG_POLL, SOON, Scene};
use crate::support::{Reader, Shape};

const FAMILY: &str = "
    CREATE TABLE parent (id int PRIMARY KEY, value int, name text);
    CREATE TABLE child (id int PRIMARY KEY, parent_id int, note text);
    INSERT INTO parent VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 1, 'c');
    INSERT INTO child VALUES (10, 1, 'x'), (20, 2, 'y'), (30, 3, 'z'), (40, NULL, 'n');";

async fn family(filter: &str) -> (Scene, Shape) {
    let scene = Scene::with(FAMILY, &[LONG_POLL]).await;
    let shape = scene.engine.shape("child").with("where", filter);
    (scene, shape)
}

fn ids(reader: &Reader) -> Vec<String> {
    let mut ids: Vec<String> = reader.rows.values().filter_map(|row| row["id"].clone()).collect();
    ids.sort();
    ids
}

async fn until(reader: &mut Reader, wanted: &[&str]) {
    reader.follow_until(SOON, &format!("rows {wanted:?}"), |reader| ids(reader) == wanted).await;
}

#[actix_rt::test]
async fn a_null_among_the_values_of_not_in_leaves_no_row() {
    let (scene, shape) = family("note NOT IN (SELECT name FROM parent WHERE value = 1)").await;
    let mut reader = Reader::up_to_date(&shape).await;
    assert_eq!(ids(&reader), ["10", "20", "30", "40"]);
    scene.sql("INSERT INTO parent VALUES (4, 1, NULL)").await;
    until(&mut reader, &[]).await;
    scene.sql("DELETE FROM parent WHERE id = 4; UPDATE parent SET name = 'y' WHERE id = 1").await;
    until(&mut reader, &["10", "30", "40"]).await;
}

#[actix_rt::test]
async fn followers_of_events_miss_no_move() {
    let (scene, shape) = family("parent_id IN (SELECT id FROM parent WHERE value = 1)").await;
    let mut reader = Reader::up_to_date(&shape).await;
    for (value, wanted) in [("2", vec!["30"]), ("1", vec!["10", "30"]), ("3", vec!["30"]), ("1", vec!["10", "30"])] {
        scene.sql(&format!("UPDATE parent SET value = {value} WHERE id = 1")).await;
        reader.stream_until(SOON, &format!("rows {wanted:?}"), |reader| ids(reader) == wanted).await;
    }
}

#[actix_rt::test]
async fn a_truncated_inner_table_starts_the_shape_over() {
    let (scene, shape) = family("parent_id IN (SELECT id FROM parent)").await;
    let mut reader = Reader::up_to_date(&shape).await;
    scene.sql("TRUNCATE parent").await;
    until(&mut reader, &[]).await;
    assert_eq!(reader.refetches, 1);
}
