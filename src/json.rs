//! A `jsonb` value as a caller gave it or Postgres keeps it, compared as Postgres compares.
//!
//! Callers' JSON is read by [`parse`] only. `serde_json::Value` reads an object whose only key is its own mark of a raw value as
//! the JSON inside that string, with a fresh limit of depth each time: a few kilobytes could overflow the stack.

use std::fmt;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Jsonb;
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// `numeric`, which `jsonb` keeps its numbers in, has at most this many digits before the decimal point.
const MAX_INTEGER_DIGITS: i64 = 131_072;
/// And at most this many after it.
const MAX_FRACTION_DIGITS: i64 = 16_383;

/// How serde_json marks a number that keeps its digits (feature `arbitrary_precision`).
const NUMBER: &str = "$serde_json::private::Number";

/// A JSON document that `jsonb` can hold: no U+0000, no number that `numeric` cannot hold.
#[derive(Debug, Clone, Serialize, AsExpression, FromSqlRow)]
#[diesel(sql_type = Jsonb)]
#[serde(transparent)]
pub struct Json(Value);

impl Json {
    /// Takes a document, or says what `jsonb` would refuse about it.
    pub fn new(value: Value) -> Result<Self, &'static str> {
        refusal(&value).map_or(Ok(Self(value)), Err)
    }

    /// The empty list.
    pub fn empty_list() -> Self {
        Self(Value::Array(Vec::new()))
    }
}

/// Equal as `jsonb` is equal: key order does not count, and 1.0 is 1.
impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

impl ToSql<Jsonb, Pg> for Json {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <Value as ToSql<Jsonb, Pg>>::to_sql(&self.0, out)
    }
}

impl FromSql<Jsonb, Pg> for Json {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        match value.as_bytes() {
            // The version of the binary form, and then the text.
            [1, text @ ..] => Ok(Self(parse(text)?)),
            _ => Err("a form of jsonb that is not known here".into()),
        }
    }
}

/// Reads JSON text of at most 127 levels.
pub fn parse(text: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(text).map(|Plain(value)| value)
}

/// A value in which an object's keys mean nothing to us.
struct Plain(Value);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor).map(Self)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Plain(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    /// Numbers that are not small and whole come here as well: with every digit, under a key of serde_json's own.
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if object.is_empty() && name == NUMBER {
                let digits: String = fields.next_value()?;
                return digits.parse().map(Value::Number).map_err(de::Error::custom);
            }
            let Plain(value) = fields.next_value()?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

fn refusal(value: &Value) -> Option<&'static str> {
    match value {
        Value::Null | Value::Bool(_) => None,
        Value::String(text) => text.contains('\0').then_some("text without U+0000"),
        Value::Number(number) => Decimal::read(number.as_str()).refusal(),
        Value::Array(items) => items.iter().find_map(refusal),
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, value)| if name.contains('\0') { Some("keys without U+0000") } else { refusal(value) }),
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a.as_str() == b.as_str() || Decimal::read(a.as_str()).value() == Decimal::read(b.as_str()).value()
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// The text of a JSON number taken apart. Never expanded: `1e1000000000` is eleven bytes here and a gigabyte as digits.
pub struct Decimal {
    negative: bool,
    /// Significant digits, without zeros at either end; empty for zero.
    digits: String,
    /// Digits before the decimal point if the value is `0.digits` times a power of ten; 0 for zero.
    integer_digits: i64,
    /// Digits after the decimal point as written.
    fraction_digits: i64,
}

impl Decimal {
    /// Reads the text of a number that a JSON parser has accepted.
    pub fn read(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        // Beyond i64 there is no difference left between far too large and larger.
        let exponent = exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { i64::MIN } else { i64::MAX });
        let exponent = exponent.clamp(-1_000_000_000, 1_000_000_000);
        let (whole, fraction) = mantissa.trim_start_matches('-').split_once('.').unwrap_or((mantissa, ""));
        let whole = whole.trim_start_matches('-');
        let all = format!("{whole}{fraction}");
        let leading_zeros = all.len() - all.trim_start_matches('0').len();
        let digits = all.trim_matches('0').to_owned();
        let zero = digits.is_empty();
        Self {
            negative: text.starts_with('-') && !zero,
            integer_digits: if zero { 0 } else { whole.len() as i64 - leading_zeros as i64 + exponent },
            fraction_digits: (fraction.len() as i64 - exponent).max(0),
            digits,
        }
    }

    /// What `numeric` without a declared precision cannot hold of it.
    fn refusal(&self) -> Option<&'static str> {
        let fits = self.integer_digits <= MAX_INTEGER_DIGITS && self.fraction_digits <= MAX_FRACTION_DIGITS;
        (!fits).then_some("numbers of at most 131072 digits before and 16383 after the decimal point")
    }

    /// Digits before the decimal point, negative for a value below 0.1.
    pub fn integer_digits(&self) -> i64 {
        self.integer_digits
    }

    /// Digits after the decimal point as written.
    pub fn fraction_digits(&self) -> i64 {
        self.fraction_digits
    }

    fn value(&self) -> (bool, &str, i64) {
        (self.negative, &self.digits, self.integer_digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Value {
        parse(text.as_bytes()).expect("JSON of the test")
    }

    #[test]
    fn json_comes_out_as_it_went_in() {
        let texts = [
            r#"{"a":[null,true,false,"é\n",{}],"b":-0.10,"c":1e+400}"#,
            "12345678901234567890123.4567890",
            r#"{"$serde_json::private::RawValue":"[[1]]"}"#,
            "[]",
        ];
        for text in texts {
            assert_eq!(json(text).to_string(), text);
        }
    }

    #[test]
    fn malformed_json_is_an_error() {
        let deep = "[".repeat(100_000);
        let marked = format!(r#"{{"{NUMBER}":"[1]"}}"#);
        for text in ["", "{", "[1,]", "01", "\"\\ud800\"", "1 2", &deep, &marked] {
            assert!(parse(text.as_bytes()).is_err(), "{text:.40}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn documents_are_equal_when_jsonb_says_so() {
        let equal = [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("-0", "0.00"),
            ("0.010", "1E-2"),
            (r#"{"a":1,"b":[2]}"#, r#"{"b":[2.0],"a":1}"#),
            (r#""a""#, r#""\u0061""#),
        ];
        for (a, b) in equal {
            assert!(same(&json(a), &json(b)), "{a} = {b}");
        }
        let different = [
            ("1", "10"),
            ("1", "-1"),
            ("1", r#""1""#),
            ("0.1", "0.01"),
            ("[1,2]", "[2,1]"),
            ("[]", "{}"),
            (r#"{"a":null}"#, "{}"),
            (r#"{"a":null}"#, r#"{"b":null}"#),
            ("12345678901234567890.1", "12345678901234567890.2"),
        ];
        for (a, b) in different {
            assert!(!same(&json(a), &json(b)), "{a} <> {b}");
        }
    }

    #[test]
    fn what_jsonb_cannot_hold_is_refused() {
        for bad in [
            r#""a\u0000b""#,
            r#"{"a":[{"b\u0000":1}]}"#,
            "1e131072",
            "[1e1000000000000000000000]",
            "1e-16384",
            "-1e-99999999999999999999",
        ] {
            assert!(Json::new(json(bad)).is_err(), "{bad}");
        }
        for good in ["1e131071", "1e-16383", "0.5", r#"{"a":[null,true,"\u0001"]}"#] {
            assert!(Json::new(json(good)).is_ok(), "{good}");
        }
    }
}
