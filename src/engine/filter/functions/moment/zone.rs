//! `AT TIME ZONE`: named zones by the database of time zones in this program, and fixed offsets.

use chrono::{Offset, TimeZone};
use chrono_tz::Tz;

use super::{checked, is_infinite};
use crate::engine::filter::catalog::arguments::Arguments;
use crate::engine::filter::catalog::{Outcome, Rows};
use crate::engine::filter::moment::{DAY, EPOCH_DAYS, civil_from_days, days_from_civil};
use crate::engine::filter::types::Type::*;
use crate::engine::filter::value::{Failure, Value};

const SECOND: i64 = 1_000_000;
/// The list of changes has all up to here, for every zone.
const LAST_YEAR: i64 = 2_095;

pub fn add(rows: &mut Rows) {
    rows.strict("timezone", [Text, Timestamptz], Timestamp, |a| {
        let zone = Zone::named(a.text(0)?).ok_or(Failure)?;
        convert(a, |micros| checked(i128::from(micros) + i128::from(zone.east_of(micros)?)))
    });
    rows.strict("timezone", [Text, Timestamp], Timestamptz, |a| {
        let zone = Zone::named(a.text(0)?).ok_or(Failure)?;
        convert(a, |micros| zone.to_utc(micros))
    });
    rows.strict("timezone", [Interval, Timestamptz], Timestamp, |a| {
        let east = offset(a)?;
        convert(a, |micros| checked(i128::from(micros) + i128::from(east)))
    });
    rows.strict("timezone", [Interval, Timestamp], Timestamptz, |a| {
        let east = offset(a)?;
        convert(a, |micros| checked(i128::from(micros) - i128::from(east)))
    });
    rows.missing("timezone", [Text, Timetz], Timetz);
    rows.missing("timezone", [Interval, Timetz], Timetz);
}

fn convert<'a>(arguments: &Arguments<'a>, shifted: impl Fn(i64) -> Result<i64, Failure>) -> Outcome<'a> {
    let micros = arguments.timestamp(1)?;
    let micros = if is_infinite(micros) { micros } else { shifted(micros)? };
    Ok(Some(Value::Timestamp(micros)))
}

/// An interval as an offset to the east: hours and less, to the second.
fn offset(arguments: &Arguments<'_>) -> Result<i64, Failure> {
    let span = arguments.interval(0)?;
    let fixed = span.months == 0 && span.days == 0;
    if fixed { Ok(span.micros / SECOND * SECOND) } else { Err(Failure) }
}

/// A zone of which we are sure to have the server's rules.
pub enum Zone {
    Named(Tz),
    Utc,
}

impl Zone {
    /// By its name in the database of time zones, in any case. Abbreviations such as `EST`, which the server's configuration
    /// can change, and POSIX rules have none here.
    pub fn named(name: &str) -> Option<Zone> {
        if ["UTC", "GMT", "Z", "Zulu", "UCT"].iter().any(|utc| utc.eq_ignore_ascii_case(name)) {
            return Some(Zone::Utc);
        }
        let named = name.contains('/').then(|| Tz::from_str_insensitive(name).ok());
        named.flatten().map(Zone::Named)
    }

    /// The offset at a moment, in microseconds to the east.
    pub fn east_of(&self, micros: i64) -> Result<i64, Failure> {
        let Zone::Named(zone) = self else { return Ok(0) };
        let micros = in_known_years(micros);
        let seconds = micros.div_euclid(SECOND) - i64::from(EPOCH_DAYS) * (DAY / SECOND);
        let moment = chrono::DateTime::from_timestamp(seconds, 0).ok_or(Failure)?;
        let offset = zone.offset_from_utc_datetime(&moment.naive_utc());
        Ok(i64::from(offset.fix().local_minus_utc()) * SECOND)
    }

    /// The moment of a local time. As in Postgres, a time that clocks skip is counted by the offset before, and one that they
    /// show twice by the offset after.
    pub fn to_utc(&self, local: i64) -> Result<i64, Failure> {
        let at = |east: i64| checked(i128::from(local) - i128::from(east));
        let (before, after) = (self.east_of(local.saturating_sub(DAY))?, self.east_of(local.saturating_add(DAY))?);
        if before == after {
            return at(before);
        }
        let later = at(after)?;
        if self.east_of(later)? == after { Ok(later) } else { at(before) }
    }
}

/// The zones' rules for the last years go on for ever, but the list of their changes ends: a later moment is looked up at the same
/// moment of an earlier year that begins on the same day of the week.
fn in_known_years(micros: i64) -> i64 {
    let (year, ..) = civil_from_days(micros.div_euclid(DAY));
    if year <= LAST_YEAR {
        return micros;
    }
    let first = |year: i64| days_from_civil(year, 1, 1);
    let length = |year: i64| first(year + 1) - first(year);
    let alike = |other: &i64| (first(*other) - first(year)) % 7 == 0 && length(*other) == length(year);
    let other = (LAST_YEAR - 27..=LAST_YEAR).find(alike).unwrap_or(LAST_YEAR);
    micros + (first(other) - first(year)) * DAY
}
