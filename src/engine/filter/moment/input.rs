//! What a client may write for a date or a time: the forms that mean the same whatever `DateStyle` is. They are brought into the
//! form that Postgres prints, and read from that.

use super::{read_date, read_time, read_timestamp};

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const LONG_MONTHS: [&str; 12] = [
    "JANUARY",
    "FEBRUARY",
    "MARCH",
    "APRIL",
    "MAY",
    "JUNE",
    "JULY",
    "AUGUST",
    "SEPTEMBER",
    "OCTOBER",
    "NOVEMBER",
    "DECEMBER",
];

/// The parts of a literal in printed form: `2024-01-31`, `12:34:56`, `+02:00`, and whether it is before Christ.
struct Parts {
    date: Option<String>,
    time: Option<String>,
    zone: Option<String>,
    before_christ: bool,
}

/// A date; a time and zone after it do not count.
pub fn date(text: &str) -> Option<i32> {
    read_date(text.to_ascii_lowercase().as_bytes()).or_else(|| {
        let parts = Parts::of(text)?;
        // Also what does not count has to be right.
        read_timestamp(parts.timestamp(true)?.as_bytes(), true)?;
        read_date(parts.day()?.as_bytes())
    })
}

/// A time of the day; a date in ISO form before it and a zone after both do not count.
pub fn time(text: &str) -> Option<i64> {
    if text.contains(':') && read_timestamp(text.as_bytes(), true).is_some() {
        return read_time(Parts::of(text)?.time?.as_bytes());
    }
    read_time(text.as_bytes()).or_else(|| {
        let parts = Parts::of(text)?;
        // A zone without a date may have rules that depend on the day.
        let plain = parts.date.is_none() && parts.zone.is_none();
        read_time(parts.time.filter(|_| plain)?.as_bytes())
    })
}

/// A timestamp; without a zone of its own type, one that is written does not count.
pub fn timestamp(text: &str, zoned: bool) -> Option<i64> {
    read_timestamp(text.to_ascii_lowercase().as_bytes(), zoned).or_else(|| {
        let parts = Parts::of(text)?;
        read_timestamp(parts.timestamp(true)?.as_bytes(), true)?;
        read_timestamp(parts.timestamp(zoned)?.as_bytes(), zoned)
    })
}

impl Parts {
    fn of(text: &str) -> Option<Parts> {
        let text = text.to_ascii_uppercase();
        let mut parts = Parts { date: None, time: None, zone: None, before_christ: false };
        let mut words: Vec<&str> = text.split([' ', '\t', '\n', ',']).filter(|word| !word.is_empty()).collect();
        match words.last() {
            Some(&"BC") => parts.before_christ = words.pop().is_some(),
            Some(&"AD") => drop(words.pop()),
            _ => {}
        }
        let mut words = words.into_iter().peekable();
        if !words.peek()?.contains(':') {
            let mut rest = None;
            let first = words.next()?;
            parts.date = if first.starts_with(|c: char| c.is_ascii_digit()) && first.len() >= 8 && is_numeric(first) {
                let (date, time) = first.split_once('T').map_or((first, None), |(date, time)| (date, Some(time)));
                rest = time;
                Some(numeric_date(date)?)
            } else {
                Some(named_date(first, words.next()?, words.next()?)?)
            };
            parts.time_and_zone(rest.or_else(|| words.next()), &mut words)?;
        } else {
            parts.time_and_zone(words.next(), &mut words)?;
        }
        words.next().is_none().then_some(parts)
    }

    /// `1:02`, `01:02:03.4`, `12:00 AM`, each with a zone joined or apart.
    fn time_and_zone<'a>(&mut self, word: Option<&'a str>, words: &mut impl Iterator<Item = &'a str>) -> Option<()> {
        let Some(word) = word else { return Some(()) };
        let end = word.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.').unwrap_or(word.len());
        let (clock, rest) = word.split_at(end);
        let mut fields = clock.split(':');
        let (hours, minutes) = (fields.next()?, fields.next()?);
        let seconds = fields.next().unwrap_or("00");
        let plain = (1..=2).contains(&hours.len()) && fields.next().is_none() && hours.parse::<u32>().is_ok();
        plain.then_some(())?;
        let mut hours = hours.parse::<u32>().ok()?;
        let mut rest = Some(rest).filter(|rest| !rest.is_empty()).or_else(|| words.next());
        if let Some(half @ ("AM" | "PM")) = rest {
            (1..=12).contains(&hours).then_some(())?;
            hours = hours % 12 + if half == "PM" { 12 } else { 0 };
            rest = words.next();
        }
        self.time = Some(format!("{hours:02}:{minutes}:{seconds}"));
        self.zone = match rest {
            None => None,
            Some("Z" | "UTC" | "GMT" | "ZULU") => Some("+00".into()),
            Some(offset) => Some(offset_of(offset)?),
        };
        Some(())
    }

    fn day(&self) -> Option<String> {
        let era = if self.before_christ { " BC" } else { "" };
        Some(format!("{}{era}", self.date.as_ref()?))
    }

    fn timestamp(&self, zoned: bool) -> Option<String> {
        let era = if self.before_christ { " BC" } else { "" };
        let zone = self.zone.as_deref().filter(|_| zoned).unwrap_or_default();
        Some(match &self.time {
            Some(time) => format!("{} {time}{zone}{era}", self.date.as_ref()?),
            None => format!("{}{era}", self.date.as_ref()?),
        })
    }
}

/// Begins with a date of digits only.
fn is_numeric(word: &str) -> bool {
    let date = word.split('T').next().unwrap_or_default();
    date.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'/'))
}

/// `2024-1-31`, `2024/01/31`, `20240131`.
fn numeric_date(word: &str) -> Option<String> {
    if word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(format!("{}-{}-{}", &word[..4], &word[4..6], &word[6..]));
    }
    let separator = if word.contains('/') { '/' } else { '-' };
    let mut fields = word.split(separator);
    let (year, month, day) = (fields.next()?, fields.next()?, fields.next()?);
    let known = year.len() >= 4 && (1..=2).contains(&month.len()) && (1..=2).contains(&day.len());
    (known && fields.next().is_none()).then(|| format!("{year}-{month:0>2}-{day:0>2}"))
}

/// `January 31 2024` and `31 Jan 2024`.
fn named_date(first: &str, second: &str, year: &str) -> Option<String> {
    let month = |word: &str| {
        let named = |list: &[&str]| list.iter().position(|name| *name == word);
        named(&MONTHS).or_else(|| named(&LONG_MONTHS)).map(|index| index + 1)
    };
    let (month, day) = month(first).map_or_else(|| Some((month(second)?, first)), |month| Some((month, second)))?;
    let digits = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    let known = digits(day) && (1..=2).contains(&day.len()) && digits(year) && (4..=7).contains(&year.len());
    known.then(|| format!("{year}-{month:02}-{day:0>2}"))
}

/// `+2`, `-05:30`, `+0530`.
fn offset_of(word: &str) -> Option<String> {
    let digits = word.strip_prefix(['+', '-'])?;
    let sign = &word[..1];
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    plain.then_some(())?;
    Some(match digits.len() {
        1 => format!("{sign}0{digits}"),
        4 if !digits.contains(':') => format!("{sign}{}:{}", &digits[..2], &digits[2..]),
        _ => word.to_owned(),
    })
}
