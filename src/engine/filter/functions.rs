//! The operators and functions, by subject. Each file adds its rows and has their evaluators beside them.

pub mod compare;
pub mod convert;
pub mod moment;
pub mod number;
pub mod pattern;

use super::catalog::Rows;

/// Fills the table.
pub fn add(rows: &mut Rows) {
    compare::add(rows);
    moment::add(rows);
    number::add(rows);
    pattern::add(rows);
}
