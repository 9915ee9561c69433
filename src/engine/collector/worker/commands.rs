//! What commands do: a shape registers, joins the stream, is finished, and ends.

use std::sync::Arc;
use std::time::Instant;

use super::Worker;
use crate::engine::collector::routes::Source;
use crate::engine::collector::tap::{Phase, Tap};
use crate::engine::collector::{Command, Seen, Verdict};
use crate::engine::log::Reference;
use crate::engine::shape::Shape;
use crate::engine::snapshot::{Failure, Mark};
use crate::engine::store::{Held, Shared, Stopped, Transaction};
use crate::shape::Lsn;

impl Worker {
    /// Does what a command asks.
    pub async fn command(&mut self, command: Command) -> Result<(), Stopped> {
        match command {
            Command::Register(shape, reply) => {
                self.reserve(shape.number).await?;
                match shape.definition.has_subqueries() {
                    true if self.graph.has(shape.number) => {}
                    true => self.add_node(&shape),
                    false => self.add(Tap::new(shape, self.earlier.clone())),
                }
                let _ = reply.send(());
            }
            Command::SnapshotTaken(number, mark, reply) => {
                let verdict = self.snapshot_taken(number, mark).await?;
                let _ = reply.send(verdict);
            }
            Command::Plan(number, reply) => {
                let _ = reply.send(self.graph.plan(number));
            }
            Command::Join(number, join, reply) => {
                self.with_graph(|graph, stream, effects| graph.join(number, join, reply, stream, effects)).await?;
            }
            Command::RowsArrived(number, round, rows) => {
                self.with_graph(|graph, stream, effects| graph.rows_arrived(number, round, rows, stream, effects))
                    .await?;
            }
            Command::Finish(shape, chunk_ends, reply) => {
                // It may have been deleted before it was registered.
                let known = self.taps.contains_key(&shape.number) || self.graph.has(shape.number);
                if !known || shape.log.has_ended() {
                    let _ = reply.send(Err(Failure::Changed));
                    return Ok(());
                }
                let done = self.store.finish(&shape, chunk_ends)?;
                tokio::spawn(async move {
                    let _ = reply.send(done.await.map_err(|_| Stopped.into()));
                });
            }
            Command::End(shape) => self.end(shape.number)?,
            Command::Shown(reply) => {
                let _ = reply.send(self.earlier.clone());
            }
            Command::Visible(mark) => self.earlier.retain(|xid| !mark.contains(*xid)),
            Command::Seen(tables, since) => {
                for seen in tables {
                    self.seen(&seen, since)?;
                }
            }
        }
        Ok(())
    }

    /// Numbers are noted as used before they are, a thousand at a time.
    async fn reserve(&mut self, number: u64) -> Result<(), Stopped> {
        if number >= self.reserved {
            self.reserved = number + 1000;
            self.store.next_number(self.reserved).await?;
        }
        Ok(())
    }

    /// Adds a shape to those that changes are looked up for.
    pub fn add(&mut self, tap: Tap) {
        let table = Arc::clone(&tap.shape.definition.table);
        let relation = self.relations.get(&table.oid).cloned();
        let source = self.source(&table);
        source.insert(&tap.shape);
        if let Some(relation) = relation {
            // Only a new source has to learn the layout; of a known one, only this shape is to be looked at.
            source.follow(&relation, [tap.shape.number], |_, now| tap.shape.definition.survives(now));
        }
        self.taps.insert(tap.shape.number, tap);
    }

    async fn snapshot_taken(&mut self, number: u64, mark: Mark) -> Result<Result<Verdict, Failure>, Stopped> {
        self.earlier.retain(|xid| !mark.contains(*xid));
        let Some(tap) = self.taps.get_mut(&number) else { return Ok(Err(Failure::Changed)) };
        let Phase::Buffering(buffer) = &mut tap.phase else { return Ok(Err(Failure::Changed)) };
        if !buffer.can_follow(&mark) {
            return Ok(Ok(Verdict::TooEarly));
        }
        let buffer = std::mem::take(buffer);
        let shape = Arc::clone(&tap.shape);
        let transactions: Vec<_> = buffer.after(&mark).collect();
        tap.phase = Phase::Live(mark);
        for own in transactions {
            let entries = own.iter().map(|entry| {
                let reference = Reference { shape: number, ends: entry.ends };
                Shared { offset: entry.offset, json: entry.json.clone(), shapes: vec![reference] }
            });
            let entries = entries.collect();
            shape.log.append(own);
            // No position of its own: what has been reached since is in the journal already.
            self.store
                .transaction(Transaction {
                    end: Lsn(0),
                    entries,
                    shapes: vec![Arc::clone(&shape)],
                    held: Held::default(),
                })
                .await?;
        }
        Ok(Ok(Verdict::Accepted))
    }

    fn seen(&mut self, seen: &Seen, since: Instant) -> Result<(), Stopped> {
        let sources = self.sources.get_mut(&seen.oid).into_iter().flatten();
        let unchanged = |source: &Source| seen.published && seen.table.as_deref() == Some(source.now());
        let numbers: Vec<u64> =
            sources.filter(|source| !unchanged(source)).flat_map(|source| source.listeners()).collect();
        let mut survivors = true;
        for number in numbers {
            if !self.listens_since(number).is_some_and(|joined| joined < since) {
                survivors = false;
                continue;
            }
            match &seen.table {
                Some(table) if seen.published && super::survives(&self.taps, &self.graph, number, table) => {
                    if let Some(shape) = self.shape(number) {
                        shape.set_table_now(Arc::clone(table));
                    }
                }
                _ => self.end_with(number)?,
            }
        }
        if let (Some(table), true) = (&seen.table, survivors) {
            self.sources.get_mut(&seen.oid).into_iter().flatten().for_each(|source| source.set_now(Arc::clone(table)));
        }
        Ok(())
    }

    fn listens_since(&self, number: u64) -> Option<Instant> {
        self.taps.get(&number).map(|tap| tap.since).or_else(|| self.graph.since(number))
    }

    /// The shape with this number; a subquery has none.
    fn shape(&self, number: u64) -> Option<Arc<Shape>> {
        self.taps.get(&number).map(|tap| Arc::clone(&tap.shape)).or_else(|| self.graph.shape(number))
    }

    /// Ends a shape, or all that need a subquery.
    fn end_with(&mut self, number: u64) -> Result<(), Stopped> {
        if self.taps.contains_key(&number) {
            return self.end(number);
        }
        self.graph.shapes_above(number).into_iter().try_for_each(|shape| self.end(shape))
    }
}
