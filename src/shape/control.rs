//! Control messages of a shape log, as the JSON that goes over the wire (protocol, 5.7).

use bytes::Bytes;

use super::{Lsn, Offset};

/// The whole body of a 409: the reader drops what it has and starts over.
pub const MUST_REFETCH: &[u8] = br#"[{"headers":{"control":"must-refetch"}}]"#;

/// Everything that concerns the shape up to `seen` has been sent. Always the last message of its body.
pub fn up_to_date(seen: Lsn) -> Bytes {
    format!(r#"{{"headers":{{"control":"up-to-date","global_last_seen_lsn":"{seen}"}}}}"#).into()
}

/// A whole body for a reader that has everything up to `seen`.
pub fn nothing_new(seen: Lsn) -> Bytes {
    let message = up_to_date(seen);
    [b"[".as_slice(), &message, b"]"].concat().into()
}

/// Where a reader goes on that has taken this piece of an event stream: after the transaction that its last up-to-date
/// message names. `None` if the piece does not end with one.
///
/// Source: the official client (protocol, 10.5).
pub fn resumes_after(piece: &[u8]) -> Option<Offset> {
    const NAME: &[u8] = b"\"global_last_seen_lsn\":\"";
    // The message is no longer than this.
    let end = &piece[piece.len().saturating_sub(128)..];
    let at = end.windows(NAME.len()).rposition(|bytes| bytes == NAME)? + NAME.len();
    let digits = end[at..].split(|byte| *byte == b'"').next()?;
    let tx = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Offset { tx, op: 0 })
}

/// The end of the initial snapshot, with the 64-bit transaction ids of `pg_current_snapshot()`.
pub fn snapshot_end(xmin: u64, xmax: u64, in_progress: &[u64]) -> Bytes {
    let quoted: Vec<String> = in_progress.iter().map(|xid| format!("\"{xid}\"")).collect();
    let list = quoted.join(",");
    format!(r#"{{"headers":{{"control":"snapshot-end","xmin":"{xmin}","xmax":"{xmax}","xip_list":[{list}]}}}}"#).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_messages_read_as_the_protocol_prints_them() {
        let cases = [
            (up_to_date(Lsn(25_482_048)), r#"{"headers":{"control":"up-to-date","global_last_seen_lsn":"25482048"}}"#),
            (
                snapshot_end(756, 758, &[757]),
                r#"{"headers":{"control":"snapshot-end","xmin":"756","xmax":"758","xip_list":["757"]}}"#,
            ),
            (
                snapshot_end(756, 759, &[756, 758]),
                r#"{"headers":{"control":"snapshot-end","xmin":"756","xmax":"759","xip_list":["756","758"]}}"#,
            ),
            (
                snapshot_end(756, 756, &[]),
                r#"{"headers":{"control":"snapshot-end","xmin":"756","xmax":"756","xip_list":[]}}"#,
            ),
        ];
        for (message, expected) in cases {
            assert_eq!(message, expected.as_bytes(), "{expected}");
        }
        assert_eq!(nothing_new(Lsn(5)), [b"[", &*up_to_date(Lsn(5)), b"]"].concat());
    }

    #[test]
    fn a_reader_of_events_goes_on_where_the_last_up_to_date_says() {
        let event = |message: &[u8]| [b"data: ", message, b"\n\n"].concat();
        let change = event(br#"{"value":{"text":"\"global_last_seen_lsn\":\"7\""},"headers":{"operation":"insert"}}"#);
        let end = event(&up_to_date(Lsn(25)));
        let cases = [
            (end.clone(), Some(25)),
            ([change.clone(), end.clone()].concat(), Some(25)),
            ([end.clone(), change.repeat(9)].concat(), None),
            (b": keep-alive\n\n".to_vec(), None),
            (Vec::new(), None),
        ];
        for (piece, expected) in cases {
            let seen = resumes_after(&piece).map(|offset| (offset.tx, offset.op));
            assert_eq!(seen, expected.map(|tx| (tx, 0)), "{}", String::from_utf8_lossy(&piece));
        }
    }
}
