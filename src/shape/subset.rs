//! Which of a shape's rows a subset request wants (protocol, 9).

use serde_json::Value;

use super::cast::{Cast, INVALID, numbered};
use super::query::Given;
use super::{Invalid, Query};
use crate::json;

/// A subset as its client asked for it: its texts are parsed by whoever answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subset {
    /// The text of `subset__where`; the shape's own filter holds besides.
    pub filter: Option<String>,
    /// The values of `$1`, `$2`, ... of this filter, in order; they are not those of the shape's filter.
    pub params: Vec<String>,
    /// The text of `subset__order_by`. There is one whenever there is a limit or an offset.
    pub order_by: Option<String>,
    /// Rows at most; above 0, and no more than a 64-bit signed number holds.
    pub limit: Option<u64>,
    /// Rows to leave out at the beginning; no more than a 64-bit signed number holds.
    pub offset: Option<u64>,
}

const NOT_AN_OBJECT: &str = "params must be a JSON object";

impl Subset {
    /// The subset that a request asks for, if it asks for one.
    ///
    /// # Errors
    ///
    /// All that is wrong with its fields, told under `subset` (protocol, 9.3).
    pub fn take(query: Query) -> Result<Option<Self>, Invalid> {
        if !query.wants_subset() {
            return Ok(None);
        }
        let mut cast = Cast::new(query);
        let subset = Self {
            filter: cast.text_at("subset__where", "where"),
            params: params(&mut cast),
            order_by: cast.text_at("subset__order_by", "order_by"),
            limit: number(&mut cast, "subset__limit", "limit", 1, "must be greater than 0"),
            offset: number(&mut cast, "subset__offset", "offset", 0, "must be greater than or equal to 0"),
        };
        let paged = subset.limit.is_some() || subset.offset.is_some();
        if paged && subset.order_by.is_none() && !cast.invalid.blames("order_by") {
            cast.refuse::<()>("order_by", "order_by is required when limit or offset is present");
        }
        if cast.invalid.is_empty() { Ok(Some(subset)) } else { Err(cast.invalid.in_subset()) }
    }
}

/// A whole number of at least `least`, in digits or as a JSON number.
fn number(cast: &mut Cast, name: &str, field: &'static str, least: i64, too_small: &str) -> Option<u64> {
    let (Given::Text(text) | Given::Number(text)) = cast.query.take(name)? else { return cast.refuse(field, INVALID) };
    if text.trim().is_empty() {
        return None;
    }
    match text.parse::<i64>() {
        Ok(number) if number >= least => Some(number.unsigned_abs()),
        Ok(_) => cast.refuse(field, too_small),
        Err(_) => cast.refuse(field, INVALID),
    }
}

/// A JSON object, as such or as its text, or `subset__params[n]=value`. Numbers and booleans become text.
fn params(cast: &mut Cast) -> Vec<String> {
    let members = match cast.query.take("subset__params") {
        None => return Vec::new(),
        Some(Given::Text(text)) if text.trim().is_empty() => return Vec::new(),
        Some(Given::Members(members)) => Ok(members),
        Some(Given::Object(object)) => object.into_iter().map(|(key, value)| Ok((key, plain_text(value)?))).collect(),
        Some(Given::Text(text)) => match json::parse(text.as_bytes()) {
            Ok(Value::Object(object)) => object.into_iter().map(|(key, value)| Ok((key, plain_text(value)?))).collect(),
            Ok(_) => Err(NOT_AN_OBJECT),
            Err(_) => Err("params must be valid JSON"),
        },
        Some(_) => Err(NOT_AN_OBJECT),
    };
    match members.map_err(str::to_owned).and_then(|members| numbered(&members)) {
        Ok(values) => values,
        Err(text) => cast.refuse("params", &text).unwrap_or_default(),
    }
}

/// A parameter's value as the text that it stands for.
fn plain_text(value: Value) -> Result<String, &'static str> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err("values of params must be texts, numbers or booleans"),
    }
}
