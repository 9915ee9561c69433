//! Texts of single values: what Postgres prints of them, and what it reads.

use crate::engine::filter::types::Type;

pub fn read_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0i64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        let sum = sum.checked_mul(10)?;
        if negative { sum.checked_sub(digit) } else { sum.checked_add(digit) }
    })
}

pub fn read_float(text: &[u8], single: bool) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    if single { text.parse::<f32>().ok().map(f64::from) } else { text.parse().ok() }
}

pub fn parse_float(ty: Type, text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if ["infinity", "inf", "nan"].iter().any(|word| unsigned.eq_ignore_ascii_case(word)) {
        // The sign of a NaN does not show anywhere.
        return read_float(text.as_bytes(), false);
    }
    if unsigned.starts_with("0x") || unsigned.starts_with("0X") {
        let value = parse_hexadecimal(&unsigned[2..])?;
        let value = if ty == Type::Float4 { f64::from(value as f32) } else { value };
        let value = if text.starts_with('-') { -value } else { value };
        return value.is_finite().then_some(value);
    }
    let decimal = unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let value = if decimal { read_float(text.as_bytes(), ty == Type::Float4)? } else { return None };
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or_default();
    let lost = value == 0.0 && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    (value.is_finite() && !lost).then_some(value)
}

/// `1f`, `1.8p-3`: what the C library reads behind `0x`. Only what is exact.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = match text.split_once(['p', 'P']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let number =
        u64::from_str_radix(&digits, 16).ok().filter(|number| *number < 1 << 53 && !digits.starts_with('+'))?;
    let scale = exponent.checked_sub(i32::try_from(fraction.len()).ok()?.checked_mul(4)?)?;
    let value = number as f64 * 2f64.powi(scale);
    (value.is_normal() || number == 0).then_some(value)
}

/// The shortest digits from which every reader gets this float again, whatever it rounds halves to; as Postgres prints it.
pub fn print_float(value: f64, ty: Type) -> String {
    if value.is_nan() {
        return "NaN".into();
    } else if value.is_infinite() {
        return if value > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    let size = value.abs();
    let (printed, most) = match ty {
        _ if size == 0.0 => ("0e0".into(), 1),
        Type::Float4 => {
            let reads = |text: &str| text.parse::<f32>().is_ok_and(|read| f64::from(read) == size);
            (nearest(size, reads, format!("{:e}", size as f32)), 6)
        }
        _ => (nearest(size, |text| text.parse::<f64>().is_ok_and(|read| read == size), format!("{size:e}")), 15),
    };
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let (mantissa, exponent) = printed.split_once('e').unwrap_or((&printed, "0"));
    let exponent = exponent.parse::<i32>().unwrap_or_default();
    if !(-4..most).contains(&exponent) {
        let sign_of_exponent = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{sign_of_exponent}{:02}", exponent.abs());
    }
    let digits = mantissa.replace('.', "");
    let places = (digits.len() as i32 - 1 - exponent).max(0) as usize;
    let padded = format!("{digits:0<width$}", width = (exponent + 1).max(1) as usize);
    let padded = format!("{padded:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// The nearest number with as many digits as `shortest` has, or with more if that lies exactly between two floats: Postgres
/// does not count on halves being rounded to even.
fn nearest(value: f64, reads: impl Fn(&str) -> bool, shortest: String) -> String {
    let digits = shortest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    let longer = (digits..18).map(|digits| format!("{value:.*e}", digits - 1));
    let mut candidates = longer.clone().take(1).chain([shortest]).chain(longer.skip(1));
    candidates.find(|candidate| is_inside(candidate, &reads)).unwrap_or_else(|| format!("{value:e}"))
}

/// Whether numbers a little above and below are read as the same float.
fn is_inside(candidate: &str, reads: &impl Fn(&str) -> bool) -> bool {
    let (mantissa, exponent) = candidate.split_once('e').unwrap_or((candidate, "0"));
    let digits = mantissa.replace('.', "");
    let exponent = exponent.parse::<i64>().unwrap_or_default() - (digits.len() as i64 - 1) - 30;
    let below = digits.parse::<u64>().unwrap_or_default().saturating_sub(1);
    reads(&format!("{digits}{:030}e{exponent}", 1)) && reads(&format!("{below}{}e{exponent}", "9".repeat(30)))
}

/// A unique beginning of true, false, yes, no, on, off, or a bit.
pub fn parse_bool(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    let begins = |word: &str| !text.is_empty() && word.starts_with(text.as_str());
    if text == "1" || text == "on" || begins("true") || begins("yes") {
        Some(true)
    } else if text == "0" || (text.len() >= 2 && begins("off")) || begins("false") || begins("no") {
        Some(false)
    } else {
        None
    }
}

/// Hexadecimal digits with an optional hyphen after every four, in optional braces; to the output form.
pub fn parse_uuid(text: &str) -> Option<Vec<u8>> {
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}')?,
        None => text,
    };
    let mut rest = inner.bytes().peekable();
    let mut printed = Vec::with_capacity(36);
    for index in 0..32 {
        let digit = rest.next().filter(u8::is_ascii_hexdigit)?;
        printed.push(digit.to_ascii_lowercase());
        if matches!(index, 7 | 11 | 15 | 19) {
            printed.push(b'-');
        }
        if index % 4 == 3 && index < 31 {
            rest.next_if_eq(&b'-');
        }
    }
    rest.next().is_none().then_some(printed)
}

/// Hexadecimal after `\x`, with blanks between bytes, or characters with `\\\\` and octal escapes; to the output form.
pub fn parse_bytea(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(digits) = text.strip_prefix("\\x") {
        let mut rest = digits.bytes().filter(|byte| !matches!(byte, b' ' | b'\n' | b'\t' | b'\r'));
        // A blank inside of a byte is an error, and one digit too many.
        let split = digits.split([' ', '\n', '\t', '\r']).any(|part| part.len() % 2 == 1);
        while let Some(high) = rest.next() {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let byte = digit(high)? * 16 + digit(rest.next()?)?;
            bytes.push(u8::try_from(byte).ok()?);
        }
        (!split).then_some(())?;
    } else {
        let mut rest = text.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            (bytes, rest) = match (first, after) {
                (b'\\', [b'\\', after @ ..]) => (pushed(bytes, b'\\'), after),
                (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                    (pushed(bytes, (a - b'0') * 64 + (b - b'0') * 8 + (c - b'0')), after)
                }
                (b'\\', _) => return None,
                (byte, after) => (pushed(bytes, *byte), after),
            };
        }
    }
    let hexadecimal = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = hexadecimal.map(|digit| b"0123456789abcdef"[usize::from(digit)]);
    Some(b"\\x".iter().copied().chain(digits).collect())
}

fn pushed(mut bytes: Vec<u8>, byte: u8) -> Vec<u8> {
    bytes.push(byte);
    bytes
}

/// The longest beginning of at most `bytes` bytes that ends between characters.
pub fn truncate(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
