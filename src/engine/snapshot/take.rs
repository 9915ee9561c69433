//! Makes the snapshot of one shape.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, pin_mut};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tracing::warn;

use super::rejoin::join_with_subqueries;
use super::{Failure, Mark, Messages};
use crate::engine::collector::{Collector, Verdict};
use crate::engine::pool::{Connection, Connections};
use crate::engine::publication::Publication;
use crate::engine::replication::OUTPUT_SETTINGS;
use crate::engine::shape::{Definition, Files, Shape};
use crate::engine::tables::{Partition, Table, partitions};
use crate::shape::control::snapshot_end;
use crate::shape::{LogMode, Lsn};

/// Rows are written to the file in pieces of this size.
const WRITE_BYTES: usize = 1 << 20;
/// How often a wait for Postgres looks again.
const POLL: Duration = Duration::from_millis(10);

/// Whom the snapshot needs.
#[derive(Debug, Clone)]
pub struct Context {
    pub connections: Connections,
    pub publication: Arc<Publication>,
    pub collector: Collector,
    pub files: Files,
    pub chunk_bytes: u64,
    /// Until the first row.
    pub timeout: Duration,
}

/// Makes the snapshot and lets the shape's readers see it, chunk by chunk. Ends with the shape in the catalogue.
///
/// # Errors
/// There is no snapshot. The caller fails the shape.
pub async fn take(context: &Context, shape: &Arc<Shape>) -> Result<(), Failure> {
    let deadline = Instant::now() + context.timeout;
    let joined = timeout_at(deadline, join(context, shape, deadline));
    let mut client = joined.await.map_err(|_| slow(context.timeout))??;
    let path = context.files.snapshot(&shape.handle);
    let copied = copy_rows(context, shape, &client, &path, deadline).await;
    if copied.is_err() {
        // If it was not made yet, there is nothing to delete.
        let _ = tokio::fs::remove_file(&path).await;
    }
    let chunk_ends = copied?;
    client.batch_execute("COMMIT").await.map_err(|error| failure(&error))?;
    client.spoiled = false;
    drop(client);
    context.collector.finish(shape, chunk_ends.clone()).await?;
    shape.snapshot.finish(&chunk_ends);
    Ok(())
}

/// Opens a transaction whose snapshot the stream continues exactly; all that it sees is on Postgres' disk.
async fn join<'a>(context: &'a Context, shape: &Arc<Shape>, deadline: Instant) -> Result<Connection<'a>, Failure> {
    let mut client = connection(&context.connections).await?;
    publish(context, shape, &client).await?;
    context.collector.register(Arc::clone(shape)).await?;
    // Whatever ends this early, the connection is not used again in the middle of a transaction.
    client.spoiled = true;
    loop {
        let (mark, seen) = begin(&client, &shape.definition.tables()).await?;
        let verdict = match shape.definition.has_subqueries() {
            true => join_with_subqueries(context, shape, &client, &mark, seen, false).await?,
            false => context.collector.snapshot_taken(shape.number, mark.clone()).await?,
        };
        if verdict == Verdict::Accepted {
            shape.snapshot.set_mark(mark);
            wait_for_flush(&client, seen, deadline).await?;
            return Ok(client);
        }
        // A transaction that the stream has shown already is not visible yet: Postgres makes a commit
        // durable, and sends it, a moment before others can see it.
        client.batch_execute("ROLLBACK").await.map_err(|error| failure(&error))?;
        sleep(POLL).await;
    }
}

/// Has the stream tell of the tables of a shape.
pub async fn publish(context: &Context, shape: &Shape, client: &Client) -> Result<(), Failure> {
    let definition = &shape.definition;
    let shown = |name: &str| definition.selection.columns.iter().any(|column| column == name);
    shape.set_entry(context.publication.ensure(client, &definition.table, shown).await?);
    for inner in definition.tables().iter().skip(1) {
        // What a subquery reads is in the stream: its conditions and columns are checked for that.
        context.publication.ensure(client, inner, |_| false).await?;
    }
    Ok(())
}

/// What is said of a line that has other columns than were asked for.
pub fn unexpected_row() -> Failure {
    Failure::Unexpected("a row of COPY does not have the columns asked for".into())
}

/// A connection of the pool.
pub async fn connection(connections: &Connections) -> Result<Connection<'_>, Failure> {
    connections.get().await.map_err(|error| match error {
        bb8::RunError::User(error) => failure(&error),
        bb8::RunError::TimedOut => {
            Failure::Retry("Snapshot creation failed because of a connection pool queue timeout".into())
        }
    })
}

/// Starts a transaction that reads `tables`; returns what it sees, and a position that lies after all of that, and that
/// the stream comes to even if nothing more is written.
///
/// # Errors
/// A table is not the one that it was, or cannot be read.
pub async fn begin(client: &Client, tables: &[Arc<Table>]) -> Result<(Mark, Lsn), Failure> {
    begin_with(client, tables, tables).await
}

/// The same, where only the partitions of `checked` must be what they were.
pub async fn begin_with(
    client: &Client,
    tables: &[Arc<Table>],
    checked: &[Arc<Table>],
) -> Result<(Mark, Lsn), Failure> {
    let mut begin = String::from("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;");
    // For this transaction alone: behind a pooler the next one may be on another session.
    begin.extend(OUTPUT_SETTINGS.iter().map(|(name, value)| format!("SET LOCAL {name} = '{value}';")));
    // Rows that a policy hides are in the stream all the same: better no snapshot than one without them.
    begin.push_str("SET LOCAL row_security = off; SET LOCAL lock_timeout = '10s';");
    // The locks come before the transaction's snapshot: a rewrite of a table in between would look empty to it.
    let rows: Vec<String> = tables.iter().map(|table| table.rows()).collect();
    begin.push_str(&format!("LOCK TABLE {} IN ACCESS SHARE MODE", rows.join(", ")));
    client.batch_execute(&begin).await.map_err(|error| failure(&error))?;
    let names: Vec<String> = tables.iter().map(|table| table.name.quoted()).collect();
    let sql = "SELECT pg_current_snapshot()::text, pg_current_wal_insert_lsn()::text,
                      ARRAY(SELECT to_regclass(name)::oid FROM unnest($1::text[]) WITH ORDINALITY AS of (name, at) ORDER BY at)";
    let row = client.query_one(sql, &[&names]).await.map_err(|error| failure(&error))?;
    let found: Vec<Option<u32>> = row.get(2);
    if !found.into_iter().eq(tables.iter().map(|table| Some(table.oid))) {
        return Err(Failure::Changed);
    }
    let partitioned: Vec<&Arc<Table>> = checked.iter().filter(|table| table.partitions.is_some()).collect();
    if !partitioned.is_empty() {
        // What is followed is what the snapshot has: others have come or gone since the shape was defined.
        let oids: Vec<u32> = partitioned.iter().map(|table| table.oid).collect();
        let now = partitions(client, &oids).await.map_err(|error| failure(&error))?;
        let ids = |list: &[Partition]| list.iter().map(|of| (of.oid, of.attached)).collect::<Vec<_>>();
        let same = |table: &&Arc<Table>| {
            let now = now.get(&table.oid).map(Vec::as_slice).unwrap_or_default();
            ids(now) == ids(table.partitions())
        };
        if !partitioned.iter().all(same) {
            return Err(Failure::Changed);
        }
    }
    let unexpected = |error: String| Failure::Unexpected(error);
    let mark = row.get::<_, &str>(0).parse::<Mark>().map_err(|error| unexpected(error.to_string()))?;
    let read = row.get::<_, &str>(1).parse::<Lsn>().map_err(|error| unexpected(error.to_string()))?;
    Ok((mark, flush_target(read)))
}

/// Copies the rows into the shape's file and returns where its chunks end.
async fn copy_rows(
    context: &Context,
    shape: &Shape,
    client: &Client,
    path: &Path,
    deadline: Instant,
) -> Result<Vec<u64>, Failure> {
    let mut messages = Messages::new(shape);
    let mut file = ChunkedFile::create(path, context.chunk_bytes).await?;
    if shape.definition.log == LogMode::ChangesOnly {
        shape.snapshot.set_rows(0);
        return file.finish(shape).await;
    }
    let rows = timeout_at(deadline, client.copy_out(&messages.query())).await;
    let rows = rows.map_err(|_| slow(context.timeout))?.map_err(|error| rows_failure(&error, &shape.definition))?;
    pin_mut!(rows);
    let mut message = Vec::new();
    let mut count = 0;
    let mut patience = deadline;
    while let Some(line) = timeout_at(patience, rows.next()).await.map_err(|_| slow(context.timeout))? {
        // From the first row on, each has as long as that one had.
        patience = Instant::now() + context.timeout;
        if shape.log.has_ended() {
            return Err(Failure::Changed);
        }
        let line = line.map_err(|error| rows_failure(&error, &shape.definition))?;
        message.clear();
        messages.write(&mut message, &line, b"").ok_or_else(unexpected_row)?;
        message.extend_from_slice(b"}}");
        count += 1;
        if file.message(&message).await? {
            file.sync().await?;
            shape.snapshot.show(&file.chunk_ends);
        }
    }
    shape.snapshot.set_rows(count);
    file.finish(shape).await
}

/// Waits until Postgres has on disk what the snapshot saw: with `synchronous_commit=off` a crash could
/// otherwise take back rows that readers have been shown. `seen` is the position that [`begin`] gave.
pub async fn wait_for_flush(client: &Client, seen: Lsn, deadline: Instant) -> Result<(), Failure> {
    loop {
        let row = client.query_one("SELECT pg_current_wal_flush_lsn()::text", &[]).await;
        let row = row.map_err(|error| failure(&error))?;
        if row.get::<_, &str>(0).parse::<Lsn>().is_ok_and(|flushed| flushed >= seen) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Failure::Retry("Postgres has not flushed what the snapshot read".into()));
        }
        sleep(POLL).await;
    }
}

/// The flush position that covers everything written before insert position `read`.
///
/// At the start of a page the insert position lies after the page's header (24 bytes, in the first page of a
/// segment 40), which is not written before the next record is. Segments are of 1 MiB or more.
pub fn flush_target(read: Lsn) -> Lsn {
    if read.0 % (1 << 20) == 40 {
        Lsn(read.0 - 40)
    } else if read.0 % 8192 == 24 {
        Lsn(read.0 - 24)
    } else {
        read
    }
}

/// A query that Postgres does not answer in time.
pub fn slow(limit: Duration) -> Failure {
    Failure::Retry(format!(
        "Snapshot query took too long to return data (cancelled after {}ms). An index on the columns of the filter would make it fast",
        limit.as_millis()
    ))
}

/// Sorts an error of reading rows by its cure. What a condition alone can cause is its author's to mend: a
/// division by zero, a number out of range, a text that is no date.
pub fn rows_failure(error: &tokio_postgres::Error, definition: &Definition) -> Failure {
    /// Data exceptions, limits of a statement, what is not supported, and a row where one value was expected.
    const CLASSES: [&str; 4] = ["22", "54", "0A", "21"];
    match error.as_db_error() {
        Some(database)
            if definition.condition.is_some()
                && CLASSES.iter().any(|class| database.code().code().starts_with(class)) =>
        {
            // Not the message: it may quote a value of a row that the caller must not see.
            Failure::Condition(database.code().code().to_owned())
        }
        _ => failure(error),
    }
}

/// Sorts an error of Postgres by its cure.
pub fn failure(error: &tokio_postgres::Error) -> Failure {
    let Some(database) = error.as_db_error() else { return Failure::Unreachable };
    let code = database.code();
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        let cure = "the role of the database URL needs SELECT on the table and USAGE on its schema, and BYPASSRLS where row-level \
                    security is on";
        return Failure::Retry(format!("Unable to create initial snapshot: {}; {cure}", database.message()));
    }
    if [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN, SqlState::UNDEFINED_FUNCTION].contains(code) {
        return Failure::Changed;
    }
    match code.code() {
        // A database of another encoding, or of none, has text that is no UTF-8.
        "22021" | "22P05" => Failure::Retry(format!("Unable to create initial snapshot: {}", database.message())),
        "55P03" => Failure::Retry("Snapshot timed out while waiting for a table lock".into()),
        // A timeout that the operator has set for the role, or the operator's own hand.
        "57014" => Failure::Retry("Snapshot query was cancelled by Postgres".into()),
        // Two transactions in each other's way.
        code if code.starts_with("40") => Failure::Retry(database.message().to_owned()),
        // Shutting down, starting up, too many connections.
        code if code.starts_with("57P") || code.starts_with("53") || code.starts_with("08") => Failure::Unreachable,
        _ => {
            warn!(code = code.code(), "a snapshot failed: {}", database.message());
            Failure::Unexpected(database.message().to_owned())
        }
    }
}

/// Writes messages to a file, with commas within a chunk and none between chunks.
struct ChunkedFile {
    file: File,
    chunk_bytes: u64,
    buffer: Vec<u8>,
    written: u64,
    in_chunk: u64,
    chunk_ends: Vec<u64>,
}

impl ChunkedFile {
    async fn create(path: &Path, chunk_bytes: u64) -> Result<Self, Failure> {
        let file = File::create(path).await.map_err(|error| disk(&error))?;
        Ok(Self { file, chunk_bytes, buffer: Vec::new(), written: 0, in_chunk: 0, chunk_ends: Vec::new() })
    }

    /// Adds a message; true if it closed a chunk.
    async fn message(&mut self, message: &[u8]) -> Result<bool, Failure> {
        if self.in_chunk > 0 {
            self.buffer.push(b',');
        }
        self.buffer.extend_from_slice(message);
        self.in_chunk += message.len() as u64 + 1;
        let closes = self.in_chunk >= self.chunk_bytes;
        if closes {
            self.close_chunk();
        }
        if self.buffer.len() >= WRITE_BYTES {
            self.write().await?;
        }
        Ok(closes)
    }

    fn close_chunk(&mut self) {
        self.chunk_ends.push(self.written + self.buffer.len() as u64);
        self.in_chunk = 0;
    }

    async fn write(&mut self) -> Result<(), Failure> {
        self.file.write_all(&self.buffer).await.map_err(|error| disk(&error))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), Failure> {
        self.write().await?;
        self.file.sync_data().await.map_err(|error| disk(&error))
    }

    /// Ends the snapshot of `shape`, and returns where its chunks end.
    async fn finish(mut self, shape: &Shape) -> Result<Vec<u64>, Failure> {
        let mark = shape.snapshot.mark().unwrap_or(Mark { xmin: 0, xmax: 0, xip: Vec::new() });
        self.message(&snapshot_end(mark.xmin, mark.xmax, &mark.xip)).await?;
        if self.in_chunk > 0 {
            self.close_chunk();
        }
        self.sync().await?;
        Ok(self.chunk_ends)
    }
}

fn disk(error: &std::io::Error) -> Failure {
    Failure::Unexpected(format!("the snapshot could not be stored: {error}"))
}
