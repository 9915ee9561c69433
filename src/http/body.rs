//! Reads a JSON body field by field, each with the limits of its column, and names the field that breaks one.
//!
//! serde's own errors say what is wrong but seldom where; a caller who sent a list of a thousand parts needs the path.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpRequest};
use bigdecimal::{BigDecimal, RoundingMode};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::MaxBodyBytes;
use super::access::check_again;
use crate::error::ApiError;
use crate::ids::InvalidId;
use crate::json::{self, Decimal, Json};

/// The bound on bodies where the route sets none: that of actix-web.
const DEFAULT_MAX_BYTES: usize = 256 * 1024;

/// How long a body may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON document, not looked into yet.
pub struct Body(Value);

/// What a value should have been.
pub type Expected = Cow<'static, str>;

impl FromRequest for Body {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let max_bytes = request.app_data::<Data<MaxBodyBytes>>().map_or(DEFAULT_MAX_BYTES, |limit| limit.0);
        let bytes = Bytes::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let bytes = timeout(TIMEOUT, bytes).await.map_err(|_| ApiError::invalid("body", "a body within 30 s"))?;
            // Whoever was let in with the head may be out since.
            check_again(&request)?;
            let bytes = bytes.map_err(|refused| match refused.as_error::<PayloadError>() {
                Some(PayloadError::Overflow) => ApiError::TooLarge(max_bytes),
                _ => ApiError::invalid("body", "a complete request body"),
            })?;
            let value = json::parse(&bytes);
            value.map(Self).map_err(|wrong| ApiError::invalid("body", format!("JSON, but {wrong}")))
        })
    }
}

impl Body {
    /// The one object that the body is.
    pub fn object(self) -> Result<Fields, ApiError> {
        Fields::new(String::new(), self.0)
    }

    /// The objects of the list that the body is, or that it has under `name` and nothing else.
    pub fn list(self, name: &'static str) -> Result<Vec<Fields>, ApiError> {
        match self.0 {
            Value::Array(items) => objects("", items),
            object @ Value::Object(_) => {
                let mut fields = Fields::new(String::new(), object)?;
                let list = fields.objects(name)?.ok_or_else(|| ApiError::invalid(name, "a list"))?;
                fields.finish()?;
                Ok(list)
            }
            _ => Err(ApiError::invalid("body", "a list")),
        }
    }

    /// The texts of the list that the body is; one that is none is named like `name[3]`.
    pub fn texts(self, name: &str) -> Result<Vec<String>, ApiError> {
        let Value::Array(items) = self.0 else { return Err(ApiError::invalid("body", "a list")) };
        let text = |(at, item)| text(item).map_err(|expected| ApiError::invalid(format!("{name}[{at}]"), expected));
        items.into_iter().enumerate().map(text).collect()
    }
}

#[cfg(test)]
impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

/// The fields of one JSON object. What has not been taken when it is finished is unknown, and refused.
pub struct Fields {
    /// Where in the body the object is: empty, or like `parts[3].`.
    path: String,
    fields: Map<String, Value>,
}

impl Fields {
    fn new(path: String, value: Value) -> Result<Self, ApiError> {
        match value {
            Value::Object(fields) => Ok(Self { path, fields }),
            _ if path.is_empty() => Err(ApiError::invalid("body", "an object")),
            _ => Err(ApiError::invalid(path.trim_end_matches('.').to_owned(), "an object")),
        }
    }

    /// Whether a field is given.
    pub fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// A field that must be there.
    pub fn required<T>(&mut self, name: &str, read: impl FnOnce(Value) -> Result<T, Expected>) -> Result<T, ApiError> {
        match self.clearable(name, read)? {
            Some(Some(value)) => Ok(value),
            Some(None) | None => Err(self.wrong(name, "a value")),
        }
    }

    /// A field that may be absent but not null.
    pub fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Result<T, Expected>,
    ) -> Result<Option<T>, ApiError> {
        match self.clearable(name, read)? {
            Some(None) => Err(self.wrong(name, "a value, not null")),
            Some(Some(value)) => Ok(Some(value)),
            None => Ok(None),
        }
    }

    /// A field that may be absent or null, which mean the same.
    pub fn nullable<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Result<T, Expected>,
    ) -> Result<Option<T>, ApiError> {
        Ok(self.clearable(name, read)?.flatten())
    }

    /// A field that may be absent (`None`) or null (`Some(None)`), which mean different things.
    pub fn clearable<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Result<T, Expected>,
    ) -> Result<Option<Option<T>>, ApiError> {
        match self.fields.remove(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(value) => read(value).map(|value| Some(Some(value))).map_err(|expected| self.wrong(name, expected)),
        }
    }

    /// A field that repeats what the path says, in rows that we gave out before.
    pub fn repeated(&mut self, name: &str, path: &str) -> Result<(), ApiError> {
        match self.fields.remove(name) {
            Some(value) if value != path => Err(self.wrong(name, format!("{path:?}, as in the path"))),
            _ => Ok(()),
        }
    }

    /// A field of ours in rows that we gave out before.
    pub fn ignored(&mut self, name: &str) {
        self.fields.remove(name);
    }

    /// A list of objects, if it is there.
    pub fn objects(&mut self, name: &str) -> Result<Option<Vec<Fields>>, ApiError> {
        match self.fields.remove(name) {
            None => Ok(None),
            Some(Value::Array(items)) => objects(&format!("{}{name}", self.path), items).map(Some),
            Some(_) => Err(self.wrong(name, "a list")),
        }
    }

    /// Refuses what is left.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(unknown) => Err(self.wrong(unknown, "no such field")),
        }
    }

    /// The refusal that blames a field of this object.
    pub fn wrong(&self, name: &str, expected: impl Into<Expected>) -> ApiError {
        ApiError::invalid(format!("{}{name}", self.path), expected)
    }
}

fn objects(path: &str, items: Vec<Value>) -> Result<Vec<Fields>, ApiError> {
    items.into_iter().enumerate().map(|(at, item)| Fields::new(format!("{path}[{at}]."), item)).collect()
}

/// Any text that Postgres can store.
pub fn text(value: Value) -> Result<String, Expected> {
    match value {
        Value::String(text) if !text.contains('\0') => Ok(text),
        Value::String(_) => Err("text without U+0000".into()),
        _ => Err("text".into()),
    }
}

/// Text of at most so many characters.
pub fn varchar(max_chars: usize) -> impl FnOnce(Value) -> Result<String, Expected> {
    move |value| {
        let text = text(value)?;
        match text.chars().nth(max_chars) {
            None => Ok(text),
            Some(_) => Err(format!("text of at most {max_chars} characters").into()),
        }
    }
}

/// One of the words.
pub fn one_of(words: &'static [&'static str]) -> impl FnOnce(Value) -> Result<String, Expected> {
    move |value| match value {
        Value::String(word) if words.contains(&word.as_str()) => Ok(word),
        _ => Err(format!("one of {}", words.join(", ")).into()),
    }
}

/// An id of whatever kind.
pub fn id<T: TryFrom<String, Error = InvalidId>>(value: Value) -> Result<T, Expected> {
    let expected = "1 to 64 characters without U+0000";
    text(value)?.try_into().map_err(|InvalidId(_)| expected.into())
}

/// A whole number of 64 bits.
pub fn int8(value: Value) -> Result<i64, Expected> {
    value.as_i64().ok_or("a whole number of 64 bits".into())
}

/// A whole number of 32 bits.
pub fn int4(value: Value) -> Result<i32, Expected> {
    value.as_i64().and_then(|number| i32::try_from(number).ok()).ok_or("a whole number of 32 bits".into())
}

/// `true` or `false`.
pub fn boolean(value: Value) -> Result<bool, Expected> {
    value.as_bool().ok_or("true or false".into())
}

/// Any JSON that `jsonb` can hold.
pub fn json(value: Value) -> Result<Json, Expected> {
    Json::new(value).map_err(Into::into)
}

/// A number for `numeric(20,10)`, rounded to its ten digits after the decimal point as Postgres rounds.
pub fn numeric_20_10(value: Value) -> Result<BigDecimal, Expected> {
    const SCALE: i64 = 10;
    const INTEGER_DIGITS: i64 = 10;
    /// More digits than anyone means; also keeps a tiny number with a huge exponent from being written out.
    const MAX_FRACTION_DIGITS: i64 = 100;
    let Value::Number(number) = value else { return Err("a number".into()) };
    let decimal = Decimal::read(number.as_str());
    let expected = || Expected::from("a number with at most 10 digits before the decimal point and 100 after it");
    if decimal.integer_digits() > INTEGER_DIGITS || decimal.fraction_digits() > MAX_FRACTION_DIGITS {
        return Err(expected());
    }
    let rounded = BigDecimal::from_str(number.as_str()).map_err(|_| expected())?;
    let rounded = rounded.with_scale_round(SCALE, RoundingMode::HalfUp);
    // 9999999999.99999999999 has ten digits and rounds to eleven.
    let limit = BigDecimal::from(10_i64.pow(10));
    if rounded.abs() < limit { Ok(rounded) } else { Err(expected()) }
}
