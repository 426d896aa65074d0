//! What the strategies share in reading a phase and options: limits, spans and rates, and the words for what cannot be.

use inferometer_plugin_sdk::types::{Error, ErrorKind, PhaseSpec, Result};
use std::ops::RangeInclusive;

/// Rates a schedule can keep: above one arrival per nanosecond time would stand still, and below one in 30 years the
/// second arrival nears the end of what 64 bits of nanoseconds can tell.
const RATES: RangeInclusive<f64> = 1e-9..=1e9;

/// The longest span, in seconds, that an option takes: 30 years, which leaves room for what comes after it.
const LONGEST_S: f64 = 1e9;

/// A limit as a phase gives it, where 0 means that there is none.
pub(crate) fn or_unlimited(limit: u64) -> u64 {
    if limit == 0 { u64::MAX } else { limit }
}

/// A strategy was asked for arrivals before its phase began.
pub(crate) fn not_begun() -> Error {
    Error::new(ErrorKind::OTHER, "asked for arrivals before the phase began; a host calls `start` first")
}

/// One shard's share of what is numbered over all of them: the numbers k with k mod `shards` = `shard`.
#[derive(Clone, Copy)]
pub(crate) struct Share {
    pub(crate) shard: u64,
    pub(crate) shards: u64,
}

impl Share {
    /// The share that a phase gives.
    ///
    /// # Errors
    /// When there is no such share.
    pub(crate) fn of(phase: &PhaseSpec) -> Result<Self> {
        if phase.shard < phase.shards {
            return Ok(Self { shard: phase.shard.into(), shards: phase.shards.into() });
        }
        let message = format!("told to be shard {} of {}; shards count from 0", phase.shard, phase.shards);
        Err(Error::new(ErrorKind::OTHER, message))
    }
}

/// The phase's rate, if a schedule can keep it.
///
/// # Errors
/// When it was not given or is out of bounds.
pub(crate) fn checked_rate(rate: f64) -> Result<f64> {
    if is_rate(rate) {
        return Ok(rate);
    }
    let reason = if rate == 0.0 {
        "request rate 0: this strategy sends at a rate and was given none".to_owned()
    } else {
        format!("request rate {rate:?}: no schedule can keep it")
    };
    Err(Error::config(format!("{reason}; set --request-rate to requests per second, {}", rates())))
}

/// Whether a schedule can keep the rate.
pub(crate) fn is_rate(rate: f64) -> bool {
    RATES.contains(&rate)
}

/// The rates that a schedule can keep, in words.
pub(crate) fn rates() -> String {
    format!("from {:e} to {:e}", RATES.start(), RATES.end())
}

/// A span of `seconds` in nanoseconds; none if it is negative, no number or longer than 30 years.
pub(crate) fn span_ns(seconds: f64) -> Option<u64> {
    (0.0..=LONGEST_S).contains(&seconds).then(|| (seconds * 1e9).round() as u64)
}

/// The span that the option `name` gives.
///
/// # Errors
/// When it is none.
pub(crate) fn checked_span_ns(name: &str, seconds: f64) -> Result<u64> {
    span_ns(seconds).ok_or_else(|| {
        Error::config(format!("{name} {seconds:?}: that is no time; set it to seconds, from 0 to {LONGEST_S:e}"))
    })
}
