//! Arithmetic.

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
        rows.strict("-", [left], left, |a| a.int_result(a.int(0)?.checked_neg()));
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
    rows.strict("+", [Numeric, Numeric], Numeric, |a| Ok(Some(Value::Numeric(a.numeric(0)?.add(a.numeric(1)?)?))));
    rows.strict("-", [Numeric, Numeric], Numeric, |a| Ok(Some(Value::Numeric(a.numeric(0)?.subtract(a.numeric(1)?)?))));
    rows.strict("*", [Numeric, Numeric], Numeric, |a| Ok(Some(Value::Numeric(a.numeric(0)?.multiply(a.numeric(1)?)?))));
    rows.strict("/", [Numeric, Numeric], Numeric, |a| Ok(Some(Value::Numeric(a.numeric(0)?.divide(a.numeric(1)?)?))));
    rows.strict("-", [Numeric], Numeric, |a| match a.take(0) {
        Some(Value::Numeric(value)) => Ok(Some(Value::Numeric(value.negate()))),
        _ => Err(Failure),
    });
    for ty in [Int2, Int4, Int8, Float4, Float8, Numeric] {
        rows.strict("+", [ty], ty, |a| Ok(a.take(0)));
    }
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
