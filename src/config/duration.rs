//! Durations as people write them: `30s`, `250ms`, `5m`, `1h`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// A text that is no duration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a whole number with ms, s, m or h, such as \"30s\"")]
pub struct InvalidDuration;

/// Reads a whole number with its unit. Nothing has no unit, so `0` alone is refused too.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let text = text.trim();
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).ok_or(InvalidDuration)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| InvalidDuration)?;
    let milliseconds = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(InvalidDuration),
    };
    number.checked_mul(milliseconds).map(Duration::from_millis).ok_or(InvalidDuration)
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(de::Error::custom)
}
