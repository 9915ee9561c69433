//! Functions on strings. Characters are those of UTF-8. Letters have two cases only within ASCII, as in the collation `C`; where
//! the resolver knows that the database maps others as we do, it takes the rows called `unicode ..`.

use std::borrow::Cow;

use md5::{Digest, Md5};

use crate::engine::casing;
use crate::engine::filter::catalog::arguments::{Arguments, text_result};
use crate::engine::filter::catalog::{Collation, Evaluate, Outcome, Rows};
use crate::engine::filter::types::Type::*;
use crate::engine::filter::value::{Failure, Value};

/// What `repeat`, `lpad` and `rpad` may add to a row's text: a condition must not eat the memory, nor the time of every change.
const MAX_ADDED_BYTES: usize = 1 << 20;
/// The longest text that `replace`, `concat` and `||` may put together. Postgres stops at 1 GB.
const MAX_JOINED_BYTES: usize = 64 << 20;

pub fn add(rows: &mut Rows) {
    lengths(rows);
    parts(rows);
    made(rows);
    joined(rows);
    for (name, run) in [("lower", lower as Evaluate), ("upper", upper)] {
        rows.strict(name, [Text], Text, run).collation = Collation::Bytes;
    }
    for (name, of) in [("lower", "unicode lower"), ("upper", "unicode upper")] {
        let run: Evaluate = if name == "lower" { |a| mapped(a, casing::lower) } else { |a| mapped(a, casing::upper) };
        rows.strict(of, [Text], Text, run).name = name;
    }
    rows.strict("initcap", [Text], Text, initcap).collation = Collation::Bytes;
    rows.strict("md5", [Text], Text, |a| text_result(format!("{:032x}", digest(&a.bytes(0)?))));
    rows.missing("md5", [Bytea], Text);
}

fn digest(text: &[u8]) -> u128 {
    u128::from_be_bytes(Md5::digest(text).into())
}

fn lengths(rows: &mut Rows) {
    for name in ["length", "char_length", "character_length"] {
        rows.strict(name, [Text], Int4, |a| count(a.text(0)?));
        rows.strict(name, [Bpchar], Int4, |a| count(a.text(0)?.trim_end_matches(' ')));
    }
    rows.missing("length", [Bytea], Int4);
    for ty in [Text, Bpchar] {
        rows.strict("octet_length", [ty], Int4, |a| size(a.bytes(0)?.len(), 1));
    }
    rows.missing("octet_length", [Bytea], Int4);
    rows.strict("bit_length", [Text], Int4, |a| size(a.bytes(0)?.len(), 8));
    rows.missing("bit_length", [Bytea], Int4);
    rows.strict("ascii", [Text], Int4, |a| {
        let code = a.text(0)?.chars().next().map_or(0, u32::from);
        Ok(Some(Value::Int(code.into())))
    });
    rows.strict("chr", [Int4], Text, |a| {
        let code = u32::try_from(a.int(0)?).ok().filter(|code| *code != 0);
        text_result(code.and_then(char::from_u32).ok_or(Failure)?.to_string())
    });
}

fn count<'a>(text: &str) -> Outcome<'a> {
    size(text.chars().count(), 1)
}

fn size<'a>(count: usize, times: usize) -> Outcome<'a> {
    let size = count.checked_mul(times).and_then(|size| i32::try_from(size).ok()).ok_or(Failure)?;
    Ok(Some(Value::Int(size.into())))
}

/// What is taken out of a text.
fn parts(rows: &mut Rows) {
    for name in ["substring", "substr"] {
        rows.strict(name, [Text, Int4], Text, |a| text_result(substring(a.text(0)?, a.int(1)?, None)?.to_owned()));
        rows.strict(name, [Text, Int4, Int4], Text, |a| {
            text_result(substring(a.text(0)?, a.int(1)?, Some(a.int(2)?))?.to_owned())
        });
        rows.missing(name, [Bytea, Int4], Bytea);
        rows.missing(name, [Bytea, Int4, Int4], Bytea);
    }
    // These take regular expressions, and what they return is not only whether it matches.
    rows.missing("substring", [Text, Text], Text);
    rows.missing("substring", [Text, Text, Text], Text);
    rows.strict("left", [Text, Int4], Text, |a| {
        let (text, wanted) = (a.text(0)?, a.int(1)?);
        text_result(split_at(text, kept(text, wanted)).0.to_owned())
    });
    rows.strict("right", [Text, Int4], Text, |a| {
        let (text, wanted) = (a.text(0)?, a.int(1)?);
        // The smallest integer has no opposite: Postgres then leaves nothing out.
        let kept = if wanted == i64::from(i32::MIN) { usize::MAX } else { kept(text, wanted) };
        text_result(split_at(text, text.chars().count().saturating_sub(kept)).1.to_owned())
    });
    for (name, run) in TRIMS {
        rows.strict(name, [Text], Text, run);
        rows.strict(name, [Text, Text], Text, run);
        rows.missing(name, [Bytea, Bytea], Bytea);
    }
    rows.strict("split_part", [Text, Text, Int4], Text, split_part).collation = Collation::Known;
    for name in ["strpos", "position"] {
        rows.strict(name, [Text, Text], Int4, |a| position(a.text(0)?, a.text(1)?)).collation = Collation::Known;
    }
    rows.missing("position", [Bytea, Bytea], Int4);
    for name in ["starts_with", "^@"] {
        let row = rows.strict(name, [Text, Text], Bool, |a| Ok(Some(Value::Bool(a.text(0)?.starts_with(a.text(1)?)))));
        row.collation = Collation::Known;
    }
}

const TRIMS: [(&str, Evaluate); 3] = [
    ("btrim", |a| trimmed(a, true, true)),
    ("ltrim", |a| trimmed(a, true, false)),
    ("rtrim", |a| trimmed(a, false, true)),
];

/// Without the characters of a set, or blanks, at its ends.
fn trimmed<'a>(arguments: &mut Arguments<'a>, start: bool, end: bool) -> Outcome<'a> {
    let mut text = arguments.text(0)?;
    let mut set: Vec<char> = if arguments.types.len() > 1 { arguments.text(1)?.chars().collect() } else { vec![' '] };
    // Sorted: both may be long.
    set.sort_unstable();
    let inside = |character: char| set.binary_search(&character).is_ok();
    if start {
        text = text.trim_start_matches(inside);
    }
    if end {
        text = text.trim_end_matches(inside);
    }
    text_result(text.to_owned())
}

fn position<'a>(text: &str, wanted: &str) -> Outcome<'a> {
    match text.find(wanted) {
        Some(at) => count(&text[..at]).map(|value| match value {
            Some(Value::Int(before)) => Some(Value::Int(before + 1)),
            value => value,
        }),
        None => Ok(Some(Value::Int(0))),
    }
}

/// Cuts in front of a character, counted from 0.
fn split_at(text: &str, characters: usize) -> (&str, &str) {
    let at = text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
    text.split_at(at)
}

/// How many characters `left` and `right` keep: a negative number says how many they leave out.
fn kept(text: &str, wanted: i64) -> usize {
    let all = text.chars().count() as i64;
    let kept = if wanted < 0 { all + wanted } else { wanted };
    usize::try_from(kept.clamp(0, all)).unwrap_or_default()
}

/// From the character `start`, counted from 1, as many as `length`; those before the first count, too.
fn substring(text: &str, start: i64, length: Option<i64>) -> Result<&str, Failure> {
    let skipped = usize::try_from((start - 1).max(0)).map_err(|_| Failure)?;
    let rest = split_at(text, skipped).1;
    match length {
        Some(length) if length < 0 => Err(Failure),
        Some(length) => {
            let taken = (start + length - start.max(1)).max(0);
            Ok(split_at(rest, usize::try_from(taken).map_err(|_| Failure)?).0)
        }
        None => Ok(rest),
    }
}

/// The field of a number, from the end if it is negative; an empty delimiter finds one field.
fn split_part<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let (text, delimiter, wanted) = (arguments.text(0)?, arguments.text(1)?, arguments.int(2)?);
    if wanted == 0 {
        return Err(Failure);
    }
    let index = usize::try_from(wanted.unsigned_abs() - 1).map_err(|_| Failure)?;
    let part = if text.is_empty() {
        None
    } else if delimiter.is_empty() {
        (index == 0).then_some(text)
    } else if wanted > 0 {
        text.split(delimiter).nth(index)
    } else {
        // Fields are found from the front, also where delimiters overlap.
        let fields: Vec<&str> = text.split(delimiter).collect();
        fields.len().checked_sub(index + 1).and_then(|index| fields.get(index).copied())
    };
    text_result(part.unwrap_or_default().to_owned())
}

/// What is made of a text.
fn made(rows: &mut Rows) {
    rows.strict("replace", [Text, Text, Text], Text, |a| {
        let (text, from, to) = (a.text(0)?, a.text(1)?, a.text(2)?);
        if from.is_empty() {
            return text_result(text.to_owned());
        }
        let found = text.matches(from).count();
        bounded(text.len() + found.saturating_mul(to.len()), MAX_JOINED_BYTES)?;
        text_result(text.replace(from, to))
    })
    .collation = Collation::Known;
    rows.strict("translate", [Text, Text, Text], Text, translate);
    rows.strict("reverse", [Text], Text, |a| text_result(a.text(0)?.chars().rev().collect()));
    rows.strict("repeat", [Text, Int4], Text, |a| {
        let (text, times) = (a.text(0)?, usize::try_from(a.int(1)?).unwrap_or_default());
        bounded(text.len().saturating_mul(times.saturating_sub(1)), MAX_ADDED_BYTES)?;
        text_result(text.repeat(times))
    });
    for name in ["lpad", "rpad"] {
        rows.strict(name, [Text, Int4], Text, if name == "lpad" { lpad } else { rpad });
        rows.strict(name, [Text, Int4, Text], Text, if name == "lpad" { lpad } else { rpad });
    }
    rows.strict("overlay", [Text, Text, Int4], Text, overlay);
    rows.strict("overlay", [Text, Text, Int4, Int4], Text, overlay);
    rows.missing("overlay", [Bytea, Bytea, Int4], Bytea);
    rows.missing("overlay", [Bytea, Bytea, Int4, Int4], Bytea);
}

fn bounded(bytes: usize, most: usize) -> Result<(), Failure> {
    if bytes > most { Err(Failure) } else { Ok(()) }
}

/// Each character of the second argument becomes the one of the third at its first place, or disappears where that is shorter.
fn translate<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let to: Vec<char> = arguments.text(2)?.chars().collect();
    let mut from: Vec<(char, usize)> = arguments.text(1)?.chars().zip(0..).collect();
    // Sorted: all may be long.
    from.sort_unstable();
    from.dedup_by_key(|(character, _)| *character);
    let text = arguments.text(0)?.chars();
    let replaced = text.filter_map(|character| match from.binary_search_by_key(&character, |(wanted, _)| *wanted) {
        Ok(found) => from.get(found).and_then(|(_, index)| to.get(*index)).copied(),
        Err(_) => Some(character),
    });
    text_result(replaced.collect())
}

/// The first `length` characters, and what is missing to so many, taken from the fill again and again.
fn padded<'b>(arguments: &'b Arguments<'_>) -> Result<(&'b str, String), Failure> {
    let (text, length) = (arguments.text(0)?, usize::try_from(arguments.int(1)?).unwrap_or_default());
    let fill = if arguments.types.len() > 2 { arguments.text(2)? } else { " " };
    let (kept, _) = split_at(text, length);
    let missing = if fill.is_empty() { 0 } else { length - kept.chars().count() };
    bounded(missing, MAX_ADDED_BYTES)?;
    Ok((kept, fill.chars().cycle().take(missing).collect()))
}

fn lpad<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let (text, padding) = padded(arguments)?;
    text_result(padding + text)
}

fn rpad<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let (text, padding) = padded(arguments)?;
    text_result(text.to_owned() + &padding)
}

fn overlay<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let (text, placed, start) = (arguments.text(0)?, arguments.text(1)?, arguments.int(2)?);
    let length = if arguments.types.len() > 3 { arguments.int(3)? } else { placed.chars().count() as i64 };
    let end = start + length;
    if start <= 0 || end > i32::MAX.into() {
        return Err(Failure);
    }
    let before = substring(text, 1, Some(start - 1))?;
    text_result(format!("{before}{placed}{}", substring(text, end, None)?))
}

/// Every character for itself, as the database's collation does it; fails on letters that we do not know.
fn mapped<'a>(arguments: &mut Arguments<'a>, map: fn(char) -> Option<char>) -> Outcome<'a> {
    let text: Option<String> = arguments.text(0)?.chars().map(map).collect();
    text_result(text.ok_or(Failure)?)
}

fn lower<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    text_result(arguments.text(0)?.to_ascii_lowercase())
}

fn upper<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    text_result(arguments.text(0)?.to_ascii_uppercase())
}

/// A capital at the beginning of every row of letters and digits, small letters behind it.
fn initcap<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let mut inside = false;
    let folded = arguments.text(0)?.chars().map(|character| {
        let cased = if inside { character.to_ascii_lowercase() } else { character.to_ascii_uppercase() };
        inside = character.is_ascii_alphanumeric();
        cased
    });
    text_result(folded.collect())
}

/// Texts put together.
fn joined(rows: &mut Rows) {
    rows.strict("||", [Text, Text], Text, concatenate);
    rows.strict("||", [Text, AnyNonArray], Text, concatenate);
    rows.strict("||", [AnyNonArray, Text], Text, concatenate);
    rows.missing("||", [Bytea, Bytea], Bytea);
    rows.nullable("concat", [Any], Text, |a| {
        let mut text = Vec::new();
        for index in 0..a.values.len() {
            let part = printed(a, index).unwrap_or_default();
            bounded(text.len() + part.len(), MAX_JOINED_BYTES)?;
            text.extend_from_slice(&part);
        }
        Ok(Some(Value::Text(Cow::Owned(text))))
    })
    .variadic = true;
    rows.nullable("concat_ws", [Text, Any], Text, |a| {
        let Some(separator) = printed(a, 0) else { return Ok(None) };
        let parts: Vec<Cow<'_, [u8]>> = (1..a.values.len()).filter_map(|index| printed(a, index)).collect();
        let size = parts.iter().map(|part| part.len() + separator.len()).sum();
        bounded(size, MAX_JOINED_BYTES)?;
        Ok(Some(Value::Text(Cow::Owned(parts.join(separator.as_ref())))))
    })
    .variadic = true;
}

/// As the output function of its type prints it; `None` is NULL.
fn printed<'a>(arguments: &mut Arguments<'a>, index: usize) -> Option<Cow<'a, [u8]>> {
    let ty = arguments.ty(index);
    match arguments.take(index)? {
        Value::Text(text) => Some(text),
        value => Some(Cow::Owned(value.print(ty).into_bytes())),
    }
}

/// What is no text is cast to one, which drops the blanks at the end of `bpchar` and spells truth values out.
fn concatenate<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let mut text = Vec::new();
    for index in 0..2 {
        let ty = arguments.ty(index);
        match arguments.take(index) {
            Some(Value::Bool(value)) => text.extend_from_slice(value.to_string().as_bytes()),
            Some(Value::Text(own)) if ty == Bpchar => {
                let kept = own.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
                text.extend_from_slice(&own[..kept]);
            }
            Some(Value::Text(own)) => text.extend_from_slice(&own),
            Some(value) => text.extend_from_slice(value.print(ty).as_bytes()),
            None => return Err(Failure),
        }
    }
    bounded(text.len(), MAX_JOINED_BYTES)?;
    Ok(Some(Value::Text(Cow::Owned(text))))
}
