//! Which conditions can a change touch: those with a key are looked up by the change's values, the others always count.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};

use super::{Compared, Filter, Key, probe};

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// The conditions of one table. Each has an id of the caller's choice.
#[derive(Debug, Default)]
pub struct Index {
    /// For each keyed column and each text: the conditions that want it.
    columns: Map<usize, Map<Bytes, Vec<usize>>>,
    /// Conditions without a key, and shapes without a condition.
    always: HashSet<usize, foldhash::fast::RandomState>,
    keys: Map<usize, (usize, Vec<Bytes>)>,
    /// Conditions on values that change: for each list of columns and each value, who wants it.
    lookups: Vec<Lookup>,
    /// Of each such condition, its values: places in `lookups`, and the values there.
    values: Map<usize, HashSet<(usize, Key)>>,
}

#[derive(Debug)]
struct Lookup {
    columns: Vec<Compared>,
    wanted: Map<Key, Vec<usize>>,
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

    /// From now on a condition holds only for rows that have one of the values that it is given: so far none.
    pub fn look_up(&mut self, id: usize) {
        self.remove(id);
        self.values.insert(id, HashSet::new());
    }

    /// Gives such a condition one more value in some columns.
    pub fn add_value(&mut self, id: usize, columns: &[Compared], value: &Key) {
        let Some(values) = self.values.get_mut(&id) else { return };
        let known = self.lookups.iter().position(|lookup| lookup.columns == columns);
        let place = known.unwrap_or_else(|| {
            self.lookups.push(Lookup { columns: columns.to_vec(), wanted: Map::default() });
            self.lookups.len() - 1
        });
        if values.insert((place, value.clone())) {
            self.lookups[place].wanted.entry(value.clone()).or_default().push(id);
        }
    }

    /// Takes a value away again.
    pub fn remove_value(&mut self, id: usize, columns: &[Compared], value: &Key) {
        let place = self.lookups.iter().position(|lookup| lookup.columns == columns);
        let (Some(values), Some(place)) = (self.values.get_mut(&id), place) else { return };
        if values.remove(&(place, value.clone())) {
            self.lookups[place].forget(id, value);
        }
    }

    /// Forgets a condition; an unknown id does nothing.
    pub fn remove(&mut self, id: usize) {
        self.always.remove(&id);
        for (place, value) in self.values.remove(&id).into_iter().flatten() {
            self.lookups[place].forget(id, &value);
        }
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
        self.looked_up(old, new, found);
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

impl Index {
    fn looked_up(&self, old: Option<&[Option<Bytes>]>, new: Option<&[Option<Bytes>]>, found: &mut Vec<usize>) {
        if self.values.is_empty() {
            return;
        }
        let before = found.len();
        for Lookup { columns, wanted } in self.lookups.iter().filter(|lookup| !lookup.wanted.is_empty()) {
            for row in [old, new].into_iter().flatten() {
                found.extend(wanted.get(&*probe(row, columns)).into_iter().flatten());
            }
        }
        // A condition may want the old value and the new one, and in several columns.
        found[before..].sort_unstable();
        let mut last = None;
        let mut at = 0;
        found.retain(|id| {
            let again = at >= before && last == Some(*id);
            (last, at) = (Some(*id), at + 1);
            !again
        });
    }
}

impl Lookup {
    fn forget(&mut self, id: usize, value: &Key) {
        let key: &[u8] = value.as_ref();
        if let Some(ids) = self.wanted.get_mut(key) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.wanted.remove(key);
            }
        }
    }
}

fn text_of(row: Option<&[Option<Bytes>]>, column: usize) -> Option<&Bytes> {
    row.and_then(|row| row.get(column)).and_then(Option::as_ref)
}
