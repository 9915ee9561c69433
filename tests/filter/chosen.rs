//! Every operator and function on arrays, JSON and strings, on chosen values: its result is the one that Postgres calculates from
//! the client's text, and what is printed for the snapshot finds the same rows.

mod arrays;
mod json;
mod patterns;
mod texts;

use bytes::Bytes;
use plue_sync::engine::casing::{self, Casing};
use plue_sync::engine::filter::Filter;
use plue_sync::engine::tables::{Column, Labels, Table, quote_literal};
use plue_sync::shape::TableName;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::support::Database;

/// The result of an expression for a row, as text. Every error shows as this.
const FAILED: &str = "<failed>";
const SHOWN: &str = "CREATE FUNCTION shown(expression text, row_id int4) RETURNS text LANGUAGE plpgsql AS $$ \
    DECLARE result text; \
    BEGIN EXECUTE format(E'SELECT (%s\\n)::text FROM chosen WHERE id = %s', expression, row_id) INTO result; RETURN result; \
    EXCEPTION WHEN data_exception OR feature_not_supported OR program_limit_exceeded THEN RETURN '<failed>'; END $$";

/// A table of chosen values, here and in Postgres.
pub struct Chosen {
    client: Client,
    table: Table,
    rows: Vec<Vec<Option<Bytes>>>,
    _database: Database,
}

impl Chosen {
    /// `columns` as in CREATE TABLE; each row is a list for VALUES.
    pub async fn new(columns: &str, rows: &[&str]) -> Chosen {
        Self::of(Database::with_letters_of("C").await, columns, rows).await
    }

    /// The same in a database of one's own choice.
    pub async fn of(database: Database, columns: &str, rows: &[&str]) -> Chosen {
        let client = database.connect().await;
        client.batch_execute("SET TimeZone = 'UTC'").await.expect("settings");
        client.batch_execute(SHOWN).await.expect("a function");
        let create =
            format!("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE chosen (id int4, {columns}, expected text)");
        client.batch_execute(&create).await.expect("the table");
        for (id, row) in rows.iter().enumerate() {
            let insert = format!("INSERT INTO chosen VALUES ({id}, {row})");
            client.batch_execute(&insert).await.unwrap_or_else(|error| panic!("{insert}: {error:?}"));
        }
        let table = describe(&client).await;
        let printed = client.simple_query("SELECT * FROM chosen ORDER BY id").await.expect("the rows");
        let rows = printed.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|index| row.get(index).map(text)).collect()),
            _ => None,
        });
        Chosen { rows: rows.collect(), client, table, _database: database }
    }

    fn compile(&self, condition: &str) -> Result<Filter, String> {
        Filter::compile(condition, &[], &self.table).map_err(|error| error.message)
    }

    /// The results of each expression are those of Postgres, for every row.
    pub async fn agree(&self, expressions: &[&str]) {
        let mut wrong = Vec::new();
        for expression in expressions {
            wrong.extend(self.differences(expression).await.into_iter().take(3));
        }
        assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    }

    async fn differences(&self, expression: &str) -> Vec<String> {
        let theirs = self.theirs(expression).await;
        let filter = match self.compile(&format!("({expression})::text IS NOT DISTINCT FROM expected")) {
            Ok(filter) => filter,
            // An error of constants shows at once.
            Err(_) if theirs.iter().all(|result| result.as_deref() == Some(FAILED)) => return Vec::new(),
            Err(error) => return vec![format!("{expression}: refused: {error}")],
        };
        let mut wrong = Vec::new();
        for (row, result) in self.rows.iter().zip(&theirs) {
            let mut row = row.clone();
            let last = row.len() - 1;
            row[last] = result.as_deref().map(text);
            let agrees = filter.matches(&row) == (result.as_deref() != Some(FAILED));
            if !agrees {
                let ours = self.guess(expression, &row, &theirs);
                wrong.push(format!("{expression}: row {:?}: Postgres {result:?}, ours {ours}", self.shown(&row)));
            }
        }
        if !theirs.iter().any(|result| result.as_deref() == Some(FAILED)) {
            wrong.extend(self.printed_differs(expression, &theirs).await);
        }
        wrong
    }

    fn shown(&self, row: &[Option<Bytes>]) -> String {
        let text = |value: &Option<Bytes>| {
            value.as_ref().map_or("NULL".into(), |text| String::from_utf8_lossy(text).into_owned())
        };
        row.iter().map(text).collect::<Vec<_>>().join(" | ")
    }

    /// Which of the results that Postgres has for other rows is ours for this one.
    fn guess(&self, expression: &str, row: &[Option<Bytes>], results: &[Option<String>]) -> String {
        let is = |literal: &str| {
            let filter = self.compile(&format!("({expression})::text IS NOT DISTINCT FROM {literal}"));
            filter.is_ok_and(|filter| filter.matches(row))
        };
        let literals = results.iter().flatten().map(|result| quote_literal(result));
        let mut literals = literals.chain(["NULL", "'true'", "'false'"].map(str::to_owned));
        literals.find(|literal| is(literal)).unwrap_or_else(|| "something else, or failed".into())
    }

    /// The printed SQL finds the rows with one of the results.
    async fn printed_differs(&self, expression: &str, theirs: &[Option<String>]) -> Option<String> {
        let value = theirs.iter().flatten().max()?;
        let condition = format!("({expression})::text = {}", quote_literal(value));
        let filter = self.compile(&condition).ok()?;
        let expected: Vec<String> = (0..theirs.len())
            .filter(|id| theirs.get(*id).is_some_and(|result| result.as_ref() == Some(value)))
            .map(|id| id.to_string())
            .collect();
        let query = format!("SELECT id FROM chosen WHERE {} ORDER BY id", filter.sql());
        let found = match self.client.simple_query(&query).await {
            Ok(messages) => messages
                .iter()
                .filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                    _ => None,
                })
                .collect::<Vec<_>>(),
            Err(error) => return Some(format!("{expression}: printed as {}: {error:?}", filter.sql())),
        };
        (found != expected)
            .then(|| format!("{expression}: printed as {} finds {found:?}, not {expected:?}", filter.sql()))
    }

    async fn theirs(&self, expression: &str) -> Vec<Option<String>> {
        let query = format!("SELECT shown({}, id) FROM chosen ORDER BY id", quote_literal(expression));
        let messages = self.client.simple_query(&query).await.unwrap_or_else(|error| panic!("{expression}: {error:?}"));
        let result = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
            _ => None,
        };
        messages.iter().filter_map(result).collect()
    }

    /// Each condition is refused, with a message that has this text.
    pub fn refused(&self, cases: &[(&str, &str)]) {
        for (condition, reason) in cases {
            match self.compile(condition) {
                Ok(filter) => panic!("{condition} is accepted as {}", filter.sql()),
                Err(error) => assert!(error.contains(reason), "{condition}: {error}, not {reason}"),
            }
        }
    }
}

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn describe(client: &Client) -> Table {
    let describe = format!(
        "SELECT attname, atttypid, coalesce(e.typname, t.typname), coalesce(e.typtype, t.typtype)::text, attndims, \
                    coalesce(e.oid, t.oid), {} \
                    FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid LEFT JOIN pg_collation l ON l.oid = attcollation LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A' \
                    WHERE attrelid = 'chosen'::regclass AND attnum > 0 ORDER BY attnum",
        casing::query()
    );
    let described = client.query(&describe, &[]).await.expect("the columns");
    let columns = described.iter().map(|row| {
        let kind = row.get::<_, String>(3).chars().next().expect("one letter");
        let labels = Labels { type_oid: row.get(5), list: vec!["sad".into(), "ok".into()] };
        Column {
            name: row.get(0),
            type_oid: row.get(1),
            type_name: row.get(2),
            type_kind: kind,
            type_modifier: -1,
            dims: u32::try_from(row.get::<_, i32>(4)).expect("few dimensions"),
            not_null: false,
            generated: false,
            deterministic: true,
            labels: if kind == 'e' { labels } else { Labels::default() },
            casing: Casing::named(row.get(6)),
        }
    });
    let name = TableName { schema: "public".into(), name: "chosen".into() };
    Table { oid: 1, name, columns: columns.collect(), key: vec![0], has_primary_key: false, partitions: None }
}
