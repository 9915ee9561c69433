//! `IN (SELECT ..)`: what a condition says of other tables, and in which alternatives it says it.
//!
//! A condition with subqueries is kept as a disjunction of conjunctions over *positions*: each is a condition on the row alone, or on a value
//! being in a subquery's result. A row's standing in each position is known from the row and that result; when a value enters or leaves
//! a result, only rows with that value in that position are concerned.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::Filter;
use super::leak::{Conjuncts, guarded};
use super::tree::Node;
use super::types::Type;
use crate::engine::tables::Table;

/// A column whose value is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// In [`Table::columns`].
    pub position: usize,
    pub canonical: Canonical,
}

/// What makes the texts of equal values equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canonical {
    /// They are.
    Text,
    /// Trailing blanks do not count.
    Padded,
    /// Trailing zeros after the point do not count.
    Numeric,
    /// There are two zeros.
    Float,
}

impl Canonical {
    /// For values of a type; `None` if equality cannot be told from texts.
    pub fn of_type(ty: Type) -> Option<Self> {
        match ty {
            Type::Bpchar => Some(Self::Padded),
            Type::Numeric => Some(Self::Numeric),
            Type::Float4 | Type::Float8 => Some(Self::Float),
            ty if ty.equal_by_text() => Some(Self::Text),
            _ => None,
        }
    }

    /// The text that all equal values share.
    pub fn of(self, text: &[u8]) -> &[u8] {
        match self {
            Self::Text => text,
            Self::Padded => text.trim_ascii_end_spaces(),
            Self::Float if text == b"-0" => b"0",
            Self::Float => text,
            Self::Numeric => without_zeros(text),
        }
    }
}

trait Blanks {
    fn trim_ascii_end_spaces(&self) -> &[u8];
}

impl Blanks for [u8] {
    fn trim_ascii_end_spaces(&self) -> &[u8] {
        let end = self.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
        &self[..end]
    }
}

fn without_zeros(text: &[u8]) -> &[u8] {
    if !text.contains(&b'.') {
        return text;
    }
    let end = text.iter().rposition(|byte| *byte != b'0').map_or(0, |last| last + 1);
    text[..end].strip_suffix(b".").unwrap_or(&text[..end])
}

/// The part of a condition that reads another table.
#[derive(Debug)]
pub struct Subquery {
    pub table: Arc<Table>,
    /// What is selected.
    pub columns: Vec<Compared>,
    pub filter: Option<Arc<Filter>>,
    /// `SELECT .. FROM ..`, printed from its parts; with the table's oid it tells subqueries apart,
    pub sql: String,
    /// and as it is run.
    pub sql_to_run: String,
}

/// A row's value, and the subquery that it is looked up in.
#[derive(Debug)]
pub struct Membership {
    pub left: Vec<Compared>,
    pub subquery: Arc<Subquery>,
    /// The whole of it as SQL,
    pub sql: String,
    /// and as it is run: no error in it tells of rows that its condition leaves out.
    pub sql_to_run: String,
}

/// One of the conditions that a row's standing is made of.
#[derive(Debug)]
pub enum Position {
    /// On the row alone.
    Row { condition: Node, sql: String, conjuncts: Conjuncts },
    /// `IN`, or `NOT IN`.
    In { membership: Arc<Membership>, negated: bool },
}

/// A condition with subqueries.
#[derive(Debug)]
pub struct Alternatives {
    pub positions: Vec<Position>,
    /// Each is true if all of its positions are; the condition is if one of them is. Ascending positions.
    pub disjuncts: Vec<Vec<usize>>,
}

/// For each position whether it is true of a row.
pub type Active = SmallVec<[bool; 8]>;

impl Position {
    /// The position as SQL.
    pub fn sql(&self) -> Cow<'_, str> {
        match self {
            Self::Row { sql, .. } => sql.into(),
            Self::In { membership, negated: false } => (&membership.sql).into(),
            Self::In { membership, negated: true } => format!("(NOT {})", membership.sql).into(),
        }
    }

    /// The position as SQL that is run for rows of the shape.
    pub fn sql_to_run(&self) -> Cow<'_, str> {
        match self {
            Self::Row { sql, .. } => sql.into(),
            Self::In { membership, negated: false } => (&membership.sql_to_run).into(),
            Self::In { membership, negated: true } => format!("(NOT {})", membership.sql_to_run).into(),
        }
    }
}

impl Alternatives {
    /// A row's standing, if `has` tells for the position of a subquery whether the row's value may be in its result.
    pub fn active(&self, row: &[Option<Bytes>], has: impl Fn(usize, &Membership) -> bool) -> Active {
        let stands = |(at, position): (usize, &Position)| match position {
            Position::Row { condition, .. } => super::is_true(condition, row),
            Position::In { membership, negated } => has(at, membership) != *negated,
        };
        self.positions.iter().enumerate().map(stands).collect()
    }

    /// SQL for rows whose value in position `at` is one of some, by the condition `has_value`, which never fails: at least those that are
    /// included by a disjunct with that position. What can fail is asked only of rows of which the rest of the disjunct is known.
    pub fn rows_sql(&self, at: usize, has_value: &str) -> String {
        let asked: Vec<Conjuncts> =
            self.disjuncts.iter().filter(|list| list.contains(&at)).map(|list| self.asked(list)).collect();
        // A disjunct that asks nothing more of the row leaves all of them.
        if asked.iter().any(Conjuncts::is_empty) {
            return has_value.to_owned();
        }
        let others = asked.iter().map(Conjuncts::sql).collect::<Vec<_>>().join(" OR ");
        match asked.iter().all(Conjuncts::never_fail) {
            true => format!("({has_value} AND ({others}))"),
            false => format!("({})", guarded(has_value, &format!("({others})"))),
        }
    }

    /// What a disjunct asks of the row alone. Without what can fail if several subqueries decide: another one may hide the row.
    fn asked(&self, disjunct: &[usize]) -> Conjuncts {
        let (mut asked, mut subqueries) = (Conjuncts::default(), 0);
        for position in disjunct.iter().filter_map(|at| self.positions.get(*at)) {
            match position {
                Position::Row { conjuncts, .. } => asked.add(conjuncts),
                Position::In { .. } => subqueries += 1,
            }
        }
        if subqueries > 1 {
            asked.drop_risky();
        }
        asked
    }

    /// Whether a row with this standing is included.
    pub fn holds(&self, active: &[bool]) -> bool {
        self.disjuncts.iter().any(|disjunct| disjunct.iter().all(|at| active.get(*at) == Some(&true)))
    }
}
