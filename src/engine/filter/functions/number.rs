//! Arithmetic of integers and floats; that of `numeric` is in [`exact`].

mod exact;
mod power;

use crate::engine::filter::catalog::arguments::Arguments;
use crate::engine::filter::catalog::{Outcome, Rows};
use crate::engine::filter::types::Type::{self, *};
use crate::engine::filter::value::{Failure, Value};

pub fn add(rows: &mut Rows) {
    for left in [Int2, Int4, Int8] {
        for right in [Int2, Int4, Int8] {
            let wider = if left == Int8 || right == Int8 {
                Int8
            } else if left == Int4 {
                Int4
            } else {
                right
            };
            rows.strict("+", [left, right], wider, |a| a.int_result(a.int(0)?.checked_add(a.int(1)?)));
            rows.strict("-", [left, right], wider, |a| a.int_result(a.int(0)?.checked_sub(a.int(1)?)));
            rows.strict("*", [left, right], wider, |a| a.int_result(a.int(0)?.checked_mul(a.int(1)?)));
            rows.strict("/", [left, right], wider, |a| a.int_result(a.int(0)?.checked_div(a.int(1)?)));
        }
        integers(rows, left);
    }
    for left in [Float4, Float8] {
        for right in [Float4, Float8] {
            let wider = if left == right { left } else { Float8 };
            rows.strict("+", [left, right], wider, |a| float(a, |left, right| left + right, Zero::Exact));
            rows.strict("-", [left, right], wider, |a| float(a, |left, right| left - right, Zero::Exact));
            rows.strict("*", [left, right], wider, |a| float(a, |left, right| left * right, Zero::Product));
            rows.strict("/", [left, right], wider, divide);
        }
        rows.strict("-", [left], left, |a| Ok(Some(Value::Float(-a.float(0)?))));
    }
    for ty in [Int2, Int4, Int8, Float4, Float8, Numeric] {
        rows.strict("+", [ty], ty, |a| Ok(a.take(0)));
    }
    floats(rows);
    exact::add(rows);
    power::add(rows);
}

/// What exists for one type of integers only.
fn integers(rows: &mut Rows, ty: Type) {
    rows.strict("-", [ty], ty, |a| a.int_result(a.int(0)?.checked_neg()));
    for name in ["%", "mod"] {
        rows.strict(name, [ty, ty], ty, |a| match a.int(1)? {
            0 => Err(Failure),
            by => a.int_result(Some(a.int(0)?.wrapping_rem(by))),
        });
    }
    for name in ["@", "abs"] {
        rows.strict(name, [ty], ty, |a| a.int_result(a.int(0)?.checked_abs()));
    }
    rows.strict("&", [ty, ty], ty, |a| a.int_result(Some(a.int(0)? & a.int(1)?)));
    rows.strict("|", [ty, ty], ty, |a| a.int_result(Some(a.int(0)? | a.int(1)?)));
    rows.strict("#", [ty, ty], ty, |a| a.int_result(Some(a.int(0)? ^ a.int(1)?)));
    rows.strict("~", [ty], ty, |a| a.int_result(Some(!a.int(0)?)));
    rows.strict("<<", [ty, Int4], ty, |a| shift(a, true));
    rows.strict(">>", [ty, Int4], ty, |a| shift(a, false));
    if ty != Int2 {
        rows.strict("gcd", [ty, ty], ty, |a| a.int_result(common_divisor(a.int(0)?, a.int(1)?)));
        rows.strict("lcm", [ty, ty], ty, common_multiple);
    }
}

/// Shifts as the processor does: by the count's lowest bits, 5 for `int2` and `int4`, 6 for `int8`; what leaves the type is lost.
fn shift<'a>(arguments: &mut Arguments<'a>, left: bool) -> Outcome<'a> {
    let (value, by) = (arguments.int(0)?, arguments.int(1)? as u32);
    let narrow = |value: i64| value as i32;
    let shifted = match (arguments.result, left) {
        (Int8, true) => value.wrapping_shl(by),
        (Int8, false) => value.wrapping_shr(by),
        (Int4, true) => i64::from(narrow(value).wrapping_shl(by)),
        (_, true) => i64::from(narrow(value).wrapping_shl(by) as i16),
        (_, false) => i64::from(narrow(value).wrapping_shr(by)),
    };
    arguments.int_result(Some(shifted))
}

fn common_divisor(left: i64, right: i64) -> Option<i64> {
    let (mut left, mut right) = (left.unsigned_abs(), right.unsigned_abs());
    while right != 0 {
        (left, right) = (right, left % right);
    }
    i64::try_from(left).ok()
}

fn common_multiple<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let (left, right) = (arguments.int(0)?, arguments.int(1)?);
    if left == 0 || right == 0 {
        return arguments.int_result(Some(0));
    }
    let divisor = common_divisor(left, right).ok_or(Failure)?;
    arguments.int_result((left / divisor).checked_mul(right).and_then(i64::checked_abs))
}

/// What rounds, or takes the sign: exact for every float.
fn floats(rows: &mut Rows) {
    for ty in [Float4, Float8] {
        for name in ["@", "abs"] {
            rows.strict(name, [ty], ty, |a| Ok(Some(Value::Float(a.float(0)?.abs()))));
        }
    }
    for name in ["ceil", "ceiling"] {
        rows.strict(name, [Float8], Float8, |a| Ok(Some(Value::Float(a.float(0)?.ceil()))));
    }
    rows.strict("floor", [Float8], Float8, |a| Ok(Some(Value::Float(a.float(0)?.floor()))));
    rows.strict("round", [Float8], Float8, |a| Ok(Some(Value::Float(a.float(0)?.round_ties_even()))));
    rows.strict("trunc", [Float8], Float8, |a| Ok(Some(Value::Float(a.float(0)?.trunc()))));
    rows.strict("sign", [Float8], Float8, |a| {
        let value = a.float(0)?;
        Ok(Some(Value::Float(if value > 0.0 {
            1.0
        } else if value < 0.0 {
            -1.0
        } else {
            0.0
        })))
    });
}

/// When zero out of other numbers is an error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zero {
    /// Never: sums of floats do not underflow.
    Exact,
    Product,
    Quotient,
}

fn divide<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    if arguments.float(1)? == 0.0 && !arguments.float(0)?.is_nan() {
        return Err(Failure);
    }
    float(arguments, |left, right| left / right, Zero::Quotient)
}

/// Infinity and zero out of ordinary numbers are errors in Postgres.
fn float<'a>(arguments: &Arguments<'a>, operator: fn(f64, f64) -> f64, zero: Zero) -> Outcome<'a> {
    let (left, right) = (arguments.float(0)?, arguments.float(1)?);
    // Rounding a double's result of two singles to single is exact for these four operators.
    let result = round_to(arguments.result, operator(left, right));
    let overflow = result.is_infinite() && !left.is_infinite() && (zero == Zero::Quotient || !right.is_infinite());
    let underflow = result == 0.0
        && left != 0.0
        && match zero {
            Zero::Exact => false,
            Zero::Product => right != 0.0,
            Zero::Quotient => !right.is_infinite(),
        };
    if overflow || underflow { Err(Failure) } else { Ok(Some(Value::Float(result))) }
}

/// The nearest value of a float type.
pub fn round_to(ty: Type, value: f64) -> f64 {
    if ty == Type::Float4 { f64::from(value as f32) } else { value }
}
