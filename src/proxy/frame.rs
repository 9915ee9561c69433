//! A log's body, message by message, and the same messages as server-sent events.
//!
//! Messages are slices of the body: what a reader gets is what the upstream wrote, byte for byte.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::shape::{Lsn, control};

/// The messages of a body that is a JSON array; `None` if it is something else. An empty body has none.
pub fn messages(body: &Bytes) -> Option<Vec<Bytes>> {
    if body.is_empty() {
        return Some(Vec::new());
    }
    let messages: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
    Some(messages.into_iter().map(|message| body.slice_ref(message.get().as_bytes())).collect())
}

/// The messages as events. With `seen`, an up-to-date message at the end names that position instead of its own.
pub fn events(messages: &[Bytes], seen: Option<Lsn>) -> Bytes {
    let size = messages.iter().map(|message| message.len() + 8).sum();
    let mut out = BytesMut::with_capacity(size);
    if let (Some(seen), Some((last, before))) = (seen, messages.split_last())
        && is_up_to_date(last)
    {
        before.iter().for_each(|message| event(message, &mut out));
        event(&control::up_to_date(seen), &mut out);
    } else {
        messages.iter().for_each(|message| event(message, &mut out));
    }
    out.freeze()
}

/// Whether a message says that everything before it is all there is.
pub fn is_up_to_date(message: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        headers: Headers<'a>,
    }
    #[derive(Deserialize)]
    struct Headers<'a> {
        #[serde(borrow)]
        control: Option<&'a str>,
    }
    let read = serde_json::from_slice::<Message>(message);
    read.is_ok_and(|message| message.headers.control == Some("up-to-date"))
}

/// JSON has line ends between its tokens only, and an event's data may have several lines.
fn event(message: &[u8], out: &mut BytesMut) {
    for line in message.split(|byte| matches!(byte, b'\n' | b'\r')) {
        out.put_slice(b"data: ");
        out.put_slice(line);
        out.put_u8(b'\n');
    }
    out.put_u8(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP_TO_DATE: &str = r#"{"headers":{"control":"up-to-date","global_last_seen_lsn":"7"}}"#;

    #[test]
    fn a_body_is_split_where_its_messages_are() {
        let cases: [(&str, Option<&[&str]>); 15] = [
            ("", Some(&[])),
            ("[]", Some(&[])),
            (" [ ] \n", Some(&[])),
            ("[{}]", Some(&["{}"])),
            (r#"[{"a":1},{"b":[2,3]}]"#, Some(&[r#"{"a":1}"#, r#"{"b":[2,3]}"#])),
            ("[ {\"a\": 1} ,\n {} ]", Some(&["{\"a\": 1}", "{}"])),
            (r#"[{"a":"],[{\"}"},{"\\":"\\\""}]"#, Some(&[r#"{"a":"],[{\"}"}"#, r#"{"\\":"\\\""}"#])),
            (
                r#"[{"n":1e400},{"n":12345678901234567890123.10}]"#,
                Some(&[r#"{"n":1e400}"#, r#"{"n":12345678901234567890123.10}"#]),
            ),
            (r#"[{"a":"\ud83d\ude00ä"}]"#, Some(&[r#"{"a":"\ud83d\ude00ä"}"#])),
            ("[{}", None),
            ("[{},]", None),
            ("[{}]x", None),
            ("{}", None),
            ("<html>", None),
            ("null", None),
        ];
        for (body, expected) in cases {
            let split = messages(&Bytes::copy_from_slice(body.as_bytes()));
            let expected =
                expected.map(|list| list.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect());
            assert_eq!(split, expected, "{body}");
        }
        assert_eq!(messages(&Bytes::from_static(b"[\"\xff\"]")), None, "not UTF-8");
        let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(messages(&Bytes::from(deep)).map(|list| list.len()), Some(1), "depth is no recursion");
    }

    #[test]
    fn each_message_is_an_event_and_only_the_last_may_name_another_position() {
        let renamed = r#"{"headers":{"control":"up-to-date","global_last_seen_lsn":"9"}}"#;
        let cases = [
            ("[]".to_owned(), Some(9), String::new()),
            (r#"[{"a":1},{"b":2}]"#.to_owned(), Some(9), "data: {\"a\":1}\n\ndata: {\"b\":2}\n\n".to_owned()),
            (format!("[{{}},{UP_TO_DATE}]"), None, format!("data: {{}}\n\ndata: {UP_TO_DATE}\n\n")),
            (format!("[{{}},{UP_TO_DATE}]"), Some(9), format!("data: {{}}\n\ndata: {renamed}\n\n")),
            (format!("[{UP_TO_DATE},{{}}]"), Some(9), format!("data: {UP_TO_DATE}\n\ndata: {{}}\n\n")),
            ("[{\"a\":\r\n1}]".to_owned(), None, "data: {\"a\":\ndata: \ndata: 1}\n\n".to_owned()),
        ];
        for (body, seen, expected) in cases {
            let split = messages(&Bytes::from(body.clone())).expect("an array");
            assert_eq!(events(&split, seen.map(Lsn)), expected.as_bytes(), "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_comes_panics(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            if let Some(split) = messages(&Bytes::from(body)) {
                let _ = events(&split, Some(Lsn(1)));
            }
        }
    }
}
