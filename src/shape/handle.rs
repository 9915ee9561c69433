//! The name of one generation of a shape.

use std::fmt;
use std::sync::Arc;

/// Names one generation of a shape, and is never used again once that has ended.
///
/// Opaque to clients. Ours read `<number>-<unix microseconds>`: the number is unique within one store,
/// the time keeps handles of different stores apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Handle(Arc<str>);

impl Handle {
    /// The handle of shape `number`, created at `unix_micros`.
    pub fn new(number: u64, unix_micros: u64) -> Self {
        Self(format!("{number}-{unix_micros}").into())
    }

    /// When it was created, in microseconds since 1970; `None` if it is none of ours.
    pub fn unix_micros(&self) -> Option<u64> {
        self.0.split_once('-')?.1.parse().ok()
    }

    /// The number of a shape of ours, by which those made later are later.
    pub fn number(&self) -> Option<u64> {
        self.0.split_once('-')?.0.parse().ok()
    }

    /// Its text as it goes over the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Handle {
    /// Takes whatever a client sent: a handle that names nothing is answered like an expired one.
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
