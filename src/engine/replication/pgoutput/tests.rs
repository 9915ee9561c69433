use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// One message of each kind, by the documentation; tests/replication/stream.rs reads what servers really send.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: &str| [&b"t"[..], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat();
    let tuple = |fields: &[&[u8]]| [&(fields.len() as u16).to_be_bytes()[..], &fields.concat()].concat();
    let table = 16_385_u32.to_be_bytes();
    let message = |parts: &[&[u8]]| parts.concat();
    let row = tuple(&[&text("1"), b"n", &text("größer"), b"u"]);
    let key = tuple(&[&text("1"), b"n", b"n", b"n"]);
    let lsn = 0x16_B374_D848_u64.to_be_bytes();
    let column = |flags: u8, name: &str, oid: u32| {
        [&[flags][..], name.as_bytes(), &[0], &oid.to_be_bytes(), &(-1_i32).to_be_bytes()].concat()
    };
    let columns = [column(1, "id", 23), column(0, "Ta,\"x", 25)].concat();
    vec![
        ("begin", message(&[b"B", &lsn, &lsn, &741_u32.to_be_bytes()])),
        ("commit", message(&[b"C\0", &lsn, &lsn, &lsn])),
        ("origin", message(&[b"O", &lsn, b"elsewhere\0"])),
        ("type", message(&[b"Y", &table, b"public\0mood\0"])),
        ("relation", message(&[b"R", &table, b"public\0items\0d\0\x02", &columns])),
        ("insert", message(&[b"I", &table, b"N", &row])),
        ("update", message(&[b"U", &table, b"N", &row])),
        ("update of the key", message(&[b"U", &table, b"K", &key, b"N", &row])),
        ("update with the old row", message(&[b"U", &table, b"O", &row, b"N", &row])),
        ("delete", message(&[b"D", &table, b"K", &key])),
        ("delete with the old row", message(&[b"D", &table, b"O", &row])),
        ("truncate", message(&[b"T", &2_u32.to_be_bytes(), b"\0", &table, &table])),
        ("message", message(&[b"M\x01", &lsn, b"prefix\0", &3_u32.to_be_bytes(), b"abc"])),
    ]
}

fn read(bytes: &[u8]) -> Result<Message, DecodeError> {
    decode(Bytes::copy_from_slice(bytes))
}

#[test]
fn every_kind_of_message_is_read() {
    let expected = [
        "Begin { commit: Lsn(97500059720), xid: 741 }",
        "Commit { commit: Lsn(97500059720), end: Lsn(97500059720) }",
        "Origin",
        "Type",
        r#"Relation(Relation { oid: 16385, schema: "public", name: "items", replica_identity: 100, columns: [RelationColumn { name: "id", type_oid: 23, type_modifier: -1, key: true }, RelationColumn { name: "Ta,\"x", type_oid: 25, type_modifier: -1, key: false }] })"#,
        r#"Insert { relation: 16385, new: [Text(b"1"), Null, Text(b"gr\xc3\xb6\xc3\x9fer"), Unchanged] }"#,
        r#"Update { relation: 16385, old: None, new: [Text(b"1"), Null, Text(b"gr\xc3\xb6\xc3\x9fer"), Unchanged] }"#,
        r#"Update { relation: 16385, old: Some(Key([Text(b"1"), Null, Null, Null])), new: [Text(b"1"), Null, Text(b"gr\xc3\xb6\xc3\x9fer"), Unchanged] }"#,
        r#"Update { relation: 16385, old: Some(Full([Text(b"1"), Null, Text(b"gr\xc3\xb6\xc3\x9fer"), Unchanged])), new: [Text(b"1"), Null, Text(b"gr\xc3\xb6\xc3\x9fer"), Unchanged] }"#,
        r#"Delete { relation: 16385, old: Key([Text(b"1"), Null, Null, Null]) }"#,
        r#"Delete { relation: 16385, old: Full([Text(b"1"), Null, Text(b"gr\xc3\xb6\xc3\x9fer"), Unchanged]) }"#,
        "Truncate { relations: [16385, 16385] }",
        "Message",
    ];
    let messages = messages();
    assert_eq!(messages.len(), expected.len());
    for ((name, bytes), expected) in messages.iter().zip(expected) {
        assert_eq!(format!("{:?}", read(bytes).expect(name)), expected, "{name}");
    }
}

#[test]
fn a_message_cut_short_anywhere_or_too_long_is_an_error() {
    for (name, bytes) in messages() {
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{name} cut at {length}");
        }
        assert_eq!(read(&[&bytes[..], b"x"].concat()), Err(DecodeError::TooLong(1)), "{name}");
    }
}

#[test]
fn what_the_protocol_does_not_know_is_an_error() {
    let table = [0, 0, 0, 1];
    let cases: [(Vec<u8>, DecodeError); 7] = [
        (b"".to_vec(), DecodeError::CutShort),
        (b"Z".to_vec(), DecodeError::UnknownMessage(b'Z')),
        ([b"I", &table[..], b"K\0\0"].concat(), DecodeError::UnknownTuple(b'K')),
        ([b"U", &table[..], b"X\0\0"].concat(), DecodeError::UnknownTuple(b'X')),
        ([b"I", &table[..], b"N\0\x01b\0\0\0\0"].concat(), DecodeError::UnknownField(b'b')),
        ([b"I", &table[..], b"N\0\x01t\xff\xff\xff\xff"].concat(), DecodeError::CutShort),
        ([b"R", &table[..], b"public\0\xff\0d\0\0"].concat(), DecodeError::NotUtf8),
    ];
    for (bytes, error) in cases {
        assert_eq!(read(&bytes), Err(error), "{bytes:?}");
    }
}

#[test]
fn an_unchanged_value_comes_from_the_old_row_or_is_missing() {
    let text = |text: &'static str| Field::Text(Bytes::from_static(text.as_bytes()));
    let new = || vec![text("1"), Field::Null, Field::Unchanged];
    //  old row, the third value
    let cases = [
        (Some(vec![text("0"), text("b"), text("large")]), Ok(Some("large"))),
        (Some(vec![text("0"), text("b"), Field::Null]), Ok(None)),
        (Some(vec![text("0"), text("b"), Field::Unchanged]), Err(MissingValue { column: 2 })),
        (Some(vec![text("0")]), Err(MissingValue { column: 2 })),
        (None, Err(MissingValue { column: 2 })),
    ];
    for (old, third) in cases {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        let expected = third.map(|third| vec![Some(bytes("1")), None, third.map(bytes)]);
        assert_eq!(complete(new(), old.as_ref()), expected, "{old:?}");
    }
}

proptest! {
    #[test]
    fn damaged_messages_never_panic_and_hold_no_more_than_they_were_given(
        which in 0_usize..13,
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        more in vec(any::<u8>(), 0..8),
    ) {
        let (_, mut bytes) = messages().swap_remove(which);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = read(&bytes[..cut.index(bytes.len())]);
        bytes.extend(more);
        if let Ok(Message::Insert { new, .. } | Message::Update { new, .. }) = read(&bytes) {
            prop_assert!(new.len() <= bytes.len());
            let _ = complete(new, None);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(kind in prop::sample::select(&b"BCOYRIUDTM"[..]), bytes in vec(any::<u8>(), 0..200)) {
        let _ = read(&[&[kind], &bytes[..]].concat());
        let _ = read(&bytes);
    }
}
