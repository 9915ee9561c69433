//! The environment: the process' own variables over those of `.env`.
//!
//! Read once at the start and passed on as a value, so that a test needs no process and nothing else looks into the environment.

use std::collections::BTreeMap;
use std::path::Path;

use figment::value::{Dict, Value};

use super::ConfigError;
use super::layer::Layer;

const PREFIX: &str = "PLUE_";
/// Names with our prefix that are not settings: how to log, and where the tests' Postgres is.
const NOT_SETTINGS: [&str; 3] = ["PLUE_LOG", "PLUE_LOG_FORMAT", "PLUE_TEST_POSTGRES"];
/// Names of other programs' making that mean one of our settings. Our own name for it wins.
const OTHER_NAMES: [(&str, &str, &str); 3] = [
    ("DATABASE_URL", "database", "url"),
    ("ELECTRIC_URL", "upstream", "url"),
    ("ELECTRIC_SECRET", "upstream", "secret"),
];

/// Names and values. A name that is set to nothing counts as not set, as compose files do it.
#[derive(Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// The variables of this process, over those of the file `.env` in `dir` if there is one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::DotEnv`] if the file cannot be understood.
    pub fn of_process(dir: &Path) -> Result<Self, ConfigError> {
        let path = dir.join(".env");
        let mut variables = match std::fs::read(&path) {
            Ok(bytes) => dot_env(&bytes)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(ConfigError::File { path, source }),
        };
        // A name or value that is not UTF-8 cannot be one of ours.
        variables.extend(std::env::vars_os().filter_map(|(name, value)| {
            let pair = (name.into_string().ok()?, value.into_string().ok()?);
            Some(pair)
        }));
        Ok(Self { variables })
    }

    /// The value of a variable that is set to something.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The names that begin with `prefix` and are set to something, in order.
    pub fn names_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let names = self.variables.keys().map(String::as_str);
        names.filter(move |name| name.starts_with(prefix) && self.get(name).is_some())
    }

    /// Our settings among the variables: `PLUE_SECTION__KEY`, and the names that others gave to one.
    ///
    /// # Errors
    ///
    /// A `PLUE_` name that is no setting, or a value of another kind than the default's.
    pub fn layer(&self, defaults: &Layer) -> Result<Layer, ConfigError> {
        let mut keys = Dict::new();
        let mut set = |section: &str, key: &str, value: Value| {
            let section = keys.entry(section.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, keys) = section {
                keys.insert(key.to_owned(), value);
            }
        };
        for (name, section, key) in OTHER_NAMES {
            if let Some(text) = self.get(name) {
                set(section, key, Value::from(text));
            }
        }
        for name in self.names_with(PREFIX).filter(|name| !NOT_SETTINGS.contains(name)) {
            let unknown = || ConfigError::UnknownKey { key: name.to_owned(), layer: "the environment".to_owned() };
            let path = name.trim_start_matches(PREFIX).to_lowercase();
            let (section, key) = path.split_once("__").ok_or_else(unknown)?;
            let default = defaults.find(section, key).ok_or_else(unknown)?;
            let value = self.get(name).and_then(|text| of_the_kind_of(default, text));
            let expected = || expected(default).to_owned();
            let refused = || ConfigError::Value {
                key: name.to_owned(),
                layer: "the environment".to_owned(),
                expected: expected(),
            };
            set(section, key, value.ok_or_else(refused)?);
        }
        Ok(Layer::new("the environment", keys))
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Environment {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(variables: I) -> Self {
        Self { variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }
}

/// Reads `.env`. What the file says may be secret, so an error only tells what came before the bad line.
fn dot_env(bytes: &[u8]) -> Result<BTreeMap<String, String>, ConfigError> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut variables = BTreeMap::new();
    let mut last = None;
    for line in dotenvy::from_read_iter(bytes) {
        let Ok((name, value)) = line else {
            let after = last.map(|name| format!(", after {name}")).unwrap_or_default();
            return Err(ConfigError::DotEnv { after });
        };
        last = Some(name.clone());
        variables.insert(name, value);
    }
    Ok(variables)
}

/// `text` as the kind of value that the default is: `123` stays text where text is wanted.
fn of_the_kind_of(default: &Value, text: &str) -> Option<Value> {
    match default {
        Value::String(..) => Some(Value::from(text)),
        Value::Num(..) => text.trim().parse::<i64>().ok().map(Value::from),
        Value::Bool(..) => text.trim().parse::<bool>().ok().map(Value::from),
        Value::Array(..) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::from(items.map(Value::from).collect::<Vec<_>>()))
        }
        _ => None,
    }
}

fn expected(default: &Value) -> &'static str {
    match default {
        Value::Num(..) => "a whole number",
        Value::Bool(..) => "true or false",
        _ => "text",
    }
}
