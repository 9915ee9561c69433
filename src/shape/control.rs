//! Control messages of a shape log, as the JSON that goes over the wire (protocol, 5.7).

use bytes::Bytes;

use super::Lsn;

/// The whole body of a 409: the reader drops what it has and starts over.
pub const MUST_REFETCH: &[u8] = br#"[{"headers":{"control":"must-refetch"}}]"#;

/// Everything that concerns the shape up to `seen` has been sent. Always the last message of its body.
pub fn up_to_date(seen: Lsn) -> Bytes {
    format!(r#"{{"headers":{{"control":"up-to-date","global_last_seen_lsn":"{seen}"}}}}"#).into()
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
    }
}
