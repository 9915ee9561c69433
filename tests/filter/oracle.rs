//! The odd table: its rows as replication tells them, and what Postgres says of a condition on it.

use std::fmt::Write;

use bytes::Bytes;
use plue_sync::engine::filter::Filter;
use plue_sync::engine::replication::pgoutput::{Field, Message, Tuple, decode};
use plue_sync::engine::replication::{Connection, Frame, OUTPUT_SETTINGS, Publishing, SetUp, Stream, set_up};
use plue_sync::engine::tables::{self, Table, quote_literal};
use plue_sync::postgres::Postgres;
use plue_sync::shape::TableName;
use tokio_postgres::{Client, NoTls};

use super::generator::ODD_NAMES;
use super::values::{DECLARED, KINDS, LAST_MOMENT};
use crate::support::{Database, Random, eventually};

const ROWS: usize = 48;
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);

/// A row by its id.
pub type Row = (i32, Vec<Option<Bytes>>);

/// The table in Postgres and its rows here.
pub struct Oracle {
    pub table: Table,
    pub rows: Vec<Row>,
    /// The values of each kind that this server takes, in the order of `KINDS`.
    pub values: Vec<Vec<&'static str>>,
    database: Database,
}

/// The collations of the columns of text types, by type; the others have none.
pub type Collations = &'static [(&'static str, &'static str)];

/// As we order strings.
pub const BY_CODE_POINT: Collations =
    &[("text", "\"C\""), ("varchar(30)", "\"C\""), ("char(8)", "\"C\""), ("text[]", "\"C\"")];
/// As others do, one of them with equal strings of different bytes.
pub const OTHERWISE: Collations =
    &[("text", "\"und-x-icu\""), ("varchar(30)", "lenient"), ("char(8)", "\"und-x-icu\""), ("text[]", "\"und-x-icu\"")];

/// A connection that judges.
pub struct Judge(Client);

/// What Postgres says of a condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The ids for which it is TRUE.
    Rows(Vec<i32>),
    /// It fails on some rows; these are the ids for which it is TRUE, and those on which it fails.
    Partly(Vec<i32>, Vec<i32>),
    /// It fails whatever the rows are: a constant in it does.
    Fails(String),
    /// It is no condition.
    Refused(String),
}

impl Oracle {
    pub async fn new(random: &mut Random, collations: Collations) -> Oracle {
        let database = ascii_database().await;
        let client = database.connect().await;
        client.batch_execute(DECLARED).await.expect("the types");
        let values = values(&client).await;
        let mut columns = String::from("id int4 PRIMARY KEY");
        for (name, sql) in names() {
            let collation = collations.iter().find(|(own, _)| *own == sql);
            let collate = collation.map_or_else(String::new, |(_, collation)| format!("COLLATE {collation}"));
            write!(columns, ", {name} {sql} {collate}").expect("a string takes it");
        }
        client.batch_execute(&format!("CREATE TABLE odd ({columns})")).await.expect("the table");
        let mut stream = Streamed::of(&database).await;
        client.batch_execute(&inserts(random, &values)).await.expect("the rows");
        let rows = stream.rows().await;
        let name = TableName { schema: "public".into(), name: "odd".into() };
        let table = tables::find(&client, &name).await.expect("an answer").expect("the table");
        client.batch_execute(JUDGE).await.expect("the functions");
        Oracle { table, rows, values, database }
    }

    /// A connection that prints values as the engine's own do.
    pub async fn judge(&self) -> Judge {
        let client = self.database.connect().await;
        for (name, value) in OUTPUT_SETTINGS {
            client.batch_execute(&format!("SET {name} = {}", quote_literal(value))).await.expect("a setting");
        }
        let own = "SET plan_cache_mode = force_generic_plan; SET statement_timeout = '20s'; SET jit = off";
        client.batch_execute(own).await.expect("settings");
        Judge(client)
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The rows for which the evaluator says TRUE.
    pub fn ours(&self, filter: &Filter) -> Vec<i32> {
        self.rows.iter().filter(|(_, row)| filter.matches(row)).map(|(id, _)| *id).collect()
    }

    /// A row as text, for messages.
    pub fn row(&self, id: i32, columns: &[usize]) -> String {
        let (_, row) = self.rows.iter().find(|(own, _)| *own == id).expect("a row of the table");
        let shown = columns.iter().map(|at| {
            let value =
                row[*at].as_ref().map_or("NULL".into(), |value| format!("{:?}", String::from_utf8_lossy(value)));
            format!("{}={value}", self.table.columns[*at].name)
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

impl Judge {
    /// What Postgres says of each as the condition of a query.
    pub async fn verdicts(&self, conditions: &[&str]) -> Vec<Verdict> {
        self.ask("judge", conditions).await
    }

    /// What it says of each row by row: a query's plan may get round an error that an expression has.
    pub async fn verdict_by_row(&self, condition: &str) -> Verdict {
        self.ask("judge_rows", &[condition]).await.pop().expect("one verdict")
    }

    async fn ask(&self, judge: &str, conditions: &[&str]) -> Vec<Verdict> {
        let ask = format!("SELECT {judge}(c) FROM unnest($1::text[]) WITH ORDINALITY u(c, n) ORDER BY n");
        let answers = self.0.query(&ask, &[&conditions]).await.expect("verdicts");
        answers.iter().map(|answer| verdict(answer.get(0))).collect()
    }
}

fn verdict(text: &str) -> Verdict {
    let ids = |text: &str| -> Vec<i32> { text.split(',').filter_map(|id| id.parse().ok()).collect() };
    match text.split_once(':') {
        Some(("rows", list)) => Verdict::Rows(ids(list)),
        Some(("partly", lists)) => {
            let (matching, failing) = lists.split_once(';').expect("two lists");
            Verdict::Partly(ids(matching), ids(failing))
        }
        Some(("fails", why)) => Verdict::Fails(why.to_owned()),
        Some(("refused", why)) => Verdict::Refused(why.to_owned()),
        _ => panic!("no verdict: {text}"),
    }
}

/// A database in which only ASCII has upper and lower case, whatever the cluster's own locale is: texts without a column follow it.
async fn ascii_database() -> Database {
    let database = Database::fresh().await;
    let (server, name) = database.url().rsplit_once('/').expect("an address with a database");
    let (admin, connection) =
        tokio_postgres::connect(&format!("{server}/template1"), NoTls).await.expect("a connection");
    let connection = tokio::spawn(connection);
    admin.batch_execute(&format!("DROP DATABASE {name}")).await.expect("an empty database");
    let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'");
    admin.batch_execute(&create).await.expect("a database");
    drop(admin);
    connection.await.expect("the connection's end").expect("a connection that ends well");
    database
}

/// The names and types of all columns but the first.
fn names() -> Vec<(String, &'static str)> {
    let kinds = KINDS.iter().flat_map(|kind| ["a", "b"].map(|half| (format!("{}{half}", kind.name), kind.sql)));
    kinds.chain(ODD_NAMES.iter().map(|(_, sql, name)| ((*name).to_owned(), *sql))).collect()
}

/// Leaves out what this server does not take.
async fn values(client: &Client) -> Vec<Vec<&'static str>> {
    let version: i32 =
        client.query_one("SELECT current_setting('server_version_num')::int4", &[]).await.expect("a version").get(0);
    let mut all = Vec::new();
    for kind in KINDS {
        let mut taken = Vec::new();
        for value in kind.values {
            let cast = format!("SELECT {}::{}", quote_literal(value), kind.sql);
            let wrong = *value == LAST_MOMENT && version < 16_00_00;
            if !wrong && client.simple_query(&cast).await.is_ok() {
                taken.push(*value);
            }
        }
        assert!(taken.len() * 2 > kind.values.len(), "{} takes only {taken:?}", kind.sql);
        all.push(taken);
    }
    all
}

fn inserts(random: &mut Random, values: &[Vec<&'static str>]) -> String {
    let mut sql = String::from("BEGIN;");
    for id in 0..ROWS {
        write!(sql, "INSERT INTO odd VALUES ({id}").expect("a string takes it");
        let odd = [["0", "5"], ["a", "x"], ["7", "-1"], ["true", "false"]];
        let columns = values.iter().flat_map(|list| [list.as_slice(), list]).chain(odd.iter().map(|list| &list[..]));
        for list in columns {
            let value = if random.one_in(8) { "NULL".into() } else { quote_literal(random.pick(list)) };
            write!(sql, ", {value}").expect("a string takes it");
        }
        sql.push_str(");");
    }
    sql + "COMMIT"
}

/// The table's rows in the replication stream.
struct Streamed(Stream);

impl Streamed {
    /// Starts to follow the table.
    async fn of(database: &Database) -> Self {
        let postgres = Postgres::from_url(database.url()).expect("a valid URL");
        let mut connection = Connection::connect(&postgres).await.expect("a replication connection");
        let ready = eventually(DEADLINE, "a slot of our own", async || {
            match set_up(&mut connection, "oracle", Publishing::Automatic).await.expect("a set-up") {
                SetUp::Ready(ready) => Ok(ready),
                SetUp::Waiting { reason } => Err(reason),
                SetUp::Unpublished { .. } => unreachable!("it publishes"),
            }
        })
        .await;
        let publish = format!("ALTER PUBLICATION {} ADD TABLE odd", ready.publication);
        connection.query(&publish).await.expect("a published table");
        Self(connection.start(&ready.identity.slot, &ready.publication).await.expect("a stream"))
    }

    /// The rows of the next transaction that inserts some.
    async fn rows(&mut self) -> Vec<Row> {
        let mut rows = Vec::new();
        let reading = async {
            loop {
                let Frame::Data { payload } = self.0.next().await.expect("a frame") else { continue };
                match decode(payload).expect("a well-formed message") {
                    Message::Insert { new, .. } => rows.push(row(new)),
                    Message::Commit { .. } if !rows.is_empty() => return,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(DEADLINE, reading).await.expect("the rows in time");
        assert_eq!(rows.len(), ROWS);
        rows
    }
}

fn row(tuple: Tuple) -> Row {
    let values: Vec<Option<Bytes>> = tuple
        .into_iter()
        .map(|field| match field {
            Field::Text(text) => Some(Bytes::copy_from_slice(&text)),
            Field::Null => None,
            Field::Unchanged => panic!("an insert knows its values"),
        })
        .collect();
    let id = values[0].as_deref().and_then(|id| std::str::from_utf8(id).ok()).and_then(|id| id.parse().ok());
    (id.expect("an id"), values)
}

/// Judges a condition: `judge` as a whole, as the snapshot's query does, and where that fails, row by row, as `judge_rows` does.
///
/// Errors of class 42 are about the text. Others come from values: from constants if they come without any row.
const JUDGE: &str = r#"
CREATE FUNCTION judge_rows(condition text) RETURNS text LANGUAGE plpgsql AS $judge$
DECLARE found text := ''; failed text := ''; holds bool; row_id int4;
BEGIN
  BEGIN
    EXECUTE 'PREPARE one (int4) AS SELECT (' || condition || E'\n) IS TRUE FROM odd WHERE id = $1';
    EXECUTE 'EXECUTE one (-1)';
  EXCEPTION WHEN others THEN
    BEGIN DEALLOCATE one; EXCEPTION WHEN others THEN NULL; END;
    RETURN 'fails:' || SQLSTATE || ' ' || SQLERRM;
  END;
  FOR row_id IN SELECT id FROM odd ORDER BY id LOOP
    BEGIN
      EXECUTE 'EXECUTE one (' || row_id || ')' INTO holds;
      IF holds THEN found := found || row_id || ','; END IF;
    EXCEPTION WHEN others THEN failed := failed || row_id || ',';
    END;
  END LOOP;
  DEALLOCATE one;
  RETURN 'partly:' || found || ';' || failed;
END $judge$;
CREATE FUNCTION judge(condition text) RETURNS text LANGUAGE plpgsql AS $judge$
DECLARE found text;
BEGIN
  EXECUTE E'SELECT coalesce(string_agg(id::text, '','' ORDER BY id), '''') FROM odd WHERE ' || condition || E'\n' INTO found;
  RETURN 'rows:' || found;
EXCEPTION WHEN others THEN
  IF SQLSTATE LIKE '42%' THEN RETURN 'refused:' || SQLSTATE || ' ' || SQLERRM; END IF;
  RETURN judge_rows(condition);
END $judge$;
"#;
