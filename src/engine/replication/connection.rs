//! A connection for replication: commands first, then the stream.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postgres_protocol::message::frontend;
use tokio_postgres::config::TargetSessionAttrs;
use tracing::debug;

use super::error::ServerError;
use super::protocol::{self, Frame};
use super::transport::{RawFrame, Transport};
use super::{ReplicationError, sign_in};
use crate::engine::tables::quote_literal;
use crate::postgres::Postgres;
use crate::shape::{Lsn, quote_identifier};

/// Signing in takes no longer than this: a server that accepts and says nothing is not waited for.
const SIGN_IN_LIMIT: Duration = Duration::from_secs(30);
/// How long [`Stream::close`] waits for the server to let go of the slot.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);
/// 2000-01-01 in seconds since 1970, where Postgres' clock starts.
const POSTGRES_EPOCH: Duration = Duration::from_secs(946_684_800);

/// A session that takes SQL and replication commands, one at a time.
pub struct Connection {
    transport: Transport,
}

impl Connection {
    /// Connects to the first host that answers, signs in, and sets how values are printed.
    ///
    /// # Errors
    ///
    /// Of the last host tried. [`ReplicationError::Server`] with SQLSTATE 42501 if the role may not replicate.
    pub async fn connect(postgres: &Postgres) -> Result<Self, ReplicationError> {
        let mut last = ReplicationError::Closed;
        for index in 0..postgres.config().get_hosts().len() {
            match Self::connect_host(postgres, index).await {
                Ok(connection) => return Ok(connection),
                Err(error) => {
                    debug!(%error, "no replication connection to host {index}");
                    last = error;
                }
            }
        }
        Err(last)
    }

    async fn connect_host(postgres: &Postgres, index: usize) -> Result<Self, ReplicationError> {
        let mut transport = Transport::connect(postgres, index).await?;
        let signing_in = sign_in::sign_in(&mut transport, postgres.config());
        let silent = |_| ReplicationError::Authentication("the server does not answer".to_owned());
        tokio::time::timeout(SIGN_IN_LIMIT, signing_in).await.map_err(silent)??;
        let mut connection = Self { transport };
        if postgres.config().get_target_session_attrs() == TargetSessionAttrs::ReadWrite {
            connection.refuse_standby().await?;
        }
        Ok(connection)
    }

    async fn refuse_standby(&mut self) -> Result<(), ReplicationError> {
        let rows = self.query("SELECT pg_is_in_recovery()").await?;
        match rows.first().and_then(|row| row.first()) {
            Some(Some(no)) if no == "f" => Ok(()),
            _ => Err(ReplicationError::Protocol("a standby where the primary was expected".to_owned())),
        }
    }

    /// Runs one command, of SQL or of the replication protocol, and returns its rows as text.
    ///
    /// # Errors
    ///
    /// After [`ReplicationError::Server`] the connection takes the next command; after others it is lost.
    pub async fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, ReplicationError> {
        frontend::query(sql, &mut self.transport.output)?;
        self.transport.flush().await?;
        let mut rows = Vec::new();
        let mut failure = None;
        loop {
            let frame = self.transport.receive().await?;
            match frame.tag {
                b'D' => rows.push(protocol::data_row(frame.body)?),
                b'E' => failure = Some(ServerError::parse(frame.body)?),
                b'Z' => return failure.map_or(Ok(rows), |error| Err(error.into())),
                b'T' | b'C' | b'I' | b'N' | b'S' | b'A' => {}
                other => return Err(protocol::unexpected(other)),
            }
        }
    }

    /// Starts to stream from the slot's confirmed position, in pgoutput's protocol version 1.
    ///
    /// # Errors
    ///
    /// [`ReplicationError::is_slot_active`] while another connection streams from this slot.
    pub async fn start(mut self, slot: &str, publication: &str) -> Result<Stream, ReplicationError> {
        let (slot, publications) = (quote_identifier(slot), quote_literal(&quote_identifier(publication)));
        let command =
            format!("START_REPLICATION SLOT {slot} LOGICAL 0/0 (proto_version '1', publication_names {publications})");
        frontend::query(&command, &mut self.transport.output)?;
        self.transport.flush().await?;
        loop {
            let frame = self.transport.receive().await?;
            match frame.tag {
                // CopyBothResponse
                b'W' => return Ok(Stream { transport: self.transport, confirmed: Lsn(0) }),
                b'E' => return Err(ServerError::parse(frame.body)?.into()),
                b'N' | b'S' => {}
                other => return Err(protocol::unexpected(other)),
            }
        }
    }
}

/// The stream of a slot's changes.
pub struct Stream {
    transport: Transport,
    /// The highest position confirmed so far.
    confirmed: Lsn,
}

impl Stream {
    /// Waits for the next frame. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`ReplicationError::Closed`] when the server ends the stream in order, as at its shutdown;
    /// [`ReplicationError::Server`] when it says why.
    pub async fn next(&mut self) -> Result<Frame, ReplicationError> {
        loop {
            let frame = self.transport.receive().await?;
            if let Some(frame) = read(frame)? {
                return Ok(frame);
            }
        }
    }

    /// The next frame, if it was already read from the socket: lets a batch grow for as long as it costs
    /// no waiting. Errors as [`Self::next`].
    pub fn try_next(&mut self) -> Result<Option<Frame>, ReplicationError> {
        while let Some(frame) = self.transport.take_frame()? {
            if let Some(frame) = read(frame)? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Tells the server that everything up to `position` is done and need not come again. With `reply`, the
    /// server answers with a keep-alive at once. A position never goes back: a lower one than before only
    /// says that we are alive.
    ///
    /// When cancelled, what was not sent goes out before the next confirmation.
    pub async fn confirm(&mut self, position: Lsn, reply: bool) -> Result<(), ReplicationError> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(since_1970.saturating_sub(POSTGRES_EPOCH).as_micros()).unwrap_or(i64::MAX);
        self.confirmed = self.confirmed.max(position);
        protocol::status_update(self.confirmed, micros, reply, &mut self.transport.output);
        self.transport.flush().await
    }

    /// Ends the stream in order and waits a moment for the server to let go of the slot, so that who comes
    /// next finds it free.
    pub async fn close(mut self) {
        frontend::copy_done(&mut self.transport.output);
        frontend::terminate(&mut self.transport.output);
        let ending = async {
            self.transport.flush().await?;
            // What is still on its way is not confirmed, and comes again to whoever starts next.
            loop {
                self.transport.receive().await?;
            }
        };
        // Every way to end is good: the server hangs up, or time is over.
        let _: Result<Result<std::convert::Infallible, ReplicationError>, _> =
            tokio::time::timeout(CLOSE_LIMIT, ending).await;
    }
}

/// What a frame says to the stream's reader; `None` for notices and the like.
fn read(frame: RawFrame) -> Result<Option<Frame>, ReplicationError> {
    match frame.tag {
        b'd' => Ok(Some(protocol::frame(frame.body)?)),
        b'E' => Err(ServerError::parse(frame.body)?.into()),
        b'c' | b'C' | b'Z' => Err(ReplicationError::Closed),
        b'N' | b'S' | b'A' => Ok(None),
        other => Err(protocol::unexpected(other)),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn confirmations_survive_being_cut_off_and_never_go_back() {
        // The other side takes ten bytes, and then no more for a while.
        let (transport, mut far) = Transport::pair(10);
        let mut stream = Stream { transport, confirmed: Lsn(0) };
        assert!(stream.confirm(Lsn(5), true).now_or_never().is_none(), "it waits for room");
        let sending = tokio::spawn(async move { stream.confirm(Lsn(3), false).await });
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.expect("two updates");
        sending.await.expect("a task").expect("all sent");
        //  position, whether a reply is asked for
        let updates = received.chunks(39).map(|update| {
            let mut cursor = crate::engine::replication::cursor::Cursor::new(update.to_vec().into());
            cursor.take(6).expect("a header");
            (cursor.u64().expect("a position"), update.last().copied())
        });
        assert_eq!(updates.collect::<Vec<_>>(), [(5, Some(1)), (5, Some(0))]);
    }

    #[tokio::test]
    async fn a_stream_ends_with_the_servers_reason_and_passes_over_what_is_for_nobody() {
        let notice = b"N\0\0\0\x05\0".as_slice();
        let keep_alive = [&b"d\0\0\0\x16k"[..], &9_u64.to_be_bytes(), &[0; 8], &[0]].concat();
        let error = b"E\0\0\0\x0DC57P01\0\0\0".as_slice();
        let (transport, mut far) = Transport::pair(1024);
        let mut stream = Stream { transport, confirmed: Lsn(0) };
        let bytes = [notice, &keep_alive, &keep_alive, notice, error].concat();
        tokio::io::AsyncWriteExt::write_all(&mut far, &bytes).await.expect("room");
        let expected = Frame::KeepAlive { wal_end: Lsn(9), reply_requested: false };
        assert_eq!(stream.try_next().expect("nothing read yet"), None);
        assert_eq!(stream.next().await.expect("a frame"), expected);
        assert_eq!(stream.try_next().expect("a frame"), Some(expected));
        let end = stream.next().await.expect_err("an error");
        assert_eq!(end.code(), Some("57P01"), "{end:?}");
        drop(far);
        assert!(matches!(stream.next().await, Err(ReplicationError::Closed)));
    }
}
