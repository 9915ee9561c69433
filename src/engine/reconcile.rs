//! Looks at the tables: the stream tells of a changed table only with its next row, and of a partition not at all.
//!
//! Two look. The reconciler looks at all tables from time to time, beside the stream. The [`Inspector`] looks when the
//! stream names a table anew, as it does before the first change after any change of the table's definition; the stream
//! waits for it, so that no row is told by rules that no longer hold.

mod inspector;

use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use tokio_postgres::Client;
use tracing::debug;

use super::collector::Seen;
use super::publication::{self, Publication};
use super::snapshot::{Failure, Mark};
use super::state::State;
use super::tables;

pub use inspector::{Inspector, Look};

/// Looks at the tables of all shapes, and at those that requests named, and tells the collector. Sees to new partitions, to
/// tables that nobody uses any more, and to shapes above the limit.
///
/// In a task of its own: the stream must not wait for it. A look that fails is repeated at the next turn.
pub fn spawn(state: &Arc<State>, shaped: Vec<u32>) {
    let state = Arc::clone(state);
    let known = state.known_tables();
    let mut oids = shaped.clone();
    oids.extend(known.iter().map(|table| table.oid));
    oids.sort_unstable();
    oids.dedup();
    let since = Instant::now();
    tokio::spawn(async move {
        for shape in state.catalog().map(|catalog| catalog.above_limit(true)).unwrap_or_default() {
            state.collector.end(shape).await;
        }
        match look_around(&state, &oids, &shaped).await {
            Ok((mark, seen)) => {
                let now: HashMap<u32, _> = seen.iter().map(|seen| (seen.oid, seen.table.clone())).collect();
                for table in known {
                    let found = now.get(&table.oid).and_then(|found| found.as_deref());
                    state.note_table(&table.name, found.filter(|found| found.name == table.name).cloned());
                }
                state.collector.seen(seen, mark, since).await;
            }
            Err(failure) => debug!(?failure, "the tables could not be looked at"),
        }
    });
}

async fn look_around(state: &State, oids: &[u32], shaped: &[u32]) -> Result<(Mark, Vec<Seen>), Failure> {
    let client = state.connections.get().await.map_err(|_| Failure::Unreachable)?;
    state.publication.adopt(&client, shaped).await?;
    let in_use = || state.catalog().map(|catalog| catalog.tables()).unwrap_or_default();
    state.publication.take_out_unused(&client, state.publication_keep, in_use).await?;
    let mark = publication::current(&client).await?;
    Ok((mark, look(&client, &state.publication, oids).await?))
}

/// How these tables look now.
async fn look(client: &Client, publication: &Publication, oids: &[u32]) -> Result<Vec<Seen>, Failure> {
    if oids.is_empty() {
        return Ok(Vec::new());
    }
    let tables = tables::find_by_oid(client, oids).await.map_err(|_| Failure::Unreachable)?;
    let published = publication.published(client, oids).await?;
    let mut tables: HashMap<u32, _> = tables.into_iter().map(|table| (table.oid, Arc::new(table))).collect();
    let seen = oids.iter().map(|oid| Seen { oid: *oid, table: tables.remove(oid), entry: published.get(oid).copied() });
    Ok(seen.collect())
}
