//! The one thread that makes things durable: journal, catalogue, and the log files behind them.
//!
//! ```text
//! collector ──transactions──►┐ 64 MiB  ┌► journal, one fsync a batch ─► durable position ─► Postgres may forget
//! snapshots ──catalogue─────►┘         └► catalogue, one commit a batch ─► whoever asked
//!                                         log files, written when much or long has waited, synced when a
//!                                         segment of the journal ends
//! ```
//!
//! A position is durable only after the journal *and* the catalogue changes sent before it are.

mod behind;
mod records;
mod recover;
mod sync;
mod worker;

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

pub use recover::{RecoverError, Recovered, recover};

use records::{Change, Record, Records};
use worker::Worker;

use super::log::{Entry, Journal, Reference};
use super::replication::Identity;
use super::shape::{Files, Shape};
use super::snapshot::{Failure, Mark};
use crate::shape::{Lsn, Offset};

/// Transactions that may wait to be written; more, and the collector waits, and with it Postgres.
const QUEUE_BYTES: usize = 64 << 20;

/// Gives work to the thread, and tells how far it is.
#[derive(Debug, Clone)]
pub struct Store {
    commands: Sender<Command>,
    room: Arc<Semaphore>,
    durable: watch::Receiver<Lsn>,
}

/// A committed transaction: its entries, each with the shapes that have it.
#[derive(Debug)]
pub struct Transaction {
    /// The position after its commit.
    pub end: Lsn,
    pub entries: Vec<Shared>,
    /// The shapes whose logs have grown.
    pub shapes: Vec<Arc<Shape>>,
    /// What readers see only when it is on disk, because the stream would not tell it the same again.
    pub held: Held,
}

/// Entries of shapes with subqueries.
#[derive(Debug, Default)]
pub struct Held {
    pub entries: Vec<(Arc<Shape>, Vec<Entry>)>,
    /// Shapes, each with a node below it that waits no more, and the round of its read.
    pub released: Vec<(Arc<Shape>, u64, u64)>,
}

impl Held {
    /// Lets readers see it.
    fn show(self) -> impl Iterator<Item = Arc<Shape>> {
        for (shape, entries) in &self.entries {
            shape.log.append_quietly(entries.iter().cloned());
        }
        // Whoever wakes is told of what is there, and not that it is still to come.
        for (shape, node, round) in self.released {
            shape.held.release(node, round);
        }
        for (shape, _) in &self.entries {
            shape.held.end_write();
            shape.log.wake();
        }
        self.entries.into_iter().map(|(shape, _)| shape)
    }

    fn bytes(&self) -> usize {
        self.entries.iter().flat_map(|(_, entries)| entries).map(Entry::len).sum()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.released.is_empty()
    }
}

/// One entry for many shapes.
#[derive(Debug)]
pub struct Shared {
    pub offset: Offset,
    pub json: Bytes,
    pub shapes: Vec<Reference>,
}

#[derive(Debug)]
enum Command {
    Transaction(Transaction, OwnedSemaphorePermit),
    /// Everything before the position has been sent; with `true` somebody waits for it.
    Position(Lsn, bool),
    Change(Change, oneshot::Sender<()>),
    /// A finished shape's record has changed: durable before any position that is given later.
    Update(Box<Record>),
    /// A shape is over: out of the catalogue, then its readers are told, then its files go.
    End(Arc<Shape>),
    Restart(Lsn, Identity, oneshot::Sender<()>),
    Stop,
}

/// The thread is gone: the disk failed, which it has logged.
#[derive(Debug, thiserror::Error)]
#[error("the store has stopped")]
pub struct Stopped;

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Self::Unexpected(stopped.to_string())
    }
}

impl Store {
    /// Starts the thread on what `recover` found.
    pub fn start(
        files: Files,
        records: Records,
        journal: Journal,
        position: Lsn,
        memory_bytes: u64,
    ) -> (Self, thread::JoinHandle<()>) {
        let (commands, inbox) = channel();
        let (durable, watching) = watch::channel(position);
        let mut worker = Worker::new(files, records, journal, durable, memory_bytes);
        let spawned = thread::Builder::new().name("store".into()).spawn(move || worker.run(&inbox));
        let store = Self { commands, room: Arc::new(Semaphore::new(QUEUE_BYTES)), durable: watching };
        (store, spawned.expect("a process that starts can start a thread"))
    }

    /// Gives a transaction to be written; waits while too much is waiting already.
    pub async fn transaction(&self, transaction: Transaction) -> Result<(), Stopped> {
        let bytes: usize = transaction.entries.iter().map(|entry| entry.json.len() + 16 * entry.shapes.len()).sum();
        let bytes = bytes + transaction.held.bytes();
        let permits = bytes.clamp(1, QUEUE_BYTES) as u32;
        let room = Arc::clone(&self.room).acquire_many_owned(permits).await.map_err(|_| Stopped)?;
        self.commands.send(Command::Transaction(transaction, room)).map_err(|_| Stopped)
    }

    /// Notes that everything before `position` has been given; `urgent` if somebody waits for it.
    pub fn position(&self, position: Lsn, urgent: bool) -> Result<(), Stopped> {
        self.commands.send(Command::Position(position, urgent)).map_err(|_| Stopped)
    }

    /// The position up to which everything is on disk. Closed when the thread has stopped.
    pub fn durable(&self) -> watch::Receiver<Lsn> {
        self.durable.clone()
    }

    /// Puts a finished shape into the catalogue; the answer comes when that is durable.
    pub fn finish(&self, shape: &Shape, chunk_ends: Vec<u64>) -> Result<oneshot::Receiver<()>, Stopped> {
        let Some(mark) = shape.snapshot.mark() else { return Err(Stopped) };
        self.change(Change::Put(Box::new(record(shape, mark, chunk_ends))))
    }

    /// Notes how the table of a finished shape looks now. What the stream tells of the table as it has become is not
    /// confirmed before that is durable.
    pub fn update(&self, shape: &Shape) -> Result<(), Stopped> {
        let (Some(mark), chunk_ends) = (shape.snapshot.mark(), shape.snapshot.chunk_ends()) else { return Ok(()) };
        self.commands.send(Command::Update(Box::new(record(shape, mark, chunk_ends)))).map_err(|_| Stopped)
    }

    /// Begins a new history at `position`, which may lie before what is stored, durably.
    ///
    /// Shapes whose end was asked for before are gone when it begins.
    pub async fn restart(&self, position: Lsn, identity: Identity) -> Result<(), Stopped> {
        let (done, wait) = oneshot::channel();
        self.commands.send(Command::Restart(position, identity, done)).map_err(|_| Stopped)?;
        wait.await.map_err(|_| Stopped)
    }

    /// Notes that numbers below `number` may be in use, durably.
    pub async fn next_number(&self, number: u64) -> Result<(), Stopped> {
        self.change(Change::NextNumber(number))?.await.map_err(|_| Stopped)
    }

    fn change(&self, change: Change) -> Result<oneshot::Receiver<()>, Stopped> {
        let (done, wait) = oneshot::channel();
        self.commands.send(Command::Change(change, done)).map_err(|_| Stopped)?;
        Ok(wait)
    }

    /// Ends a shape: durably, then for its readers.
    pub fn end(&self, shape: Arc<Shape>) -> Result<(), Stopped> {
        self.commands.send(Command::End(shape)).map_err(|_| Stopped)
    }

    /// Lets the thread write everything it has, and end.
    pub fn stop(&self) {
        // An error means that it has ended already.
        let _ = self.commands.send(Command::Stop);
    }
}

fn record(shape: &Shape, mark: Mark, chunk_ends: Vec<u64>) -> Record {
    let (number, handle, definition) = (shape.number, shape.handle.clone(), shape.stored());
    Record { number, handle, definition, mark, chunk_ends, entry: shape.entry(), rows: shape.snapshot.rows() }
}
