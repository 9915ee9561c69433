//! What changed rows mean to a node: messages for a shape's readers, or values that a subquery returns more or fewer of.

use bytes::Bytes;

use super::members::{Delta, Members};
use super::node::{Followed, Kind, Node, Row, RowChange, Standing};
use super::tags::{share_slots, write_headers};
use super::view::Results;
use crate::engine::entry::{Operation, Position};
use crate::engine::filter::{Alternatives, Key, probe};
use crate::engine::log::{Ends, Entry};
use crate::shape::{Lsn, Offset};

/// Where messages of a transaction stand in a shape's log.
#[derive(Debug, Clone, Copy)]
pub struct At {
    pub commit: Lsn,
    pub txid: u32,
    /// The transaction's position in this log: its commit, or just past what the log has already.
    pub tx: u64,
}

/// A row, and what it is to the node.
type Judged<'a> = Option<(&'a Row, Standing)>;

/// Adds the messages of one change to `entries`.
pub fn tell(node: &Node, followed: &Followed, change: &RowChange, results: &Results, at: At, entries: &mut Vec<Entry>) {
    let Some(alternatives) = node.filter.as_ref().and_then(|filter| filter.alternatives()) else { return };
    let judge = |row: &'_ Option<Row>| row.as_ref().map(|row| node.standing(row, results));
    let old: Judged<'_> = change.old.as_ref().zip(judge(&change.old));
    let new: Judged<'_> = change.new.as_ref().zip(judge(&change.new));
    let included = |row: &Judged<'_>| row.as_ref().is_some_and(|(_, standing)| standing.included);
    let Some(operation) = Operation::for_readers(included(&old), included(&new)) else { return };
    let writer = Writer { alternatives, followed, at, entries };
    match (operation, old, new) {
        (Operation::Update, Some(old), Some(new)) => writer.update(&old, &new, change.op),
        (Operation::Insert, _, Some(new)) => writer.one(Operation::Insert, &new, change.op),
        (Operation::Delete, Some(old), _) => writer.one(Operation::Delete, &old, change.op),
        _ => {}
    }
}

struct Writer<'a> {
    alternatives: &'a Alternatives,
    followed: &'a Followed,
    at: At,
    entries: &'a mut Vec<Entry>,
}

impl Writer<'_> {
    fn position(&self, op: u64) -> Position {
        Position { commit: self.at.commit, xid: self.at.txid, op }
    }

    fn tags(&self, row: &Row) -> Vec<String> {
        self.followed.tagger.tags(self.alternatives, row)
    }

    fn add(&mut self, op: u64, json: Bytes, tags: &[String], removed: &[String], active: &[bool]) {
        let mut json = Vec::from(json);
        write_headers(&mut json, tags, removed, active);
        self.entries.push(Entry { offset: Offset { tx: self.at.tx, op }, json: json.into(), ends: Ends::Nothing });
    }

    /// An insert or a delete.
    fn one(mut self, operation: Operation, (row, standing): &(&Row, Standing), op: u64) {
        let json = self.followed.encoder.change(operation, row, None, self.position(op));
        let tags = self.tags(row);
        self.add(op, json, &tags, &[], &standing.active);
    }

    fn update(mut self, old: &(&Row, Standing), new: &(&Row, Standing), op: u64) {
        let ((old_row, before), (new_row, after)) = (old, new);
        let (tags, old_tags) = (self.tags(new_row), self.tags(old_row));
        let encoder = &self.followed.encoder;
        let same_key = encoder.same_key(old_row, new_row);
        if same_key && !encoder.shows(old_row, new_row) && tags == old_tags && before == after {
            return;
        }
        let removed: Vec<String> = old_tags.iter().filter(|tag| !tags.contains(tag)).cloned().collect();
        let at = self.position(op);
        if same_key && !share_slots(self.alternatives, &tags, &removed) {
            let json = encoder.change(Operation::Update, new_row, Some(old_row), at);
            return self.add(op, json, &tags, &removed, &after.active);
        }
        let halves = match same_key {
            false => encoder.key_change(old_row, new_row, at),
            // Readers would forget a slot that the row still has: for them it goes and comes back.
            true => [
                encoder.change(Operation::Delete, old_row, None, at),
                encoder.change(Operation::Insert, new_row, None, self.position(op + 1)),
            ],
        };
        let [gone, come] = halves;
        self.add(op, gone, &old_tags, &[], &before.active);
        self.add(op + 1, come, &tags, &[], &after.active);
    }
}

/// Counts what one change of a row does to a subquery's result.
pub fn count(
    node: &Node,
    members: &mut Members,
    old: Option<&Row>,
    new: Option<&Row>,
    stands: Stands<'_>,
    deltas: &mut Vec<Delta>,
) {
    let Kind::Subquery { columns, .. } = &node.kind else { return };
    for (row, rows) in [(old, -1), (new, 1)] {
        if let Some(row) = row.filter(|row| stands(row)) {
            members.add(Key::from(&probe(row, columns)), rows, deltas);
        }
    }
}

/// Whether a row is included.
pub type Stands<'a> = &'a dyn Fn(&Row) -> bool;
