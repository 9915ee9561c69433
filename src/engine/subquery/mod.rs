//! Shapes with subqueries: what their readers are told when rows change, and when values come to a subquery's result or leave it.
//!
//! ```text
//! rows of the outer table ────────────────► shape ──► log
//! rows of an inner table ──► subquery ──moves──▲
//! rows of a table in that ──► subquery ──moves──▲          (to any depth)
//! ```
//! Each is a *node*: a query that is followed through the stream, alone and in order. A node keeps no rows. When a value enters, it *reads* the
//! rows that have it, at one moment of Postgres; transactions wait in the node's own queue until the stream has come to that moment, so that each
//! row is told once. Nodes that do not wait are not held up. A subquery's result is kept as its distinct values, and shared by all that use it.
//!
//! What a shape here is told depends on when rows were read, so a replay of the stream would tell it differently: its entries are shown to
//! readers only when they are on disk, and after a start [`repair`] tells what became different since.

mod join;
mod members;
mod node;
pub mod read;
pub mod repair;
mod routing;
mod rows;
mod step;
pub mod tags;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use hashbrown::{HashMap, HashSet};
use tokio::sync::oneshot;

use super::collector::Verdict;
use super::filter::Filter;
use super::log::Entry;
use super::shape::Shape;
use super::snapshot::Failure;
use super::tables::Table;
use crate::shape::Lsn;

pub use join::{Count, Join};
pub use node::RowChange;
pub use read::{Arrived, Order};
pub use routing::{Route, Routing};

use node::{Item, Kind, Node, Phase};
use view::Results;

/// Values that a subquery may return; one costs about 100 bytes of memory. More, and the shapes that need it are refused, or end.
pub const MOST_VALUES: usize = 2_000_000;

/// Subqueries have numbers of their own, with this bit.
const SUBQUERY: u64 = 1 << 63;

/// All followed queries.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: HashMap<u64, Node>,
    /// Subqueries by what they select, and whether they answer `NOT IN`.
    by_identity: HashMap<Identity, u64>,
    results: Results,
    /// Nodes that wait for the stream to come to a position.
    waiting: BTreeSet<(Lsn, u64)>,
    /// Those who wait for a shape's start.
    joining: HashMap<u64, (Join, oneshot::Sender<Result<Verdict, Failure>>)>,
    /// The commit of the last transaction that has been followed.
    last_commit: Lsn,
    next: u64,
}

type Identity = (u32, String, bool);

/// Work at hand: by depth, so that a subquery comes before those who use it.
type Work = BTreeMap<(u32, u64), Item>;

/// What following had for a consequence outside of the nodes.
#[derive(Debug, Default)]
pub struct Effects {
    /// Entries for logs, to be shown when they are on disk.
    pub entries: Vec<(Arc<Shape>, Vec<Entry>)>,
    /// Shapes that cannot be followed any more.
    pub ended: Vec<u64>,
    /// Rows to be read.
    pub orders: Vec<Order>,
    /// Shapes, each with a node below it that has ceased to wait, and the round of its read: their readers may be told more, once `entries` are on disk.
    pub released: Vec<(Arc<Shape>, u64, u64)>,
    /// Changes of the rows that nodes listen to.
    pub routes: Vec<Route>,
}

/// A node that the collector gives changes of a table to.
#[derive(Debug, Clone)]
pub struct Feed {
    pub number: u64,
    pub table: Arc<Table>,
    pub filter: Option<Arc<Filter>>,
}

/// Where the stream stands.
#[derive(Debug, Clone, Copy)]
pub struct Stream<'a> {
    /// Everything before it has been followed.
    pub processed: Lsn,
    /// Transactions that it has shown, and that a snapshot may not contain yet.
    pub earlier: &'a [u64],
}

/// A committed transaction.
#[derive(Debug, Clone, Copy)]
pub struct Committed {
    pub xid: u64,
    pub txid: u32,
    pub commit: Lsn,
}

impl Graph {
    /// Whether there is nothing to follow.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether a node has this number.
    pub fn has(&self, number: u64) -> bool {
        self.nodes.contains_key(&number)
    }

    /// The shape with this number.
    pub fn shape(&self, number: u64) -> Option<Arc<Shape>> {
        match &self.nodes.get(&number)?.kind {
            Kind::Shape(followed) => Some(Arc::clone(&followed.shape)),
            Kind::Subquery { .. } => None,
        }
    }

    /// Since when a node has been there: a look at its table that began before says nothing about it.
    pub fn since(&self, number: u64) -> Option<Instant> {
        self.nodes.get(&number).map(|node| node.since)
    }

    /// Whether a node goes on when its table has become `now`.
    pub fn survives(&self, number: u64, now: &Table) -> bool {
        self.nodes.get(&number).is_some_and(|node| match &node.kind {
            Kind::Shape(followed) => followed.shape.definition.survives(now),
            Kind::Subquery { columns, .. } => {
                let filter = node.filter.iter().flat_map(|filter| filter.columns());
                let used = columns.iter().map(|column| &column.position).chain(filter);
                now.oid == node.table.oid && now.name == node.table.name && node.table.has_same_columns(now, used)
            }
        })
    }

    /// Whether a subquery goes on with its table as it is now, which is in the publication by `entry`; if so, it takes note of it.
    pub fn goes_on(&mut self, number: u64, now: &Arc<Table>, entry: u32) -> bool {
        let goes_on = self.survives(number, now);
        let Some(node) = self.nodes.get_mut(&number) else { return false };
        let missed_nothing = (node.entry == 0 || node.entry == entry) && node.table_now.keeps_partitions(now);
        node.entry = entry;
        node.table_now = Arc::clone(now);
        goes_on && missed_nothing
    }

    /// Follows a transaction: for each node that it touches, the changes of its table.
    pub fn commit(
        &mut self,
        committed: Committed,
        changes: impl IntoIterator<Item = (u64, Vec<Arc<RowChange>>)>,
        stream: Stream<'_>,
        effects: &mut Effects,
    ) {
        if self.has_followed(committed.commit) {
            return;
        }
        self.last_commit = committed.commit;
        let mut work = Work::new();
        for (number, changes) in changes {
            if let Some(node) = self.nodes.get(&number) {
                let Committed { xid, txid, commit } = committed;
                work.insert((node.depth, number), Item { xid, txid, commit, changes, moves: Vec::new() });
            }
        }
        self.run(work, stream, effects);
    }

    /// The stream has come to `stream.processed`: whoever waited for that goes on.
    pub fn advance(&mut self, stream: Stream<'_>, effects: &mut Effects) {
        while let Some(&(position, number)) = self.waiting.first().filter(|(position, _)| *position <= stream.processed)
        {
            self.waiting.remove(&(position, number));
            if self.joining.contains_key(&number) {
                self.try_join(number, stream, effects);
            } else {
                self.try_splice(number, stream, effects);
            }
        }
    }

    /// Whether somebody waits for the stream to come further.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The shapes that need a node.
    pub fn shapes_above(&self, number: u64) -> Vec<u64> {
        let (mut open, mut seen, mut shapes) = (vec![number], HashSet::new(), Vec::new());
        while let Some(number) = open.pop() {
            if !seen.insert(number) {
                continue;
            }
            match self.nodes.get(&number).map(|node| &node.kind) {
                Some(Kind::Shape(_)) => shapes.push(number),
                Some(Kind::Subquery { dependents, .. }) => open.extend(dependents),
                None => {}
            }
        }
        shapes
    }

    /// Takes a shape out, and the subqueries that nobody else needs. Returns the nodes that are gone.
    pub fn remove(&mut self, shape: u64) -> Vec<Feed> {
        let mut gone = Vec::new();
        let mut open = vec![shape];
        while let Some(number) = open.pop() {
            let Some(node) = self.nodes.remove(&number) else { continue };
            self.joining.remove(&number);
            self.waiting.retain(|(_, waiting)| *waiting != number);
            if self.results.remove(&number).is_some() || number & SUBQUERY != 0 {
                self.by_identity.retain(|_, found| *found != number);
            }
            for subquery in node.subqueries.iter().flatten() {
                if let Some(Node { kind: Kind::Subquery { dependents, .. }, .. }) = self.nodes.get_mut(subquery) {
                    dependents.remove(&number);
                    if dependents.is_empty() {
                        open.push(*subquery);
                    }
                }
            }
            gone.push(Feed { number, table: node.table, filter: node.filter });
        }
        gone
    }

    /// Whether a transaction was followed before the connection was lost.
    pub fn has_followed(&self, commit: Lsn) -> bool {
        commit <= self.last_commit
    }

    /// Forgets how far the stream was: another history begins.
    pub fn restart(&mut self) {
        self.last_commit = Lsn(0);
    }

    /// The shapes that cannot go on because this node cannot.
    fn lose(&self, number: u64, effects: &mut Effects) {
        effects.ended.extend(self.shapes_above(number));
    }

    /// A node has begun to wait (`true`) or ceased to: its shapes' readers are not told of more than they have.
    fn hold(&self, number: u64, round: u64, held: bool, processed: Lsn, effects: &mut Effects) {
        for shape in self.shapes_above(number) {
            if let Some(Node { kind: Kind::Shape(followed), .. }) = self.nodes.get(&shape) {
                match held {
                    true => followed.shape.held.hold(number, round, processed),
                    false => effects.released.push((Arc::clone(&followed.shape), number, round)),
                }
            }
        }
    }
}

/// Whether the node's rows are being waited for.
fn is_reading(node: &Node) -> bool {
    matches!(node.phase, Phase::Reading { .. })
}
