//! What a change is told as: statements 136 to 154.

use super::{A, B, C, ITEMS, Server, insert, key, kinds};
use crate::support::{Message, Row};

const WIDE: &str =
    "CREATE TABLE wide (id int PRIMARY KEY, a text, b text); INSERT INTO wide VALUES (1, 'old', 'same');";

fn row(columns: &[(&str, &str)]) -> Option<Row> {
    Some(columns.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect())
}

#[actix_rt::test]
async fn c136_c137_an_insert() {
    let server = Server::new(ITEMS).await;
    let mut tail = server.tail("table=items").await;
    let written = format!("{} SELECT pg_current_xact_id()::xid::text", insert(A, "a"));
    let written = server.client.simple_query(&written).await.expect("a row");
    let txid = written.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0)?.parse::<u64>().ok(),
        _ => None,
    });
    let (changes, reply) = tail.answers(1).await;
    let (change, headers) = (&changes[0], &changes[0].headers);
    assert_eq!((change.kind(), &change.key), ("insert", &Some(key(A))));
    assert_eq!(change.value, row(&[("id", A), ("value", "a")]));
    assert_eq!(headers.relation, Some(["public", "items"].map(str::to_owned)));
    assert_eq!(headers.txids, Some(vec![txid.expect("an id")]));
    let json = reply.json();
    assert!(json[0]["headers"]["lsn"].is_string() && json[0]["headers"]["op_position"].is_u64(), "{json}");
    let (lsn, op) = change.position().expect("a position");
    assert_eq!(reply.offset(), format!("{lsn}_{op}"));
}

#[actix_rt::test]
async fn c138_c139_c140_c141_updates_and_deletes() {
    let server = Server::new(WIDE).await;
    let mut default = server.tail("table=wide").await;
    let mut full = server.tail("table=wide&replica=full").await;
    server.sql("UPDATE wide SET a = 'new'").await;
    server.sql("DELETE FROM wide").await;
    let (default, full) = (default.changes(2).await, full.changes(2).await);
    assert_eq!(kinds(&default), ["update", "delete"]);
    assert_eq!(kinds(&full), ["update", "delete"]);
    assert_eq!((&default[0].value, &default[0].old_value), (&row(&[("id", "1"), ("a", "new")]), &None));
    assert_eq!(full[0].value, row(&[("id", "1"), ("a", "new"), ("b", "same")]));
    assert_eq!(full[0].old_value, row(&[("a", "old")]));
    assert_eq!((&default[1].value, &default[1].old_value), (&row(&[("id", "1")]), &None));
    assert_eq!(full[1].value, row(&[("id", "1"), ("a", "new"), ("b", "same")]));
}

#[actix_rt::test]
async fn c142_c143_c149_c150_c154_what_is_not_told() {
    let server = Server::new(&format!("{ITEMS} {} {}", insert(A, "a"), insert(B, "b"))).await;
    let mut all = server.tail("table=items").await;
    let mut ids = server.tail("table=items&columns=id").await;
    let mut filtered = server.tail("table=items&where=value%20%3E%20%27m%27").await;
    server.sql("UPDATE items SET value = value").await;
    server.sql("UPDATE items SET value = 'c' WHERE value = 'b'").await;
    // NULL is neither greater nor not.
    server.sql(&format!("INSERT INTO items VALUES ('{C}', NULL)")).await;
    server.sql("UPDATE items SET value = 'd' WHERE value IS NULL").await;
    server.sql(&format!("BEGIN; {} ROLLBACK;", insert("00000000-0000-0000-0000-000000000001", "z"))).await;
    let open = server.database.connect().await;
    let uncommitted = format!("BEGIN; {}", insert("00000000-0000-0000-0000-000000000002", "z"));
    open.batch_execute(&uncommitted).await.expect("an open transaction");
    let end = "00000000-0000-0000-0000-0000000000ff";
    server.sql(&insert(end, "zz")).await;
    let told = |changes: Vec<Message>| -> Vec<_> {
        changes.into_iter().map(|change| (change.kind().to_owned(), change.key.unwrap_or_default())).collect()
    };
    let expected =
        |these: &[(&str, &str)]| -> Vec<_> { these.iter().map(|(kind, id)| ((*kind).to_owned(), key(id))).collect() };
    assert_eq!(told(all.changes(4).await), expected(&[("update", B), ("insert", C), ("update", C), ("insert", end)]));
    assert_eq!(told(ids.changes(2).await), expected(&[("insert", C), ("insert", end)]));
    assert_eq!(told(filtered.changes(1).await), expected(&[("insert", end)]));
    open.batch_execute("ROLLBACK").await.expect("its end");
}

#[actix_rt::test]
async fn c144_large_values_that_did_not_change_are_kept() {
    let table = "CREATE TABLE large (id int PRIMARY KEY, body text, n int); ALTER TABLE large ALTER body SET STORAGE EXTERNAL; \
                 INSERT INTO large VALUES (1, repeat('x', 100000), 1);";
    let server = Server::new(table).await;
    let mut full = server.tail("table=large&replica=full").await;
    let mut default = server.tail("table=large").await;
    server.sql("UPDATE large SET n = 2").await;
    let (full, default) = (full.changes(1).await, default.changes(1).await);
    assert_eq!(full[0].column("body"), Some(&*"x".repeat(100_000)));
    assert_eq!(full[0].old_value, row(&[("n", "1")]));
    assert_eq!(default[0].value, row(&[("id", "1"), ("n", "2")]));
}

#[actix_rt::test]
async fn c145_c148_changes_of_a_key() {
    let server = Server::new(&format!("{ITEMS} {}", insert(A, "a"))).await;
    let mut tail = server.tail("table=items").await;
    let mut filtered = server.tail("table=items&where=value%20%3D%20%27a%27").await;
    server.sql(&format!("UPDATE items SET id = '{B}'")).await;
    let changes = tail.changes(2).await;
    assert_eq!(kinds(&changes), ["delete", "insert"]);
    let [old, new] = [&changes[0], &changes[1]];
    assert_eq!(
        (&old.key, &old.headers.key_change_to, &old.headers.key_change_from),
        (&Some(key(A)), &Some(key(B)), &None)
    );
    assert_eq!(
        (&new.key, &new.headers.key_change_from, &new.headers.key_change_to),
        (&Some(key(B)), &Some(key(A)), &None)
    );
    assert_eq!((&old.value, &new.value), (&row(&[("id", A)]), &row(&[("id", B), ("value", "a")])));
    let op = old.headers.op_position.expect("a position");
    assert_eq!(new.headers.op_position, Some(op + 1));
    assert_eq!((old.headers.last, new.headers.last), (None, Some(true)));
    assert_eq!(filtered.changes(2).await, changes);

    server.sql(&format!("UPDATE items SET id = '{C}', value = 'out'")).await;
    server.sql(&format!("UPDATE items SET id = '{A}', value = 'a'")).await;
    let changes = filtered.changes(2).await;
    assert_eq!(kinds(&changes), ["delete", "insert"]);
    assert_eq!((&changes[0].key, &changes[1].key), (&Some(key(B)), &Some(key(A))));
    for change in &changes {
        assert_eq!((&change.headers.key_change_from, &change.headers.key_change_to), (&None, &None), "{change:?}");
    }
}

#[actix_rt::test]
async fn c146_c147_rows_that_cross_the_filter() {
    let server = Server::new(WIDE).await;
    let mut tail = server.tail("table=wide&where=a%20%3D%20%27in%27").await;
    server.sql("UPDATE wide SET a = 'in'").await;
    server.sql("UPDATE wide SET a = 'out'").await;
    let changes = tail.changes(2).await;
    assert_eq!(kinds(&changes), ["insert", "delete"]);
    assert_eq!(changes[0].value, row(&[("id", "1"), ("a", "in"), ("b", "same")]));
    assert_eq!(changes[0].old_value, None);
    assert_eq!((&changes[1].key, &changes[1].value), (&changes[0].key, &row(&[("id", "1")])));
}

#[actix_rt::test]
async fn c151_c152_c153_transactions() {
    let server = Server::new(&format!("{ITEMS} CREATE TABLE others (id uuid PRIMARY KEY, value text);")).await;
    let (mut items, mut others) = (server.tail("table=items").await, server.tail("table=others").await);
    let other = |id: &str| format!("INSERT INTO others VALUES ('{id}', 'x');");
    let all =
        [insert(A, "a"), other(A), insert(B, "b"), other(B), format!("UPDATE items SET value = 'c' WHERE id = '{A}';")];
    server.sql(&all.concat()).await;
    let changes = items.changes(3).await;
    assert_eq!(kinds(&changes), ["insert", "insert", "update"]);
    assert_eq!(changes.iter().map(|change| change.key.clone()).collect::<Vec<_>>(), [A, B, A].map(|id| Some(key(id))));
    assert_eq!(changes.iter().map(|change| change.headers.last).collect::<Vec<_>>(), [None, None, Some(true)]);
    assert!(changes.is_sorted_by_key(|change| change.position()), "{changes:?}");
    let part = others.changes(2).await;
    assert_eq!(part.iter().map(|change| change.headers.last).collect::<Vec<_>>(), [None, Some(true)]);
    assert_eq!(part[0].headers.lsn, changes[0].headers.lsn);

    // The first to begin is the last to commit.
    let late = server.database.connect().await;
    let id = "00000000-0000-0000-0000-0000000000ff";
    late.batch_execute(&format!("BEGIN; {}", insert(id, "first to begin"))).await.expect("a transaction");
    server.sql(&insert(C, "first to commit")).await;
    late.batch_execute("COMMIT").await.expect("its end");
    let changes = items.changes(2).await;
    assert_eq!(changes.iter().map(|change| change.key.clone()).collect::<Vec<_>>(), [C, id].map(|id| Some(key(id))));
    assert!(changes[0].position() < changes[1].position(), "{changes:?}");
}
