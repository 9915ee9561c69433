//! The arguments of a call, as its evaluator takes them.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::Outcome;
use crate::engine::filter::decimal::Decimal;
use crate::engine::filter::types::Type;
use crate::engine::filter::value::{Failure, Interval, Value, fits};

/// Evaluated arguments with their types and the type of the result. A getter fails if the argument is NULL or of another type: a
/// strict function's arguments never are.
pub struct Arguments<'a> {
    pub values: SmallVec<[Option<Value<'a>>; 4]>,
    pub types: SmallVec<[Type; 4]>,
    pub result: Type,
}

impl<'a> Arguments<'a> {
    /// Takes an argument out; NULL is `None`.
    pub fn take(&mut self, index: usize) -> Option<Value<'a>> {
        self.values.get_mut(index).and_then(Option::take)
    }

    /// An argument; NULL is `None`.
    pub fn get(&self, index: usize) -> Option<&Value<'a>> {
        self.values.get(index).and_then(Option::as_ref)
    }

    pub fn is_null(&self, index: usize) -> bool {
        self.get(index).is_none()
    }

    /// The type of an argument.
    pub fn ty(&self, index: usize) -> Type {
        self.types.get(index).copied().unwrap_or(Type::Unknown)
    }

    pub fn int(&self, index: usize) -> Result<i64, Failure> {
        if let Some(Value::Int(value)) = self.get(index) { Ok(*value) } else { Err(Failure) }
    }

    pub fn float(&self, index: usize) -> Result<f64, Failure> {
        if let Some(Value::Float(value)) = self.get(index) { Ok(*value) } else { Err(Failure) }
    }

    pub fn numeric(&self, index: usize) -> Result<&Decimal<'a>, Failure> {
        if let Some(Value::Numeric(value)) = self.get(index) { Ok(value) } else { Err(Failure) }
    }

    /// The bytes of a string, or of a type that is kept as its text (`uuid`, `bytea`, `json`, an enum's label, an array).
    pub fn bytes(&mut self, index: usize) -> Result<Cow<'a, [u8]>, Failure> {
        match self.take(index) {
            Some(Value::Text(value) | Value::Array(_, value) | Value::Jsonb(value)) => Ok(value),
            _ => Err(Failure),
        }
    }

    pub fn text(&self, index: usize) -> Result<&str, Failure> {
        match self.get(index) {
            Some(Value::Text(value)) => std::str::from_utf8(value).map_err(|_| Failure),
            _ => Err(Failure),
        }
    }

    pub fn date(&self, index: usize) -> Result<i32, Failure> {
        if let Some(Value::Date(value)) = self.get(index) { Ok(*value) } else { Err(Failure) }
    }

    pub fn time(&self, index: usize) -> Result<i64, Failure> {
        if let Some(Value::Time(value)) = self.get(index) { Ok(*value) } else { Err(Failure) }
    }

    pub fn timestamp(&self, index: usize) -> Result<i64, Failure> {
        if let Some(Value::Timestamp(value)) = self.get(index) { Ok(*value) } else { Err(Failure) }
    }

    pub fn interval(&self, index: usize) -> Result<Interval, Failure> {
        if let Some(Value::Interval(value)) = self.get(index) { Ok(*value) } else { Err(Failure) }
    }

    /// An integer result, which fails beyond the range of its type.
    pub fn int_result(&self, value: Option<i64>) -> Outcome<'a> {
        value.filter(|value| fits(self.result, *value)).map(|value| Some(Value::Int(value))).ok_or(Failure)
    }
}

/// A text as a result.
pub fn text_result<'a>(text: String) -> Outcome<'a> {
    Ok(Some(Value::Text(Cow::Owned(text.into_bytes()))))
}
