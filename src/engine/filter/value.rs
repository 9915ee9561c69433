//! Values while a condition is evaluated, and how they are read: from a row's text, which Postgres printed, and from a client's
//! literal, which may be anything.

mod text;

use std::borrow::Cow;
use std::cmp::Ordering;

use self::text::{parse_bool, parse_bytea, parse_float, parse_uuid, print_float, read_float, read_int, truncate};
use super::decimal::Decimal;
use super::functions::array as arrays;
use super::types::Type;
use super::{array, interval, json, moment};

/// One value that is not NULL. Strings borrow from the row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    Bool(bool),
    /// `int2`, `int4` and `int8`; the expression's type has the range.
    Int(i64),
    /// `float8`, and `float4` widened to it, which is exact.
    Float(f64),
    Numeric(Decimal<'a>),
    /// Strings, and types whose text order is their order: `uuid`, `bytea` in hexadecimal; enums by their label; `timetz`, which
    /// is only tested for NULL; `json`, as it was written.
    Text(Cow<'a, [u8]>),
    /// Days from 2000-01-01.
    Date(i32),
    /// Microseconds from midnight.
    Time(i64),
    /// Microseconds from 2000-01-01 00:00, in UTC for `timestamptz`.
    Timestamp(i64),
    Interval(Interval),
    /// The output form of an array, and the type of its elements.
    Array(Type, Cow<'a, [u8]>),
    /// The output form.
    Jsonb(Cow<'a, [u8]>),
}

/// A span of time. A month has no fixed number of days, and a day none of hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

impl Interval {
    /// Greater than every other, from Postgres 17 on.
    pub const INFINITE: Interval = Interval { months: i32::MAX, days: i32::MAX, micros: i64::MAX };
    pub const NEGATIVE_INFINITE: Interval = Interval { months: i32::MIN, days: i32::MIN, micros: i64::MIN };

    pub fn is_infinite(self) -> bool {
        self == Self::INFINITE || self == Self::NEGATIVE_INFINITE
    }

    /// What Postgres compares: microseconds, a month being 30 days and a day 24 hours.
    pub fn span(self) -> i128 {
        let days = i128::from(self.months) * 30 + i128::from(self.days);
        days * i128::from(moment::DAY) + i128::from(self.micros)
    }
}

/// The most that the type `name` keeps of a text.
pub const NAME_BYTES: usize = 63;

/// Why a value cannot be used: Postgres fails here too, or the text is not what Postgres prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure;

impl<'a> Value<'a> {
    /// Reads the output form of a column of this type.
    pub fn read(ty: Type, text: &'a [u8]) -> Result<Value<'a>, Failure> {
        let value = match ty {
            Type::Bool => match text {
                b"t" | b"true" => Some(Value::Bool(true)),
                b"f" | b"false" => Some(Value::Bool(false)),
                _ => None,
            },
            Type::Int2 | Type::Int4 | Type::Int8 => read_int(text).map(Value::Int),
            Type::Float4 => read_float(text, true).map(Value::Float),
            Type::Float8 => read_float(text, false).map(Value::Float),
            Type::Numeric => Decimal::read(text).map(Value::Numeric),
            Type::Text
            | Type::Varchar
            | Type::Bpchar
            | Type::Name
            | Type::Uuid
            | Type::Bytea
            | Type::Enum(_)
            | Type::Json => Some(Value::Text(Cow::Borrowed(text))),
            Type::Jsonb => Some(Value::Jsonb(Cow::Borrowed(text))),
            Type::Array(_) => ty.element().map(|element| Value::Array(element, Cow::Borrowed(text))),
            Type::Date => moment::read_date(text).map(Value::Date),
            Type::Time => moment::read_time(text).map(Value::Time),
            Type::Timestamp => moment::read_timestamp(text, false).map(Value::Timestamp),
            Type::Timestamptz => moment::read_timestamp(text, true).map(Value::Timestamp),
            Type::Interval => interval::read(text).map(Value::Interval),
            _ => None,
        };
        value.ok_or(Failure)
    }

    /// Reads a client's literal as Postgres' input function would; forms of which we are not sure are refused.
    pub fn parse(ty: Type, text: &str) -> Option<Value<'static>> {
        let trimmed = text.trim_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
        let owned = |text: &str| Value::Text(Cow::Owned(text.as_bytes().to_vec()));
        match ty {
            Type::Bool => parse_bool(trimmed).map(Value::Bool),
            Type::Int2 | Type::Int4 | Type::Int8 => {
                let plain = trimmed.strip_prefix('+').filter(|rest| !rest.starts_with('-')).unwrap_or(trimmed);
                read_int(plain.as_bytes()).filter(|value| fits(ty, *value)).map(Value::Int)
            }
            Type::Float4 | Type::Float8 => parse_float(ty, trimmed).map(Value::Float),
            Type::Numeric => Decimal::parse(trimmed).map(Value::Numeric),
            Type::Text | Type::Varchar | Type::Bpchar => Some(owned(text)),
            Type::Name => Some(owned(truncate(text, NAME_BYTES))),
            Type::Uuid => parse_uuid(text).map(|text| Value::Text(Cow::Owned(text))),
            Type::Date => moment::input::date(trimmed).map(Value::Date),
            Type::Time => moment::input::time(trimmed).map(Value::Time),
            Type::Timestamp => moment::input::timestamp(trimmed, false).map(Value::Timestamp),
            Type::Timestamptz => moment::input::timestamp(trimmed, true).map(Value::Timestamp),
            Type::Interval => interval::parse(trimmed).map(Value::Interval),
            Type::Bytea => parse_bytea(text).map(|text| Value::Text(Cow::Owned(text))),
            // A label that does not exist fails in the snapshot query.
            Type::Enum(_) => Some(owned(text)),
            Type::Array(_) => arrays::parse(ty.element()?, text),
            Type::Json => json::scan::is_valid(text.as_bytes()).then(|| owned(text)),
            Type::Jsonb => json::tree::normal(text.as_bytes()).ok().map(|text| Value::Jsonb(Cow::Owned(text))),
            _ => None,
        }
    }

    /// The text from which Postgres reads exactly this value again.
    pub fn print(&self, ty: Type) -> String {
        match self {
            Value::Bool(true) => "t".into(),
            Value::Bool(false) => "f".into(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => print_float(*value, ty),
            Value::Numeric(value) => value.print(),
            Value::Text(text) | Value::Array(_, text) | Value::Jsonb(text) => {
                String::from_utf8_lossy(text).into_owned()
            }
            Value::Date(days) => moment::print_date(*days),
            Value::Time(micros) => moment::print_time(*micros),
            Value::Timestamp(micros) => moment::print_timestamp(*micros, ty == Type::Timestamptz),
            Value::Interval(interval) => interval::print(*interval),
        }
    }

    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Bool(value) => Value::Bool(value),
            Value::Int(value) => Value::Int(value),
            Value::Float(value) => Value::Float(value),
            Value::Numeric(value) => Value::Numeric(value.into_owned()),
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Date(days) => Value::Date(days),
            Value::Time(micros) => Value::Time(micros),
            Value::Timestamp(micros) => Value::Timestamp(micros),
            Value::Interval(interval) => Value::Interval(interval),
            Value::Array(ty, text) => Value::Array(ty, Cow::Owned(text.into_owned())),
            Value::Jsonb(text) => Value::Jsonb(Cow::Owned(text.into_owned())),
        }
    }

    /// The same value, borrowing its bytes from this one.
    pub fn borrow(&self) -> Value<'_> {
        match self {
            Value::Text(text) => Value::Text(Cow::Borrowed(text.as_ref())),
            Value::Numeric(value) => Value::Numeric(value.borrow()),
            Value::Bool(value) => Value::Bool(*value),
            Value::Int(value) => Value::Int(*value),
            Value::Float(value) => Value::Float(*value),
            Value::Date(days) => Value::Date(*days),
            Value::Time(micros) => Value::Time(*micros),
            Value::Timestamp(micros) => Value::Timestamp(*micros),
            Value::Interval(interval) => Value::Interval(*interval),
            Value::Array(ty, text) => Value::Array(*ty, Cow::Borrowed(text.as_ref())),
            Value::Jsonb(text) => Value::Jsonb(Cow::Borrowed(text.as_ref())),
        }
    }

    /// Postgres' order between two values that a comparison operator accepts together.
    pub fn compare(&self, other: &Value<'_>) -> Result<Ordering, Failure> {
        Ok(match (self, other) {
            (Value::Int(left), Value::Int(right)) => left.cmp(right),
            (Value::Text(left), Value::Text(right)) => left.as_ref().cmp(right.as_ref()),
            (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
            (Value::Float(left), Value::Float(right)) => compare_floats(*left, *right),
            (Value::Numeric(left), Value::Numeric(right)) => left.compare(right),
            (Value::Date(left), Value::Date(right)) => left.cmp(right),
            (Value::Time(left), Value::Time(right)) => left.cmp(right),
            (Value::Interval(left), Value::Interval(right)) => left.span().cmp(&right.span()),
            (Value::Date(_) | Value::Timestamp(_), Value::Date(_) | Value::Timestamp(_)) => {
                self.micros().cmp(&other.micros())
            }
            (Value::Array(ty, left), Value::Array(_, right)) => {
                let read = |text| array::Array::read(text).ok_or(Failure);
                array::compare::compare(*ty, &read(left)?, &read(right)?)?
            }
            // Which of two that differ comes first is never asked.
            (Value::Jsonb(left), Value::Jsonb(right)) if json::compare::equal(left, right)? => Ordering::Equal,
            (Value::Jsonb(_), Value::Jsonb(_)) => Ordering::Less,
            _ => return Err(Failure),
        })
    }

    /// A date or timestamp on one line; dates reach further than 64 bits of microseconds.
    fn micros(&self) -> i128 {
        match self {
            Value::Date(moment::INFINITE_DATE) | Value::Timestamp(moment::INFINITE_TIMESTAMP) => i128::MAX,
            Value::Date(days) if *days == -moment::INFINITE_DATE => i128::MIN,
            Value::Timestamp(micros) if *micros == -moment::INFINITE_TIMESTAMP => i128::MIN,
            Value::Date(days) => i128::from(*days) * i128::from(moment::DAY),
            Value::Timestamp(micros) => i128::from(*micros),
            _ => 0,
        }
    }
}

/// NaN equals itself and is greater than everything else; the zeros are equal.
fn compare_floats(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
}

/// Whether an integer lies in the range of its type.
pub fn fits(ty: Type, value: i64) -> bool {
    match ty {
        Type::Int2 => i16::try_from(value).is_ok(),
        Type::Int4 => i32::try_from(value).is_ok(),
        _ => true,
    }
}
