//! Why the upstream gave nothing that a reader could have, and what the reader is told instead.
//!
//! Readers come back by themselves; none of these answers says more than that they should.

use std::time::Duration;

use awc::error::{ConnectError, SendRequestError};

use super::breaker::Fault;
use crate::shape::{Answer, Invalid};

/// `retry-after` in seconds, at random: those who failed together shall not come back together.
const RETRY_AFTER_SECONDS: std::ops::RangeInclusive<u64> = 1..=3;
/// The same where only an operator can mend it.
const OPERATOR: Duration = Duration::from_secs(10);

/// A request without a usable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or it broke off before an answer; `repeatable` if nothing of the answer had come.
    Unreachable { repeatable: bool },
    /// No answer in time.
    Slow,
    /// What came is no answer of a shape service.
    Wrong(&'static str),
    /// It is there, and could not answer this request.
    Failed,
    /// 401, 403 or 404: it does not know us, or is something else.
    Refused(u16),
    /// 429 or 503 without a body that readers know.
    Unavailable { status: u16 },
    /// It has failed too often, and is left alone for this long.
    Resting(Duration),
    /// All connections are in use.
    Busy,
    /// The request makes a longer URL than can be sent.
    TooLong,
    /// The proxy has ended.
    Stopped,
}

impl Failure {
    /// What the HTTP client's error means.
    pub fn of(error: &SendRequestError) -> Self {
        match error {
            SendRequestError::Timeout | SendRequestError::Connect(ConnectError::Timeout) => Self::Slow,
            SendRequestError::Connect(ConnectError::Resolver(_) | ConnectError::NoRecords) => {
                Self::Unreachable { repeatable: false }
            }
            SendRequestError::Connect(_) | SendRequestError::Send(_) => Self::Unreachable { repeatable: true },
            SendRequestError::Response(actix_web::error::ParseError::Io(error)) => {
                // The client's own error for a head that ended in its middle; the system's have kinds.
                Self::Unreachable { repeatable: error.kind() != std::io::ErrorKind::Other }
            }
            _ => Self::Wrong("an answer that is not HTTP"),
        }
    }

    /// What it says of the upstream's health; `None` if nothing.
    pub fn fault(self) -> Option<Fault> {
        match self {
            Self::Unreachable { .. } | Self::Slow => Some(Fault::Unreachable),
            Self::Wrong(_) | Self::Refused(_) => Some(Fault::Wrong),
            Self::Failed | Self::Unavailable { .. } | Self::Resting(_) | Self::Busy | Self::TooLong | Self::Stopped => {
                None
            }
        }
    }

    /// What the operator should know, with the cure; `None` if there is nothing to do.
    pub fn for_operator(self) -> Option<&'static str> {
        match self {
            Self::Refused(404) => Some("it has no shape route; set ELECTRIC_URL to the address of a shape service"),
            Self::Refused(_) => Some("it does not accept us; set ELECTRIC_SECRET to the secret of the service"),
            Self::Wrong(what) => Some(what),
            Self::Busy => Some("all connections are in use; see upstream.max_connections"),
            _ => None,
        }
    }

    /// What the reader is told.
    pub fn answer(self) -> Answer {
        let soon = Duration::from_secs(rand::random_range(RETRY_AFTER_SECONDS));
        let unavailable = |message| Answer::unavailable(message, soon, false);
        match self {
            Self::Unreachable { .. } => unavailable("The shape service cannot be reached. Please try again."),
            Self::Slow => unavailable("The shape service did not answer in time. Please try again."),
            Self::Failed => {
                Answer::bad_gateway("The shape service cannot answer this request. Please try again.", soon)
            }
            Self::Wrong(_) => Answer::bad_gateway("The shape service gave a broken answer. Please try again.", soon),
            Self::Refused(_) => {
                Answer::bad_gateway("The shape service does not accept this server's requests.", OPERATOR)
            }
            Self::Unavailable { status } => {
                let mut answer = unavailable("The shape service has too much to do. Please try again.");
                answer.status = status;
                answer
            }
            Self::Resting(rest) => {
                // Rounded up: whoever comes back before its end comes for nothing.
                let rest = Duration::from_secs(rest.as_secs() + 1);
                Answer::unavailable("The shape service cannot be reached. Please try again.", rest, false)
            }
            Self::Busy => unavailable("All connections to the shape service are in use. Please try again."),
            Self::Stopped => unavailable("The server is stopping. Please try again."),
            Self::TooLong => Answer::invalid(&Invalid::one("query", "is too long")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_told_to_come_back_and_nothing_else() {
        let cases = [
            (Failure::Unreachable { repeatable: true }, 503),
            (Failure::Slow, 503),
            (Failure::Wrong("html"), 502),
            (Failure::Failed, 502),
            (Failure::Refused(401), 502),
            (Failure::Unavailable { status: 429 }, 429),
            (Failure::Resting(Duration::from_millis(1500)), 503),
            (Failure::Busy, 503),
            (Failure::Stopped, 503),
        ];
        for (failure, status) in cases {
            let answer = failure.answer();
            assert_eq!(answer.status, status, "{failure:?}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{failure:?}");
            let retry_after: Option<u64> = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
            assert!(retry_after.is_some_and(|seconds| seconds > 0), "{failure:?}");
        }
        assert_eq!(Failure::Resting(Duration::from_millis(1500)).answer().header("retry-after"), Some("2"));
        assert_eq!(Failure::TooLong.answer().status, 400);
    }
}
