//! Sums, products, quotients and rounding, with the digits that Postgres gives them.

use bigdecimal::num_bigint::{BigInt, Sign};

use super::{Decimal, Digits, MAX_SCALE, NoResult, Rounding};

/// Digits that a quotient has at least, and the most after its point.
const MIN_QUOTIENT_DIGITS: i64 = 16;
const MAX_QUOTIENT_SCALE: i64 = 1_000;

impl Decimal<'_> {
    pub fn add(&self, other: &Decimal<'_>) -> Result<Decimal<'static>, NoResult> {
        let (left, right) = match (self, other) {
            (Decimal::Finite(left), Decimal::Finite(right)) => (left, right),
            (Decimal::NaN, _) | (_, Decimal::NaN) => return Ok(Decimal::NaN),
            (Decimal::Infinity, Decimal::NegativeInfinity) | (Decimal::NegativeInfinity, Decimal::Infinity) => {
                return Ok(Decimal::NaN);
            }
            (Decimal::Finite(_), infinite) | (infinite, _) => return Ok(infinite.clone().into_owned()),
        };
        let scale = left.scale().max(right.scale());
        Decimal::finite(left.unscaled(scale) + right.unscaled(scale), scale)
    }

    pub fn subtract(&self, other: &Decimal<'_>) -> Result<Decimal<'static>, NoResult> {
        self.add(&other.clone().negate())
    }

    pub fn multiply(&self, other: &Decimal<'_>) -> Result<Decimal<'static>, NoResult> {
        match (self, other) {
            (Decimal::Finite(left), Decimal::Finite(right)) => {
                let (left_scale, right_scale) = (left.scale(), right.scale());
                let product = left.unscaled(left_scale) * right.unscaled(right_scale);
                let scale = left_scale + right_scale;
                let extra = scale.saturating_sub(MAX_SCALE);
                Decimal::finite(rounded_quotient(product, BigInt::from(10).pow(extra as u32)), scale - extra)
            }
            (Decimal::NaN, _) | (_, Decimal::NaN) => Ok(Decimal::NaN),
            _ if self.is_zero() || other.is_zero() => Ok(Decimal::NaN),
            _ if self.is_negative() == other.is_negative() => Ok(Decimal::Infinity),
            _ => Ok(Decimal::NegativeInfinity),
        }
    }

    pub fn divide(&self, other: &Decimal<'_>) -> Result<Decimal<'static>, NoResult> {
        match (self, other) {
            (Decimal::NaN, _) | (_, Decimal::NaN) => Ok(Decimal::NaN),
            (Decimal::Finite(left), Decimal::Finite(right)) => left.divide(right),
            (Decimal::Finite(_), _) => Decimal::finite(BigInt::ZERO, 0),
            (_, Decimal::Finite(right)) if right.is_zero() => Err(NoResult),
            (_, Decimal::Finite(_)) if self.is_negative() == other.is_negative() => Ok(Decimal::Infinity),
            (_, Decimal::Finite(_)) => Ok(Decimal::NegativeInfinity),
            _ => Ok(Decimal::NaN),
        }
    }

    /// The quotient without its fraction.
    pub fn whole_quotient(&self, other: &Decimal<'_>) -> Result<Decimal<'static>, NoResult> {
        match (self, other) {
            (Decimal::Finite(left), Decimal::Finite(right)) if !right.is_zero() => {
                let scale = left.scale().max(right.scale());
                // Division of integers cuts off the fraction.
                Decimal::finite(left.unscaled(scale) / right.unscaled(scale), 0)
            }
            _ => self.divide(other),
        }
    }

    /// What is left of a division, with the sign of this number.
    pub fn remainder(&self, other: &Decimal<'_>) -> Result<Decimal<'static>, NoResult> {
        match (self, other) {
            (Decimal::NaN, _) | (_, Decimal::NaN) => Ok(Decimal::NaN),
            (_, Decimal::Finite(right)) if right.is_zero() => Err(NoResult),
            (Decimal::Finite(left), Decimal::Finite(right)) => {
                let scale = left.scale().max(right.scale());
                Decimal::finite(left.unscaled(scale) % right.unscaled(scale), scale)
            }
            (Decimal::Finite(_), _) => Ok(self.clone().into_owned()),
            _ => Ok(Decimal::NaN),
        }
    }

    /// Rounded to so many digits after the point, or with a negative number to tens, hundreds, ..
    pub fn rounded(&self, digits: i64, rounding: Rounding) -> Result<Decimal<'static>, NoResult> {
        let Decimal::Finite(own) = self else { return Ok(self.clone().into_owned()) };
        let scale = own.scale() as i64;
        let value = own.unscaled(own.scale());
        let shown = usize::try_from(digits.max(0)).map_err(|_| NoResult)?;
        if digits >= scale {
            return Decimal::finite(own.unscaled(shown), shown);
        }
        let power = |exponent: i64| u32::try_from(exponent).map(|exponent| BigInt::from(10).pow(exponent));
        let unit = power(scale - digits).map_err(|_| NoResult)?;
        let cut = &value / &unit;
        let exact = &cut * &unit == value;
        let whole = match rounding {
            Rounding::HalfAway => rounded_quotient(value, unit),
            Rounding::Up if !exact && value.sign() == Sign::Plus => cut + 1,
            Rounding::Down if !exact && value.sign() == Sign::Minus => cut - 1,
            _ => cut,
        };
        let whole = if digits < 0 { whole * power(-digits).map_err(|_| NoResult)? } else { whole };
        Decimal::finite(whole, shown)
    }
}

impl Digits<'_> {
    /// Position and value of the first non-zero digit in base 10,000, which Postgres calculates in: what decides the
    /// scale of a quotient. Zero has none and counts as (0, 0).
    fn leading_group(&self) -> (i64, u32) {
        let (whole, fraction) = self.parts();
        let number = |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        if !whole.is_empty() {
            let first = (whole.len() - 1) % 4 + 1;
            return (((whole.len() - 1) / 4) as i64, number(&whole[..first]));
        }
        for (index, group) in fraction.chunks(4).enumerate() {
            let value = number(group) * 10u32.pow(4 - group.len() as u32);
            if value != 0 {
                return (-(index as i64) - 1, value);
            }
        }
        (0, 0)
    }

    fn divide(&self, other: &Digits<'_>) -> Result<Decimal<'static>, NoResult> {
        if other.is_zero() {
            return Err(NoResult);
        }
        let (left, right) = (self.leading_group(), other.leading_group());
        let mut weight = left.0 - right.0;
        if left.1 <= right.1 {
            weight -= 1;
        }
        let own = self.scale().max(other.scale()) as i64;
        let scale = (MIN_QUOTIENT_DIGITS - weight * 4).max(own).clamp(0, MAX_QUOTIENT_SCALE) as usize;

        let shared = self.scale().max(other.scale());
        let numerator = self.unscaled(shared) * BigInt::from(10).pow(scale as u32);
        Decimal::finite(rounded_quotient(numerator, other.unscaled(shared)), scale)
    }
}

/// Half is rounded away from zero.
pub(super) fn rounded_quotient(numerator: BigInt, denominator: BigInt) -> BigInt {
    let negative = (numerator.sign() == Sign::Minus) != (denominator.sign() == Sign::Minus);
    let (numerator, denominator) = (numerator.magnitude(), denominator.magnitude());
    let quotient = numerator / denominator;
    let rest = numerator - &quotient * denominator;
    let rounded = if rest * 2u32 >= *denominator { quotient + 1u32 } else { quotient };
    BigInt::from_biguint(if negative { Sign::Minus } else { Sign::Plus }, rounded)
}
