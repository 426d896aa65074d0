//! What every strategy does with a phase: read its limits, and refuse to run without one.

use inferometer_plugin_sdk::types::{Error, ErrorKind};

/// A limit as a phase gives it, where 0 means that there is none.
pub(crate) fn or_unlimited(limit: u64) -> u64 {
    if limit == 0 { u64::MAX } else { limit }
}

/// A strategy was asked for arrivals before its phase began.
pub(crate) fn not_begun() -> Error {
    Error::new(ErrorKind::OTHER, "asked for arrivals before the phase began; a host calls `start` first")
}
