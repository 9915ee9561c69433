//! A shape: what was asked for, under which handle, with its snapshot and its log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::definition::{Chosen, Selection};
use super::entry::Projection;
use super::filter::Filter;
use super::log::Log;
use super::snapshot::Snapshot;
use super::tables::Table;
use crate::shape::{Handle, LogMode, Replica};

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
        let identity = format!("{:?}", (table.oid, &table.name, key, filter, &selection, replica, log));
        Some(Self { columns, identity: identity.into(), table, condition, selection, replica, log })
    }

    /// Two definitions are the same shape if and only if these texts are equal (protocol, 7.1).
    pub fn identity(&self) -> &Arc<str> {
        &self.identity
    }

    /// Which columns its messages show.
    pub fn projection(&self) -> Projection {
        Projection { columns: self.columns.clone(), replica: self.replica }
    }

    /// Whether the shape goes on when its table has become `now`.
    ///
    /// Its columns, those of its condition and its key must be there with name and type as before; a
    /// shape that shows all columns must still do so (protocol, 7.5).
    pub fn survives(&self, now: &Table) -> bool {
        let before = &*self.table;
        let same_column = |at: &usize| {
            let column = &before.columns[*at];
            now.column(&column.name).is_some_and(|found| {
                let found = &now.columns[found];
                (found.type_oid, found.type_modifier) == (column.type_oid, column.type_modifier)
            })
        };
        let key = |table: &Table| table.key.iter().map(|at| table.columns[*at].name.clone()).collect::<Vec<_>>();
        let used = self.condition.iter().flat_map(|condition| condition.filter.columns());
        before.oid == now.oid
            && before.name == now.name
            && key(before) == key(now)
            && before.has_primary_key == now.has_primary_key
            && (self.selection.chosen == Chosen::Listed || before.columns.len() == now.columns.len())
            && self.columns.iter().chain(used).all(same_column)
    }

    /// The form that the catalogue keeps.
    pub fn stored(&self) -> Stored {
        Stored {
            table: Table::clone(&self.table),
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
        let condition = match self.condition {
            None => None,
            Some((text, params)) => {
                let filter = Arc::new(Filter::compile(&text, &params, &self.table).ok()?);
                Some(Condition { text, params, filter })
            }
        };
        let replica = if self.full_replica { Replica::Full } else { Replica::Default };
        let log = if self.changes_only { LogMode::ChangesOnly } else { LogMode::Full };
        let known = tables.iter().find(|table| ***table == self.table).cloned();
        let table = known.unwrap_or_else(|| {
            tables.push(Arc::new(self.table));
            Arc::clone(&tables[tables.len() - 1])
        });
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
    /// The table as it is now, for the schema header: nullability may change without ending the shape.
    table_now: Mutex<Arc<Table>>,
}

impl Shape {
    /// A shape with the given snapshot and log.
    pub fn new(number: u64, handle: Handle, definition: Definition, snapshot: Snapshot, log: Log) -> Self {
        let table_now = Mutex::new(Arc::clone(&definition.table));
        Self { number, handle, definition, snapshot, log, table_now }
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
