//! From stamps, which count from the beginning of the run, to the time of day.

use inferometer_plugin_sdk::types::ABSENT_NS;
use std::time::{Duration, UNIX_EPOCH};

/// Nanoseconds since 1970 of `stamp` in a run that began at `epoch_ns`; nothing where the stamp was not reached.
pub(crate) fn wall_ns(epoch_ns: u64, stamp: u64) -> Option<u64> {
    (stamp != ABSENT_NS).then(|| epoch_ns.saturating_add(stamp))
}

/// The same as RFC 3339 in UTC with microseconds.
pub(crate) fn wall_text(epoch_ns: u64, stamp: u64) -> Option<String> {
    let since_1970 = Duration::from_nanos(wall_ns(epoch_ns, stamp)?);
    Some(humantime::format_rfc3339_micros(UNIX_EPOCH + since_1970).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_microseconds() {
        assert_eq!(wall_text(1_795_288_691_888_043_000, 999).as_deref(), Some("2026-11-21T19:18:11.888043Z"));
    }

    #[test]
    fn no_stamp_is_no_time_and_a_stamp_past_the_end_of_time_is_no_panic() {
        assert_eq!(wall_text(5, ABSENT_NS), None);
        assert_eq!(wall_ns(u64::MAX, 7), Some(u64::MAX));
        assert!(wall_text(u64::MAX, 7).is_some());
    }
}
