//! [`Clock`]: the run's time, in nanoseconds since it began.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time since the run began, with the wall-clock time of that instant.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    zero: Instant,
    epoch_ns: u64,
}

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { zero: Instant::now(), epoch_ns: u64::try_from(epoch.as_nanos()).unwrap_or(u64::MAX) }
    }

    /// Nanoseconds since the clock began.
    #[inline]
    pub fn now(&self) -> u64 {
        // 2^64 nanoseconds are 584 years.
        self.zero.elapsed().as_nanos() as u64
    }

    /// The instant `at_ns` nanoseconds after the clock began.
    pub fn instant(&self, at_ns: u64) -> Instant {
        // Beyond a few centuries any far instant does.
        self.zero + Duration::from_nanos(at_ns.min(u64::MAX / 4))
    }

    /// The clock's zero in nanoseconds since 1970.
    pub fn epoch_ns(&self) -> u64 {
        self.epoch_ns
    }
}
