//! What a subset asks for, checked, and the query for it. The query is printed from what was checked: no text of a client is in it.

use std::collections::BTreeSet;
use std::fmt::Write;

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::order::{OrderBy, Sortable};
use crate::engine::filter::Filter;
use crate::engine::shape::Definition;
use crate::engine::snapshot::Messages;
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

    /// The query for its rows: the columns that the shape's messages are made of, and the conditions that they tell of.
    pub fn sql(&self, definition: &Definition, messages: &Messages<'_>) -> Sql {
        let (columns, conditions) = (messages.columns(), messages.conditions());
        let from = definition.table.rows();
        let main = definition.condition.as_ref().map(|condition| condition.filter.sql_to_run());
        let selected = columns.iter().map(|name| quote_identifier(name));
        let fenced = main.is_some() && self.condition.as_ref().is_some_and(|own| !own.never_fails);
        // Behind the fence they have names.
        let named = |at: usize| quote_identifier(&format!("condition {at} of the shape"));
        let conditions = conditions.into_iter().enumerate();
        let items = selected.chain(conditions.clone().map(|(at, sql)| if fenced { named(at) } else { sql }));
        let mut text = format!("SELECT {} FROM ", items.collect::<Vec<_>>().join(", "));
        match (main, &self.condition) {
            (None, None) => text.push_str(&from),
            (Some(condition), None) => write_to(&mut text, format_args!("{from} WHERE ({condition})")),
            (None, Some(own)) => write_to(&mut text, format_args!("{from} WHERE ({})", own.sql)),
            (Some(main), Some(own)) if !fenced => {
                write_to(&mut text, format_args!("{from} WHERE ({main}) AND ({})", own.sql));
            }
            // Postgres may try the client's condition first, on rows that are not the shape's, and an error there would tell
            // of them. Nothing moves across OFFSET.
            (Some(main), Some(own)) => {
                let ordered = self.order_by.iter().flat_map(|list| &list.columns);
                let needed = own.columns.iter().chain(ordered).map(String::as_str);
                let needed: BTreeSet<&str> = columns.iter().copied().chain(needed).collect();
                let needed = needed.into_iter().map(quote_identifier);
                let items = needed.chain(conditions.map(|(at, sql)| format!("{sql} AS {}", named(at))));
                let items = items.collect::<Vec<_>>().join(", ");
                let rows = format!("SELECT {items} FROM {from} WHERE ({main}) OFFSET 0");
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

fn write_to(text: &mut String, part: std::fmt::Arguments<'_>) {
    text.write_fmt(part).expect("a String takes all text");
}
