//! Readers that merge subsets with the log, while others write.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::reader::Merging;
use crate::engine::{SOON, Scene};
use crate::support::Random;

/// Ids are below it; each writer has its own.
const IDS: usize = 160;
const WRITERS: usize = 4;
const READERS: usize = 8;
/// A reader loads the ids by this many parts, and then parts at random.
const PARTS: usize = 4;
const MORE: usize = 12;
const LAST: &str = r#""public"."items"/"100000""#;

#[actix_rt::test]
async fn readers_that_merge_subsets_with_the_log_have_the_rows_of_postgres() {
    let sql = format!(
        "CREATE SEQUENCE version; \
         CREATE TABLE items (id int PRIMARY KEY, grp int NOT NULL, n int NOT NULL, v bigint NOT NULL, note text); \
         INSERT INTO items SELECT n, n % 3, n, nextval('version'), 'first' FROM generate_series(0, {IDS} - 1) n WHERE n % 4 > 0"
    );
    let scene = Scene::with(&sql, &[("ELECTRIC_LONG_POLL_TIMEOUT", "200")]).await;
    let seed = Random::seed();
    println!("PLUE_TEST_SEED={seed} repeats these choices");
    // A table that is being written to is published late.
    scene.engine.shape("items").first().await.is(200);
    let stopped = Rc::new(Cell::new(false));
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let client = scene.database.connect().await;
        writers.push(actix_rt::spawn(write(client, number, Random::new(seed, number as u64), Rc::clone(&stopped))));
    }
    let mut readers = Vec::new();
    for number in 0..READERS {
        let filter = ["id >= 0", "grp = 1", "grp = 1 OR n > 500", "grp <> 2 AND id > -1"][number % 4];
        // Each is a shape of its own, made while others write.
        let filter = format!("({filter}) AND id > -{}", number + 10);
        let log = if number % 2 == 0 { "changes_only" } else { "full" };
        let shape = scene.engine.shape("items").with("where", &filter).with("log", log);
        let random = Random::new(seed, 100 + number as u64);
        readers
            .push(actix_rt::spawn(async move { (filter, follow(Merging::new(&shape), log == "full", random).await) }));
    }
    let readers = join_all(readers).await;
    stopped.set(true);
    let written: usize = join_all(writers).await.into_iter().map(|count| count.expect("a writer's end")).sum();
    scene.sql("INSERT INTO items VALUES (100000, 1, 1000, 0)").await;
    let mut ignored = 0;
    for reader in readers {
        let (filter, mut reader) = reader.expect("a reader");
        let following = async {
            let mut up_to_date = false;
            while !(up_to_date && reader.rows.contains_key(LAST)) {
                up_to_date = reader.read(true).await;
            }
        };
        let late = timeout(SOON, following).await.is_err();
        assert!(!late, "{filter}: no last row at {}", reader.offset);
        assert_eq!(held(&reader), stored(&scene.client, &filter).await, "{filter}, seed {seed}");
        reader.check_positions();
        ignored += reader.ignored;
    }
    assert!(written > 50, "only {written} transactions");
    assert!(ignored > 0, "no change was in a subset before it came in the log");
    scene.engine.binary.assert_quiet(&[]);
}

fn held(reader: &Merging) -> BTreeSet<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".into());
    let rows = reader.rows.values();
    rows.map(|row| ["id", "grp", "n", "v", "note"].map(|name| text(&row[name])).join("|")).collect()
}

async fn stored(client: &Client, filter: &str) -> BTreeSet<String> {
    let sql = format!("SELECT concat_ws('|', id, grp, n, v, coalesce(note, 'NULL')) FROM items WHERE {filter}");
    client.query(&sql, &[]).await.expect("rows").iter().map(|row| row.get(0)).collect()
}

/// Loads every part, in any order and some twice, and reads the log in between.
async fn follow(mut reader: Merging, from_the_log: bool, mut random: Random) -> Merging {
    if from_the_log {
        while !reader.read(false).await {}
    }
    let mut parts: Vec<usize> = (0..PARTS).collect();
    for round in 0..PARTS + MORE {
        let part = if parts.is_empty() { random.below(PARTS) } else { parts.swap_remove(random.below(parts.len())) };
        let (low, high) = (part * IDS / PARTS, (part + 1) * IDS / PARTS);
        // The last part has whatever is above.
        let high = if part + 1 == PARTS { 1_000_000 } else { high };
        let params = json!({"1": low, "2": high}).to_string();
        let mut asked = vec![("subset__where", "id >= $1 AND id < $2"), ("subset__params", &params)];
        if random.one_in(2) {
            asked.push(("subset__order_by", "n DESC, id"));
            // What is loaded again need not be all of it.
            if round >= PARTS {
                asked.push(("subset__limit", "7"));
            }
        }
        reader.load(&asked).await;
        for _ in 0..random.below(3) {
            reader.read(random.one_in(2)).await;
        }
    }
    reader
}

/// Writes random transactions, each row by one writer alone, with a higher version each time; says how many.
async fn write(client: Client, number: usize, mut random: Random, stopped: Rc<Cell<bool>>) -> usize {
    let mut count = 0;
    while !stopped.get() {
        let mut sql = String::from("BEGIN;");
        if random.one_in(3) {
            sql.push_str("SET LOCAL synchronous_commit = off;");
        }
        for _ in 0..=random.below(4) {
            let mut id = || random.below(IDS / WRITERS) * WRITERS + number;
            let (id, other) = (id(), id());
            let n = random.below(1000);
            sql.push_str(&match random.below(6) {
                0 => format!("DELETE FROM items WHERE id = {id};"),
                1 => format!("UPDATE items SET grp = (grp + 1) % 3, v = nextval('version') WHERE id = {id};"),
                2 => format!(
                    "UPDATE items SET id = {other}, v = nextval('version') WHERE id = {id} AND NOT EXISTS (SELECT FROM items WHERE id = {other});"
                ),
                3 => format!("UPDATE items SET n = {n}, v = nextval('version'), note = 'by {number}' WHERE id = {id};"),
                _ => format!(
                    "INSERT INTO items VALUES ({id}, {n} % 3, {n}, nextval('version')) \
                     ON CONFLICT (id) DO UPDATE SET n = {n}, v = nextval('version'), note = NULL;"
                ),
            });
        }
        if random.one_in(10) {
            // Others commit meanwhile.
            sql.push_str("SELECT pg_sleep(0.02);");
        }
        sql.push_str(if random.one_in(12) { "ROLLBACK" } else { "COMMIT" });
        client.batch_execute(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        count += 1;
    }
    count
}
