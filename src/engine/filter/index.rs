//! Which conditions can a change touch: those with a key are looked up by the change's values, the others always count.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};

use super::Filter;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// The conditions of one table. Each has an id of the caller's choice.
#[derive(Debug, Default)]
pub struct Index {
    /// For each keyed column and each text: the conditions that want it.
    columns: Map<usize, Map<Bytes, Vec<usize>>>,
    /// Conditions without a key, and shapes without a condition.
    always: HashSet<usize, foldhash::fast::RandomState>,
    keys: Map<usize, (usize, Vec<Bytes>)>,
}

impl Index {
    pub fn new() -> Index {
        Index::default()
    }

    /// Adds a condition, or with `None` a shape without one. An id that is in use is replaced.
    pub fn insert(&mut self, id: usize, filter: Option<&Arc<Filter>>) {
        self.remove(id);
        let Some((column, texts)) = filter.and_then(|filter| filter.key()) else {
            self.always.insert(id);
            return;
        };
        let by_text = self.columns.entry(column).or_default();
        for text in &texts {
            by_text.entry(text.clone()).or_default().push(id);
        }
        self.keys.insert(id, (column, texts));
    }

    /// Forgets a condition; an unknown id does nothing.
    pub fn remove(&mut self, id: usize) {
        self.always.remove(&id);
        let Some((column, texts)) = self.keys.remove(&id) else { return };
        let Some(by_text) = self.columns.get_mut(&column) else { return };
        for text in texts {
            if let Some(ids) = by_text.get_mut(&text) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    by_text.remove(&text);
                }
            }
        }
        if by_text.is_empty() {
            self.columns.remove(&column);
        }
    }

    /// Appends to `found`, each once and in no order, the conditions that may hold for the row before or after a change.
    pub fn candidates(&self, old: Option<&[Option<Bytes>]>, new: Option<&[Option<Bytes>]>, found: &mut Vec<usize>) {
        found.extend(&self.always);
        for (column, by_text) in &self.columns {
            let (old, new) = (text_of(old, *column), text_of(new, *column));
            let before = old.and_then(|text| by_text.get(text)).map_or(&[][..], Vec::as_slice);
            found.extend(before);
            if old == new {
                continue;
            }
            let after = new.and_then(|text| by_text.get(text)).map_or(&[][..], Vec::as_slice);
            for id in after {
                // A condition that wants several texts may want both of them.
                let twice = self.keys.get(id).is_some_and(|(_, texts)| {
                    texts.len() > 1 && old.is_some_and(|old| texts.binary_search(old).is_ok())
                });
                if !twice {
                    found.push(*id);
                }
            }
        }
    }
}

fn text_of(row: Option<&[Option<Bytes>]>, column: usize) -> Option<&Bytes> {
    row.and_then(|row| row.get(column)).and_then(Option::as_ref)
}
