//! Numbers of type `numeric`: every digit counts, and there may be more than 100,000 of them.

mod arithmetic;

use std::borrow::Cow;
use std::cmp::Ordering;

use bigdecimal::num_bigint::{BigInt, Sign};

use self::arithmetic::rounded_quotient;

/// The most digits that Postgres allows before the point.
const MAX_WHOLE_DIGITS: usize = 131_072;
/// The most digits after the point.
const MAX_SCALE: usize = 16_383;

/// One `numeric` value. Variants are in Postgres' order: NaN is greater than everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decimal<'a> {
    NegativeInfinity,
    Finite(Digits<'a>),
    Infinity,
    NaN,
}

/// Digits with at most one point, as Postgres prints them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digits<'a> {
    negative: bool,
    text: Cow<'a, [u8]>,
}

/// Which neighbour a number is rounded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    HalfAway,
    TowardsZero,
    Up,
    Down,
}

/// Why arithmetic has no result: it fails in Postgres too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoResult;

impl<'a> Decimal<'a> {
    /// Reads Postgres' own output: `-12.50`, `NaN`, `Infinity`, `-Infinity`.
    pub fn read(text: &'a [u8]) -> Option<Decimal<'a>> {
        match text {
            b"NaN" => return Some(Decimal::NaN),
            b"Infinity" => return Some(Decimal::Infinity),
            b"-Infinity" => return Some(Decimal::NegativeInfinity),
            _ => {}
        }
        let (negative, digits) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            _ => (false, text),
        };
        let points = digits.iter().filter(|byte| **byte == b'.').count();
        let plain = digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
        let known = plain && points <= 1 && digits.len() > points;
        known.then_some(Decimal::Finite(Digits { negative, text: Cow::Borrowed(digits) }))
    }

    /// Reads what a client may write: also a leading `+`, an exponent, `inf` in any case. The exponent is at most 1,000.
    pub fn parse(text: &str) -> Option<Decimal<'static>> {
        let (sign, rest) = match text.as_bytes().first() {
            Some(b'-') => ("-", &text[1..]),
            Some(b'+') => ("", &text[1..]),
            _ => ("", text),
        };
        match rest.to_ascii_lowercase().as_str() {
            "nan" if rest.len() == text.len() => return Some(Decimal::NaN),
            "infinity" | "inf" if sign.is_empty() => return Some(Decimal::Infinity),
            "infinity" | "inf" => return Some(Decimal::NegativeInfinity),
            _ => {}
        }
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok().filter(|e| e.abs() <= 1_000)?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let scale = fraction.len() as i64 - exponent;
        let mut unscaled = all;
        if scale < 0 {
            unscaled.extend(std::iter::repeat_n('0', usize::try_from(-scale).ok()?));
        }
        let value: BigInt = unscaled.parse().ok()?;
        let value = if sign == "-" { -value } else { value };
        Decimal::finite(value, usize::try_from(scale.max(0)).ok()?).ok()
    }

    /// `unscaled / 10^scale`, or an error beyond Postgres' limits.
    fn finite(unscaled: BigInt, scale: usize) -> Result<Decimal<'static>, NoResult> {
        let (sign, mut digits) = (unscaled.sign(), unscaled.magnitude().to_string());
        if digits.len() <= scale {
            digits.insert_str(0, &"0".repeat(scale + 1 - digits.len()));
        }
        if digits.len() - scale > MAX_WHOLE_DIGITS || scale > MAX_SCALE {
            return Err(NoResult);
        }
        if scale > 0 {
            digits.insert(digits.len() - scale, '.');
        }
        Ok(Decimal::Finite(Digits { negative: sign == Sign::Minus, text: Cow::Owned(digits.into_bytes()) }))
    }

    pub fn into_owned(self) -> Decimal<'static> {
        match self {
            Decimal::Finite(Digits { negative, text }) => {
                Decimal::Finite(Digits { negative, text: Cow::Owned(text.into_owned()) })
            }
            Decimal::NegativeInfinity => Decimal::NegativeInfinity,
            Decimal::Infinity => Decimal::Infinity,
            Decimal::NaN => Decimal::NaN,
        }
    }

    /// The same value without its own copy of the digits.
    pub fn borrow(&self) -> Decimal<'_> {
        match self {
            Decimal::Finite(Digits { negative, text }) => {
                Decimal::Finite(Digits { negative: *negative, text: Cow::Borrowed(text) })
            }
            Decimal::NegativeInfinity => Decimal::NegativeInfinity,
            Decimal::Infinity => Decimal::Infinity,
            Decimal::NaN => Decimal::NaN,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Decimal::NegativeInfinity => 0,
            Decimal::Finite(_) => 1,
            Decimal::Infinity => 2,
            Decimal::NaN => 3,
        }
    }

    /// Postgres' order, by value: `1.0` equals `1`.
    pub fn compare(&self, other: &Decimal<'_>) -> Ordering {
        match (self, other) {
            (Decimal::Finite(left), Decimal::Finite(right)) => left.compare(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    pub fn negate(self) -> Decimal<'a> {
        match self {
            Decimal::NegativeInfinity => Decimal::Infinity,
            Decimal::Infinity => Decimal::NegativeInfinity,
            Decimal::NaN => Decimal::NaN,
            Decimal::Finite(digits) => {
                let negative = !digits.negative && !digits.is_zero();
                Decimal::Finite(Digits { negative, ..digits })
            }
        }
    }

    pub fn is_negative(&self) -> bool {
        match self {
            Decimal::NegativeInfinity => true,
            Decimal::Finite(digits) => digits.negative && !digits.is_zero(),
            _ => false,
        }
    }

    pub fn is_zero(&self) -> bool {
        matches!(self, Decimal::Finite(digits) if digits.is_zero())
    }

    /// How many digits it has after the point; none for NaN and the infinities.
    pub fn scale(&self) -> Option<i64> {
        if let Decimal::Finite(digits) = self { Some(digits.scale() as i64) } else { None }
    }

    /// How many digits after the point it needs.
    pub fn needed_scale(&self) -> Option<i64> {
        if let Decimal::Finite(digits) = self { Some(digits.parts().1.len() as i64) } else { None }
    }

    /// `unscaled / 10^scale`.
    pub fn from_scaled(unscaled: i128, scale: usize) -> Result<Decimal<'static>, NoResult> {
        Decimal::finite(BigInt::from(unscaled), scale)
    }

    /// The nearest double, or with `single` the nearest float4; an error where it would be infinite or lose everything.
    pub fn to_float(&self, single: bool) -> Result<f64, NoResult> {
        match self {
            Decimal::NaN => Ok(f64::NAN),
            Decimal::Infinity => Ok(f64::INFINITY),
            Decimal::NegativeInfinity => Ok(f64::NEG_INFINITY),
            Decimal::Finite(digits) => {
                let text = std::str::from_utf8(&digits.text).map_err(|_| NoResult)?;
                let value = match single {
                    true => text.parse::<f32>().map(f64::from),
                    false => text.parse::<f64>(),
                };
                let value = value.map_err(|_| NoResult)?;
                let lost = value.is_infinite() || (value == 0.0 && !digits.is_zero());
                if lost { Err(NoResult) } else { Ok(if digits.negative { -value } else { value }) }
            }
        }
    }

    /// The nearest integer, half away from zero; an error beyond 64 bits.
    pub fn to_integer(&self) -> Result<i64, NoResult> {
        let Decimal::Finite(digits) = self else { return Err(NoResult) };
        let scale = digits.scale();
        let divisor = BigInt::from(10).pow(u32::try_from(scale).map_err(|_| NoResult)?);
        i64::try_from(rounded_quotient(digits.unscaled(scale), divisor)).map_err(|_| NoResult)
    }

    /// A float by its first significant `digits`, as Postgres' casts do it.
    pub fn from_float(value: f64, digits: usize) -> Option<Decimal<'static>> {
        if value.is_nan() {
            return Some(Decimal::NaN);
        }
        if value.is_infinite() {
            return Some(if value > 0.0 { Decimal::Infinity } else { Decimal::NegativeInfinity });
        }
        // As `%.15g` prints it: without the zeros at the end.
        let printed = format!("{value:.*e}", digits - 1);
        let (mantissa, exponent) = printed.split_once('e')?;
        let mantissa =
            if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
        Decimal::parse(&format!("{mantissa}e{exponent}"))
    }

    /// Postgres' output form.
    pub fn print(&self) -> String {
        match self {
            Decimal::NaN => "NaN".into(),
            Decimal::Infinity => "Infinity".into(),
            Decimal::NegativeInfinity => "-Infinity".into(),
            Decimal::Finite(digits) => {
                let sign = if digits.negative { "-" } else { "" };
                format!("{sign}{}", String::from_utf8_lossy(&digits.text))
            }
        }
    }
}

impl From<i64> for Decimal<'static> {
    fn from(value: i64) -> Self {
        let text = Cow::Owned(value.unsigned_abs().to_string().into_bytes());
        Decimal::Finite(Digits { negative: value < 0, text })
    }
}

impl Digits<'_> {
    /// The digits before the point without leading zeros, and those after it without trailing ones.
    fn parts(&self) -> (&[u8], &[u8]) {
        let text = self.text.as_ref();
        let point = memchr::memchr(b'.', text).unwrap_or(text.len());
        let mut whole = &text[..point];
        let mut fraction = text.get(point + 1..).unwrap_or_default();
        while let Some((b'0', rest)) = whole.split_first() {
            whole = rest;
        }
        while let Some((b'0', rest)) = fraction.split_last() {
            fraction = rest;
        }
        (whole, fraction)
    }

    fn is_zero(&self) -> bool {
        self.parts() == (&[], &[])
    }

    fn scale(&self) -> usize {
        memchr::memchr(b'.', &self.text).map_or(0, |point| self.text.len() - point - 1)
    }

    fn compare(&self, other: &Digits<'_>) -> Ordering {
        let (left, right) = (self.parts(), other.parts());
        let zero: (&[u8], &[u8]) = (&[], &[]);
        let negative = (self.negative && left != zero, other.negative && right != zero);
        match negative {
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            _ => {}
        }
        let size = left.0.len().cmp(&right.0.len()).then_with(|| left.cmp(&right));
        if negative.0 { size.reverse() } else { size }
    }

    /// The value times `10^scale`, where `scale` is at least this number's own.
    fn unscaled(&self, scale: usize) -> BigInt {
        let mut digits: Vec<u8> = self.text.iter().copied().filter(|byte| *byte != b'.').collect();
        digits.extend(std::iter::repeat_n(b'0', scale - self.scale()));
        let value = BigInt::parse_bytes(&digits, 10).unwrap_or_default();
        if self.negative { -value } else { value }
    }
}
