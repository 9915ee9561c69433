//! Looks at tables while the stream waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Client;
use tracing::debug;

use super::look;
use crate::engine::collector::Seen;
use crate::engine::publication::{Publication, current};
use crate::engine::snapshot::Failure;
use crate::postgres::Postgres;

/// How long the stream waits for one look.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it waits for its own transaction to be visible; with a standby that must confirm it, that can take any time.
const VISIBLE: Duration = Duration::from_secs(1);
/// How often it is looked whether a transaction is visible.
const POLL: Duration = Duration::from_millis(2);

/// Asks Postgres on a connection of its own: those of the pool may all be held by snapshots that wait for the stream.
#[derive(Debug)]
pub struct Inspector {
    postgres: Postgres,
    publication: Arc<Publication>,
    client: Option<Client>,
}

/// How tables looked.
#[derive(Debug)]
pub struct Look {
    pub seen: Vec<Seen>,
    /// What the transaction itself has changed is in it.
    pub certain: bool,
}

impl Inspector {
    /// An inspector that connects when it is needed.
    pub fn new(postgres: Postgres, publication: Arc<Publication>) -> Self {
        Self { postgres, publication, client: None }
    }

    /// How tables look at some time after transaction `xid`: of `tables` all, and of those that `relation` is a partition
    /// of, at any level, those that are `wanted`. `None` if that cannot be found out in time.
    pub async fn look(
        &mut self,
        xid: u64,
        relation: u32,
        tables: &[u32],
        wanted: impl Fn(u32) -> bool,
    ) -> Option<Look> {
        let looked = timeout(PATIENCE, self.try_look(xid, relation, tables, wanted)).await;
        match looked.unwrap_or(Err(Failure::Unreachable)) {
            Ok(look) => Some(look),
            Err(failure) => {
                // Half an answer may still be on its way.
                self.client = None;
                debug!(table.oid = relation, ?failure, "a table could not be looked at");
                None
            }
        }
    }

    async fn try_look(
        &mut self,
        xid: u64,
        relation: u32,
        tables: &[u32],
        wanted: impl Fn(u32) -> bool,
    ) -> Result<Look, Failure> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            self.client = Some(self.postgres.connect().await.map_err(|_| Failure::Unreachable)?);
        }
        let Some(client) = &self.client else { return Err(Failure::Unreachable) };
        // Postgres sends a commit a moment before others can see it.
        let deadline = Instant::now() + VISIBLE;
        let mut certain = current(client).await?.contains(xid);
        while !certain && Instant::now() < deadline {
            sleep(POLL).await;
            certain = current(client).await?.contains(xid);
        }
        let sql = "WITH RECURSIVE up AS (
                     SELECT inhparent AS oid FROM pg_inherits WHERE inhrelid = $1
                     UNION SELECT i.inhparent FROM pg_inherits i JOIN up ON i.inhrelid = up.oid
                   ) SELECT oid FROM up";
        let above = client.query(sql, &[&relation]).await.map_err(|_| Failure::Unreachable)?;
        let above = above.iter().map(|row| row.get::<_, u32>(0)).filter(|oid| wanted(*oid));
        let mut oids: Vec<u32> = tables.iter().copied().chain(above).collect();
        oids.sort_unstable();
        oids.dedup();
        Ok(Look { seen: look(client, &self.publication, &oids).await?, certain })
    }
}
