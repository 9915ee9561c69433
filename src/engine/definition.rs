//! Which columns of a table a shape shows: `columns` and `queryable_columns` checked against the catalogue.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::tables::{Column, Table};
use crate::shape::{Invalid, ShapeRequest, parse_columns};

#[cfg(test)]
mod tests;

/// The columns of a shape. Part of its identity, so equal selections are equal values (protocol, 7.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Selection {
    /// Sorted by name, each once.
    pub columns: Vec<String>,
    pub chosen: Chosen,
}

/// How the columns of a shape were named. Listing all of them is not the same as naming none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Chosen {
    /// By `columns`: a new column of the table does not concern the shape.
    Listed,
    /// All that `queryable_columns` leaves.
    Queryable,
    /// All there are.
    All,
}

impl Selection {
    /// Checks what a request says of columns, in the order of protocol 2.2 and with the texts of 2.9 and 2.10.
    pub fn resolve(request: &ShapeRequest, table: &Table) -> Result<Self, Invalid> {
        let queryable = queryable(request, table)?;
        let selectable = |column: &Column| queryable.as_ref().is_none_or(|names| names.contains(&column.name));
        let (mut columns, chosen) = match &request.columns {
            Some(list) => (listed_columns(list, table, selectable)?, Chosen::Listed),
            None => {
                let selected = table.columns.iter().filter(|column| selectable(column));
                let chosen = if queryable.is_some() { Chosen::Queryable } else { Chosen::All };
                (selected.map(|column| column.name.clone()).collect(), chosen)
            }
        };
        columns.sort_unstable();
        let selection = Self { columns, chosen };
        selection.check_generated(table)?;
        Ok(selection)
    }

    /// The positions of the columns in `table.columns`, in order of name; `None` if one is gone.
    pub fn positions(&self, table: &Table) -> Option<Vec<usize>> {
        self.columns.iter().map(|name| table.column(name)).collect()
    }

    fn check_generated(&self, table: &Table) -> Result<(), Invalid> {
        let generated: Vec<&str> = table
            .columns
            .iter()
            .filter(|column| column.generated && self.columns.contains(&column.name))
            .map(|column| column.name.as_str())
            .collect();
        if generated.is_empty() {
            return Ok(());
        }
        let names = generated.join(", ");
        let refusal = format!("The following columns are generated and cannot be included in the shape: {names}");
        Err(Invalid::one(
            "columns",
            match self.chosen {
                Chosen::Listed => refusal,
                Chosen::Queryable | Chosen::All => format!(
                    "{refusal}. You can exclude them from the shape by explicitly listing which columns to fetch in the \
                 'columns' query param"
                ),
            },
        ))
    }
}

/// The columns that a request lets be selected and its subsets mention; `None` is all of them.
///
/// # Errors
/// As [`Selection::resolve`].
pub fn queryable(request: &ShapeRequest, table: &Table) -> Result<Option<Vec<String>>, Invalid> {
    request.queryable_columns.as_ref().map(|list| queryable_columns(list, table)).transpose()
}

fn queryable_columns(list: &str, table: &Table) -> Result<Vec<String>, Invalid> {
    let refuse = |text: String| Invalid::one("queryable_columns", text);
    let names = distinct(list).map_err(refuse)?;
    if let Some(missing) = missing_key_columns(table, &names) {
        return Err(refuse(format!(
            "The list of queryable columns must include all primary key columns, missing: {missing}"
        )));
    }
    if let Some(unknown) = unknown_columns(table, &names, |_| true) {
        return Err(refuse(format!("The following queryable columns are not found on the table: {unknown}")));
    }
    Ok(names)
}

fn listed_columns(list: &str, table: &Table, selectable: impl Fn(&Column) -> bool) -> Result<Vec<String>, Invalid> {
    let refuse = |text: String| Invalid::one("columns", text);
    let names = distinct(list).map_err(refuse)?;
    if let Some(missing) = missing_key_columns(table, &names) {
        return Err(refuse(format!("The list of columns must include all primary key columns, missing: {missing}")));
    }
    if let Some(unknown) = unknown_columns(table, &names, selectable) {
        return Err(refuse(format!("The following columns are not found on the table: {unknown}")));
    }
    Ok(names)
}

/// Key columns that the list lacks, in key order. Without a primary key, all columns are the key.
fn missing_key_columns(table: &Table, names: &[String]) -> Option<String> {
    let key = table.key.iter().filter_map(|position| table.columns.get(*position));
    joined(key.map(|column| &column.name).filter(|name| !names.contains(name)))
}

/// Listed names that are no selectable column.
fn unknown_columns(table: &Table, names: &[String], selectable: impl Fn(&Column) -> bool) -> Option<String> {
    let known = |name: &String| table.columns.iter().any(|column| column.name == *name && selectable(column));
    joined(names.iter().filter(|name| !known(name)))
}

/// The names of a list in order, each once. First of all checks, so that these cost what the names cost.
fn distinct(list: &str) -> Result<Vec<String>, String> {
    let mut names = parse_columns(list)?;
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

fn joined<'a>(names: impl Iterator<Item = &'a String>) -> Option<String> {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() { None } else { Some(names.join(", ")) }
}
