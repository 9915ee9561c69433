//! Reads the rows of a subset, in a transaction of its own.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, pin_mut};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::Client;
use tokio_postgres::error::{ErrorPosition, SqlState};

use super::part::{Part, Sql};
use super::spool::{Spool, SpoolError};
use crate::engine::pool::{Canceller, Connection};
use crate::engine::shape::Shape;
use crate::engine::snapshot::{
    Failure, Mark, Messages, begin_with, connection, failure, slow, unexpected_row, wait_for_flush,
};
use crate::engine::state::State;
use crate::shape::{Invalid, Lsn};

/// How long a request waits for a place to run in. As long as for a connection.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a wait for Postgres looks again.
const POLL: Duration = Duration::from_millis(10);
/// `snapshot_mark` has 31 bits: a reader may keep it as a signed number.
const LARGEST_MARK: u32 = i32::MAX as u32;

/// Why there are no rows.
#[derive(Debug)]
pub enum Refusal {
    Failed(Failure),
    /// Postgres refuses what the client asks for.
    Invalid(Invalid),
    /// More than one subset may hold.
    TooLarge,
    /// More than all subsets together may hold.
    TooMuch,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<SpoolError> for Refusal {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::TooLarge => Self::TooLarge,
            SpoolError::TooMuch => Self::TooMuch,
            SpoolError::Disk(error) => {
                Self::Failed(Failure::Unexpected(format!("a subset could not be stored: {error}")))
            }
        }
    }
}

/// The rows of a part of a shape, as the whole body of an answer. To be run where the pool's connections live.
///
/// Takes at most `snapshot_timeout`. If it is dropped, its query is cancelled.
pub async fn read(state: Arc<State>, shape: Arc<Shape>, part: Part) -> Result<Spool, Refusal> {
    let deadline = Instant::now() + state.snapshot_timeout;
    let busy = || Failure::Retry("Too many subsets are being read. Please try again.".into());
    let _place = timeout(PATIENCE, state.subsets.running.acquire()).await.ok().and_then(Result::ok).ok_or_else(busy)?;
    let reading = copy(&state, &shape, &part, deadline);
    timeout_at(deadline, reading).await.unwrap_or_else(|_| Err(slow(state.snapshot_timeout).into()))
}

async fn copy(state: &State, shape: &Shape, part: &Part, deadline: Instant) -> Result<Spool, Refusal> {
    let shown = state.collector.shown().await?;
    let mut client = connection(&state.connections).await?;
    // Whatever ends this early, the connection is not used again in the middle of a transaction.
    client.spoiled = true;
    let mut running = Running::new(&state.runtime, &client);
    let (mark, seen) = join(state, shape, &client, &shown).await?;
    let mut messages = Messages::new(shape);
    let sql = part.sql(&shape.definition, &messages);
    let refused = |error: tokio_postgres::Error| refusal(&error, part, &sql, state.snapshot_timeout);
    let limit = state.snapshot_timeout.as_millis().clamp(1, i32::MAX as u128);
    client.batch_execute(&format!("SET LOCAL statement_timeout = {limit}")).await.map_err(refused)?;

    let name = rand::random_range(0..=LARGEST_MARK);
    let mut body = Spool::new(&state.files, &state.subsets.budget);
    body.write(metadata(&mark, name, seen).as_bytes()).await?;
    let in_subset = format!(",\"snapshot_mark\":{name}");
    let rows = client.copy_out(&copied(&sql.text)).await.map_err(refused)?;
    pin_mut!(rows);
    let mut message = Vec::new();
    let mut separator: &[u8] = b"";
    while let Some(line) = rows.next().await {
        let line = line.map_err(refused)?;
        message.clear();
        message.extend_from_slice(separator);
        separator = b",";
        messages.write(&mut message, &line, in_subset.as_bytes()).ok_or_else(unexpected_row)?;
        message.extend_from_slice(b"}}");
        body.write(&message).await?;
    }
    body.write(b"]}").await?;
    wait_for_flush(&client, seen, deadline).await?;
    client.batch_execute("COMMIT").await.map_err(refused)?;
    running.over();
    client.spoiled = false;
    Ok(body)
}

/// Opens a transaction that contains all that readers of the log may have seen before they asked.
async fn join(state: &State, shape: &Shape, client: &Client, shown: &[u64]) -> Result<(Mark, Lsn), Failure> {
    loop {
        // As it is now: what has changed and did not end the shape does not concern its rows.
        let inner = shape.definition.tables().into_iter().skip(1);
        let tables: Vec<_> = [shape.table_now()].into_iter().chain(inner).collect();
        let (mark, seen) = begin_with(client, &tables, &tables[..1]).await?;
        let missing = shown.iter().any(|xid| !mark.contains(*xid));
        if !shown.is_empty() {
            state.collector.visible(mark.clone()).await;
        }
        if !missing {
            return Ok((mark, seen));
        }
        client.batch_execute("ROLLBACK").await.map_err(|error| failure(&error))?;
        sleep(POLL).await;
    }
}

/// The beginning of the body, up to the rows (protocol, 9.4).
///
/// `database_lsn` lies after every transaction that the rows contain: whoever has followed the log up to it
/// has nothing left to compare them with. `pg_current_wal_lsn()` would not do, since what commits without
/// waiting for the disk can be seen before it is written.
fn metadata(mark: &Mark, name: u32, seen: Lsn) -> String {
    let in_progress: Vec<String> = mark.xip.iter().map(|xid| format!("\"{xid}\"")).collect();
    let (xmin, xmax, list) = (mark.xmin, mark.xmax, in_progress.join(","));
    format!(
        r#"{{"metadata":{{"xmin":"{xmin}","xmax":"{xmax}","xip_list":[{list}],"snapshot_mark":{name},"database_lsn":"{seen}"}},"data":["#
    )
}

/// What stands before a query so that its rows are copied.
const COPY: &str = "COPY (";

fn copied(query: &str) -> String {
    format!("{COPY}{query}) TO STDOUT")
}

/// Sorts an error of Postgres by its cure. What the client's condition or order brings about is the client's to mend.
fn refusal(error: &tokio_postgres::Error, part: &Part, sql: &Sql, limit: Duration) -> Refusal {
    let Some(database) = error.as_db_error() else { return Failure::Unreachable.into() };
    let code = database.code();
    let message = database.message();
    if *code == SqlState::QUERY_CANCELED {
        return slow(limit).into();
    }
    // Positions count characters from 1.
    let order_begins = COPY.len() + sql.order_by;
    let at = |position: &ErrorPosition| matches!(position, ErrorPosition::Original(at) if *at as usize > order_begins);
    if *code == SqlState::UNDEFINED_FUNCTION && database.position().is_some_and(at) {
        // A type without an order.
        return Refusal::Invalid(Invalid::one("order_by", message).in_subset());
    }
    // Values that a condition cannot be calculated for, and conditions that are too much for Postgres.
    let of_condition = ["22", "54"].iter().any(|class| code.code().starts_with(class));
    if of_condition || *code == SqlState::INDETERMINATE_COLLATION {
        let own = part.is_filtered();
        return Refusal::Invalid(if own {
            Invalid::said_of_subset("where", message)
        } else {
            Invalid::one("where", message)
        });
    }
    failure(error).into()
}

/// Cancels what runs on a connection, unless it is over when this is dropped.
struct Running<'a> {
    runtime: &'a Handle,
    canceller: Option<Canceller>,
}

impl<'a> Running<'a> {
    fn new(runtime: &'a Handle, client: &Connection<'_>) -> Self {
        Self { runtime, canceller: Some(client.canceller()) }
    }

    fn over(&mut self) {
        self.canceller = None;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(canceller) = self.canceller.take() {
            self.runtime.spawn(canceller.cancel());
        }
    }
}
