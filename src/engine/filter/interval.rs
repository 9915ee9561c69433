//! Spans of time: read from the form `iso_8601` that our sessions print, and from what a client may write.

use super::functions::moment::Part;
use super::moment::DAY;
use super::value::Interval;

const HOUR: i64 = 3_600_000_000;
const MINUTE: i64 = 60_000_000;
const SECOND: i64 = 1_000_000;

/// Reads Postgres' own output: `P1Y2M-3DT4H5M6.789S`, `PT0S`.
pub fn read(text: &[u8]) -> Option<Interval> {
    match text {
        b"infinity" => return Some(Interval::INFINITE),
        b"-infinity" => return Some(Interval::NEGATIVE_INFINITE),
        _ => {}
    }
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

/// Reads a client's literal: ISO 8601, `1 year 2 mons -3 days 04:05:06`, `1-2 3 04:05:06`; forms of which we are not sure, such as
/// fractions of a month, are refused.
pub fn parse(text: &str) -> Option<Interval> {
    if text.starts_with('P') {
        return read(text.as_bytes());
    }
    let words = words(text)?;
    let mut rest = words.as_slice();
    let ago = matches!(rest, [.., last] if last == "ago");
    rest = if ago { &rest[..rest.len() - 1] } else { rest };
    rest = if let [first, after @ ..] = rest
        && first == "@"
    {
        after
    } else {
        rest
    };
    let mut sum = Sum::default();
    if rest.is_empty() {
        return None;
    }
    while let [word, after @ ..] = rest {
        rest = after;
        let (negative, number) = match word.strip_prefix(['+', '-']) {
            Some(number) => (word.starts_with('-'), number),
            None => (false, word.as_str()),
        };
        if number.contains(':') {
            sum.clock(negative, number)?;
        } else if let Some((years, months)) = number.split_once('-') {
            let months = months.parse::<i64>().ok().filter(|months| *months < 12)?;
            sum.add(Part::Year, negative, years)?;
            sum.add(Part::Month, negative, &months.to_string())?;
        } else {
            match rest {
                [unit, after @ ..] if unit.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                    rest = after;
                    sum.add(Part::named(unit).ok()?, negative, number)?;
                }
                // Days before a time have no unit, nor have seconds at the end.
                [time, ..] if time.contains(':') => sum.add(Part::Day, negative, number)?,
                [] => sum.add(Part::Second, negative, number)?,
                _ => return None,
            }
        }
    }
    let Interval { months, days, micros } = sum.interval;
    let sign = if ago { -1 } else { 1 };
    Some(Interval {
        months: months.checked_mul(sign)?,
        days: days.checked_mul(sign)?,
        micros: micros * i64::from(sign),
    })
}

/// Numbers, units and times, in lower case; a unit may follow its number at once.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for word in text.to_ascii_lowercase().split_ascii_whitespace() {
        let end = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
        let (number, unit) = word.split_at(end);
        // What follows a unit at once is read in other ways.
        unit.bytes().all(|byte| byte.is_ascii_alphabetic()).then_some(())?;
        words.extend([number, unit].into_iter().filter(|piece| !piece.is_empty()).map(str::to_owned));
    }
    let known = |c: char| c.is_ascii_alphanumeric() || "+-.:@".contains(c);
    words.iter().all(|word| word.chars().all(known)).then_some(words)
}

/// An interval on its way, where each part comes once.
#[derive(Default)]
struct Sum {
    interval: Interval,
    seen: Vec<Part>,
}

impl Sum {
    fn add(&mut self, part: Part, negative: bool, number: &str) -> Option<()> {
        if self.seen.contains(&part) {
            return None;
        }
        self.seen.push(part);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || fraction.len() > 6 || !plain(whole) || !plain(fraction) {
            return None;
        }
        let millionths = format!("{fraction:0<6}").parse::<i128>().ok()?;
        let whole = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()? };
        let sign = if negative { -1 } else { 1 };
        let months = |length: i64| whole.checked_mul(length * sign).filter(|_| millionths == 0);
        let micros = |length: i64| {
            let exact = i128::from(whole) * 1_000_000 + millionths;
            let scaled = exact * i128::from(length);
            // Less than a microsecond would be rounded.
            (scaled % 1_000_000 == 0).then(|| i64::try_from(scaled / 1_000_000 * i128::from(sign)).ok())?
        };
        let Interval { months: m, days: d, micros: t } = &mut self.interval;
        match part {
            Part::Month => *m = add(*m, months(1)?)?,
            Part::Year => *m = add(*m, months(12)?)?,
            Part::Decade => *m = add(*m, months(120)?)?,
            Part::Century => *m = add(*m, months(1_200)?)?,
            Part::Millennium => *m = add(*m, months(12_000)?)?,
            Part::Week => *d = add(*d, months(7)?)?,
            Part::Day => {
                *d = add(*d, whole.checked_mul(sign)?)?;
                let rest = i64::try_from(millionths).ok()? * sign;
                *t = t.checked_add(rest.checked_mul(DAY / 1_000_000)?)?;
            }
            Part::Hour => *t = t.checked_add(micros(HOUR)?)?,
            Part::Minute => *t = t.checked_add(micros(MINUTE)?)?,
            Part::Second => *t = t.checked_add(micros(SECOND)?)?,
            Part::Milliseconds => *t = t.checked_add(micros(1_000)?)?,
            Part::Microseconds => *t = t.checked_add(micros(1)?)?,
            _ => return None,
        }
        Some(())
    }

    /// `04:05` and `04:05:06.7`.
    fn clock(&mut self, negative: bool, text: &str) -> Option<()> {
        let mut fields = text.split(':');
        let (hours, minutes) = (fields.next()?, fields.next()?);
        let seconds = fields.next().unwrap_or("0");
        let whole_seconds = seconds.split('.').next().and_then(|whole| whole.parse::<u32>().ok())?;
        let known = !minutes.contains('.') && minutes.parse::<u32>().ok()? < 60 && whole_seconds < 60;
        (known && fields.next().is_none() && !hours.contains('.')).then_some(())?;
        self.add(Part::Hour, negative, hours)?;
        self.add(Part::Minute, negative, minutes)?;
        self.add(Part::Second, negative, seconds)
    }
}

/// The form that our sessions print.
pub fn print(interval: Interval) -> String {
    let Interval { months, days, micros } = interval;
    if interval.is_infinite() {
        return if micros > 0 { "infinity".into() } else { "-infinity".into() };
    }
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
