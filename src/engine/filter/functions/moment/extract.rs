//! `extract`, which returns `numeric`, and `date_part`, which returns a float.

use super::is_infinite;
use super::part::Part;
use crate::engine::filter::catalog::arguments::Arguments;
use crate::engine::filter::catalog::{Outcome, Rows};
use crate::engine::filter::decimal::Decimal;
use crate::engine::filter::moment::{self, DAY, EPOCH_DAYS, INFINITE_DATE, civil_from_days, days_from_civil};
use crate::engine::filter::types::Type::{self, *};
use crate::engine::filter::value::{Failure, Interval as Span, Value};

/// The Julian day of 2000-01-01.
const JULIAN: i64 = 2_451_545;

pub fn add(rows: &mut Rows) {
    for (name, result) in [("extract", Numeric), ("date_part", Float8)] {
        rows.strict(name, [Text, Date], result, of_date);
        rows.strict(name, [Text, Time], result, |a| Found::of_time(part(a)?, a.time(1)?)?.result(a.result));
        rows.strict(name, [Text, Timestamp], result, |a| of_timestamp(a, false));
        rows.strict(name, [Text, Timestamptz], result, |a| of_timestamp(a, true));
        rows.strict(name, [Text, Interval], result, of_interval);
        rows.missing(name, [Text, Timetz], result);
    }
}

fn part(arguments: &Arguments<'_>) -> Result<Part, Failure> {
    Part::named(arguments.text(0)?)
}

/// A part of a time, before it has its type.
enum Found {
    Whole(i64),
    /// So many millionths, or thousandths, ..: the number and its digits after the point.
    Scaled(i128, usize),
    /// A Julian day and the microseconds of the day.
    Julian(i64, i64),
    Infinite {
        negative: bool,
    },
    Null,
}

impl Found {
    fn result<'a>(self, ty: Type) -> Outcome<'a> {
        let numeric = match self {
            Found::Null => return Ok(None),
            found if ty == Float8 => return Ok(Some(Value::Float(found.float()))),
            Found::Whole(number) => Decimal::from(number),
            Found::Scaled(number, digits) => Decimal::from_scaled(number, digits)?,
            Found::Julian(day, micros) => {
                Decimal::from(day).add(&Decimal::from(micros).divide(&Decimal::from(DAY))?)?
            }
            Found::Infinite { negative: true } => Decimal::NegativeInfinity,
            Found::Infinite { negative: false } => Decimal::Infinity,
        };
        Ok(Some(Value::Numeric(numeric)))
    }

    fn float(self) -> f64 {
        match self {
            Found::Whole(number) => number as f64,
            Found::Scaled(number, digits) => number as f64 / 10f64.powi(digits as i32),
            Found::Julian(day, micros) => {
                let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
                day as f64 + (seconds as f64 + fraction as f64 / 1_000_000.0) / 86_400.0
            }
            Found::Infinite { negative } => {
                if negative {
                    f64::NEG_INFINITY
                } else {
                    f64::INFINITY
                }
            }
            Found::Null => f64::NAN,
        }
    }

    /// Of infinity: what grows with time is infinite too, what comes again and again is NULL.
    fn of_infinity(part: Part, negative: bool) -> Found {
        use Part::*;
        let grows = matches!(part, Year | Decade | Century | Millennium | Julian | IsoYear | Epoch);
        if grows { Found::Infinite { negative } } else { Found::Null }
    }

    fn of_time(part: Part, micros: i64) -> Result<Found, Failure> {
        let of_minute = micros % 60_000_000;
        Ok(match part {
            Part::Microseconds => Found::Whole(of_minute),
            Part::Milliseconds => Found::Scaled(of_minute.into(), 3),
            Part::Second => Found::Scaled(of_minute.into(), 6),
            Part::Minute => Found::Whole(micros / 60_000_000 % 60),
            Part::Hour => Found::Whole(micros / 3_600_000_000),
            Part::Epoch => Found::Scaled(micros.into(), 6),
            _ => return Err(Failure),
        })
    }

    /// Of a day, counted from 2000-01-01.
    fn of_day(part: Part, days: i64) -> Result<Found, Failure> {
        let (year, month, day) = civil_from_days(days);
        // There is no year 0.
        let shown = |year: i64| if year > 0 { year } else { year - 1 };
        let spans = |length: i64| if year > 0 { (year + length - 1) / length } else { -((length - year) / length) };
        // Monday is 1. 2000-01-01 was a Saturday.
        let weekday = (days + 5).rem_euclid(7) + 1;
        // The ISO year is the one of the week's Thursday.
        let thursday = days - weekday + 4;
        let (iso_year, ..) = civil_from_days(thursday);
        Ok(Found::Whole(match part {
            Part::Day => day,
            Part::Month => month,
            Part::Quarter => (month - 1) / 3 + 1,
            Part::Year => shown(year),
            Part::Decade => year.div_euclid(10),
            Part::Century => spans(100),
            Part::Millennium => spans(1_000),
            Part::Week => (thursday - days_from_civil(iso_year, 1, 1)) / 7 + 1,
            Part::IsoYear => shown(iso_year),
            Part::DayOfWeek => weekday % 7,
            Part::IsoDayOfWeek => weekday,
            Part::DayOfYear => days - days_from_civil(year, 1, 1) + 1,
            _ => return Err(Failure),
        }))
    }
}

fn of_date<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let (part, days, ty) = (part(arguments)?, arguments.date(1)?, arguments.result);
    let clock = matches!(
        part,
        Part::Microseconds
            | Part::Milliseconds
            | Part::Second
            | Part::Minute
            | Part::Hour
            | Part::Zone
            | Part::ZoneHour
            | Part::ZoneMinute
    );
    if days.unsigned_abs() == INFINITE_DATE.unsigned_abs() {
        // A float's part is that of the timestamp.
        let known = ty == Float8 || !clock;
        return if known { Found::of_infinity(part, days < 0).result(ty) } else { Err(Failure) };
    }
    if ty == Float8 && moment::midnight(days).is_none() {
        return Err(Failure);
    }
    let days = i64::from(days);
    let found = match part {
        Part::Epoch => Found::Whole((days - i64::from(EPOCH_DAYS)) * 86_400),
        Part::Julian => Found::Whole(days + JULIAN),
        _ if clock && ty == Float8 => Found::of_time(part, 0)?,
        _ => Found::of_day(part, days)?,
    };
    found.result(ty)
}

fn of_timestamp<'a>(arguments: &mut Arguments<'a>, zoned: bool) -> Outcome<'a> {
    let (part, micros, ty) = (part(arguments)?, arguments.timestamp(1)?, arguments.result);
    let zone = matches!(part, Part::Zone | Part::ZoneHour | Part::ZoneMinute);
    if is_infinite(micros) {
        return Found::of_infinity(part, micros < 0).result(ty);
    }
    if zone && !zoned {
        return Err(Failure);
    }
    let since_epoch = i128::from(micros) - i128::from(EPOCH_DAYS) * i128::from(DAY);
    let (days, time) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let found = match part {
        // Sessions are in UTC.
        _ if zone => Found::Whole(0),
        // Beyond 64 bits Postgres rounds.
        Part::Epoch if ty == Numeric && i64::try_from(since_epoch).is_err() => return Err(Failure),
        Part::Epoch => Found::Scaled(since_epoch, 6),
        Part::Julian => Found::Julian(days + JULIAN, time),
        _ => Found::of_time(part, time).or_else(|_| Found::of_day(part, days))?,
    };
    found.result(ty)
}

fn of_interval<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let (part, span, ty) = (part(arguments)?, arguments.interval(1)?, arguments.result);
    if span.is_infinite() {
        return Err(Failure);
    }
    let Span { months, days, micros } = span;
    let (years, months_of_year) = (i64::from(months / 12), i64::from(months % 12));
    let found = match part {
        Part::Day => Found::Whole(days.into()),
        Part::Month => Found::Whole(months_of_year),
        // Postgres 18 counts the quarters of negative intervals in another way.
        Part::Quarter => return Err(Failure),
        Part::Year => Found::Whole(years),
        Part::Decade => Found::Whole(years / 10),
        Part::Century => Found::Whole(years / 100),
        Part::Millennium => Found::Whole(years / 1_000),
        // A year has 365.25 days here.
        Part::Epoch if ty == Float8 => {
            let seconds = micros as f64 / 1_000_000.0
                + 365.25 * 86_400.0 * years as f64
                + 30.0 * 86_400.0 * months_of_year as f64
                + 86_400.0 * f64::from(days);
            return Ok(Some(Value::Float(seconds)));
        }
        Part::Epoch => {
            let quarter_days = 1_461 * years + 120 * months_of_year + 4 * i64::from(days);
            Found::Scaled(i128::from(quarter_days) * 21_600_000_000 + i128::from(micros), 6)
        }
        _ => Found::of_time(part, micros)?,
    };
    found.result(ty)
}
