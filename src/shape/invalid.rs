//! Why a request was refused: reasons by field, as a client reads them in a 400.

use std::collections::BTreeMap;

use serde::Serialize;

use super::TableName;

const UNSUPPORTED: &str = "is not supported yet";
/// The field that the errors of a subset's own fields are told under (protocol, 2.14).
const SUBSET: &str = "subset";

/// Reasons by field; at least one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Invalid {
    errors: BTreeMap<&'static str, Reason>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Reason {
    /// Our own words, one text for each thing that is wrong.
    Texts(Vec<String>),
    /// What Postgres said when it ran the field; clients know it as a plain string (protocol, 9.3).
    Said(String),
    /// The field has fields of its own.
    Fields(BTreeMap<&'static str, Reason>),
}

impl Invalid {
    /// One reason for one field.
    pub fn one(field: &'static str, text: impl Into<String>) -> Self {
        let mut invalid = Self::default();
        invalid.add(field, text);
        invalid
    }

    /// What Postgres said of one field of a subset.
    pub fn said_of_subset(field: &'static str, text: impl Into<String>) -> Self {
        Self { errors: BTreeMap::from([(field, Reason::Said(text.into()))]) }.in_subset()
    }

    /// A table that is not there, or that the caller cannot be told of.
    pub fn unknown_table(name: &TableName) -> Self {
        Self::one("table", Self::no_such_table(name))
    }

    /// What is said of a table that is not there.
    pub fn no_such_table(name: &TableName) -> String {
        format!(
            "Table {} does not exist. If the table name contains capitals or special characters you must quote it.",
            name.quoted()
        )
    }

    /// A part of the protocol that this server does not have.
    pub fn unsupported(field: &'static str) -> Self {
        Self::one(field, UNSUPPORTED)
    }

    /// The same reasons, of fields of a subset.
    pub fn in_subset(self) -> Self {
        Self { errors: BTreeMap::from([(SUBSET, Reason::Fields(self.errors))]) }
    }

    /// Adds a reason to those there are.
    pub fn add(&mut self, field: &'static str, text: impl Into<String>) {
        match self.errors.entry(field).or_insert_with(|| Reason::Texts(Vec::new())) {
            Reason::Texts(texts) => texts.push(text.into()),
            // Never of the same field: whole fields of these kinds are made at once.
            Reason::Said(_) | Reason::Fields(_) => {}
        }
    }

    /// Whether a field is among those blamed.
    pub fn blames(&self, field: &str) -> bool {
        self.errors.contains_key(field)
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// The reasons by field.
    pub fn errors(&self) -> &BTreeMap<&'static str, Reason> {
        &self.errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_as_clients_know_them() {
        let mut two = Invalid::one("limit", "a");
        two.add("limit", "b");
        let cases = [
            (Invalid::one("offset", "can't be blank"), r#"{"offset":["can't be blank"]}"#),
            (two.in_subset(), r#"{"subset":{"limit":["a","b"]}}"#),
            (Invalid::said_of_subset("where", "no such label"), r#"{"subset":{"where":"no such label"}}"#),
        ];
        for (invalid, expected) in cases {
            assert_eq!(serde_json::to_string(invalid.errors()).expect("texts are JSON"), expected);
        }
    }
}
