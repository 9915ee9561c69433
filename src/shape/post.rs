//! The body of a POST: parameters as JSON, in either of two layouts (protocol, 2.15).

use serde_json::{Map, Value};

use super::cast::INVALID;
use super::query::Given;
use super::{Invalid, Query};
use crate::json;

#[cfg(test)]
mod tests;

/// Bodies above this are refused.
pub const MAX_BODY_BYTES: usize = 8_000_000;

/// Members of a flat body that say which rows of a subset are wanted.
const SUBSET_MEMBERS: [&str; 7] = ["where", "order_by", "limit", "offset", "params", "where_expr", "order_by_expr"];

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    #[error("Request body must be a JSON object")]
    NotAnObject,
    /// With the parser's own words.
    #[error("Invalid JSON in request body")]
    NotJson(String),
    #[error("Failed to read request body")]
    Unreadable,
    #[error("Request body too large")]
    TooLarge,
}

/// What a body adds to the parameters of the URL.
#[derive(Debug, Default)]
pub struct PostBody {
    main: Map<String, Value>,
    subset: Option<Map<String, Value>>,
}

impl PostBody {
    /// Reads a body. An empty one adds nothing.
    pub fn read(bytes: &[u8]) -> Result<Self, BadBody> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let mut main = match json::parse(bytes) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err(BadBody::NotAnObject),
            Err(error) => return Err(BadBody::NotJson(error.to_string())),
        };
        if let Some(Value::Object(_)) = main.get("subset") {
            let Some(Value::Object(subset)) = main.remove("subset") else { return Err(BadBody::NotAnObject) };
            return Ok(Self { main, subset: Some(subset) });
        }
        let flat: Map<String, Value> =
            SUBSET_MEMBERS.iter().filter_map(|name| Some(((*name).to_owned(), main.remove(*name)?))).collect();
        Ok(Self { main, subset: (!flat.is_empty()).then_some(flat) })
    }

    /// Lays the body's members over the URL's parameters.
    ///
    /// # Errors
    ///
    /// What `subset` says is no subset: a client that is not understood must not get a log instead.
    pub fn merge_into(self, query: &mut Query) -> Result<(), Invalid> {
        if self.main.get("subset").is_some_and(|subset| !subset.is_null()) {
            return Err(Invalid::one("subset", INVALID));
        }
        for (name, value) in self.main {
            query.set(&name, given(value));
        }
        if let Some(subset) = self.subset {
            query.ask_for_subset();
            for (name, value) in subset {
                query.set(&format!("subset__{name}"), given(value));
            }
        }
        Ok(())
    }
}

/// A JSON value as a parameter; null is none.
fn given(value: Value) -> Option<Given> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => Given::Boolean(value),
        Value::Number(number) => Given::Number(number.to_string()),
        Value::String(text) => Given::Text(text),
        Value::Object(members) => Given::Object(members),
        Value::Array(items) => {
            let texts = items.into_iter().map(|item| if let Value::String(text) = item { Some(text) } else { None });
            texts.collect::<Option<Vec<_>>>().map_or(Given::Nested, Given::List)
        }
    })
}
