//! `LIKE .. ESCAPE`: a pattern with an escape character of its own becomes one with a backslash. And the functions behind LIKE.

use crate::engine::filter::catalog::arguments::{Arguments, text_result};
use crate::engine::filter::catalog::{Collation, Outcome, Rows};
use crate::engine::filter::like;
use crate::engine::filter::types::Type::*;
use crate::engine::filter::value::{Failure, Value};

pub fn add(rows: &mut Rows) {
    rows.strict("like_escape", [Text, Text], Text, like_escape);
    rows.missing("like_escape", [Bytea, Bytea], Bytea);
    for ty in [Text, Name] {
        rows.strict("like", [ty, Text], Bool, |a| matches(a, true)).collation = Collation::Known;
        rows.strict("notlike", [ty, Text], Bool, |a| matches(a, false)).collation = Collation::Known;
    }
    rows.missing("like", [Bytea, Bytea], Bool);
    rows.missing("notlike", [Bytea, Bytea], Bool);
}

fn matches<'a>(arguments: &mut Arguments<'a>, wanted: bool) -> Outcome<'a> {
    let (text, pattern) = (arguments.bytes(0)?, arguments.bytes(1)?);
    Ok(Some(Value::Bool(like::matches(&text, &pattern)? == wanted)))
}

/// An empty escape takes backslashes as they are; a backslash behind the escape character stays one.
fn like_escape<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let (pattern, escape) = (arguments.text(0)?, arguments.text(1)?);
    let mut characters = escape.chars();
    let escape = characters.next();
    if characters.next().is_some() {
        return Err(Failure);
    }
    if escape == Some('\\') {
        return text_result(pattern.to_owned());
    }
    let mut escaped = false;
    let mut rewritten = String::with_capacity(pattern.len());
    for character in pattern.chars() {
        match character {
            _ if Some(character) == escape && !escaped => {
                rewritten.push('\\');
                escaped = true;
                continue;
            }
            '\\' if !escaped => rewritten.push_str("\\\\"),
            character => rewritten.push(character),
        }
        escaped = false;
    }
    text_result(rewritten)
}
