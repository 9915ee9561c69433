//! The conversions behind casts.

use std::borrow::Cow;

use super::json;
use crate::engine::filter::catalog::casts::Convert;
use crate::engine::filter::decimal::Decimal;
use crate::engine::filter::moment::{self, DAY, INFINITE_DATE, INFINITE_TIMESTAMP};
use crate::engine::filter::types::Type;
use crate::engine::filter::value::{Failure, Interval, NAME_BYTES, Value, fits};

type Converted<'a> = Result<Value<'a>, Failure>;

fn text<'a>(text: String) -> Value<'a> {
    Value::Text(Cow::Owned(text.into_bytes()))
}

/// To an integer: fractions are rounded, of floats to the even neighbour, of `numeric` away from zero.
pub fn integer<'a>(value: Value<'a>, _: Type, to: Type) -> Converted<'a> {
    let whole = match value {
        Value::Int(value) => value,
        Value::Float(value) => {
            let rounded = value.round_ties_even();
            // The bounds of int8 as floats: the upper one is out of range already.
            let within = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded);
            if within { rounded as i64 } else { return Err(Failure) }
        }
        Value::Numeric(value) => value.to_integer()?,
        _ => return Err(Failure),
    };
    if fits(to, whole) { Ok(Value::Int(whole)) } else { Err(Failure) }
}

pub fn float<'a>(value: Value<'a>, _: Type, to: Type) -> Converted<'a> {
    let single = to == Type::Float4;
    Ok(Value::Float(match value {
        Value::Int(value) if single => f64::from(value as f32),
        Value::Int(value) => value as f64,
        Value::Numeric(value) => value.to_float(single)?,
        Value::Float(value) if single => {
            let narrow = value as f32;
            let lost = (narrow.is_infinite() && !value.is_infinite()) || (narrow == 0.0 && value != 0.0);
            if lost { return Err(Failure) } else { f64::from(narrow) }
        }
        Value::Float(value) => value,
        _ => return Err(Failure),
    }))
}

/// To `numeric`: a float gives the 15 digits, a single one the 6, that are surely right.
pub fn numeric<'a>(value: Value<'a>, from: Type, _: Type) -> Converted<'a> {
    Ok(Value::Numeric(match value {
        Value::Int(value) => Decimal::from(value),
        Value::Float(value) => Decimal::from_float(value, if from == Type::Float4 { 6 } else { 15 }).ok_or(Failure)?,
        _ => return Err(Failure),
    }))
}

pub fn truth<'a>(value: Value<'a>, _: Type, _: Type) -> Converted<'a> {
    match value {
        Value::Bool(value) => Ok(Value::Int(i64::from(value))),
        Value::Int(value) => Ok(Value::Bool(value != 0)),
        _ => Err(Failure),
    }
}

/// To a string, from one or from `bool`.
pub fn string<'a>(value: Value<'a>, from: Type, to: Type) -> Converted<'a> {
    let value = match value {
        Value::Bool(true) => return Ok(text("true".into())),
        Value::Bool(false) => return Ok(text("false".into())),
        Value::Text(value) if from == Type::Bpchar && to != Type::Bpchar => trim(value),
        Value::Text(value) => value,
        _ => return Err(Failure),
    };
    Ok(Value::Text(if to == Type::Name { name(value) } else { value }))
}

/// Between dates, times, timestamps and intervals. Times without a zone are UTC, as in every session of ours.
pub fn moment<'a>(value: Value<'a>, _: Type, to: Type) -> Converted<'a> {
    let infinite = |micros: i64| micros.unsigned_abs() == INFINITE_TIMESTAMP.unsigned_abs();
    Ok(match (value, to) {
        (Value::Date(days), Type::Timestamp | Type::Timestamptz) => {
            Value::Timestamp(moment::midnight(days).ok_or(Failure)?)
        }
        (Value::Timestamp(micros), Type::Timestamp | Type::Timestamptz) => Value::Timestamp(micros),
        (Value::Timestamp(micros), Type::Date) if infinite(micros) => {
            Value::Date(if micros > 0 { INFINITE_DATE } else { -INFINITE_DATE })
        }
        (Value::Timestamp(micros), Type::Date) => {
            Value::Date(i32::try_from(micros.div_euclid(DAY)).map_err(|_| Failure)?)
        }
        (Value::Timestamp(micros), Type::Time) if infinite(micros) => return Err(Failure),
        (Value::Timestamp(micros), Type::Time) => Value::Time(micros.rem_euclid(DAY)),
        (Value::Time(micros), Type::Interval) => Value::Interval(Interval { months: 0, days: 0, micros }),
        // It has no opposite, which Postgres needs.
        (Value::Interval(Interval { micros: i64::MIN, .. }), Type::Time) => return Err(Failure),
        (Value::Interval(interval), Type::Time) => Value::Time(interval.micros.rem_euclid(DAY)),
        _ => return Err(Failure),
    })
}

/// Whether a conversion makes NULL out of a value: an infinite timestamp has no time of the day, and a `null` in a `jsonb` is no
/// number (from Postgres 18 on; the printed SQL makes it so for those before).
pub fn vanishes(value: &Value<'_>, to: Type) -> bool {
    let infinite = |micros: &i64| micros.unsigned_abs() == INFINITE_TIMESTAMP.unsigned_abs();
    let is_scalar = to.is_number() || to == Type::Bool;
    match value {
        Value::Timestamp(micros) => to == Type::Time && infinite(micros),
        Value::Jsonb(text) => is_scalar && text.as_ref() == b"null",
        _ => false,
    }
}

/// How a type becomes a string by its output function; `None` if we do not print it as Postgres does.
pub fn to_text(from: Type) -> Option<Convert> {
    match from {
        Type::Timetz => None,
        _ => Some(|value, from, to| {
            let printed = Cow::Owned(value.print(from).into_bytes());
            Ok(Value::Text(if to == Type::Name { name(printed) } else { printed }))
        }),
    }
}

/// How a string becomes a type by its input function; `None` if we do not read it.
pub fn from_text(to: Type) -> Option<Convert> {
    match to {
        Type::Timetz | Type::Enum(_) => None,
        Type::Json => Some(json::verbatim),
        Type::Jsonb => Some(json::cast),
        Type::Array(_) if to.element().and_then(from_text).is_none() => None,
        _ => Some(|value, _, to| {
            let Value::Text(text) = value else { return Err(Failure) };
            let text = std::str::from_utf8(&text).map_err(|_| Failure)?;
            Value::parse(to, text).ok_or(Failure)
        }),
    }
}

/// Without the blanks at the end.
pub fn trim(text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let kept = text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..kept]),
        Cow::Owned(mut text) => {
            text.truncate(kept);
            Cow::Owned(text)
        }
    }
}

/// The type `name` keeps 63 bytes, and no half characters.
fn name(text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let mut kept = text.len().min(NAME_BYTES);
    while text.get(kept).is_some_and(|byte| byte & 0xC0 == 0x80) {
        kept -= 1;
    }
    if kept == text.len() { text } else { Cow::Owned(text[..kept].to_vec()) }
}
