//! Connections for snapshots and for questions about tables.

use std::ops::Deref;
use std::time::Duration;

use bb8::{ManageConnection, Pool, PooledConnection};
use tokio_postgres::Client;

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
    postgres: Postgres,
}

/// Makes a pool that opens up to `size` connections when they are needed.
pub fn connections(postgres: Postgres, size: u32) -> Connections {
    Pool::builder()
        .max_size(size.max(1))
        .connection_timeout(CONNECTION_TIMEOUT)
        // A dead server must show as itself, not as one more attempt.
        .retry_connection(false)
        .idle_timeout(Some(Duration::from_secs(60)))
        .build_unchecked(Manager { postgres })
}

impl ManageConnection for Manager {
    type Connection = Session;
    type Error = tokio_postgres::Error;

    async fn connect(&self) -> Result<Session, Self::Error> {
        let client = self.postgres.connect().await?;
        Ok(Session { client, spoiled: false })
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
    /// Set while it is in a state that its next user must not see: it is closed instead of going back.
    pub spoiled: bool,
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
