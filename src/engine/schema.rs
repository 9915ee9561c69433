//! `electric-schema`: what a reader needs to turn the text of a shape's values into typed values.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::tables::{Column, Table};

#[cfg(test)]
mod tests;

/// The JSON of the schema header for these columns of a table (positions in `table.columns`).
///
/// Printable ASCII: what is not is escaped, because HTTP libraries do not agree on the encoding of a header.
pub fn schema_header(table: &Table, columns: &[usize]) -> String {
    let described = columns.iter().filter_map(|position| {
        let column = table.columns.get(*position)?;
        let pk_index = table.key.iter().position(|key| key == position).filter(|_| table.has_primary_key);
        Some((column.name.as_str(), ColumnSchema::of(column, pk_index)))
    });
    let by_name: BTreeMap<&str, ColumnSchema<'_>> = described.collect();
    ascii(&serde_json::to_string(&by_name).expect("plain text and numbers are always JSON"))
}

/// One member of the header (protocol, 4.4).
#[derive(Serialize)]
struct ColumnSchema<'a> {
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dims: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pk_index: Option<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    not_null: bool,
    #[serde(flatten)]
    modifier: Modifier,
}

impl<'a> ColumnSchema<'a> {
    fn of(column: &'a Column, pk_index: Option<usize>) -> Self {
        Self {
            r#type: &column.type_name,
            dims: (column.dims > 0).then_some(column.dims),
            pk_index,
            not_null: column.not_null,
            modifier: Modifier::decode(&column.type_name, column.type_modifier),
        }
    }
}

/// What a type modifier says; an array's is that of its elements.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Modifier {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    type_mod: Option<i32>,
}

/// The size of a `varlena` header, which Postgres adds to the modifiers of some types (`VARHDRSZ`).
const HEADER_SIZE: i32 = 4;

impl Modifier {
    /// Reads `atttypmod` as the type's own `typmodout` function does.
    ///
    /// Differs from Electric where that prints what no client can use: `timestamp(0)` has precision 0,
    /// scales may be negative, and a `varbit` without length has none (protocol, 13.16).
    fn decode(type_name: &str, modifier: i32) -> Self {
        let none = Self::default();
        if modifier < 0 {
            return none;
        }
        match type_name {
            "varchar" => Self { max_length: Some(modifier - HEADER_SIZE), ..none },
            "bpchar" => Self { length: Some(modifier - HEADER_SIZE), ..none },
            "bit" | "varbit" => Self { length: Some(modifier), ..none },
            "time" | "timetz" | "timestamp" | "timestamptz" => Self { precision: Some(modifier), ..none },
            "numeric" => Self::numeric(modifier - HEADER_SIZE),
            "interval" => Self::interval(modifier),
            _ => Self { type_mod: Some(modifier), ..none },
        }
    }

    /// Precision in the upper half; the scale is a signed number of 11 bits (`numeric_typmod_scale`).
    fn numeric(packed: i32) -> Self {
        let scale = ((packed & 0x7FF) ^ 0x400) - 0x400;
        Self { precision: Some(packed >> 16 & 0xFFFF), scale: Some(scale), ..Self::default() }
    }

    /// Fields as a set of bits in the upper half, precision in the lower (`intervaltypmodout`).
    fn interval(packed: i32) -> Self {
        const FULL_PRECISION: i32 = 0xFFFF;
        let precision = Some(packed & 0xFFFF).filter(|precision| *precision != FULL_PRECISION);
        Self { fields: interval_fields(packed >> 16 & 0x7FFF), precision, ..Self::default() }
    }
}

/// The words of a range of interval fields; none for all of them.
fn interval_fields(range: i32) -> Option<&'static str> {
    // Bit numbers of `utils/datetime.h`.
    const MONTH: i32 = 1 << 1;
    const YEAR: i32 = 1 << 2;
    const DAY: i32 = 1 << 3;
    const HOUR: i32 = 1 << 10;
    const MINUTE: i32 = 1 << 11;
    const SECOND: i32 = 1 << 12;
    const WORDS: [(i32, &str); 13] = [
        (YEAR, "YEAR"),
        (MONTH, "MONTH"),
        (DAY, "DAY"),
        (HOUR, "HOUR"),
        (MINUTE, "MINUTE"),
        (SECOND, "SECOND"),
        (YEAR | MONTH, "YEAR TO MONTH"),
        (DAY | HOUR, "DAY TO HOUR"),
        (DAY | HOUR | MINUTE, "DAY TO MINUTE"),
        (DAY | HOUR | MINUTE | SECOND, "DAY TO SECOND"),
        (HOUR | MINUTE, "HOUR TO MINUTE"),
        (HOUR | MINUTE | SECOND, "HOUR TO SECOND"),
        (MINUTE | SECOND, "MINUTE TO SECOND"),
    ];
    WORDS.into_iter().find(|(bits, _)| *bits == range).map(|(_, words)| words)
}

/// Escapes what is not printable ASCII. In JSON from serde_json such characters are only inside strings.
fn ascii(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, ' '..='~') {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(escaped, "\\u{unit:04x}").expect("a String takes all text");
            }
        }
    }
    escaped
}
