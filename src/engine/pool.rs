//! Connections for snapshots and for questions about tables.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bb8::{ManageConnection, Pool, PooledConnection};
use tokio_postgres::{CancelToken, Client};

use crate::postgres::Postgres;

/// How long a caller waits for a connection, also where each attempt is refused at once.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// The engine's own pool.
pub type Connections = Pool<Manager>;
/// A connection on loan.
pub type Connection<'a> = PooledConnection<'a, Manager>;

/// Opens connections for [`Connections`].
#[derive(Debug)]
pub struct Manager {
    postgres: Arc<Postgres>,
}

/// Makes a pool that opens up to `size` connections when they are needed.
pub fn connections(postgres: Postgres, size: u32) -> Connections {
    Pool::builder()
        .max_size(size.max(1))
        .connection_timeout(CONNECTION_TIMEOUT)
        // A dead server must show as itself, not as one more attempt.
        .retry_connection(false)
        .idle_timeout(Some(Duration::from_secs(60)))
        .build_unchecked(Manager { postgres: Arc::new(postgres) })
}

impl ManageConnection for Manager {
    type Connection = Session;
    type Error = tokio_postgres::Error;

    async fn connect(&self) -> Result<Session, Self::Error> {
        let client = self.postgres.connect().await?;
        Ok(Session { client, postgres: Arc::clone(&self.postgres), spoiled: false })
    }

    async fn is_valid(&self, session: &mut Session) -> Result<(), Self::Error> {
        session.batch_execute("").await
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        session.spoiled || session.is_closed()
    }
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    client: Client,
    postgres: Arc<Postgres>,
    /// Set while it is in a state that its next user must not see: it is closed instead of going back.
    pub spoiled: bool,
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Session {
    /// What ends the statement that runs on this connection, from another one.
    pub fn canceller(&self) -> Canceller {
        Canceller { token: self.client.cancel_token(), postgres: Arc::clone(&self.postgres) }
    }
}

/// Ends a statement whose result nobody wants any more: closing its connection alone would let it run on.
pub struct Canceller {
    token: CancelToken,
    postgres: Arc<Postgres>,
}

impl Canceller {
    /// Asks Postgres to end the statement. Without a connection there is none, or nobody to ask.
    pub async fn cancel(self) {
        let _ = self.token.cancel_query(self.postgres.tls()).await;
    }
}
