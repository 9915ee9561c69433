//! A position in Postgres' write-ahead log.

use std::fmt;
use std::str::FromStr;

/// A byte position in the write-ahead log: the `tx` half of an [`Offset`](super::Offset).
///
/// Printed as a decimal u64, the form of the shape protocol; `{:#}` prints Postgres' `X/Y`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() { write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF) } else { write!(f, "{}", self.0) }
    }
}

/// The text was not two hexadecimal numbers of up to eight digits with a slash between.
#[derive(Debug, thiserror::Error)]
#[error("not a WAL position: {0:?}")]
pub struct InvalidLsn(String);

impl FromStr for Lsn {
    type Err = InvalidLsn;

    /// Reads Postgres' form, `16/B374D848`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidLsn(text.to_owned());
        let (high, low) = text.split_once('/').ok_or_else(invalid)?;
        let half = |digits: &str| u32::from_str_radix(digits, 16).map_err(|_| invalid());
        Ok(Self(u64::from(half(high)?) << 32 | u64::from(half(low)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_as_postgres_prints_it() {
        let lsn: Lsn = "16/B374D848".parse().expect("a valid position");
        assert_eq!(format!("{lsn:#}"), "16/B374D848");
        assert_eq!(lsn.to_string(), "97500059720");
        for wrong in ["", "16", "16/", "/1", "1/G", "1/2/3", "123456789/0"] {
            assert!(wrong.parse::<Lsn>().is_err(), "{wrong:?}");
        }
    }
}
