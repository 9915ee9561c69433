//! What a subset asks for, checked, and the query for it. The query is printed from what was checked: no text of a client is in it.

use std::collections::BTreeSet;
use std::fmt::Write;

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::order::{OrderBy, Sortable};
use crate::engine::filter::Filter;
use crate::engine::shape::Definition;
use crate::engine::tables::Table;
use crate::shape::{Invalid, Subset, quote_identifier};

#[cfg(test)]
mod tests;

/// A part of a shape's rows.
#[derive(Debug)]
pub struct Part {
    condition: Option<Condition>,
    order_by: Option<OrderBy>,
    limit: Option<u64>,
    offset: Option<u64>,
}

#[derive(Debug)]
struct Condition {
    sql: String,
    columns: Vec<String>,
    never_fails: bool,
}

/// A query, and where its `ORDER BY` begins, in characters from 0.
#[derive(Debug, PartialEq, Eq)]
pub struct Sql {
    pub text: String,
    pub order_by: usize,
}

impl Part {
    /// Checks a subset of a shape. `queryable` are the columns that it may mention, if not all.
    ///
    /// # Errors
    /// The texts of protocol 9.3.
    pub fn compile(subset: &Subset, definition: &Definition, queryable: Option<Vec<String>>) -> Result<Self, Invalid> {
        let table = &definition.table;
        let mut seen = Table::clone(table);
        // Positions differ from the table's: only the printed text is used.
        seen.columns.retain(|column| queryable.as_ref().is_none_or(|names| names.contains(&column.name)));
        let condition = subset.filter.as_ref().map(|text| condition(text, &subset.params, &seen)).transpose()?;
        let sortable = || Sortable {
            columns: seen.columns.iter().map(|column| column.name.as_str()).collect(),
            selected: definition.columns.iter().map(|at| table.columns[*at].name.as_str()).collect(),
        };
        let order_by = subset.order_by.as_ref().map(|text| OrderBy::parse(text, &sortable())).transpose();
        let order_by = order_by.map_err(|text| Invalid::one("order_by", text).in_subset())?;
        Ok(Self { condition, order_by, limit: subset.limit, offset: subset.offset })
    }

    /// Whether it has a condition of its own.
    pub fn is_filtered(&self) -> bool {
        self.condition.is_some()
    }

    /// The query for its rows: the selected columns of the shape, in their order.
    ///
    /// Its rows become messages in `query.rs`; what a message of this shape needs besides its columns is to be selected here.
    pub fn sql(&self, definition: &Definition) -> Sql {
        let table = &definition.table;
        let selected = definition.columns.iter().map(|at| table.columns[*at].name.as_str());
        // ONLY, as in the shape's snapshot.
        let from = format!("ONLY {}", table.name.quoted());
        let main = definition.condition.as_ref().map(|condition| condition.filter.sql());
        let mut text = format!("SELECT {} FROM ", list(selected.clone()));
        match (main, &self.condition) {
            (None, None) => text.push_str(&from),
            (Some(condition), None) => write_to(&mut text, format_args!("{from} WHERE ({condition})")),
            (None, Some(own)) => write_to(&mut text, format_args!("{from} WHERE ({})", own.sql)),
            (Some(main), Some(own)) if own.never_fails => {
                write_to(&mut text, format_args!("{from} WHERE ({main}) AND ({})", own.sql));
            }
            // Postgres may try the client's condition first, on rows that are not the shape's, and an error there would tell
            // of them. Nothing moves across OFFSET.
            (Some(main), Some(own)) => {
                let ordered = self.order_by.iter().flat_map(|list| &list.columns);
                let needed: BTreeSet<&str> =
                    selected.chain(own.columns.iter().chain(ordered).map(String::as_str)).collect();
                let rows = format!("SELECT {} FROM {from} WHERE ({main}) OFFSET 0", list(needed.into_iter()));
                write_to(&mut text, format_args!("({rows}) AS rows WHERE ({})", own.sql));
            }
        }
        let order_by = text.chars().count();
        if let Some(list) = &self.order_by {
            write_to(&mut text, format_args!(" ORDER BY {}", list.sql));
        }
        if let Some(limit) = self.limit {
            write_to(&mut text, format_args!(" LIMIT {limit}"));
        }
        if let Some(offset) = self.offset {
            write_to(&mut text, format_args!(" OFFSET {offset}"));
        }
        Sql { text, order_by }
    }
}

fn condition(text: &str, params: &[String], table: &Table) -> Result<Condition, Invalid> {
    if asks_for_subquery(text) {
        return Err(Invalid::one("where", "Subqueries are not allowed in subsets").in_subset());
    }
    let filter = Filter::compile(text, params, table);
    let filter = filter.map_err(|error| match unknown_label(&error.message) {
        Some(said) => Invalid::said_of_subset("where", said),
        None => Invalid::one(error.field, error.message).in_subset(),
    })?;
    let names = filter.columns().iter().map(|at| table.columns[*at].name.clone());
    Ok(Condition { sql: filter.sql_by_collation(table), columns: names.collect(), never_fails: filter.never_fails() })
}

/// What Postgres says of a label that an enum does not have. Clients know it as Postgres' own word, which comes as a plain string.
fn unknown_label(message: &str) -> Option<String> {
    let (_, found) = message.split_once(": invalid syntax for type enum ")?;
    let (name, label) = found.split_once(": ")?;
    Some(format!("invalid input value for enum {name}: \"{label}\""))
}

/// Whether words are there that, unquoted, only a subquery has. Text that cannot be cut into words is refused later.
fn asks_for_subquery(text: &str) -> bool {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize() else { return false };
    tokens.iter().any(|token| match token {
        Token::Word(word) => word.quote_style.is_none() && matches!(word.keyword, Keyword::SELECT | Keyword::TABLE),
        _ => false,
    })
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(quote_identifier).collect::<Vec<_>>().join(", ")
}

fn write_to(text: &mut String, part: std::fmt::Arguments<'_>) {
    text.write_fmt(part).expect("a String takes all text");
}
