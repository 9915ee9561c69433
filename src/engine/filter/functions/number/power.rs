//! Roots and powers of floats. A root is exact by IEEE 754; a power comes from the C library, whose last digit is the server's where
//! both have the same, and anywhere if the result has a short form.

use crate::engine::filter::catalog::arguments::Arguments;
use crate::engine::filter::catalog::{Outcome, Rows};
use crate::engine::filter::types::Type::*;
use crate::engine::filter::value::{Failure, Value};

pub fn add(rows: &mut Rows) {
    for name in ["|/", "sqrt"] {
        rows.strict(name, [Float8], Float8, root);
    }
    for name in ["^", "power", "pow"] {
        rows.strict(name, [Float8, Float8], Float8, |a| {
            power(a.float(0)?, a.float(1)?).map(|value| Some(Value::Float(value)))
        });
    }
    // Libraries differ in the last digit.
    for name in ["||/", "cbrt", "exp", "ln", "log"] {
        rows.missing(name, [Float8], Float8);
    }
}

fn root<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let value = arguments.float(0)?;
    if value < 0.0 { Err(Failure) } else { Ok(Some(Value::Float(value.sqrt()))) }
}

/// The cases of Postgres' `dpow`, which are those of POSIX.
fn power(base: f64, exponent: f64) -> Result<f64, Failure> {
    if base.is_nan() || exponent.is_nan() {
        return Ok(if exponent == 0.0 || base == 1.0 { 1.0 } else { f64::NAN });
    }
    let fractional = exponent.is_finite() && exponent.fract() != 0.0;
    if (base == 0.0 && exponent < 0.0) || (base < 0.0 && fractional) {
        return Err(Failure);
    }
    let result = base.powf(exponent);
    if base.is_infinite() || exponent.is_infinite() {
        return Ok(result);
    }
    let lost = result.is_infinite() || (result == 0.0 && base != 0.0);
    if lost { Err(Failure) } else { Ok(result) }
}
