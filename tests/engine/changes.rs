//! What readers are told of a change: by filter, columns and replica mode, transaction by transaction.

use super::{Scene, Tail, told};
use crate::support::Message;

const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, title text, grp int, body text); \
                     INSERT INTO items VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 1);";

/// What happens, and what readers of whole rows are told, then those with `replica=full`, then those with `columns=id,title`.
type Case = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// All shapes have the condition `grp = 1`.
const CASES: &[Case] = &[
    ("INSERT INTO items VALUES (4, 'x', 2), (5, 'y', NULL)", &[], &[], &[]),
    (
        "INSERT INTO items VALUES (6, NULL, 1)",
        &[r#"insert "6": body=null grp=1 id=6 title=null"#],
        &[r#"insert "6": body=null grp=1 id=6 title=null"#],
        &[r#"insert "6": id=6 title=null"#],
    ),
    (
        "UPDATE items SET title = 'aa' WHERE id = 1",
        &[r#"update "1": id=1 title=aa"#],
        &[r#"update "1": body=null grp=1 id=1 title=aa, was title=a"#],
        &[r#"update "1": id=1 title=aa"#],
    ),
    ("UPDATE items SET title = title, id = id WHERE id < 10", &[], &[], &[]),
    (
        "UPDATE items SET body = 'long' WHERE id = 1",
        &[r#"update "1": body=long id=1"#],
        &[r#"update "1": body=long grp=1 id=1 title=aa, was body=null"#],
        &[],
    ),
    (
        "UPDATE items SET grp = 1 WHERE id = 2",
        &[r#"insert "2": body=null grp=1 id=2 title=b"#],
        &[r#"insert "2": body=null grp=1 id=2 title=b"#],
        &[r#"insert "2": id=2 title=b"#],
    ),
    (
        "UPDATE items SET grp = 2, title = 'gone' WHERE id = 2",
        &[r#"delete "2": id=2"#],
        &[r#"delete "2": body=null grp=1 id=2 title=b"#],
        &[r#"delete "2": id=2"#],
    ),
    (
        "UPDATE items SET grp = NULL WHERE id = 3",
        &[r#"delete "3": id=3"#],
        &[r#"delete "3": body=null grp=1 id=3 title=c"#],
        &[r#"delete "3": id=3"#],
    ),
    (
        "UPDATE items SET id = 10 WHERE id = 1",
        &[r#"delete "1": id=1, to "10""#, r#"insert "10": body=long grp=1 id=10 title=aa, from "1""#],
        &[
            r#"delete "1": body=long grp=1 id=1 title=aa, to "10""#,
            r#"insert "10": body=long grp=1 id=10 title=aa, from "1""#,
        ],
        &[r#"delete "1": id=1, to "10""#, r#"insert "10": id=10 title=aa, from "1""#],
    ),
    (
        "UPDATE items SET id = 20, grp = 1 WHERE id = 2",
        &[r#"insert "20": body=null grp=1 id=20 title=gone"#],
        &[r#"insert "20": body=null grp=1 id=20 title=gone"#],
        &[r#"insert "20": id=20 title=gone"#],
    ),
    (
        "UPDATE items SET id = 21, grp = 2 WHERE id = 20",
        &[r#"delete "20": id=20"#],
        &[r#"delete "20": body=null grp=1 id=20 title=gone"#],
        &[r#"delete "20": id=20"#],
    ),
    ("UPDATE items SET id = 22 WHERE id = 21", &[], &[], &[]),
    ("DELETE FROM items WHERE id = 22", &[], &[], &[]),
    (
        "DELETE FROM items WHERE id = 6",
        &[r#"delete "6": id=6"#],
        &[r#"delete "6": body=null grp=1 id=6 title=null"#],
        &[r#"delete "6": id=6"#],
    ),
    ("BEGIN; INSERT INTO items VALUES (30, 'never', 1); DELETE FROM items; ROLLBACK", &[], &[], &[]),
    (
        "BEGIN; SAVEPOINT s; DELETE FROM items; ROLLBACK TO s; INSERT INTO items VALUES (31, 'kept', 1); \
         SAVEPOINT t; UPDATE items SET title = 'not' WHERE id = 31; ROLLBACK TO t; COMMIT",
        &[r#"insert "31": body=null grp=1 id=31 title=kept"#],
        &[r#"insert "31": body=null grp=1 id=31 title=kept"#],
        &[r#"insert "31": id=31 title=kept"#],
    ),
    (
        "BEGIN; DELETE FROM items WHERE id = 31; INSERT INTO items VALUES (31, 'again', 1); \
         INSERT INTO items VALUES (32, 'short', 1); DELETE FROM items WHERE id = 32; COMMIT",
        &[
            r#"delete "31": id=31"#,
            r#"insert "31": body=null grp=1 id=31 title=again"#,
            r#"insert "32": body=null grp=1 id=32 title=short"#,
            r#"delete "32": id=32"#,
        ],
        &[
            r#"delete "31": body=null grp=1 id=31 title=kept"#,
            r#"insert "31": body=null grp=1 id=31 title=again"#,
            r#"insert "32": body=null grp=1 id=32 title=short"#,
            r#"delete "32": body=null grp=1 id=32 title=short"#,
        ],
        &[
            r#"delete "31": id=31"#,
            r#"insert "31": id=31 title=again"#,
            r#"insert "32": id=32 title=short"#,
            r#"delete "32": id=32"#,
        ],
    ),
];

#[actix_rt::test]
async fn readers_are_told_what_a_change_means_for_their_shape_and_nothing_else() {
    let scene = Scene::new(ITEMS).await;
    let shape = scene.engine.shape("items").with("where", "grp = 1");
    let mut tails = [
        Tail::of(&shape).await,
        Tail::of(&shape.clone().with("replica", "full")).await,
        Tail::of(&shape.with("columns", "title,id")).await,
    ];
    for (number, (sql, whole, full, columns)) in CASES.iter().enumerate() {
        let marker = 1000 + number;
        scene.sql(sql).await;
        scene.sql(&format!("INSERT INTO items VALUES ({marker}, 'marker', 1)")).await;
        for (tail, expected) in tails.iter_mut().zip([whole, full, columns]) {
            assert_eq!(tail.told_before(&format!("/\"{marker}\"")).await, **expected, "{sql}: {}", tail.shape.name());
        }
    }
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn the_halves_of_a_change_of_key_stand_side_by_side_and_the_second_ends_the_transaction() {
    let scene = Scene::new(ITEMS).await;
    let mut tail = Tail::of(&scene.engine.shape("items")).await;
    scene.sql("BEGIN; UPDATE items SET title = 'z' WHERE id = 3; UPDATE items SET id = 9 WHERE id = 1; COMMIT").await;
    let messages = tail.next().await;
    assert_eq!(messages.iter().map(Message::kind).collect::<Vec<_>>(), ["update", "delete", "insert"]);
    let op = |at: usize| messages[at].position().expect("a position").1;
    assert_eq!(op(2), op(1) + 1);
    assert!(op(1) > op(0));
    assert_eq!(messages.iter().map(|message| message.headers.last).collect::<Vec<_>>(), [None, None, Some(true)]);
}

#[actix_rt::test]
async fn each_shape_of_a_transaction_gets_its_part_with_its_own_last() {
    let scene = Scene::new(&format!("{ITEMS} CREATE TABLE notes (id int PRIMARY KEY, text text)")).await;
    let items = scene.engine.shape("items");
    let mut all = Tail::of(&items).await;
    let mut some = Tail::of(&items.with("where", "grp = 1")).await;
    let mut notes = Tail::of(&scene.engine.shape("notes")).await;
    scene.sql("BEGIN").await;
    let row = scene.client.query_one("SELECT pg_current_xact_id()::xid::text", &[]).await.expect("a transaction");
    let xid: u64 = row.get::<_, String>(0).parse().expect("its id");
    for sql in [
        "INSERT INTO notes VALUES (1, 'one')",
        "UPDATE items SET title = 'x' WHERE id = 1",
        "UPDATE items SET title = 'y' WHERE id = 2",
        "INSERT INTO notes VALUES (2, 'two'), (3, 'three')",
        "COMMIT",
    ] {
        scene.sql(sql).await;
    }
    let mut commits = Vec::new();
    for (tail, keys) in [(&mut all, vec!["1", "2"]), (&mut some, vec!["1"]), (&mut notes, vec!["1", "2", "3"])] {
        let messages = tail.next().await;
        let name = tail.shape.name();
        assert_eq!(
            messages.iter().map(|message| message.column("id").expect("an id")).collect::<Vec<_>>(),
            keys,
            "{name}"
        );
        let (last, before) = messages.split_last().expect("a message");
        assert_eq!(last.headers.last, Some(true), "{name}");
        assert!(before.iter().all(|message| message.headers.last.is_none()), "{name}: {before:?}");
        assert!(messages.iter().all(|message| message.headers.txids == Some(vec![xid])), "{name}: {messages:?}");
        let positions: Vec<_> = messages.iter().filter_map(Message::position).collect();
        assert!(positions.is_sorted_by(|one, next| one < next), "{name}: {positions:?}");
        commits.push(positions[0].0);
    }
    assert!(commits.iter().all(|lsn| *lsn == commits[0]), "one commit, and {commits:?}");
}

#[actix_rt::test]
async fn transactions_come_in_the_order_of_their_commits() {
    let scene = Scene::new(ITEMS).await;
    let mut tail = Tail::of(&scene.engine.shape("items")).await;
    let other = scene.database.connect().await;
    scene.sql("BEGIN; INSERT INTO items VALUES (100, 'began first', 1)").await;
    other.batch_execute("INSERT INTO items VALUES (101, 'committed first', 1)").await.expect("an insert");
    scene.sql("INSERT INTO items VALUES (102, 'began first', 1); COMMIT").await;
    other.batch_execute("INSERT INTO items VALUES (103, 'marker', 1)").await.expect("an insert");
    let told = tail.before("/\"103\"").await;
    let ids: Vec<_> = told.iter().map(|message| message.column("id").expect("an id")).collect();
    assert_eq!(ids, ["101", "100", "102"]);
    let commits: Vec<_> = told.iter().filter_map(Message::position).map(|(lsn, _)| lsn).collect();
    assert!(commits[0] < commits[1] && commits[1] == commits[2], "{commits:?}");
}

#[actix_rt::test]
async fn a_transaction_open_while_a_shape_is_made_is_in_its_log_or_in_its_snapshot() {
    let scene = Scene::new(ITEMS).await;
    let warm = scene.engine.shape("items").with("where", "id < 0");
    Tail::of(&warm).await;
    scene.sql("BEGIN; UPDATE items SET title = 'open' WHERE id = 1").await;
    // One that began later is done: the snapshot must tell the two apart.
    let other = scene.database.connect().await;
    other.batch_execute("UPDATE items SET title = 'done' WHERE id = 2").await.expect("an update");
    let shape = scene.engine.shape("items");
    let first = shape.first().await.is(200);
    let mut titles: Vec<_> = first.changes().iter().map(|row| row.column("title").map(str::to_owned)).collect();
    titles.sort();
    assert_eq!(titles, ["a", "c", "done"].map(|title| Some(title.to_owned())), "as committed");
    scene.sql("COMMIT").await;
    let mut tail = Tail { handle: first.handle(), offset: first.offset(), shape };
    assert_eq!(tail.next().await.iter().map(told).collect::<Vec<_>>(), [r#"update "1": id=1 title=open"#]);
}
