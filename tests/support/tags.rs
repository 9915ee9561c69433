//! Why the rows of a shape with subqueries are there, as clients keep it: slots of tags by position, and which positions are active.
//!
//! Like the official collection, it keeps slots, not tags: what an update removes is gone, even if another tag has it too.

use std::collections::{BTreeMap, BTreeSet};

use super::shape::Message;

/// What is known of each row, by key.
#[derive(Debug, Default)]
pub struct Tags {
    rows: BTreeMap<String, Tagged>,
    /// The positions of each alternative, from the first tags that came.
    alternatives: Option<Vec<Vec<usize>>>,
}

#[derive(Debug, Default)]
struct Tagged {
    slots: BTreeSet<(usize, String)>,
    active: Vec<bool>,
}

impl Tags {
    pub fn is_empty(&self) -> bool {
        self.alternatives.is_none()
    }

    /// Takes note of a row's message; false if it has no tags.
    pub fn change(&mut self, key: &str, message: &Message) -> bool {
        let headers = &message.headers;
        let Some(tags) = &headers.tags else { return false };
        if message.kind() == "delete" {
            self.rows.remove(key);
            return true;
        }
        let positions = |tag: &String| slots(tag).map(|(at, _)| at).collect();
        self.alternatives.get_or_insert_with(|| tags.iter().map(positions).collect());
        let row = self.rows.entry(key.to_owned()).or_default();
        row.slots.extend(tags.iter().flat_map(|tag| slots(tag)));
        for slot in headers.removed_tags.iter().flatten().flat_map(|tag| slots(tag)) {
            row.slots.remove(&slot);
        }
        row.active = headers.active_conditions.clone().unwrap_or_else(|| panic!("no active_conditions: {message:?}"));
        let visible = self.is_visible(key);
        assert!(visible, "a row that no alternative holds for: {message:?}");
        true
    }

    /// Takes note of an event. Returns the keys of rows that are gone with it.
    pub fn event(&mut self, message: &Message) -> Vec<String> {
        let mut gone = Vec::new();
        for pattern in message.headers.patterns.iter().flatten() {
            let slot = (pattern.pos, pattern.value.clone());
            let concerned: Vec<String> =
                self.rows.iter().filter(|(_, row)| row.slots.contains(&slot)).map(|(key, _)| key.clone()).collect();
            for key in concerned {
                if let Some(row) = self.rows.get_mut(&key) {
                    row.active[pattern.pos] = message.kind() == "move-in";
                }
                if !self.is_visible(&key) {
                    self.rows.remove(&key);
                    gone.push(key);
                }
            }
        }
        gone
    }

    fn is_visible(&self, key: &str) -> bool {
        let (Some(row), Some(alternatives)) = (self.rows.get(key), &self.alternatives) else { return false };
        alternatives.iter().any(|positions| positions.iter().all(|at| row.active[*at]))
    }
}

fn slots(tag: &str) -> impl Iterator<Item = (usize, String)> {
    tag.split('/').enumerate().filter(|(_, slot)| !slot.is_empty()).map(|(at, slot)| (at, slot.to_owned()))
}
