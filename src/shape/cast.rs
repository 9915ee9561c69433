//! Takes fields from a request one by one, each as its type, and collects what is wrong with them.

use std::collections::BTreeMap;

use super::query::Given;
use super::{Invalid, Query, quote_identifier};

/// Filter parameters above this number are refused: each becomes part of a parsed condition.
pub const MAX_PARAMS: usize = 10_000;

pub const INVALID: &str = "is invalid";

/// A request's fields that have not been taken yet, and the errors of those that have.
pub struct Cast {
    pub query: Query,
    pub invalid: Invalid,
}

impl Cast {
    /// Nothing taken yet, nothing wrong.
    pub fn new(query: Query) -> Self {
        Self { query, invalid: Invalid::default() }
    }

    /// The text of a field; blank counts as absent. U+0000 exists in no Postgres text.
    pub fn text(&mut self, field: &'static str) -> Option<String> {
        self.text_at(field, field)
    }

    /// The same of a field that is called `name` in the request.
    pub fn text_at(&mut self, name: &str, field: &'static str) -> Option<String> {
        match self.query.take(name)? {
            Given::Text(text) if text.trim().is_empty() => None,
            Given::Text(text) if !text.contains('\0') => Some(text),
            _ => self.refuse(field, INVALID),
        }
    }

    /// A text that nothing depends on: never wrong, and absent in any other form.
    pub fn unjudged(&mut self, field: &str) -> Option<String> {
        match self.query.take(field)? {
            Given::Text(text) if !text.trim().is_empty() => Some(text),
            _ => None,
        }
    }

    /// A position in digits, which a body may have as a number.
    pub fn position(&mut self, field: &'static str) -> Option<String> {
        match self.query.take(field)? {
            Given::Text(text) if text.trim().is_empty() => None,
            Given::Text(text) | Given::Number(text) => Some(text),
            _ => self.refuse(field, INVALID),
        }
    }

    /// Names with commas between, or a list of exact names, which is put into that form. `empty` is told of
    /// a list without names.
    pub fn names(&mut self, field: &'static str, empty: &str) -> Option<String> {
        let names = match self.query.take(field)? {
            Given::Text(text) if text.trim().is_empty() => return None,
            Given::Text(text) if !text.contains('\0') => return Some(text),
            Given::List(names) => names,
            _ => return self.refuse(field, INVALID),
        };
        if names.is_empty() {
            return self.refuse(field, empty);
        }
        if names.iter().any(String::is_empty) {
            return self.refuse(field, "Invalid zero-length identifier");
        }
        if names.iter().any(|name| name.contains('\0')) {
            return self.refuse(field, INVALID);
        }
        Some(names.iter().map(|name| quote_identifier(name)).collect::<Vec<_>>().join(","))
    }

    /// A switch that is on by being there: off only if absent, `false` or `0` (protocol, 2.6 and 13.3).
    pub fn flag(&mut self, field: &'static str) -> Option<bool> {
        match self.query.take(field)? {
            Given::Text(text) | Given::Number(text) => Some(!text.eq_ignore_ascii_case("false") && text != "0"),
            Given::Boolean(on) => Some(on),
            _ => self.refuse(field, INVALID),
        }
    }

    /// A boolean that must look like one; errors go to `reported`.
    pub fn boolean(&mut self, field: &str, reported: &'static str) -> bool {
        match self.query.take(field) {
            None => false,
            Some(Given::Boolean(value)) => value,
            Some(Given::Text(text) | Given::Number(text)) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" => true,
                "false" | "0" | "" => false,
                _ => self.refuse(reported, INVALID).unwrap_or(false),
            },
            Some(_) => self.refuse(reported, INVALID).unwrap_or(false),
        }
    }

    /// Never wrong: what is no number is absent.
    pub fn cursor(&mut self) -> Option<u64> {
        match self.query.take("cursor")? {
            Given::Text(text) | Given::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// `params[n]=value` or an object of texts, whose keys are looked at only where there is a filter.
    pub fn params(&mut self) -> Vec<(String, String)> {
        let members = match self.query.take("params") {
            None => return Vec::new(),
            Some(Given::Text(text)) if text.trim().is_empty() => return Vec::new(),
            Some(Given::Members(members)) => Some(members),
            Some(Given::Object(object)) => {
                object.into_iter().map(|(key, value)| Some((key, value.as_str()?.to_owned()))).collect()
            }
            Some(_) => None,
        };
        match members.filter(|members| members.iter().all(|(_, value)| !value.contains('\0'))) {
            Some(members) => members,
            None => self.refuse("params", INVALID).unwrap_or_default(),
        }
    }

    /// One of two words, of which the first is the default.
    pub fn one_of<T: Copy>(&mut self, field: &'static str, words: [(&str, T); 2]) -> T {
        let [(_, default), _] = words;
        let Some(text) = self.text(field) else { return default };
        match words.into_iter().find(|(word, _)| *word == text) {
            Some((_, meaning)) => meaning,
            None => self.refuse(field, INVALID).unwrap_or(default),
        }
    }

    /// Notes an error; there is no value then.
    pub fn refuse<T>(&mut self, field: &'static str, text: &str) -> Option<T> {
        self.invalid.add(field, text);
        None
    }
}

/// The values of parameters numbered 1..n without holes, in order (protocol, 2.11).
///
/// # Errors
///
/// The text for the client.
pub fn numbered(members: &[(String, String)]) -> Result<Vec<String>, String> {
    let mut by_number = BTreeMap::new();
    for (key, value) in members {
        let digits = key.strip_prefix(['-', '+']).unwrap_or(key);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("Parameters can only use numbers as keys".to_owned());
        }
        if value.contains('\0') {
            return Err(INVALID.to_owned());
        }
        // A number that does not fit is as far from a sequence as a negative one.
        by_number.insert(key.parse::<i64>().unwrap_or(-1), value);
    }
    if by_number.len() > MAX_PARAMS {
        return Err(format!("must not be more than {MAX_PARAMS}"));
    }
    let sequential = by_number.keys().zip(1_i64..).all(|(number, expected)| *number == expected);
    if !sequential {
        return Err("Parameters must be numbered sequentially, starting from 1".to_owned());
    }
    Ok(by_number.into_values().cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_parameters_is_bounded() {
        let with = |count: usize| {
            let members: Vec<(String, String)> = (1..=count).map(|n| (n.to_string(), String::new())).collect();
            numbered(&members).map(|values| values.len())
        };
        assert_eq!(with(MAX_PARAMS), Ok(MAX_PARAMS));
        assert!(with(MAX_PARAMS + 1).is_err(), "one more is refused");
    }
}
