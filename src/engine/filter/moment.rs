//! Dates, times and timestamps: read from their ISO form, compared as numbers, printed again.

pub mod input;

/// Microseconds in a day.
pub const DAY: i64 = 86_400_000_000;

/// Postgres' first date (4714-11-24 BC, Julian day 0) and its last (5874897-12-31), in days from 2000-01-01.
pub const DATES: std::ops::Range<i64> = -2_451_545..2_145_031_949;
/// Postgres' timestamps, up to the end of the year 294276, in microseconds from 2000-01-01.
pub const TIMESTAMPS: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;
/// 1970-01-01.
pub const EPOCH_DAYS: i32 = -10_957;

/// Stands for `infinity`; its negative for `-infinity`.
pub const INFINITE_DATE: i32 = i32::MAX;
pub const INFINITE_TIMESTAMP: i64 = i64::MAX;

/// Days from 2000-01-01 in the Gregorian calendar, year 0 being 1 BC.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 730_425
}

pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 730_425;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    /// A number of `least` to `most` digits.
    fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits < least || digits > most {
            return None;
        }
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        Some(number.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    }

    fn skip(&mut self, byte: u8) -> Option<()> {
        let rest = self.0.strip_prefix(&[byte])?;
        self.0 = rest;
        Some(())
    }

    fn year_month_day(&mut self) -> Option<(i64, i64, i64)> {
        let year = self.number(4, 7)?;
        self.skip(b'-')?;
        let month = self.number(2, 2)?;
        self.skip(b'-')?;
        Some((year, month, self.number(2, 2)?))
    }

    /// `12:34`, `12:34:56` or `12:34:56.789`, up to `24:00:00`, in microseconds.
    fn time(&mut self) -> Option<i64> {
        let hours = self.number(2, 2)?;
        self.skip(b':')?;
        let minutes = self.number(2, 2)?;
        let seconds = if self.skip(b':').is_some() { self.number(2, 2)? } else { 0 };
        let mut micros = 0;
        if self.skip(b'.').is_some() {
            let before = self.0.len();
            micros = self.number(1, 6)? * 10i64.pow(6 - (before - self.0.len()) as u32);
        }
        let total = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros;
        (minutes < 60 && seconds < 60 && total <= DAY).then_some(total)
    }

    /// `+02`, `-05:30`, `+01:02:03` or `Z`: microseconds east of UTC.
    fn zone(&mut self) -> Option<i64> {
        if self.skip(b'Z').is_some() || self.skip(b'z').is_some() {
            return Some(0);
        }
        let sign = if self.skip(b'+').is_some() {
            1
        } else {
            self.skip(b'-')?;
            -1
        };
        let hours = self.number(2, 2)?;
        let minutes = if self.skip(b':').is_some() { self.number(2, 2)? } else { 0 };
        let seconds = if self.skip(b':').is_some() { self.number(2, 2)? } else { 0 };
        let known = hours < 16 && minutes < 60 && seconds < 60;
        known.then_some(sign * ((hours * 60 + minutes) * 60 + seconds) * 1_000_000)
    }

    /// ` BC`, if it is there: the year in Postgres' count to the astronomical one.
    fn era(&mut self, year: i64) -> Option<i64> {
        match self.0.strip_prefix(b" BC") {
            Some(rest) => {
                self.0 = rest;
                (year > 0).then_some(1 - year)
            }
            None => (year > 0).then_some(year),
        }
    }
}

fn checked_days(year: i64, month: i64, day: i64) -> Option<i64> {
    let exists = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    exists.then(|| days_from_civil(year, month, day))
}

/// Days from 2000-01-01: `2024-01-31`, `0044-03-15 BC`, `infinity`, `-infinity`, `epoch`.
pub fn read_date(text: &[u8]) -> Option<i32> {
    match text {
        b"infinity" => return Some(INFINITE_DATE),
        b"-infinity" => return Some(-INFINITE_DATE),
        b"epoch" => return Some(EPOCH_DAYS),
        _ => {}
    }
    let mut rest = Cursor(text);
    let (year, month, day) = rest.year_month_day()?;
    let year = rest.era(year)?;
    let days = checked_days(year, month, day)?;
    (rest.0.is_empty() && DATES.contains(&days)).then(|| i32::try_from(days).ok())?
}

/// Microseconds from midnight, at most 24:00:00.
pub fn read_time(text: &[u8]) -> Option<i64> {
    let mut rest = Cursor(text);
    let time = rest.time()?;
    rest.0.is_empty().then_some(time)
}

/// Microseconds from 2000-01-01 00:00 UTC. With `zoned`, an offset may follow the time; without one it is UTC, as in every
/// session of ours.
pub fn read_timestamp(text: &[u8], zoned: bool) -> Option<i64> {
    match text {
        b"infinity" => return Some(INFINITE_TIMESTAMP),
        b"-infinity" => return Some(-INFINITE_TIMESTAMP),
        b"epoch" => return Some(i64::from(EPOCH_DAYS) * DAY),
        _ => {}
    }
    let mut rest = Cursor(text);
    let (year, month, day) = rest.year_month_day()?;
    let separated = matches!(rest.0, [b' ' | b'T', digit, ..] if digit.is_ascii_digit());
    let mut time = 0;
    let mut east = 0;
    if separated {
        rest.0 = &rest.0[1..];
        time = rest.time()?;
        if zoned && !rest.0.is_empty() && !rest.0.starts_with(b" ") {
            east = rest.zone()?;
        }
    }
    let year = rest.era(year)?;
    let days = checked_days(year, month, day)?;
    let local = i128::from(days) * i128::from(DAY) + i128::from(time);
    let micros = i64::try_from(local - i128::from(east)).ok()?;
    (rest.0.is_empty() && TIMESTAMPS.contains(&micros)).then_some(micros)
}

fn print_day(days: i64) -> (String, &'static str) {
    let (year, month, day) = civil_from_days(days);
    let (year, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    (format!("{year:04}-{month:02}-{day:02}"), era)
}

/// Postgres' ISO form, which reads back the same whatever `DateStyle` is.
pub fn print_date(days: i32) -> String {
    match days {
        INFINITE_DATE => "infinity".into(),
        days if days == -INFINITE_DATE => "-infinity".into(),
        days => {
            let (day, era) = print_day(i64::from(days));
            day + era
        }
    }
}

pub fn print_time(micros: i64) -> String {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if fraction == 0 { clock } else { format!("{clock}.{fraction:06}").trim_end_matches('0').into() }
}

pub fn print_timestamp(micros: i64, zoned: bool) -> String {
    match micros {
        INFINITE_TIMESTAMP => "infinity".into(),
        micros if micros == -INFINITE_TIMESTAMP => "-infinity".into(),
        micros => {
            let (day, era) = print_day(micros.div_euclid(DAY));
            let zone = if zoned { "+00" } else { "" };
            format!("{day} {}{zone}{era}", print_time(micros.rem_euclid(DAY)))
        }
    }
}

/// A date as the timestamp of its midnight, if timestamps reach that far.
pub fn midnight(days: i32) -> Option<i64> {
    match days {
        INFINITE_DATE => Some(INFINITE_TIMESTAMP),
        days if days == -INFINITE_DATE => Some(-INFINITE_TIMESTAMP),
        days => i64::from(days).checked_mul(DAY).filter(|micros| TIMESTAMPS.contains(micros)),
    }
}
