//! Arithmetic of `numeric`: every digit of a result is the one that Postgres has.

use crate::engine::filter::catalog::arguments::Arguments;
use crate::engine::filter::catalog::{Outcome, Rows};
use crate::engine::filter::decimal::{Decimal, NoResult, Rounding};
use crate::engine::filter::types::Type::*;
use crate::engine::filter::value::{Failure, Value};

/// More digits than this are cut off at different places by different versions.
const MAX_ROUNDING: i64 = 1_000;

pub fn add(rows: &mut Rows) {
    rows.strict("+", [Numeric, Numeric], Numeric, |a| result(a.numeric(0)?.add(a.numeric(1)?)));
    rows.strict("-", [Numeric, Numeric], Numeric, |a| result(a.numeric(0)?.subtract(a.numeric(1)?)));
    rows.strict("*", [Numeric, Numeric], Numeric, |a| result(a.numeric(0)?.multiply(a.numeric(1)?)));
    rows.strict("/", [Numeric, Numeric], Numeric, |a| result(a.numeric(0)?.divide(a.numeric(1)?)));
    rows.strict("div", [Numeric, Numeric], Numeric, |a| result(a.numeric(0)?.whole_quotient(a.numeric(1)?)));
    for name in ["%", "mod"] {
        rows.strict(name, [Numeric, Numeric], Numeric, |a| result(a.numeric(0)?.remainder(a.numeric(1)?)));
    }
    rows.strict("-", [Numeric], Numeric, |a| match a.take(0) {
        Some(Value::Numeric(value)) => Ok(Some(Value::Numeric(value.negate()))),
        _ => Err(Failure),
    });
    for name in ["@", "abs"] {
        rows.strict(name, [Numeric], Numeric, |a| match a.take(0) {
            Some(Value::Numeric(value)) if value.is_negative() => Ok(Some(Value::Numeric(value.negate()))),
            value => Ok(value),
        });
    }
    for name in ["ceil", "ceiling"] {
        rows.strict(name, [Numeric], Numeric, |a| result(a.numeric(0)?.rounded(0, Rounding::Up)));
    }
    rows.strict("floor", [Numeric], Numeric, |a| result(a.numeric(0)?.rounded(0, Rounding::Down)));
    rows.strict("round", [Numeric], Numeric, |a| result(a.numeric(0)?.rounded(0, Rounding::HalfAway)));
    rows.strict("trunc", [Numeric], Numeric, |a| result(a.numeric(0)?.rounded(0, Rounding::TowardsZero)));
    rows.strict("round", [Numeric, Int4], Numeric, |a| result(a.numeric(0)?.rounded(digits(a)?, Rounding::HalfAway)));
    rows.strict("trunc", [Numeric, Int4], Numeric, |a| {
        result(a.numeric(0)?.rounded(digits(a)?, Rounding::TowardsZero))
    });
    rows.strict("sign", [Numeric], Numeric, sign);
    rows.strict("scale", [Numeric], Int4, |a| Ok(a.numeric(0)?.scale().map(Value::Int)));
    rows.strict("min_scale", [Numeric], Int4, |a| Ok(a.numeric(0)?.needed_scale().map(Value::Int)));
    rows.strict("trim_scale", [Numeric], Numeric, |a| {
        let value = a.numeric(0)?;
        let scale = value.needed_scale().unwrap_or_default();
        result(value.rounded(scale, Rounding::TowardsZero))
    });
    for name in ["gcd", "lcm"] {
        rows.missing(name, [Numeric, Numeric], Numeric);
    }
    // Their last digits depend on how the server calculates.
    for name in ["sqrt", "exp", "ln", "log"] {
        rows.missing(name, [Numeric], Numeric);
    }
    for name in ["^", "power", "pow"] {
        rows.missing(name, [Numeric, Numeric], Numeric);
    }
}

fn result<'a>(value: Result<Decimal<'static>, NoResult>) -> Outcome<'a> {
    Ok(Some(Value::Numeric(value?)))
}

/// The number of digits to round to.
fn digits(arguments: &Arguments<'_>) -> Result<i64, Failure> {
    Some(arguments.int(1)?).filter(|digits| digits.abs() <= MAX_ROUNDING).ok_or(Failure)
}

fn sign<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let value = arguments.numeric(0)?;
    Ok(Some(Value::Numeric(match value {
        Decimal::NaN => Decimal::NaN,
        value if value.is_zero() => Decimal::from(0),
        value => Decimal::from(if value.is_negative() { -1 } else { 1 }),
    })))
}
