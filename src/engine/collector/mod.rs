//! The one owner of replication → filter → log: takes a transaction, filters, appends, reports progress.
//!
//! ```text
//! replication ──messages──► worker ──► routes: which shapes, told what ──► logs (readers wake)
//!                             ▲                                       └──► store (durable later)
//!                  commands (a shape opens, its snapshot is read, it ends)
//! ```
//!
//! Everything that decides what a log holds happens in this one task, in the order of the stream; so a
//! shape's log needs no lock against another writer, and "before" and "after" have a meaning.

mod partitions;
mod routes;
mod tap;
mod worker;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::shape::Shape;
use super::snapshot::{Failure, Mark};
use super::tables::Table;

pub use worker::{ApplyError, Worker};

/// Commands that may wait. Each comes from a request that waits for it, and takes microseconds.
const QUEUE: usize = 1024;

/// Gives commands to the collector.
#[derive(Debug, Clone)]
pub struct Collector {
    commands: mpsc::Sender<Command>,
}

/// Whether a snapshot can be joined to the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The log goes on where the snapshot ends.
    Accepted,
    /// A transaction that the stream had shown before the shape registered is not in it: read another.
    TooEarly,
}

/// A table as a look at Postgres found it.
#[derive(Debug)]
pub struct Seen {
    pub oid: u32,
    /// `None` if it no longer exists.
    pub table: Option<Arc<Table>>,
    /// What has put it into the publication; `None` if the stream does not tell of it, or not with whole rows.
    pub entry: Option<u32>,
}

/// What the collector is asked to do.
#[derive(Debug)]
pub enum Command {
    /// Buffer what concerns this shape from now on.
    Register(Arc<Shape>, oneshot::Sender<()>),
    /// The shape's snapshot contains what the mark says.
    SnapshotTaken(u64, Mark, oneshot::Sender<Result<Verdict, Failure>>),
    /// The shape's snapshot is whole and synced: into the catalogue with it.
    Finish(Arc<Shape>, Vec<u64>, oneshot::Sender<Result<(), Failure>>),
    /// The shape is over.
    End(Arc<Shape>),
    /// Everything that this mark contains is visible to snapshots taken from now on.
    Visible(Mark),
    /// How tables looked at some time after the given one, all that shapes were defined on at that time; what the mark
    /// contains is in the look.
    Seen(Vec<Seen>, Mark, Instant),
}

/// The stream cannot be followed just now.
fn gone<E>(_: E) -> Failure {
    Failure::Unreachable
}

impl Collector {
    /// A collector's address, and where its commands arrive.
    pub fn new() -> (Self, mpsc::Receiver<Command>) {
        let (commands, inbox) = mpsc::channel(QUEUE);
        (Self { commands }, inbox)
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(gone)?;
        answer.await.map_err(gone)
    }

    /// Has everything buffered that concerns `shape`, from now on.
    pub async fn register(&self, shape: Arc<Shape>) -> Result<(), Failure> {
        self.ask(|reply| Command::Register(shape, reply)).await
    }

    /// Joins the snapshot of a registered shape to the stream.
    pub async fn snapshot_taken(&self, number: u64, mark: Mark) -> Result<Verdict, Failure> {
        self.ask(|reply| Command::SnapshotTaken(number, mark, reply)).await?
    }

    /// Puts a shape whose snapshot is whole into the catalogue, durably, unless it has ended meanwhile.
    pub async fn finish(&self, shape: &Arc<Shape>, chunk_ends: Vec<u64>) -> Result<(), Failure> {
        self.ask(|reply| Command::Finish(Arc::clone(shape), chunk_ends, reply)).await?
    }

    /// Ends a shape.
    pub async fn end(&self, shape: Arc<Shape>) {
        self.tell(Command::End(shape)).await;
    }

    /// Tells how the tables of all shapes looked at some time after `since`, when what `mark` contains was visible.
    pub async fn seen(&self, tables: Vec<Seen>, mark: Mark, since: Instant) {
        self.tell(Command::Seen(tables, mark, since)).await;
    }

    /// Tells what snapshots contain by now.
    pub async fn visible(&self, mark: Mark) {
        self.tell(Command::Visible(mark)).await;
    }

    async fn tell(&self, command: Command) {
        // Without a collector there is nothing left to tell.
        let _ = self.commands.send(command).await;
    }
}
