//! `electric-cursor`: a number that steps forward in time, so that a cache never answers a live request
//! with the answer before, while all readers of one moment still share a URL.

use std::time::{Duration, SystemTime};

/// 2024-10-09T00:00:00Z in Unix seconds: where cursors count from (protocol, 4.5).
const EPOCH_UNIX_SECONDS: u64 = 1_728_432_000;

/// The largest random step past a cursor that lies in the future.
pub const MAX_STEP: u64 = 3600;

/// The cursor to send with a live answer: the end of the current long-poll window, or `step` past
/// `previous` where that would not be more than `previous`.
///
/// `step` gives a random number in `1..=MAX_STEP`. A `long_poll_timeout` under a second has no window: 0.
pub fn next(previous: Option<u64>, long_poll_timeout: Duration, now: SystemTime, step: impl FnOnce() -> u64) -> u128 {
    let window = u128::from(long_poll_timeout.as_secs());
    if window == 0 {
        return 0;
    }
    let since_epoch =
        now.duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH_UNIX_SECONDS)).unwrap_or_default();
    let candidate = since_epoch.as_nanos().div_ceil(window * 1_000_000_000) * window;
    let previous = u128::from(previous.unwrap_or(0));
    if candidate > previous { candidate } else { previous + u128::from(step()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_the_end_of_the_window_or_past_the_one_before() {
        //   seconds since the epoch, window in ms, cursor sent, cursor answered (a step is 7)
        let cases = [
            (0.5, 20_000, None, 20),
            (20.0, 20_000, None, 20),
            (20.001, 20_000, None, 40),
            (7_257_601.0, 20_000, Some(7_257_600), 7_257_620),
            (7_257_601.0, 20_000, Some(7_257_620), 7_257_627),
            (7_257_601.0, 20_000, Some(9_000_000), 9_000_007),
            (7_257_601.0, 20_000, Some(u64::MAX), u128::from(u64::MAX) + 7),
            (7_257_601.0, 20_900, None, 7_257_620),
            (7_257_601.0, 1_000, None, 7_257_601),
            (7_257_601.0, 999, None, 0),
            (7_257_601.0, 999, Some(5), 0),
            (0.0, 20_000, None, 7),
        ];
        for (seconds, window_ms, sent, answered) in cases {
            let now =
                SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH_UNIX_SECONDS) + Duration::from_secs_f64(seconds);
            let cursor = next(sent, Duration::from_millis(window_ms), now, || 7);
            assert_eq!(cursor, answered, "{seconds} s, window {window_ms} ms, sent {sent:?}");
        }
    }

    #[test]
    fn a_clock_before_the_epoch_still_moves_the_cursor() {
        assert_eq!(next(Some(3), Duration::from_secs(20), SystemTime::UNIX_EPOCH, || 1), 4);
    }
}
