//! A followed query: a shape with subqueries, or one of its subqueries.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hashbrown::HashSet;
use smallvec::SmallVec;

use super::members::Delta;
use super::read::Arrived;
use super::tags::Tagger;
use super::view::{Belief, Results};
use crate::engine::entry::Encoder;
use crate::engine::filter::{Active, Compared, Filter, Key, Position, probe};
use crate::engine::shape::Shape;
use crate::engine::snapshot::Mark;
use crate::engine::tables::Table;
use crate::shape::{Lsn, Offset};

/// A row in the order of the table's columns.
pub type Row = Vec<Option<Bytes>>;

/// Transactions by their 64-bit ids.
pub type Xids = SmallVec<[u64; 2]>;

/// Changes that one node may wait with; more, and the shapes that need it start over.
const QUEUE_BYTES: usize = 64 << 20;

/// One change of a row, as the stream tells it.
#[derive(Debug)]
pub struct RowChange {
    /// Its position in the transaction.
    pub op: u64,
    pub old: Option<Row>,
    pub new: Option<Row>,
}

impl RowChange {
    /// Bytes of both rows.
    pub fn bytes(&self) -> usize {
        let row = |row: &Option<Row>| row.iter().flatten().flatten().map(Bytes::len).sum::<usize>();
        64 + row(&self.old) + row(&self.new)
    }
}

/// What one transaction, or one step of a subquery, does to a node.
#[derive(Debug, Default)]
pub struct Item {
    /// The transaction's 64-bit id; 0 for a step that a subquery makes between transactions.
    pub xid: u64,
    pub txid: u32,
    pub commit: Lsn,
    pub changes: Vec<Arc<RowChange>>,
    pub moves: Vec<Moved>,
}

impl Item {
    /// Whether a moment of Postgres contains all of what caused it; `None` if it contains a part.
    pub fn is_contained(&self, mark: &Mark) -> Option<bool> {
        if self.xid != 0 {
            return Some(mark.contains(self.xid));
        }
        let mut contained = self.moves.iter().flat_map(|moved| &moved.causes).map(|xid| mark.contains(*xid));
        let first = contained.next()?;
        contained.all(|other| other == first).then_some(first)
    }
}

/// Values that came to a subquery's result, or left it.
#[derive(Debug, Clone)]
pub struct Moved {
    pub subquery: u64,
    pub deltas: Arc<[Delta]>,
    /// The transactions that caused it.
    pub causes: Xids,
}

impl Moved {
    /// Lets a node believe what was before.
    pub fn keep(&self, belief: &mut Belief) {
        for delta in self.deltas.iter() {
            if let Delta::Value(value, there) = delta {
                belief.keep(self.subquery, value, *there);
            }
        }
    }
}

/// A followed query.
#[derive(Debug)]
pub struct Node {
    pub number: u64,
    /// Above those of all its subqueries.
    pub depth: u32,
    pub table: Arc<Table>,
    pub filter: Option<Arc<Filter>>,
    /// For each position of the filter the subquery that it looks values up in.
    pub subqueries: Vec<Option<u64>>,
    pub kind: Kind,
    pub phase: Phase,
    pub belief: Belief,
    /// Moves that wait for rows: the value of a subquery, and what it will be believed to be.
    pub wanted: BTreeMap<(u64, Key), Wanted>,
    pub queue: VecDeque<Item>,
    queue_bytes: usize,
    /// The commit of the last transaction that has been followed.
    pub seen: Lsn,
    /// How often rows have been asked for: an answer to an older question is none.
    pub round: u64,
    /// Positions whose values decide which rows it listens to; without, all rows that its filter's key allows.
    pub routed_by: Option<Vec<usize>>,
    /// Values that may not be listened to any more once everything has been followed.
    pub leaving: Vec<(u64, Key)>,
    pub since: Instant,
    /// The table as it was last seen, and what had put it into the publication; 0 while that is not known.
    pub table_now: Arc<Table>,
    pub entry: u32,
}

/// A move that waits for rows.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub there: bool,
    /// The transactions that caused it.
    pub causes: Xids,
}

#[derive(Debug)]
pub enum Kind {
    Shape(Box<Followed>),
    Subquery {
        columns: Vec<Compared>,
        /// Nodes that look values up here.
        dependents: HashSet<u64>,
    },
}

/// A shape, and what its log has been given.
#[derive(Debug)]
pub struct Followed {
    pub shape: Arc<Shape>,
    pub encoder: Encoder,
    pub tagger: Tagger,
    pub last: Offset,
}

/// How far a node is.
#[derive(Debug)]
pub enum Phase {
    /// What it begins with is not known yet. `earlier`: transactions that it must contain.
    Building { earlier: Vec<u64> },
    /// Everything has been followed.
    Current,
    /// Rows of values that have moved are being read; transactions wait. With an answer: for the stream to come as far as that has read.
    Reading { asked: Vec<(u64, Key)>, arrived: Option<Box<Arrived>> },
}

/// What a row is to a node.
#[derive(Debug, PartialEq, Eq)]
pub struct Standing {
    pub active: Active,
    pub included: bool,
}

impl Node {
    /// A node that nothing is known of yet.
    pub fn new(number: u64, table: Arc<Table>, filter: Option<Arc<Filter>>, kind: Kind, phase: Phase) -> Self {
        Self {
            number,
            depth: 0,
            table_now: Arc::clone(&table),
            table,
            filter,
            subqueries: Vec::new(),
            kind,
            phase,
            belief: Belief::default(),
            wanted: BTreeMap::new(),
            queue: VecDeque::new(),
            queue_bytes: 0,
            seen: Lsn(0),
            round: 0,
            routed_by: None,
            leaving: Vec::new(),
            since: Instant::now(),
            entry: 0,
        }
    }

    /// What a row is, as the node believes of its subqueries.
    pub fn standing(&self, row: &Row, results: &Results) -> Standing {
        let Some(filter) = &self.filter else { return Standing { active: Active::new(), included: true } };
        let Some(alternatives) = filter.alternatives() else {
            return Standing { active: Active::new(), included: filter.matches(row) };
        };
        let active = alternatives.active(row, |at, membership| {
            let value = probe(row, &membership.left);
            let subquery = self.subqueries.get(at).copied().flatten();
            subquery.is_some_and(|subquery| self.belief.has(results, subquery, &value))
        });
        let included = alternatives.holds(&active);
        Standing { active, included }
    }

    /// The positions that look values up in a subquery.
    pub fn positions_of(&self, subquery: u64) -> impl Iterator<Item = usize> {
        let found = self.subqueries.iter().enumerate().filter(move |(_, found)| **found == Some(subquery));
        found.map(|(at, _)| at)
    }

    /// Whether a value that is there makes the positions on this subquery true.
    pub fn is_positive(&self, subquery: u64) -> bool {
        let alternatives = self.filter.as_ref().and_then(|filter| filter.alternatives());
        let position = self.positions_of(subquery).next();
        let position = alternatives.zip(position).and_then(|(all, at)| all.positions.get(at));
        !matches!(position, Some(Position::In { negated: true, .. }))
    }

    /// Whether the rows that a move concerns can be told by their values: those that a NULL in `NOT IN` concerns cannot.
    pub fn can_follow(&self, moved: &Moved) -> bool {
        self.is_positive(moved.subquery) || !moved.deltas.iter().any(|delta| matches!(delta, Delta::Null(..)))
    }

    /// Keeps what cannot be followed yet; false if that is too much.
    pub fn wait_with(&mut self, item: Item) -> bool {
        self.queue_bytes += 128;
        self.queue_bytes += item.changes.iter().map(|change| change.bytes()).sum::<usize>();
        self.queue_bytes += item.moves.iter().map(|moved| 64 * moved.deltas.len()).sum::<usize>();
        self.queue.push_back(item);
        self.queue_bytes <= QUEUE_BYTES
    }

    /// The oldest item that waits.
    pub fn next_item(&mut self) -> Option<Item> {
        let item = self.queue.pop_front();
        if self.queue.is_empty() {
            self.queue_bytes = 0;
        }
        item
    }

    /// Whether it follows every transaction as it comes.
    pub fn is_current(&self) -> bool {
        matches!(self.phase, Phase::Current)
    }
}
