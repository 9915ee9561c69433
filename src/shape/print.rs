//! A shape request as a query string again, for whoever is asked in its client's place.
//!
//! Printed anew from the parsed request, so that nothing goes on that was not understood: what [`ShapeRequest::parse`]
//! makes of the text is the same request.

use serde_json::{Map, Value};

use super::{Live, LogMode, Replica, ShapeRequest, Subset};

#[cfg(test)]
mod tests;

impl ShapeRequest {
    /// The request's parameters, form-encoded.
    pub fn to_query(&self) -> String {
        let mut fields = self.short_fields();
        for (name, text) in self.texts() {
            fields.add_some(name, text);
        }
        for (number, value) in (1..).zip(&self.params) {
            fields.add(&format!("params[{number}]"), value);
        }
        if let Some(subset) = &self.subset {
            subset.print(&mut fields);
        }
        fields.encode()
    }

    /// The same for a POST: a query string, and a body with everything that can be long. `None` without a subset: the
    /// log itself cannot be asked for with a condition in the body (protocol, 2.15).
    pub fn to_post(&self) -> Option<(String, String)> {
        let subset = self.subset.as_ref()?;
        let texts = self.texts().into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text?))));
        let mut body: Map<String, Value> = texts.collect();
        if !self.params.is_empty() {
            body.insert("params".to_owned(), Value::Object(numbered(&self.params)));
        }
        body.insert("subset".to_owned(), Value::Object(subset.members()));
        Some((self.short_fields().encode(), Value::Object(body).to_string()))
    }

    /// The parts of the definition that can be long.
    fn texts(&self) -> [(&'static str, Option<&str>); 3] {
        [
            ("columns", self.columns.as_deref()),
            ("queryable_columns", self.queryable_columns.as_deref()),
            ("where", self.filter.as_deref()),
        ]
    }

    fn short_fields(&self) -> Fields {
        let mut fields = Fields::default();
        fields.add("table", &self.table);
        fields.add("offset", &self.offset.to_string());
        fields.add_some("handle", self.handle.as_ref().map(super::Handle::as_str));
        if self.live != Live::No {
            fields.add("live", "true");
        }
        if self.live == Live::Sse {
            fields.add("live_sse", "true");
        }
        fields.add_some("cursor", self.cursor.map(|cursor| cursor.to_string()).as_deref());
        if self.replica == Replica::Full {
            fields.add("replica", self.replica.as_str());
        }
        if self.log == LogMode::ChangesOnly {
            fields.add("log", self.log.as_str());
        }
        if self.compaction {
            fields.add("experimental_compaction", "true");
        }
        fields.add_some("cache-buster", self.cache_buster.as_deref());
        fields.add_some("expired_handle", self.expired_handle.as_deref());
        fields
    }
}

impl Subset {
    fn print(&self, fields: &mut Fields) {
        // A subset is asked for by being named, even where nothing is said of it.
        fields.add("subset__where", self.filter.as_deref().unwrap_or_default());
        if !self.params.is_empty() {
            fields.add("subset__params", &Value::Object(numbered(&self.params)).to_string());
        }
        fields.add_some("subset__order_by", self.order_by.as_deref());
        fields.add_some("subset__limit", self.limit.map(|limit| limit.to_string()).as_deref());
        fields.add_some("subset__offset", self.offset.map(|offset| offset.to_string()).as_deref());
    }

    fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        let mut add = |name: &str, value: Option<Value>| _ = value.map(|value| members.insert(name.to_owned(), value));
        add("where", self.filter.clone().map(Value::String));
        add("params", (!self.params.is_empty()).then(|| Value::Object(numbered(&self.params))));
        add("order_by", self.order_by.clone().map(Value::String));
        add("limit", self.limit.map(Value::from));
        add("offset", self.offset.map(Value::from));
        members
    }
}

/// Names and values, in the order in which they are printed.
#[derive(Default)]
struct Fields(Vec<(String, String)>);

impl Fields {
    fn add(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    fn add_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    fn encode(&self) -> String {
        let mut query = String::new();
        for (name, value) in &self.0 {
            if !query.is_empty() {
                query.push('&');
            }
            encode_text(name, &mut query);
            query.push('=');
            encode_text(value, &mut query);
        }
        query
    }
}

/// `{"1": "x", "2": "y"}`: the form that all servers take.
fn numbered(params: &[String]) -> Map<String, Value> {
    (1..).zip(params).map(|(number, value): (u32, _)| (number.to_string(), Value::String(value.clone()))).collect()
}

/// Escapes every byte that is not unreserved in a URL (RFC 3986, 2.3).
pub fn encode_text(text: &str, into: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => into.push(char::from(byte)),
            _ => {
                into.push('%');
                into.push(char::from(DIGITS[usize::from(byte >> 4)]));
                into.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
}
