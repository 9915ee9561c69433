//! What the stream says of relations: how they send their rows from now on, and which tables these belong to.
//!
//! Postgres names a relation before its first change, and again after every change of its definition, also when it has been
//! attached to a table or detached from it, or has left the publication. Columns are told; the rest is looked up before the
//! change is applied, so that no row is told by rules that no longer hold.

use std::time::{Duration, Instant};

use tracing::warn;

use super::{ApplyError, Worker, survives};
use crate::engine::reconcile::Look;
use crate::engine::replication::pgoutput::Relation;

/// How long the stream is begun anew, to come to the same place again, while tables cannot be looked at: Postgres may
/// have crashed, and takes a while. Then the shapes of the table start over, so that those of others go on.
const BLIND: Duration = Duration::from_secs(30);

impl Worker {
    /// Takes note of how the stream sends the rows of a relation from now on, and of what has become of its tables.
    pub(super) async fn follow(&mut self, relation: Relation) -> Result<(), ApplyError> {
        let oid = relation.oid;
        self.unreadable.remove(&oid);
        let known = self.partitions.tables_of(oid).iter().any(|table| self.sources.contains_key(table));
        if known || !self.partitions.is_empty() {
            self.inspect(oid).await?;
        }
        let Self { sources, taps, graph, .. } = self;
        for table in self.partitions.tables_of(oid) {
            for source in sources.get_mut(&table).into_iter().flatten() {
                source.follow(&relation, source.listeners(), |number, now| survives(taps, graph, number, now));
            }
        }
        self.relations.insert(oid, relation);
        Ok(())
    }

    /// Looks at the tables that a relation belongs to, as they are after the transaction at hand.
    async fn inspect(&mut self, relation: u32) -> Result<(), ApplyError> {
        let xid = self.current.as_ref().ok_or(ApplyError::OutOfPlace("a relation"))?.xid;
        if self.looked.as_ref().is_some_and(|mark| mark.contains(xid)) {
            return Ok(());
        }
        let mut tables = self.partitions.tables_of(relation);
        tables.retain(|table| self.sources.contains_key(table));
        let since = Instant::now();
        let Self { inspector, sources, .. } = self;
        let seen = inspector.look(xid, relation, &tables, |table| sources.contains_key(&table)).await;
        match seen {
            Some(Look { seen, certain }) if certain || self.partitions.is_empty() => {
                self.blind_since = None;
                seen.iter().try_for_each(|seen| self.seen(seen, since))?;
            }
            None if self.blind_since.get_or_insert(since).elapsed() < BLIND => {
                return Err(ApplyError::Blind(relation));
            }
            _ => {
                warn!(table.oid = relation, "it is not known how a table looks now: its shapes start over");
                self.lose(relation)?;
                // It may be a partition of any of them.
                self.partitions.roots().into_iter().try_for_each(|root| self.lose(root))?;
            }
        }
        Ok(())
    }
}
