//! `LIKE` and its kin. The operator `~~` is LIKE, `!~~` is NOT LIKE.

use crate::engine::filter::catalog::arguments::Arguments;
use crate::engine::filter::catalog::{Collation, Outcome, Rows};
use crate::engine::filter::like;
use crate::engine::filter::types::Type::*;
use crate::engine::filter::value::Value;

pub fn add(rows: &mut Rows) {
    for ty in [Text, Name, Bpchar] {
        rows.strict("~~", [ty, Text], Bool, matches).collation = Collation::Known;
        rows.strict("!~~", [ty, Text], Bool, differs).collation = Collation::Known;
    }
    rows.missing("~~", [Bytea, Bytea], Bool);
    rows.missing("!~~", [Bytea, Bytea], Bool);
}

fn matches<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let (text, pattern) = (arguments.bytes(0)?, arguments.bytes(1)?);
    Ok(Some(Value::Bool(like::matches(&text, &pattern)?)))
}

fn differs<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let (text, pattern) = (arguments.bytes(0)?, arguments.bytes(1)?);
    Ok(Some(Value::Bool(!like::matches(&text, &pattern)?)))
}
