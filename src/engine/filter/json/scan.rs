//! JSON text as Postgres' lexer takes it, without building anything and without recursion: rows may be nested deeply.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::engine::filter::value::Failure;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// What the value in a JSON text is, from its first character.
pub fn shape(json: &[u8]) -> Option<Shape> {
    match json.iter().find(|byte| !is_blank(**byte))? {
        b'{' => Some(Shape::Object),
        b'[' => Some(Shape::Array),
        b'"' => Some(Shape::String),
        b't' | b'f' => Some(Shape::Bool),
        b'n' => Some(Shape::Null),
        b'-' | b'0'..=b'9' => Some(Shape::Number),
        _ => None,
    }
}

pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether Postgres takes a text as `json`.
pub fn is_valid(json: &[u8]) -> bool {
    let mut scanner = Scanner { text: json, at: 0 };
    scanner.value().is_ok() && {
        scanner.blanks();
        scanner.at == json.len()
    }
}

/// Whether every string of a valid JSON text can be written in UTF-8: Postgres fails where it takes something out of a `json`
/// that has `\u0000` or half a surrogate pair anywhere.
pub fn has_text(json: &[u8]) -> bool {
    let mut scanner = Scanner { text: json, at: 0 };
    loop {
        let rest = json.get(scanner.at..).unwrap_or_default();
        let Some(quote) = memchr::memchr(b'"', rest) else { return true };
        scanner.at += quote;
        if !scanner.string().is_ok_and(|string| unescape(string).is_ok()) {
            return false;
        }
    }
}

/// A name, with its quotes, and its value.
pub type Member<'a> = (&'a [u8], &'a [u8]);

/// Walks through the members of an object or the items of an array, or over one value.
pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Begins behind the first brace or bracket.
    pub fn inside(json: &'a [u8]) -> Result<Scanner<'a>, Failure> {
        let mut scanner = Scanner { text: json, at: 0 };
        scanner.blanks();
        scanner.at += 1;
        Ok(scanner)
    }

    /// The next name, with its quotes, and value of an object.
    pub fn member(&mut self) -> Result<Option<Member<'a>>, Failure> {
        self.blanks();
        if self.next() == Some(b'}') {
            return Ok(None);
        }
        let name = self.string()?;
        self.blanks();
        self.expect(b':')?;
        let value = self.value()?;
        self.comma();
        Ok(Some((name, value)))
    }

    /// The next item of an array.
    pub fn item(&mut self) -> Result<Option<&'a [u8]>, Failure> {
        self.blanks();
        if self.next() == Some(b']') {
            return Ok(None);
        }
        let value = self.value()?;
        self.comma();
        Ok(Some(value))
    }

    /// Goes over one whole value, and checks it.
    pub fn value(&mut self) -> Result<&'a [u8], Failure> {
        self.blanks();
        let start = self.at;
        // What is open, by the character that closes it.
        let mut open: SmallVec<[u8; 32]> = SmallVec::new();
        loop {
            self.blanks();
            match self.next().ok_or(Failure)? {
                b'{' => {
                    self.at += 1;
                    if self.closes(b'}') {
                        self.at += 1;
                    } else {
                        open.push(b'}');
                        self.name()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    if self.closes(b']') {
                        self.at += 1;
                    } else {
                        open.push(b']');
                        continue;
                    }
                }
                b'"' => drop(self.string()?),
                b'-' | b'0'..=b'9' => self.number()?,
                _ => self.word()?,
            }
            // Behind a value: the next one, or the end of what is open.
            loop {
                let Some(close) = open.last().copied() else {
                    return self.text.get(start..self.at).ok_or(Failure);
                };
                self.blanks();
                match self.next() {
                    Some(b',') => {
                        self.at += 1;
                        if close == b'}' {
                            self.name()?;
                        }
                        break;
                    }
                    Some(byte) if byte == close => {
                        self.at += 1;
                        open.pop();
                    }
                    _ => return Err(Failure),
                }
            }
        }
    }

    fn next(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.next().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    fn closes(&mut self, close: u8) -> bool {
        self.blanks();
        self.next() == Some(close)
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Failure> {
        let found = self.next() == Some(wanted);
        self.at += 1;
        if found { Ok(()) } else { Err(Failure) }
    }

    fn comma(&mut self) {
        self.blanks();
        self.at += usize::from(self.next() == Some(b','));
    }

    fn name(&mut self) -> Result<(), Failure> {
        self.blanks();
        self.string()?;
        self.blanks();
        self.expect(b':')
    }

    /// A string with its quotes.
    fn string(&mut self) -> Result<&'a [u8], Failure> {
        let start = self.at;
        self.expect(b'"')?;
        loop {
            let byte = self.next().ok_or(Failure)?;
            self.at += 1;
            match byte {
                b'"' => return self.text.get(start..self.at).ok_or(Failure),
                b'\\' => self.escape()?,
                0..0x20 => return Err(Failure),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Result<(), Failure> {
        let byte = self.next().ok_or(Failure)?;
        self.at += 1;
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4).ok_or(Failure)?;
                self.at += 4;
                if digits.iter().all(u8::is_ascii_hexdigit) { Ok(()) } else { Err(Failure) }
            }
            _ => Err(Failure),
        }
    }

    fn digits(&mut self) -> Result<(), Failure> {
        let start = self.at;
        while self.next().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Failure) }
    }

    fn number(&mut self) -> Result<(), Failure> {
        self.at += usize::from(self.next() == Some(b'-'));
        if self.next() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.next() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.next(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.next(), Some(b'-' | b'+')));
            self.digits()?;
        }
        self.no_word()
    }

    fn word(&mut self) -> Result<(), Failure> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let words: [&[u8]; 3] = [b"true", b"false", b"null"];
        let word = words.iter().find(|word| rest.starts_with(word)).ok_or(Failure)?;
        self.at += word.len();
        self.no_word()
    }

    /// Letters, digits and what is not ASCII would belong to the token before.
    fn no_word(&self) -> Result<(), Failure> {
        let more = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
        if self.next().is_some_and(more) { Err(Failure) } else { Ok(()) }
    }
}

/// The characters of a string with its quotes.
///
/// # Errors
///
/// On `\u0000` and half surrogate pairs, which Postgres' text cannot hold.
pub fn unescape(string: &[u8]) -> Result<Cow<'_, [u8]>, Failure> {
    let inner = string.get(1..string.len().saturating_sub(1)).ok_or(Failure)?;
    let Some(first) = memchr::memchr(b'\\', inner) else {
        return Ok(Cow::Borrowed(inner));
    };
    let (plain, mut rest) = inner.split_at(first);
    let mut text = plain.to_vec();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            text.push(*byte);
            continue;
        }
        let (escaped, after) = rest.split_first().ok_or(Failure)?;
        rest = after;
        match escaped {
            b'b' => text.push(8),
            b'f' => text.push(12),
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'u' => {
                let character = character(&mut rest)?;
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => text.push(*other),
        }
    }
    Ok(Cow::Owned(text))
}

/// The character behind `\u`, which may be written as a surrogate pair.
fn character(rest: &mut &[u8]) -> Result<char, Failure> {
    let first = unit(rest)?;
    let mut units: SmallVec<[u16; 2]> = SmallVec::from_slice(&[first]);
    if (0xD800..0xDC00).contains(&first) {
        *rest = rest.strip_prefix(b"\\u").ok_or(Failure)?;
        units.push(unit(rest)?);
    }
    let decoded = char::decode_utf16(units).next().and_then(Result::ok);
    decoded.filter(|character| *character != '\0').ok_or(Failure)
}

fn unit(rest: &mut &[u8]) -> Result<u16, Failure> {
    let (digits, after) = rest.split_at_checked(4).ok_or(Failure)?;
    *rest = after;
    let digits = std::str::from_utf8(digits).map_err(|_| Failure)?;
    u16::from_str_radix(digits, 16).map_err(|_| Failure)
}
