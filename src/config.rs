//! Every setting with its unit and default; files and environment become a [`Config`], or a refusal naming the key.
//!
//! `config/default.toml` is compiled in and gives every key a value. So it is also the list of the keys there are, and of the kind of
//! value that each takes: a key that it does not have, in a file or in a `PLUE_` variable, stops the start. Later wins: default file,
//! `--config FILE`, `.env`, environment, flags. No error and no `Debug` output contains the value of a secret.

mod auth;
mod duration;
mod electric;
mod environment;
mod layer;
mod shapes;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::error::Kind;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

pub use auth::{AuthConfig, ColumnClaim, InvalidRole, Role, algorithm_named};
pub use duration::{InvalidDuration, parse as parse_duration};
pub use electric::ElectricConfig;
pub use environment::Environment;
use layer::Layer;
pub use shapes::{ShapeConfig, ShapesConfig};

use crate::shape::CachePolicy;

/// The defaults, with a comment for each key.
const DEFAULTS: &str = include_str!("../config/default.toml");
const DEFAULTS_NAME: &str = "the built-in defaults";
/// Names longer than this would be cut by Postgres: the suffix shares 63 bytes with our prefixes.
const MAX_STREAM_ID_BYTES: usize = 32;
/// How long shape services hold a live request without a change, unless told otherwise.
const UPSTREAM_HOLD: Duration = Duration::from_secs(20);

/// All settings of `serve` and `dev`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub server: ServerConfig,
    pub auth: AuthConfig,
    pub database: DatabaseConfig,
    pub writer: WriterConfig,
    pub subscriptions: SubscriptionsConfig,
    pub upstream: UpstreamConfig,
    pub engine: EngineConfig,
    /// Shapes with names, only from a file.
    #[serde(default)]
    pub shapes: ShapesConfig,
}

/// The API's own listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    pub listen: SocketAddr,
    /// Bodies above this are refused with 413.
    pub max_body_bytes: usize,
    /// Origins that browsers may call from; `*` for any.
    pub cors_origins: Vec<String>,
    /// Proxies whose `x-forwarded-for` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// PEM file of the certificate, and of those that lead to its authority; empty: no TLS.
    pub tls_certificate: PathBuf,
    /// PEM file of its private key.
    pub tls_key: PathBuf,
    /// Whether `/` is the viewer.
    pub viewer: bool,
    /// Where the engine's own, Electric-compatible API listens beside ours. Only `dev` has one, so it is no setting.
    #[serde(skip)]
    pub engine_listen: Option<SocketAddr>,
    /// Whether only this machine's own pages and names are served: an open `dev` is protected by nothing else, so it is no setting.
    #[serde(skip)]
    pub only_from_here: bool,
    /// Whether there is a demo. Only `dev` has one.
    #[serde(skip)]
    pub demo: Option<DemoConfig>,
    /// Whether `cors_origins` is more than the default.
    #[serde(skip)]
    pub cors_is_chosen: bool,
}

/// The demo of `dev`.
#[derive(Debug, Clone)]
pub struct DemoConfig {
    /// How many times slower than its script it plays.
    pub pace: f64,
    /// Whether it plays at the start, and not only when it is asked to.
    pub opens: bool,
    /// What it shows the write API then: `Bearer ...`.
    pub authorization: Option<SecretString>,
}

/// The pool that the write path and the reading endpoints share.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `postgresql://user:password@host:port/database?sslmode=...`
    pub url: SecretString,
    pub pool_size: u32,
    /// How long a request waits for a connection before it is told `unavailable`.
    #[serde(deserialize_with = "duration::deserialize")]
    pub connect_timeout: Duration,
}

/// The Writer's queue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriterConfig {
    /// Writes that may wait; one more is answered `busy`.
    pub queue_length: usize,
    /// Writes that one transaction takes at most.
    pub max_batch: usize,
}

/// The registry of those who follow shapes through the API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionsConfig {
    /// A reader that asks for nothing for so long, or takes nothing while there is something to take, is ended.
    #[serde(deserialize_with = "duration::deserialize")]
    pub idle_timeout: Duration,
    /// How long what is held for a session stays when nobody follows it any more.
    #[serde(deserialize_with = "duration::deserialize")]
    pub session_linger: Duration,
    /// The longest life of one event stream; 0 for the protocol's.
    #[serde(deserialize_with = "duration::deserialize")]
    pub stream_lifetime: Duration,
    /// Subscriptions that may be open in this process.
    pub max: usize,
    pub max_per_session: usize,
    pub max_per_principal: usize,
}

/// The shape service that answers in the engine's place, if there is one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Empty: there is none. Its parameters may be as secret as `secret`.
    pub url: SecretString,
    /// Sent as the parameter `secret`; empty for none.
    pub secret: SecretString,
    /// How long a connection may take, and how long a request waits for one that is free.
    #[serde(deserialize_with = "duration::deserialize")]
    pub connect_timeout: Duration,
    /// How long the head of an answer may take that is not live.
    #[serde(deserialize_with = "duration::deserialize")]
    pub response_timeout: Duration,
    /// How long a live request may be held.
    #[serde(deserialize_with = "duration::deserialize")]
    pub live_timeout: Duration,
    /// Silence after which a body is given up.
    #[serde(deserialize_with = "duration::deserialize")]
    pub body_timeout: Duration,
    /// Requests to it at once.
    pub max_connections: usize,
    /// Requests that wait for one of these to end.
    pub max_waiting: usize,
}

/// The shape engine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineConfig {
    /// Where shape logs live.
    pub storage_dir: PathBuf,
    /// Suffix of the slot's and the publication's names.
    pub stream_id: String,
    /// Connections for snapshots and catalogue queries.
    pub pool_size: u32,
    /// A chunk of a log closes when it reaches this size.
    pub chunk_bytes: u64,
    /// How long a live request is held without a change.
    #[serde(deserialize_with = "duration::deserialize")]
    pub long_poll_timeout: Duration,
    /// How long an event stream lasts.
    #[serde(deserialize_with = "duration::deserialize")]
    pub sse_timeout: Duration,
    /// Silence after which an event stream sends a comment.
    #[serde(deserialize_with = "duration::deserialize")]
    pub sse_keep_alive: Duration,
    /// `max-age` of answers that are not live.
    #[serde(deserialize_with = "duration::deserialize")]
    pub cache_max_age: Duration,
    /// `stale-while-revalidate` of answers that are not live.
    #[serde(deserialize_with = "duration::deserialize")]
    pub cache_stale_age: Duration,
    /// A snapshot whose first row takes longer is given up.
    #[serde(deserialize_with = "duration::deserialize")]
    pub snapshot_timeout: Duration,
    /// How long a request waits for the engine to become ready.
    #[serde(deserialize_with = "duration::deserialize")]
    pub ready_timeout: Duration,
    /// Bytes of recent entries that stay in memory, over all shapes.
    pub memory_bytes: u64,
    /// Requests that may create a shape and are answered at once; 0 refuses all.
    pub max_initial_requests: usize,
    /// Requests for shapes that are there, live ones included, that are answered at once; 0 refuses all.
    pub max_existing_requests: usize,
    /// Whether DELETE on the engine's own port ends shapes.
    pub allow_delete: bool,
    /// How often the tables of all shapes are looked at.
    #[serde(deserialize_with = "duration::deserialize")]
    pub reconcile_interval: Duration,
    /// How long a table stays published that no shape uses.
    #[serde(deserialize_with = "duration::deserialize")]
    pub publication_keep: Duration,
    /// The operator decides what is published: nothing is altered.
    pub manual_publishing: bool,
    /// Shapes that may be there; 0 for any number.
    pub max_shapes: usize,
}

/// Why the settings cannot be used. Each names the key or variable, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{file} is not TOML: {reason}")]
    Syntax { file: String, reason: String },
    #[error("{key} in {layer} is no setting; `config/default.toml` lists them all")]
    UnknownKey { key: String, layer: String },
    #[error("{key} in {layer} must be {expected}")]
    Value { key: String, layer: String, expected: String },
    #[error(".env has a line that is not NAME=value{after}")]
    DotEnv { after: String },
    #[error(
        "DATABASE_URL is not set; set it to postgresql://user:password@host:port/database, or run `plue-sync dev`, which \
         brings its own Postgres"
    )]
    NoDatabase,
    #[error(
        "set either ELECTRIC_SECRET=<a secret that clients send as `secret`> or ELECTRIC_INSECURE=true, and not both"
    )]
    SecretOrInsecure,
}

impl Config {
    /// Puts the layers together: the built-in defaults, `file`, then the environment.
    ///
    /// The database's URL may still be empty: [`Config::require_database`] refuses that, for the commands that need one.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], for the first thing that is wrong.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let defaults = Layer::from_toml(DEFAULTS_NAME, DEFAULTS)?;
        let mut layers = Figment::from(&defaults);
        if let Some(path) = file {
            let source = |source| ConfigError::File { path: path.to_owned(), source };
            let text = std::fs::read_to_string(path).map_err(source)?;
            let layer = Layer::from_toml(&path.display().to_string(), &text)?;
            layer.refuse_unknown_keys(&defaults)?;
            layers = layers.merge(&layer);
        }
        layers = layers.merge(&environment.layer(&defaults)?);
        let mut config: Self = layers.extract().map_err(refusal)?;
        let chosen = layers.find_metadata("server.cors_origins");
        config.server.cors_is_chosen = chosen.is_some_and(|layer| layer.name != DEFAULTS_NAME);
        config.check()?;
        Ok(config)
    }

    /// # Errors
    ///
    /// [`ConfigError::NoDatabase`] if no URL is set.
    pub fn require_database(&self) -> Result<(), ConfigError> {
        if self.database.url.expose_secret().is_empty() { Err(ConfigError::NoDatabase) } else { Ok(()) }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let (server, writer) = (&self.server, &self.writer);
        server.check()?;
        at_least_one("database.pool_size", u64::from(self.database.pool_size))?;
        at_least_one("database.connect_timeout", self.database.connect_timeout.as_millis() as u64)?;
        at_least_one("writer.queue_length", writer.queue_length as u64)?;
        at_least_one("writer.max_batch", writer.max_batch as u64)?;
        let subscriptions = &self.subscriptions;
        at_least_one("subscriptions.idle_timeout", subscriptions.idle_timeout.as_millis() as u64)?;
        at_least_one("subscriptions.max", subscriptions.max as u64)?;
        at_least_one("subscriptions.max_per_session", subscriptions.max_per_session as u64)?;
        at_least_one("subscriptions.max_per_principal", subscriptions.max_per_principal as u64)?;
        self.auth.check()?;
        self.upstream.check()?;
        self.engine.check()
    }
}

impl ServerConfig {
    /// The files of the certificate and its key, where TLS is spoken.
    pub fn tls(&self) -> Option<(&Path, &Path)> {
        let files = (self.tls_certificate.as_path(), self.tls_key.as_path());
        (files != (Path::new(""), Path::new(""))).then_some(files)
    }

    fn check(&self) -> Result<(), ConfigError> {
        at_least_one("server.max_body_bytes", self.max_body_bytes as u64)?;
        match (self.tls_certificate.as_os_str().is_empty(), self.tls_key.as_os_str().is_empty()) {
            (true, false) => Err(refused("server.tls_certificate", "a PEM file, because server.tls_key is set")),
            (false, true) => Err(refused("server.tls_key", "a PEM file, because server.tls_certificate is set")),
            _ => Ok(()),
        }
    }
}

impl UpstreamConfig {
    /// Whether shapes come from an upstream.
    pub fn is_set(&self) -> bool {
        !self.url.expose_secret().is_empty()
    }

    fn check(&self) -> Result<(), ConfigError> {
        at_least_one("upstream.connect_timeout", self.connect_timeout.as_millis() as u64)?;
        at_least_one("upstream.response_timeout", self.response_timeout.as_millis() as u64)?;
        at_least_one("upstream.body_timeout", self.body_timeout.as_millis() as u64)?;
        at_least_one("upstream.max_connections", self.max_connections as u64)?;
        if self.live_timeout <= UPSTREAM_HOLD {
            return Err(refused("upstream.live_timeout", "more than the 20s for which a live request is held"));
        }
        Ok(())
    }
}

impl EngineConfig {
    /// What answers say of how long they may be kept.
    pub fn cache_policy(&self) -> CachePolicy {
        CachePolicy {
            max_age: self.cache_max_age,
            stale_age: self.cache_stale_age,
            long_poll_timeout: self.long_poll_timeout,
            sse_timeout: self.sse_timeout,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        at_least_one("engine.pool_size", self.pool_size as u64)?;
        at_least_one("engine.chunk_bytes", self.chunk_bytes)?;
        at_least_one("engine.long_poll_timeout", self.long_poll_timeout.as_millis() as u64)?;
        at_least_one("engine.sse_timeout", self.sse_timeout.as_millis() as u64)?;
        at_least_one("engine.sse_keep_alive", self.sse_keep_alive.as_millis() as u64)?;
        at_least_one("engine.reconcile_interval", self.reconcile_interval.as_millis() as u64)?;
        at_least_one("engine.snapshot_timeout", self.snapshot_timeout.as_millis() as u64)?;
        let id = self.stream_id.as_bytes();
        let plain = id.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if id.is_empty() || id.len() > MAX_STREAM_ID_BYTES || !plain {
            let expected = format!("1 to {MAX_STREAM_ID_BYTES} lower-case letters, digits and underscores");
            return Err(refused("engine.stream_id", expected));
        }
        if self.storage_dir.as_os_str().is_empty() {
            return Err(refused("engine.storage_dir", "a folder"));
        }
        Ok(())
    }
}

fn at_least_one(key: &str, value: u64) -> Result<(), ConfigError> {
    if value == 0 { Err(refused(key, "more than 0")) } else { Ok(()) }
}

fn refused(key: &str, expected: impl Into<String>) -> ConfigError {
    ConfigError::Value { key: key.to_owned(), layer: "the settings".to_owned(), expected: expected.into() }
}

/// What figment found wrong, without the value: it may be a secret.
fn refusal(error: figment::Error) -> ConfigError {
    let layer = error.metadata.as_ref().map_or("the settings", |layer| &layer.name).to_owned();
    let key = error.path.join(".");
    let expected = match error.kind {
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => expected,
        Kind::UnknownField(..) => return ConfigError::UnknownKey { key, layer },
        Kind::Message(message) => message,
        Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => "a smaller number".to_owned(),
        other => other.to_string(),
    };
    ConfigError::Value { key, layer, expected }
}

#[cfg(test)]
mod tests;
