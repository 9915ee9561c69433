//! `json` and `jsonb`. Values of both are kept as the text that Postgres prints: of `json` what the client wrote, of `jsonb` the
//! normal form. A part of either text is the text of the part, so the operators that take one out only look for its ends.
//!
//! Source: `json_lex`, `get_worker` and `jsonb_get_element` of Postgres' `jsonapi.c` and `jsonfuncs.c`.

pub mod compare;
pub mod scan;
pub mod tree;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::scan::{Scanner, Shape, shape, unescape};
use super::value::Failure;

/// The text of a part, or `None` if there is no such part.
pub type Part<'a> = Result<Option<&'a [u8]>, Failure>;

/// `object -> key`, the last of several equal keys; nothing from other values.
pub fn field<'a>(json: &'a [u8], key: &[u8]) -> Part<'a> {
    if shape(json) != Some(Shape::Object) {
        return Ok(None);
    }
    let (mut scanner, mut found) = (Scanner::inside(json)?, None);
    while let Some((name, value)) = scanner.member()? {
        if unescape(name)?.as_ref() == key {
            found = Some(value);
        }
    }
    Ok(found)
}

/// `array -> index`, counted from 0, or with a negative index from the end; nothing from other values.
pub fn element(json: &[u8], index: i64) -> Part<'_> {
    if shape(json) != Some(Shape::Array) {
        return Ok(None);
    }
    let wanted = if index < 0 { count(json)?.map_or(-1, |count| count as i64 + index) } else { index };
    let (mut scanner, mut at) = (Scanner::inside(json)?, 0);
    while let Some(value) = scanner.item()? {
        if at == wanted {
            return Ok(Some(value));
        }
        at += 1;
    }
    Ok(None)
}

/// `jsonb -> index`: a scalar is kept as an array of one.
pub fn element_of_jsonb(json: &[u8], index: i64) -> Part<'_> {
    match shape(json) {
        Some(Shape::Object | Shape::Array) => element(json, index),
        _ => Ok(matches!(index, 0 | -1).then_some(json)),
    }
}

/// How many elements an array has; `None` for other values.
pub fn count(json: &[u8]) -> Result<Option<usize>, Failure> {
    if shape(json) != Some(Shape::Array) {
        return Ok(None);
    }
    let (mut scanner, mut count) = (Scanner::inside(json)?, 0);
    while scanner.item()?.is_some() {
        count += 1;
    }
    Ok(Some(count))
}

/// The most steps of a path: each is a call.
const MAX_STEPS: usize = tree::MAX_DEPTH;

/// `json #> path`: a step is a key of an object, or an index of an array. Where keys are repeated, every one is followed, and the
/// last that leads to the end of the path counts.
///
/// # Errors
///
/// If the path has more than [`MAX_STEPS`] steps, or the text is no JSON.
pub fn at_path<'a>(json: &'a [u8], path: &[&[u8]]) -> Part<'a> {
    if path.len() > MAX_STEPS { Err(Failure) } else { below(json, path) }
}

fn below<'a>(json: &'a [u8], path: &[&[u8]]) -> Part<'a> {
    let Some((step, rest)) = path.split_first() else {
        return Ok(Some(trimmed(json)));
    };
    match shape(json) {
        Some(Shape::Array) => match index(step) {
            Some(index) => element(json, index)?.map_or(Ok(None), |part| below(part, rest)),
            None => Ok(None),
        },
        Some(Shape::Object) => {
            let (mut scanner, mut found) = (Scanner::inside(json)?, None);
            while let Some((name, value)) = scanner.member()? {
                if unescape(name)?.as_ref() == *step {
                    found = below(value, rest)?.or(found);
                }
            }
            Ok(found)
        }
        _ => Ok(None),
    }
}

/// An index as `strtol` reads it: blanks and a sign before the digits, nothing behind them.
fn index(step: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(step).ok()?;
    let digits = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    digits.parse::<i32>().ok().filter(|index| *index > i32::MIN).map(i64::from)
}

/// `->>` and `#>>` of a part: a string without its quotes, NULL for `null`, the text of anything else.
pub fn as_text(part: &[u8]) -> Result<Option<Cow<'_, [u8]>>, Failure> {
    match shape(part).ok_or(Failure)? {
        Shape::Null => Ok(None),
        Shape::String => unescape(part).map(Some),
        _ => Ok(Some(Cow::Borrowed(part))),
    }
}

/// `json_typeof` and `jsonb_typeof`.
pub fn type_name(json: &[u8]) -> Result<&'static str, Failure> {
    Ok(match shape(json).ok_or(Failure)? {
        Shape::Object => "object",
        Shape::Array => "array",
        Shape::String => "string",
        Shape::Number => "number",
        Shape::Bool => "boolean",
        Shape::Null => "null",
    })
}

/// Without the blanks around it.
fn trimmed(json: &[u8]) -> &[u8] {
    let blank = |byte: &u8| scan::is_blank(*byte);
    let start = json.iter().position(|byte| !blank(byte)).unwrap_or(json.len());
    let end = json.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    json.get(start..end).unwrap_or_default()
}
