//! A shape's condition: the text of a client's `where` becomes a typed tree that is checked once and evaluated on every
//! changed row, and printed as the SQL of the snapshot query. Both must give what Postgres gives for the client's text.
//!
//! ```text
//! text --parse--> syntax tree --resolve--> typed tree --print--> SQL of the snapshot, identity of the shape
//!                 (sqlparser)                   |------eval--> true or not, for one row
//!                                               |------index-> which conditions a change can touch
//! ```
//! What is not surely the same as in Postgres is refused when the shape is requested. Sessions that run the SQL have
//! `TimeZone=UTC` and `DateStyle=ISO`. Strings are ordered by code point, in the SQL by `COLLATE "C"`.

mod array;
mod catalog;
mod decimal;
mod disjuncts;
mod eval;
mod functions;
mod index;
mod interval;
mod json;
mod key;
mod leak;
mod like;
mod moment;
mod outline;
mod parse;
mod pinned;
mod posix;
mod print;
mod probe;
mod resolve;
mod subquery;
mod tree;
mod types;
mod value;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

pub use index::Index;
pub use outline::{Outline, both, outline};
pub use parse::is_reserved;
pub use pinned::pinned;
pub use probe::{Key, has_null, parts, probe};
pub use subquery::{Active, Alternatives, Canonical, Compared, Membership, Position, Subquery};

use self::tree::Node;
use super::tables::Table;
use crate::shape::TableName;

/// Texts longer than this are compiled on a thread with a stack of their own: a chain of operators is as deep as it is long.
const SHORT_TEXT_BYTES: usize = 256;
const COMPILER_STACK_BYTES: usize = 256 << 20;

/// A compiled condition. Cheap to share: wrap it in an `Arc`.
#[derive(Debug)]
pub struct Filter {
    condition: Node,
    sql: String,
    /// If it is another text.
    sql_to_run: Option<String>,
    columns: Vec<usize>,
    key: Option<(usize, Vec<Bytes>)>,
    alternatives: Option<Alternatives>,
}

/// Why a condition was refused: for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FilterError {
    /// The request parameter at fault: `where` or `params`, or `table` for the table of a subquery.
    pub field: &'static str,
    pub message: String,
    /// A table that must be looked up first. If there is none of this name, the message says so.
    pub needs: Option<TableName>,
}

impl FilterError {
    fn in_where(message: impl Into<String>) -> FilterError {
        FilterError { field: "where", message: message.into(), needs: None }
    }
}

impl Filter {
    /// `text` is the client's where, `params` the values of `$1`, `$2`, .. in order.
    pub fn compile(text: &str, params: &[String], table: &Table) -> Result<Filter, FilterError> {
        Self::compile_with(text, params, table, &[])
    }

    /// As [`Filter::compile`], for a condition whose subqueries read `tables`.
    ///
    /// # Errors
    /// With [`FilterError::needs`], a subquery reads a table that is not among them.
    pub fn compile_with(
        text: &str,
        params: &[String],
        table: &Table,
        tables: &[Arc<Table>],
    ) -> Result<Filter, FilterError> {
        if params.iter().any(|param| param.contains('\0')) {
            let message = "the character U+0000 is not allowed".into();
            return Err(FilterError { field: "params", message, needs: None });
        }
        if text.len() <= SHORT_TEXT_BYTES || text.len() > parse::MAX_BYTES {
            return Self::compile_here(text, params, table, tables);
        }
        on_deep_stack(|| Self::compile_here(text, params, table, tables))
    }

    fn compile_here(
        text: &str,
        params: &[String],
        table: &Table,
        tables: &[Arc<Table>],
    ) -> Result<Filter, FilterError> {
        let parsed = parse::parse(text)?;
        Self::of(resolve::resolve(parsed, params, table, tables)?, table)
    }

    fn of(condition: Node, table: &Table) -> Result<Filter, FilterError> {
        let sql = print::print(&condition, table);
        let conjuncts = leak::Conjuncts::of(&condition, table);
        let to_run = if conjuncts.need_guard() { conjuncts.sql() } else { print::print_to_run(&condition, table) };
        let sql_to_run = (to_run != sql).then_some(to_run);
        let columns = condition.columns();
        let key = key::key(&condition);
        let alternatives = disjuncts::alternatives(&condition, table)?;
        Ok(Filter { condition, sql, sql_to_run, columns, key, alternatives })
    }

    /// What it is made of, if it has subqueries: then it cannot be judged by a row alone, and [`Filter::matches`] is always `false`.
    pub fn alternatives(&self) -> Option<&Alternatives> {
        self.alternatives.as_ref()
    }

    /// The tables that its subqueries read, at any depth.
    pub fn tables(&self) -> Vec<Arc<Table>> {
        let mut tables: Vec<Arc<Table>> = Vec::new();
        let mut open: Vec<&Filter> = vec![self];
        while let Some(filter) = open.pop() {
            for position in filter.alternatives.iter().flat_map(|alternatives| &alternatives.positions) {
                if let Position::In { membership, .. } = position {
                    if !tables.contains(&membership.subquery.table) {
                        tables.push(Arc::clone(&membership.subquery.table));
                    }
                    open.extend(membership.subquery.filter.as_deref());
                }
            }
        }
        tables
    }

    /// The condition as SQL, printed from the typed tree: the identity of the shape.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The condition as SQL to put into a query. Where it has parts that can fail beside others that cannot, the first are kept from
    /// rows that the others leave out, so that no error tells of those.
    pub fn sql_to_run(&self) -> &str {
        self.sql_to_run.as_deref().unwrap_or(&self.sql)
    }

    /// The condition as SQL that compares strings by the collations of their columns, as Postgres does by itself: for rows that
    /// are read and never followed. `table` is the one that it was compiled for.
    pub fn sql_by_collation(&self, table: &Table) -> String {
        print::print_by_collation(&self.condition, table)
    }

    /// Whether Postgres can calculate it for every row there may be: then it tells nothing of rows that it is not to show. An error
    /// would tell that there is such a row.
    pub fn never_fails(&self) -> bool {
        leak::never_fails(&self.condition)
    }

    /// Whether the condition is TRUE for a row: values in the order of the table's columns, in Postgres' output form. NULL, FALSE
    /// and an error such as a division by zero are all `false`.
    pub fn matches(&self, row: &[Option<Bytes>]) -> bool {
        is_true(&self.condition, row)
    }

    /// Positions of the columns that the condition reads, ascending.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// A column and a list of texts, if the column of every matching row has one of them, byte for byte.
    pub fn key(&self) -> Option<(usize, Vec<Bytes>)> {
        self.key.clone()
    }
}

/// Reads a condition on a thread with a stack of its own.
fn on_deep_stack<T: Send>(read: impl FnOnce() -> Result<T, FilterError> + Send) -> Result<T, FilterError> {
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().stack_size(COMPILER_STACK_BYTES);
        let read = reader.spawn_scoped(scope, read);
        read.ok().and_then(|thread| thread.join().ok())
    })
    .unwrap_or_else(|| Err(FilterError::in_where("the condition could not be compiled")))
}

fn is_true(condition: &Node, row: &[Option<Bytes>]) -> bool {
    matches!(eval::evaluate(condition, row), Ok(Some(value::Value::Bool(true))))
}
