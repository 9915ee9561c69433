//! Random transactions of one connection.

use std::ops::AddAssign;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::tables::{SHARED, TABLES, Table};
use crate::support::Random;

/// So few that rows are met again, and keys freed and taken.
const KEYS: usize = 60;
const NOTES: [&str; 7] = ["", "a", "banana", "it''s \"q\"", "a\\nb\\\\", "\u{1}\t\u{7f}ü😀\u{2028}", "x/y"];

/// How the transactions of a writer ended.
#[derive(Debug, Default)]
pub struct Done {
    pub committed: usize,
    pub rolled_back: usize,
    /// By Postgres: a taken key, a deadlock.
    pub failed: usize,
}

impl AddAssign for Done {
    fn add_assign(&mut self, other: Self) {
        self.committed += other.committed;
        self.rolled_back += other.rolled_back;
        self.failed += other.failed;
    }
}

/// Writes until `end`.
pub async fn write(client: Client, mut random: Random, end: Instant) -> Done {
    let mut done = Done::default();
    let synchronous = if random.one_in(3) { "off" } else { "on" };
    let settings = format!("SET synchronous_commit = {synchronous}; SET deadlock_timeout = '20ms'");
    client.batch_execute(&settings).await.expect("a writer's settings");
    while Instant::now() < end {
        let statements = transaction(&mut random);
        let mut failed = false;
        for statement in &statements {
            if let Err(error) = client.batch_execute(statement).await {
                let code = error.code().map(|code| code.code().to_owned());
                let expected = matches!(code.as_deref(), Some("23505" | "40P01"));
                assert!(expected, "{statement}: {error:?}");
                client.batch_execute("ROLLBACK").await.expect("a rollback");
                failed = true;
                break;
            }
        }
        match statements.last().map(String::as_str) {
            _ if failed => done.failed += 1,
            Some("ROLLBACK") => done.rolled_back += 1,
            _ => done.committed += 1,
        }
        // Readers shall be up to date now and then, not only at the end.
        sleep(Duration::from_micros(random.below(12_000) as u64)).await;
    }
    done
}

/// The statements of a transaction, each to be sent by itself.
fn transaction(random: &mut Random) -> Vec<String> {
    if random.one_in(5) {
        return vec![statement(random)];
    }
    let mut statements = vec!["BEGIN".to_owned()];
    let mut savepoints = 0;
    for _ in 0..=random.below(6) {
        match random.below(8) {
            0 => {
                statements.push("SAVEPOINT here".to_owned());
                savepoints += 1;
            }
            1 | 2 if savepoints > 0 => {
                statements.push("ROLLBACK TO here".to_owned());
            }
            3 if savepoints > 0 => {
                statements.push("RELEASE here".to_owned());
                savepoints -= 1;
            }
            _ => statements.push(statement(random)),
        }
    }
    let end = if random.one_in(7) { "ROLLBACK" } else { "COMMIT" };
    statements.push(end.to_owned());
    statements
}

fn statement(random: &mut Random) -> String {
    let table = &TABLES[random.below(TABLES.len())];
    let (name, group) = (table.sql, random.below(12));
    match random.below(20) {
        0..5 => insert(random, table, 1),
        5 => {
            let rows = 2 + random.below(5);
            insert(random, table, rows)
        }
        6..10 => format!("UPDATE {name} SET {} WHERE {}", set(random), table.one_row(random, KEYS)),
        10 => format!("UPDATE {name} SET {} WHERE grp = {group}", set(random)),
        11 => format!("UPDATE {name} SET grp = grp WHERE grp = {group}"),
        12 => {
            format!("UPDATE {name} SET {}, {} WHERE {}", key(random, table), set(random), table.one_row(random, KEYS))
        }
        13 | 14 => format!("UPDATE {name} SET {} WHERE {}", key(random, table), table.one_row(random, KEYS)),
        15..18 => format!("DELETE FROM {name} WHERE {}", table.one_row(random, KEYS)),
        18 => format!("DELETE FROM {name} WHERE grp = {group}"),
        _ => format!("UPDATE {name} SET score = score + 1, grp = (grp + 1) % 12 WHERE done"),
    }
}

fn insert(random: &mut Random, table: &Table, rows: usize) -> String {
    let row = |random: &mut Random| {
        let mut values = table.key_values(random.below(KEYS));
        values.extend(SHARED.map(|column| value(random, column)));
        format!("({})", values.join(", "))
    };
    let rows: Vec<_> = (0..rows).map(|_| row(random)).collect();
    let columns = [table.key_columns, &SHARED].concat().join(", ");
    format!("INSERT INTO {} ({columns}) VALUES {} ON CONFLICT DO NOTHING", table.sql, rows.join(", "))
}

fn set(random: &mut Random) -> String {
    let first = random.below(SHARED.len());
    let count = 1 + random.below(3);
    let columns = (0..count).map(|step| SHARED[(first + step) % SHARED.len()]);
    columns.map(|column| format!("{column} = {}", value(random, column))).collect::<Vec<_>>().join(", ")
}

/// Another key.
fn key(random: &mut Random, table: &Table) -> String {
    let values = table.key_values(random.below(KEYS));
    let terms = table.key_columns.iter().zip(values).map(|(column, value)| format!("{column} = {value}"));
    terms.collect::<Vec<_>>().join(", ")
}

fn value(random: &mut Random, column: &str) -> String {
    if random.one_in(7) {
        return "NULL".to_owned();
    }
    match column {
        "grp" => random.below(12).to_string(),
        "status" => random.pick(&["'open'", "'closed'", "'it''s'", "'odd'"]).to_owned(),
        "score" => format!("{}.{}", random.below(12) as i64 - 4, random.below(100)),
        "note" => format!("E'{}'", random.pick(&NOTES)),
        "done" => random.pick(&["true", "false"]).to_owned(),
        // Long ones are stored out of line, and come as "unchanged" with the next update.
        _ if random.one_in(4) => format!("repeat('{:016x}', {})", random.next(), 150 + random.below(600)),
        _ => format!("'{}'", random.below(10)),
    }
}
