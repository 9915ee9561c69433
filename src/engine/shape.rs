//! A shape: what was asked for, under which handle, with its snapshot and its log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::definition::{Chosen, Selection};
use super::entry::Projection;
use super::filter::Filter;
use super::log::Log;
use super::snapshot::Snapshot;
use super::tables::Table;
use super::usage::Usage;
use crate::shape::{Handle, LogMode, Lsn, Replica};

/// What a shape shows: one table, a condition, columns, and how much of old rows.
#[derive(Debug, Clone)]
pub struct Definition {
    pub table: Arc<Table>,
    pub condition: Option<Condition>,
    pub selection: Selection,
    /// Positions of the selected columns in the table, in order of name.
    pub columns: Vec<usize>,
    pub replica: Replica,
    pub log: LogMode,
    identity: Arc<str>,
}

/// A condition as its client wrote it, and compiled.
#[derive(Debug, Clone)]
pub struct Condition {
    pub text: String,
    pub params: Vec<String>,
    pub filter: Arc<Filter>,
}

/// A definition as the catalogue keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stored {
    pub table: Table,
    /// Those that subqueries read.
    #[serde(default)]
    pub inner_tables: Vec<Table>,
    pub condition: Option<(String, Vec<String>)>,
    pub selection: Selection,
    pub full_replica: bool,
    /// Absent in catalogues of versions that knew full logs only.
    #[serde(default)]
    pub changes_only: bool,
}

impl Definition {
    /// The shape of `table` with these parts; `None` if a selected column is not there.
    pub fn new(
        table: Arc<Table>,
        condition: Option<Condition>,
        selection: Selection,
        replica: Replica,
        log: LogMode,
    ) -> Option<Self> {
        let columns = selection.positions(&table)?;
        let key: Vec<&str> = table.key.iter().map(|at| table.columns[*at].name.as_str()).collect();
        let filter = condition.as_ref().map(|condition| condition.filter.sql());
        let inner = condition.iter().flat_map(|condition| condition.filter.tables()).map(|table| table.oid);
        let inner: Vec<u32> = inner.collect();
        let identity = format!("{:?}", (table.oid, &table.name, key, filter, inner, &selection, replica, log));
        Some(Self { columns, identity: identity.into(), table, condition, selection, replica, log })
    }

    /// Two definitions are the same shape if and only if these texts are equal (protocol, 7.1).
    pub fn identity(&self) -> &Arc<str> {
        &self.identity
    }

    /// Whether its condition reads other tables.
    pub fn has_subqueries(&self) -> bool {
        self.condition.as_ref().is_some_and(|condition| condition.filter.alternatives().is_some())
    }

    /// Its table, and those that its subqueries read.
    pub fn tables(&self) -> Vec<Arc<Table>> {
        let inner = self.condition.iter().flat_map(|condition| condition.filter.tables());
        let mut tables = vec![Arc::clone(&self.table)];
        tables.extend(inner.filter(|inner| *inner != self.table));
        tables
    }

    /// Which columns its messages show.
    pub fn projection(&self) -> Projection {
        Projection { columns: self.columns.clone(), replica: self.replica }
    }

    /// Whether the shape goes on when its table has become `now`, its partitions aside.
    ///
    /// Its columns, those of its condition and its key must be there with name and type as before; a
    /// shape that shows all columns must still do so (protocol, 7.5).
    pub fn survives(&self, now: &Table) -> bool {
        let before = &*self.table;
        let key = |table: &Table| table.key.iter().map(|at| table.columns[*at].name.clone()).collect::<Vec<_>>();
        let used = self.condition.iter().flat_map(|condition| condition.filter.columns());
        before.oid == now.oid
            && before.name == now.name
            && key(before) == key(now)
            && before.has_primary_key == now.has_primary_key
            && (self.selection.chosen == Chosen::Listed || before.columns.len() == now.columns.len())
            && before.has_same_columns(now, self.columns.iter().chain(used))
    }

    /// The form that the catalogue keeps.
    pub fn stored(&self) -> Stored {
        Stored {
            table: Table::clone(&self.table),
            inner_tables: self.tables().iter().skip(1).map(|table| Table::clone(table)).collect(),
            condition: self.condition.as_ref().map(|condition| (condition.text.clone(), condition.params.clone())),
            selection: self.selection.clone(),
            full_replica: self.replica == Replica::Full,
            changes_only: self.log == LogMode::ChangesOnly,
        }
    }
}

impl Stored {
    /// The definition again, its condition compiled anew; `None` if this version cannot read it.
    ///
    /// An equal table of `tables` is shared, another one added to them.
    pub fn restore(self, tables: &mut Vec<Arc<Table>>) -> Option<Definition> {
        let mut shared = |table: Table| {
            let known = tables.iter().find(|known| ***known == table).cloned();
            known.unwrap_or_else(|| {
                tables.push(Arc::new(table));
                Arc::clone(&tables[tables.len() - 1])
            })
        };
        let table = shared(self.table);
        // A subquery may read the shape's own table.
        let inner: Vec<Arc<Table>> =
            [Arc::clone(&table)].into_iter().chain(self.inner_tables.into_iter().map(shared)).collect();
        let condition = match self.condition {
            None => None,
            Some((text, params)) => {
                let filter = Arc::new(Filter::compile_with(&text, &params, &table, &inner).ok()?);
                Some(Condition { text, params, filter })
            }
        };
        let replica = if self.full_replica { Replica::Full } else { Replica::Default };
        let log = if self.changes_only { LogMode::ChangesOnly } else { LogMode::Full };
        Definition::new(table, condition, self.selection, replica, log)
    }
}

/// One generation of a shape.
#[derive(Debug)]
pub struct Shape {
    /// Unique within the store; names the shape in the journal.
    pub number: u64,
    pub handle: Handle,
    pub definition: Definition,
    pub snapshot: Snapshot,
    pub log: Log,
    /// How much readers may be told that they have.
    pub held: Held,
    /// When it was used last, and who waits for it.
    pub usage: Usage,
    /// The table as it is now: nullability, which the schema header tells, and the partitions that have come since.
    table_now: Mutex<Arc<Table>>,
    /// The oid of what has put the table into the publication, once known; never 0. Another one later means that the
    /// table was out of it in between.
    entry: AtomicU32,
}

impl Shape {
    /// A shape with the given snapshot and log.
    pub fn new(number: u64, handle: Handle, definition: Definition, snapshot: Snapshot, log: Log) -> Self {
        let table_now = Mutex::new(Arc::clone(&definition.table));
        let (usage, entry) = (Usage::default(), AtomicU32::new(0));
        Self { number, handle, definition, snapshot, log, held: Held::default(), usage, table_now, entry }
    }

    /// Whether the shape goes on when its table has become `now`, which is in the publication by `entry`.
    ///
    /// As [`Definition::survives`], and it must have missed no row that a partition brought or took away, nor a change
    /// while the table was out of the publication.
    pub fn survives(&self, now: &Table, entry: u32) -> bool {
        let known = self.entry.load(Ordering::Acquire);
        (known == 0 || known == entry) && self.definition.survives(now) && self.table_now().keeps_partitions(now)
    }

    /// What has put the table into the publication; 0 while that is not known.
    pub fn entry(&self) -> u32 {
        self.entry.load(Ordering::Acquire)
    }

    /// Notes what has put the table into the publication.
    pub fn set_entry(&self, entry: u32) {
        self.entry.store(entry, Ordering::Release);
    }

    /// The definition as the catalogue keeps it, with the partitions as they were last seen.
    pub fn stored(&self) -> Stored {
        let mut stored = self.definition.stored();
        stored.table.partitions.clone_from(&self.table_now().partitions);
        stored
    }

    /// The table as it was last seen.
    pub fn table_now(&self) -> Arc<Table> {
        Arc::clone(&self.table_now.lock())
    }

    /// Notes how the table looks now.
    pub fn set_table_now(&self, table: Arc<Table>) {
        *self.table_now.lock() = table;
    }
}

/// Keeps readers from being told that they have everything up to a position, while something before it is still to come.
///
/// Only shapes with subqueries are ever held.
#[derive(Debug, Default)]
pub struct Held {
    state: Mutex<HeldState>,
}

#[derive(Debug, Default)]
struct HeldState {
    /// Everything before it can be read. Means something only while one of the others does.
    at: Lsn,
    /// Nodes that wait for rows, each with the round of its read: the end of one read says nothing of the next.
    reads: SmallVec<[(u64, u64); 2]>,
    /// Entries on their way to the disk.
    writes: usize,
}

impl Held {
    /// A node that the shape needs waits; everything before `at` can be read.
    pub fn hold(&self, node: u64, round: u64, at: Lsn) {
        let mut state = self.state.lock();
        state.begin(at);
        if !state.reads.contains(&(node, round)) {
            state.reads.push((node, round));
        }
    }

    /// A node does not wait for this read any more.
    pub fn release(&self, node: u64, round: u64) {
        self.state.lock().reads.retain(|held| *held != (node, round));
    }

    /// Entries are on their way to the disk; everything before `at` can be read.
    pub fn begin_write(&self, at: Lsn) {
        let mut state = self.state.lock();
        state.begin(at);
        state.writes += 1;
    }

    /// They can be read.
    pub fn end_write(&self) {
        let mut state = self.state.lock();
        state.writes = state.writes.saturating_sub(1);
    }

    /// What readers may be told of who have all entries up to `position`: what is on its way to the disk comes after them.
    pub fn limit_of_reads(&self, position: Lsn) -> Lsn {
        let state = self.state.lock();
        if state.reads.is_empty() { position } else { position.min(state.at) }
    }

    /// What readers may be told of, if everything before `processed` has been followed.
    pub fn limit(&self, processed: Lsn) -> Lsn {
        let state = self.state.lock();
        if state.is_idle() { processed } else { processed.min(state.at) }
    }
}

impl HeldState {
    fn begin(&mut self, at: Lsn) {
        if self.is_idle() {
            self.at = at;
        }
    }

    fn is_idle(&self) -> bool {
        self.reads.is_empty() && self.writes == 0
    }
}

/// Where the engine keeps its files.
///
/// ```text
/// <storage>/catalog.redb           which shapes there are
///           journal/*.journal      what the log files may not have yet
///           shapes/<2 hex>/<handle>.snapshot, .log
///           trash/                 files of ended shapes, being deleted
/// ```
#[derive(Debug, Clone)]
pub struct Files {
    root: Arc<Path>,
}

impl Files {
    /// The layout under `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// The folder of all of it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The catalogue.
    pub fn catalog(&self) -> PathBuf {
        self.root.join("catalog.redb")
    }

    /// The folder of the journal.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// The folder of all shapes' files.
    pub fn shapes(&self) -> PathBuf {
        self.root.join("shapes")
    }

    /// The folder from which files are deleted.
    pub fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// One of 256 folders: few enough to make at once, enough that none grows too large.
    fn folder(&self, handle: &Handle) -> PathBuf {
        let hash = crc32fast::hash(handle.as_str().as_bytes()) as u8;
        self.shapes().join(format!("{hash:02x}"))
    }

    /// The rows of a shape's snapshot.
    pub fn snapshot(&self, handle: &Handle) -> PathBuf {
        self.folder(handle).join(format!("{handle}.snapshot"))
    }

    /// The entries of a shape's log.
    pub fn log(&self, handle: &Handle) -> PathBuf {
        self.folder(handle).join(format!("{handle}.log"))
    }
}
