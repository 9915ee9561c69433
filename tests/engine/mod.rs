//! The shape engine from outside: the real binary, a real Postgres, and readers that check every message.

mod admission;
mod changes;
mod consistency;
mod deletion;
mod hidden;
mod hostile;
mod identity;
mod inventory;
mod large;
mod lifecycle;
mod lifecycle_random;
mod live;
mod partitions;
mod promise;
mod requests;
mod rotation;
mod snapshots;
mod stalled;
mod starts;
mod subqueries;
mod subsets;
mod tables;
mod tail;
mod values;

use std::time::Duration;

use tokio_postgres::Client;

use self::tail::{Tail, told};
use crate::support::{Database, Engine};

/// For anything that shall happen soon, on a machine that runs other tests.
const SOON: Duration = Duration::from_secs(60);
const LONG_POLL: (&str, &str) = ("ELECTRIC_LONG_POLL_TIMEOUT", "1000");

/// A database with tables, and an engine on it. What is named first is dropped first.
struct Scene {
    engine: Engine,
    client: Client,
    database: Database,
}

impl Scene {
    /// Runs `sql` in a fresh database and starts an engine on it.
    async fn new(sql: &str) -> Self {
        Self::with(sql, &[]).await
    }

    /// The same with settings of the engine.
    async fn with(sql: &str, settings: &[(&str, &str)]) -> Self {
        let database = Database::fresh().await;
        let client = database.connect().await;
        client.batch_execute(sql).await.expect("the tables");
        let engine = Engine::with(&database, settings).await;
        Self { engine, client, database }
    }

    /// Runs statements, in one transaction if they are in one text.
    async fn sql(&self, text: &str) {
        self.client.batch_execute(text).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    }
}
