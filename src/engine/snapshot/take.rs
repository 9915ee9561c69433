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

use super::{Failure, Mark, copy};
use crate::engine::collector::{Collector, Verdict};
use crate::engine::entry::Encoder;
use crate::engine::pool::{Connection, Connections};
use crate::engine::publication::Publication;
use crate::engine::replication::OUTPUT_SETTINGS;
use crate::engine::shape::{Definition, Files, Shape};
use crate::engine::tables::Table;
use crate::shape::control::snapshot_end;
use crate::shape::{LogMode, Lsn, quote_identifier};

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
    context.publication.ensure(&client, &shape.definition.table).await?;
    context.collector.register(Arc::clone(shape)).await?;
    // Whatever ends this early, the connection is not used again in the middle of a transaction.
    client.spoiled = true;
    loop {
        let (mark, read) = begin(&client, &shape.definition.table).await?;
        if context.collector.snapshot_taken(shape.number, mark.clone()).await? == Verdict::Accepted {
            shape.snapshot.set_mark(mark);
            wait_for_flush(&client, read, deadline).await?;
            return Ok(client);
        }
        // A transaction that the stream has shown already is not visible yet: Postgres makes a commit
        // durable, and sends it, a moment before others can see it.
        client.batch_execute("ROLLBACK").await.map_err(|error| failure(&error))?;
        sleep(POLL).await;
    }
}

async fn connection(connections: &Connections) -> Result<Connection<'_>, Failure> {
    connections.get().await.map_err(|error| match error {
        bb8::RunError::User(error) => failure(&error),
        bb8::RunError::TimedOut => {
            Failure::Retry("Snapshot creation failed because of a connection pool queue timeout".into())
        }
    })
}

/// Starts the transaction; returns what it sees, and a position that everything it sees lies before.
async fn begin(client: &Client, table: &Table) -> Result<(Mark, Lsn), Failure> {
    let mut begin = String::from("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;");
    // For this transaction alone: behind a pooler the next one may be on another session.
    begin.extend(OUTPUT_SETTINGS.iter().map(|(name, value)| format!("SET LOCAL {name} = '{value}';")));
    // Rows that a policy hides are in the stream all the same: better no snapshot than one without them.
    begin.push_str("SET LOCAL row_security = off; SET LOCAL lock_timeout = '10s';");
    // The lock comes before the transaction's snapshot: a rewrite of the table in between would look empty to it.
    begin.push_str(&format!("LOCK TABLE ONLY {} IN ACCESS SHARE MODE", table.name.quoted()));
    client.batch_execute(&begin).await.map_err(|error| failure(&error))?;
    let sql = "SELECT pg_current_snapshot()::text, pg_current_wal_insert_lsn()::text, to_regclass($1)::oid";
    let row = client.query_one(sql, &[&table.name.quoted()]).await.map_err(|error| failure(&error))?;
    if row.get::<_, Option<u32>>(2) != Some(table.oid) {
        return Err(Failure::Changed);
    }
    let unexpected = |error: String| Failure::Unexpected(error);
    let mark = row.get::<_, &str>(0).parse::<Mark>().map_err(|error| unexpected(error.to_string()))?;
    let read = row.get::<_, &str>(1).parse::<Lsn>().map_err(|error| unexpected(error.to_string()))?;
    Ok((mark, read))
}

fn select(definition: &Definition) -> String {
    let table = &definition.table;
    let columns = definition.columns.iter().map(|at| quote_identifier(&table.columns[*at].name));
    let columns = columns.collect::<Vec<_>>().join(", ");
    // ONLY: the stream tells of each child of an inheritance tree as a table of its own.
    let from = table.name.quoted();
    let condition = definition.condition.as_ref().map(|condition| format!(" WHERE {}", condition.filter.sql()));
    format!("COPY (SELECT {columns} FROM ONLY {from}{}) TO STDOUT", condition.unwrap_or_default())
}

/// Copies the rows into the shape's file and returns where its chunks end.
async fn copy_rows(
    context: &Context,
    shape: &Shape,
    client: &Client,
    path: &Path,
    deadline: Instant,
) -> Result<Vec<u64>, Failure> {
    let definition = &shape.definition;
    let selected = &definition.columns;
    let encoder = Encoder::new(&definition.table, definition.projection());
    let mut file = ChunkedFile::create(path, context.chunk_bytes).await?;
    if definition.log == LogMode::ChangesOnly {
        return file.finish(shape).await;
    }
    let rows = timeout_at(deadline, client.copy_out(&select(definition))).await;
    let rows = rows.map_err(|_| slow(context.timeout))?.map_err(|error| failure(&error))?;
    pin_mut!(rows);
    let (mut scratch, mut message) = (Vec::new(), Vec::new());
    let mut patience = deadline;
    while let Some(line) = timeout_at(patience, rows.next()).await.map_err(|_| slow(context.timeout))? {
        // From the first row on, each has as long as that one had.
        patience = Instant::now() + context.timeout;
        if shape.log.has_ended() {
            return Err(Failure::Changed);
        }
        let line = line.map_err(|error| failure(&error))?;
        let fields = copy::fields(&line, selected.len(), &mut scratch)
            .ok_or_else(|| Failure::Unexpected("a row of COPY does not have the columns asked for".into()))?;
        let mut row: Vec<Option<&[u8]>> = vec![None; definition.table.columns.len()];
        for (at, field) in selected.iter().zip(fields) {
            row[*at] = field;
        }
        message.clear();
        encoder.snapshot_row(&mut message, &row);
        if file.message(&message).await? {
            file.sync().await?;
            shape.snapshot.show(&file.chunk_ends);
        }
    }
    file.finish(shape).await
}

/// Waits until Postgres has on disk what the snapshot saw: with `synchronous_commit=off` a crash could
/// otherwise take back rows that readers have been shown.
async fn wait_for_flush(client: &Client, read: Lsn, deadline: Instant) -> Result<(), Failure> {
    loop {
        let row = client.query_one("SELECT pg_current_wal_flush_lsn()::text", &[]).await;
        let row = row.map_err(|error| failure(&error))?;
        if row.get::<_, &str>(0).parse::<Lsn>().is_ok_and(|flushed| flushed >= flush_target(read)) {
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
fn flush_target(read: Lsn) -> Lsn {
    if read.0 % (1 << 20) == 40 {
        Lsn(read.0 - 40)
    } else if read.0 % 8192 == 24 {
        Lsn(read.0 - 24)
    } else {
        read
    }
}

fn slow(limit: Duration) -> Failure {
    Failure::Retry(format!(
        "Snapshot query took too long to return data (cancelled after {}ms). An index on the columns of the filter would make it fast",
        limit.as_millis()
    ))
}

/// Sorts an error of Postgres by its cure.
pub fn failure(error: &tokio_postgres::Error) -> Failure {
    let Some(database) = error.as_db_error() else { return Failure::Unreachable };
    let code = database.code();
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return Failure::Retry(format!("Unable to create initial snapshot: {}", database.message()));
    }
    if [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN, SqlState::UNDEFINED_FUNCTION].contains(code) {
        return Failure::Changed;
    }
    match code.code() {
        "55P03" => Failure::Retry("Snapshot timed out while waiting for a table lock".into()),
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
