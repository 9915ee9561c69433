//! A query string taken apart: form decoding and bracket keys, before any field is looked at. What a body
//! adds is laid over it.
//!
//! Strict where the protocol leaves room: a malformed escape or text that is not UTF-8 is refused, so
//! no two spellings of a filter can mean different things to us and to a proxy in front of us.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Query strings above this are refused. The HTTP server's own limit on a request's head is the same.
const MAX_QUERY_BYTES: usize = 128 * 1024;

/// Every parameter of a request by name, the last one of a name.
#[derive(Debug, Default)]
pub struct Query {
    fields: BTreeMap<String, Given>,
    /// Whether a body asked for a subset, perhaps without saying anything more of it.
    subset: bool,
}

/// One parameter's value, as its key's form or its JSON says.
#[derive(Debug, PartialEq, Eq)]
pub enum Given {
    /// `name=text`; a key without `=` has the empty text.
    Text(String),
    /// A number of a body, as written there.
    Number(String),
    /// A boolean of a body.
    Boolean(bool),
    /// `name[]=text`, in the order given, or a body's list of texts.
    List(Vec<String>),
    /// `name[member]=text`, in the order given.
    Members(Vec<(String, String)>),
    /// An object of a body.
    Object(Map<String, Value>),
    /// `name[a][b]=`, or a body's list of anything else: forms that no parameter takes.
    Nested,
}

/// Why a query string could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("has a malformed percent escape")]
    Escape,
    #[error("is not valid UTF-8")]
    NotUtf8,
    #[error("is longer than {MAX_QUERY_BYTES} bytes")]
    TooLong,
}

impl Query {
    /// Decodes `application/x-www-form-urlencoded` text: `+` is a space, bracket keys nest, the last
    /// of a repeated key wins (protocol, 2.1).
    pub fn decode(query: &str) -> Result<Self, Malformed> {
        if query.len() > MAX_QUERY_BYTES {
            return Err(Malformed::TooLong);
        }
        let mut decoded = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            decoded.put(&form_decode(key)?, form_decode(value)?);
        }
        Ok(decoded)
    }

    /// The value of a parameter, if it was given in any form.
    pub fn take(&mut self, name: &str) -> Option<Given> {
        self.fields.remove(name)
    }

    /// Gives a parameter another value, or none.
    pub fn set(&mut self, name: &str, given: Option<Given>) {
        match given {
            Some(given) => self.replace(name, given),
            None => _ = self.fields.remove(name),
        }
    }

    /// Asks for a subset, whatever else is said of it.
    pub fn ask_for_subset(&mut self) {
        self.subset = true;
    }

    /// Whether a subset is asked for, be it by a parameter that no subset has (protocol, 2.14).
    pub fn wants_subset(&self) -> bool {
        self.subset || self.fields.keys().any(|name| name.starts_with("subset__"))
    }

    fn put(&mut self, key: &str, value: String) {
        match KeyForm::of(key) {
            KeyForm::Plain(name) => self.replace(name, Given::Text(value)),
            KeyForm::Nested(name) => self.replace(name, Given::Nested),
            KeyForm::Item(name) => match self.fields.get_mut(name) {
                Some(Given::List(items)) => items.push(value),
                _ => self.replace(name, Given::List(vec![value])),
            },
            KeyForm::Member(name, member) => match self.fields.get_mut(name) {
                Some(Given::Members(members)) => members.push((member.to_owned(), value)),
                _ => self.replace(name, Given::Members(vec![(member.to_owned(), value)])),
            },
        }
    }

    fn replace(&mut self, name: &str, given: Given) {
        self.fields.insert(name.to_owned(), given);
    }
}

/// What brackets make of a key.
enum KeyForm<'a> {
    Plain(&'a str),
    Member(&'a str, &'a str),
    Item(&'a str),
    Nested(&'a str),
}

impl<'a> KeyForm<'a> {
    fn of(key: &'a str) -> Self {
        let Some((name, rest)) = key.split_once('[') else { return Self::Plain(key) };
        match rest.strip_suffix(']') {
            // Unbalanced brackets are part of a name, and no parameter has such a name.
            None => Self::Plain(key),
            Some("") => Self::Item(name),
            Some(member) if member.contains(['[', ']']) => Self::Nested(name),
            Some(member) => Self::Member(name, member),
        }
    }
}

/// Undoes percent escapes and `+`.
fn form_decode(text: &str) -> Result<String, Malformed> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let [high, low, tail @ ..] = tail else { return Err(Malformed::Escape) };
                rest = tail;
                hex_digit(*high)? << 4 | hex_digit(*low)?
            }
            other => *other,
        });
    }
    String::from_utf8(decoded).map_err(|_| Malformed::NotUtf8)
}

fn hex_digit(byte: u8) -> Result<u8, Malformed> {
    let digit = char::from(byte).to_digit(16).ok_or(Malformed::Escape)?;
    Ok(u8::try_from(digit).expect("a hexadecimal digit is below 16"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(query: &str, name: &str) -> Result<Option<Given>, Malformed> {
        Query::decode(query).map(|mut query| query.take(name))
    }

    #[test]
    fn keys_and_values_are_form_decoded_and_the_last_one_wins() {
        let text = |text: &str| Ok(Some(Given::Text(text.to_owned())));
        let members = |list: &[(&str, &str)]| {
            let owned = list.iter().map(|(member, value)| ((*member).to_owned(), (*value).to_owned()));
            Ok(Some(Given::Members(owned.collect())))
        };
        let cases = [
            ("", Ok(None)),
            ("&&", Ok(None)),
            ("b=1", Ok(None)),
            ("a", text("")),
            ("a=", text("")),
            ("a=x=y", text("x=y")),
            ("a=x+y%20z%2B", text("x y z+")),
            ("%61=%c3%A4", text("ä")),
            ("a=1&a=2", text("2")),
            ("a[1]=x", members(&[("1", "x")])),
            ("a%5B1%5D=x&a[b]=y", members(&[("1", "x"), ("b", "y")])),
            ("a=1&a[1]=x", members(&[("1", "x")])),
            ("a[1]=x&a=1", text("1")),
            ("a[]=x&a[]=y", Ok(Some(Given::List(vec!["x".to_owned(), "y".to_owned()])))),
            ("a[1]=x&a[]=y", Ok(Some(Given::List(vec!["y".to_owned()])))),
            ("a[][]=x", Ok(Some(Given::Nested))),
            ("a[1][2]=x", Ok(Some(Given::Nested))),
            ("a[1=x", Ok(None)),
            ("a[1]b=x", Ok(None)),
            ("a=%", Err(Malformed::Escape)),
            ("a=%4", Err(Malformed::Escape)),
            ("a=%zz", Err(Malformed::Escape)),
            ("a=%+1", Err(Malformed::Escape)),
            ("other=%ff", Err(Malformed::NotUtf8)),
            ("a%e4=x", Err(Malformed::NotUtf8)),
        ];
        for (query, expected) in cases {
            assert_eq!(taken(query, "a"), expected, "{query:?}");
        }
        let long = "x".repeat(MAX_QUERY_BYTES + 1);
        assert_eq!(taken(&long, "a"), Err(Malformed::TooLong));
    }

    proptest::proptest! {
        #[test]
        fn every_text_survives_encoding_and_no_text_panics(key in "[a-z]{1,4}", value in ".*", noise in ".*") {
            let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            proptest::prop_assert_eq!(taken(&format!("{key}={encoded}"), &key), Ok(Some(Given::Text(value))));
            let _ = crate::shape::ShapeRequest::parse(&noise, Some(&noise), crate::shape::Dialect::Api);
        }
    }
}
