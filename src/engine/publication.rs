//! Makes sure that the stream tells of a table, and tells whole rows; takes tables out again that nobody needs.
//!
//! Where the operator publishes by hand (`engine.manual_publishing`), nothing is changed here: what is missing is told.

mod entry;
mod unused;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant as StdInstant};

use hashbrown::{HashMap, HashSet};
use tokio::sync::RwLock;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tracing::{info, warn};

use super::snapshot::{Failure, Mark, failure};
use super::tables::Table;
use crate::shape::quote_identifier;
use entry::State;

/// How long a change of a table or of the publication may wait for a lock before the request is told to try again.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '5s'";
/// How long the identity of a new partition may wait for a lock: others who write to it wait meanwhile.
const PARTITION_LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '1s'";
/// How long to wait for transactions that are older than the change of the publication.
const OLD_TRANSACTIONS: Duration = Duration::from_secs(20);

/// The publication of this engine, and what is known of its tables.
#[derive(Debug)]
pub struct Publication {
    name: String,
    /// The operator decides what is in it.
    manual: bool,
    server_version: AtomicU32,
    /// Oids of tables whose older transactions have been waited for.
    settled: parking_lot::Mutex<HashSet<u32>>,
    /// Shared while a table is looked for, exclusive while one is added or taken out: what has been found there
    /// stays there for every shape that is in the catalogue.
    changing: RwLock<()>,
    /// Since when no shape has used a published table.
    unused: parking_lot::Mutex<HashMap<u32, StdInstant>>,
}

impl Publication {
    /// The publication called `name`.
    pub fn new(name: String, manual: bool) -> Self {
        Self {
            name,
            manual,
            server_version: AtomicU32::new(0),
            settled: parking_lot::Mutex::default(),
            changing: RwLock::default(),
            unused: parking_lot::Mutex::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A stream of a server of this version (`server_version_num`) begins.
    pub fn begin_stream(&self, server_version: u32) {
        self.server_version.store(server_version, Ordering::Release);
        self.settled.lock().clear();
    }

    /// Adds the table of a shape with `REPLICA IDENTITY FULL`, if that is not yet so, and returns the oid of what has put
    /// it into the publication.
    ///
    /// On return every change of the table that a new snapshot does not contain will be in the stream. The shape must
    /// be in the catalogue: what no shape there uses may be taken out again.
    pub async fn ensure(&self, client: &Client, table: &Table, shown: impl Fn(&str) -> bool) -> Result<u32, Failure> {
        let found = {
            let _nobody_changes_it = self.changing.read().await;
            self.state(client, table).await?
        };
        let state = match found.entry() {
            Some(_) => found,
            None if self.manual => return Err(Failure::Retry(found.missing(&self.name, table))),
            None => self.add(client, table).await?,
        };
        if let Some(missing) = state.generated(&self.name, shown) {
            return Err(Failure::Retry(missing));
        }
        if state.synchronous && !self.settled.lock().contains(&table.oid) {
            wait_for_old_transactions(client).await?;
            self.settled.lock().insert(table.oid);
        }
        state.entry().ok_or(Failure::Changed)
    }

    async fn add(&self, client: &Client, table: &Table) -> Result<State, Failure> {
        let _one_at_a_time = self.changing.write().await;
        let state = self.state(client, table).await?;
        if state.entry().is_some() {
            return Ok(state);
        }
        match alter(client, LOCK_TIMEOUT, &changes(&self.name, table, &state)).await {
            // The operator was faster; the rest of the change is undone with it.
            Err(error) if error.code() == Some(&SqlState::DUPLICATE_OBJECT) => {}
            Err(error) => return Err(refused(&error, table, &self.name)),
            Ok(()) => info!("table {} is published", table.name),
        }
        let state = self.state(client, table).await?;
        // Somebody undoes it as fast as we do it, or the publication has gone.
        state.entry().ok_or_else(|| Failure::Retry(state.missing(&self.name, table)))?;
        Ok(state)
    }

    /// Sees to it that the stream tells whole rows of partitions that have come since their table was published.
    ///
    /// One that cannot be changed just now is left for the next time: an update of it ends the shapes of its table.
    pub async fn adopt(&self, client: &Client, tables: &[u32]) -> Result<(), Failure> {
        if self.manual || tables.is_empty() {
            return Ok(());
        }
        for partition in entry::partitions_without_identity(client, tables).await? {
            let sql = format!("ALTER TABLE {partition} REPLICA IDENTITY FULL");
            match alter(client, PARTITION_LOCK_TIMEOUT, &sql).await {
                Ok(()) => info!("partition {partition} is followed"),
                Err(error) => {
                    let cause = error.as_db_error().map_or("no connection", |error| error.message());
                    warn!(
                        cause,
                        "partition {partition} could not be given REPLICA IDENTITY FULL, which updates of it need"
                    );
                }
            }
        }
        Ok(())
    }
}

/// What makes the stream tell of a table, and tell whole rows.
///
/// The lock waits for everybody who writes to the table: what was written before would never be in the stream, and
/// not in a snapshot that is read before its transaction commits. Of a partitioned table it is on all partitions.
fn changes(publication: &str, table: &Table, state: &State) -> String {
    let (name, publication) = (table.name.quoted(), quote_identifier(publication));
    let only = if table.partitions.is_some() { "" } else { "ONLY " };
    let mut sql = format!("LOCK TABLE {only}{name} IN SHARE ROW EXCLUSIVE MODE");
    for relation in &state.without_identity {
        sql.push_str(&format!("; ALTER TABLE {relation} REPLICA IDENTITY FULL"));
    }
    if state.in_part {
        sql.push_str(&format!("; ALTER PUBLICATION {publication} DROP TABLE ONLY {name}"));
    }
    if state.in_part || state.published.is_none() {
        sql.push_str(&format!("; ALTER PUBLICATION {publication} ADD TABLE ONLY {name}"));
    }
    sql
}

/// Changes something under a lock that is not waited for too long. On an error the connection is as before.
async fn alter(client: &Client, limit: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
    let altered = client.batch_execute(&format!("BEGIN; {limit}; {sql}; COMMIT")).await;
    if altered.is_err() {
        // If this fails as well, the connection is gone.
        let _ = client.batch_execute("ROLLBACK").await;
    }
    altered
}

/// Waits until every transaction that was running has ended.
///
/// One that waits for a standby since before this process started may have been confirmed by the process before:
/// the stream does not show it again, and a snapshot does not show it yet.
async fn wait_for_old_transactions(client: &Client) -> Result<(), Failure> {
    let deadline = Instant::now() + OLD_TRANSACTIONS;
    let then = current(client).await?;
    while current(client).await?.xmin < then.xmax {
        if Instant::now() > deadline {
            let message = "A transaction that began earlier is still running, and commits wait for a standby; the shape waits for its end";
            return Err(Failure::Retry(message.into()));
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// The current snapshot, outside of any transaction of ours.
pub async fn current(client: &Client) -> Result<Mark, Failure> {
    let row = client.query_one("SELECT pg_current_snapshot()::text", &[]).await.map_err(|error| failure(&error))?;
    row.get::<_, &str>(0).parse().map_err(|error| Failure::Unexpected(format!("{error}")))
}

fn refused(error: &tokio_postgres::Error, table: &Table, publication: &str) -> Failure {
    if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        let (name, publication) = (table.name.quoted(), quote_identifier(publication));
        let cause = error.as_db_error().map(|error| error.message()).unwrap_or_default();
        return Failure::Retry(format!(
            "Database table \"{}\" is missing from the publication {publication} and the role of DATABASE_URL lacks privileges \
             to add it ({cause}): make that role the owner of the table and of its partitions, or as their owner run ALTER TABLE {name} \
             REPLICA IDENTITY FULL; ALTER PUBLICATION {publication} ADD TABLE {name}",
            table.name
        ));
    }
    failure(error)
}
