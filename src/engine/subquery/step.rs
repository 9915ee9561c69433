//! How a node follows: transactions as they come, moves of values, and rows that have been read for them.

use std::sync::Arc;

use super::members::{Delta, net};
use super::node::{Followed, Item, Kind, Moved, Node, Phase, Wanted, Xids};
use super::read::{Arrived, Order, VALUES};
use super::rows::{At, count, tell};
use super::tags::{Move, Pattern, event, rows_end, write_headers};
use super::{Committed, Effects, Graph, MOST_VALUES, Stream, Work, is_reading};
use crate::engine::entry::Operation;
use crate::engine::filter::Key;
use crate::engine::log::{Ends, Entry};
use crate::engine::snapshot::{Failure, Mark};
use crate::shape::Offset;

/// What one node's following came to.
#[derive(Debug, Default)]
pub struct Step {
    entries: Vec<Entry>,
    deltas: Vec<Delta>,
    causes: Xids,
}

impl Step {
    /// Adds transactions to those that caused it, each once.
    fn add_causes(&mut self, xids: &[u64]) {
        for xid in xids {
            if !self.causes.contains(xid) {
                self.causes.push(*xid);
            }
        }
    }
}

impl Graph {
    /// Gives nodes what concerns them, subqueries before those who use them.
    pub(super) fn run(&mut self, mut work: Work, stream: Stream<'_>, effects: &mut Effects) {
        while let Some(((_, number), item)) = work.pop_first() {
            let Some(mut node) = self.nodes.remove(&number) else { continue };
            let cause = Committed { xid: item.xid, txid: item.txid, commit: item.commit };
            let mut kept = true;
            for moved in &item.moves {
                moved.keep(&mut node.belief);
                node.route_moves(moved, &mut effects.routes);
                kept &= node.can_follow(moved);
            }
            let mut step = Step::default();
            if node.is_current() {
                self.follow(&mut node, item, &mut step);
            } else {
                kept &= node.wait_with(item);
            }
            self.settle(node, step, cause, stream, &mut work, effects);
            if !kept {
                self.lose(number, effects);
            }
        }
    }

    /// Puts a node back after a step, and passes on what the step came to.
    pub(super) fn settle(
        &mut self,
        mut node: Node,
        step: Step,
        cause: Committed,
        stream: Stream<'_>,
        work: &mut Work,
        effects: &mut Effects,
    ) {
        let number = node.number;
        let begins = node.is_current() && !node.wanted.is_empty();
        if begins {
            effects.orders.push(ask(&mut node, stream));
        }
        if node.queue.is_empty() {
            let wanted = &node.wanted;
            node.belief.settle(|subquery, value| wanted.contains_key(&(subquery, value.clone())));
            node.end_routes(&self.results, &mut effects.routes);
        }
        let deltas = net(step.deltas);
        if let (false, Kind::Subquery { dependents, .. }) = (deltas.is_empty(), &node.kind) {
            let moved = Moved { subquery: number, deltas: deltas.into(), causes: step.causes };
            let dependents = dependents.iter().filter_map(|dependent| self.nodes.get(dependent));
            for dependent in dependents {
                let item = work.entry((dependent.depth, dependent.number)).or_insert_with(|| Item {
                    xid: cause.xid,
                    txid: cause.txid,
                    commit: cause.commit,
                    ..Item::default()
                });
                item.moves.push(moved.clone());
            }
        }
        if let (false, Kind::Shape(followed)) = (step.entries.is_empty(), &node.kind) {
            effects.entries.push((Arc::clone(&followed.shape), step.entries));
        }
        let round = node.round;
        let too_many = self.results.get(&number).is_some_and(|members| members.len() > MOST_VALUES);
        self.nodes.insert(number, node);
        if too_many {
            self.lose(number, effects);
        }
        if begins {
            self.hold(number, round, true, stream.processed, effects);
        }
    }

    /// Follows one item. What a node believes is as it was before the item.
    pub(super) fn follow(&mut self, node: &mut Node, item: Item, step: &mut Step) {
        let results = &mut self.results;
        if item.xid != 0 {
            node.seen = item.commit;
            step.add_causes(&[item.xid]);
        }
        let before = step.entries.len();
        let tx = match &node.kind {
            Kind::Shape(followed) => transaction_of(followed, node.seen.0, item.xid != 0),
            Kind::Subquery { .. } => 0,
        };
        match &node.kind {
            Kind::Shape(followed) => {
                let at = At { commit: item.commit, txid: item.txid, tx };
                for change in &item.changes {
                    tell(node, followed, change, results, at, &mut step.entries);
                }
                if let Some(last) = step.entries[before..].last_mut() {
                    last.ends = Ends::Transaction;
                }
            }
            Kind::Subquery { .. } => {
                if let Some(mut members) = results.remove(&node.number) {
                    for change in &item.changes {
                        let stands = |row: &_| node.standing(row, results).included;
                        count(node, &mut members, change.old.as_ref(), change.new.as_ref(), &stands, &mut step.deltas);
                    }
                    results.insert(node.number, members);
                }
            }
        }
        let (patterns, causes) = moves(node, &item.moves);
        step.add_causes(&causes);
        if let Kind::Shape(followed) = &mut node.kind {
            if !patterns.is_empty() {
                let op = step.entries[before..].last().map_or(0, |entry| entry.offset.op + 1);
                let json = event(Move::Out, &patterns, &causes);
                step.entries.push(Entry { offset: Offset { tx, op }, json, ends: Ends::Nothing });
            }
            if let Some(entry) = step.entries.last() {
                followed.last = entry.offset;
            }
        }
    }

    /// Rows that were asked for have come, or will not.
    pub fn rows_arrived(
        &mut self,
        number: u64,
        round: u64,
        arrived: Result<Arrived, Failure>,
        stream: Stream<'_>,
        effects: &mut Effects,
    ) {
        let Some(node) = self.nodes.get_mut(&number).filter(|node| node.round == round && is_reading(node)) else {
            return;
        };
        match arrived {
            Ok(rows) => {
                let read = rows.read;
                if let Phase::Reading { arrived, .. } = &mut node.phase {
                    *arrived = Some(Box::new(rows));
                }
                self.waiting.insert((read, number));
                self.advance(stream, effects);
            }
            Err(failure) => {
                tracing::warn!(?failure, table = %node.table.name, "rows of values that moved cannot be read: shapes start over");
                self.lose(number, effects);
            }
        }
    }

    /// The stream has come to where the rows were read: what the rows contain comes before them, the rest after.
    pub(super) fn try_splice(&mut self, number: u64, stream: Stream<'_>, effects: &mut Effects) {
        let Some(mut node) = self.nodes.remove(&number) else { return };
        let (asked, arrived) = match std::mem::replace(&mut node.phase, Phase::Current) {
            Phase::Reading { asked, arrived: Some(arrived) } => (asked, arrived),
            other => {
                node.phase = other;
                self.nodes.insert(number, node);
                return;
            }
        };
        let Some(contained) = split(&node, &arrived.mark) else {
            // Postgres showed a transaction before one that it had committed earlier: another look will not.
            let before = node.round;
            effects.orders.push(ask(&mut node, stream));
            let round = node.round;
            self.nodes.insert(number, node);
            self.hold(number, round, true, stream.processed, effects);
            self.hold(number, before, false, stream.processed, effects);
            return;
        };
        let round = node.round;
        let mut step = Step::default();
        for _ in 0..contained {
            if let Some(item) = node.next_item() {
                self.follow(&mut node, item, &mut step);
            }
        }
        if node.queue.is_empty() {
            node.seen = node.seen.max(self.last_commit);
        }
        self.take_rows(&mut node, &asked, &arrived, &mut step);
        while let Some(item) = node.next_item() {
            self.follow(&mut node, item, &mut step);
        }
        let cause = Committed { xid: 0, txid: 0, commit: node.seen };
        let mut work = Work::new();
        self.settle(node, step, cause, stream, &mut work, effects);
        self.run(work, stream, effects);
        // Only now: those above have been given what came of it, and wait for themselves if they must.
        self.hold(number, round, false, stream.processed, effects);
    }

    /// Follows the moves that the rows were read for.
    fn take_rows(&mut self, node: &mut Node, asked: &[(u64, Key)], arrived: &Arrived, step: &mut Step) {
        let results = &mut self.results;
        let moving: Vec<((u64, Key), Wanted)> = asked.iter().filter_map(|key| node.wanted.remove_entry(key)).collect();
        if moving.is_empty() {
            return;
        }
        let before: Vec<bool> = arrived.rows.iter().map(|row| node.standing(row, results).included).collect();
        for ((subquery, value), wanted) in &moving {
            node.belief.set(*subquery, value, wanted.there);
        }
        let mut causes: Vec<u64> = moving.iter().flat_map(|(_, wanted)| wanted.causes.iter().copied()).collect();
        causes.sort_unstable();
        causes.dedup();
        match &node.kind {
            Kind::Subquery { .. } => {
                let Some(mut members) = results.remove(&node.number) else { return };
                for (row, was) in arrived.rows.iter().zip(before) {
                    let is = node.standing(row, results).included;
                    if was != is {
                        let (old, new) = if was { (Some(row), None) } else { (None, Some(row)) };
                        count(node, &mut members, old, new, &|_| true, &mut step.deltas);
                    }
                }
                results.insert(node.number, members);
                step.add_causes(&causes);
            }
            Kind::Shape(followed) => {
                let patterns: Vec<Pattern> = moving
                    .iter()
                    .flat_map(|((subquery, value), _)| patterns(node, followed, *subquery, value))
                    .collect();
                let tx = transaction_of(followed, node.seen.0, false);
                let mut messages = vec![event(Move::In, &patterns, &causes)];
                for (row, was) in arrived.rows.iter().zip(before) {
                    let standing = node.standing(row, results);
                    let alternatives = node.filter.as_ref().and_then(|filter| filter.alternatives());
                    if let (false, true, Some(alternatives)) = (was, standing.included, alternatives) {
                        let mut json = Vec::new();
                        followed.encoder.row(&mut json, Operation::Insert, row);
                        json.extend_from_slice(b",\"is_move_in\":true");
                        let tags = followed.tagger.tags(alternatives, row);
                        write_headers(&mut json, &tags, &[], &standing.active);
                        messages.push(json.into());
                    }
                }
                if messages.len() > 1 {
                    messages.push(rows_end(&arrived.mark));
                }
                let entries = messages.into_iter().zip(0..);
                step.entries.extend(entries.map(|(json, op)| Entry {
                    offset: Offset { tx, op },
                    json,
                    ends: Ends::Nothing,
                }));
            }
        }
        if let (Kind::Shape(followed), Some(entry)) = (&mut node.kind, step.entries.last()) {
            followed.last = entry.offset;
        }
    }
}

/// Has the rows of values that wait read.
fn ask(node: &mut Node, stream: Stream<'_>) -> Order {
    let asked: Vec<(u64, Key)> = node.wanted.keys().take(VALUES).cloned().collect();
    node.round += 1;
    let order = Order::new(node, &asked, stream.earlier.to_vec());
    node.phase = Phase::Reading { asked, arrived: None };
    order
}

/// The number of items at the front of the queue that come before a moment of Postgres; `None` if its rows contain a change that came after
/// one that they do not contain.
fn split(node: &Node, mark: &Mark) -> Option<usize> {
    let changes = |item: &Item| !item.changes.is_empty();
    let first = node.queue.iter().position(|item| changes(item) && !mark.contains(item.xid));
    let first = first.unwrap_or(node.queue.len());
    let later = node.queue.iter().skip(first).any(|item| changes(item) && mark.contains(item.xid));
    (!later).then_some(first)
}

/// Where the next entries of a shape stand that follow the transaction committed at `seen`.
///
/// Entries between transactions stand two past what there is: readers of events go on from one past the last (`<lsn + 1>_0`). There is room: records of the
/// write-ahead log are longer than a few dozen bytes; if ever there is not, the transaction gives way.
fn transaction_of(followed: &Followed, seen: u64, in_transaction: bool) -> u64 {
    let after = if followed.last.is_in_snapshot() { 0 } else { followed.last.tx + 2 };
    match in_transaction {
        true => seen.max(after),
        false => after.max(seen + 2),
    }
}

/// Takes note of moves. Returns those that need no rows, as readers are told of them: positions of a shape that values made false.
fn moves(node: &mut Node, moved: &[Moved]) -> (Vec<Pattern>, Vec<u64>) {
    let (mut out, mut all) = (Vec::new(), Vec::new());
    for Moved { subquery, deltas, causes } in moved {
        let positive = node.is_positive(*subquery);
        for delta in deltas.iter() {
            let Delta::Value(value, there) = delta else { continue };
            let key = (*subquery, value.clone());
            if node.wanted.remove(&key).is_some() {
                // It has turned over again before its rows came.
                continue;
            }
            match &node.kind {
                Kind::Shape(followed) if *there != positive => {
                    out.extend(patterns(node, followed, *subquery, value));
                    all.extend(causes.iter().copied());
                    node.belief.set(*subquery, value, *there);
                }
                _ => drop(node.wanted.insert(key, Wanted { there: *there, causes: causes.clone() })),
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    (out, all)
}

fn patterns(node: &Node, followed: &Followed, subquery: u64, value: &Key) -> Vec<Pattern> {
    let slot = followed.tagger.slot(value.as_ref());
    node.positions_of(subquery).map(|at| (at, slot.clone())).collect()
}
