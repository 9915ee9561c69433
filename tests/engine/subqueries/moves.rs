//! What readers are told when values come to a subquery or leave it.

use crate::engine::{LONG_POLL, SOON, Scene};
use crate::support::{FAMILY, Reader, Shape};

async fn family(filter: &str) -> (Scene, Shape) {
    let scene = Scene::with(FAMILY, &[LONG_POLL]).await;
    let shape = scene.engine.shape("child").with("where", filter);
    (scene, shape)
}

#[actix_rt::test]
async fn a_null_among_the_values_of_not_in_leaves_no_row() {
    let (scene, shape) = family("note NOT IN (SELECT name FROM parent WHERE value = 1)").await;
    let mut reader = Reader::up_to_date(&shape).await;
    assert_eq!(reader.ids(), ["10", "20", "30", "40"]);
    scene.sql("INSERT INTO parent VALUES (4, 1, NULL)").await;
    reader.until_ids(SOON, &[]).await;
    scene.sql("DELETE FROM parent WHERE id = 4; UPDATE parent SET name = 'y' WHERE id = 1").await;
    reader.until_ids(SOON, &["10", "30", "40"]).await;
}

#[actix_rt::test]
async fn followers_of_events_miss_no_move() {
    let (scene, shape) = family("parent_id IN (SELECT id FROM parent WHERE value = 1)").await;
    let mut reader = Reader::up_to_date(&shape).await;
    for (value, wanted) in [("2", vec!["30"]), ("1", vec!["10", "30"]), ("3", vec!["30"]), ("1", vec!["10", "30"])] {
        scene.sql(&format!("UPDATE parent SET value = {value} WHERE id = 1")).await;
        reader.stream_until(SOON, &format!("rows {wanted:?}"), |reader| reader.ids() == wanted).await;
    }
}

#[actix_rt::test]
async fn a_truncated_inner_table_starts_the_shape_over() {
    let (scene, shape) = family("parent_id IN (SELECT id FROM parent)").await;
    let mut reader = Reader::up_to_date(&shape).await;
    scene.sql("TRUNCATE parent").await;
    reader.until_ids(SOON, &[]).await;
    assert_eq!(reader.refetches, 1);
}
