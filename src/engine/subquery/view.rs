//! What a node believes of the subqueries that it looks values up in.
//!
//! A node that waits is behind its subqueries: for the values that have moved since, it keeps what it knew of them.

use hashbrown::HashMap;

use super::members::Members;
use crate::engine::filter::Key;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// The results of all subqueries, by number.
pub type Results = Map<u64, Members>;

/// Where a node's belief differs from the results as they are.
#[derive(Debug, Default)]
pub struct Belief {
    differs: Map<u64, Map<Key, bool>>,
}

impl Belief {
    /// Whether the node believes that a value is there.
    pub fn has(&self, results: &Results, subquery: u64, value: &[u8]) -> bool {
        let Some(members) = results.get(&subquery) else { return false };
        let believed = self.differs.get(&subquery).and_then(|values| values.get(value));
        believed.copied().unwrap_or_else(|| members.has_known(value)) || members.has_unknown(value)
    }

    /// The value has turned over in the result, which the node has not followed yet.
    pub fn keep(&mut self, subquery: u64, value: &Key, there_now: bool) {
        let values = self.differs.entry(subquery).or_default();
        if !values.contains_key(value) {
            values.insert(value.clone(), !there_now);
        }
    }

    /// The node follows a move of a value.
    pub fn set(&mut self, subquery: u64, value: &Key, there: bool) {
        self.differs.entry(subquery).or_default().insert(value.clone(), there);
    }

    /// Everything has been followed but what `still` names.
    pub fn settle(&mut self, still: impl Fn(u64, &Key) -> bool) {
        self.differs.retain(|subquery, values| {
            values.retain(|value, _| still(*subquery, value));
            !values.is_empty()
        });
    }
}
