//! `date_trunc`: the beginning of the second, day, month, .. of a time.

use super::part::Part;
use super::zone::Zone;
use super::{checked, is_infinite};
use crate::engine::filter::catalog::arguments::Arguments;
use crate::engine::filter::catalog::{Outcome, Rows};
use crate::engine::filter::moment::{DAY, civil_from_days, days_from_civil};
use crate::engine::filter::types::Type::*;
use crate::engine::filter::value::{Failure, Interval as Span, Value};

pub fn add(rows: &mut Rows) {
    for ty in [Timestamp, Timestamptz] {
        rows.strict("date_trunc", [Text, ty], ty, |a| {
            let micros = a.timestamp(1)?;
            let truncated = if is_infinite(micros) { micros } else { truncate(Part::named(a.text(0)?)?, micros)? };
            Ok(Some(Value::Timestamp(truncated)))
        });
    }
    rows.strict("date_trunc", [Text, Interval], Interval, |a| {
        let span = a.interval(1)?;
        let truncated = if span.is_infinite() { span } else { truncate_span(Part::named(a.text(0)?)?, span)? };
        Ok(Some(Value::Interval(truncated)))
    });
    rows.strict("date_trunc", [Text, Timestamptz, Text], Timestamptz, in_zone);
}

/// The length of the parts that every day has alike, in microseconds.
fn fixed(part: Part) -> Option<i64> {
    Some(match part {
        Part::Microseconds => 1,
        Part::Milliseconds => 1_000,
        Part::Second => 1_000_000,
        Part::Minute => 60_000_000,
        Part::Hour => 3_600_000_000,
        Part::Day => DAY,
        _ => return None,
    })
}

/// A timestamp cut off; an error where it would begin before the first timestamp.
fn truncate(part: Part, micros: i64) -> Result<i64, Failure> {
    if let Some(length) = fixed(part) {
        return Ok(micros.div_euclid(length) * length).and_then(|micros| checked(i128::from(micros)));
    }
    let days = micros.div_euclid(DAY);
    let (year, month, _) = civil_from_days(days);
    let january = |year: i64| days_from_civil(year, 1, 1);
    // The years of a century end with its number: the 20th has 1901 to 2000. Year 0 is 1 BC.
    let spans = |length: i64| (year - 1).div_euclid(length) * length + 1;
    let days = match part {
        // 2000-01-01 was a Saturday.
        Part::Week => days - (days + 5).rem_euclid(7),
        Part::Month => days_from_civil(year, month, 1),
        Part::Quarter => days_from_civil(year, (month - 1) / 3 * 3 + 1, 1),
        Part::Year => january(year),
        Part::Decade => january(year.div_euclid(10) * 10),
        Part::Century => january(spans(100)),
        Part::Millennium => january(spans(1_000)),
        _ => return Err(Failure),
    };
    checked(i128::from(days) * i128::from(DAY))
}

fn truncate_span(part: Part, span: Span) -> Result<Span, Failure> {
    let months = |length: i32| Span { months: span.months / length * length, days: 0, micros: 0 };
    Ok(match part {
        Part::Month => months(1),
        Part::Quarter => months(3),
        Part::Year => months(12),
        Part::Decade => months(120),
        Part::Century => months(1_200),
        Part::Millennium => months(12_000),
        Part::Day => Span { micros: 0, ..span },
        part => {
            let length = fixed(part).ok_or(Failure)?;
            Span { micros: span.micros / length * length, ..span }
        }
    })
}

/// Cuts off the local time of a zone.
fn in_zone<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let (part, micros) = (Part::named(arguments.text(0)?)?, arguments.timestamp(1)?);
    let zone = Zone::named(arguments.text(2)?).ok_or(Failure)?;
    if is_infinite(micros) {
        return Ok(Some(Value::Timestamp(micros)));
    }
    let east = zone.east_of(micros)?;
    let local = truncate(part, checked(i128::from(micros) + i128::from(east))?)?;
    // Within a day the offset stays what it was.
    let keeps = fixed(part).is_some_and(|length| length < DAY);
    let back = if keeps { checked(i128::from(local) - i128::from(east))? } else { zone.to_utc(local)? };
    Ok(Some(Value::Timestamp(back)))
}
