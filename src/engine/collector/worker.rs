//! The collector's state, and what each message of the stream does to it.

mod commands;
mod nodes;
mod relations;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use tracing::{info, warn};

use super::Reads;
use super::partitions::Partitions;
use super::routes::{Change, InTransaction, Row, Source};
use super::tap::{Buffered, Phase, Tap};
use crate::engine::catalog::Catalog;
use crate::engine::log::Reference;
use crate::engine::reconcile::Inspector;
use crate::engine::replication::DecodeError;
use crate::engine::replication::pgoutput::{self, Field, Message, MissingValue, Old, Relation, Tuple};
use crate::engine::shape::Shape;
use crate::engine::snapshot::{Failure, Mark, widen};
use crate::engine::store::{Shared, Stopped, Store, Transaction};
use crate::engine::subquery::{Graph, RowChange};
use crate::engine::tables::Table;
use crate::shape::{Lsn, Offset};

/// Transactions kept because a snapshot may not contain them yet; more, and Postgres is asked what it shows.
const EARLIER: usize = 4096;

/// Bytes of messages that one transaction may make; more, and the shapes that it touches start over, since holding
/// them would cost all others the memory.
const TRANSACTION_BYTES: usize = 1 << 30;

/// The stream cannot go on from here.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("a message of the stream cannot be read: {0}")]
    Decode(#[from] DecodeError),
    #[error("it could not be looked up how the table with oid {0} looks now")]
    Blind(u32),
    #[error("the stream sent {0} out of place")]
    OutOfPlace(&'static str),
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Owns what decides the contents of the logs.
#[derive(Debug)]
pub struct Worker {
    catalog: Arc<Catalog>,
    store: Store,
    /// Everything before it is in the logs. Read by whoever answers "up to date".
    processed: Arc<AtomicU64>,
    /// By relation; more than one while shapes of different layouts are there.
    sources: HashMap<u32, Vec<Source>>,
    /// Which tables the rows of partitions belong to.
    partitions: Partitions,
    inspector: Inspector,
    /// Relations of which a message could not be read: what comes after it cannot be trusted either.
    unreadable: HashSet<u32>,
    /// What was visible when the tables of all shapes were looked at last: transactions in it need no look of their own.
    /// Shapes that have come since have them in their snapshots.
    looked: Option<Mark>,
    /// Since when no look at a table has succeeded that the stream waited for.
    blind_since: Option<Instant>,
    last_registered: Instant,
    /// Partitions have come or gone: the reconciler has something to do.
    wants_look: bool,
    taps: HashMap<u64, Tap>,
    /// Shapes with subqueries.
    graph: Graph,
    reads: Reads,
    unrepaired: Vec<Arc<Shape>>,
    /// As the stream described them last, since it began.
    relations: HashMap<u32, Relation>,
    current: Option<Current>,
    serial: u64,
    /// The newest 64-bit transaction id known.
    newest_xid: u64,
    /// The newest one that the stream has shown as committed.
    newest_committed: u64,
    /// Transactions that the stream has shown and that a snapshot may not contain yet.
    earlier: Vec<u64>,
    /// Numbers below it are noted in the store as used.
    reserved: u64,
}

/// The transaction at hand.
#[derive(Debug)]
struct Current {
    at: InTransaction,
    xid: u64,
    entries: Vec<(Offset, Bytes)>,
    /// Of all entries so far, also those that were given up.
    bytes: usize,
    touched: Vec<u64>,
    /// Changes that nodes judge themselves,
    passed: HashMap<u64, Vec<Arc<RowChange>>>,
    /// and nodes that cannot follow this transaction.
    lost: HashSet<u64>,
    given_up: bool,
}

impl Current {
    /// Drops what the transaction has told so far: the shapes that it touched cannot follow it.
    fn give_up(&mut self, taps: &mut HashMap<u64, Tap>) {
        for number in &self.touched {
            if let Some(tap) = taps.get_mut(number) {
                tap.lost = true;
                tap.pending = Vec::new();
            }
        }
        self.entries = Vec::new();
        self.lost.extend(self.passed.drain().map(|(number, _)| number));
    }
}

impl Worker {
    /// A collector of the shapes that `catalog` has.
    pub fn new(
        catalog: Arc<Catalog>,
        store: Store,
        processed: Arc<AtomicU64>,
        inspector: Inspector,
        reads: Reads,
    ) -> Self {
        let mut worker = Self {
            catalog: Arc::clone(&catalog),
            store,
            processed,
            sources: HashMap::new(),
            partitions: Partitions::default(),
            inspector,
            unreadable: HashSet::new(),
            looked: None,
            blind_since: None,
            last_registered: Instant::now(),
            wants_look: false,
            taps: HashMap::new(),
            graph: Graph::default(),
            reads,
            unrepaired: Vec::new(),
            relations: HashMap::new(),
            current: None,
            serial: 0,
            newest_xid: 0,
            newest_committed: 0,
            earlier: Vec::new(),
            reserved: catalog.next_number(),
        };
        for shape in catalog.shapes() {
            if shape.definition.has_subqueries() {
                worker.add_node(&shape);
                worker.unrepaired.push(shape);
            } else if let Some(mark) = shape.snapshot.mark() {
                worker.add(Tap::recovered(shape, mark));
            }
        }
        worker
    }

    /// A new stream begins: what the last one left half done comes again.
    pub fn start_stream(&mut self, next_xid: u64) {
        self.current = None;
        self.relations.clear();
        self.unreadable.clear();
        // It may be another server, or another history of it.
        self.looked = None;
        self.newest_xid = next_xid;
        for tap in self.taps.values_mut() {
            tap.pending.clear();
            tap.lost = false;
        }
    }

    /// Whether a server whose next transaction id is `next_xid` has never had what the stream has shown.
    pub fn is_ahead_of(&self, next_xid: u64) -> bool {
        self.newest_committed >= next_xid
    }

    /// The shapes that requests find.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The relations that shapes are defined on.
    pub fn tables(&self) -> Vec<u32> {
        self.sources.keys().copied().collect()
    }

    /// Whether so much has been shown that Postgres should be asked what snapshots contain.
    pub fn wants_visible(&self) -> bool {
        self.earlier.len() > EARLIER
    }

    /// Whether the tables should be looked at soon; asked once.
    pub fn takes_wish_to_look(&mut self) -> bool {
        std::mem::take(&mut self.wants_look)
    }

    /// Whether the stream stands between two transactions.
    pub fn is_between_transactions(&self) -> bool {
        self.current.is_none()
    }

    /// The logs begin anew at `position`.
    pub fn restart(&mut self, position: Lsn) {
        self.newest_committed = 0;
        self.processed.store(position.0, Ordering::Release);
    }

    /// Takes note that the stream has nothing before `position` that has not been applied.
    pub fn reach(&self, position: Lsn) {
        self.processed.fetch_max(position.0, Ordering::Release);
    }

    /// The position that has been applied.
    fn reached(&self) -> Lsn {
        Lsn(self.processed.load(Ordering::Acquire))
    }

    /// Applies one message of the stream.
    pub async fn apply(&mut self, payload: Bytes) -> Result<(), ApplyError> {
        let message = match pgoutput::decode(payload.clone()) {
            Ok(message) => message,
            Err(error) => {
                let relation = pgoutput::relation_of(&payload).ok_or(error.clone())?;
                return self.undecodable(relation, &error);
            }
        };
        match message {
            Message::Begin { commit, xid } => self.begin(commit, xid),
            Message::Commit { end, .. } => self.commit(end).await?,
            Message::Relation(relation) => self.follow(relation).await?,
            Message::Insert { relation, new } => match pgoutput::complete(new, None) {
                Ok(new) => self.change(relation, Some(Change::Insert(new)))?,
                Err(missing) => self.unreadable(relation, &missing)?,
            },
            Message::Update { relation, old, new } => {
                let change = update(old, new);
                self.change(relation, change)?;
            }
            Message::Delete { relation, old } => {
                let change = old_row(old).map(Change::Delete);
                self.change(relation, change)?;
            }
            Message::Truncate { relations } => {
                for relation in relations {
                    self.lose(relation)?;
                }
            }
            Message::Origin | Message::Type | Message::Message => {}
        }
        Ok(())
    }

    fn begin(&mut self, commit: Lsn, xid: u32) {
        self.serial += 1;
        let wide = widen(xid, self.newest_xid);
        self.newest_xid = self.newest_xid.max(wide);
        self.newest_committed = self.newest_committed.max(wide);
        self.earlier.push(wide);
        let at = InTransaction { commit, xid, serial: self.serial };
        self.current = Some(Current {
            at,
            xid: wide,
            entries: Vec::new(),
            bytes: 0,
            touched: Vec::new(),
            passed: HashMap::new(),
            lost: HashSet::new(),
            given_up: false,
        });
    }

    /// Applies a change of a row; `None` is one whose rows are not whole.
    fn change(&mut self, relation: u32, change: Option<Change>) -> Result<(), ApplyError> {
        let Some(change) = change.filter(|_| !self.unreadable.contains(&relation)) else { return self.lose(relation) };
        let Self { sources, partitions, taps, current, .. } = self;
        let current = current.as_mut().ok_or(ApplyError::OutOfPlace("a change"))?;
        for table in partitions.tables_of(relation) {
            for source in sources.get_mut(&table).into_iter().flatten() {
                let Current { touched, passed, lost, given_up, .. } = current;
                for number in source.broken(relation) {
                    if !touch(taps, touched, number, |tap| tap.lost = true) {
                        lost.insert(number);
                    }
                }
                let before = current.entries.len();
                let tell = |number, entry| {
                    touch(taps, touched, number, |tap| tap.pending.push(entry));
                };
                let (mut bytes, mut shared) = (0, false);
                let pass = |number, change: Arc<RowChange>| {
                    if *given_up {
                        lost.insert(number);
                        return;
                    }
                    // All nodes share it.
                    bytes += if std::mem::replace(&mut shared, true) { 32 } else { change.bytes() };
                    passed.entry(number).or_insert_with(Vec::new).push(change);
                };
                source.change(relation, &change, current.at, &mut current.entries, tell, pass);
                current.bytes += bytes + current.entries[before..].iter().map(|(_, json)| json.len()).sum::<usize>();
            }
        }
        if current.bytes > TRANSACTION_BYTES {
            current.give_up(taps);
            current.given_up = true;
        }
        Ok(())
    }

    fn unreadable(&mut self, relation: u32, missing: &MissingValue) -> Result<(), ApplyError> {
        warn!(
            table.oid = relation,
            column = missing.column,
            "a row of the stream lacks a value: its shapes start over"
        );
        self.lose(relation)
    }

    /// A message of one relation cannot be read: its shapes start over, and those of others go on.
    fn undecodable(&mut self, relation: u32, error: &DecodeError) -> Result<(), ApplyError> {
        if self.unreadable.insert(relation) {
            warn!(table.oid = relation, %error, "a message of the stream cannot be read: the shapes of its table start over");
        }
        self.lose(relation)
    }

    /// The shapes of a relation cannot follow this transaction.
    fn lose(&mut self, relation: u32) -> Result<(), ApplyError> {
        let Self { sources, partitions, taps, current, .. } = self;
        let current = current.as_mut().ok_or(ApplyError::OutOfPlace("a truncation"))?;
        for table in partitions.tables_of(relation) {
            for source in sources.get_mut(&table).into_iter().flatten() {
                for number in source.listeners() {
                    if !touch(taps, &mut current.touched, number, |tap| tap.lost = true) {
                        current.lost.insert(number);
                    }
                }
            }
        }
        Ok(())
    }

    /// The transaction is whole: its entries go to the logs, at once for all of its readers, and to the store.
    async fn commit(&mut self, end: Lsn) -> Result<(), ApplyError> {
        let Current { at, xid, entries, touched, passed, lost, .. } =
            self.current.take().ok_or(ApplyError::OutOfPlace("a commit"))?;
        let mut shared: Vec<Vec<Reference>> = vec![Vec::new(); entries.len()];
        let mut grown = Vec::new();
        let mut ended = Vec::new();
        for number in touched {
            let Some(tap) = self.taps.get_mut(&number) else { continue };
            let lost = std::mem::take(&mut tap.lost);
            let places = tap.pending.clone();
            let own = tap.take_pending(&entries);
            match &mut tap.phase {
                Phase::Buffering(buffer) => {
                    let entries = (!lost).then_some(own);
                    if !buffer.push(Buffered { xid, commit: at.commit, entries }) {
                        ended.push(number);
                    }
                }
                Phase::Live(mark) if mark.contains(xid) => {}
                Phase::Live(_) if lost || tap.shape.log.has_ended() => ended.push(number),
                Phase::Live(_) => {
                    for (place, entry) in places.iter().zip(&own) {
                        shared[*place as usize].push(Reference { shape: number, ends: entry.ends });
                    }
                    tap.shape.log.append(own);
                    grown.push(Arc::clone(&tap.shape));
                }
            }
        }
        for number in ended {
            self.end(number)?;
        }
        let held = self.follow_nodes(at, xid, passed, lost)?;
        self.reach(end);
        let shared = entries.into_iter().zip(shared).filter(|(_, shapes)| !shapes.is_empty());
        let entries = shared.map(|((offset, json), shapes)| Shared { offset, json, shapes }).collect();
        self.store.transaction(Transaction { end, entries, shapes: grown, held }).await?;
        self.advance_nodes().await?;
        Ok(())
    }

    /// Shapes that the store had, and that must be told what became different since.
    pub fn take_unrepaired(&mut self) -> Vec<Arc<Shape>> {
        std::mem::take(&mut self.unrepaired)
    }

    /// Ends every shape: the logs cannot be continued.
    pub fn end_all(&mut self, reason: &str) -> Result<(), Stopped> {
        // No snapshot of another history will ever contain them.
        self.earlier.clear();
        let shapes: Vec<u64> = self.catalog.shapes().iter().map(|shape| shape.number).collect();
        let shapes: Vec<u64> = shapes.into_iter().filter(|number| self.graph.has(*number)).collect();
        let count = self.taps.len() + shapes.len();
        if count > 0 {
            warn!(shapes = count, "{count} shapes start over: {reason}");
        }
        self.graph.restart();
        let numbers: Vec<u64> = self.taps.keys().copied().chain(shapes).collect();
        numbers.into_iter().try_for_each(|number| self.end(number))
    }

    fn end(&mut self, number: u64) -> Result<(), Stopped> {
        let Some(shape) = self.take(number) else { return Ok(()) };
        info!(shape.handle = %shape.handle, "shape {} on {} ends", shape.handle, shape.definition.table.name);
        shape.log.begin_end();
        self.catalog.remove(&shape);
        shape.snapshot.fail(Failure::Changed);
        self.store.end(shape)
    }

    /// Takes a shape away from the changes that it listened to.
    fn take(&mut self, number: u64) -> Option<Arc<Shape>> {
        if let Some(tap) = self.taps.remove(&number) {
            self.leave(number, tap.shape.definition.table.oid);
            return Some(tap.shape);
        }
        let shape = self.graph.shape(number)?;
        for feed in self.graph.remove(number) {
            self.leave(feed.number, feed.table.oid);
        }
        Some(shape)
    }

    fn leave(&mut self, number: u64, oid: u32) {
        if let Some(sources) = self.sources.get_mut(&oid) {
            sources.iter_mut().for_each(|source| source.remove(number));
            sources.retain(|source| !source.is_empty());
            if sources.is_empty() {
                self.sources.remove(&oid);
            }
            self.partitions.set(oid, self.sources.get(&oid).into_iter().flatten());
        }
    }
}

/// Whether a shape or a node can go on with its table as it is `now`.
fn survives(taps: &HashMap<u64, Tap>, graph: &Graph, number: u64, now: &Table) -> bool {
    taps.get(&number).map_or_else(|| graph.survives(number, now), |tap| tap.shape.definition.survives(now))
}

/// Changes what a shape has been given in this transaction; false if it is none of these.
fn touch(taps: &mut HashMap<u64, Tap>, touched: &mut Vec<u64>, number: u64, change: impl FnOnce(&mut Tap)) -> bool {
    let Some(tap) = taps.get_mut(&number) else { return false };
    if tap.pending.is_empty() && !tap.lost {
        touched.push(number);
    }
    change(tap);
    true
}

/// The old row, if it is whole.
fn old_row(old: Old) -> Option<Row> {
    match old {
        Old::Full(tuple) => pgoutput::complete(tuple, None).ok(),
        // The table's replica identity is not FULL: what the row was is not known.
        Old::Key(_) => None,
    }
}

/// Both rows of an update, if they are whole. Values that were not sent again are those of the old row.
fn update(old: Option<Old>, new: Tuple) -> Option<Change> {
    let Some(Old::Full(old)) = old else { return None };
    let new = pgoutput::complete(new, Some(&old)).ok()?;
    let old = old.into_iter().map(|field| match field {
        Field::Text(text) => Some(Some(text)),
        Field::Null => Some(None),
        Field::Unchanged => None,
    });
    Some(Change::Update(old.collect::<Option<Row>>()?, new))
}
