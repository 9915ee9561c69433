//! Writers that change one small table all the time, and what Postgres has of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};
use tokio_util::sync::CancellationToken;

use crate::support::Random;

/// Rows by their id, each as its JSON object of texts.
pub type Rows = BTreeMap<String, Map<String, Value>>;

const KEYS: usize = 150;
/// A writer's rest after each transaction: the tests share the machine.
const REST: Duration = Duration::from_millis(8);

/// Makes the table, with some rows in it.
pub async fn make_table(client: &Client) {
    let sql = "CREATE TABLE items (id int PRIMARY KEY, owner int, n int NOT NULL, body text); \
               INSERT INTO items SELECT i, i % 5, i, repeat('x', i) FROM generate_series(1, 60) i";
    client.batch_execute(sql).await.expect("a table");
}

/// The rows that Postgres has.
pub async fn select(client: &Client, condition: &str) -> Result<Rows, tokio_postgres::Error> {
    let sql = format!("SELECT id::text, owner::text, n::text, body FROM items WHERE {condition}");
    let rows = client.query(&sql, &[]).await?;
    let row = |row: &tokio_postgres::Row| {
        let value = |column: &tokio_postgres::Column| {
            let text: Option<String> = row.get(column.name());
            (column.name().to_owned(), text.map_or(Value::Null, Value::String))
        };
        (row.get("id"), row.columns().iter().map(value).collect())
    };
    Ok(rows.iter().map(row).collect())
}

/// Writers at work.
pub struct Load {
    stop: CancellationToken,
    writers: Vec<JoinHandle<()>>,
    done: Arc<AtomicUsize>,
}

impl Load {
    /// Lets `count` connections write. Those that lose Postgres connect again.
    pub fn start(url: &str, random: &mut Random, count: usize) -> Self {
        let (stop, done) = (CancellationToken::new(), Arc::<AtomicUsize>::default());
        let writer = |_| {
            let (url, random) = (url.to_owned(), Random::new(random.next(), 0));
            let work = write(url, random, Arc::clone(&done));
            let stop = stop.clone();
            tokio::spawn(async move {
                let _ = stop.run_until_cancelled(work).await;
            })
        };
        let writers = (0..count).map(writer).collect();
        Self { stop, writers, done }
    }

    /// Ends all writing; how many transactions there were.
    pub async fn stop(self) -> usize {
        self.stop.cancel();
        for writer in self.writers {
            writer.await.expect("a writer that did not panic");
        }
        self.done.load(Ordering::Relaxed)
    }
}

async fn write(url: String, mut random: Random, done: Arc<AtomicUsize>) {
    loop {
        if let Ok((client, connection)) = tokio_postgres::connect(&url, NoTls).await {
            let connection = tokio::spawn(connection);
            let _ = client.batch_execute("SET deadlock_timeout = '20ms'").await;
            while !connection.is_finished() {
                // A conflict with another writer rolls back.
                match client.batch_execute(&transaction(&mut random)).await {
                    Ok(()) => {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) => drop(client.batch_execute("ROLLBACK").await),
                }
                tokio::time::sleep(REST).await;
            }
        }
        tokio::time::sleep(REST).await;
    }
}

/// Between one and five changes, most of them done.
fn transaction(random: &mut Random) -> String {
    let mut keys: Vec<usize> = (0..=random.below(5)).map(|_| random.below(KEYS)).collect();
    keys.sort_unstable();
    let changes = keys.into_iter().map(|key| change(random, key)).collect::<String>();
    let end = if random.one_in(8) { "ROLLBACK" } else { "COMMIT" };
    format!("BEGIN; {changes} {end}")
}

fn change(random: &mut Random, key: usize) -> String {
    let (owner, n, length) = (random.below(5), random.below(100), random.below(120));
    // Large enough to be stored out of line, and not compressed away.
    let length = if random.one_in(20) { length * 100 } else { length };
    let body = format!("(SELECT string_agg(md5(({n} + i)::text), '') FROM generate_series(0, {length} / 32) i)");
    match random.below(7) {
        0 | 1 => format!(
            "INSERT INTO items VALUES ({key}, {owner}, {n}, {body}) \
             ON CONFLICT (id) DO UPDATE SET owner = {owner}, n = {n}, body = {body};"
        ),
        2 => format!("DELETE FROM items WHERE id = {key};"),
        3 => format!("UPDATE items SET owner = {owner} WHERE id = {key};"),
        4 => format!("UPDATE items SET body = NULL, owner = NULL WHERE id = {key};"),
        5 => format!("UPDATE items SET id = {} WHERE id = {key};", random.below(KEYS)),
        _ => format!("UPDATE items SET n = n + 1 WHERE id = {key};"),
    }
}
