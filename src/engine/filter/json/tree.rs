//! JSON as a tree in `jsonb`'s normal form, and how Postgres prints it.

use std::borrow::Cow;

use super::scan::{self, Scanner, Shape, unescape};
use crate::engine::filter::decimal::Decimal;
use crate::engine::filter::value::Failure;

/// Deeper values fail: a tree is walked by recursion, and a thread's stack is small. Postgres goes about ten times as deep.
pub const MAX_DEPTH: usize = 500;
/// The most bytes that the numbers of one value may have in all, when they are written out: `1e100000` has six in its text.
const MAX_NUMBER_BYTES: usize = 16 << 20;
/// Postgres' limits for `numeric`, before and after the point.
const MAX_EXPONENT: i64 = 131_072;

/// One value. Members of an object are in Postgres' order, by the length of the name and then its bytes, and each name is there
/// once.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree<'a> {
    Null,
    Bool(bool),
    Number(Decimal<'a>),
    String(Cow<'a, [u8]>),
    Array(Vec<Tree<'a>>),
    Object(Vec<(Cow<'a, [u8]>, Tree<'a>)>),
}

impl<'a> Tree<'a> {
    /// Reads a valid JSON text.
    ///
    /// # Errors
    ///
    /// If it is not valid, nested deeper than [`MAX_DEPTH`], or holds what `jsonb` cannot: `\u0000`, half a surrogate pair,
    /// numbers beyond `numeric`.
    pub fn read(json: &'a [u8]) -> Result<Tree<'a>, Failure> {
        let mut numbers = 0;
        Self::part(json, 0, &mut numbers)
    }

    fn part(json: &'a [u8], depth: usize, numbers: &mut usize) -> Result<Tree<'a>, Failure> {
        if depth > MAX_DEPTH {
            return Err(Failure);
        }
        match scan::shape(json).ok_or(Failure)? {
            Shape::Null => Ok(Tree::Null),
            Shape::Bool => Ok(Tree::Bool(super::trimmed(json) == b"true")),
            Shape::Number => {
                let number = written_out(super::trimmed(json))?;
                *numbers += number.len();
                let number = if *numbers > MAX_NUMBER_BYTES + json.len() { None } else { decimal(number) };
                number.map(Tree::Number).ok_or(Failure)
            }
            Shape::String => unescape(super::trimmed(json)).map(Tree::String),
            Shape::Array => Self::items(json, depth, numbers),
            Shape::Object => Self::members(json, depth, numbers),
        }
    }

    fn items(json: &'a [u8], depth: usize, numbers: &mut usize) -> Result<Tree<'a>, Failure> {
        let (mut scanner, mut items) = (Scanner::inside(json)?, Vec::new());
        while let Some(item) = scanner.item()? {
            items.push(Self::part(item, depth + 1, numbers)?);
        }
        Ok(Tree::Array(items))
    }

    fn members(json: &'a [u8], depth: usize, numbers: &mut usize) -> Result<Tree<'a>, Failure> {
        let (mut scanner, mut members) = (Scanner::inside(json)?, Vec::new());
        while let Some((name, value)) = scanner.member()? {
            members.push((unescape(name)?, Self::part(value, depth + 1, numbers)?));
        }
        // The last of equal names stays.
        members.reverse();
        members.sort_by(|(left, _), (right, _)| left.len().cmp(&right.len()).then_with(|| left.cmp(right)));
        members.dedup_by(|(later, _), (kept, _)| later == kept);
        Ok(Tree::Object(members))
    }

    /// The value of a member of an object.
    pub fn member(&self, name: &[u8]) -> Option<&Tree<'a>> {
        let Tree::Object(members) = self else { return None };
        let order = |own: &[u8]| own.len().cmp(&name.len()).then_with(|| own.cmp(name));
        let position = members.binary_search_by(|(own, _)| order(own)).ok()?;
        members.get(position).map(|(_, value)| value)
    }

    pub fn is_scalar(&self) -> bool {
        !matches!(self, Tree::Array(_) | Tree::Object(_))
    }

    /// The text of a `jsonb`.
    pub fn print(&self) -> Vec<u8> {
        let mut text = Vec::new();
        self.print_to(&mut text);
        text
    }

    fn print_to(&self, text: &mut Vec<u8>) {
        match self {
            Tree::Null => text.extend_from_slice(b"null"),
            Tree::Bool(true) => text.extend_from_slice(b"true"),
            Tree::Bool(false) => text.extend_from_slice(b"false"),
            Tree::Number(number) => text.extend_from_slice(number.print().as_bytes()),
            Tree::String(string) => print_string(string, text),
            Tree::Array(items) => {
                text.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    text.extend_from_slice(if index == 0 { b"" } else { b", " });
                    item.print_to(text);
                }
                text.push(b']');
            }
            Tree::Object(members) => {
                text.push(b'{');
                for (index, (name, value)) in members.iter().enumerate() {
                    text.extend_from_slice(if index == 0 { b"" } else { b", " });
                    print_string(name, text);
                    text.extend_from_slice(b": ");
                    value.print_to(text);
                }
                text.push(b'}');
            }
        }
    }
}

/// The normal form of a JSON text: what a cast to `jsonb` prints.
pub fn normal(json: &[u8]) -> Result<Vec<u8>, Failure> {
    if !scan::is_valid(json) {
        return Err(Failure);
    }
    Tree::read(json).map(|tree| tree.print())
}

/// As Postgres' `escape_json`.
fn print_string(string: &[u8], text: &mut Vec<u8>) {
    text.push(b'"');
    for byte in string {
        match byte {
            8 => text.extend_from_slice(b"\\b"),
            12 => text.extend_from_slice(b"\\f"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            b'"' => text.extend_from_slice(b"\\\""),
            b'\\' => text.extend_from_slice(b"\\\\"),
            0..0x20 => text.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            byte => text.push(*byte),
        }
    }
    text.push(b'"');
}

fn decimal(number: Cow<'_, [u8]>) -> Option<Decimal<'_>> {
    match number {
        Cow::Borrowed(number) => Decimal::read(number),
        Cow::Owned(number) => Decimal::read(&number).map(Decimal::into_owned),
    }
}

/// A number without an exponent, as `numeric` prints it: `1.50e1` is `15.0`, and `-0` is `0`.
fn written_out(number: &[u8]) -> Result<Cow<'_, [u8]>, Failure> {
    let (negative, unsigned) = match number.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let zero = !unsigned.iter().take_while(|byte| !matches!(byte, b'e' | b'E')).any(|byte| matches!(byte, b'1'..=b'9'));
    let Some(mark) = unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')) else {
        let scale = unsigned.iter().position(|byte| *byte == b'.').map_or(0, |point| unsigned.len() - point - 1);
        return match scale {
            0..=16_383 => Ok(Cow::Borrowed(if zero { unsigned } else { number })),
            _ => Err(Failure),
        };
    };
    let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
    let (mantissa, exponent) = (text(&unsigned[..mark]), text(&unsigned[mark + 1..]));
    let exponent = exponent.parse::<i64>().map_err(|_| Failure)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((&mantissa, ""));
    let scale = (fraction.len() as i64).saturating_sub(exponent).max(0);
    if scale > 16_383 || (exponent > MAX_EXPONENT && !zero) {
        return Err(Failure);
    }
    let scale = usize::try_from(scale).map_err(|_| Failure)?;
    let mut digits = format!("{whole}{fraction}");
    if !zero {
        let missing = (exponent - fraction.len() as i64).max(0);
        digits.extend(std::iter::repeat_n('0', usize::try_from(missing).map_err(|_| Failure)?));
    }
    if digits.len() <= scale {
        digits.insert_str(0, &"0".repeat(scale + 1 - digits.len()));
    }
    let point = digits.len() - scale;
    let whole = digits[..point].trim_start_matches('0');
    if whole.len() as i64 > MAX_EXPONENT {
        return Err(Failure);
    }
    let sign = if negative && !zero { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let dot = if scale > 0 { "." } else { "" };
    Ok(Cow::Owned(format!("{sign}{whole}{dot}{}", &digits[point..]).into_bytes()))
}
