//! Reads the rows of values that have moved, at one moment that the stream will pass.

use std::time::Duration;

use futures_util::{StreamExt, pin_mut};
use tokio::time::{Instant, sleep, timeout_at};

use super::node::{Node, Row};
use crate::engine::collector::Collector;
use crate::engine::filter::{Key, Position, parts};
use crate::engine::pool::{Connection, Connections};
use crate::engine::snapshot::{Failure, Mark, begin, failure, fields, unexpected_row};
use crate::engine::tables::{Column, Table, quote_literal};
use crate::shape::{Lsn, quote_identifier};

/// Values asked for at once; the others follow.
pub const VALUES: usize = 2000;
/// Bytes of rows that one answer may have; more, and the shapes that need them start over.
const ROWS_BYTES: usize = 64 << 20;
/// A look whether Postgres shows by now what the stream has shown.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// A read that failed because Postgres was away is repeated after this,
const RETRY: Duration = Duration::from_millis(250);
/// and given up after this: a shape must not stand still for longer.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Which rows a node needs.
#[derive(Debug)]
pub struct Order {
    pub node: u64,
    pub round: u64,
    sql: String,
    /// As it is now; what the node relies on is as it was.
    table: std::sync::Arc<Table>,
    /// Columns of a row.
    width: usize,
    /// What the stream has shown, and a snapshot may not contain yet.
    earlier: Vec<u64>,
}

/// Rows as they were at one moment.
#[derive(Debug)]
pub struct Arrived {
    pub mark: Mark,
    /// The stream has shown everything that the mark contains when it has come so far.
    pub read: Lsn,
    pub rows: Vec<Row>,
}

impl Order {
    /// An order for the rows of `node` that have one of the values `asked` in a position.
    pub fn new(node: &Node, asked: &[(u64, Key)], earlier: Vec<u64>) -> Self {
        let table = &node.table;
        let columns: Vec<String> = table.columns.iter().map(|column| quote_identifier(&column.name)).collect();
        let sql = format!(
            "COPY (SELECT {} FROM {} WHERE {}) TO STDOUT",
            columns.join(", "),
            table.rows(),
            condition(node, asked)
        );
        Self {
            node: node.number,
            round: node.round,
            sql,
            table: node.table_now.clone(),
            earlier,
            width: table.columns.len(),
        }
    }
}

/// Rows that a move of these values can concern: the value is in a position, and what else an alternative with that position asks of the
/// row alone is so. The node decides; this keeps the answer small, and a row that it would not take makes no error.
fn condition(node: &Node, asked: &[(u64, Key)]) -> String {
    let Some(alternatives) = node.filter.as_ref().and_then(|filter| filter.alternatives()) else {
        return "false".into();
    };
    let mut found = Vec::new();
    for (at, position) in alternatives.positions.iter().enumerate() {
        let (Position::In { membership, .. }, Some(subquery)) = (position, node.subqueries.get(at).copied().flatten())
        else {
            continue;
        };
        let values = asked.iter().filter(|(number, _)| *number == subquery).map(|(_, key)| key);
        let columns: Vec<&Column> = membership.left.iter().map(|left| &node.table.columns[left.position]).collect();
        let Some(has_value) = any_of(&columns, values) else { continue };
        found.push(alternatives.rows_sql(at, &has_value));
    }
    if found.is_empty() { "false".into() } else { found.join(" OR ") }
}

fn any_of<'a>(columns: &[&Column], values: impl Iterator<Item = &'a Key>) -> Option<String> {
    let (mut list, mut others) = (Vec::new(), Vec::new());
    for value in values {
        let texts: Vec<Option<String>> =
            parts(value.as_ref()).zip(columns).map(|(part, column)| part.map(|text| literal(text, column))).collect();
        match texts.as_slice() {
            [Some(text)] => list.push(text.clone()),
            texts => {
                let equal = columns.iter().zip(texts).map(|(column, text)| {
                    let name = quote_identifier(&column.name);
                    match text {
                        Some(text) => format!("{name} = {text}"),
                        None => format!("{name} IS NULL"),
                    }
                });
                others.push(format!("({})", equal.collect::<Vec<_>>().join(" AND ")));
            }
        }
    }
    if let [column] = columns
        && !list.is_empty()
    {
        others.push(format!("{} IN ({})", quote_identifier(&column.name), list.join(", ")));
    }
    (!others.is_empty()).then(|| format!("({})", others.join(" OR ")))
}

/// A value as it is compared with a column. It takes the column's type, but integers may be larger than the column holds.
fn literal(text: &[u8], column: &Column) -> String {
    let quoted = quote_literal(&String::from_utf8_lossy(text));
    let is_integer = matches!(column.type_name.as_str(), "int2" | "int4" | "int8");
    if is_integer { format!("{quoted}::int8") } else { quoted }
}

/// Reads what `order` asks for and gives it to the collector.
pub async fn fetch(connections: Connections, collector: Collector, order: Order, timeout: Duration) {
    let mut give_up = None;
    let arrived = loop {
        // A turn in the pool is waited for as long as it takes.
        let client = match connections.get().await {
            Ok(client) => client,
            Err(bb8::RunError::TimedOut) => continue,
            Err(bb8::RunError::User(_))
                if Instant::now() < *give_up.get_or_insert_with(|| Instant::now() + GIVE_UP) =>
            {
                sleep(RETRY).await;
                continue;
            }
            Err(bb8::RunError::User(_)) => break Err(Failure::Unreachable),
        };
        let give_up = *give_up.get_or_insert_with(|| Instant::now() + GIVE_UP);
        match read(client, &order, Instant::now() + timeout).await {
            Err(Failure::Unreachable | Failure::Retry(_)) if Instant::now() < give_up => sleep(RETRY).await,
            other => break other,
        }
    };
    collector.rows_arrived(order.node, order.round, arrived).await;
}

async fn read(mut client: Connection<'_>, order: &Order, deadline: Instant) -> Result<Arrived, Failure> {
    let late = |_| Failure::Retry("reading the rows of a move took too long".into());
    client.spoiled = true;
    let arrived = timeout_at(deadline, read_with(&mut client, order)).await.map_err(late)??;
    client.spoiled = false;
    Ok(arrived)
}

async fn read_with(client: &mut Connection<'_>, order: &Order) -> Result<Arrived, Failure> {
    let (mark, read) = loop {
        let (mark, read) = begin(client, std::slice::from_ref(&order.table)).await?;
        if order.earlier.iter().all(|xid| mark.contains(*xid)) {
            break (mark, read);
        }
        // Postgres sends a commit a moment before others can see it.
        client.batch_execute("ROLLBACK").await.map_err(|error| failure(&error))?;
        sleep(LOOK_AGAIN).await;
    };
    let lines = client.copy_out(&order.sql).await.map_err(|error| failure(&error))?;
    pin_mut!(lines);
    let (mut rows, mut bytes, mut scratch) = (Vec::new(), 0, Vec::new());
    while let Some(line) = lines.next().await {
        let line = line.map_err(|error| failure(&error))?;
        bytes += line.len();
        if bytes > ROWS_BYTES {
            return Err(Failure::Unexpected("too many rows moved at once".into()));
        }
        let row = fields(&line, order.width, &mut scratch).ok_or_else(unexpected_row)?;
        rows.push(row.into_iter().map(|field| field.map(bytes::Bytes::copy_from_slice)).collect());
    }
    client.batch_execute("COMMIT").await.map_err(|error| failure(&error))?;
    Ok(Arrived { mark, read, rows })
}
