//! Defaults, layers, refusals, and what may not be printed.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::layer::Layer;
use super::{Config, ConfigError, DEFAULTS, ElectricConfig, Environment, duration};

type Variable<'a> = (&'a str, &'a str);

fn load<'a>(environment: impl IntoIterator<Item = Variable<'a>>) -> Result<Config, ConfigError> {
    Config::load(None, &environment.into_iter().collect())
}

fn load_file<'a>(text: &str, environment: impl IntoIterator<Item = Variable<'a>>) -> Result<Config, ConfigError> {
    let mut file = tempfile::Builder::new().prefix("plue-sync").suffix(".toml").tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("its text");
    Config::load(Some(file.path()), &environment.into_iter().collect())
}

#[test]
fn the_default_file_has_every_key_of_the_structs_and_no_other() {
    // A key that is missing there, or unknown to the structs, is an error of this line.
    let config = load([]).expect("the defaults");
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:4000");
    assert_eq!(config.engine.long_poll_timeout, Duration::from_secs(20));
    for (section, key) in Layer::from_toml("defaults", DEFAULTS).expect("TOML").paths() {
        let without: String = without_key(&section, &key);
        let layer = Layer::from_toml("defaults", &without).expect("TOML");
        let error = figment::Figment::from(&layer).extract::<Config>().expect_err("a missing key");
        assert!(error.to_string().contains(&key), "{section}.{key}: {error}");
    }
}

/// The default file with one key taken out.
fn without_key(section: &str, key: &str) -> String {
    let mut current = "";
    let mut kept = String::new();
    for line in DEFAULTS.lines() {
        if let Some(name) = line.strip_prefix('[') {
            current = name.trim_end_matches(']');
        }
        if !(current == section && line.starts_with(&format!("{key} ="))) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[test]
fn every_default_is_explained_and_names_its_variable() {
    let lines: Vec<&str> = DEFAULTS.lines().collect();
    for (section, key) in Layer::from_toml("defaults", DEFAULTS).expect("TOML").paths() {
        let header = lines.iter().position(|line| *line == format!("[{section}]")).expect("its section");
        let own = |line: &&str| line.starts_with(&format!("{key} ="));
        let at = header + lines[header..].iter().position(own).expect("its line");
        let name = format!("PLUE_{}__{}", section.to_uppercase(), key.to_uppercase());
        let variable = lines[at - 1];
        assert!(variable.starts_with("# Environment: "), "{section}.{key}: {variable}");
        assert!(variable.split([' ', ';', ',']).any(|word| word == name), "{section}.{key}: {variable}");
        assert!(lines[at - 2].starts_with("# "), "{section}.{key} has no explanation");
    }
}

#[test]
fn later_layers_win() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\nmax_body_bytes = 5\n[engine]\nsse_timeout = \"250ms\"\n";
    let config = load_file(
        file,
        [
            ("PLUE_SERVER__LISTEN", "127.0.0.1:2"),
            ("PLUE_SERVER__CORS_ORIGINS", "https://a.example, https://b.example"),
            ("PLUE_ENGINE__STREAM_ID", "123"),
            ("PLUE_ENGINE__POOL_SIZE", "7"),
            ("PLUE_WRITER__MAX_BATCH", ""),
            ("PLUE_LOG", "debug"),
            ("DATABASE_URL", "postgresql://theirs"),
            ("ELECTRIC_URL", "http://electric:3000"),
            ("ELECTRIC_SECRET", "hunter2"),
        ],
    )
    .expect("settings");
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(config.server.max_body_bytes, 5);
    assert_eq!(config.server.cors_origins, ["https://a.example", "https://b.example"]);
    assert_eq!(config.engine.sse_timeout, Duration::from_millis(250));
    assert_eq!(config.engine.stream_id, "123");
    assert_eq!(config.engine.pool_size, 7);
    assert_eq!(config.writer.max_batch, 128, "set to nothing is not set");
    assert_eq!(config.database.url.expose_secret(), "postgresql://theirs");
    config.require_database().expect("a database");
    assert_eq!(config.upstream.url.expose_secret(), "http://electric:3000");
    assert_eq!(config.upstream.secret.expose_secret(), "hunter2");
    assert!(config.upstream.is_set() && !load([]).expect("settings").upstream.is_set());

    let both = load([("DATABASE_URL", "postgresql://theirs"), ("PLUE_DATABASE__URL", "postgresql://ours")]);
    assert_eq!(both.expect("settings").database.url.expose_secret(), "postgresql://ours");
}

#[test]
fn what_cannot_be_used_is_refused_by_its_full_name() {
    let variables = [
        (("PLUE_ENGINE__POOLSIZE", "1"), "PLUE_ENGINE__POOLSIZE in the environment is no setting"),
        (("PLUE_LISTEN", "1"), "PLUE_LISTEN in the environment is no setting"),
        (("PLUE_ENGINES__POOL_SIZE", "1"), "PLUE_ENGINES__POOL_SIZE in the environment is no setting"),
        (("PLUE_ENGINE__POOL_SIZE", "many"), "PLUE_ENGINE__POOL_SIZE in the environment must be a whole number"),
        (("PLUE_ENGINE__POOL_SIZE", "0"), "engine.pool_size in the settings must be more than 0"),
        (("PLUE_ENGINE__POOL_SIZE", "-1"), "engine.pool_size in the environment must be"),
        (("PLUE_ENGINE__SSE_TIMEOUT", "30"), "engine.sse_timeout in the environment must be a whole number with ms, s"),
        (("PLUE_UPSTREAM__LIVE_TIMEOUT", "20s"), "upstream.live_timeout in the settings must be more than the 20s"),
        (("PLUE_UPSTREAM__BODY_TIMEOUT", "0s"), "upstream.body_timeout in the settings must be more than 0"),
        (("PLUE_UPSTREAM__MAX_CONNECTIONS", "0"), "upstream.max_connections in the settings must be more than 0"),
        (("PLUE_SERVER__LISTEN", "4000"), "server.listen in the environment must be"),
        (("PLUE_ENGINE__STREAM_ID", "a-b"), "engine.stream_id in the settings must be 1 to 32 lower-case letters"),
    ];
    for (variable, message) in variables {
        let error = load([variable]).expect_err(variable.0).to_string();
        assert!(error.starts_with(message), "{variable:?}: {error}");
    }
    let files = [
        ("[engine]\nchunk_byte = 1\n", "engine.chunk_byte in ", " is no setting"),
        ("[engin]\nchunk_bytes = 1\n", "engin in ", " is no setting"),
        ("[engine]\nchunk_bytes = \"1\"\n", "engine.chunk_bytes in ", " must be u64"),
        ("engine = 1\n", "engine in ", " must be struct EngineConfig"),
        ("[engine\n", "", " is not TOML"),
    ];
    for (text, start, end) in files {
        let error = load_file(text, []).expect_err(text).to_string();
        assert!(error.starts_with(start) && error.contains(end) && error.contains(".toml"), "{text:?}: {error}");
    }
    let error = Config::load(Some(Path::new("no/such.toml")), &Environment::default()).expect_err("no file");
    assert_eq!(error.to_string(), "cannot read no/such.toml");
    let error = load([]).and_then(|config| config.require_database()).expect_err("no database");
    assert!(error.to_string().starts_with("DATABASE_URL is not set"), "{error}");
}

#[test]
fn a_secret_is_never_printed() {
    let config = load([
        ("DATABASE_URL", "postgresql://me:hunter2@db/x"),
        ("ELECTRIC_URL", "https://cloud/?secret=hunter2"),
        ("ELECTRIC_SECRET", "hunter2"),
    ])
    .expect("settings");
    assert!(!format!("{config:?}").contains("hunter2"));
    let error = load_file("[database]\nurl = [\"hunter2\"]\n", []).expect_err("a list");
    assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join(".env"), "ONE=1\nDATABASE_URL 'hunter2'\n").expect("a file");
    let error = Environment::of_process(dir.path()).err().expect("a bad line");
    assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
    assert_eq!(error.to_string(), ".env has a line that is not NAME=value, after ONE");
    let config = electric([("ELECTRIC_SECRET", "hunter2")]).expect("settings");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn dot_env_is_read_below_the_process() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join(".env"), "PATH=nowhere\nPLUE_LOG='trace' # loud\n").expect("a file");
    let environment = Environment::of_process(dir.path()).expect("variables");
    assert_eq!(environment.get("PLUE_LOG"), Some("trace"));
    assert_ne!(environment.get("PATH"), Some("nowhere"));
}

#[test]
fn durations_need_a_unit() {
    let cases = [
        ("30s", Some(30_000)),
        ("250ms", Some(250)),
        (" 5 m ", Some(300_000)),
        ("1h", Some(3_600_000)),
        ("0s", Some(0)),
        ("30", None),
        ("s", None),
        ("", None),
        ("-1s", None),
        ("1.5s", None),
        ("1d", None),
        ("99999999999999999999s", None),
        ("18446744073709551615h", None),
    ];
    for (text, milliseconds) in cases {
        let parsed = duration::parse(text).ok();
        assert_eq!(parsed, milliseconds.map(Duration::from_millis), "{text:?}");
    }
}

/// The settings of `engine` with a database.
fn electric<'a>(variables: impl IntoIterator<Item = Variable<'a>>) -> Result<ElectricConfig, ConfigError> {
    let database = [("DATABASE_URL", "postgresql://db/x")];
    ElectricConfig::from_environment(&database.into_iter().chain(variables).collect())
}

#[test]
fn the_engine_takes_the_names_of_the_electric_service() {
    let config = electric([("ELECTRIC_INSECURE", "true")]).expect("settings");
    assert_eq!(config.listen.to_string(), "0.0.0.0:3000");
    assert_eq!(config.engine.storage_dir, Path::new("./persistent"));
    assert_eq!(config.pooled_database_url.expose_secret(), "postgresql://db/x");
    assert!(config.secret.is_none() && config.unsupported.is_empty());

    let config = electric([
        ("ELECTRIC_SECRET", "s"),
        ("ELECTRIC_PORT", "3001"),
        ("ELECTRIC_LISTEN_ON_IPV6", "true"),
        ("ELECTRIC_POOLED_DATABASE_URL", "postgresql://pool/x"),
        ("ELECTRIC_STORAGE_DIR", "/var/lib/shapes"),
        ("ELECTRIC_LONG_POLL_TIMEOUT", "1500"),
        ("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "1000"),
        ("ELECTRIC_CACHE_MAX_AGE", "5"),
        ("ELECTRIC_CACHE_STALE_AGE", "6"),
        ("ELECTRIC_DB_POOL_SIZE", "3"),
        ("ELECTRIC_REPLICATION_STREAM_ID", "second"),
        ("ELECTRIC_ENABLE_INTEGRATION_TESTING", "true"),
        ("ELECTRIC_MAX_CONCURRENT_REQUESTS", r#"{"initial":7,"existing":8}"#),
        ("ELECTRIC_EXPERIMENTAL_MAX_SHAPES", "7"),
        ("ELECTRIC_MAX_SHAPES", "10"),
        ("ELECTRIC_MANUAL_TABLE_PUBLISHING", "true"),
        ("ELECTRIC_TWEAKS_PUBLICATION_REFRESH_PERIOD", "30s"),
        ("ELECTRIC_TWEAKS_SCHEMA_RECONCILER_PERIOD", "1m"),
    ])
    .expect("settings");
    assert_eq!(config.listen.to_string(), "[::]:3001");
    assert_eq!(config.pooled_database_url.expose_secret(), "postgresql://pool/x");
    assert_eq!(config.secret.as_ref().map(ExposeSecret::expose_secret), Some("s"));
    assert_eq!(config.engine.storage_dir, Path::new("/var/lib/shapes"));
    assert_eq!(config.engine.long_poll_timeout, Duration::from_millis(1500));
    assert_eq!(config.engine.chunk_bytes, 1000);
    assert_eq!(config.engine.cache_max_age, Duration::from_secs(5));
    assert_eq!(config.engine.cache_stale_age, Duration::from_secs(6));
    assert_eq!(config.engine.pool_size, 3);
    assert_eq!(config.engine.stream_id, "second");
    assert!(config.engine.allow_delete);
    assert_eq!((config.engine.max_initial_requests, config.engine.max_existing_requests), (7, 8));
    assert!(config.engine.manual_publishing);
    assert_eq!(config.engine.max_shapes, 10);
    assert_eq!(config.engine.publication_keep, Duration::from_secs(30));
    assert_eq!(config.engine.reconcile_interval, Duration::from_secs(60));
    assert_eq!(config.unsupported, [""; 0]);
    let partly = electric([("ELECTRIC_SECRET", "s"), ("ELECTRIC_MAX_CONCURRENT_REQUESTS", r#"{"initial":7}"#)]);
    assert_eq!(partly.expect("settings").engine.max_existing_requests, 30_000);
}

#[test]
fn the_engine_refuses_to_guess() {
    let error = ElectricConfig::from_environment(&Environment::default()).expect_err("no database");
    assert!(matches!(error, ConfigError::NoDatabase), "{error}");
    let neither: [&[(&str, &str)]; 3] =
        [&[], &[("ELECTRIC_INSECURE", "false")], &[("ELECTRIC_INSECURE", "true"), ("ELECTRIC_SECRET", "s")]];
    for variables in neither {
        let error = electric(variables.iter().copied()).expect_err("a choice");
        assert!(matches!(error, ConfigError::SecretOrInsecure), "{variables:?}: {error}");
    }
    let cases = [
        ("ELECTRIC_PORT", "70000", "ELECTRIC_PORT in the environment must be a port"),
        ("ELECTRIC_LONG_POLL_TIMEOUT", "20s", "ELECTRIC_LONG_POLL_TIMEOUT in the environment must be a number of"),
        (
            "ELECTRIC_MAX_CONCURRENT_REQUESTS",
            "300",
            "ELECTRIC_MAX_CONCURRENT_REQUESTS in the environment must be JSON like {\"initial\":300,\"existing\":10000}",
        ),
        (
            "ELECTRIC_MAX_CONCURRENT_REQUESTS",
            r#"{"initial":-1}"#,
            "ELECTRIC_MAX_CONCURRENT_REQUESTS in the environment",
        ),
        ("ELECTRIC_ENABLE_INTEGRATION_TESTING", "1", "ELECTRIC_ENABLE_INTEGRATION_TESTING in the environment must be"),
        ("ELECTRIC_INSECURE", "yes", "ELECTRIC_INSECURE in the environment must be true or false"),
    ];
    for (name, value, message) in cases {
        let error = electric([(name, value), ("ELECTRIC_SECRET", "s")]).expect_err(name).to_string();
        assert!(error.starts_with(message), "{name}={value}: {error}");
    }
}
