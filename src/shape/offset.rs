//! A position in a shape's log, and what a reader may ask for.

use std::fmt;

use super::Lsn;

/// A position in a shape's log: `<tx>_<op>`.
///
/// `tx` 0 is the snapshot, whose `op` is the chunk's number; any other `tx` is the commit position of
/// a transaction, whose `op` counts its changes. Reading is exclusive: a reader at an offset gets what
/// comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset {
    /// Commit position, as a plain number; 0 for the snapshot.
    pub tx: u64,
    /// Position within the transaction; [`u64::MAX`] is printed `inf`: after all of it.
    pub op: u64,
}

impl Offset {
    /// After the whole snapshot, before any replicated transaction.
    pub const SNAPSHOT_END: Self = Self { tx: 0, op: u64::MAX };

    /// The position of one change of a transaction.
    pub fn change(commit: Lsn, op: u64) -> Self {
        Self { tx: commit.0, op }
    }

    /// The end of snapshot chunk `number`, counted from 0.
    pub fn chunk(number: u64) -> Self {
        Self { tx: 0, op: number }
    }

    /// Whether this position is inside the snapshot or at its end.
    pub fn is_in_snapshot(self) -> bool {
        self.tx == 0
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.op {
            u64::MAX => write!(f, "{}_inf", self.tx),
            op => write!(f, "{}_{op}", self.tx),
        }
    }
}

/// The `offset` parameter of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Requested {
    /// `-1`: from the start, which creates the shape if need be.
    Start,
    /// `now`: only the current end of the log.
    Now,
    /// A position that an earlier answer gave.
    After(Offset),
}

impl Requested {
    /// Reads the parameter, or `None` where it has no valid form.
    ///
    /// Leading zeros are accepted; `-1_0` is a synonym of `-1` (protocol, 2.4).
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "-1" | "-1_0" => return Some(Self::Start),
            "now" => return Some(Self::Now),
            _ => {}
        }
        let (tx, op) = text.split_once('_')?;
        let op = match op {
            "inf" => u64::MAX,
            digits => decimal(digits)?,
        };
        Some(Self::After(Offset { tx: decimal(tx)?, op }))
    }
}

impl fmt::Display for Requested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("-1"),
            Self::Now => f.write_str("now"),
            Self::After(offset) => offset.fmt(f),
        }
    }
}

/// A number of digits alone: `str::parse` would also take a sign.
fn decimal(digits: &str) -> Option<u64> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_and_printed_in_canonical_form() {
        let cases = [
            ("-1", Some("-1")),
            ("-1_0", Some("-1")),
            ("now", Some("now")),
            ("0_0", Some("0_0")),
            ("0_02", Some("0_2")),
            ("0_inf", Some("0_inf")),
            ("25482048_7", Some("25482048_7")),
            ("18446744073709551615_1", Some("18446744073709551615_1")),
            ("18446744073709551616_1", None),
            ("10", None),
            ("1_2_3", None),
            ("0_-1", None),
            ("0_+1", None),
            ("10_32.1", None),
            ("1_2 ", None),
            (" 1_2", None),
            ("_1", None),
            ("1_", None),
            ("x", None),
            ("", None),
        ];
        for (text, canonical) in cases {
            let read = Requested::parse(text).map(|offset| offset.to_string());
            assert_eq!(read.as_deref(), canonical, "offset {text:?}");
        }
    }

    #[test]
    fn offsets_order_by_transaction_and_then_by_change() {
        let ordered = ["0_0", "0_9", "0_10", "0_inf", "5_0", "5_1", "5_inf", "6_0"];
        for pair in ordered.windows(2) {
            let [Some(Requested::After(less)), Some(Requested::After(more))] = [pair[0], pair[1]].map(Requested::parse)
            else {
                panic!("{pair:?} are offsets");
            };
            assert!(less < more, "{less} < {more}");
        }
    }
}
