//! The operators and functions, by subject. Each file adds its rows and has their evaluators beside them.

pub mod array;
pub mod compare;
pub mod convert;
pub mod escape;
pub mod json;
pub mod moment;
pub mod number;
pub mod pattern;
pub mod text;

use super::catalog::Rows;

/// Fills the table.
pub fn add(rows: &mut Rows) {
    array::add(rows);
    compare::add(rows);
    escape::add(rows);
    json::add(rows);
    moment::add(rows);
    number::add(rows);
    pattern::add(rows);
    text::add(rows);
}
