//! What can go wrong between us and the replication side of Postgres.

use std::fmt;
use std::io;

use bytes::Bytes;

use super::cursor::{Cursor, DecodeError};

/// A failure of the replication connection. Whatever it is, the connection is of no more use, except
/// after [`ReplicationError::Server`] in answer to a query.
#[derive(Debug, thiserror::Error)]
pub enum ReplicationError {
    /// No connection came about.
    #[error("cannot connect to Postgres at {address}")]
    Connect { address: String, source: io::Error },
    /// Reading or writing failed.
    #[error("lost the connection to Postgres")]
    Io(#[from] io::Error),
    /// The server ended the connection, or the stream, without an error.
    #[error("Postgres closed the connection")]
    Closed,
    /// The server answered with an error.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// We and the server found no way to prove who we are.
    #[error("cannot sign in to Postgres: {0}")]
    Authentication(String),
    /// The server does not encrypt, and we were told to insist.
    #[error(
        "Postgres at {address} does not offer TLS; set ssl = on there, or use sslmode=disable in a trusted network"
    )]
    NoTls { address: String },
    /// TLS cannot be: the certificate is not believed, or no version or cipher is common to both.
    #[error(
        "no TLS with Postgres at {address}: {source}; check host name, sslmode and sslrootcert of the database URL \
         against the server's certificate"
    )]
    Tls { address: String, source: rustls::Error },
    /// The server sent what the protocol does not allow here.
    #[error("unexpected message from Postgres: {0}")]
    Protocol(String),
}

impl ReplicationError {
    /// The SQLSTATE, if the server sent one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Server(error) => Some(&error.code),
            _ => None,
        }
    }

    /// Whether the slot is in use by another connection: another engine's, or one of ours that the
    /// server has not yet noticed to be gone.
    pub fn is_slot_active(&self) -> bool {
        self.code() == Some("55006")
    }
}

impl From<DecodeError> for ReplicationError {
    fn from(error: DecodeError) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// An `ErrorResponse`.
///
/// Source: PostgreSQL documentation, 55.8 "Error and Notice Message Fields".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerError {
    /// SQLSTATE, five characters.
    pub code: String,
    /// One line, in the server's language.
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl ServerError {
    /// Reads the body of an `ErrorResponse`. Bytes that are not UTF-8 are replaced: errors from before the
    /// start-up come in the server's own encoding.
    pub fn parse(body: Bytes) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(body);
        let mut error = Self::default();
        loop {
            let field = cursor.u8()?;
            if field == 0 {
                return Ok(error);
            }
            let value = String::from_utf8_lossy(&cursor.until_zero()?).into_owned();
            match field {
                b'C' => error.code = value,
                b'M' => error.message = value,
                b'D' => error.detail = Some(value),
                b'H' => error.hint = Some(value),
                _ => {}
            }
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.code)?;
        for more in [&self.detail, &self.hint].into_iter().flatten() {
            write!(f, "; {more}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ServerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_read_and_printed_with_what_helps() {
        let body = b"SFATAL\0VFATAL\0C53400\0Mno slot \xff left\0HFree one.\0Fslot.c\0\0";
        let error = ServerError::parse(Bytes::from_static(body)).expect("an error");
        assert_eq!(error.to_string(), "no slot \u{FFFD} left (SQLSTATE 53400); Free one.");
        for length in 0..body.len() {
            assert!(ServerError::parse(Bytes::from_static(&body[..length])).is_err(), "cut at {length}");
        }
    }
}
