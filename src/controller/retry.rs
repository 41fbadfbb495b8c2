//! How long to wait before the next try. Deterministic: the same status gives the same time.

use jiff::SignedDuration;

use crate::api::migration::Retry;
use crate::exit::{Class, Exit};

/// The class of an exit code; without one of ours the runner was killed.
pub fn class(exit_code: Option<i32>) -> Class {
    exit_code.and_then(Exit::from_code).map_or(Class::Unexpected, Exit::class)
}

/// Pause before a try after `count` unexpected ends in a row: none before the first, then doubling.
pub fn after_unexpected(retry: &Retry, count: i32) -> SignedDuration {
    if count <= 1 {
        return SignedDuration::ZERO;
    }
    doubled(retry.min_seconds, count - 2, retry.max_seconds)
}

/// Pause before a try after `count` runs in a row that could not begin their work.
pub fn after_waiting(retry: &Retry, count: i32) -> SignedDuration {
    if count <= 1 {
        return SignedDuration::from_secs(1);
    }
    doubled(retry.min_seconds, count - 2, retry.max_seconds.min(60))
}

/// Pause before looking again whether somebody has put things right.
pub fn after_slow(count: i32) -> SignedDuration {
    doubled(60, count - 1, 3_600)
}

/// Pause before the next try on a database that failed `count` times more than it may in a row.
pub fn after_failing(count: i32) -> SignedDuration {
    doubled(10, count, 300)
}

/// Pause of the controller after `count` errors in a row of the API server on one object.
pub fn after_error(count: u32) -> std::time::Duration {
    std::time::Duration::from_secs(1_u64.checked_shl(count.saturating_sub(1)).unwrap_or(u64::MAX).clamp(1, 300))
}

fn doubled(first: i32, times: i32, most: i32) -> SignedDuration {
    let factor = 1_i64.checked_shl(u32::try_from(times.clamp(0, 30)).unwrap_or(0)).unwrap_or(i64::MAX);
    SignedDuration::from_secs(i64::from(first).saturating_mul(factor).min(most.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        let retry = Retry::default();
        let unexpected: Vec<i64> = (1..=9).map(|count| after_unexpected(&retry, count).as_secs()).collect();
        assert_eq!(unexpected, [0, 5, 10, 20, 40, 80, 160, 300, 300]);
        let waiting: Vec<i64> = (1..=7).map(|count| after_waiting(&retry, count).as_secs()).collect();
        assert_eq!(waiting, [1, 5, 10, 20, 40, 60, 60]);
        let slow: Vec<i64> = (1..=8).map(|count| after_slow(count).as_secs()).collect();
        assert_eq!(slow, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        let failing: Vec<i64> = (0..=6).map(|count| after_failing(count).as_secs()).collect();
        assert_eq!(failing, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(after_unexpected(&retry, i32::MAX).as_secs(), 300);
        assert_eq!(after_error(0).as_secs(), 1);
        assert_eq!(after_error(u32::MAX).as_secs(), 300);
    }

    #[test]
    fn every_exit_code_has_a_class() {
        assert_eq!(class(Some(0)), Class::Done);
        assert_eq!(class(Some(20)), Class::Waiting);
        assert_eq!(class(Some(75)), Class::Waiting);
        assert_eq!(class(Some(11)), Class::Slow);
        assert_eq!(class(Some(12)), Class::Slow);
        for code in [2, 10, 13, 14] {
            assert_eq!(class(Some(code)), Class::Permanent, "{code}");
        }
        for code in [1, 137, 143, 255] {
            assert_eq!(class(Some(code)), Class::Unexpected, "{code}");
        }
        assert_eq!(class(None), Class::Unexpected);
    }
}
