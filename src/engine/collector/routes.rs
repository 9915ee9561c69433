//! From a table's change to the shapes that it touches, and to what their readers are told.
//!
//! ```text
//! relation ─► source (one layout of a table) ─► index: conditions that may match
//!                                                 └► condition ─► groups (columns, replica) ─► shapes
//! ```
//! Each distinct condition is evaluated once, each distinct message encoded once.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hashbrown::HashMap;
use smallvec::{SmallVec, smallvec};

use crate::engine::entry::{Encoder, Operation, Position, Projection};
use crate::engine::filter::{Filter, Index};
use crate::engine::replication::pgoutput::Relation;
use crate::engine::shape::{Definition, Shape};
use crate::engine::subquery::{Route, Routing, RowChange};
use crate::engine::tables::{Column, Table};
use crate::shape::{Lsn, Offset, TableName};

/// A row of a table, in the order of its columns.
pub type Row = Vec<Option<Bytes>>;

/// One table in one layout, with the shapes that were defined on it so.
#[derive(Debug)]
pub struct Source {
    pub table: Arc<Table>,
    /// The table as it was last seen: what its shapes rely on is as in `table`.
    now: Arc<Table>,
    looked_at: Instant,
    /// What had put the table into the publication then; 0 if not all shapes are known to agree with that look.
    entry: u32,
    /// Of each relation that sends the table's rows, for each column of the table its place there; none while they
    /// agree. The table itself is one, or its partitions are.
    layouts: HashMap<u32, Vec<Option<usize>>>,
    /// Shapes that cannot follow the rows as a relation sends them now.
    broken: Vec<(u32, u64)>,
    index: Index,
    conditions: Vec<Option<Listener>>,
    /// Places in `conditions` by the condition's text.
    by_text: HashMap<Option<String>, usize>,
    free: Vec<usize>,
    /// For each shape the places of its condition and its projection.
    shapes: HashMap<u64, (usize, usize)>,
    /// Nodes of shapes with subqueries, each with the place of its condition.
    nodes: HashMap<u64, usize>,
    projections: Vec<(Projection, Encoder)>,
    /// Changes of this table in the transaction at hand.
    changes: u64,
    in_transaction: u64,
}

/// Who listens to rows that a condition may hold for.
#[derive(Debug)]
enum Listener {
    Shapes(Condition),
    /// A query that is followed elsewhere: it judges rows itself.
    Node(u64),
}

#[derive(Debug)]
struct Condition {
    filter: Option<Arc<Filter>>,
    /// Shapes by position of their projection.
    groups: Vec<(usize, Vec<u64>)>,
}

/// One change of a row.
#[derive(Debug)]
pub enum Change {
    Insert(Row),
    Update(Row, Row),
    Delete(Row),
}

/// Where a change stands in the stream.
#[derive(Debug, Clone, Copy)]
pub struct InTransaction {
    pub commit: Lsn,
    pub xid: u32,
    /// Tells transactions apart, also two deliveries of one.
    pub serial: u64,
}

/// A message in the transaction's list, and one more if the key changed.
type Encoded = SmallVec<[u32; 2]>;

impl Source {
    /// A table without shapes.
    pub fn new(table: Arc<Table>) -> Self {
        Self {
            now: Arc::clone(&table),
            looked_at: Instant::now(),
            entry: 0,
            table,
            layouts: HashMap::new(),
            broken: Vec::new(),
            index: Index::new(),
            conditions: Vec::new(),
            by_text: HashMap::new(),
            free: Vec::new(),
            shapes: HashMap::new(),
            nodes: HashMap::new(),
            projections: Vec::new(),
            changes: 0,
            in_transaction: 0,
        }
    }

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty() && self.nodes.is_empty()
    }

    /// The numbers of all shapes and nodes.
    pub fn listeners(&self) -> Vec<u64> {
        self.shapes.keys().chain(self.nodes.keys()).copied().collect()
    }

    /// Adds a node, which listens to rows that its filter may hold for.
    pub fn insert_node(&mut self, number: u64, filter: Option<&Arc<Filter>>) {
        let id = self.free_place();
        self.conditions[id] = Some(Listener::Node(number));
        // By which entry the table is published is learned by the next look.
        self.entry = 0;
        self.index.insert(id, filter);
        self.nodes.insert(number, id);
    }

    /// Changes for which rows a node listens.
    pub fn route(&mut self, route: &Route) {
        let Some(id) = self.nodes.get(&route.node) else { return };
        match &route.change {
            Routing::ByValue => self.index.look_up(*id),
            Routing::Add(columns, value) => self.index.add_value(*id, &columns.left, value),
            Routing::Remove(columns, value) => self.index.remove_value(*id, &columns.left, value),
        }
    }

    /// Whether a shape that was defined on `table` as it is there belongs here.
    pub fn fits(&self, table: &Table) -> bool {
        let own = &*self.table;
        let as_own = (own.oid, &own.name, &own.columns, &own.key, own.has_primary_key)
            == (table.oid, &table.name, &table.columns, &table.key, table.has_primary_key);
        as_own && self.now.partitions == table.partitions
    }

    /// Adds a shape.
    pub fn insert(&mut self, shape: &Shape) {
        if shape.entry() != self.entry || *shape.definition.table != *self.now {
            self.entry = 0;
        }
        let projection = self.projection(&shape.definition);
        let id = self.condition(shape.definition.condition.as_ref().map(|condition| &condition.filter));
        self.shapes.insert(shape.number, (id, projection));
        let Some(Listener::Shapes(condition)) = &mut self.conditions[id] else { return };
        match condition.groups.iter_mut().find(|(found, _)| *found == projection) {
            Some((_, numbers)) => numbers.push(shape.number),
            None => condition.groups.push((projection, vec![shape.number])),
        }
    }

    /// Takes a shape or a node out.
    pub fn remove(&mut self, number: u64) {
        self.broken.retain(|(_, broken)| *broken != number);
        if let Some(id) = self.nodes.remove(&number) {
            self.forget(id);
        }
        let Some((id, projection)) = self.shapes.remove(&number) else { return };
        let Some(Listener::Shapes(condition)) = &mut self.conditions[id] else { return };
        for (_, numbers) in condition.groups.iter_mut().filter(|(found, _)| *found == projection) {
            numbers.retain(|found| *found != number);
        }
        condition.groups.retain(|(_, numbers)| !numbers.is_empty());
        if condition.groups.is_empty() {
            self.by_text.remove(&text(condition.filter.as_ref()));
            self.forget(id);
        }
    }

    fn forget(&mut self, id: usize) {
        self.conditions[id] = None;
        self.index.remove(id);
        self.free.push(id);
    }

    fn free_place(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.conditions.push(None);
            self.conditions.len() - 1
        })
    }

    fn projection(&mut self, definition: &Definition) -> usize {
        let wanted = definition.projection();
        let known = self.projections.iter().position(|(projection, _)| *projection == wanted);
        known.unwrap_or_else(|| {
            let encoder = Encoder::new(&self.table, wanted.clone());
            self.projections.push((wanted, encoder));
            self.projections.len() - 1
        })
    }

    fn condition(&mut self, filter: Option<&Arc<Filter>>) -> usize {
        let text = text(filter);
        if let Some(id) = self.by_text.get(&text) {
            return *id;
        }
        let id = self.free_place();
        self.conditions[id] = Some(Listener::Shapes(Condition { filter: filter.cloned(), groups: Vec::new() }));
        self.index.insert(id, filter);
        self.by_text.insert(text, id);
        id
    }

    /// The table as it was last seen.
    pub fn now(&self) -> &Table {
        &self.now
    }

    /// Notes how the table looks, by a look that began then, and that all shapes go on with that.
    pub fn set_now(&mut self, table: Arc<Table>, entry: u32, looked_at: Instant) {
        (self.now, self.entry, self.looked_at) = (table, entry, looked_at);
    }

    /// Whether nothing has changed for any shape when the table looks like this.
    pub fn agrees(&self, table: &Table, entry: u32) -> bool {
        self.entry == entry && *self.now == *table
    }

    /// When the look that `now` is known by began.
    pub fn looked_at(&self) -> Instant {
        self.looked_at
    }

    /// Takes note of how the stream sends rows from now on, and which of `listeners` can follow that.
    pub fn follow(
        &mut self,
        relation: &Relation,
        listeners: impl IntoIterator<Item = u64>,
        survives: impl Fn(u64, &Table) -> bool,
    ) {
        let place = |column: &Column| {
            relation.columns.iter().position(|found| {
                found.name == column.name
                    && (found.type_oid, found.type_modifier) == (column.type_oid, column.type_modifier)
            })
        };
        let layout: Vec<_> = self.table.columns.iter().map(place).collect();
        let now = self.as_table(relation);
        for number in listeners {
            let broken = (relation.oid, number);
            self.broken.retain(|known| *known != broken);
            if !survives(number, &now) {
                self.broken.push(broken);
            }
        }
        let same =
            layout.len() == relation.columns.len() && layout.iter().enumerate().all(|(at, place)| *place == Some(at));
        match same {
            true => drop(self.layouts.remove(&relation.oid)),
            false => drop(self.layouts.insert(relation.oid, layout)),
        }
    }

    /// The table that a relation message describes, or whose partition. What it does not tell is as it was: the key,
    /// generated columns, which older servers do not send, and the name of a table that has partitions.
    fn as_table(&self, relation: &Relation) -> Table {
        let before = &*self.table;
        let mut columns: Vec<Column> = relation
            .columns
            .iter()
            .map(|found| Column {
                type_oid: found.type_oid,
                type_modifier: found.type_modifier,
                name: found.name.clone(),
                type_name: String::new(),
                type_kind: 'b',
                dims: 0,
                not_null: false,
                generated: false,
                deterministic: true,
                labels: Default::default(),
                casing: Default::default(),
            })
            .collect();
        let sent = |name: &str| relation.columns.iter().any(|column| column.name == name);
        columns.extend(before.columns.iter().filter(|column| column.generated && !sent(&column.name)).cloned());
        let name = match relation.oid == before.oid {
            true => TableName { schema: relation.schema.clone(), name: relation.name.clone() },
            false => before.name.clone(),
        };
        let (oid, has_primary_key) = (before.oid, before.has_primary_key);
        let mut now = Table { oid, name, columns, key: Vec::new(), has_primary_key, partitions: None };
        now.key = match before.has_primary_key {
            true => before.key.iter().filter_map(|at| now.column(&before.columns[*at].name)).collect(),
            false => before.columns.iter().filter_map(|column| now.column(&column.name)).collect(),
        };
        now
    }

    /// The shapes and nodes that cannot follow the rows of a relation as they are now.
    pub fn broken(&self, relation: u32) -> impl Iterator<Item = u64> {
        self.broken.iter().filter(move |(of, _)| *of == relation).map(|(_, number)| *number)
    }

    fn arrange(&self, relation: u32, row: &Row) -> Option<Row> {
        let layout = self.layouts.get(&relation)?;
        Some(layout.iter().map(|place| place.and_then(|at| row.get(at).cloned().flatten())).collect())
    }

    /// Adds what a change of a relation's row tells the shapes to `entries`, gives each shape's number and message to
    /// `tell`, and the change itself to each node.
    pub fn change(
        &mut self,
        relation: u32,
        change: &Change,
        at: InTransaction,
        entries: &mut Vec<(Offset, Bytes)>,
        mut tell: impl FnMut(u64, u32),
        mut pass: impl FnMut(u64, Arc<RowChange>),
    ) {
        if self.in_transaction != at.serial {
            (self.in_transaction, self.changes) = (at.serial, 0);
        }
        // Two positions a change: the second is for the new row when the key changes.
        let op = self.changes * 2;
        self.changes += 1;
        let (old, new) = change.rows();
        let arranged =
            [old.and_then(|row| self.arrange(relation, row)), new.and_then(|row| self.arrange(relation, row))];
        let old = arranged[0].as_ref().or(old);
        let new = arranged[1].as_ref().or(new);
        let mut found = Vec::new();
        self.index.candidates(old.map(Vec::as_slice), new.map(Vec::as_slice), &mut found);
        let mut encoded: HashMap<(usize, Operation), Encoded> = HashMap::new();
        let mut shared = None;
        for listener in found.into_iter().filter_map(|id| self.conditions.get(id)?.as_ref()) {
            let condition = match listener {
                Listener::Shapes(condition) => condition,
                Listener::Node(number) => {
                    let change =
                        shared.get_or_insert_with(|| Arc::new(RowChange { op, old: old.cloned(), new: new.cloned() }));
                    pass(*number, Arc::clone(change));
                    continue;
                }
            };
            let matches = |row: Option<&Row>| {
                row.is_some_and(|row| condition.filter.as_ref().is_none_or(|filter| filter.matches(row)))
            };
            let Some(operation) = Operation::for_readers(matches(old), matches(new)) else { continue };
            for (projection, numbers) in &condition.groups {
                let messages = encoded.entry((*projection, operation)).or_insert_with(|| {
                    let position = Position { commit: at.commit, xid: at.xid, op };
                    encode(&self.projections[*projection].1, operation, old, new, position, entries)
                });
                for number in numbers {
                    messages.iter().for_each(|message| tell(*number, *message));
                }
            }
        }
    }
}

/// What tells conditions apart.
fn text(filter: Option<&Arc<Filter>>) -> Option<String> {
    filter.map(|filter| filter.sql().to_owned())
}

impl Change {
    fn rows(&self) -> (Option<&Row>, Option<&Row>) {
        match self {
            Self::Insert(new) => (None, Some(new)),
            Self::Update(old, new) => (Some(old), Some(new)),
            Self::Delete(old) => (Some(old), None),
        }
    }
}

/// Adds the messages of one change in one projection to `entries`; returns their places there.
fn encode(
    encoder: &Encoder,
    operation: Operation,
    old: Option<&Row>,
    new: Option<&Row>,
    at: Position,
    entries: &mut Vec<(Offset, Bytes)>,
) -> Encoded {
    let mut add = |op: u64, json: Bytes| {
        entries.push((Offset::change(at.commit, op), json));
        (entries.len() - 1) as u32
    };
    match (operation, old, new) {
        (Operation::Update, Some(old), Some(new)) if !encoder.same_key(old, new) => {
            let [gone, come] = encoder.key_change(old, new, at);
            smallvec![add(at.op, gone), add(at.op + 1, come)]
        }
        (Operation::Update, Some(old), Some(new)) if !encoder.shows(old, new) => smallvec![],
        (Operation::Update, Some(old), Some(new)) => {
            smallvec![add(at.op, encoder.change(operation, new, Some(old), at))]
        }
        (Operation::Insert, _, Some(new)) => smallvec![add(at.op, encoder.change(operation, new, None, at))],
        (Operation::Delete, Some(old), _) => smallvec![add(at.op, encoder.change(operation, old, None, at))],
        _ => smallvec![],
    }
}
