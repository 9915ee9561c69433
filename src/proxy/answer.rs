//! What an upstream's answer is worth: which headers go on to readers, and which answers may.

use awc::http::header::HeaderMap;

use super::failure::Failure;

#[cfg(test)]
mod tests;

/// Headers that go on. Not those between two neighbours (`connection`, `transfer-encoding`, ...), nor those that this
/// server sets itself: CORS, `date`, `x-request-id`, `electric-server`.
const KEPT: [&str; 22] = [
    "age",
    "cache-control",
    "cdn-cache-control",
    "content-encoding",
    "content-language",
    "content-type",
    "electric-chunk-last-offset",
    "electric-chunk-up-to-date",
    "electric-cursor",
    "electric-handle",
    "electric-has-data",
    "electric-internal-known-error",
    "electric-offset",
    "electric-schema",
    "electric-snapshot",
    "electric-up-to-date",
    "etag",
    "expires",
    "last-modified",
    "retry-after",
    "surrogate-control",
    "vary",
];

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Log,
    Subset,
    /// A long-poll.
    Live,
}

/// The head of an answer, as far as it goes on.
#[derive(Debug, Clone)]
pub struct Head {
    pub status: u16,
    /// As in [`crate::shape::Answer`].
    pub headers: Vec<(&'static str, String)>,
}

impl Head {
    /// Takes what goes on. A header on several lines becomes one; one that is not UTF-8 is left out.
    pub fn of(status: u16, from: &HeaderMap) -> Self {
        let mut headers = Vec::new();
        for name in KEPT {
            let lines = from.get_all(name).filter_map(|value| std::str::from_utf8(value.as_bytes()).ok());
            let lines: Vec<&str> = lines.collect();
            if !lines.is_empty() {
                headers.push((name, lines.join(", ")));
            }
        }
        Self { status, headers }
    }

    /// The value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Whether readers may have this answer. `conditional`: they asked for it only if it has changed.
    ///
    /// # Errors
    /// What to make of it instead.
    pub fn check(&self, kind: Kind, conditional: bool) -> Result<(), Failure> {
        match self.status {
            200 => self.check_required(kind),
            204 if kind == Kind::Live => self.check_required(kind),
            304 if conditional => Ok(()),
            400 | 409 if self.is_json() => Ok(()),
            429 | 503 if self.is_json() => Ok(()),
            status @ (429 | 503) => Err(Failure::Unavailable { status }),
            status @ (401 | 403 | 404) => Err(Failure::Refused(status)),
            413 | 414 | 431 => Err(Failure::TooLong),
            // One request that it cannot answer says nothing of the others.
            500 if self.is_json() => Err(Failure::Failed),
            500.. => Err(Failure::Wrong("it answers with a server error; its own log says why")),
            400..500 => Err(Failure::Failed),
            _ => Err(Failure::Wrong("it answers with a status that no shape service has")),
        }
    }

    /// Clients give up for good where one of these is missing (protocol, 10.2).
    fn check_required(&self, kind: Kind) -> Result<(), Failure> {
        let required: &[&str] = match kind {
            Kind::Log => &["electric-handle", "electric-offset", "electric-schema"],
            Kind::Live => &["electric-handle", "electric-offset", "electric-cursor"],
            Kind::Subset => &["electric-handle"],
        };
        if required.iter().all(|name| self.get(name).is_some()) {
            Ok(())
        } else {
            Err(Failure::Wrong("it answers without the headers of a shape service; check ELECTRIC_URL"))
        }
    }

    fn is_json(&self) -> bool {
        self.get("content-type").is_some_and(|value| value.to_ascii_lowercase().starts_with("application/json"))
    }

    /// Readers who are told to wait are told for how long.
    pub fn with_retry_after(mut self) -> Self {
        if matches!(self.status, 429 | 503) && self.get("retry-after").is_none() {
            self.headers.push(("retry-after", "1".to_owned()));
        }
        self
    }
}
