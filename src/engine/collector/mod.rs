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
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::pool::Connections;
use super::shape::Shape;
use super::snapshot::{Failure, Mark};
use super::subquery::{Arrived, Count, Join, Order, read};
use super::tables::Table;

pub use worker::{ApplyError, Worker};

/// Commands that may wait. Each comes from a request that waits for it, and takes microseconds.
const QUEUE: usize = 1024;

/// Gives commands to the collector.
#[derive(Debug, Clone)]
pub struct Collector {
    commands: mpsc::Sender<Command>,
}

/// Starts reads of rows for nodes.
#[derive(Debug, Clone)]
pub struct Reads {
    pub connections: Connections,
    pub collector: Collector,
    /// For one read.
    pub timeout: Duration,
}

impl Reads {
    /// Reads rows in a task of its own: the stream must not wait for it.
    fn start(&self, order: Order) {
        tokio::spawn(read::fetch(self.connections.clone(), self.collector.clone(), order, self.timeout));
    }
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
    /// Which subqueries of a shape nobody has counted yet.
    Plan(u64, oneshot::Sender<Vec<Count>>),
    /// What a shape with subqueries begins with has been read.
    Join(u64, Join, oneshot::Sender<Result<Verdict, Failure>>),
    /// Rows of values that moved have been read for a node, or could not be.
    RowsArrived(u64, u64, Result<Arrived, Failure>),
    /// The shape is over.
    End(Arc<Shape>),
    /// Which transactions the stream has shown that a snapshot may not contain yet.
    Shown(oneshot::Sender<Vec<u64>>),
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

    /// The subqueries of a registered shape that it has to count.
    pub async fn plan(&self, number: u64) -> Result<Vec<Count>, Failure> {
        self.ask(|reply| Command::Plan(number, reply)).await
    }

    /// Joins a registered shape with subqueries to the stream, once that has come to where its rows were read.
    pub async fn join(&self, number: u64, join: Join) -> Result<Verdict, Failure> {
        self.ask(|reply| Command::Join(number, join, reply)).await?
    }

    /// Gives a node the rows that it has asked for.
    pub async fn rows_arrived(&self, number: u64, round: u64, rows: Result<Arrived, Failure>) {
        self.tell(Command::RowsArrived(number, round, rows)).await;
    }

    /// Puts a shape whose snapshot is whole into the catalogue, durably, unless it has ended meanwhile.
    pub async fn finish(&self, shape: &Arc<Shape>, chunk_ends: Vec<u64>) -> Result<(), Failure> {
        self.ask(|reply| Command::Finish(Arc::clone(shape), chunk_ends, reply)).await?
    }

    /// The transactions, by 64-bit id, that readers may have been shown and that a snapshot taken now may not contain
    /// yet: Postgres sends a commit a moment before others can see it. A few thousand at most.
    pub async fn shown(&self) -> Result<Vec<u64>, Failure> {
        self.ask(Command::Shown).await
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
