//! Evaluates a typed tree on one row, with SQL's three values: `None` is NULL.

mod array;

use std::borrow::Cow;

use bytes::Bytes;
use regex::Regex;

use super::catalog::arguments::Arguments;
use super::catalog::casts::Convert;
use super::catalog::{Body, Function, Outcome};
use super::decimal::NoResult;
use super::functions::convert::{trim, vanishes};
use super::tree::{Comparison, Kind, List, Node};
use super::types::Type;
use super::value::{Failure, Value};

impl From<NoResult> for Failure {
    fn from(_: NoResult) -> Failure {
        Failure
    }
}

/// The value of an expression for a row; a row that is too short fails.
pub fn evaluate<'a>(node: &'a Node, row: &'a [Option<Bytes>]) -> Outcome<'a> {
    match &node.kind {
        // Known only to those who follow it.
        Kind::InSubquery(_) => Err(Failure),
        Kind::Column(position) => match row.get(*position) {
            Some(Some(text)) => Value::read(node.ty, text).map(Some),
            Some(None) => Ok(None),
            None => Err(Failure),
        },
        Kind::Constant(value) => Ok(value.as_ref().map(Value::borrow)),
        Kind::Cast { by, value } => cast(*by, value, node.ty, row),
        Kind::Call { function, arguments } => call(function, arguments, node.ty, row),
        Kind::Compare(comparison, left, right) => {
            let (Some(left_value), Some(right_value)) = (evaluate(left, row)?, evaluate(right, row)?) else {
                return Ok(None);
            };
            let order = unpadded(left.ty, left_value).compare(&unpadded(right.ty, right_value))?;
            Ok(Some(Value::Bool(comparison.holds(order))))
        }
        Kind::Distinct { negated, left, right } => {
            let same = match (evaluate(left, row)?, evaluate(right, row)?) {
                (Some(left_value), Some(right_value)) => {
                    unpadded(left.ty, left_value).compare(&unpadded(right.ty, right_value))?.is_eq()
                }
                (None, None) => true,
                _ => false,
            };
            Ok(Some(Value::Bool(same == *negated)))
        }
        Kind::In { negated, value, list } => {
            let found = contains(list, value, row)?;
            Ok(found.map(|found| Value::Bool(found != *negated)))
        }
        Kind::Matches { function, arguments, regex } => matches(function, arguments, regex, row),
        Kind::Quantified { all, function, value, array } => array::quantified(*all, function, value, array, row),
        Kind::Array(list) => array::construct(node.ty, list, row),
        Kind::Element { array, indexes } => array::element(node.ty, array, indexes, row),
        Kind::Slice { array, bounds } => array::slice(array, bounds, row),
        Kind::Case { branches, otherwise } => {
            for (condition, result) in branches {
                if truth(evaluate(condition, row)?)? == Some(true) {
                    return evaluate(result, row);
                }
            }
            evaluate(otherwise, row)
        }
        Kind::Coalesce(list) => {
            for node in list {
                if let Some(value) = evaluate(node, row)? {
                    return Ok(Some(value));
                }
            }
            Ok(None)
        }
        Kind::Extreme { greatest, list } => extreme(*greatest, list, row),
        Kind::NullIf(left, right) => {
            let (Some(value), Some(other)) = (evaluate(left, row)?, evaluate(right, row)?) else {
                return evaluate(left, row);
            };
            let (value, other) = (unpadded(left.ty, value), unpadded(right.ty, other));
            if value.compare(&other)?.is_eq() { Ok(None) } else { evaluate(left, row) }
        }
        Kind::Rows(comparison, pairs) => compare_rows(*comparison, pairs, row),
        Kind::And(list) => all(list, row, true),
        Kind::Or(list) => all(list, row, false),
        Kind::Not(value) => Ok(truth(evaluate(value, row)?)?.map(|value| Value::Bool(!value))),
        Kind::IsNull { negated, value } => is_null(value, row).map(|null| Some(Value::Bool(null != *negated))),
        Kind::IsNullRow { negated, column } => {
            let text = row.get(*column).ok_or(Failure)?.as_deref();
            let holds = match (text, negated) {
                (None, negated) => !negated,
                (Some(text), false) => fields(text).all(|empty| empty),
                (Some(text), true) => !fields(text).any(|empty| empty),
            };
            Ok(Some(Value::Bool(holds)))
        }
        Kind::IsBool { negated, wanted, value } => {
            let is = truth(evaluate(value, row)?)? == *wanted;
            Ok(Some(Value::Bool(is != *negated)))
        }
    }
}

fn call<'a>(function: &'a Function, arguments: &'a [Node], result: Type, row: &'a [Option<Bytes>]) -> Outcome<'a> {
    let mut given = Arguments { values: Default::default(), types: Default::default(), result };
    // All are evaluated even if one is NULL, as Postgres does: one of the others may fail.
    for argument in arguments {
        given.values.push(evaluate(argument, row)?);
        given.types.push(argument.ty);
    }
    if function.strict && given.values.iter().any(Option::is_none) {
        return Ok(None);
    }
    match function.body {
        Body::Run(run) => run(&mut given),
        Body::Compare(_) | Body::Missing => Err(Failure),
    }
}

fn matches<'a>(function: &Function, arguments: &'a [Node], regex: &Regex, row: &'a [Option<Bytes>]) -> Outcome<'a> {
    let Some(value) = arguments.first() else { return Err(Failure) };
    match evaluate(value, row)? {
        None => Ok(None),
        Some(Value::Text(text)) => {
            let text = std::str::from_utf8(&text).map_err(|_| Failure)?;
            Ok(Some(Value::Bool(regex.is_match(text) != function.name.starts_with('!'))))
        }
        Some(_) => Err(Failure),
    }
}

/// A null test does not read the value, so that it works on any type.
fn is_null(value: &Node, row: &[Option<Bytes>]) -> Result<bool, Failure> {
    match value.kind {
        Kind::Column(position) => row.get(position).map(Option::is_none).ok_or(Failure),
        _ => evaluate(value, row).map(|value| value.is_none()),
    }
}

/// Whether each field of a composite value's text is NULL, which prints as nothing: `(1,,"a,b")`.
fn fields(text: &[u8]) -> impl Iterator<Item = bool> {
    let inner = text.strip_prefix(b"(").and_then(|text| text.strip_suffix(b")")).unwrap_or(text);
    let mut quoted = false;
    // A doubled quote inside of quotes switches twice; a backslash is doubled and never stands before a single quote.
    let split = inner.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    });
    split.map(<[u8]>::is_empty)
}

fn truth(value: Option<Value<'_>>) -> Result<Option<bool>, Failure> {
    match value {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(value)),
        Some(_) => Err(Failure),
    }
}

/// AND with `neutral` true, OR with false: the other truth value decides at once, in written order as Postgres does it.
fn all<'a>(list: &'a [Node], row: &'a [Option<Bytes>], neutral: bool) -> Outcome<'a> {
    let mut unknown = false;
    for node in list {
        match truth(evaluate(node, row)?)? {
            Some(value) if value != neutral => return Ok(Some(Value::Bool(value))),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { None } else { Some(Value::Bool(neutral)) })
}

/// Blanks at the end of a blank-padded string do not count in comparisons.
fn unpadded(ty: Type, value: Value<'_>) -> Value<'_> {
    match value {
        Value::Text(text) if ty == Type::Bpchar => Value::Text(trim(text)),
        value => value,
    }
}

/// The greatest or least of those that are not NULL; the first of equal ones.
fn extreme<'a>(greatest: bool, list: &'a [Node], row: &'a [Option<Bytes>]) -> Outcome<'a> {
    let mut found: Option<(Value<'a>, Value<'a>)> = None;
    for node in list {
        let Some(value) = evaluate(node, row)? else { continue };
        let bare = unpadded(node.ty, value.clone());
        let better = match &found {
            None => true,
            Some((_, best)) if greatest => bare.compare(best)?.is_gt(),
            Some((_, best)) => bare.compare(best)?.is_lt(),
        };
        if better {
            found = Some((value, bare));
        }
    }
    Ok(found.map(|(value, _)| value))
}

/// Pairs are evaluated up to the first that differs or has a NULL, which makes the result NULL.
fn compare_rows<'a>(comparison: Comparison, pairs: &'a [(Node, Node)], row: &'a [Option<Bytes>]) -> Outcome<'a> {
    let mut order = std::cmp::Ordering::Equal;
    for (left, right) in pairs {
        let (Some(one), Some(other)) = (evaluate(left, row)?, evaluate(right, row)?) else { return Ok(None) };
        order = unpadded(left.ty, one).compare(&unpadded(right.ty, other))?;
        if order.is_ne() {
            break;
        }
    }
    Ok(Some(Value::Bool(comparison.holds(order))))
}

fn contains(list: &List, value: &Node, row: &[Option<Bytes>]) -> Result<Option<bool>, Failure> {
    let unknown = if list.has_null { None } else { Some(false) };
    if let (Some(texts), Some(position)) = (&list.texts, value.text_column()) {
        return match row.get(position).ok_or(Failure)? {
            Some(text) if texts.contains(text) => Ok(Some(true)),
            Some(_) => Ok(unknown),
            None => Ok(None),
        };
    }
    let Some(found) = evaluate(value, row)? else { return Ok(None) };
    let found = unpadded(value.ty, found);
    for candidate in &list.values {
        if found.compare(&unpadded(list.ty, candidate.borrow()))?.is_eq() {
            return Ok(Some(true));
        }
    }
    Ok(unknown)
}

/// Converts a value. To text, a column's own text is what Postgres prints, but for `bool` and the padding of `bpchar`.
fn cast<'a>(by: Convert, value: &'a Node, to: Type, row: &'a [Option<Bytes>]) -> Outcome<'a> {
    if let (Kind::Column(position), true) = (&value.kind, to.is_string() && value.ty.prints_as_read(to)) {
        let text = row.get(*position).ok_or(Failure)?;
        return Ok(text.as_ref().map(|text| Value::Text(Cow::Borrowed(text.as_ref()))));
    }
    match evaluate(value, row)? {
        Some(read) if !vanishes(&read, to) => by(read, value.ty, to).map(Some),
        _ => Ok(None),
    }
}
