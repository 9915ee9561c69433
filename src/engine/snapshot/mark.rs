//! Which transactions a snapshot contains.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The value of `pg_current_snapshot()`: 64-bit transaction ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub xmin: u64,
    pub xmax: u64,
    /// Ids in `[xmin, xmax)` that were in progress, ascending.
    pub xip: Vec<u64>,
}

impl Mark {
    /// Whether the snapshot contains a transaction that has committed.
    ///
    /// Source: Postgres, "Transaction ID and Snapshot Information Functions".
    pub fn contains(&self, xid: u64) -> bool {
        xid < self.xmin || (xid < self.xmax && self.xip.binary_search(&xid).is_err())
    }
}

/// The text was not `xmin:xmax:xip,xip,...`.
#[derive(Debug, thiserror::Error)]
#[error("not a snapshot: {0:?}")]
pub struct InvalidMark(String);

impl FromStr for Mark {
    type Err = InvalidMark;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let mut parts = text.splitn(3, ':');
            let xmin = parts.next()?.parse().ok()?;
            let xmax = parts.next()?.parse().ok()?;
            let xip = parts.next()?.split(',').filter(|id| !id.is_empty());
            let xip = xip.map(|id| id.parse().ok()).collect::<Option<Vec<u64>>>()?;
            Some(Self { xmin, xmax, xip })
        };
        read().ok_or_else(|| InvalidMark(text.to_owned()))
    }
}

/// Widens the 32-bit ids of the replication stream: the 64-bit id nearest to one already known.
pub fn widen(xid: u32, near: u64) -> u64 {
    // Ids in use lie within 2^31 of each other, or Postgres would have stopped.
    let ahead = xid.wrapping_sub(near as u32) as i32;
    near.saturating_add_signed(i64::from(ahead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_contains_what_had_committed_before_it() {
        let mark: Mark = "756:760:757,759".parse().expect("a valid snapshot");
        let cases = [(755, true), (756, true), (757, false), (758, true), (759, false), (760, false), (9000, false)];
        for (xid, contained) in cases {
            assert_eq!(mark.contains(xid), contained, "{xid}");
        }
        assert_eq!("5:5:".parse::<Mark>().expect("nothing in progress").xip, Vec::<u64>::new());
        for wrong in ["", "1:2", "a:2:", "1:2:x", "1:2:3,,x"] {
            assert!(wrong.parse::<Mark>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_short_id_is_widened_across_the_epochs_border() {
        let epoch = 1_u64 << 32;
        let cases = [
            (5, 7, 5),
            (9, 7, 9),
            (3, epoch + 10, epoch + 3),
            (u32::MAX, epoch + 10, epoch - 1),
            (2, epoch - 5, epoch + 2),
        ];
        for (short, near, wide) in cases {
            assert_eq!(widen(short, near), wide, "{short} near {near}");
        }
    }
}
