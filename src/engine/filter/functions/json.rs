//! Operators and functions on `json` and `jsonb`.

use std::borrow::Cow;

use crate::engine::filter::array::Array;
use crate::engine::filter::catalog::arguments::Arguments;
use crate::engine::filter::catalog::{Evaluate, Outcome, Rows};
use crate::engine::filter::decimal::Decimal;
use crate::engine::filter::json::{self, compare, scan, tree};
use crate::engine::filter::types::Type::{self, *};
use crate::engine::filter::value::{Failure, Value};

use super::convert;

/// `text[]`: paths and lists of keys.
const TEXTS: Type = Type::Array(25);

pub fn add(rows: &mut Rows) {
    for ty in [Json, Jsonb] {
        rows.strict("->", [ty, Text], ty, |a| taken(a, field, Taken::Json));
        rows.strict("->", [ty, Int4], ty, |a| taken(a, element, Taken::Json));
        rows.strict("->>", [ty, Text], Text, |a| taken(a, field, Taken::Text));
        rows.strict("->>", [ty, Int4], Text, |a| taken(a, element, Taken::Text));
        rows.strict("#>", [ty, TEXTS], ty, |a| taken(a, path, Taken::Json));
        rows.strict("#>>", [ty, TEXTS], Text, |a| taken(a, path, Taken::Text));
    }
    rows.equality(Jsonb, Jsonb);
    rows.no_order(Jsonb, Jsonb);
    rows.strict("@>", [Jsonb, Jsonb], Bool, |a| truth(compare::contains(&a.bytes(0)?, &a.bytes(1)?)));
    rows.strict("<@", [Jsonb, Jsonb], Bool, |a| truth(compare::contains(&a.bytes(1)?, &a.bytes(0)?)));
    rows.strict("?", [Jsonb, Text], Bool, |a| truth(compare::exists(&a.bytes(0)?, &a.bytes(1)?)));
    rows.strict("?|", [Jsonb, TEXTS], Bool, |a| keys(a, |found, _| found > 0));
    rows.strict("?&", [Jsonb, TEXTS], Bool, |a| keys(a, |found, all| found == all));
    rows.missing("||", [Jsonb, Jsonb], Jsonb);
    rows.missing("-", [Jsonb, Text], Jsonb);
    rows.missing("-", [Jsonb, Int4], Jsonb);
    rows.missing("-", [Jsonb, TEXTS], Jsonb);
    rows.missing("#-", [Jsonb, TEXTS], Jsonb);
    let typeof_: Evaluate = |a| {
        let name = json::type_name(&a.bytes(0)?)?;
        Ok(Some(Value::Text(Cow::Borrowed(name.as_bytes()))))
    };
    rows.strict("json_typeof", [Json], Text, typeof_);
    rows.strict("jsonb_typeof", [Jsonb], Text, typeof_);
    let length: Evaluate = |a| {
        let count = json::count(&a.bytes(0)?)?.ok_or(Failure)?;
        a.int_result(i64::try_from(count).ok())
    };
    rows.strict("json_array_length", [Json], Int4, length);
    rows.strict("jsonb_array_length", [Jsonb], Int4, length);
}

fn truth<'a>(value: Result<bool, Failure>) -> Outcome<'a> {
    value.map(|value| Some(Value::Bool(value)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Json,
    Text,
}

/// Finds a part by the second argument.
type Find = for<'j> fn(&'j [u8], &mut Arguments<'_>) -> json::Part<'j>;

fn taken<'a>(arguments: &mut Arguments<'a>, find: Find, taken: Taken) -> Outcome<'a> {
    let ty = arguments.ty(0);
    let json = arguments.bytes(0)?;
    if arguments.ty(1) == TEXTS && has_null(arguments.get(1))? {
        return Ok(None);
    }
    // Postgres reads the whole text, and fails on characters that it cannot write.
    if ty == Json && memchr::memmem::find(&json, b"\\u").is_some() && !scan::has_text(&json) {
        return Err(Failure);
    }
    let part = find_in(json, arguments, find)?;
    let Some(part) = part else { return Ok(None) };
    match taken {
        Taken::Json => Ok(Some(wrapped(ty, part))),
        Taken::Text => text_of(part).map(|text| text.map(Value::Text)),
    }
}

/// A path with a NULL in it leads nowhere, whatever the text is.
fn has_null(path: Option<&Value<'_>>) -> Result<bool, Failure> {
    let Some(Value::Array(_, path)) = path else { return Err(Failure) };
    Ok(Array::read(path).ok_or(Failure)?.elements.iter().any(Option::is_none))
}

fn wrapped(ty: Type, text: Cow<'_, [u8]>) -> Value<'_> {
    if ty == Jsonb { Value::Jsonb(text) } else { Value::Text(text) }
}

/// The part borrows from the row where the whole does.
fn find_in<'a>(
    json: Cow<'a, [u8]>,
    arguments: &mut Arguments<'_>,
    find: Find,
) -> Result<Option<Cow<'a, [u8]>>, Failure> {
    match json {
        Cow::Borrowed(json) => find(json, arguments).map(|part| part.map(Cow::Borrowed)),
        Cow::Owned(json) => find(&json, arguments).map(|part| part.map(|part| Cow::Owned(part.to_vec()))),
    }
}

fn text_of(part: Cow<'_, [u8]>) -> Result<Option<Cow<'_, [u8]>>, Failure> {
    match part {
        Cow::Borrowed(part) => json::as_text(part),
        Cow::Owned(part) => Ok(json::as_text(&part)?.map(|text| Cow::Owned(text.into_owned()))),
    }
}

fn field<'j>(json: &'j [u8], arguments: &mut Arguments<'_>) -> json::Part<'j> {
    json::field(json, &arguments.bytes(1)?)
}

fn element<'j>(json: &'j [u8], arguments: &mut Arguments<'_>) -> json::Part<'j> {
    let index = arguments.int(1)?;
    if arguments.ty(0) == Jsonb { json::element_of_jsonb(json, index) } else { json::element(json, index) }
}

fn path<'j>(json: &'j [u8], arguments: &mut Arguments<'_>) -> json::Part<'j> {
    let path = arguments.bytes(1)?;
    let path = Array::read(&path).ok_or(Failure)?;
    let steps: Option<Vec<&[u8]>> = path.elements.iter().map(Option::as_deref).collect();
    steps.map_or(Ok(None), |steps| json::at_path(json, &steps))
}

/// How many of the keys are there, NULLs left out.
fn keys<'a>(arguments: &mut Arguments<'a>, holds: fn(usize, usize) -> bool) -> Outcome<'a> {
    let (json, keys) = (arguments.bytes(0)?, arguments.bytes(1)?);
    let keys = Array::read(&keys).ok_or(Failure)?;
    let (mut found, mut all) = (0, 0);
    for key in keys.elements.iter().flatten() {
        all += 1;
        found += usize::from(compare::exists(&json, key)?);
    }
    Ok(Some(Value::Bool(holds(found, all))))
}

/// From `json` or a string to `jsonb`, and the other way round.
pub fn cast<'a>(value: Value<'a>, _: Type, to: Type) -> Result<Value<'a>, Failure> {
    let (Value::Text(text) | Value::Jsonb(text)) = value else { return Err(Failure) };
    if to == Jsonb { tree::normal(&text).map(|text| Value::Jsonb(Cow::Owned(text))) } else { Ok(Value::Text(text)) }
}

/// A string as `json`, exactly as it is.
pub fn verbatim<'a>(value: Value<'a>, _: Type, _: Type) -> Result<Value<'a>, Failure> {
    let Value::Text(text) = value else { return Err(Failure) };
    if scan::is_valid(&text) { Ok(Value::Text(text)) } else { Err(Failure) }
}

/// A number in a `jsonb` as a number, and a truth value as one; anything else fails.
pub fn scalar<'a>(value: Value<'a>, _: Type, to: Type) -> Result<Value<'a>, Failure> {
    let Value::Jsonb(text) = value else { return Err(Failure) };
    match (scan::shape(&text), to) {
        (Some(scan::Shape::Bool), Type::Bool) => Ok(Value::Bool(text.as_ref() == b"true")),
        (Some(scan::Shape::Number), Type::Bool) => Err(Failure),
        (Some(scan::Shape::Number), _) => {
            let number = Decimal::read(&text).ok_or(Failure)?.into_owned();
            match to {
                Numeric => Ok(Value::Numeric(number)),
                Float4 | Float8 => convert::float(Value::Numeric(number), Numeric, to),
                _ => convert::integer(Value::Numeric(number), Numeric, to),
            }
        }
        _ => Err(Failure),
    }
}
