//! The replication stream's messages: a server that sends nonsense is an error, not a panic.

use bytes::Bytes;
use plue_sync::engine::replication::pgoutput::{Message, Old, complete, decode};
use proptest::prelude::*;

use super::{damaged, fuzz};

const MESSAGES: &[&[u8]] = &[
    b"B\0\0\0\0\x01\x6b\x10\xa8\0\x02\xb9\x5d\x6f\x0c\x8a\x01\0\0\x02\xe5",
    b"C\0\0\0\0\0\x01\x6b\x10\xa8\0\0\0\0\x01\x6b\x10\xd8\0\x02\xb9\x5d\x6f\x0c\x8a\x01",
    b"R\0\0\x40\x01public\0items\0d\0\x02\x01id\0\0\0\0\x17\xff\xff\xff\xff\0value\0\0\0\0\x19\xff\xff\xff\xff",
    b"R\0\0\x40\x02\0pg_type\0f\0\0",
    b"I\0\0\x40\x01N\0\x03t\0\0\0\x011nu",
    b"U\0\0\x40\x01N\0\x02t\0\0\0\x011t\0\0\0\x02ab",
    b"U\0\0\x40\x01K\0\x02t\0\0\0\x011nN\0\x02t\0\0\0\x012u",
    b"U\0\0\x40\x01O\0\x02t\0\0\0\x011t\0\0\0\0N\0\x02t\0\0\0\x012u",
    b"D\0\0\x40\x01K\0\x02t\0\0\0\x011n",
    b"D\0\0\x40\x01O\0\x02t\0\0\0\x011t\0\0\0\x03\xc3\xa4!",
    b"T\0\0\0\x02\0\0\0\x40\x01\0\0\x40\x02",
    b"Y\0\0\x40\x03public\0mood\0",
    b"O\0\0\0\0\x01\x6b\x10\xa8origin\0",
    b"M\x01\0\0\0\0\x01\x6b\x10\xa8prefix\0\0\0\0\x03abc",
];

const TOKENS: &[&[u8]] = &[
    b"\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\0\0",
    b"\xff\xff",
    b"t",
    b"n",
    b"u",
    b"b",
    b"N",
    b"K",
    b"O",
    b"\0\0\0\x01",
];

#[test]
fn messages_of_the_stream_are_decoded_or_refused() {
    for message in MESSAGES {
        assert!(decode(Bytes::from_static(message)).is_ok(), "a seed that is none: {message:?}");
    }
    fuzz(30_000, damaged(MESSAGES, TOKENS), |bytes| {
        let length = bytes.len();
        match decode(bytes.into()) {
            Ok(Message::Update { old, new, .. }) => {
                let (Some(Old::Full(tuple) | Old::Key(tuple)), count) = (old, new.len()) else { return Ok(()) };
                if let Ok(row) = complete(new, Some(&tuple)) {
                    prop_assert_eq!(row.len(), count);
                }
            }
            Ok(Message::Relation(relation)) => prop_assert!(relation.columns.len() <= length),
            Ok(Message::Truncate { relations }) => prop_assert!(relations.len() <= length),
            _ => {}
        }
        Ok(())
    });
}
