//! Each operator, function and cast, on all values of a list: what a constant expression comes to here and on the server.

mod moments;
mod numbers;
mod zones;

use bytes::Bytes;
use plue_sync::engine::filter::Filter;
use plue_sync::engine::tables::{Column, Labels, Table, quote_literal};
use plue_sync::shape::TableName;
use tokio_postgres::Client;

use crate::support::Database;

/// Stands for an expression that fails.
const FAILS: &str = "!";

/// What an expression comes to as text: NULL is `None`, a failure [`FAILS`].
const EVALUATE: &str = "CREATE FUNCTION evaluate(expression text) RETURNS text LANGUAGE plpgsql AS $$ \
    DECLARE result text; \
    BEGIN EXECUTE 'SELECT (' || expression || E'\\n)::text' INTO result; RETURN result; \
    EXCEPTION WHEN OTHERS THEN RETURN '!'; END $$";

pub struct Judge {
    client: Client,
    _database: Database,
}

impl Judge {
    pub async fn new() -> Judge {
        let database = Database::fresh().await;
        let client = database.connect().await;
        let settings = "SET TimeZone = 'UTC'; SET extra_float_digits = 1; SET IntervalStyle = 'iso_8601'; \
                        SET DateStyle = 'ISO, DMY'";
        client.batch_execute(settings).await.expect("settings");
        client.batch_execute(EVALUATE).await.expect("a function");
        Judge { client, _database: database }
    }

    async fn theirs(&self, expressions: &[String]) -> Vec<Option<String>> {
        let sql = "SELECT evaluate(e) FROM unnest($1::text[]) WITH ORDINALITY u(e, o) ORDER BY o";
        let rows = self.client.query(sql, &[&expressions]).await.expect("the expressions evaluated");
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Compares all expressions; `refused` tells which we may refuse although Postgres takes them.
    pub async fn compare(&self, expressions: &[String], refused: impl Fn(&str) -> bool) {
        let mut wrong = Vec::new();
        let mut compared = 0;
        for (expression, theirs) in expressions.iter().zip(self.theirs(expressions).await) {
            match (ours(expression, theirs.as_deref()), theirs.as_deref()) {
                (Ok(()), _) => compared += 1,
                (Err(_), Some(FAILS)) => {}
                (Err(error), _) if error.starts_with("refused") && refused(expression) => {}
                (Err(error), _) => wrong.push(format!("{expression} is {theirs:?} there, {error} here")),
            }
        }
        println!("{compared} of {} compared", expressions.len());
        assert!(
            wrong.is_empty(),
            "{} of {}:\n{}",
            wrong.len(),
            expressions.len(),
            wrong[..wrong.len().min(60)].join("\n")
        );
        assert!(compared > expressions.len() / 8, "only {compared} of {} were accepted", expressions.len());
    }
}

/// Whether an expression without columns comes to `expected` as text.
fn ours(expression: &str, expected: Option<&str>) -> Result<(), String> {
    let condition = match expected {
        None => format!("({expression}) IS NULL"),
        Some(text) => format!("({expression})::text = {}", quote_literal(text)),
    };
    let filter = Filter::compile(&condition, &[], &table()).map_err(|error| format!("refused: {error}"))?;
    if expected == Some(FAILS) {
        return Err(format!("no failure but {}", filter.sql()));
    }
    match filter.sql() {
        "'t'::bool" => Ok(()),
        _ => {
            let shown = Filter::compile(&format!("({expression})::text > ''"), &[], &table());
            Err(format!("{} ({:?})", filter.sql(), shown.map(|filter| filter.sql().to_owned())))
        }
    }
}

/// A table with one column, which the expressions do not use.
fn table() -> Table {
    let id = Column {
        name: "id".into(),
        type_oid: 23,
        type_name: "int4".into(),
        type_kind: 'b',
        type_modifier: -1,
        dims: 0,
        not_null: false,
        generated: false,
        deterministic: true,
        labels: Labels::default(),
        casing: Default::default(),
    };
    let name = TableName { schema: "public".into(), name: "items".into() };
    Table { oid: 1, name, columns: vec![id], key: vec![0], has_primary_key: true, partitions: None }
}

/// Every template with each value for `$a`, and each pair where it has `$b`.
pub fn products(templates: &[&str], left: &[&str], right: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for template in templates {
        for a in left {
            let one = template.replace("$a", a);
            match template.contains("$b") {
                true => all.extend(right.iter().map(|b| one.replace("$b", b))),
                false => all.push(one),
            }
        }
    }
    all
}

#[test]
fn a_row_is_read_by_the_same_functions() {
    let filter = Filter::compile("abs(id) % 5 = 2", &[], &table()).expect("a condition");
    let row = |text: &'static str| [Some(Bytes::from_static(text.as_bytes()))];
    assert!(filter.matches(&row("-7")));
    assert!(!filter.matches(&row("7000")));
    assert!(!filter.matches(&[None]));
}
