//! What commands do: a shape registers, joins the stream, is finished, and ends.

use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashSet;

use super::Worker;
use crate::engine::collector::routes::Source;
use crate::engine::collector::tap::{Phase, Tap};
use crate::engine::collector::{Command, Seen, Verdict};
use crate::engine::log::Reference;
use crate::engine::snapshot::{Failure, Mark};
use crate::engine::store::{Held, Shared, Stopped, Transaction};
use crate::engine::tables::Table;
use crate::shape::Lsn;

impl Worker {
    /// Does what a command asks.
    pub async fn command(&mut self, command: Command) -> Result<(), Stopped> {
        match command {
            Command::Register(shape, reply) => {
                self.reserve(shape.number).await?;
                // One that has ended before it began is found missing when its snapshot is there.
                if !shape.log.has_ended() && !self.graph.has(shape.number) {
                    self.last_registered = Instant::now();
                    match shape.definition.has_subqueries() {
                        true => self.add_node(&shape),
                        false => self.add(Tap::new(shape, self.earlier.clone())),
                    }
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
                shape.snapshot.note_whole(&chunk_ends);
                if let Some(tap) = self.taps.get_mut(&shape.number) {
                    tap.finished = true;
                }
                let done = self.store.finish(&shape, chunk_ends)?;
                tokio::spawn(async move {
                    let _ = reply.send(done.await.map_err(|_| Stopped.into()));
                });
            }
            Command::Shown(reply) => {
                let _ = reply.send(self.earlier.clone());
            }
            Command::End(shape) if self.listens(shape.number) => self.end(shape.number)?,
            Command::End(shape) => {
                shape.log.begin_end();
                shape.snapshot.fail(Failure::Changed);
            }
            Command::Visible(mark) => self.earlier.retain(|xid| !mark.contains(*xid)),
            Command::Seen(tables, mark, since) => {
                for seen in tables {
                    self.seen(&seen, since)?;
                }
                // A shape that was there before its table was looked at, and is not older than the look, has not been judged.
                self.looked = (self.last_registered < since).then_some(mark);
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
        let number = tap.shape.number;
        let table = Arc::clone(&tap.shape.definition.table);
        self.source(&table).insert(&tap.shape);
        self.taps.insert(tap.shape.number, tap);
        self.learn_layouts(&table, number);
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

    /// Takes note of how a table looked at some time after `since`: ends the shapes that cannot go on with it.
    pub(super) fn seen(&mut self, seen: &Seen, since: Instant) -> Result<(), Stopped> {
        let found = seen.table.as_ref().zip(seen.entry);
        let agrees = |source: &&Source| found.is_some_and(|(table, entry)| source.agrees(table, entry));
        let sources = self.sources.get(&seen.oid).into_iter().flatten();
        // What the inspector has found since is newer.
        let to_check = sources.filter(|source| source.looked_at() <= since && !agrees(source));
        let numbers: Vec<u64> = to_check.flat_map(Source::listeners).collect();
        let mut unchecked = HashSet::new();
        for number in numbers {
            if self.listens_since(number).is_none_or(|joined| joined >= since) {
                unchecked.insert(number);
                continue;
            }
            match found {
                Some((table, entry)) if self.goes_on(number, table, entry)? => {}
                _ => self.end_with(number)?,
            }
        }
        if let Some((table, entry)) = found {
            for source in self.sources.get_mut(&seen.oid).into_iter().flatten() {
                let all_checked =
                    unchecked.is_empty() || !source.listeners().iter().any(|number| unchecked.contains(number));
                if source.looked_at() <= since && all_checked {
                    self.wants_look |= source.now().partitions != table.partitions;
                    source.set_now(Arc::clone(table), entry, since);
                }
            }
        }
        self.partitions.set(seen.oid, self.sources.get(&seen.oid).into_iter().flatten());
        Ok(())
    }

    fn listens_since(&self, number: u64) -> Option<Instant> {
        self.taps.get(&number).map(|tap| tap.since).or_else(|| self.graph.since(number))
    }

    fn listens(&self, number: u64) -> bool {
        self.taps.contains_key(&number) || self.graph.has(number)
    }

    /// Ends a shape, or all that need a subquery.
    fn end_with(&mut self, number: u64) -> Result<(), Stopped> {
        if self.taps.contains_key(&number) {
            return self.end(number);
        }
        self.graph.shapes_above(number).into_iter().try_for_each(|shape| self.end(shape))
    }

    /// Whether a shape or a node survives its table as it is now, of which it then takes note.
    fn goes_on(&mut self, number: u64, table: &Arc<Table>, entry: u32) -> Result<bool, Stopped> {
        let (shape, finished) = match self.taps.get(&number) {
            Some(tap) => (Arc::clone(&tap.shape), tap.finished),
            None => match self.graph.shape(number) {
                Some(shape) => {
                    let finished = shape.snapshot.is_finished();
                    (shape, finished)
                }
                None => return Ok(self.graph.goes_on(number, table, entry)),
            },
        };
        if !shape.survives(table, entry) {
            return Ok(false);
        }
        let before = shape.table_now();
        let stored_changes = shape.entry() != entry || before.partitions != table.partitions;
        shape.set_entry(entry);
        if before != *table {
            shape.set_table_now(Arc::clone(table));
        }
        if stored_changes && finished {
            self.store.update(&shape)?;
        }
        Ok(true)
    }
}
