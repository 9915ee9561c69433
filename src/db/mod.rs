//! Postgres as rows: the pool, the migrations that are built in, and one module per table.
//!
//! Every connection is opened on the runtime that made the pool: its driver lives where it was opened, and a worker
//! thread of the HTTP server may end before the pool does.

use std::future::ready;
use std::sync::Arc;

use diesel::QueryResult;
use diesel::result::ConnectionError;
use diesel_async::pooled_connection::bb8::{Pool, PooledConnection};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolableConnection, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::FutureExt;
use tokio::runtime::Handle;

use crate::config::DatabaseConfig;
use crate::postgres::{Postgres, reason};

pub mod access;
pub mod message;
pub mod migrations;
pub mod part;
mod patch;
mod schema;
pub mod session;
pub mod snapshot;
pub mod subtask;

/// Postgres counts the parameters of a statement in 16 bits.
const MAX_PARAMETERS: usize = 65_535;

/// The pool that the Writer and the reading endpoints share.
#[derive(Clone)]
pub struct Database {
    pool: Pool<AsyncPgConnection>,
}

/// A connection of the pool, which goes back to it when dropped, or closes if it is in a transaction.
pub type Connection<'a> = PooledConnection<'a, AsyncPgConnection>;

/// No connection within the time that the configuration allows.
#[derive(Debug, thiserror::Error)]
#[error("Postgres cannot be reached")]
pub struct Unavailable;

/// Why a read gave no rows.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Postgres cannot be reached, or went away in the middle.
    #[error("Postgres cannot be reached")]
    Unavailable,
    /// Postgres refused the query: ours to fix.
    #[error("the query failed")]
    Query(#[source] diesel::result::Error),
}

impl Database {
    /// Makes the pool, without a connection yet: call it on the multi-thread runtime, where connections will live.
    pub fn new(postgres: &Postgres, config: &DatabaseConfig) -> Self {
        let runtime = Handle::current();
        let postgres = Arc::new(postgres.clone());
        let mut manager = ManagerConfig::default();
        // The URL is in `postgres`; what this callback is handed is the empty one below.
        manager.custom_setup = Box::new(move |_| {
            let opened = runtime.spawn(connect(Arc::clone(&postgres)));
            async move { opened.await.map_err(|gone| ConnectionError::BadConnection(gone.to_string()))? }.boxed()
        });
        // A flag that the connection's driver keeps, instead of a query at every checkout.
        manager.recycling_method = RecyclingMethod::CustomFunction(Box::new(|connection| {
            let broken = connection.is_broken();
            ready(if broken { Err(diesel::result::Error::BrokenTransactionManager) } else { Ok(()) }).boxed()
        }));
        let manager = AsyncDieselConnectionManager::new_with_config("", manager);
        let pool = Pool::builder()
            .max_size(config.pool_size)
            .connection_timeout(config.connect_timeout)
            .build_unchecked(manager);
        Self { pool }
    }

    /// A connection of the pool; waits for one as long as the configuration allows.
    pub async fn connection(&self) -> Result<Connection<'_>, Unavailable> {
        self.pool.get().await.map_err(|_| Unavailable)
    }

    /// Runs a query that writes nothing; once more if it met a connection that had died since its last use.
    pub async fn read<T>(&self, query: impl AsyncFn(&mut AsyncPgConnection) -> QueryResult<T>) -> Result<T, ReadError> {
        for _ in 0..2 {
            let mut connection = self.connection().await.map_err(|Unavailable| ReadError::Unavailable)?;
            match query(&mut connection).await {
                Ok(rows) => return Ok(rows),
                Err(cause) if answers(&mut connection).await => return Err(ReadError::Query(cause)),
                Err(_) => {}
            }
        }
        Err(ReadError::Unavailable)
    }
}

/// Whether a connection on which something failed is still there. Errors alone do not tell: diesel keeps no SQLSTATE.
pub async fn answers(connection: &mut AsyncPgConnection) -> bool {
    connection.batch_execute("SELECT 1").await.is_ok()
}

/// What every connection is told.
///
/// - A server that does not wait for the disk at commit waits for our writes: an acknowledged write must survive a crash, and the
///   stream shows others up to 0.4 s late.
/// - A transaction of ours is never idle for long. Where the network has swallowed us, Postgres gives back the locks, which the
///   same write on another connection waits for.
const SETTINGS: &str =
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
    SET idle_in_transaction_session_timeout = '10s'";

async fn connect(postgres: Arc<Postgres>) -> Result<AsyncPgConnection, ConnectionError> {
    let bad = |cause: tokio_postgres::Error| ConnectionError::BadConnection(reason(&cause));
    let (client, driver) = postgres.config().connect(postgres.tls()).await.map_err(bad)?;
    let mut connection = AsyncPgConnection::try_from_client_and_connection(client, driver).await?;
    connection.batch_execute(SETTINGS).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}
