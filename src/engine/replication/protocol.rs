//! The few frames that both the command phase and the stream read and write.

use bytes::{BufMut, Bytes, BytesMut};

use super::ReplicationError;
use super::cursor::{Cursor, DecodeError};
use crate::shape::Lsn;

/// The complaint about a frame that has no place here.
pub fn unexpected(tag: u8) -> ReplicationError {
    ReplicationError::Protocol(format!("{:?}", char::from(tag)))
}

/// Reads the body of a `DataRow`, in which all values are text.
pub fn data_row(body: Bytes) -> Result<Vec<Option<String>>, DecodeError> {
    let mut cursor = Cursor::new(body);
    let columns = cursor.u16()?;
    let mut row = Vec::new();
    for _ in 0..columns {
        row.push(match usize::try_from(cursor.i32()?) {
            Ok(length) => Some(String::from_utf8_lossy(&cursor.take(length)?).into_owned()),
            Err(_) => None,
        });
    }
    Ok(row)
}

/// What the server sends while it streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// One message of the plugin.
    Data { payload: Bytes },
    /// The server is alive and has nothing up to `wal_end`. If it asks for a reply and gets none, it ends
    /// the connection after `wal_sender_timeout`, and a shutdown of Postgres waits that long.
    KeepAlive { wal_end: Lsn, reply_requested: bool },
}

/// Reads the contents of a `CopyData` frame.
///
/// Source: PostgreSQL documentation, 55.4 "Streaming Replication Protocol", `XLogData` and
/// `Primary keepalive message`.
pub fn frame(body: Bytes) -> Result<Frame, DecodeError> {
    let mut cursor = Cursor::new(body);
    match cursor.u8()? {
        b'w' => {
            // Start, end and time: pgoutput repeats the positions that matter.
            cursor.take(24)?;
            Ok(Frame::Data { payload: cursor.rest() })
        }
        b'k' => {
            let wal_end = Lsn(cursor.u64()?);
            let _sent_at = cursor.u64()?;
            let reply_requested = cursor.u8()? == 1;
            cursor.end()?;
            Ok(Frame::KeepAlive { wal_end, reply_requested })
        }
        other => Err(DecodeError::UnknownMessage(other)),
    }
}

/// Appends a `Standby status update`: everything up to `position` is written, flushed and applied.
///
/// `micros` is the time since 2000-01-01 UTC in microseconds.
pub fn status_update(position: Lsn, micros: i64, reply: bool, output: &mut BytesMut) {
    const BODY_BYTES: u32 = 1 + 4 * 8 + 1;
    output.put_u8(b'd');
    output.put_u32(4 + BODY_BYTES);
    output.put_u8(b'r');
    for _ in ["written", "flushed", "applied"] {
        output.put_u64(position.0);
    }
    output.put_i64(micros);
    output.put_u8(u8::from(reply));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_stream_are_read() {
        let data = [&b"w"[..], &[0; 24], b"payload"].concat();
        let keep_alive = [&b"k"[..], &7_u64.to_be_bytes(), &[0; 8], &[1]].concat();
        let payload = Bytes::from_static(b"payload");
        assert_eq!(frame(data.clone().into()), Ok(Frame::Data { payload }));
        let expected = Frame::KeepAlive { wal_end: Lsn(7), reply_requested: true };
        assert_eq!(frame(keep_alive.clone().into()), Ok(expected));
        for length in 0..keep_alive.len() {
            assert!(frame(keep_alive[..length].to_vec().into()).is_err(), "cut at {length}");
        }
        assert!(frame(data[..24].to_vec().into()).is_err());
        assert!(frame([&keep_alive[..], b"x"].concat().into()).is_err());
        assert_eq!(frame(Bytes::from_static(b"s")), Err(DecodeError::UnknownMessage(b's')));
    }

    #[test]
    fn a_status_update_names_one_position_three_times() {
        let mut output = BytesMut::new();
        status_update(Lsn(0x0102), 3, true, &mut output);
        let position = 0x0102_u64.to_be_bytes();
        let expected = [&b"d\0\0\0\x26r"[..], &position, &position, &position, &3_i64.to_be_bytes(), &[1]].concat();
        assert_eq!(output, expected);
    }

    #[test]
    fn rows_of_text_are_read() {
        let body = [&b"\0\x03"[..], b"\0\0\0\x01a", b"\xff\xff\xff\xff", b"\0\0\0\0"].concat();
        let row = data_row(body.clone().into()).expect("a row");
        assert_eq!(row, [Some("a".to_owned()), None, Some(String::new())]);
        for length in 0..body.len() {
            assert!(data_row(body[..length].to_vec().into()).is_err(), "cut at {length}");
        }
    }
}
