//! Evaluates a typed tree on one row, with SQL's three values: `None` is NULL.

use std::borrow::Cow;

use bytes::Bytes;

use super::decimal::{Decimal, NoResult};
use super::like;
use super::tree::{Arithmetic, Kind, List, Node};
use super::types::Type;
use super::value::{Failure, NAME_BYTES, Value, fits};

type Outcome<'a> = Result<Option<Value<'a>>, Failure>;

impl From<NoResult> for Failure {
    fn from(_: NoResult) -> Failure {
        Failure
    }
}

/// The value of an expression for a row; a row that is too short fails.
pub fn evaluate<'a>(node: &'a Node, row: &'a [Option<Bytes>]) -> Outcome<'a> {
    match &node.kind {
        Kind::Column(position) => match row.get(*position) {
            Some(Some(text)) => Value::read(node.ty, text).map(Some),
            Some(None) => Ok(None),
            None => Err(Failure),
        },
        Kind::Constant(value) => Ok(value.as_ref().map(borrow)),
        Kind::Cast(value) => cast(value, node.ty, row),
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
        Kind::Like { negated, value, pattern } => {
            let (Some(Value::Text(text)), Some(Value::Text(pattern))) =
                (evaluate(value, row)?, evaluate(pattern, row)?)
            else {
                return Ok(None);
            };
            Ok(Some(Value::Bool(like::matches(&text, &pattern)? != *negated)))
        }
        Kind::Arithmetic(operator, left, right) => {
            let (Some(left), Some(right)) = (evaluate(left, row)?, evaluate(right, row)?) else {
                return Ok(None);
            };
            calculate(*operator, node.ty, left, right).map(Some)
        }
        Kind::Negate(value) => evaluate(value, row)?.map(|value| negate(node.ty, value)).transpose(),
        Kind::And(list) => all(list, row, true),
        Kind::Or(list) => all(list, row, false),
        Kind::Not(value) => Ok(truth(evaluate(value, row)?)?.map(|value| Value::Bool(!value))),
        Kind::IsNull { negated, value } => is_null(value, row).map(|null| Some(Value::Bool(null != *negated))),
        Kind::IsBool { negated, wanted, value } => {
            let is = truth(evaluate(value, row)?)? == *wanted;
            Ok(Some(Value::Bool(is != *negated)))
        }
    }
}

fn borrow<'a>(value: &'a Value<'static>) -> Value<'a> {
    match value {
        Value::Text(text) => Value::Text(Cow::Borrowed(text.as_ref())),
        Value::Numeric(value) => Value::Numeric(value.borrow()),
        Value::Bool(value) => Value::Bool(*value),
        Value::Int(value) => Value::Int(*value),
        Value::Float(value) => Value::Float(*value),
        Value::Date(days) => Value::Date(*days),
        Value::Time(micros) => Value::Time(*micros),
        Value::Timestamp(micros) => Value::Timestamp(*micros),
    }
}

/// A null test does not read the value, so that it works on any type.
fn is_null(value: &Node, row: &[Option<Bytes>]) -> Result<bool, Failure> {
    match value.kind {
        Kind::Column(position) => row.get(position).map(Option::is_none).ok_or(Failure),
        _ => evaluate(value, row).map(|value| value.is_none()),
    }
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

fn trim(text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let kept = text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..kept]),
        Cow::Owned(mut text) => {
            text.truncate(kept);
            Cow::Owned(text)
        }
    }
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
        if found.compare(&unpadded(list.ty, borrow(candidate)))?.is_eq() {
            return Ok(Some(true));
        }
    }
    Ok(unknown)
}

/// Converts a value. To text, a column's own text is what Postgres prints, but for `bool` and the padding of `bpchar`.
fn cast<'a>(value: &'a Node, to: Type, row: &'a [Option<Bytes>]) -> Outcome<'a> {
    let printed = to.is_string() && to != Type::Name && value.ty != Type::Bool;
    if let (Kind::Column(position), true) = (&value.kind, printed) {
        let text = match row.get(*position).ok_or(Failure)? {
            Some(text) => Cow::Borrowed(text.as_ref()),
            None => return Ok(None),
        };
        let text = if value.ty == Type::Bpchar && to != Type::Bpchar { trim(text) } else { text };
        return Ok(Some(Value::Text(text)));
    }
    let Some(read) = evaluate(value, row)? else { return Ok(None) };
    convert(read, value.ty, to).map(Some)
}

fn convert<'a>(value: Value<'a>, from: Type, to: Type) -> Result<Value<'a>, Failure> {
    let text = |text: String| Value::Text(Cow::Owned(text.into_bytes()));
    Ok(match (value, to) {
        (Value::Text(text), _) if to.is_string() && from == Type::Bpchar && to != Type::Bpchar => {
            Value::Text(trim(text))
        }
        (Value::Bool(true), _) if to.is_string() => text("true".into()),
        (Value::Bool(false), _) if to.is_string() => text("false".into()),
        (Value::Bool(value), Type::Int4) => Value::Int(i64::from(value)),
        (Value::Int(value), Type::Bool) => Value::Bool(value != 0),
        (Value::Int(value), Type::Int2 | Type::Int4 | Type::Int8) if fits(to, value) => Value::Int(value),
        (Value::Int(value), Type::Float4) => Value::Float(f64::from(value as f32)),
        (Value::Int(value), Type::Float8) => Value::Float(value as f64),
        (Value::Int(value), Type::Numeric) => Value::Numeric(Decimal::from(value)),
        (Value::Numeric(value), Type::Float4 | Type::Float8) => Value::Float(value.to_float(to == Type::Float4)?),
        (Value::Float(value), Type::Float8) => Value::Float(value),
        (Value::Date(days), Type::Timestamp) => Value::Timestamp(super::moment::midnight(days).ok_or(Failure)?),
        (Value::Text(text), Type::Name) if from != Type::Name => Value::Text(name(text)),
        (value @ Value::Text(_), _) if to.is_string() => value,
        (value, _) if from == to => value,
        (value, _) if to.is_string() && !from.is_float() => text(value.print(from)),
        _ => return Err(Failure),
    })
}

/// The type `name` keeps 63 bytes, and no half characters.
fn name(text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let mut kept = text.len().min(NAME_BYTES);
    while text.get(kept).is_some_and(|byte| byte & 0xC0 == 0x80) {
        kept -= 1;
    }
    if kept == text.len() { text } else { Cow::Owned(text[..kept].to_vec()) }
}

fn negate<'a>(ty: Type, value: Value<'a>) -> Result<Value<'a>, Failure> {
    match value {
        Value::Int(value) => in_range(ty, value.checked_neg()),
        Value::Float(value) => Ok(Value::Float(-value)),
        Value::Numeric(value) => Ok(Value::Numeric(value.negate())),
        _ => Err(Failure),
    }
}

fn in_range<'a>(ty: Type, value: Option<i64>) -> Result<Value<'a>, Failure> {
    value.filter(|value| fits(ty, *value)).map(Value::Int).ok_or(Failure)
}

fn calculate<'a>(operator: Arithmetic, ty: Type, left: Value<'_>, right: Value<'_>) -> Result<Value<'a>, Failure> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => in_range(
            ty,
            match operator {
                Arithmetic::Add => left.checked_add(right),
                Arithmetic::Subtract => left.checked_sub(right),
                Arithmetic::Multiply => left.checked_mul(right),
                Arithmetic::Divide => left.checked_div(right),
            },
        ),
        (Value::Numeric(left), Value::Numeric(right)) => Ok(Value::Numeric(match operator {
            Arithmetic::Add => left.add(&right),
            Arithmetic::Subtract => left.subtract(&right),
            Arithmetic::Multiply => left.multiply(&right),
            Arithmetic::Divide => left.divide(&right),
        }?)),
        (Value::Float(left), Value::Float(right)) => calculate_float(operator, ty, left, right).map(Value::Float),
        _ => Err(Failure),
    }
}

/// Infinity and zero out of ordinary numbers are errors in Postgres.
fn calculate_float(operator: Arithmetic, ty: Type, left: f64, right: f64) -> Result<f64, Failure> {
    let exact = match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide if right == 0.0 && !left.is_nan() => return Err(Failure),
        Arithmetic::Divide => left / right,
    };
    // Rounding a double's result of two singles to single is exact for these four operators.
    let result = if ty == Type::Float4 { f64::from(exact as f32) } else { exact };
    let overflow =
        result.is_infinite() && !left.is_infinite() && (operator == Arithmetic::Divide || !right.is_infinite());
    let underflow = result == 0.0
        && left != 0.0
        && match operator {
            Arithmetic::Multiply => right != 0.0,
            Arithmetic::Divide => !right.is_infinite(),
            _ => false,
        };
    if overflow || underflow { Err(Failure) } else { Ok(result) }
}
