//! Random transactions that move rows at every level.

use tokio_postgres::Client;

use super::filters::{TABLES, kind};
use crate::support::Random;

/// Rows of each table have ids below this.
const IDS: usize = 40;

/// Fills the tables.
pub fn fill(random: &mut Random) -> String {
    let mut sql = String::new();
    for level in 0..TABLES.len() {
        for id in 0..IDS {
            if !random.one_in(3) {
                sql.push_str(&insert(random, level, id));
            }
        }
    }
    sql
}

/// Runs transactions, one after the other. Those that clash with others are rolled back.
pub async fn write(client: Client, mut random: Random, transactions: usize) -> usize {
    let mut committed = 0;
    for _ in 0..transactions {
        let statements = 1 + random.below(4);
        let body: String = (0..statements).map(|_| statement(&mut random)).collect();
        let end = if random.one_in(8) { "ROLLBACK" } else { "COMMIT" };
        match client.batch_execute(&format!("BEGIN; {body} {end}")).await {
            Ok(()) => committed += usize::from(end == "COMMIT"),
            Err(error) => {
                assert!(error.as_db_error().is_some(), "{body}: {error}");
                client.batch_execute("ROLLBACK").await.expect("the end of a transaction that clashed");
            }
        }
    }
    committed
}

fn statement(random: &mut Random) -> String {
    let level = random.below(TABLES.len());
    let (table, id) = (TABLES[level], random.below(IDS));
    match random.below(8) {
        0 => insert(random, level, id),
        1 => format!("DELETE FROM {table} WHERE id = {id};"),
        2 => format!("UPDATE {table} SET ref = {} WHERE id = {id};", reference(random)),
        3 => format!("UPDATE {table} SET kind = {} WHERE id = {id};", nullable_kind(random)),
        4 => format!("UPDATE {table} SET n = {} WHERE id = {id};", random.below(8)),
        5 => format!("UPDATE {table} SET other = {} WHERE id = {id};", reference(random)),
        6 => format!(
            "UPDATE {table} SET id = {} WHERE id = {id} AND NOT EXISTS (SELECT FROM {table} WHERE id = {0});",
            random.below(IDS)
        ),
        _ => format!(
            "UPDATE {table} SET kind = '{}', n = {} WHERE ref = {};",
            kind(random),
            random.below(8),
            random.below(IDS)
        ),
    }
}

fn insert(random: &mut Random, level: usize, id: usize) -> String {
    let (one, other, kind, n) = (reference(random), reference(random), nullable_kind(random), random.below(8));
    format!("INSERT INTO {} VALUES ({id}, {one}, {other}, {kind}, {n}) ON CONFLICT DO NOTHING;", TABLES[level])
}

fn reference(random: &mut Random) -> String {
    if random.one_in(10) { "NULL".to_owned() } else { random.below(IDS).to_string() }
}

/// Rarely NULL: that starts `NOT IN` over.
fn nullable_kind(random: &mut Random) -> String {
    if random.one_in(60) { "NULL".to_owned() } else { format!("'{}'", kind(random)) }
}
