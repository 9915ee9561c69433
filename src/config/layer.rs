//! One source of settings, with the name that an error shows: a file, or the environment.

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::ConfigError;

/// Sections of keys, as one source gives them.
pub struct Layer {
    name: String,
    keys: Dict,
}

impl Layer {
    /// A layer of keys that were collected by hand.
    pub fn new(name: &str, keys: Dict) -> Self {
        Self { name: name.to_owned(), keys }
    }

    /// Reads TOML text.
    pub fn from_toml(name: &str, text: &str) -> Result<Self, ConfigError> {
        let keys = Toml::from_str(text).map_err(|error: <Toml as Format>::Error| ConfigError::Syntax {
            file: name.to_owned(),
            reason: error.message().to_owned(),
        })?;
        Ok(Self::new(name, keys))
    }

    /// The value at `section.key`.
    pub fn find(&self, section: &str, key: &str) -> Option<&Value> {
        self.keys.get(section)?.as_dict()?.get(key)
    }

    /// Refuses a key that the defaults do not have, by its full path.
    pub fn refuse_unknown_keys(&self, defaults: &Self) -> Result<(), ConfigError> {
        let unknown = |key: String| ConfigError::UnknownKey { key, layer: self.name.clone() };
        // The operator's own names.
        for (section, value) in self.keys.iter().filter(|(section, _)| *section != "shapes") {
            if !defaults.keys.contains_key(section) {
                return Err(unknown(section.clone()));
            }
            for key in value.as_dict().into_iter().flat_map(Dict::keys) {
                if defaults.find(section, key).is_none() {
                    return Err(unknown(format!("{section}.{key}")));
                }
            }
        }
        Ok(())
    }

    /// Every `section.key`.
    #[cfg(test)]
    pub fn paths(&self) -> Vec<(String, String)> {
        let sections = self.keys.iter().filter_map(|(name, value)| Some((name, value.as_dict()?)));
        sections.flat_map(|(name, keys)| keys.keys().map(move |key| (name.clone(), key.clone()))).collect()
    }
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.keys.clone())]))
    }
}
