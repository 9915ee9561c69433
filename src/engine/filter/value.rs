//! Values while a condition is evaluated, and how they are read: from a row's text, which Postgres printed, and from a client's
//! literal, which may be anything.

use std::borrow::Cow;
use std::cmp::Ordering;

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

fn read_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0i64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        let sum = sum.checked_mul(10)?;
        if negative { sum.checked_sub(digit) } else { sum.checked_add(digit) }
    })
}

fn read_float(text: &[u8], single: bool) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    if single { text.parse::<f32>().ok().map(f64::from) } else { text.parse().ok() }
}

fn parse_float(ty: Type, text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if ["infinity", "inf", "nan"].iter().any(|word| unsigned.eq_ignore_ascii_case(word)) {
        // The sign of a NaN does not show anywhere.
        return read_float(text.as_bytes(), false);
    }
    if unsigned.starts_with("0x") || unsigned.starts_with("0X") {
        let value = parse_hexadecimal(&unsigned[2..])?;
        let value = if ty == Type::Float4 { f64::from(value as f32) } else { value };
        let value = if text.starts_with('-') { -value } else { value };
        return value.is_finite().then_some(value);
    }
    let decimal = unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let value = if decimal { read_float(text.as_bytes(), ty == Type::Float4)? } else { return None };
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or_default();
    let lost = value == 0.0 && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    (value.is_finite() && !lost).then_some(value)
}

/// `1f`, `1.8p-3`: what the C library reads behind `0x`. Only what is exact.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = match text.split_once(['p', 'P']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let number =
        u64::from_str_radix(&digits, 16).ok().filter(|number| *number < 1 << 53 && !digits.starts_with('+'))?;
    let scale = exponent.checked_sub(i32::try_from(fraction.len()).ok()?.checked_mul(4)?)?;
    let value = number as f64 * 2f64.powi(scale);
    (value.is_normal() || number == 0).then_some(value)
}

/// The shortest digits from which every reader gets this float again, whatever it rounds halves to; as Postgres prints it.
fn print_float(value: f64, ty: Type) -> String {
    if value.is_nan() {
        return "NaN".into();
    } else if value.is_infinite() {
        return if value > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    let size = value.abs();
    let (printed, most) = match ty {
        _ if size == 0.0 => ("0e0".into(), 1),
        Type::Float4 => {
            let reads = |text: &str| text.parse::<f32>().is_ok_and(|read| f64::from(read) == size);
            (nearest(size, reads, format!("{:e}", size as f32)), 6)
        }
        _ => (nearest(size, |text| text.parse::<f64>().is_ok_and(|read| read == size), format!("{size:e}")), 15),
    };
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let (mantissa, exponent) = printed.split_once('e').unwrap_or((&printed, "0"));
    let exponent = exponent.parse::<i32>().unwrap_or_default();
    if !(-4..most).contains(&exponent) {
        let sign_of_exponent = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{sign_of_exponent}{:02}", exponent.abs());
    }
    let digits = mantissa.replace('.', "");
    let places = (digits.len() as i32 - 1 - exponent).max(0) as usize;
    let padded = format!("{digits:0<width$}", width = (exponent + 1).max(1) as usize);
    let padded = format!("{padded:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// The nearest number with as many digits as `shortest` has, or with more if that lies exactly between two floats: Postgres
/// does not count on halves being rounded to even.
fn nearest(value: f64, reads: impl Fn(&str) -> bool, shortest: String) -> String {
    let digits = shortest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    let longer = (digits..18).map(|digits| format!("{value:.*e}", digits - 1));
    let mut candidates = longer.clone().take(1).chain([shortest]).chain(longer.skip(1));
    candidates.find(|candidate| is_inside(candidate, &reads)).unwrap_or_else(|| format!("{value:e}"))
}

/// Whether numbers a little above and below are read as the same float.
fn is_inside(candidate: &str, reads: &impl Fn(&str) -> bool) -> bool {
    let (mantissa, exponent) = candidate.split_once('e').unwrap_or((candidate, "0"));
    let digits = mantissa.replace('.', "");
    let exponent = exponent.parse::<i64>().unwrap_or_default() - (digits.len() as i64 - 1) - 30;
    let below = digits.parse::<u64>().unwrap_or_default().saturating_sub(1);
    reads(&format!("{digits}{:030}e{exponent}", 1)) && reads(&format!("{below}{}e{exponent}", "9".repeat(30)))
}

/// A unique beginning of true, false, yes, no, on, off, or a bit.
fn parse_bool(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    let begins = |word: &str| !text.is_empty() && word.starts_with(text.as_str());
    if text == "1" || text == "on" || begins("true") || begins("yes") {
        Some(true)
    } else if text == "0" || (text.len() >= 2 && begins("off")) || begins("false") || begins("no") {
        Some(false)
    } else {
        None
    }
}

/// Hexadecimal digits with an optional hyphen after every four, in optional braces; to the output form.
fn parse_uuid(text: &str) -> Option<Vec<u8>> {
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}')?,
        None => text,
    };
    let mut rest = inner.bytes().peekable();
    let mut printed = Vec::with_capacity(36);
    for index in 0..32 {
        let digit = rest.next().filter(u8::is_ascii_hexdigit)?;
        printed.push(digit.to_ascii_lowercase());
        if matches!(index, 7 | 11 | 15 | 19) {
            printed.push(b'-');
        }
        if index % 4 == 3 && index < 31 {
            rest.next_if_eq(&b'-');
        }
    }
    rest.next().is_none().then_some(printed)
}

/// Hexadecimal after `\x`, with blanks between bytes, or characters with `\\\\` and octal escapes; to the output form.
fn parse_bytea(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(digits) = text.strip_prefix("\\x") {
        let mut rest = digits.bytes().filter(|byte| !matches!(byte, b' ' | b'\n' | b'\t' | b'\r'));
        // A blank inside of a byte is an error, and one digit too many.
        let split = digits.split([' ', '\n', '\t', '\r']).any(|part| part.len() % 2 == 1);
        while let Some(high) = rest.next() {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let byte = digit(high)? * 16 + digit(rest.next()?)?;
            bytes.push(u8::try_from(byte).ok()?);
        }
        (!split).then_some(())?;
    } else {
        let mut rest = text.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            (bytes, rest) = match (first, after) {
                (b'\\', [b'\\', after @ ..]) => (pushed(bytes, b'\\'), after),
                (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                    (pushed(bytes, (a - b'0') * 64 + (b - b'0') * 8 + (c - b'0')), after)
                }
                (b'\\', _) => return None,
                (byte, after) => (pushed(bytes, *byte), after),
            };
        }
    }
    let hexadecimal = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = hexadecimal.map(|digit| b"0123456789abcdef"[usize::from(digit)]);
    Some(b"\\x".iter().copied().chain(digits).collect())
}

fn pushed(mut bytes: Vec<u8>, byte: u8) -> Vec<u8> {
    bytes.push(byte);
    bytes
}

/// The longest beginning of at most `bytes` bytes that ends between characters.
fn truncate(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
