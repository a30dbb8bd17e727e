//! retry: how long to wait before the next try. Exponential with full jitter, so that callers that failed together do
//! not come back together; the endpoint's own `Retry-After` is kept to, or nobody comes back.

use std::time::{Duration, SystemTime};

/// The pause after the `failed`-th failure (from 1 on). `roll` is a random number of [0, 1).
///
/// # Errors
/// What the endpoint asks for, where that is longer than the longest pause.
pub fn pause(
    failed: u32,
    first: Duration,
    longest: Duration,
    asked: Option<Duration>,
    roll: f64,
) -> Result<Duration, Duration> {
    let doubled = first.saturating_mul(2u32.saturating_pow(failed.saturating_sub(1))).min(longest);
    let jittered = doubled.mul_f64(roll.clamp(0.0, 1.0));
    match asked {
        Some(asked) if asked > longest => Err(asked),
        asked => Ok(asked.unwrap_or(jittered)),
    }
}

/// `Retry-After`: seconds, or an HTTP date.
pub fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(header).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_the_longest_and_the_jitter_is_full() {
        let full = |failed| pause(failed, SECOND, 60 * SECOND, None, 1.0).unwrap();
        assert_eq!(
            [full(1), full(2), full(3), full(7), full(4000)],
            [SECOND, 2 * SECOND, 4 * SECOND, 60 * SECOND, 60 * SECOND]
        );
        assert_eq!(pause(3, SECOND, 60 * SECOND, None, 0.0), Ok(Duration::ZERO));
        assert_eq!(pause(3, SECOND, 60 * SECOND, None, 0.5), Ok(2 * SECOND));
    }

    #[test]
    fn what_the_endpoint_asks_for_is_kept_to_and_never_cut() {
        assert_eq!(pause(1, SECOND, 60 * SECOND, Some(7 * SECOND), 0.1), Ok(7 * SECOND));
        assert_eq!(pause(1, SECOND, 60 * SECOND, Some(3600 * SECOND), 0.1), Err(3600 * SECOND));
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = httpdate::parse_http_date("Sun, 22 Nov 2026 20:00:00 GMT").unwrap();
        assert_eq!(retry_after(" 12 ", now), Some(12 * SECOND));
        assert_eq!(retry_after("Sun, 22 Nov 2026 20:00:30 GMT", now), Some(30 * SECOND));
        assert_eq!(retry_after("Sun, 22 Nov 2026 19:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }

    proptest! {
        #[test]
        fn no_header_is_a_panic_and_no_pause_is_longer_than_the_longest(header in ".{0,40}", failed: u32, roll in 0.0..1.0f64) {
            let asked = retry_after(&header, SystemTime::UNIX_EPOCH);
            prop_assert!(pause(failed, SECOND, 60 * SECOND, asked, roll).is_ok_and(|pause| pause <= 60 * SECOND) || asked.is_some());
        }
    }
}
