//! Arithmetic of dates, times, timestamps and intervals.

mod extract;
mod part;
mod span;
mod truncate;
mod zone;

pub use part::Part;
pub use zone::Zone;

use crate::engine::filter::catalog::arguments::Arguments;
use crate::engine::filter::catalog::{Outcome, Rows};
use crate::engine::filter::moment::{
    self, DATES, DAY, INFINITE_DATE, INFINITE_TIMESTAMP, TIMESTAMPS, civil_from_days, days_from_civil, days_in_month,
};
use crate::engine::filter::types::Type::*;
use crate::engine::filter::value::{self, Failure, Value};

pub fn add(rows: &mut Rows) {
    rows.strict("+", [Date, Int4], Date, |a| date(shifted(a.date(0)?, a.int(1)?)?));
    rows.strict("+", [Int4, Date], Date, |a| date(shifted(a.date(1)?, a.int(0)?)?));
    rows.strict("-", [Date, Int4], Date, |a| date(shifted(a.date(0)?, -a.int(1)?)?));
    rows.strict("-", [Date, Date], Int4, difference_of_dates);
    rows.strict("+", [Date, Time], Timestamp, |a| stamp(a.date(0)?, a.time(1)?));
    rows.strict("+", [Time, Date], Timestamp, |a| stamp(a.date(1)?, a.time(0)?));
    rows.strict("+", [Date, Interval], Timestamp, |a| timestamp(later(midnight(a.date(0)?)?, a.interval(1)?)?));
    rows.strict("+", [Interval, Date], Timestamp, |a| timestamp(later(midnight(a.date(1)?)?, a.interval(0)?)?));
    rows.strict("-", [Date, Interval], Timestamp, |a| {
        timestamp(later(midnight(a.date(0)?)?, span::negated(a.interval(1)?)?)?)
    });
    for ty in [Timestamp, Timestamptz] {
        rows.strict("+", [ty, Interval], ty, |a| timestamp(later(a.timestamp(0)?, a.interval(1)?)?));
        rows.strict("+", [Interval, ty], ty, |a| timestamp(later(a.timestamp(1)?, a.interval(0)?)?));
        rows.strict("-", [ty, Interval], ty, |a| timestamp(later(a.timestamp(0)?, span::negated(a.interval(1)?)?)?));
        rows.strict("-", [ty, ty], Interval, |a| difference(a.timestamp(0)?, a.timestamp(1)?));
        rows.strict("isfinite", [ty], Bool, |a| Ok(Some(Value::Bool(!is_infinite(a.timestamp(0)?)))));
    }
    rows.strict("isfinite", [Date], Bool, |a| {
        Ok(Some(Value::Bool(a.date(0)?.unsigned_abs() != INFINITE_DATE.unsigned_abs())))
    });
    rows.strict("+", [Time, Interval], Time, |a| clock(a.time(0)?, a.interval(1)?.micros));
    rows.strict("+", [Interval, Time], Time, |a| clock(a.time(1)?, a.interval(0)?.micros));
    rows.strict("-", [Time, Interval], Time, |a| clock(a.time(0)?, a.interval(1)?.micros.wrapping_neg()));
    rows.strict("-", [Time, Time], Interval, |a| {
        Ok(Some(Value::Interval(value::Interval { micros: a.time(0)? - a.time(1)?, ..Default::default() })))
    });
    rows.missing("+", [Date, Timetz], Timestamptz);
    rows.missing("+", [Timetz, Date], Timestamptz);
    rows.missing("+", [Timetz, Interval], Timetz);
    rows.missing("+", [Interval, Timetz], Timetz);
    rows.missing("-", [Timetz, Interval], Timetz);
    span::add(rows);
    truncate::add(rows);
    extract::add(rows);
    zone::add(rows);
}

fn date<'a>(days: i32) -> Outcome<'a> {
    Ok(Some(Value::Date(days)))
}

fn timestamp<'a>(micros: i64) -> Outcome<'a> {
    Ok(Some(Value::Timestamp(micros)))
}

pub fn is_infinite(micros: i64) -> bool {
    micros.unsigned_abs() == INFINITE_TIMESTAMP.unsigned_abs()
}

/// A timestamp that Postgres can have.
pub fn checked(micros: i128) -> Result<i64, Failure> {
    i64::try_from(micros).ok().filter(|micros| TIMESTAMPS.contains(micros)).ok_or(Failure)
}

fn midnight(days: i32) -> Result<i64, Failure> {
    moment::midnight(days).ok_or(Failure)
}

fn shifted(days: i32, by: i64) -> Result<i32, Failure> {
    if days.unsigned_abs() == INFINITE_DATE.unsigned_abs() {
        return Ok(days);
    }
    let sum = i64::from(days) + by;
    if DATES.contains(&sum) { i32::try_from(sum).map_err(|_| Failure) } else { Err(Failure) }
}

fn difference_of_dates<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let (left, right) = (arguments.date(0)?, arguments.date(1)?);
    if [left, right].iter().any(|days| days.unsigned_abs() == INFINITE_DATE.unsigned_abs()) {
        return Err(Failure);
    }
    arguments.int_result(Some(i64::from(left) - i64::from(right)))
}

fn stamp<'a>(days: i32, time: i64) -> Outcome<'a> {
    let midnight = midnight(days)?;
    if is_infinite(midnight) {
        timestamp(midnight)
    } else {
        timestamp(checked(i128::from(midnight) + i128::from(time))?)
    }
}

/// A time of the day, going around at midnight.
fn clock<'a>(time: i64, by: i64) -> Outcome<'a> {
    Ok(Some(Value::Time(time.wrapping_add(by).rem_euclid(DAY))))
}

/// In days and what is left; the order of two infinite ones is not known.
fn difference<'a>(left: i64, right: i64) -> Outcome<'a> {
    if is_infinite(left) || is_infinite(right) {
        return Err(Failure);
    }
    let micros = left.checked_sub(right).ok_or(Failure)?;
    let days = i32::try_from(micros / DAY).map_err(|_| Failure)?;
    Ok(Some(Value::Interval(value::Interval { months: 0, days, micros: micros % DAY })))
}

/// First the months, where the day is cut to the month's last one, then the days, then the time.
pub fn later(micros: i64, span: value::Interval) -> Result<i64, Failure> {
    if is_infinite(micros) {
        return Ok(micros);
    }
    if span.is_infinite() {
        return Err(Failure);
    }
    let mut micros = micros;
    if span.months != 0 {
        let (days, time) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
        let (year, month, day) = civil_from_days(days);
        let months = year * 12 + (month - 1) + i64::from(span.months);
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        let days = days_from_civil(year, month, day.min(days_in_month(year, month)));
        micros = checked(i128::from(days) * i128::from(DAY) + i128::from(time))?;
    }
    if span.days != 0 {
        micros = checked(i128::from(micros) + i128::from(span.days) * i128::from(DAY))?;
    }
    checked(i128::from(micros) + i128::from(span.micros))
}
