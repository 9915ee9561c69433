//! Arithmetic of intervals. Infinite ones, which Postgres 17 brought, are compared only.

use crate::engine::filter::catalog::arguments::Arguments;
use crate::engine::filter::catalog::{Outcome, Rows};
use crate::engine::filter::moment::DAY;
use crate::engine::filter::types::Type::*;
use crate::engine::filter::value::{Failure, Interval as Span, Value};

const DAYS_OF_MONTH: i32 = 30;
const SECONDS_OF_DAY: f64 = 86_400.0;

pub fn add(rows: &mut Rows) {
    rows.strict("+", [Interval, Interval], Interval, |a| span(sum(finite(a, 0)?, finite(a, 1)?)?));
    rows.strict("-", [Interval, Interval], Interval, |a| span(sum(finite(a, 0)?, negated(a.interval(1)?)?)?));
    rows.strict("-", [Interval], Interval, |a| span(negated(a.interval(0)?)?));
    rows.strict("*", [Interval, Float8], Interval, |a| span(scaled(finite(a, 0)?, a.float(1)?, |own, by| own * by)?));
    rows.strict("*", [Float8, Interval], Interval, |a| span(scaled(finite(a, 1)?, a.float(0)?, |own, by| own * by)?));
    rows.strict("/", [Interval, Float8], Interval, |a| match a.float(1)? {
        0.0 => Err(Failure),
        by => span(scaled(finite(a, 0)?, by, |own, by| own / by)?),
    });
    rows.strict("justify_hours", [Interval], Interval, |a| span(hours_to_days(finite(a, 0)?)?));
    rows.strict("justify_days", [Interval], Interval, |a| span(days_to_months(finite(a, 0)?)?));
    rows.strict("justify_interval", [Interval], Interval, |a| span(justified(finite(a, 0)?)?));
    rows.strict("isfinite", [Interval], Bool, |a| Ok(Some(Value::Bool(!a.interval(0)?.is_infinite()))));
}

fn span<'a>(span: Span) -> Outcome<'a> {
    Ok(Some(Value::Interval(span)))
}

fn finite(arguments: &Arguments<'_>, index: usize) -> Result<Span, Failure> {
    Some(arguments.interval(index)?).filter(|span| !span.is_infinite()).ok_or(Failure)
}

pub fn negated(span: Span) -> Result<Span, Failure> {
    let negated = || {
        let (months, days) = (span.months.checked_neg()?, span.days.checked_neg()?);
        Some(Span { months, days, micros: span.micros.checked_neg()? })
    };
    negated().filter(|_| !span.is_infinite()).ok_or(Failure)
}

fn sum(left: Span, right: Span) -> Result<Span, Failure> {
    let sum = || {
        let (months, days) = (left.months.checked_add(right.months)?, left.days.checked_add(right.days)?);
        Some(Span { months, days, micros: left.micros.checked_add(right.micros)? })
    };
    sum().ok_or(Failure)
}

/// To the microsecond, so that what is a whole number of days does not fall short of it.
fn to_micros(seconds: f64) -> f64 {
    (seconds * 1_000_000.0).round_ties_even() / 1_000_000.0
}

/// Each part times a factor, or by a divisor. What is no whole month goes to the days, what is no whole day to the time, in the
/// order of operations of `interval_mul`.
fn scaled(span: Span, by: f64, operation: fn(f64, f64) -> f64) -> Result<Span, Failure> {
    let whole = |value: f64| {
        let within = value >= f64::from(i32::MIN) && value <= f64::from(i32::MAX);
        if within { Ok(value as i32) } else { Err(Failure) }
    };
    let (exact_months, exact_days) = (operation(f64::from(span.months), by), operation(f64::from(span.days), by));
    let (months, mut days) = (whole(exact_months)?, whole(exact_days)?);
    let rest_days = to_micros((exact_months - f64::from(months)) * f64::from(DAYS_OF_MONTH));
    let mut rest_seconds = to_micros((exact_days - f64::from(days) + rest_days - rest_days.trunc()) * SECONDS_OF_DAY);
    if rest_seconds.abs() >= SECONDS_OF_DAY {
        let more = (rest_seconds / SECONDS_OF_DAY).trunc();
        days = days.checked_add(more as i32).ok_or(Failure)?;
        rest_seconds -= more * SECONDS_OF_DAY;
    }
    days = days.checked_add(rest_days as i32).ok_or(Failure)?;
    let micros = (operation(span.micros as f64, by) + rest_seconds * 1_000_000.0).round_ties_even();
    if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&micros) {
        return Err(Failure);
    }
    Ok(Span { months, days, micros: micros as i64 })
}

fn with_days(span: Span, days: i64) -> Result<Span, Failure> {
    let days = i32::try_from(i64::from(span.days) + days).map_err(|_| Failure)?;
    Ok(Span { days, ..span })
}

fn hours_to_days(span: Span) -> Result<Span, Failure> {
    let mut span = with_days(Span { micros: span.micros % DAY, ..span }, span.micros / DAY)?;
    share_sign_of_days(&mut span);
    Ok(span)
}

fn share_sign_of_days(span: &mut Span) {
    if span.days > 0 && span.micros < 0 {
        span.micros += DAY;
        span.days -= 1;
    } else if span.days < 0 && span.micros > 0 {
        span.micros -= DAY;
        span.days += 1;
    }
}

fn whole_months(span: Span) -> Result<Span, Failure> {
    let months = span.months.checked_add(span.days / DAYS_OF_MONTH).ok_or(Failure)?;
    Ok(Span { months, days: span.days % DAYS_OF_MONTH, ..span })
}

fn days_to_months(span: Span) -> Result<Span, Failure> {
    let mut span = whole_months(span)?;
    if span.months > 0 && span.days < 0 {
        span.days += DAYS_OF_MONTH;
        span.months -= 1;
    } else if span.months < 0 && span.days > 0 {
        span.days -= DAYS_OF_MONTH;
        span.months += 1;
    }
    Ok(span)
}

fn justified(span: Span) -> Result<Span, Failure> {
    let alike = (span.days > 0 && span.micros > 0) || (span.days < 0 && span.micros < 0);
    let span = if alike { whole_months(span)? } else { span };
    let span = with_days(Span { micros: span.micros % DAY, ..span }, span.micros / DAY)?;
    let mut span = whole_months(span)?;
    if span.months > 0 && (span.days < 0 || (span.days == 0 && span.micros < 0)) {
        span.days += DAYS_OF_MONTH;
        span.months -= 1;
    } else if span.months < 0 && (span.days > 0 || (span.days == 0 && span.micros > 0)) {
        span.days -= DAYS_OF_MONTH;
        span.months += 1;
    }
    share_sign_of_days(&mut span);
    Ok(span)
}
