//! The names of the parts of a time, for `extract` and `date_trunc`.

use crate::engine::filter::value::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Microseconds,
    Milliseconds,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    Julian,
    IsoYear,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    Epoch,
    Zone,
    ZoneHour,
    ZoneMinute,
}

/// Postgres' words; those of ten letters are the beginnings of longer ones.
const WORDS: [(Part, &[&str]); 22] = [
    (Part::Microseconds, &["microsecon", "us", "usec", "usecs", "usecond", "useconds"]),
    (Part::Milliseconds, &["millisecon", "ms", "msec", "msecs", "msecond", "mseconds"]),
    (Part::Second, &["s", "sec", "second", "seconds", "secs"]),
    (Part::Minute, &["m", "min", "mins", "minute", "minutes"]),
    (Part::Hour, &["h", "hour", "hours", "hr", "hrs"]),
    (Part::Day, &["d", "day", "days"]),
    (Part::Week, &["w", "week", "weeks"]),
    (Part::Month, &["mon", "mons", "month", "months"]),
    (Part::Quarter, &["qtr", "quarter"]),
    (Part::Year, &["y", "year", "years", "yr", "yrs"]),
    (Part::Decade, &["dec", "decade", "decades", "decs"]),
    (Part::Century, &["c", "cent", "century", "centuries"]),
    (Part::Millennium, &["mil", "mils", "millennium", "millennia"]),
    (Part::Julian, &["j", "jd", "julian"]),
    (Part::IsoYear, &["isoyear"]),
    (Part::DayOfWeek, &["dow"]),
    (Part::IsoDayOfWeek, &["isodow"]),
    (Part::DayOfYear, &["doy"]),
    (Part::Epoch, &["epoch"]),
    (Part::Zone, &["timezone"]),
    (Part::ZoneHour, &["timezone_h"]),
    (Part::ZoneMinute, &["timezone_m"]),
];

impl Part {
    /// A part by its word in any case.
    pub fn named(word: &str) -> Result<Part, Failure> {
        let word = word.to_ascii_lowercase();
        let kept = word.get(..10).unwrap_or(&word);
        let found = WORDS.iter().find(|(_, words)| words.contains(&kept));
        found.map(|(part, _)| *part).ok_or(Failure)
    }
}
