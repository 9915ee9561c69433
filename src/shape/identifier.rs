//! Names of tables and columns as clients write them and as Postgres stores them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A table's schema and name, as Postgres stores them: unquoted, case-exact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    pub schema: String,
    pub name: String,
}

impl TableName {
    /// Both parts quoted for SQL: `"public"."items"`.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&self.name))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// Quotes an identifier for SQL.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Postgres' limit on a name (`NAMEDATALEN` - 1), in bytes.
const MAX_IDENTIFIER_BYTES: usize = 63;

/// Reads a table's name as a client writes it: `items`, `public.items`, `"My Table"` (protocol, 2.3).
///
/// # Errors
///
/// The text for the client.
pub fn parse_relation(text: &str) -> Result<TableName, String> {
    let parts = split_outside_quotes(text, '.');
    let (schema, name) = match parts.as_slice() {
        [name] => ("public", *name),
        [schema, name] => (*schema, *name),
        _ => return Err(format!("Invalid relation identifier, too many delimiters: {text}")),
    };
    Ok(TableName { schema: parse_identifier(schema)?, name: parse_identifier(name)? })
}

/// Reads a comma-separated list of column names; spaces are not trimmed (protocol, 2.9).
///
/// # Errors
///
/// The text for the client.
pub fn parse_columns(text: &str) -> Result<Vec<String>, String> {
    split_outside_quotes(text, ',').into_iter().map(parse_identifier).collect()
}

/// Splits at every `separator` that has an even number of double quotes before it.
fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    text.split(|c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
    .collect()
}

fn parse_identifier(part: &str) -> Result<String, String> {
    let quoted = part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let name = match quoted {
        Some(inner) => unquote(inner)?,
        None => fold(part)?,
    };
    if name.len() > MAX_IDENTIFIER_BYTES {
        return Err(format!("Identifier is too long (max length is {MAX_IDENTIFIER_BYTES})"));
    }
    Ok(name)
}

/// The name between double quotes, with `""` as one quote.
fn unquote(inner: &str) -> Result<String, String> {
    if inner.is_empty() {
        return Err("Invalid zero-length delimited identifier".to_owned());
    }
    if inner.replace("\"\"", "").contains('"') {
        return Err(format!("Invalid identifier with unescaped quote: {inner}"));
    }
    Ok(inner.replace("\"\"", "\""))
}

/// An unquoted name, its ASCII letters in lower case.
fn fold(part: &str) -> Result<String, String> {
    let mut characters = part.chars();
    let Some(first) = characters.next() else {
        return Err("Invalid zero-length delimited identifier".to_owned());
    };
    let starts = first == '_' || first.is_alphabetic();
    if !starts || !characters.all(continues_identifier) {
        return Err(format!("Invalid unquoted identifier contains special characters: {part}"));
    }
    Ok(part.to_ascii_lowercase())
}

/// Letters, combining marks, ASCII digits, `_` and `$`. Marks that are no part of a letter are those
/// of Unicode's blocks for them: the standard library knows no general categories.
fn continues_identifier(c: char) -> bool {
    let combining = matches!(c, '\u{300}'..='\u{36F}' | '\u{483}'..='\u{489}' | '\u{1AB0}'..='\u{1AFF}'
        | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}' | '\u{FE20}'..='\u{FE2F}');
    c.is_alphabetic() || c.is_ascii_digit() || c == '_' || c == '$' || combining
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_as_clients_write_them() {
        let long = "a".repeat(64);
        let umlauts = "ä".repeat(32);
        let cases = [
            ("items", Ok(("public", "items"))),
            ("ITEMS", Ok(("public", "items"))),
            ("Foo.Bar", Ok(("foo", "bar"))),
            ("\"Foo\".bar", Ok(("Foo", "bar"))),
            ("\"with.dot\".\"q\"\"uote\"", Ok(("with.dot", "q\"uote"))),
            ("\"My Table\"", Ok(("public", "My Table"))),
            ("_a$1", Ok(("public", "_a$1"))),
            ("ÄB", Ok(("public", "Äb"))),
            ("e\u{301}t", Ok(("public", "e\u{301}t"))),
            (&long[1..], Ok(("public", &long[1..]))),
            ("foo.bar.baz", Err("Invalid relation identifier, too many delimiters: foo.bar.baz")),
            ("foob@r", Err("Invalid unquoted identifier contains special characters: foob@r")),
            ("1a", Err("Invalid unquoted identifier contains special characters: 1a")),
            ("$a", Err("Invalid unquoted identifier contains special characters: $a")),
            (" items", Err("Invalid unquoted identifier contains special characters:  items")),
            ("a\u{200b}", Err("Invalid unquoted identifier contains special characters: a\u{200b}")),
            ("\"", Err("Invalid unquoted identifier contains special characters: \"")),
            ("\"a", Err("Invalid unquoted identifier contains special characters: \"a")),
            ("\"\"", Err("Invalid zero-length delimited identifier")),
            ("", Err("Invalid zero-length delimited identifier")),
            ("a.", Err("Invalid zero-length delimited identifier")),
            (".a", Err("Invalid zero-length delimited identifier")),
            ("\"Foo\"Bar\"", Err("Invalid identifier with unescaped quote: Foo\"Bar")),
            ("\"a\"\"\"", Ok(("public", "a\""))),
            ("\"\"\"\"\"", Err("Invalid identifier with unescaped quote: \"\"\"")),
            (&long, Err("Identifier is too long (max length is 63)")),
            (&umlauts, Err("Identifier is too long (max length is 63)")),
        ];
        for (text, expected) in cases {
            let read = parse_relation(text).map(|name| (name.schema, name.name));
            let read = read.as_ref().map(|(schema, name)| (schema.as_str(), name.as_str())).map_err(String::as_str);
            assert_eq!(read, expected, "{text:?}");
        }
    }

    #[test]
    fn column_lists_split_at_commas_outside_quotes() {
        let cases: &[(&str, Result<&[&str], &str>)] = &[
            ("id", Ok(&["id"])),
            ("ID,\"Name\",\"a,b\"", Ok(&["id", "Name", "a,b"])),
            ("a.b", Err("Invalid unquoted identifier contains special characters: a.b")),
            ("id, name", Err("Invalid unquoted identifier contains special characters:  name")),
            ("id,", Err("Invalid zero-length delimited identifier")),
            (",", Err("Invalid zero-length delimited identifier")),
            ("id,\"\"", Err("Invalid zero-length delimited identifier")),
            ("\"a\"b\"", Err("Invalid identifier with unescaped quote: a\"b")),
        ];
        for (text, expected) in cases {
            let read = parse_columns(text);
            match (read, expected) {
                (Ok(names), Ok(expected)) => assert_eq!(names, *expected, "{text}"),
                (Err(error), Err(expected)) => assert_eq!(error, *expected, "{text}"),
                (read, _) => panic!("{text}: {read:?}"),
            }
        }
    }
}
