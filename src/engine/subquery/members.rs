//! What a subquery returns: its distinct values, each with the number of rows that have it.
//!
//! A row is `IN` it if its value is there. It is `NOT IN` it if SQL is sure that its value is not: a NULL on either side
//! makes that unknown, unless nothing is there at all.

use hashbrown::{HashMap, HashSet};

use crate::engine::filter::{Key, has_null};

type Map<V> = HashMap<Key, V, foldhash::fast::RandomState>;

/// The result of one subquery.
#[derive(Debug, Default)]
pub struct Members {
    /// Rows by value.
    rows: Map<u64>,
    /// For `NOT IN`, where the left side may be NULL: for each value with some parts NULL, the values that it may equal.
    maybe: Option<Map<u64>>,
    /// Values with a NULL in them.
    with_null: HashSet<Key>,
}

/// What a change of the members means to those who look a value up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// A value that was not there is there, or the other way round.
    Value(Key, bool),
    /// A value with a NULL in it came or went: for `NOT IN` that concerns rows that cannot be told by their value.
    Null(Key, bool),
}

impl Members {
    /// Nothing. `negated` if it is to answer `NOT IN`.
    pub fn new(negated: bool) -> Self {
        Self { rows: Map::default(), maybe: negated.then(Map::default), with_null: HashSet::new() }
    }

    /// Whether a row with this value is `IN`; with `NOT IN` asked, whether it is not surely `NOT IN`: the part of it that deltas of values tell.
    pub fn has_known(&self, value: &[u8]) -> bool {
        match &self.maybe {
            Some(maybe) if has_null(value) => maybe.contains_key(value),
            None if has_null(value) => false,
            _ => self.rows.contains_key(value),
        }
    }

    /// The part of it that [`Delta::Null`] is about: a member with a NULL may be this value.
    pub fn has_unknown(&self, value: &[u8]) -> bool {
        self.maybe.is_some() && self.with_null.iter().any(|member| member.may_equal(value))
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The values.
    pub fn values(&self) -> impl Iterator<Item = &Key> {
        self.rows.keys()
    }

    /// Adds rows with a value, or with a negative number takes them away. What that changes goes to `deltas`.
    pub fn add(&mut self, value: Key, rows: i64, deltas: &mut Vec<Delta>) {
        let before = self.rows.get(&value).copied().unwrap_or(0);
        let after = before.saturating_add_signed(rows);
        match after {
            0 => drop(self.rows.remove(&value)),
            _ => drop(self.rows.insert(value.clone(), after)),
        }
        if (before > 0) != (after > 0) {
            self.turned(value, after > 0, deltas);
        }
    }

    fn turned(&mut self, value: Key, there: bool, deltas: &mut Vec<Delta>) {
        if has_null(value.as_ref()) {
            // Nothing is ever IN because of it.
            if self.maybe.is_some() {
                match there {
                    true => drop(self.with_null.insert(value.clone())),
                    false => drop(self.with_null.remove(&value)),
                }
                deltas.push(Delta::Null(value, there));
            }
            return;
        }
        if let Some(maybe) = &mut self.maybe {
            for mask in 1..1_u32 << value.width() {
                let masked = value.masked(mask);
                let count = maybe.get(&masked).copied().unwrap_or(0);
                let now = if there { count + 1 } else { count.saturating_sub(1) };
                match now {
                    0 => drop(maybe.remove(&masked)),
                    _ => drop(maybe.insert(masked.clone(), now)),
                }
                if (count > 0) != (now > 0) {
                    deltas.push(Delta::Value(masked, now > 0));
                }
            }
        }
        deltas.push(Delta::Value(value, there));
    }
}

/// Leaves of several deltas of one value only what they come to.
pub fn net(deltas: Vec<Delta>) -> Vec<Delta> {
    // A NULL that comes or goes is another thing than the value that stands for all NULLs on the left.
    let mut last: HashMap<(bool, Key), (usize, Delta)> = HashMap::new();
    for delta in deltas {
        let (Delta::Value(key, _) | Delta::Null(key, _)) = &delta;
        let of = (matches!(delta, Delta::Null(..)), key.clone());
        let (times, now) = last.entry(of).or_insert_with(|| (0, delta.clone()));
        *times += 1;
        *now = delta;
    }
    // Each turns the value over, so an even number of them leaves it as it was.
    let turned = last.into_iter().filter(|(_, (times, _))| times % 2 == 1);
    let mut net: Vec<((bool, Key), Delta)> = turned.map(|(key, (_, delta))| (key, delta)).collect();
    net.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    net.into_iter().map(|(_, delta)| delta).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::filter::Canonical;

    fn key(parts: &[Option<&str>]) -> Key {
        Key::of(parts.iter().map(|part| part.map(str::as_bytes)), parts.iter().map(|_| Canonical::Text))
    }

    fn members(negated: bool, values: &[&[Option<&str>]]) -> Members {
        let mut members = Members::new(negated);
        values.iter().for_each(|value| members.add(key(value), 1, &mut Vec::new()));
        members
    }

    #[test]
    fn in_means_what_it_means_in_sql() {
        // Left side, members, IN is true, NOT IN is true. As `SELECT 1 IN (..)` says.
        let has = |members: &Members, value: &[u8]| members.has_known(value) || members.has_unknown(value);
        let (null, one, two) = (None, Some("1"), Some("2"));
        type Case<'a> = (&'a [Option<&'a str>], &'a [&'a [Option<&'a str>]], bool, bool);
        let cases: &[Case<'_>] = &[
            (&[one], &[], false, true),
            (&[null], &[], false, true),
            (&[one], &[&[one]], true, false),
            (&[one], &[&[two]], false, true),
            (&[null], &[&[two]], false, false),
            (&[one], &[&[null]], false, false),
            (&[one], &[&[one], &[null]], true, false),
            (&[null], &[&[null]], false, false),
            (&[one, two], &[&[one, two]], true, false),
            (&[one, two], &[&[one, one]], false, true),
            (&[one, null], &[&[two, one]], false, true),
            (&[one, null], &[&[one, one]], false, false),
            (&[null, null], &[&[one, one]], false, false),
            (&[one, two], &[&[one, null]], false, false),
            (&[two, two], &[&[one, null]], false, true),
            (&[null, two], &[&[one, null]], false, false),
            (&[null, two], &[&[null, one]], false, true),
        ];
        for (left, right, is_in, is_not_in) in cases {
            let left_key = key(left);
            assert_eq!(has(&members(false, right), left_key.as_ref()), *is_in, "{left:?} IN {right:?}");
            assert_eq!(!has(&members(true, right), left_key.as_ref()), *is_not_in, "{left:?} NOT IN {right:?}");
        }
    }

    #[test]
    fn only_the_first_row_of_a_value_and_the_last_count() {
        let mut members = Members::new(false);
        let mut deltas = Vec::new();
        for rows in [1, 1, -1, -1, 1, -1] {
            members.add(key(&[Some("a")]), rows, &mut deltas);
        }
        let turned: Vec<bool> = deltas.iter().map(|delta| matches!(delta, Delta::Value(_, true))).collect();
        assert_eq!(turned, [true, false, true, false]);
        assert!(net(deltas).is_empty());
    }

    #[test]
    fn a_value_and_a_null_that_come_together_are_both_told() {
        let mut members = Members::new(true);
        let mut deltas = Vec::new();
        members.add(key(&[Some("1")]), 1, &mut deltas);
        members.add(key(&[None]), 1, &mut deltas);
        assert_eq!(net(deltas).len(), 3);
    }

    #[test]
    fn a_negated_subquery_tells_when_it_is_not_empty_any_more() {
        let mut members = Members::new(true);
        let mut deltas = Vec::new();
        members.add(key(&[Some("a")]), 1, &mut deltas);
        members.add(key(&[Some("b")]), 1, &mut deltas);
        let expected = [(None, true), (Some("a"), true), (Some("b"), true)];
        assert_eq!(deltas, expected.map(|(part, there)| Delta::Value(key(&[part]), there)));
    }
}
