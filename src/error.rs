//! The one place where a failure becomes a status, a code and a JSON body.

use std::borrow::Cow;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use tracing::error;

use crate::db::ReadError;
use crate::ids::InvalidId;
use crate::writer::WriteError;

/// What `retry-after` says, in seconds: a full queue empties and a restarted Postgres is back within about a second.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Every failure a caller of the API can see. The only type that knows HTTP statuses.
#[derive(Debug)]
pub enum ApiError {
    /// A malformed request: the field to blame, and what was expected of it. The body as a whole is the field `body`.
    Invalid { field: Cow<'static, str>, expected: Cow<'static, str> },
    /// No such thing, or none that this caller may know of: the two must look the same.
    NotFound(&'static str),
    /// The viewer's page, in a program that was built without it.
    NoViewer,
    /// Nobody has shown who it is: why not.
    Unauthorized(String),
    /// Not for this caller: what it lacks.
    Forbidden(Cow<'static, str>),
    /// Too many requests of one caller or address; more after so many seconds.
    TooManyRequests(u64),
    /// The head of the request is longer than this many bytes.
    HeadersTooLarge(usize),
    /// Not in the way that this server is set up: why.
    NotAvailable(&'static str),
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The id is taken by something with other content.
    AlreadyExists(&'static str),
    /// The body is longer than this many bytes.
    TooLarge(usize),
    /// The writer's queue is full. Nothing was written.
    Busy,
    /// Postgres cannot be reached. Nothing was written.
    Unavailable,
    /// Whether a token is valid cannot be said just now.
    NotChecked,
    /// Postgres went away while it committed: the write may have happened.
    OutcomeUnknown,
    /// Ours to fix. The cause is in the log and never in the answer.
    Internal,
}

impl ApiError {
    /// A field that is not as it must be.
    pub fn invalid(field: impl Into<Cow<'static, str>>, expected: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid { field: field.into(), expected: expected.into() }
    }

    /// The contract with clients on one screen: HTTP status and stable code.
    fn contract(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Invalid { .. } => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::NoViewer => (StatusCode::NOT_FOUND, "not_found"),
            Self::Unauthorized(_) => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::TooManyRequests(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"),
            Self::HeadersTooLarge(_) => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large"),
            Self::NotAvailable(_) => (StatusCode::NOT_IMPLEMENTED, "not_available"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::AlreadyExists(_) => (StatusCode::CONFLICT, "already_exists"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::NotChecked => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::OutcomeUnknown => (StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { field, expected } => write!(f, "{field}: expected {expected}"),
            Self::NotFound(what) => write!(f, "no such {what}"),
            Self::NoViewer => f.write_str("the viewer is not in this build: run `make viewer`, then build again"),
            Self::Unauthorized(why) => f.write_str(why),
            Self::Forbidden(what) => f.write_str(what),
            Self::TooManyRequests(_) => f.write_str("too many requests; try again later"),
            Self::HeadersTooLarge(max_bytes) => write!(f, "the headers are longer than {max_bytes} bytes"),
            Self::NotAvailable(why) => f.write_str(why),
            Self::MethodNotAllowed => f.write_str("this path does not take this method"),
            Self::AlreadyExists(what) => write!(f, "this {what} exists with other content"),
            Self::TooLarge(max_bytes) => write!(f, "the body is longer than {max_bytes} bytes"),
            Self::Busy => f.write_str("too many writes are waiting; nothing was written, try again"),
            Self::Unavailable => f.write_str("the database cannot be reached; nothing was written, try again"),
            Self::NotChecked => f.write_str(
                "the token cannot be checked: the keys of its issuer, or the database, cannot be reached; try again",
            ),
            Self::OutcomeUnknown => {
                f.write_str("the database went away during the commit; the write may have happened")
            }
            Self::Internal => f.write_str("something went wrong here; the log has the cause"),
        }
    }
}

/// The body of every error.
#[derive(Serialize)]
struct Body<'a> {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.contract().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, code) = self.contract();
        let mut response = HttpResponse::build(status);
        match self {
            Self::TooManyRequests(seconds) => _ = response.insert_header((RETRY_AFTER, *seconds)),
            Self::Unauthorized(_) => _ = response.insert_header((WWW_AUTHENTICATE, "Bearer")),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                response.insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS));
            }
            _ => {}
        }
        if matches!(self, Self::Unauthorized(_) | Self::Forbidden(_) | Self::TooManyRequests(_)) {
            // It says something of who asks.
            response.insert_header((CACHE_CONTROL, "no-store"));
        }
        let field = if let Self::Invalid { field, .. } = self { Some(field.as_ref()) } else { None };
        response.json(Body { code, message: self.to_string(), field })
    }
}

impl From<InvalidId> for ApiError {
    fn from(InvalidId(what): InvalidId) -> Self {
        Self::invalid(what, "1 to 64 characters without U+0000")
    }
}

impl From<WriteError> for ApiError {
    fn from(failure: WriteError) -> Self {
        match failure {
            WriteError::NotFound(what) => Self::NotFound(what),
            WriteError::AlreadyExists(what) => Self::AlreadyExists(what),
            WriteError::Invalid { field, expected } => Self::invalid(field, expected),
            WriteError::Busy => Self::Busy,
            WriteError::Unavailable => Self::Unavailable,
            WriteError::OutcomeUnknown => Self::OutcomeUnknown,
            WriteError::Internal => Self::Internal,
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(failure: ReadError) -> Self {
        match failure {
            ReadError::Unavailable => Self::Unavailable,
            ReadError::Query(cause) => {
                error!(%cause, "a read failed: {cause}");
                Self::Internal
            }
        }
    }
}
