//! One shape's place in the collector: what it waits for, and what it has been given in this transaction.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::engine::log::{Ends, Entry};
use crate::engine::shape::Shape;
use crate::engine::snapshot::Mark;
use crate::shape::{Lsn, Offset};

/// Changes that one shape may wait with while its snapshot begins; more, and its creation fails.
const BUFFER_BYTES: usize = 64 << 20;

/// A registered shape.
#[derive(Debug)]
pub struct Tap {
    pub shape: Arc<Shape>,
    /// Entries of the transaction at hand, as positions in its list.
    pub pending: Vec<u32>,
    /// The transaction at hand did something to the table that the shape cannot follow.
    pub lost: bool,
    pub phase: Phase,
    /// The store has been told to put it into the catalogue.
    pub finished: bool,
    /// A look at the tables that began before says nothing about this shape.
    pub since: Instant,
}

/// Before and after the snapshot's mark is known.
#[derive(Debug)]
pub enum Phase {
    /// What may or may not be in the snapshot is kept apart.
    Buffering(Buffer),
    /// What the mark does not contain goes to the log.
    Live(Mark),
}

/// What happened since the shape registered.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Transactions of which the stream had shown at least a part before: the snapshot must contain them.
    pub earlier: Vec<u64>,
    pub transactions: Vec<Buffered>,
    bytes: usize,
}

/// One transaction in the buffer.
#[derive(Debug)]
pub struct Buffered {
    pub xid: u64,
    pub commit: Lsn,
    /// `None` if the shape could not follow it: the snapshot must contain it.
    pub entries: Option<Vec<Entry>>,
}

impl Buffer {
    /// Keeps a transaction; false if there is no more room. One that is known already (a replay) is left out.
    pub fn push(&mut self, transaction: Buffered) -> bool {
        if self.transactions.last().is_some_and(|last| last.commit >= transaction.commit) {
            return true;
        }
        self.bytes += transaction.entries.iter().flatten().map(Entry::len).sum::<usize>() + 64;
        self.transactions.push(transaction);
        self.bytes <= BUFFER_BYTES
    }

    /// Whether the log can begin where a snapshot with this mark ends.
    pub fn can_follow(&self, mark: &Mark) -> bool {
        let lost = self.transactions.iter().filter(|transaction| transaction.entries.is_none());
        self.earlier.iter().copied().chain(lost.map(|transaction| transaction.xid)).all(|xid| mark.contains(xid))
    }

    /// The entries that a snapshot with this mark does not contain, by transaction.
    pub fn after(self, mark: &Mark) -> impl Iterator<Item = Vec<Entry>> {
        let missed = self.transactions.into_iter().filter(|transaction| !mark.contains(transaction.xid));
        missed.filter_map(|transaction| transaction.entries).collect::<Vec<_>>().into_iter()
    }
}

impl Tap {
    /// A shape that has just registered. `earlier` are transactions that the stream has shown, and that a
    /// snapshot may not contain yet.
    pub fn new(shape: Arc<Shape>, earlier: Vec<u64>) -> Self {
        let buffer = Buffer { earlier, ..Buffer::default() };
        Self {
            shape,
            pending: Vec::new(),
            lost: false,
            phase: Phase::Buffering(buffer),
            finished: false,
            since: Instant::now(),
        }
    }

    /// A shape that the store had, with its mark.
    pub fn recovered(shape: Arc<Shape>, mark: Mark) -> Self {
        Self {
            shape,
            pending: Vec::new(),
            lost: false,
            phase: Phase::Live(mark),
            finished: true,
            since: Instant::now(),
        }
    }

    /// Takes the entries of the transaction at hand out of `entries`, the last of them marked.
    pub fn take_pending(&mut self, entries: &[(Offset, Bytes)]) -> Vec<Entry> {
        let count = self.pending.len();
        let taken = self.pending.drain(..).enumerate().map(|(position, at)| {
            let (offset, json) = entries[at as usize].clone();
            Entry { offset, json, ends: Ends::transaction(position + 1 == count) }
        });
        taken.collect()
    }
}
