//! Query strings, bodies and identifiers.

use plue_sync::shape::{
    Deletion, Dialect, Invalid, PostBody, ShapeRequest, parse_columns, parse_relation, quote_identifier,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::{damaged, damaged_text, fuzz};

const QUERIES: &[&str] = &[
    "table=items&offset=-1",
    "table=items&offset=now&log=changes_only",
    "table=public.items&offset=0_0&handle=123-456&live=true&cursor=12345",
    "table=%22My%20Table%22&offset=123456_7&handle=h&live=true&live_sse=true",
    "table=items&offset=-1&columns=id,%22a%20b%22,c&replica=full&queryable_columns=id",
    "table=items&offset=-1&where=id%20%3D%20%241&params%5B1%5D=5",
    "table=items&offset=-1&where=a+IN+($1,$2)&params[1]=x&params[2]=y",
    "table=items&offset=0_inf&handle=h&subset__where=id+%3E+$1&subset__params[1]=2&subset__limit=10&subset__offset=1&subset__order_by=id+desc",
    "table=items&offset=-1&secret=s&api_secret=t&experimental_live_sse=true&experimental_compaction=true",
    "table=items&offset=-1&params=%7B%221%22%3A%22x%22%7D&where=a%3D$1&expired_handle=1-2&cache-buster=9",
];

const TOKENS: &[&str] = &[
    "&",
    "=",
    "[",
    "]",
    "[1]",
    "[]",
    "[a][b]",
    "%",
    "%0",
    "%00",
    "%zz",
    "%ff",
    "%C3%A4",
    "+",
    ";",
    "#",
    "\"",
    "\"\"",
    ".",
    ",",
    "_",
    "-1",
    "0_0",
    "now",
    "inf",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "99999999999999999999999999",
    "true",
    "false",
    "null",
    "{",
    "}",
    "\u{0}",
    "é",
    "😀",
    "params[1]=",
    "params[2147483648]=",
    "params[-1]=",
    "params[01]=",
    "params=",
    "where=",
    "table=",
    "offset=",
    "handle=",
    "live=",
    "live_sse=",
    "columns=",
    "replica=full",
    "log=changes_only",
    "subset__limit=",
    "subset__params=",
    "subset__order_by=",
    "queryable_columns=",
    " ",
    "\n",
    "\t",
];

const IDENTIFIERS: &[&str] = &[
    "items",
    "public.items",
    "\"My Table\"",
    "\"a\"\"b\"",
    "\"S\".\"T\"",
    "a,b,c",
    "id,\"a,b\",\"c\"\"d\"",
    "Ünï",
    "_x1$",
    "a234567890b234567890c234567890d234567890e234567890f234567890g23",
];

const IDENTIFIER_TOKENS: &[&str] =
    &["\"", "\"\"", ".", ",", " ", "$", "é", "😀", "\u{0}", "A", "1", "_", "-", "'", ";", "\u{301}", "İ", "ß"];

#[test]
fn query_strings_are_read_or_refused() {
    let tags = proptest::option::of(damaged_text(&["\"a:b:c\"", "W/\"x\", \"y\"", "*", ""], &["\"", ",", "W/", "*"]));
    fuzz(10_000, (damaged_text(QUERIES, TOKENS), tags), |(query, tags)| {
        for missing in [Dialect::Protocol, Dialect::Api] {
            match ShapeRequest::parse(&query, tags.as_deref(), missing) {
                Ok(request) => {
                    prop_assert!(!request.table.trim().is_empty());
                    prop_assert!(request.filter.is_some() || request.params.is_empty());
                    let _ = (parse_relation(&request.table), request.columns.as_deref().map(parse_columns));
                }
                Err(invalid) => reasonable(&invalid)?,
            }
        }
        Ok(())
    });
}

const BODIES: &[&str] = &[
    r#"{"where":"id > $1","params":{"1":"5"},"order_by":"id DESC","limit":10,"offset":3}"#,
    r#"{"subset":{"where":"id > $1","params":"{\"1\":\"5\"}","limit":"10"},"table":"items","offset":"-1","live":false}"#,
    r#"{"table":"items","offset":"-1","columns":"id,\"a b\"","replica":"full","params":{"1":"x"}}"#,
    r#"{"params":{"1":1,"2":true,"3":null},"where_expr":{"a":[1]},"order_by_expr":[]}"#,
    "{}",
    "",
];

const BODY_TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\\u00e9",
    "null",
    "true",
    "1",
    "-1",
    "1e999",
    "0.5",
    "99999999999999999999",
    "\"subset\":",
    "\"where\":",
    "\"params\":",
    "\"limit\":",
    "\"offset\":",
    "\"order_by\":",
    "\"table\":",
    "\"live\":",
    "{}",
    "[[[[[[[[",
    "{\"a\":",
    "é",
    "\u{0}",
    "\n",
    "\u{feff}",
];

#[test]
fn bodies_are_read_or_refused() {
    fuzz(6_000, (damaged_text(QUERIES, TOKENS), damaged(&bytes(BODIES), &bytes(BODY_TOKENS))), |(query, body)| {
        match PostBody::read(&body) {
            Ok(body) => {
                if let Err(invalid) = ShapeRequest::parse_post(&query, body, Dialect::Api) {
                    reasonable(&invalid)?;
                }
            }
            Err(bad) => prop_assert!(!bad.to_string().is_empty()),
        }
        if let Err(invalid) = Deletion::parse(&query) {
            reasonable(&invalid)?;
        }
        Ok(())
    });
}

/// A refusal says why.
fn reasonable(invalid: &Invalid) -> TestCaseResult {
    prop_assert!(!invalid.is_empty());
    let texts = serde_json::to_string(invalid.errors()).expect("texts");
    prop_assert!(!texts.contains("\"\"") && !texts.contains("[]"), "an empty reason: {texts}");
    Ok(())
}

fn bytes<'a>(texts: &[&'a str]) -> Vec<&'a [u8]> {
    texts.iter().map(|text| text.as_bytes()).collect()
}

/// What is accepted is the same name again when it is quoted.
#[test]
fn identifiers_are_read_or_refused() {
    fuzz(10_000, damaged_text(IDENTIFIERS, IDENTIFIER_TOKENS), |text| {
        if let Ok(name) = parse_relation(&text) {
            for part in [&name.schema, &name.name] {
                prop_assert!((1..=63).contains(&part.len()), "{part:?}");
            }
            prop_assert_eq!(parse_relation(&name.quoted()), Ok(name));
        }
        if let Ok(columns) = parse_columns(&text) {
            let quoted: Vec<_> = columns.iter().map(|column| quote_identifier(column)).collect();
            prop_assert_eq!(parse_columns(&quoted.join(",")), Ok(columns));
        }
        Ok(())
    });
}
