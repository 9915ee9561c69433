//! A real table of odd values, and what Postgres says of a condition on it.

use std::fmt::Write;

use bytes::Bytes;
use plue_sync::engine::filter::Filter;
use plue_sync::engine::tables::{Column, Labels, Table, quote_literal};
use plue_sync::shape::TableName;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::generator::{Random, TYPES};
use crate::support::Database;

const ROWS: usize = 60;

/// The table in Postgres and its rows here.
pub struct Oracle {
    pub table: Table,
    pub rows: Vec<(i32, Vec<Option<Bytes>>)>,
    client: Client,
    _database: Database,
}

impl Oracle {
    pub async fn new(random: &mut Random) -> Oracle {
        let database = Database::fresh().await;
        let client = database.connect().await;
        let settings = "SET TimeZone = 'UTC'; SET extra_float_digits = 1; SET IntervalStyle = 'iso_8601'";
        client.batch_execute(settings).await.expect("settings");
        client.batch_execute(HOLDS).await.expect("a function");
        let (table, rows) = fill(&client, random).await;
        Oracle { table, rows, client, _database: database }
    }

    /// The rows for which the evaluator says TRUE.
    pub fn ours(&self, filter: &Filter) -> Vec<i32> {
        self.rows.iter().filter(|(_, row)| filter.matches(row)).map(|(id, _)| *id).collect()
    }

    /// See [`matched`].
    pub async fn theirs(&self, condition: &str, expected: &[i32]) -> Result<Vec<i32>, String> {
        matched(&self.client, condition, expected).await
    }
}

/// Makes the table and reads back how Postgres describes and prints it.
async fn fill(client: &Client, random: &mut Random) -> (Table, Vec<(i32, Vec<Option<Bytes>>)>) {
    let mut sql =
        String::from("CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy', 'it''s'); CREATE TABLE odd (id int4");
    for (name, type_name, _) in TYPES {
        // Our order of strings.
        let collate = if matches!(name, "t" | "v" | "c") { "COLLATE \"C\"" } else { "" };
        for half in ["a", "b"] {
            write!(sql, ", {name}{half} {type_name} {collate}").expect("a string takes it");
        }
    }
    sql.push_str(");");
    for id in 0..ROWS {
        write!(sql, "INSERT INTO odd VALUES ({id}").expect("a string takes it");
        for (_, _, values) in TYPES.iter().flat_map(|ty| [ty, ty]) {
            let value = if random.one_in(8) { "NULL".into() } else { quote_literal(random.pick(values)) };
            write!(sql, ", {value}").expect("a string takes it");
        }
        sql.push_str(");");
    }
    client.batch_execute(&sql).await.expect("the table");

    let describe = "SELECT attname, atttypid, typname, typtype::text, atttypmod FROM pg_attribute JOIN pg_type t ON t.oid = atttypid \
                    WHERE attrelid = 'odd'::regclass AND attnum > 0 ORDER BY attnum";
    let described = client.query(describe, &[]).await.expect("the columns");
    let columns = described.iter().map(|row| Column {
        name: row.get(0),
        type_oid: row.get(1),
        type_name: row.get(2),
        type_kind: row.get::<_, String>(3).chars().next().expect("one letter"),
        type_modifier: row.get(4),
        dims: 0,
        not_null: false,
        generated: false,
        deterministic: true,
        labels: Labels::default(),
        casing: Default::default(),
    });
    let name = TableName { schema: "public".into(), name: "odd".into() };
    let table = Table { oid: 1, name, columns: columns.collect(), key: vec![0], has_primary_key: false };

    let mut rows = Vec::new();
    for message in client.simple_query("SELECT * FROM odd ORDER BY id").await.expect("the rows") {
        if let SimpleQueryMessage::Row(row) = message {
            let text = |index| row.get(index).map(|text: &str| Bytes::copy_from_slice(text.as_bytes()));
            let id = row.get(0).and_then(|id| id.parse().ok()).expect("an id");
            rows.push((id, (0..row.len()).map(text).collect()));
        }
    }
    (table, rows)
}

/// The rows for which Postgres says TRUE. `Err` if it refuses the condition itself; a row that fails does not match.
///
/// Whether an error shows depends on the plan: a WHERE may skip what a SELECT list calculates. So where the query fails or does
/// not say what is `expected`, each row is asked for on its own.
async fn matched(client: &Client, condition: &str, expected: &[i32]) -> Result<Vec<i32>, String> {
    let query = format!("SELECT id FROM odd WHERE {condition}\n ORDER BY id");
    match client.simple_query(&query).await.map(ids) {
        Ok(found) if found == expected => return Ok(found),
        Err(error) if !error.code().is_some_and(|code| code.code().starts_with("22") || code.code() == "0A000") => {
            return Err(format!("{error:?}"));
        }
        _ => {}
    }
    let each = format!("SELECT id FROM odd WHERE holds({}, id) ORDER BY id", quote_literal(condition));
    client.simple_query(&each).await.map(ids).map_err(|error| format!("{error:?}"))
}

fn ids(messages: Vec<SimpleQueryMessage>) -> Vec<i32> {
    let id = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => row.get(0).and_then(|id| id.parse().ok()),
        _ => None,
    };
    messages.iter().filter_map(id).collect()
}

/// Evaluates a condition on one row; FALSE if that fails.
const HOLDS: &str = "CREATE FUNCTION holds(condition text, row_id int4) RETURNS bool LANGUAGE plpgsql AS $$ \
    DECLARE result bool; \
    BEGIN EXECUTE format(E'SELECT (%s\\n) FROM odd WHERE id = %s', condition, row_id) INTO result; RETURN result; \
    EXCEPTION WHEN data_exception OR feature_not_supported THEN RETURN false; END $$";
