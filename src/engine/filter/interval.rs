//! Spans of time: read from the form `iso_8601` that our sessions print, and from what a client may write.

use super::value::Interval;

const HOUR: i64 = 3_600_000_000;
const MINUTE: i64 = 60_000_000;
const SECOND: i64 = 1_000_000;

/// Reads Postgres' own output: `P1Y2M-3DT4H5M6.789S`, `PT0S`.
pub fn read(text: &[u8]) -> Option<Interval> {
    let mut rest = std::str::from_utf8(text).ok()?.strip_prefix('P')?;
    let mut interval = Interval::default();
    let mut clock = false;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T').filter(|_| !clock) {
            (rest, clock) = (after, true);
            continue;
        }
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, unit) = (&rest[..end], &rest[end..=end]);
        rest = &rest[end + 1..];
        let whole = || number.parse::<i64>().ok();
        match (unit, clock) {
            ("Y", false) => interval.months = add(interval.months, whole()?.checked_mul(12)?)?,
            ("M", false) => interval.months = add(interval.months, whole()?)?,
            ("D", false) => interval.days = add(interval.days, whole()?)?,
            ("H", true) => interval.micros = interval.micros.checked_add(whole()?.checked_mul(HOUR)?)?,
            ("M", true) => interval.micros = interval.micros.checked_add(whole()?.checked_mul(MINUTE)?)?,
            ("S", true) => interval.micros = interval.micros.checked_add(seconds(number)?)?,
            _ => return None,
        }
    }
    Some(interval)
}

fn add(sum: i32, part: i64) -> Option<i32> {
    i32::try_from(i64::from(sum).checked_add(part)?).ok()
}

/// `-5.000001` in microseconds.
fn seconds(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 6 || !plain(whole) || !plain(fraction) {
        return None;
    }
    let micros = format!("{fraction:0<6}").parse::<i64>().ok()?;
    let total = whole.parse::<i64>().ok()?.checked_mul(SECOND)?.checked_add(micros)?;
    Some(if negative { -total } else { total })
}

/// Reads a client's literal; forms of which we are not sure are refused.
pub fn parse(text: &str) -> Option<Interval> {
    read(text.as_bytes())
}

/// The form that our sessions print.
pub fn print(interval: Interval) -> String {
    let Interval { months, days, micros } = interval;
    if interval == Interval::default() {
        return "PT0S".into();
    }
    let part = |number: i64, unit: &str| if number == 0 { String::new() } else { format!("{number}{unit}") };
    let day = [part(i64::from(months / 12), "Y"), part(i64::from(months % 12), "M"), part(i64::from(days), "D")];
    let clock = [part(micros / HOUR, "H"), part(micros % HOUR / MINUTE, "M"), print_seconds(micros % MINUTE)];
    let separator = if micros == 0 { "" } else { "T" };
    format!("P{}{separator}{}", day.concat(), clock.concat())
}

fn print_seconds(micros: i64) -> String {
    if micros == 0 {
        return String::new();
    }
    let sign = if micros < 0 { "-" } else { "" };
    let fraction = format!(".{:06}", micros.unsigned_abs() % 1_000_000);
    format!("{sign}{}{}S", micros.unsigned_abs() / 1_000_000, fraction.trim_end_matches('0').trim_end_matches('.'))
}
