//! What commands do: a shape registers, joins the stream, is finished, and ends.

use std::sync::Arc;
use std::time::Instant;

use super::Worker;
use crate::engine::collector::routes::Source;
use crate::engine::collector::tap::{Phase, Tap};
use crate::engine::collector::{Command, Seen, Verdict};
use crate::engine::log::Reference;
use crate::engine::snapshot::{Failure, Mark};
use crate::engine::store::{Shared, Stopped, Transaction};
use crate::shape::Lsn;

impl Worker {
    /// Does what a command asks.
    pub async fn command(&mut self, command: Command) -> Result<(), Stopped> {
        match command {
            Command::Register(shape, reply) => {
                self.reserve(shape.number).await?;
                self.add(Tap::new(shape, self.earlier.clone()));
                let _ = reply.send(());
            }
            Command::SnapshotTaken(number, mark, reply) => {
                let verdict = self.snapshot_taken(number, mark).await?;
                let _ = reply.send(verdict);
            }
            Command::Finish(shape, chunk_ends, reply) => {
                // It may have been deleted before it was registered.
                if !self.taps.contains_key(&shape.number) || shape.log.has_ended() {
                    let _ = reply.send(Err(Failure::Changed));
                    return Ok(());
                }
                let done = self.store.finish(&shape, chunk_ends)?;
                tokio::spawn(async move {
                    let _ = reply.send(done.await.map_err(|_| Stopped.into()));
                });
            }
            Command::End(shape) => self.end(shape.number)?,
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
        let table = &tap.shape.definition.table;
        let sources = self.sources.entry(table.oid).or_default();
        let known = sources.iter().position(|source| *source.table == **table);
        let place = known.unwrap_or_else(|| {
            sources.push(Source::new(Arc::clone(table)));
            sources.len() - 1
        });
        let source = &mut sources[place];
        source.insert(&tap.shape);
        if let Some(relation) = self.relations.get(&table.oid) {
            // Only a new source has to learn the layout; of a known one, only this shape is to be looked at.
            source.follow(relation, [&tap.shape]);
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
                let reference = Reference { shape: number, last: entry.last };
                Shared { offset: entry.offset, json: entry.json.clone(), shapes: vec![reference] }
            });
            let entries = entries.collect();
            shape.log.append(own);
            // No position of its own: what has been reached since is in the journal already.
            self.store.transaction(Transaction { end: Lsn(0), entries, shapes: vec![Arc::clone(&shape)] }).await?;
        }
        Ok(Ok(Verdict::Accepted))
    }

    fn seen(&mut self, seen: &Seen, since: Instant) -> Result<(), Stopped> {
        let sources = self.sources.get_mut(&seen.oid).into_iter().flatten();
        let unchanged = |source: &Source| seen.published && seen.table.as_deref() == Some(source.now());
        let numbers: Vec<u64> =
            sources.filter(|source| !unchanged(source)).flat_map(|source| source.shapes()).collect();
        let mut survivors = true;
        for number in numbers {
            let Some(tap) = self.taps.get(&number).filter(|tap| tap.since < since) else {
                survivors = false;
                continue;
            };
            match &seen.table {
                Some(table) if seen.published && tap.shape.definition.survives(table) => {
                    tap.shape.set_table_now(Arc::clone(table));
                }
                _ => self.end(number)?,
            }
        }
        if let (Some(table), true) = (&seen.table, survivors) {
            self.sources.get_mut(&seen.oid).into_iter().flatten().for_each(|source| source.set_now(Arc::clone(table)));
        }
        Ok(())
    }
}
