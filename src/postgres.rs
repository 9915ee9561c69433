//! `DATABASE_URL` becomes a way to connect: address, credentials and TLS, as libpq would read them.
//!
//! Every connection of the program starts here: the pool of the write path, the engine's queries and the
//! replication stream. No error and no `Debug` output of this module contains a password.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio_postgres::config::{Host, SslMode, SslNegotiation};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::debug;

mod tls;
mod url;

#[cfg(test)]
mod tests;

pub use tls::{Trust, client_config};
pub use url::InvalidUrl;

/// Connecting to one address takes no longer than this, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that vanished without a word is noticed after a silence of this and three probes, unless the URL
/// says otherwise: the two hours that are usual would hide it behind a firewall for too long.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;
/// And bytes that it does not acknowledge in this time end the connection.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(60);

/// How to reach one database.
#[derive(Clone)]
pub struct Postgres {
    config: Config,
    tls: Arc<ClientConfig>,
}

impl Postgres {
    /// Reads a connection URL, or a `key=value` string, as libpq does.
    ///
    /// All values of `sslmode` are known: `disable`; `allow` and `prefer` (the default) use TLS where the
    /// server speaks it; `require` insists on TLS; these do not look at the certificate, unless
    /// `sslrootcert` is given to `require`, which makes it `verify-ca`; `verify-ca` needs `sslrootcert`;
    /// `verify-full` also compares the host name, and without `sslrootcert` trusts the authorities
    /// that browsers trust. Over a Unix socket there is no TLS, whatever `sslmode` says.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] names the part that is wrong and the cure. Files are read here, so that a missing
    /// `sslrootcert` stops the start and not the first connection.
    ///
    /// Source: PostgreSQL documentation, 34.1.2 (parameter key words) and 34.19 (SSL support).
    pub fn from_url(url: &str) -> Result<Self, InvalidUrl> {
        let (mut config, ssl) = url::parse(url)?;
        if config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_))) {
            config.ssl_mode(SslMode::Disable);
        } else {
            config.ssl_mode(ssl.mode.encryption());
        }
        set_limits(&mut config);
        let direct = config.get_ssl_negotiation() == SslNegotiation::Direct;
        let tls = tls::client_config(ssl.trust()?, direct);
        Ok(Self { config, tls: Arc::new(tls) })
    }

    /// Address, credentials and session options. The user is always set, and so is at least one host.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The TLS side of [`Config::connect`].
    pub fn tls(&self) -> MakeRustlsConnect {
        MakeRustlsConnect::new(ClientConfig::clone(&self.tls))
    }

    /// The same for a transport of our own.
    pub fn tls_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.tls)
    }

    /// Opens a plain connection, spawns the task that drives it, and returns the client.
    ///
    /// The task ends with the connection: when the client is dropped, or when the server hangs up.
    pub async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = self.config.connect(self.tls()).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "connection to Postgres ended");
            }
        });
        Ok(client)
    }
}

/// Limits that the URL did not set.
fn set_limits(config: &mut Config) {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_keepalives_idle() == Config::new().get_keepalives_idle() {
        config.keepalives_idle(KEEPALIVE_IDLE);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(KEEPALIVE_INTERVAL);
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(KEEPALIVE_PROBES);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNACKNOWLEDGED_LIMIT);
    }
}

/// Why a connection failed, in the words of whoever refused it: the innermost cause.
pub fn reason(error: &tokio_postgres::Error) -> String {
    if let Some(refusal) = error.as_db_error() {
        return refusal.message().to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `Config` prints `_` for the password.
        f.debug_struct("Postgres").field("config", &self.config).finish_non_exhaustive()
    }
}
