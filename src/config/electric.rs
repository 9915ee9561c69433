//! `plue-sync engine` takes the names that the Electric service has, so that it can stand in for it.
//!
//! Names of features that we do not have are told in one line, and ignored: a set-up that worked with Electric must start.
//!
//! Source: names, defaults and units are those of Electric's configuration reference and its `config/runtime.exs`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::{Config, ConfigError, EngineConfig, Environment};

const DEFAULT_PORT: u16 = 3000;
const DEFAULT_STORAGE_DIR: &str = "./persistent";

/// What [`ElectricConfig::from_environment`] reads.
const KNOWN: [&str; 16] = [
    "ELECTRIC_CACHE_MAX_AGE",
    "ELECTRIC_CACHE_STALE_AGE",
    "ELECTRIC_DB_POOL_SIZE",
    "ELECTRIC_ENABLE_INTEGRATION_TESTING",
    "ELECTRIC_INSECURE",
    "ELECTRIC_LISTEN_ON_IPV6",
    "ELECTRIC_LONG_POLL_TIMEOUT",
    "ELECTRIC_MAX_CONCURRENT_REQUESTS",
    "ELECTRIC_POOLED_DATABASE_URL",
    "ELECTRIC_PORT",
    "ELECTRIC_QUERY_DATABASE_URL",
    "ELECTRIC_REPLICATION_STREAM_ID",
    "ELECTRIC_SECRET",
    "ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD",
    "ELECTRIC_STORAGE_DIR",
    "ELECTRIC_URL",
];

/// All settings of `plue-sync engine`.
#[derive(Debug, Clone)]
pub struct ElectricConfig {
    pub listen: SocketAddr,
    /// The connection for replication, `DATABASE_URL`.
    pub database_url: SecretString,
    /// The connection for snapshots and catalogue queries; may lead through a pooler.
    pub pooled_database_url: SecretString,
    /// Every request must carry it as `secret`; `None` if the operator asked for an open server.
    pub secret: Option<SecretString>,
    pub engine: EngineConfig,
    /// Names that are set and have no effect here.
    pub unsupported: Vec<String>,
}

impl ElectricConfig {
    /// Reads Electric's names; what has no such name keeps our default.
    ///
    /// # Errors
    ///
    /// [`ConfigError::SecretOrInsecure`] unless exactly one of the two is chosen; otherwise the name whose value cannot be read.
    pub fn from_environment(environment: &Environment) -> Result<Self, ConfigError> {
        let database_url = environment.get("DATABASE_URL").ok_or(ConfigError::NoDatabase)?;
        let pooled = environment.get("ELECTRIC_POOLED_DATABASE_URL");
        let pooled = pooled.or_else(|| environment.get("ELECTRIC_QUERY_DATABASE_URL")).unwrap_or(database_url);
        let secret = environment.get("ELECTRIC_SECRET");
        let insecure = read(environment, "ELECTRIC_INSECURE", "true or false")?.unwrap_or(false);
        if secret.is_some() == insecure {
            return Err(ConfigError::SecretOrInsecure);
        }
        let on_ipv6 = read(environment, "ELECTRIC_LISTEN_ON_IPV6", "true or false")?.unwrap_or(false);
        let address = if on_ipv6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        let port = read(environment, "ELECTRIC_PORT", "a port")?.unwrap_or(DEFAULT_PORT);
        Ok(Self {
            listen: SocketAddr::new(address, port),
            database_url: database_url.into(),
            pooled_database_url: pooled.into(),
            secret: secret.map(SecretString::from),
            engine: engine(environment)?,
            unsupported: unsupported(environment),
        })
    }
}

/// The engine's settings: our defaults, and what Electric's names say over them.
fn engine(environment: &Environment) -> Result<EngineConfig, ConfigError> {
    let mut engine = Config::load(None, &Environment::default())?.engine;
    engine.storage_dir = PathBuf::from(environment.get("ELECTRIC_STORAGE_DIR").unwrap_or(DEFAULT_STORAGE_DIR));
    if let Some(id) = environment.get("ELECTRIC_REPLICATION_STREAM_ID") {
        engine.stream_id = id.to_owned();
    }
    if let Some(size) = read(environment, "ELECTRIC_DB_POOL_SIZE", "a whole number")? {
        engine.pool_size = size;
    }
    if let Some(bytes) = read(environment, "ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "a number of bytes")? {
        engine.chunk_bytes = bytes;
    }
    if let Some(wait) = read(environment, "ELECTRIC_LONG_POLL_TIMEOUT", "a number of milliseconds")? {
        engine.long_poll_timeout = Duration::from_millis(wait);
    }
    if let Some(age) = read(environment, "ELECTRIC_CACHE_MAX_AGE", "a number of seconds")? {
        engine.cache_max_age = Duration::from_secs(age);
    }
    if let Some(age) = read(environment, "ELECTRIC_CACHE_STALE_AGE", "a number of seconds")? {
        engine.cache_stale_age = Duration::from_secs(age);
    }
    if let Some(allow) = read(environment, "ELECTRIC_ENABLE_INTEGRATION_TESTING", "true or false")? {
        engine.allow_delete = allow;
    }
    if let Some(Limits { initial, existing }) =
        read(environment, "ELECTRIC_MAX_CONCURRENT_REQUESTS", "JSON like {\"initial\":300,\"existing\":10000}")?
    {
        engine.max_initial_requests = initial.unwrap_or(engine.max_initial_requests);
        engine.max_existing_requests = existing.unwrap_or(engine.max_existing_requests);
    }
    engine.check()?;
    Ok(engine)
}

/// `ELECTRIC_MAX_CONCURRENT_REQUESTS`; what it leaves out keeps our default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    initial: Option<usize>,
    existing: Option<usize>,
}

impl FromStr for Limits {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

fn read<T: FromStr>(environment: &Environment, name: &str, expected: &str) -> Result<Option<T>, ConfigError> {
    let Some(text) = environment.get(name) else { return Ok(None) };
    let refused = || ConfigError::Value {
        key: name.to_owned(),
        layer: "the environment".to_owned(),
        expected: expected.to_owned(),
    };
    text.trim().parse().map(Some).map_err(|_| refused())
}

fn unsupported(environment: &Environment) -> Vec<String> {
    let names = environment.names_with("ELECTRIC_").chain(environment.names_with("CLEANUP_REPLICATION_SLOTS_"));
    names.filter(|name| !KNOWN.contains(name)).map(str::to_owned).collect()
}
