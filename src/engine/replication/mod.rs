//! 1. Changes in: Postgres' logical replication, from the socket to decoded messages.
//!
//! ```text
//! Postgres ──► transport (socket, TLS, frames) ──► connection (commands) ──► stream ──► pgoutput ──► collector
//!                  sign_in, channel_binding             slot (set-up)           ▲
//!                                                                               └── confirm(position)
//! ```
//! Nothing here keeps state over a restart: Postgres keeps the slot's position, and moves it only when
//! [`Stream::confirm`] says so.

mod channel_binding;
mod connection;
mod cursor;
mod error;
pub mod pgoutput;
mod protocol;
mod publication;
mod set_up_error;
mod sign_in;
mod slot;
mod transport;

pub use connection::{Connection, Stream};
pub use cursor::DecodeError;
pub use error::{ReplicationError, ServerError};
pub use protocol::Frame;
pub use publication::Publishing;
pub use set_up_error::{Refusal, SetUpError};
pub use sign_in::OUTPUT_SETTINGS;
pub use slot::{Identity, InvalidStreamId, Names, Ready, SetUp, drop_slot, set_up};
