//! The migrations of `migrations/`, inside the binary.

use std::error::Error;
use std::sync::Arc;

use diesel::result::ConnectionError;
use diesel_async::{AsyncMigrationHarness, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;

use super::connect;
use crate::postgres::Postgres;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Two processes that start at once migrate one after the other. The number is ours alone by chance only.
const LOCK: &str = "SELECT pg_advisory_lock(6871326650125734)";

/// Why the database is not in the state that this program needs.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// Postgres cannot be reached or refuses us.
    #[error("cannot connect to Postgres ({reason}); start it, or correct DATABASE_URL")]
    Connect { reason: String },
    /// A migration failed; the ones before it stay.
    #[error("cannot migrate the database: {0}")]
    Migrate(#[source] Box<dyn Error + Send + Sync>),
}

impl From<ConnectionError> for MigrateError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::BadConnection(reason) => Self::Connect { reason },
            other => Self::Connect { reason: other.to_string() },
        }
    }
}

/// Brings the database to the newest migration and returns the versions that it ran, oldest first.
pub async fn run(postgres: &Postgres) -> Result<Vec<String>, MigrateError> {
    with_harness(postgres, |harness| harness.run_pending_migrations(MIGRATIONS)).await
}

/// Takes all migrations back, newest first. Everything that agents wrote is lost.
pub async fn revert(postgres: &Postgres) -> Result<Vec<String>, MigrateError> {
    with_harness(postgres, |harness| harness.revert_all_migrations(MIGRATIONS)).await
}

type Harness = AsyncMigrationHarness<diesel_async::AsyncPgConnection>;
type Versions<'a> = diesel::migration::Result<Vec<diesel::migration::MigrationVersion<'a>>>;

/// The harness blocks its thread and needs a runtime of several threads beneath, which the caller may not have.
async fn with_harness(
    postgres: &Postgres,
    run: impl for<'a> FnOnce(&'a mut Harness) -> Versions<'a> + Send + 'static,
) -> Result<Vec<String>, MigrateError> {
    let postgres = Arc::new(postgres.clone());
    let migrate = move || {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|cause| MigrateError::Migrate(cause.into()))?;
        let connection = runtime.block_on(async {
            let mut connection = connect(postgres).await?;
            // Released when the connection closes.
            connection.batch_execute(LOCK).await.map_err(|cause| MigrateError::Migrate(cause.into()))?;
            Ok::<_, MigrateError>(connection)
        })?;
        let _guard = runtime.enter();
        let mut harness = Harness::new(connection);
        let versions = run(&mut harness).map_err(MigrateError::Migrate)?;
        Ok(versions.into_iter().map(|version| version.to_string()).collect())
    };
    spawn_blocking(migrate).await.map_err(|cause| MigrateError::Migrate(cause.into()))?
}
