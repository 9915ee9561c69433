//! `LIKE` and its kin. The operator `~~` is LIKE, `!~~` is NOT LIKE.

use crate::engine::casing;
use crate::engine::filter::catalog::arguments::Arguments;
use crate::engine::filter::catalog::{Collation, Evaluate, Outcome, Rows};
use crate::engine::filter::types::Type::*;
use crate::engine::filter::value::{Failure, Value};
use crate::engine::filter::{like, posix};

pub fn add(rows: &mut Rows) {
    for ty in [Text, Name, Bpchar] {
        rows.strict("~~", [ty, Text], Bool, matches).collation = Collation::Known;
        rows.strict("!~~", [ty, Text], Bool, differs).collation = Collation::Known;
    }
    for ty in [Text, Name, Bpchar] {
        rows.strict("~~*", [ty, Text], Bool, |a| folded(a, false)).collation = Collation::Bytes;
        rows.strict("!~~*", [ty, Text], Bool, |a| folded(a, true)).collation = Collation::Bytes;
        rows.strict("unicode ~~*", [ty, Text], Bool, |a| mapped(a, false)).name = "~~*";
        rows.strict("unicode !~~*", [ty, Text], Bool, |a| mapped(a, true)).name = "!~~*";
        for (name, run) in REGEX {
            rows.strict(name, [ty, Text], Bool, run).collation = Collation::Bytes;
        }
    }
    rows.missing("~~", [Bytea, Bytea], Bool);
    rows.missing("!~~", [Bytea, Bytea], Bool);
}

/// Patterns that are no constant are refused, so these only see constants: rows are matched by what was compiled once.
const REGEX: [(&str, Evaluate); 4] = [
    ("~", |a| regex(a, false, false)),
    ("!~", |a| regex(a, false, true)),
    ("~*", |a| regex(a, true, false)),
    ("!~*", |a| regex(a, true, true)),
];

fn regex<'a>(arguments: &Arguments<'a>, fold: bool, negated: bool) -> Outcome<'a> {
    let regex = posix::compile(arguments.text(1)?, fold).map_err(|_| Failure)?;
    Ok(Some(Value::Bool(regex.is_match(arguments.text(0)?) != negated)))
}

/// Letters of ASCII match in both cases.
fn folded<'a>(arguments: &mut Arguments<'a>, negated: bool) -> Outcome<'a> {
    let (text, pattern) = (arguments.bytes(0)?, arguments.bytes(1)?);
    let matches = like::matches(&text.to_ascii_lowercase(), &pattern.to_ascii_lowercase())?;
    Ok(Some(Value::Bool(matches != negated)))
}

/// All letters that we know match in both cases.
fn mapped<'a>(arguments: &mut Arguments<'a>, negated: bool) -> Outcome<'a> {
    let small = |text: &str| text.chars().map(casing::lower).collect::<Option<String>>().ok_or(Failure);
    let (text, pattern) = (small(arguments.text(0)?)?, small(arguments.text(1)?)?);
    Ok(Some(Value::Bool(like::matches(text.as_bytes(), pattern.as_bytes())? != negated)))
}

fn matches<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let (text, pattern) = (arguments.bytes(0)?, arguments.bytes(1)?);
    Ok(Some(Value::Bool(like::matches(&text, &pattern)?)))
}

fn differs<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let (text, pattern) = (arguments.bytes(0)?, arguments.bytes(1)?);
    Ok(Some(Value::Bool(!like::matches(&text, &pattern)?)))
}
