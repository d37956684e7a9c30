//! How long a failing thing waits before it is tried again. Pure.

use common::Timestamp;

/// A run of that length breaks a row of failures.
pub(crate) const STABLE_MILLIS: i64 = 60_000;

/// Delay of the Swarm before it starts a container again; long enough for the first failures of a row.
pub(crate) const SWARM_DELAY_MILLIS: i64 = 1000;

const LONGEST_MILLIS: i64 = 60_000;

/// Time after the `streak`-th failure in a row, when it is longer than what the Swarm waits by itself.
///
/// The jitter (±25 %) is derived from the seed, so that applications that fail together do not come back together, and
/// the same failure always gives the same moment.
pub(crate) fn crash_delay_millis(streak: u32, seed: &str) -> Option<i64> {
    let doublings = streak.checked_sub(2).filter(|doublings| *doublings > 0)?.min(10);
    let plain = (1000_i64 << doublings).min(LONGEST_MILLIS);
    let noise = seed.bytes().fold(i64::from(streak) * 31, |sum, byte| {
        (sum * 33 + i64::from(byte)) % 1_000_003
    });
    let jitter = plain / 4;
    Some(plain - jitter + noise % (2 * jitter + 1))
}

/// Moment of the next try after the `attempt`-th failure of something that passes by itself.
pub(crate) fn retry_at(attempt: u32, now: Timestamp) -> Timestamp {
    now.plus_millis((2000_i64 << attempt.min(6)).min(LONGEST_MILLIS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_two_failures_are_left_to_the_swarm() {
        for streak in 0..=2 {
            assert_eq!(crash_delay_millis(streak, "x"), None);
        }
    }

    #[test]
    fn delays_grow_to_a_minute_and_stay_near_it() {
        for (streak, plain) in [
            (3, 2000),
            (4, 4000),
            (5, 8000),
            (6, 16_000),
            (7, 32_000),
            (8, 60_000),
            (1000, 60_000),
        ] {
            for seed in ["a", "b", "0197a1c2-0000-7000-8000-000000000000"] {
                let delay = crash_delay_millis(streak, seed).unwrap();
                assert!((plain * 3 / 4..=plain * 5 / 4).contains(&delay), "{streak}: {delay}");
                assert_eq!(crash_delay_millis(streak, seed), Some(delay));
            }
        }
        assert_ne!(crash_delay_millis(8, "a"), crash_delay_millis(8, "b"));
    }

    #[test]
    fn retries_are_capped() {
        let now = Timestamp::from_millis(0);
        assert_eq!(retry_at(1, now).millis(), 4000);
        assert_eq!(retry_at(u32::MAX, now).millis(), 60_000);
    }
}
