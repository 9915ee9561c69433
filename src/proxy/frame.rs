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

/// A message that may be one of up-to-date is no longer than this.
const MAX_CONTROL_BYTES: usize = 256;

/// Makes events of an array's messages as it comes, and keeps no more of it than a short message.
///
/// It looks only for where messages end: what is no JSON within one comes to its reader as it is.
#[derive(Debug)]
pub struct Splitter {
    /// What the last message names instead of its own position.
    seen: Option<Lsn>,
    place: Place,
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// The beginning of the current message, as long as it may be short.
    message: BytesMut,
    /// Whether its beginning has been sent.
    is_long: bool,
    /// A whole message of up-to-date, until it is known whether it is the last.
    held: Option<Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Between,
    Within,
    After,
}

impl Splitter {
    pub fn new(seen: Option<Lsn>) -> Self {
        Self {
            seen,
            place: Place::Before,
            depth: 0,
            in_text: false,
            escaped: false,
            message: BytesMut::new(),
            is_long: false,
            held: None,
        }
    }

    /// Takes the next piece. `None` if that cannot be of an array.
    pub fn take(&mut self, piece: &[u8], out: &mut BytesMut) -> Option<()> {
        for byte in piece {
            match (self.place, byte) {
                (Place::Within, _) => self.within(*byte, out),
                (_, b' ' | b'\t' | b'\n' | b'\r') => {}
                (Place::Before, b'[') => self.place = Place::Between,
                (Place::Between, b']') => self.place = Place::After,
                (Place::Between, b',') => {}
                (Place::Between, _) => {
                    if let Some(held) = self.held.take() {
                        event(&held, out);
                    }
                    self.place = Place::Within;
                    self.within(*byte, out);
                }
                (Place::Before | Place::After, _) => return None,
            }
        }
        self.let_go(out);
        Some(())
    }

    /// Ends the last event. `None` if the array has no end.
    pub fn finish(mut self, out: &mut BytesMut) -> Option<()> {
        match (self.held.take(), self.seen) {
            (Some(_), Some(seen)) => event(&control::up_to_date(seen), out),
            (Some(held), None) => event(&held, out),
            (None, _) => {}
        }
        (self.place == Place::After).then_some(())
    }

    fn within(&mut self, byte: u8, out: &mut BytesMut) {
        let ends_before = self.depth == 0 && !self.in_text && matches!(byte, b',' | b']');
        if ends_before {
            self.end(out);
            self.place = if byte == b']' { Place::After } else { Place::Between };
            return;
        }
        if self.in_text {
            self.in_text = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
        } else {
            match byte {
                // Between tokens: an event has one line.
                b'\n' | b'\r' => return,
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        self.message.put_u8(byte);
        if self.depth == 0 && matches!(byte, b'}' | b']') && !self.in_text {
            self.end(out);
            self.place = Place::Between;
        }
    }

    /// The current message is whole.
    fn end(&mut self, out: &mut BytesMut) {
        let message = self.message.split().freeze();
        match () {
            () if self.is_long => {
                out.put_slice(&message);
                out.put_slice(b"\n\n");
            }
            () if message.len() <= MAX_CONTROL_BYTES && is_up_to_date(&message) => self.held = Some(message),
            () => event(&message, out),
        }
        self.is_long = false;
    }

    /// Sends what there is of a message that is too long to be looked at.
    fn let_go(&mut self, out: &mut BytesMut) {
        if self.message.len() > MAX_CONTROL_BYTES {
            if !self.is_long {
                out.put_slice(b"data: ");
            }
            self.is_long = true;
            out.put_slice(&self.message.split());
        }
    }
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

    fn split(body: &[u8], seen: Option<Lsn>, pieces: usize) -> Option<Vec<u8>> {
        let (mut splitter, mut out) = (Splitter::new(seen), BytesMut::new());
        for piece in body.chunks(pieces.max(1)) {
            splitter.take(piece, &mut out)?;
        }
        splitter.finish(&mut out)?;
        Some(out.to_vec())
    }

    #[test]
    fn an_array_that_comes_in_pieces_makes_the_same_events() {
        let long = format!(r#"{{"value":{{"text":"{}"}}}}"#, r#"\"],[{\\"#.repeat(200));
        let bodies = [
            "[]".to_owned(),
            " [ ] ".to_owned(),
            format!("[{UP_TO_DATE}]"),
            format!(r#"[{{"a":1}} , {{"b":[2,{{}}]}},"x",7,null,{UP_TO_DATE}]"#),
            format!("[{long},{long},{UP_TO_DATE},{long},{UP_TO_DATE}]"),
            format!("[{UP_TO_DATE},{{\"a\":\"{}\"}}]", "y".repeat(MAX_CONTROL_BYTES + 1)),
        ];
        for body in bodies {
            let whole = messages(&Bytes::from(body.clone())).expect("an array");
            for (seen, pieces) in
                [(None, 1), (Some(Lsn(9)), 1), (Some(Lsn(9)), 7), (None, 300), (Some(Lsn(9)), 1 << 20)]
            {
                let expected = events(&whole, seen);
                assert_eq!(split(body.as_bytes(), seen, pieces).as_deref(), Some(&*expected), "{body} by {pieces}");
            }
        }
        for broken in ["", "[", "[{}", "[{}]x", "{}", "null", "[\"a"] {
            assert_eq!(split(broken.as_bytes(), None, 2), None, "{broken}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_pieces_panic(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64), pieces in 1..9_usize) {
            let _ = split(&body, Some(Lsn(1)), pieces);
            let mut array = b"[{".to_vec();
            array.extend(&body);
            let _ = split(&array, None, pieces);
        }

        #[test]
        fn nothing_that_comes_panics(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            if let Some(split) = messages(&Bytes::from(body)) {
                let _ = events(&split, Some(Lsn(1)));
            }
        }
    }
}
