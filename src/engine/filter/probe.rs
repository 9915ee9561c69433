//! The value that a row has in the columns of a subquery condition, in the form in which equal values have equal bytes.

use std::borrow::Borrow;

use bytes::Bytes;
use smallvec::SmallVec;

use super::subquery::{Canonical, Compared};

/// One or more texts or NULLs, each as `0`, or `1`, its length and its bytes.
///
/// A copy of its own: a part of a message of the stream would keep all of that message in memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Box<[u8]>);

/// A key that is only looked for.
pub type Probe = SmallVec<[u8; 64]>;

/// Writes the key of a row's columns.
pub fn probe(row: &[Option<Bytes>], columns: &[Compared]) -> Probe {
    write(columns.iter().map(|column| {
        let text = row.get(column.position).and_then(Option::as_ref);
        text.map(|text| column.canonical.of(text))
    }))
}

fn write<'a, T: AsRef<[u8]> + 'a>(parts: impl Iterator<Item = Option<T>>) -> Probe {
    let mut bytes = Probe::new();
    for part in parts {
        match part {
            None => bytes.push(0),
            Some(text) => {
                let text = text.as_ref();
                bytes.push(1);
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                bytes.extend_from_slice(text);
            }
        }
    }
    bytes
}

/// The parts of a written key.
pub fn parts(bytes: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (kind, after) = rest.split_first()?;
        if *kind == 0 {
            rest = after;
            return Some(None);
        }
        let (length, after) = after.split_at_checked(4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let (text, after) = after.split_at_checked(length)?;
        rest = after;
        Some(Some(text))
    })
}

/// Whether a part of a written key is NULL.
pub fn has_null(bytes: &[u8]) -> bool {
    parts(bytes).any(|part| part.is_none())
}

impl Key {
    /// The key of texts as Postgres prints them.
    pub fn of<'a>(texts: impl Iterator<Item = Option<&'a [u8]>>, canonical: impl Iterator<Item = Canonical>) -> Self {
        Self(Box::from(&*write(texts.zip(canonical).map(|(text, canonical)| text.map(|text| canonical.of(text))))))
    }

    /// The key with some of its parts replaced by NULL: bit `n` of `mask` for part `n`.
    pub fn masked(&self, mask: u32) -> Self {
        let parts = parts(&self.0).enumerate();
        Self(Box::from(&*write(parts.map(|(at, part)| part.filter(|_| mask & (1 << at) == 0)))))
    }

    /// How many parts it has.
    pub fn width(&self) -> usize {
        parts(&self.0).count()
    }

    /// Whether SQL would find it neither equal to nor different from the other: where both have a value, they have the same.
    pub fn may_equal(&self, other: &[u8]) -> bool {
        parts(&self.0).zip(parts(other)).all(|(one, other)| one.is_none() || other.is_none() || one == other)
    }
}

impl From<&Probe> for Key {
    fn from(probe: &Probe) -> Self {
        Self(Box::from(&**probe))
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
