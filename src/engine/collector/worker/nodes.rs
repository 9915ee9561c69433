//! What concerns shapes with subqueries: the collector gives them changes, and does what follows from that.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::Worker;
use crate::engine::collector::routes::{InTransaction, Source};
use crate::engine::log::Ends;
use crate::engine::shape::Shape;
use crate::engine::store::{Held, Stopped, Transaction};
use crate::engine::subquery::{Committed, Effects, Feed, Graph, RowChange, Stream};
use crate::engine::tables::Table;
use crate::shape::Lsn;

impl Worker {
    /// Adds a shape with subqueries, and with it those that nobody has followed so far.
    pub fn add_node(&mut self, shape: &Arc<Shape>) {
        // Until it has joined the stream, nothing new can be read.
        let processed = self.stream().processed;
        shape.held.hold(shape.number, 0, processed);
        for feed in self.graph.register(shape, &self.earlier) {
            self.listen(&feed);
        }
    }

    fn listen(&mut self, feed: &Feed) {
        self.source(&feed.table).insert_node(feed.number, feed.filter.as_ref());
        self.learn_layouts(&feed.table, feed.number);
    }

    /// The source of a table in this layout, made if there is none.
    pub fn source(&mut self, table: &Arc<Table>) -> &mut Source {
        let sources = self.sources.entry(table.oid).or_default();
        let known = sources.iter().position(|source| source.fits(table));
        let place = known.unwrap_or_else(|| {
            sources.push(Source::new(Arc::clone(table)));
            sources.len() - 1
        });
        &mut sources[place]
    }

    /// Tells the source of a new listener how the stream sends the table's rows. Only a new source has to learn that; of a known one, only
    /// the listener is to be looked at.
    pub fn learn_layouts(&mut self, table: &Table, number: u64) {
        let Self { sources, taps, graph, relations, partitions, .. } = self;
        let sources = sources.entry(table.oid).or_default();
        if let Some(source) = sources.iter_mut().find(|source| source.fits(table)) {
            let own = std::iter::once(&table.oid);
            for oid in own.chain(table.partitions().iter().map(|partition| &partition.oid)) {
                if let Some(relation) = relations.get(oid) {
                    source.follow(relation, [number], |number, now| super::survives(taps, graph, number, now));
                }
            }
        }
        partitions.set(table.oid, sources.iter());
    }

    /// Where the stream stands, for those who follow it.
    pub fn stream(&self) -> Stream<'_> {
        Stream { processed: self.reached(), earlier: &self.earlier }
    }

    /// Gives nodes a whole transaction. Returns what readers will see of it when it is on disk.
    pub fn follow_nodes(
        &mut self,
        at: InTransaction,
        xid: u64,
        passed: HashMap<u64, Vec<Arc<RowChange>>>,
        lost: HashSet<u64>,
    ) -> Result<Held, Stopped> {
        if self.graph.is_empty() || self.graph.has_followed(at.commit) {
            return Ok(Held::default());
        }
        let mut effects = Effects::default();
        effects.ended.extend(lost.iter().flat_map(|number| self.graph.shapes_above(*number)));
        let committed = Committed { xid, txid: at.xid, commit: at.commit };
        let changes = passed.into_iter().filter(|(number, _)| !lost.contains(number));
        let stream = Stream { processed: self.reached(), earlier: &self.earlier };
        self.graph.commit(committed, changes, stream, &mut effects);
        self.carry_out(effects)
    }

    /// Lets those go on who waited for the stream to come as far as it is.
    pub async fn advance_nodes(&mut self) -> Result<(), Stopped> {
        if !self.graph.is_waiting() {
            return Ok(());
        }
        self.with_graph(|graph, stream, effects| graph.advance(stream, effects)).await
    }

    /// Whether somebody waits for Postgres to tell how far the stream is.
    pub fn awaits_position(&self) -> bool {
        self.graph.is_waiting()
    }

    /// Does something between transactions, and what follows from it.
    pub async fn with_graph(&mut self, work: impl FnOnce(&mut Graph, Stream<'_>, &mut Effects)) -> Result<(), Stopped> {
        let mut effects = Effects::default();
        let stream = Stream { processed: self.reached(), earlier: &self.earlier };
        work(&mut self.graph, stream, &mut effects);
        let held = self.carry_out(effects)?;
        if held.is_empty() {
            return Ok(());
        }
        // No position of its own: what has been reached is in the journal already.
        self.store.transaction(Transaction { end: Lsn(0), entries: Vec::new(), shapes: Vec::new(), held }).await
    }

    /// Starts reads and ends shapes. Returns what readers will see when it is on disk.
    fn carry_out(&mut self, effects: Effects) -> Result<Held, Stopped> {
        let Effects { mut entries, ended, orders, released, routes } = effects;
        let reached = self.reached();
        for (shape, entries) in &mut entries {
            shape.held.begin_write(reached);
            // A file that was cut within them is not whole.
            if let Some(entry) = entries.last_mut().filter(|entry| entry.ends == Ends::Nothing) {
                entry.ends = Ends::Batch;
            }
        }
        for route in routes {
            self.sources.get_mut(&route.table).into_iter().flatten().for_each(|source| source.route(&route));
        }
        orders.into_iter().for_each(|order| self.reads.start(order));
        ended.into_iter().try_for_each(|number| self.end(number))?;
        Ok(Held { entries, released })
    }
}
