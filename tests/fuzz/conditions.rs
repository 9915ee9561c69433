//! Conditions that are nearly right, on rows that no server would send.

use std::time::{Duration, Instant};

use bytes::Bytes;
use plue_sync::engine::filter::Filter;
use plue_sync::engine::tables::{Column, Labels, Table};
use plue_sync::shape::TableName;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{damaged, damaged_text, fuzz};
use crate::filter::generator::Generator;
use crate::filter::values::KINDS;
use crate::support::Random;

/// For one condition and a few rows, without optimisation and beside other tests.
const BOUND: Duration = Duration::from_secs(10);
const SEEDS: usize = 400;

const TOKENS: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "'",
    "\"",
    "\\",
    "$1",
    "$2",
    "$0",
    "$99999999999",
    "$$",
    "$t$",
    "::",
    ":",
    "::int4",
    "::text[]",
    "::nope",
    "--",
    "/*",
    "*/",
    ";",
    ",",
    ".",
    "NOT ",
    " AND ",
    " OR ",
    " IS NULL",
    " IN (",
    " BETWEEN ",
    "CASE WHEN ",
    " END",
    "ARRAY[",
    " ANY (",
    "- ",
    "-",
    "+",
    "^",
    "~",
    "!~*",
    "->>",
    "#>>",
    "@>",
    "?",
    "%",
    "||",
    "E'",
    "U&'",
    "B'1'",
    "X'f",
    "NULL",
    "true",
    "1e400",
    "1e999999",
    ".",
    "0x",
    "99999999999999999999999999",
    "é",
    "😀",
    "\u{0}",
    "\u{a0}",
    "interval '",
    "date '",
    " AT TIME ZONE ",
    "'Nope/Nope'",
    "extract(",
    "substring(",
    " FROM ",
    " FOR ",
    " SELECT ",
    "EXISTS (",
    "count(*)",
    "now()",
    " COLLATE ",
    " ESCAPE ",
    "ROW(",
    "date_trunc('",
    "'infinity'",
    "2147483647",
    "-9223372036854775808",
    "NaN",
    "'{1,{2}}'",
    "{",
    "}",
    "\\m",
    "(?=",
    "{1000}",
    "[[:",
    "\\1",
];

/// The odd table as the catalogue would describe it, without a server.
pub fn table() -> Table {
    let columns =
        KINDS.iter().flat_map(|kind| ["a", "b"].map(|half| column(&format!("{}{half}", kind.name), kind.sql)));
    let columns = std::iter::once(column("id", "int4")).chain(columns).collect();
    let name = TableName { schema: "public".into(), name: "odd".into() };
    Table { oid: 16385, name, columns, key: vec![0], has_primary_key: true, partitions: None }
}

fn column(name: &str, sql: &str) -> Column {
    let (sql, array) = sql.strip_suffix("[]").map_or((sql, false), |sql| (sql, true));
    let (type_name, oid, array_oid, modifier) = match sql {
        "bool" => ("bool", 16, 1000, -1),
        "int2" => ("int2", 21, 1005, -1),
        "int4" => ("int4", 23, 1007, -1),
        "int8" => ("int8", 20, 1016, -1),
        "float4" => ("float4", 700, 1021, -1),
        "float8" => ("float8", 701, 1022, -1),
        "numeric" => ("numeric", 1700, 1231, -1),
        "numeric(8,3)" => ("numeric", 1700, 1231, (8 << 16 | 3) + 4),
        "text" => ("text", 25, 1009, -1),
        "varchar(30)" => ("varchar", 1043, 1015, 34),
        "char(8)" => ("bpchar", 1042, 1014, 12),
        "name" => ("name", 19, 1003, -1),
        "uuid" => ("uuid", 2950, 2951, -1),
        "date" => ("date", 1082, 1182, -1),
        "time" => ("time", 1083, 1183, -1),
        "timestamp" => ("timestamp", 1114, 1115, -1),
        "timestamptz" => ("timestamptz", 1184, 1185, -1),
        "interval" => ("interval", 1186, 1187, -1),
        "json" => ("json", 114, 199, -1),
        "jsonb" => ("jsonb", 3802, 3807, -1),
        "bytea" => ("bytea", 17, 1001, -1),
        "inet" => ("inet", 869, 1041, -1),
        "point" => ("point", 600, 1017, -1),
        "int4range" => ("int4range", 3904, 3905, -1),
        "timetz" => ("timetz", 1266, 1270, -1),
        "money" => ("money", 790, 791, -1),
        "bit(3)" => ("bit", 1560, 1561, 3),
        "mood" => ("mood", 16400, 16399, -1),
        "pair" => ("pair", 16402, 16401, -1),
        "positive" => ("positive", 16404, 16403, -1),
        other => panic!("what is {other}?"),
    };
    let type_kind = match type_name {
        "mood" => 'e',
        "pair" => 'c',
        "positive" => 'd',
        "int4range" => 'r',
        _ => 'b',
    };
    Column {
        name: name.into(),
        type_oid: if array { array_oid } else { oid },
        type_name: type_name.into(),
        type_kind,
        type_modifier: modifier,
        dims: u32::from(array),
        not_null: false,
        generated: false,
        deterministic: true,
        casing: Default::default(),
        labels: match type_name {
            "mood" => Labels { type_oid: oid, list: ["sad", "ok", "very happy", "it's"].map(String::from).to_vec() },
            _ => Labels::default(),
        },
    }
}

/// Conditions of the whole language, to start from.
fn texts() -> Vec<String> {
    let values = KINDS.iter().map(|kind| kind.values.to_vec()).collect();
    let mut generator = Generator::new(Random::new(Random::seed(), 77), values);
    (0..SEEDS).map(|_| generator.condition().condition().ours).collect()
}

#[test]
fn conditions_are_compiled_or_refused_and_rows_of_noise_do_not_panic() {
    let table = table();
    let texts = texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let values: Vec<&[u8]> = KINDS.iter().flat_map(|kind| kind.values).map(|value| value.as_bytes()).collect();
    let value = damaged(
        &values,
        &[b"{", b"}", b"\"", b"\\", b",", b"-", b"9", b"\0", b" BC", b"e", b"\xc3", b"NULL", b":", b".", b"infinity"],
    );
    // A few values for all columns: a value of its own for each would take longer to make than to judge.
    let few = vec(proptest::option::weighted(0.9, value), 8);
    let param = damaged_text(&["1", "a", "{1,2}", "2024-02-29", "", "%a%", "1.5", "t"], TOKENS);
    let mut compiled = std::cell::Cell::new(0);
    fuzz(2_500, (damaged_text(&texts, TOKENS), vec(param, 0..3), few), |(text, params, few)| {
        let started = Instant::now();
        match Filter::compile(&text, &params, &table) {
            Ok(filter) => {
                compiled.set(compiled.get() + 1);
                let few: Vec<_> = few.into_iter().map(|value| value.map(Bytes::from)).collect();
                for turn in 0..few.len() {
                    let row: Vec<_> = (0..table.columns.len()).map(|at| few[(at + turn) % few.len()].clone()).collect();
                    filter.matches(&row);
                }
                filter.matches(&vec![None; table.columns.len()]);
                prop_assert!(!filter.sql().contains('\0'));
                prop_assert!(filter.columns().iter().all(|column| *column < table.columns.len()));
                filter.key();
            }
            Err(error) => prop_assert!(!error.message.is_empty() && error.message.len() < 64 << 10),
        }
        prop_assert!(started.elapsed() < BOUND, "it took {:?}", started.elapsed());
        Ok(())
    });
    assert!(*compiled.get_mut() > 20, "only {} compiled: the seeds are no conditions", compiled.get());
}

/// Right conditions on values that the columns cannot hold: the evaluator must not trust the stream.
#[test]
fn right_conditions_do_not_panic_on_rows_of_noise() {
    let table = table();
    let filters: Vec<Filter> = texts().iter().filter_map(|text| Filter::compile(text, &[], &table).ok()).collect();
    assert!(filters.len() > SEEDS / 20, "only {} conditions are right", filters.len());
    let each = table.columns.iter().map(|column| {
        let values = KINDS
            .iter()
            .find(|kind| column.name.strip_suffix(['a', 'b']) == Some(kind.name))
            .map_or(&["1"][..], |kind| kind.values);
        let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
        proptest::option::weighted(
            0.9,
            damaged(
                &values,
                &[b"9", b"-", b"{", b"\"", b"\\", b"\0", b":", b"e9", b"\xff", b" BC", b" ", b"000000000"],
            ),
        )
    });
    let row = each.collect::<Vec<_>>();
    fuzz(60, row, |row| {
        let row: Vec<_> = row.into_iter().map(|value| value.map(Bytes::from)).collect();
        let started = Instant::now();
        for filter in &filters {
            filter.matches(&row);
        }
        prop_assert!(started.elapsed() < BOUND, "it took {:?}", started.elapsed());
        Ok(())
    });
}
