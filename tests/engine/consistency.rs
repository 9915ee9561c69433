//! What a reader holds when it is told that it is up to date is a state that was committed, whole.

use std::cell::Cell;
use std::rc::Rc;

use futures_util::future::join_all;
use tokio_postgres::Client;

use super::{SOON, Scene};
use crate::support::{Random, Reader};

const ACCOUNTS: usize = 20;
const READERS: usize = 12;
const LAST: &str = r#""public"."accounts"/"1000""#;

#[actix_rt::test]
async fn a_reader_that_is_up_to_date_never_holds_half_a_transaction() {
    let sql = format!(
        "CREATE TABLE accounts (id int PRIMARY KEY, amount int NOT NULL, grp int NOT NULL); \
         INSERT INTO accounts SELECT n, 0, 1 + n % 2 FROM generate_series(1, {ACCOUNTS}) n"
    );
    // Small, so that chunks end within transactions too.
    let scene = Scene::with(&sql, &[("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "3000")]).await;
    let seed = Random::seed();
    println!("PLUE_TEST_SEED={seed} repeats these choices");
    let stopped = Rc::new(Cell::new(false));
    let mut writers = Vec::new();
    for number in 0..4 {
        let client = scene.database.connect().await;
        writers.push(actix_rt::spawn(transfer(client, Random::new(seed, number), Rc::clone(&stopped))));
    }
    let mut readers = Vec::new();
    for number in 0..READERS {
        // Each is a shape of its own, made while the others are written to.
        let half = number % 3 == 2;
        let condition = if half { format!("grp = 1 AND id > -{number}") } else { format!("id > -{number}") };
        let shape = scene.engine.shape("accounts").with("where", &condition);
        let mut reader = Reader::up_to_date(&shape).await;
        readers.push(actix_rt::spawn(async move {
            let done = |reader: &Reader| is_whole(reader, half);
            match number % 2 {
                0 => reader.follow_until(SOON, "the last row", done).await,
                _ => reader.stream_until(SOON, "the last row", done).await,
            }
            assert_eq!(reader.refetches, 0);
        }));
    }
    stopped.set(true);
    let transfers: usize = join_all(writers).await.into_iter().map(|count| count.expect("a writer's end")).sum();
    scene.sql("INSERT INTO accounts VALUES (1000, 0, 1)").await;
    for reader in join_all(readers).await {
        reader.expect("a reader that saw whole transactions only");
    }
    assert!(transfers > 20, "only {transfers} transfers");
    scene.engine.binary.assert_quiet(&[]);
}

/// Checks what every transaction keeps; says whether the last row has come.
fn is_whole(reader: &Reader, half: bool) -> bool {
    let last = reader.rows.contains_key(LAST);
    let rows = if half { ACCOUNTS / 2 } else { ACCOUNTS } + usize::from(last);
    assert_eq!(reader.rows.len(), rows, "at {}", reader.offset);
    if !half {
        let amount =
            |value: &Option<String>| value.as_ref().and_then(|text| text.parse::<i64>().ok()).expect("a number");
        assert_eq!(reader.rows.values().map(|row| amount(&row["amount"])).sum::<i64>(), 0, "at {}", reader.offset);
    }
    last
}

/// Moves amounts between accounts, and one account of each half into the other; gives the number of transactions.
async fn transfer(client: Client, mut random: Random, stopped: Rc<Cell<bool>>) -> usize {
    let mut count = 0;
    while !stopped.get() {
        let (from, to, amount) = (random.below(ACCOUNTS) + 1, random.below(ACCOUNTS) + 1, random.below(100));
        let swap = "UPDATE accounts SET grp = 3 - grp WHERE id IN \
                    ((SELECT min(id) FROM accounts WHERE grp = 1), (SELECT max(id) FROM accounts WHERE grp = 2))";
        let swap = if random.one_in(2) { swap } else { "" };
        // One at a time among the writers: what is kept shall not depend on their order.
        let sql = format!(
            "BEGIN; SELECT pg_advisory_xact_lock(1); UPDATE accounts SET amount = amount - {amount} WHERE id = {from}; \
             UPDATE accounts SET amount = amount + {amount} WHERE id = {to}; {swap}; COMMIT"
        );
        client.batch_execute(&sql).await.expect("a transfer");
        count += 1;
    }
    count
}
