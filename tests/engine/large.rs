//! Large transactions, large rows, and values that Postgres keeps out of line.

use super::{SOON, Scene, Tail};
use crate::support::{Message, Reader};

const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, title text, body text); \
                     ALTER TABLE items ALTER body SET STORAGE EXTERNAL;";

#[actix_rt::test]
async fn a_transaction_of_a_hundred_thousand_rows_comes_whole_and_in_order() {
    const ROWS: usize = 100_000;
    let scene = Scene::new(ITEMS).await;
    let shape = scene.engine.shape("items");
    let mut reader = Reader::up_to_date(&shape).await;
    scene.sql(&format!("INSERT INTO items SELECT n, 'title ' || n FROM generate_series(1, {ROWS}) n")).await;
    reader.follow_until(SOON * 2, "all rows", |reader| reader.rows.len() == ROWS).await;
    let positions: Vec<_> = reader.log.iter().map(|(position, ..)| *position).collect();
    assert!(positions.iter().all(|(lsn, _)| *lsn == positions[0].0), "one transaction");
    let in_order = reader.log.iter().zip(1..).all(|((.., key), n)| *key == format!(r#""public"."items"/"{n}""#));
    assert!(in_order, "as they were written");
    scene.sql(&format!("DELETE FROM items WHERE id <> {ROWS}")).await;
    reader.follow_until(SOON * 2, "one row", |reader| reader.rows.len() == 1).await;
    assert_eq!(reader.refetches, 0);
    assert_eq!(Reader::up_to_date(&shape).await.log, reader.log);
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn a_row_far_larger_than_a_chunk_is_whole_in_snapshot_and_log() {
    const BYTES: usize = 5 << 20;
    let sql = format!("{ITEMS} INSERT INTO items VALUES (1, 'before', repeat('a', {BYTES})), (2, 'small', '')");
    let scene = Scene::with(&sql, &[("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "1000000")]).await;
    let shape = scene.engine.shape("items");
    let first = shape.first().await.is(200);
    let large = &first.messages()[0];
    assert_eq!(large.column("body").map(str::len), Some(BYTES));
    assert_eq!((first.messages().len(), first.offset().as_str()), (1, "0_0"), "a chunk of its own");
    let second = shape.get(&[("offset", "0_0"), ("handle", &first.handle())]).await.is(200);
    let kinds: Vec<_> = second.messages().iter().map(|message| message.kind().to_owned()).collect();
    assert_eq!((kinds, second.offset().as_str()), (vec!["insert".to_owned(), "snapshot-end".to_owned()], "0_1"));

    let mut tail = Tail::of(&shape).await;
    scene.sql(&format!("INSERT INTO items VALUES (3, 'log', repeat('\"\\n', {BYTES} / 3)), (4, 'end', NULL)")).await;
    let log = tail.before("/\"4\"").await;
    assert_eq!(log[0].column("body").map(str::len), Some(BYTES / 3 * 3));
    let mut reader = Reader::up_to_date(&shape).await;
    scene.sql("UPDATE items SET body = 'short'").await;
    reader
        .follow_until(SOON, "short rows", |r| r.rows.values().all(|row| row["body"].as_deref() == Some("short")))
        .await;
    assert_eq!((reader.rows.len(), reader.refetches), (4, 0));
}

#[actix_rt::test]
async fn a_value_out_of_line_that_an_update_leaves_alone_is_not_lost() {
    let sql = format!("{ITEMS} INSERT INTO items VALUES (1, 'a', repeat('x', 100000)), (2, 'a', repeat('y', 100000))");
    let scene = Scene::new(&sql).await;
    let shape = scene.engine.shape("items");
    let full = shape.clone().with("replica", "full");
    let filtered = shape.clone().with("where", "body LIKE 'x%'");
    let mut tails = [Tail::of(&shape).await, Tail::of(&full).await, Tail::of(&filtered).await];
    scene.sql("UPDATE items SET title = 'b' WHERE id = 1; UPDATE items SET id = 10 WHERE id = 1").await;
    scene.sql("INSERT INTO items VALUES (99, 'end', 'x')").await;
    let body = "x".repeat(100_000);
    for (tail, is_full) in tails.iter_mut().zip([false, true, false]) {
        let log = tail.before("/\"99\"").await;
        let name = tail.shape.name();
        assert_eq!(log.iter().map(Message::kind).collect::<Vec<_>>(), ["update", "delete", "insert"], "{name}");
        let update = log[0].value.as_ref().expect("a value");
        assert_eq!(update.get("body").is_some(), is_full, "{name}: it has not changed");
        if is_full {
            assert_eq!(log[0].column("body"), Some(&*body), "{name}");
            let old: Vec<_> = log[0].old_value.iter().flat_map(|old| old.keys().map(String::as_str)).collect();
            assert_eq!(old, ["title"], "{name}");
            assert_eq!(log[1].column("body"), Some(&*body), "{name}");
        }
        assert_eq!(log[2].column("body"), Some(&*body), "{name}");
    }
}
