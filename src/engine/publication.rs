//! Makes sure that the stream tells of a table, and tells whole rows.

use std::time::Duration;

use hashbrown::HashSet;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tracing::info;

use super::snapshot::{Failure, Mark, failure};
use super::tables::Table;
use crate::shape::quote_identifier;

/// How long a change of a table or of the publication may wait for a lock before the request is told to try again.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '5s'";
/// How long to wait for transactions that are older than the change of the publication.
const OLD_TRANSACTIONS: Duration = Duration::from_secs(20);

/// The publication of this engine, and what is known to be in it.
#[derive(Debug)]
pub struct Publication {
    name: String,
    /// Oids of tables found in it.
    known: parking_lot::Mutex<HashSet<u32>>,
    /// Held while a table is added: one at a time.
    adding: Mutex<()>,
}

impl Publication {
    /// The publication called `name`.
    pub fn new(name: String) -> Self {
        Self { name, known: parking_lot::Mutex::default(), adding: Mutex::default() }
    }

    /// Forgets a table, or with `None` all: the next shape on it looks again.
    pub fn forget(&self, table: Option<u32>) {
        let mut known = self.known.lock();
        match table {
            Some(oid) => drop(known.remove(&oid)),
            None => known.clear(),
        }
    }

    /// Adds a table with `REPLICA IDENTITY FULL`, if that is not yet so.
    ///
    /// On return every change of the table that a new snapshot does not contain will be in the stream.
    pub async fn ensure(&self, client: &Client, table: &Table) -> Result<(), Failure> {
        if self.known.lock().contains(&table.oid) {
            return Ok(());
        }
        let _one_at_a_time = self.adding.lock().await;
        if self.known.lock().contains(&table.oid) {
            return Ok(());
        }
        let state = state(client, &self.name, table.oid).await?.ok_or(Failure::Changed)?;
        if !state.full || !state.published {
            let sql = changes(&self.name, table, &state);
            match alter(client, &sql).await {
                // Somebody else was faster; the rest of the change is undone with it.
                Err(error) if state.full && error.code() == Some(&SqlState::DUPLICATE_OBJECT) => {}
                Err(error) => return Err(refused(&error, table)),
                Ok(()) => info!("table {} is published", table.name),
            }
        }
        if state.synchronous {
            wait_for_old_transactions(client).await?;
        }
        self.known.lock().insert(table.oid);
        Ok(())
    }

    /// Which of these tables the stream tells of, with whole rows.
    pub async fn published(&self, client: &Client, oids: &[u32]) -> Result<HashSet<u32>, Failure> {
        let sql = "SELECT c.oid FROM pg_class c
                   JOIN pg_publication_rel r ON r.prrelid = c.oid JOIN pg_publication p ON p.oid = r.prpubid
                   WHERE c.oid = ANY($1) AND c.relreplident = 'f' AND p.pubname = $2";
        let rows = client.query(sql, &[&oids, &self.name]).await.map_err(|error| failure(&error))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// What makes the stream tell of a table, and tell whole rows.
///
/// The lock waits for everybody who writes to the table: what was written before would never be in the stream, and
/// not in a snapshot that is read before its transaction commits.
fn changes(publication: &str, table: &Table, state: &State) -> String {
    let name = table.name.quoted();
    let mut sql = format!("LOCK TABLE ONLY {name} IN SHARE ROW EXCLUSIVE MODE");
    if !state.full {
        sql.push_str(&format!("; ALTER TABLE {name} REPLICA IDENTITY FULL"));
    }
    if !state.published {
        sql.push_str(&format!("; ALTER PUBLICATION {} ADD TABLE ONLY {name}", quote_identifier(publication)));
    }
    sql
}

/// Changes something under a lock that is not waited for too long. On an error the connection is as before.
async fn alter(client: &Client, sql: &str) -> Result<(), tokio_postgres::Error> {
    let altered = client.batch_execute(&format!("BEGIN; {LOCK_TIMEOUT}; {sql}; COMMIT")).await;
    if altered.is_err() {
        // If this fails as well, the connection is gone.
        let _ = client.batch_execute("ROLLBACK").await;
    }
    altered
}

/// What Postgres says of a table.
struct State {
    full: bool,
    published: bool,
    /// Commits wait for standbys, and until then nobody sees them, although the stream has shown them.
    synchronous: bool,
}

async fn state(client: &Client, publication: &str, oid: u32) -> Result<Option<State>, Failure> {
    let sql = "SELECT c.relreplident = 'f',
                      EXISTS (SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
                              WHERE r.prrelid = c.oid AND p.pubname = $2),
                      current_setting('synchronous_standby_names') <> ''
               FROM pg_class c WHERE c.oid = $1";
    let row = client.query_opt(sql, &[&oid, &publication]).await.map_err(|error| failure(&error))?;
    Ok(row.map(|row| State { full: row.get(0), published: row.get(1), synchronous: row.get(2) }))
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

fn refused(error: &tokio_postgres::Error, table: &Table) -> Failure {
    if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        return Failure::Retry(format!(
            "Database table \"{}\" cannot be published: the role of DATABASE_URL does not own it; make it the owner, or as \
             its owner run ALTER TABLE ... REPLICA IDENTITY FULL and add it to the publication",
            table.name
        ));
    }
    failure(error)
}
