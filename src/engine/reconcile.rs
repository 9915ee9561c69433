//! Looks at the tables from time to time: the stream tells of a changed table only with its next row.

use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use tracing::debug;

use super::collector::Seen;
use super::snapshot::Failure;
use super::state::State;
use super::tables;

/// Looks at the tables of all shapes, and at those that requests named, and tells the collector.
///
/// In a task of its own: the stream must not wait for it. A look that fails is repeated at the next turn.
pub fn spawn(state: &Arc<State>, mut oids: Vec<u32>) {
    let state = Arc::clone(state);
    let known = state.known_tables();
    oids.extend(known.iter().map(|table| table.oid));
    oids.sort_unstable();
    oids.dedup();
    if oids.is_empty() {
        return;
    }
    let since = Instant::now();
    tokio::spawn(async move {
        match look(&state, &oids).await {
            Ok(seen) => {
                let now: HashMap<u32, _> = seen.iter().map(|seen| (seen.oid, seen.table.clone())).collect();
                for table in known {
                    let found = now.get(&table.oid).and_then(|found| found.as_deref());
                    state.note_table(&table.name, found.filter(|found| found.name == table.name).cloned());
                }
                for seen in seen.iter().filter(|seen| !seen.published || seen.table.is_none()) {
                    state.publication.forget(Some(seen.oid));
                }
                state.collector.seen(seen, since).await;
            }
            Err(failure) => debug!(?failure, "the tables could not be looked at"),
        }
    });
}

async fn look(state: &State, oids: &[u32]) -> Result<Vec<Seen>, Failure> {
    let client = state.connections.get().await.map_err(|_| Failure::Unreachable)?;
    let tables = tables::find_by_oid(&client, oids).await.map_err(|_| Failure::Unreachable)?;
    let published = state.publication.published(&client, oids).await?;
    let mut tables: HashMap<u32, _> = tables.into_iter().map(|table| (table.oid, Arc::new(table))).collect();
    let seen = oids.iter().map(|oid| Seen { oid: *oid, table: tables.remove(oid), published: published.contains(oid) });
    Ok(seen.collect())
}
