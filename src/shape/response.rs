//! A shape server's answers: status, headers and body, without an HTTP library.
//!
//! Every header of the presence matrix (protocol, 4.1) is set here and nowhere else; headers that do
//! not depend on the answer (1.2, 1.3) are the HTTP edge's.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::Stream;
use serde_json::json;

use super::control::{self, MUST_REFETCH};
use super::{BadBody, Handle, Invalid, Live, Lsn, Offset, Requested, ShapeRequest, cursor};

#[cfg(test)]
mod tests;

const JSON: &str = "application/json; charset=utf-8";
const EVENT_STREAM: &str = "text/event-stream";
const NO_STORE: &str = "no-store";

/// `cache-control` of answers that no rule of protocol 4.8 covers.
pub const DEFAULT_CACHE_CONTROL: &str = "max-age=0, private, must-revalidate";

/// One answer, ready for the wire.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case; none twice.
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
}

/// What follows the headers. After an error in its pieces nothing more is sent and the connection is cut.
pub enum Body {
    Empty,
    /// Sent with its length.
    Full(Bytes),
    /// Sent with its length, and read as it is sent.
    Pieces {
        length: u64,
        pieces: Pieces,
    },
    /// Sent in chunks.
    Stream(Pieces),
}

/// A body as it comes.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, BrokenStream>> + Send>>;

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => f.debug_tuple("Full").field(bytes).finish(),
            Self::Pieces { length, .. } => f.debug_struct("Pieces").field("length", length).finish_non_exhaustive(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// A body cannot be finished: its connection is cut, so that the reader sees a network error and retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shape's log ended in the middle of an answer")]
pub struct BrokenStream;

/// Which of the two admission counters was full (protocol, 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Requests that may create a shape.
    Initial,
    /// Requests for a known handle.
    Existing,
}

impl Answer {
    /// 400: what is wrong, by field.
    pub fn invalid(invalid: &Invalid) -> Self {
        let body = json!({"message": "Invalid request", "errors": invalid.errors()});
        Self::error(400, body.to_string())
    }

    /// 200 to a live request that is not held any longer: its reader has everything up to its own position, and no more is
    /// claimed. `None` for a request that names no position to go on from.
    pub fn nothing_new(request: &ShapeRequest, cache: &CachePolicy) -> Option<Self> {
        let (Some(handle), Requested::After(end), true) = (&request.handle, request.offset, request.live != Live::No)
        else {
            return None;
        };
        let now = SystemTime::now();
        let head = LogHead { request, handle, end, schema: "", up_to_date: true, no_change: true, cache, now };
        let is_stream = request.live == Live::Sse;
        Some(head.answer(if is_stream { Body::Empty } else { Body::Full(control::nothing_new(Lsn(end.tx))) }))
    }

    /// 409: the log cannot be continued; with the handle to use next, if it is known.
    pub fn must_refetch(next: Option<&Handle>) -> Self {
        let max_age = if next.is_some() { 60 } else { 1 };
        let mut headers = vec![
            ("content-type", JSON.to_owned()),
            ("cache-control", format!("public, max-age={max_age}, must-revalidate")),
        ];
        if let Some(handle) = next {
            headers.push(("electric-handle", handle.to_string()));
            headers.push(("etag", format!("\"{handle}::\"")));
        }
        Self { status: 409, headers, body: Body::Full(Bytes::from_static(MUST_REFETCH)) }
    }

    /// 503: the same request may work after `retry_after` (whole seconds, at least one).
    /// `known_error` marks a failure whose reason the operator can act on.
    pub fn unavailable(message: &str, retry_after: Duration, known_error: bool) -> Self {
        Self::retry_later(json!({"message": message}).to_string(), retry_after, known_error)
    }

    /// 503: `limit` requests of this kind are being answered already.
    pub fn too_many_requests(kind: Admission, limit: usize, retry_after: Duration) -> Self {
        let kind = match kind {
            Admission::Initial => "initial",
            Admission::Existing => "existing",
        };
        let body = json!({
            "code": "concurrent_request_limit_exceeded",
            "message": format!("Concurrent {kind} request limit exceeded (limit: {limit}), please retry"),
        });
        Self::retry_later(body.to_string(), retry_after, true)
    }

    /// 429: `limit` says which bound on subscriptions was met.
    pub fn too_many_subscriptions(limit: &str) -> Self {
        let message = format!("Too many subscriptions are open ({limit}), please retry");
        let mut answer = Self::error(429, json!({"code": "too_many_subscriptions", "message": message}).to_string());
        // At random: those who were refused together shall not come back together.
        answer.headers.push(("retry-after", rand::random_range(5..=10).to_string()));
        answer
    }

    /// 403: an operator keeps this reader out for some time.
    pub fn blocked(left: Duration) -> Self {
        let seconds = left.as_secs_f64().ceil();
        let message = format!("An operator has ended this subscription. It may be opened again in {seconds} s.");
        Self::error(403, json!({"code": "blocked", "message": message}).to_string())
    }

    /// 502: whoever was to answer for us gave nothing that could be passed on. The same request may work after
    /// `retry_after` (whole seconds, at least one).
    pub fn bad_gateway(message: &str, retry_after: Duration) -> Self {
        let mut answer = Self::error(502, json!({"message": message}).to_string());
        answer.headers.push(("retry-after", whole_seconds(retry_after)));
        answer
    }

    /// 500: ours to mend. The message must hold nothing that a stranger may not read.
    pub fn server_error(message: &str) -> Self {
        Self::error(500, json!({"message": message}).to_string())
    }

    /// 200: a part of a shape's rows (protocol, 9.5). No cache may keep it, and a reader may go on from `end`.
    /// `schema` is absent in an answer to a live request.
    pub fn subset(handle: &Handle, end: Offset, schema: Option<String>, body: Body) -> Self {
        let mut headers = vec![
            ("content-type", JSON.to_owned()),
            ("cache-control", "no-cache".to_owned()),
            ("electric-handle", handle.to_string()),
            ("electric-offset", end.to_string()),
            ("electric-snapshot", "true".to_owned()),
        ];
        headers.extend(schema.map(|schema| ("electric-schema", schema)));
        Self { status: 200, headers, body }
    }

    /// 400 or 413: the body of a POST cannot be read (protocol, 3.3).
    pub fn bad_body(bad: &BadBody) -> Self {
        let status = if *bad == BadBody::TooLarge { 413 } else { 400 };
        let body = match bad {
            BadBody::NotJson(details) => json!({"error": bad.to_string(), "details": details}),
            _ => json!({"error": bad.to_string()}),
        };
        let headers = vec![("content-type", JSON.to_owned()), ("cache-control", DEFAULT_CACHE_CONTROL.to_owned())];
        Self { status, headers, body: Body::Full(body.to_string().into()) }
    }

    /// 202 to a DELETE: the shape is no more.
    pub fn deleted() -> Self {
        let headers = vec![("content-type", JSON.to_owned()), ("electric-has-data", "true".to_owned())];
        Self { status: 202, headers, body: Body::Empty }.uncached()
    }

    /// 404 to a DELETE: no shape is named like that.
    pub fn no_such_shape() -> Self {
        Self::error(404, json!({"message": "No existing shape found"}).to_string()).uncached()
    }

    /// 400 to a DELETE whose handle is not that of its definition.
    pub fn handle_of_another() -> Self {
        let message = "The specified shape definition and handle do not match. Please ensure the shape definition is \
                       correct or omit the shape handle from the request to obtain a new one.";
        Self::error(400, json!({"message": message}).to_string()).uncached()
    }

    /// 405: this server does not take a DELETE.
    pub fn delete_not_allowed() -> Self {
        Self::error(405, json!({"message": "DELETE not allowed"}).to_string()).uncached()
    }

    /// 401: the shared secret is missing or wrong.
    pub fn unauthorized() -> Self {
        Self::plain(401, r#"{"message":"Unauthorized - Invalid API secret"}"#)
    }

    /// 404: no such route.
    pub fn not_found() -> Self {
        Self::plain(404, "Not found")
    }

    /// The same as an answer to POST or DELETE, which no cache may keep.
    pub fn uncached(mut self) -> Self {
        self.headers.retain(|(name, _)| !matches!(*name, "cache-control" | "surrogate-control"));
        self.headers.push(("cache-control", "no-cache".to_owned()));
        self
    }

    /// The same for one principal: no cache may give it to another, and neither does its entity tag mean anything to another.
    pub fn private(mut self, mark: &str) -> Self {
        for (name, value) in &mut self.headers {
            match *name {
                "cache-control" => *value = private_cache_control(value),
                "etag" => *value = format!("{}:{mark}\"", value.trim_end_matches('"')),
                _ => {}
            }
        }
        self
    }

    /// The value of a header, if the answer has it.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    fn error(status: u16, body: String) -> Self {
        let headers = vec![
            ("content-type", JSON.to_owned()),
            ("cache-control", NO_STORE.to_owned()),
            ("surrogate-control", NO_STORE.to_owned()),
        ];
        Self { status, headers, body: Body::Full(body.into()) }
    }

    fn retry_later(body: String, retry_after: Duration, known_error: bool) -> Self {
        let mut answer = Self::error(503, body);
        answer.headers.push(("retry-after", whole_seconds(retry_after)));
        if known_error {
            answer.headers.push(("electric-internal-known-error", "true".to_owned()));
        }
        answer
    }

    /// Routing and authentication come before content types and cache rules.
    fn plain(status: u16, body: &'static str) -> Self {
        let headers = vec![("cache-control", DEFAULT_CACHE_CONTROL.to_owned())];
        Self { status, headers, body: Body::Full(Bytes::from_static(body.as_bytes())) }
    }
}

/// A cache rule without what it says to caches that several share.
fn private_cache_control(rule: &str) -> String {
    let directives = rule.split(',').map(str::trim);
    let own = directives.filter(|directive| *directive != "public" && !directive.starts_with("s-maxage"));
    let own: Vec<&str> = own.filter(|directive| !directive.is_empty() && *directive != "private").collect();
    std::iter::once("private").chain(own).collect::<Vec<_>>().join(", ")
}

/// The value of `retry-after`.
fn whole_seconds(retry_after: Duration) -> String {
    retry_after.as_secs().max(1).to_string()
}

/// The durations that go into `cache-control` and `electric-cursor`.
#[derive(Debug, Clone, Copy)]
pub struct CachePolicy {
    /// `max-age` of answers that are not live.
    pub max_age: Duration,
    /// Their `stale-while-revalidate`.
    pub stale_age: Duration,
    /// How long a long-poll is held: the step of the cursor.
    pub long_poll_timeout: Duration,
    /// How long an event stream lasts.
    pub sse_timeout: Duration,
}

/// What is known of a log answer before its body.
#[derive(Clone, Copy)]
pub struct LogHead<'a> {
    pub request: &'a ShapeRequest,
    pub handle: &'a Handle,
    /// `electric-offset`: where the reader goes on.
    pub end: Offset,
    /// `electric-schema`, as JSON in printable ASCII.
    pub schema: &'a str,
    /// Whether the body ends with the up-to-date message.
    pub up_to_date: bool,
    /// A long-poll that timed out, or `offset=now`: the body holds no data.
    pub no_change: bool,
    pub cache: &'a CachePolicy,
    pub now: SystemTime,
}

impl LogHead<'_> {
    /// 200 with this body.
    pub fn answer(self, body: Body) -> Answer {
        let live = self.request.live;
        let mut headers = self.shared_headers(if live == Live::Sse { EVENT_STREAM } else { JSON });
        headers.push(("electric-has-data", (!self.no_change).to_string()));
        headers.push(("etag", self.etag()));
        if live == Live::No {
            headers.push(("electric-schema", self.schema.to_owned()));
        }
        Answer { status: 200, headers, body }
    }

    /// 304, if the reader has this very answer already. To be asked before any waiting.
    pub fn not_modified(self) -> Option<Answer> {
        let tag = self.tag();
        if !self.request.if_none_match.contains(&tag) {
            return None;
        }
        let mut headers = self.shared_headers(JSON);
        headers.push(("electric-has-data", "true".to_owned()));
        headers.push(("etag", format!("\"{tag}\"")));
        Some(Answer { status: 304, headers, body: Body::Empty })
    }

    fn shared_headers(&self, content_type: &str) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("content-type", content_type.to_owned()),
            ("cache-control", self.cache_control()),
            ("electric-handle", self.handle.to_string()),
            ("electric-offset", self.end.to_string()),
        ];
        if self.up_to_date {
            headers.push(("electric-up-to-date", String::new()));
        }
        if self.request.live != Live::No {
            let step = || rand::random_range(1..=cursor::MAX_STEP);
            let cursor = cursor::next(self.request.cursor, self.cache.long_poll_timeout, self.now, step);
            headers.push(("electric-cursor", cursor.to_string()));
        }
        headers
    }

    /// Protocol 4.8, for answers of a log.
    fn cache_control(&self) -> String {
        match (self.request.offset, self.request.live) {
            // A week for browsers, an hour for shared caches, then a month stale: the start of a log never changes.
            (Requested::Start, _) => "public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746".into(),
            (_, Live::Sse) => {
                let max_age = self.cache.sse_timeout.as_secs().saturating_sub(1).max(1);
                format!("public, max-age={max_age}")
            }
            (_, Live::Poll) => "public, max-age=5, stale-while-revalidate=5".into(),
            (_, Live::No) => {
                let CachePolicy { max_age, stale_age, .. } = self.cache;
                format!("public, max-age={}, stale-while-revalidate={}", max_age.as_secs(), stale_age.as_secs())
            }
        }
    }

    fn tag(&self) -> String {
        format!("{}:{}:{}", self.handle, self.request.offset, self.end)
    }

    /// An answer without data has a tag of its own each time, so that no cache can ever revalidate it.
    fn etag(&self) -> String {
        let tag = self.tag();
        if self.no_change { format!("\"{tag}:{}\"", unique(self.now)) } else { format!("\"{tag}\"") }
    }
}

/// A number that no earlier call gave, of this process or of one before it.
fn unique(now: SystemTime) -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let unix_nanos = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    // 64 bits of nanoseconds last until 2554.
    (unix_nanos as u64).wrapping_add(CALLS.fetch_add(1, Ordering::Relaxed))
}
