//! How a shape begins: its subqueries are counted and its rows read at one moment, and all of them go on from there together.

use std::sync::Arc;

use hashbrown::HashSet;
use tokio::sync::oneshot;

use super::members::Members;
use super::node::{Followed, Kind, Node, Phase};
use super::routing::positions;
use super::step::Step;
use super::tags::Tagger;
use super::{Committed, Effects, Feed, Graph, SUBQUERY, Stream, Work};
use crate::engine::collector::Verdict;
use crate::engine::entry::Encoder;
use crate::engine::filter::{Compared, Key, Position, Subquery};
use crate::engine::log::{Ends, Entry};
use crate::engine::shape::Shape;
use crate::engine::snapshot::{Failure, Mark, fields};
use crate::engine::tables::Table;
use crate::shape::{Lsn, Offset, quote_identifier};

/// What a shape begins with, all read at one moment.
#[derive(Debug)]
pub struct Join {
    pub mark: Mark,
    /// The stream has shown everything that the mark contains when it has come so far.
    pub read: Lsn,
    /// The values of subqueries that nobody followed before.
    pub counts: Vec<(u64, Vec<(Key, u64)>)>,
    /// What readers who have the shape as it was last must be told, without the end that every entry has.
    pub news: Vec<bytes::Bytes>,
}

/// A subquery whose values must be counted.
#[derive(Debug, Clone)]
pub struct Count {
    pub number: u64,
    pub table: Arc<Table>,
    pub columns: Vec<Compared>,
    condition: Option<String>,
}

impl Count {
    /// The query: the columns as they print, and the number of rows.
    pub fn sql(&self) -> String {
        let name = |column: &Compared| quote_identifier(&self.table.columns[column.position].name);
        let columns = self.columns.iter().map(name).collect::<Vec<_>>().join(", ");
        let condition = self.condition.as_ref().map(|sql| format!(" WHERE {sql}")).unwrap_or_default();
        format!("COPY (SELECT {columns}, count(*) FROM {}{condition} GROUP BY {columns}) TO STDOUT", self.table.rows())
    }

    /// One line of its answer.
    pub fn read(&self, line: &[u8], scratch: &mut Vec<u8>) -> Option<(Key, u64)> {
        let fields = fields(line, self.columns.len() + 1, scratch)?;
        let (rows, values) = fields.split_last()?;
        let rows = std::str::from_utf8((*rows)?).ok()?.parse().ok()?;
        let canonical = self.columns.iter().map(|column| column.canonical);
        Some((Key::of(values.iter().copied(), canonical), rows))
    }
}

impl Graph {
    /// Adds a shape, and its subqueries that are not there yet. From now on everything that concerns them waits for the join.
    pub fn register(&mut self, shape: &Arc<Shape>, earlier: &[u64]) -> Vec<Feed> {
        let definition = &shape.definition;
        let Some(condition) = &definition.condition else { return Vec::new() };
        let encoder = Encoder::new(&definition.table, definition.projection());
        let followed =
            Followed { shape: Arc::clone(shape), encoder, tagger: Tagger::new(&shape.handle), last: shape.log.last() };
        let kind = Kind::Shape(Box::new(followed));
        let phase = Phase::Building { earlier: earlier.to_vec() };
        let filter = Some(Arc::clone(&condition.filter));
        let node = Node::new(shape.number, Arc::clone(&definition.table), filter, kind, phase);
        let mut feeds = Vec::new();
        self.add(node, &mut feeds);
        feeds
    }

    /// Adds a node above its subqueries.
    fn add(&mut self, mut node: Node, feeds: &mut Vec<Feed>) {
        let Phase::Building { earlier } = &node.phase else { return };
        let filter = node.filter.clone();
        let positions = filter.iter().filter_map(|filter| filter.alternatives()).flat_map(|all| &all.positions);
        for position in positions {
            let subquery = match position {
                Position::Row { .. } => None,
                Position::In { membership, negated } => {
                    let number = self.subquery(&membership.subquery, *negated, earlier, feeds);
                    if let Some(Node { kind: Kind::Subquery { dependents, .. }, depth, .. }) =
                        self.nodes.get_mut(&number)
                    {
                        dependents.insert(node.number);
                        node.depth = node.depth.max(*depth + 1);
                    }
                    Some(number)
                }
            };
            node.subqueries.push(subquery);
        }
        feeds.push(Feed { number: node.number, table: Arc::clone(&node.table), filter: node.filter.clone() });
        self.nodes.insert(node.number, node);
    }

    fn subquery(&mut self, subquery: &Arc<Subquery>, negated: bool, earlier: &[u64], feeds: &mut Vec<Feed>) -> u64 {
        let identity = (subquery.table.oid, subquery.sql.clone(), negated);
        if let Some(known) = self.by_identity.get(&identity) {
            return *known;
        }
        self.next += 1;
        let number = SUBQUERY | self.next;
        self.by_identity.insert(identity, number);
        self.results.insert(number, Members::new(negated));
        let kind = Kind::Subquery { columns: subquery.columns.clone(), dependents: HashSet::new() };
        let phase = Phase::Building { earlier: earlier.to_vec() };
        let node = Node::new(number, Arc::clone(&subquery.table), subquery.filter.clone(), kind, phase);
        self.add(node, feeds);
        number
    }

    /// The subqueries that nobody follows yet. Whoever needs one counts it, and the first who joins begins it: nobody waits for somebody else.
    pub fn plan(&self, shape: u64) -> Vec<Count> {
        let nodes = self.below(shape).into_iter().filter_map(|number| self.nodes.get(&number));
        let counts = nodes.filter(|node| is_building(node)).filter_map(|node| {
            let Kind::Subquery { columns, .. } = &node.kind else { return None };
            let condition = node.filter.as_ref().map(|filter| filter.sql_to_run().to_owned());
            Some(Count { number: node.number, table: Arc::clone(&node.table), columns: columns.clone(), condition })
        });
        counts.collect()
    }

    /// All subqueries that a node needs, directly or not, deepest first.
    fn below(&self, number: u64) -> Vec<u64> {
        let (mut open, mut found) = (vec![number], Vec::new());
        while let Some(number) = open.pop() {
            let subqueries = self.nodes.get(&number).map(|node| node.subqueries.iter().flatten());
            for subquery in subqueries.into_iter().flatten() {
                if !found.contains(subquery) {
                    found.push(*subquery);
                    open.push(*subquery);
                }
            }
        }
        found.sort_by_key(|number| self.nodes.get(number).map_or(0, |node| node.depth));
        found
    }

    /// Joins a registered shape to the stream once that has come to where its rows were read.
    pub fn join(
        &mut self,
        shape: u64,
        join: Join,
        reply: oneshot::Sender<Result<Verdict, Failure>>,
        stream: Stream<'_>,
        effects: &mut Effects,
    ) {
        if !self.nodes.get(&shape).is_some_and(is_building) {
            // Whoever asked may have gone.
            let _ = reply.send(Err(Failure::Changed));
            return;
        }
        self.waiting.retain(|(_, number)| *number != shape);
        self.waiting.insert((join.read, shape));
        self.joining.insert(shape, (join, reply));
        self.advance(stream, effects);
    }

    pub(super) fn try_join(&mut self, shape: u64, stream: Stream<'_>, effects: &mut Effects) {
        let Some((join, reply)) = self.joining.remove(&shape) else { return };
        if !self.can_join(shape, &join) {
            let _ = reply.send(Ok(Verdict::TooEarly));
            return;
        }
        if reply.send(Ok(Verdict::Accepted)).is_err() {
            // Nobody would make use of it: whoever asked ends the shape.
            return;
        }
        let mark = join.mark;
        let mut begun: Vec<u64> = Vec::new();
        for (number, values) in join.counts {
            if !self.nodes.get(&number).is_some_and(is_building) {
                // Another shape has begun it.
                continue;
            }
            if let Some(members) = self.results.get_mut(&number) {
                values.into_iter().for_each(|(key, rows)| members.add(key, rows as i64, &mut Vec::new()));
            }
            begun.push(number);
        }
        begun.push(shape);
        begun.sort_by_key(|number| self.nodes.get(number).map_or(0, |node| node.depth));
        for number in &begun {
            let mut dropped = Vec::new();
            if let Some(node) = self.nodes.get_mut(number) {
                dropped = begin(node, &mark);
                node.routed_by = node.filter.as_ref().and_then(|filter| positions(filter));
                node.begin_routes(&self.results, &mut effects.routes);
            }
            self.require(*number, &dropped);
        }
        self.tell_news(shape, join.news, stream, effects);
        let mut work = Work::new();
        for number in begun {
            let Some(mut node) = self.nodes.remove(&number) else { continue };
            // What its subqueries have followed just now comes last for it; until then it believes what was before.
            if let Some(item) = work.remove(&(node.depth, number)) {
                for moved in &item.moves {
                    moved.keep(&mut node.belief);
                    node.route_moves(moved, &mut effects.routes);
                }
                node.queue.push_back(item);
            }
            let kept = node.queue.iter().flat_map(|item| &item.moves).all(|moved| node.can_follow(moved));
            let mut step = Step::default();
            while let Some(item) = node.next_item() {
                self.follow(&mut node, item, &mut step);
            }
            if node.seen < self.last_commit {
                node.seen = self.last_commit;
            }
            let cause = Committed { xid: 0, txid: 0, commit: node.seen };
            self.settle(node, step, cause, stream, &mut work, effects);
            if !kept {
                self.lose(number, effects);
            }
        }
        self.run(work, stream, effects);
        // A read that has begun meanwhile holds it for itself.
        if let Some(Node { kind: Kind::Shape(followed), .. }) = self.nodes.get(&shape) {
            effects.released.push((Arc::clone(&followed.shape), shape, 0));
        }
    }

    /// Those above a subquery that have yet to begin are not told of what it has begun with: what they begin with must contain it.
    fn require(&mut self, number: u64, xids: &[u64]) {
        let Some(Node { kind: Kind::Subquery { dependents, .. }, .. }) = self.nodes.get(&number) else { return };
        for dependent in dependents.clone() {
            if let Some(Node { phase: Phase::Building { earlier }, .. }) = self.nodes.get_mut(&dependent) {
                earlier.extend(xids);
                earlier.sort_unstable();
                earlier.dedup();
            }
        }
    }

    /// Whether the nodes that begin can do so where the rows were read, with those that are there already.
    fn can_join(&self, shape: u64, join: &Join) -> bool {
        let begins = |number: u64| number == shape || join.counts.iter().any(|(counted, _)| *counted == number);
        let mut nodes = self.below(shape);
        nodes.push(shape);
        nodes.into_iter().all(|number| match self.nodes.get(&number) {
            None => false,
            Some(node) if begins(number) && is_building(node) => can_begin(node, &join.mark),
            // What others follow must not be behind.
            Some(node) => node.is_current(),
        })
    }

    fn tell_news(&mut self, shape: u64, news: Vec<bytes::Bytes>, stream: Stream<'_>, effects: &mut Effects) {
        let last_commit = self.last_commit.max(stream.processed);
        let Some(Node { kind: Kind::Shape(followed), seen, queue, .. }) = self.nodes.get_mut(&shape) else { return };
        if news.is_empty() {
            return;
        }
        let seen = if queue.is_empty() { last_commit } else { *seen };
        let tx = seen.0.max(followed.last.tx) + 2;
        let entries = news.into_iter().zip(0..);
        let entries: Vec<Entry> =
            entries.map(|(json, op)| Entry { offset: Offset { tx, op }, json, ends: Ends::Nothing }).collect();
        if let Some(entry) = entries.last() {
            followed.last = entry.offset;
        }
        effects.entries.push((Arc::clone(&followed.shape), entries));
    }
}

/// Whether everything that the rows contain came before everything that they do not.
fn can_begin(node: &Node, mark: &Mark) -> bool {
    let Phase::Building { earlier } = &node.phase else { return false };
    let mut after = false;
    let in_order = node.queue.iter().all(|item| match item.is_contained(mark) {
        Some(true) => !after,
        Some(false) => {
            after = true;
            true
        }
        // A subquery was late, and followed something from before and something from after at once.
        None => false,
    });
    in_order && earlier.iter().all(|xid| mark.contains(*xid))
}

fn is_building(node: &Node) -> bool {
    matches!(node.phase, Phase::Building { .. })
}

/// Leaves out what the rows contain, and returns the transactions that caused it.
fn begin(node: &mut Node, mark: &Mark) -> Vec<u64> {
    let mut dropped = Vec::new();
    while node.queue.front().is_some_and(|item| item.is_contained(mark) == Some(true)) {
        let Some(item) = node.next_item() else { break };
        dropped.extend(Some(item.xid).filter(|xid| *xid != 0));
        dropped.extend(item.moves.iter().flat_map(|moved| &moved.causes));
        for moved in &item.moves {
            for delta in moved.deltas.iter() {
                if let super::members::Delta::Value(value, there) = delta {
                    node.belief.set(moved.subquery, value, *there);
                }
            }
        }
        if item.xid != 0 {
            node.seen = item.commit;
        }
    }
    // What it began with contains what it had to.
    if let Phase::Building { earlier } = std::mem::replace(&mut node.phase, Phase::Current) {
        dropped.extend(earlier);
    }
    dropped
}
