//! The warm-up that flags put before the measurement. A file may have phases of that kind instead.

use crate::values::{Count, Number, Seconds};
use clap::Args;
use serde::{Deserialize, Serialize};

/// Settings of the warm-up: when it ends, and what differs from the load it is for.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Warm-up")]
#[serde(default, rename_all = "kebab-case")]
pub struct WarmupConfig {
    /// Requests sent before the measurement and kept out of it
    #[arg(long, alias = "num-warmup-requests", alias = "num-warmups", value_name = "COUNT")]
    pub warmup_request_count: Option<Count>,
    /// Warm up for this long
    #[arg(long, value_name = "SECONDS")]
    pub warmup_duration: Option<Seconds>,
    /// Warm up with so many sessions
    #[arg(long, value_name = "COUNT")]
    pub num_warmup_sessions: Option<Count>,
    /// As --concurrency; what is not given of a warm-up is as for the load
    #[arg(long, value_name = "COUNT")]
    pub warmup_concurrency: Option<Count>,
    /// As --prefill-concurrency
    #[arg(long, value_name = "COUNT")]
    pub warmup_prefill_concurrency: Option<Count>,
    /// As --request-rate
    #[arg(long, value_name = "RATE")]
    pub warmup_request_rate: Option<Number>,
    /// As --arrival-pattern
    #[arg(long, value_name = "PATTERN")]
    pub warmup_arrival_pattern: Option<String>,
    /// As --concurrency-ramp-duration
    #[arg(long, value_name = "SECONDS")]
    pub warmup_concurrency_ramp_duration: Option<Seconds>,
    /// As --prefill-concurrency-ramp-duration
    #[arg(long, value_name = "SECONDS")]
    pub warmup_prefill_concurrency_ramp_duration: Option<Seconds>,
    /// As --request-rate-ramp-duration
    #[arg(long, value_name = "SECONDS")]
    pub warmup_request_rate_ramp_duration: Option<Seconds>,
    /// After --warmup-duration, wait this long for answers before cancelling them [default: inf]
    #[arg(long, value_name = "SECONDS")]
    pub warmup_grace_period: Option<Seconds>,
}
