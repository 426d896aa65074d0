//! The load of a phase: what is sent when, and when it ends.

use super::choices::{ConcurrencyUnit, OnOverload};
use crate::{
    plan::PhaseKind,
    values::{Count, Millis, Number, Seconds},
};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Settings of a load. A file's phases have their own, over those that it has for all.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Load")]
#[serde(default, rename_all = "kebab-case")]
pub struct LoadConfig {
    /// Slots: sessions kept in progress; with a rate, the most that may be [default: 1 without a rate]
    #[arg(long, alias = "max-concurrency", value_name = "COUNT")]
    pub concurrency: Option<Count>,
    /// What a slot is held for: a session, think times included, or a request [default: sessions]
    #[arg(long, value_name = "UNIT")]
    pub concurrency_unit: Option<ConcurrencyUnit>,
    /// What becomes of an arrival of a rate that finds no slot: it waits, or it is dropped and counted [default:
    /// queue]
    #[arg(long, value_name = "WHAT")]
    pub on_overload: Option<OnOverload>,
    /// Most requests without a first token at a time; needs --streaming
    #[arg(long, value_name = "COUNT")]
    pub prefill_concurrency: Option<Count>,
    /// Grow the slots from one to all in this time [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub concurrency_ramp_duration: Option<Seconds>,
    /// The same for --prefill-concurrency [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub prefill_concurrency_ramp_duration: Option<Seconds>,
    /// Requests per second, sent whether or not the server keeps up; `inf`: all at once. Sessions per second where they
    /// have several turns: a rate begins sessions, and later turns follow their replies
    #[arg(long, value_name = "RATE")]
    pub request_rate: Option<Number>,
    /// How arrivals follow each other: `constant`, `poisson`, `gamma`, `burst`, or a plugin's [default: poisson
    /// with a rate]
    #[arg(long, alias = "request-rate-mode", value_name = "PATTERN")]
    pub arrival_pattern: Option<String>,
    /// Shape of `gamma`: 1 is Poisson, more is smoother, less comes in bunches; chooses `gamma` [default: 1]
    #[arg(long, alias = "vllm-burstiness", alias = "burstiness", value_name = "SHAPE")]
    pub arrival_smoothness: Option<Number>,
    /// Rates over time, straight between the points of a JSON file: `[[seconds, rate], …]` or `[{"time": 0, "rate":
    /// 5}, …]`
    #[arg(long, value_name = "FILE")]
    pub request_rate_series: Option<PathBuf>,
    /// Grow the rate from next to nothing in this time [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub request_rate_ramp_duration: Option<Seconds>,
    /// Requests of one burst; chooses `burst` [default: all]
    #[arg(long, value_name = "COUNT")]
    pub burst_size: Option<Count>,
    /// Time from one burst to the next
    #[arg(long, value_name = "SECONDS")]
    pub burst_interval: Option<Seconds>,
    /// Requests per second of --num-users users together, each of whom sends at an even pace
    #[arg(long, value_name = "RATE")]
    pub user_centric_rate: Option<Number>,
    /// Users of --user-centric-rate
    #[arg(long, value_name = "COUNT")]
    pub num_users: Option<Count>,
    /// Send at the data's own times [default: if it has any and nothing else says how to load]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub fixed_schedule: Option<bool>,
    /// Never send at the data's own times
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub no_fixed_schedule: Option<bool>,
    /// Begin with the data's first time, whatever it is [default: true]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub fixed_schedule_auto_offset: Option<bool>,
    /// Leave out sessions that begin before this time of the data, and begin with it; in milliseconds without a unit
    #[arg(long, value_name = "TIME")]
    pub fixed_schedule_start_offset: Option<Millis>,
    /// Leave out sessions that begin after this time of the data; in milliseconds without a unit
    #[arg(long, value_name = "TIME")]
    pub fixed_schedule_end_offset: Option<Millis>,
    /// Send so many times faster than the data says [default: 1]
    #[arg(long, alias = "replay-speedup", alias = "synthesis-speedup-ratio", value_name = "FACTOR")]
    pub fixed_schedule_speedup: Option<Number>,
    /// Percentage of requests to break off, as users do
    #[arg(long, value_name = "PERCENT")]
    pub request_cancellation_rate: Option<Number>,
    /// Time from such a request's last byte to its end [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub request_cancellation_delay: Option<Seconds>,
    /// Requests to send [default: 2 × concurrency, or the file once]
    #[arg(long, alias = "num-requests", value_name = "COUNT")]
    pub request_count: Option<Count>,
    /// Sessions to begin; they come to their end
    #[arg(long, alias = "num-sessions", alias = "conversation-num", value_name = "COUNT")]
    pub num_conversations: Option<Count>,
    /// Stop sending after this long
    #[arg(long, value_name = "SECONDS")]
    pub benchmark_duration: Option<Seconds>,
    /// Then wait this long for answers before cancelling them; `inf`: for all of them [default: 30]
    #[arg(long, value_name = "SECONDS")]
    pub benchmark_grace_period: Option<Seconds>,
}

/// A `[[phase]]` of a configuration file, with what it has from the file and from the flags.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PhaseConfig {
    /// Its name, if it has one.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether it is measured.
    pub kind: PhaseKind,
    /// Its load.
    #[serde(flatten)]
    pub load: LoadConfig,
}

/// What is of loads that follow the data's own times.
pub(crate) const FIXED_SCHEDULE: [&str; 5] = [
    "fixed-schedule",
    "fixed-schedule-auto-offset",
    "fixed-schedule-start-offset",
    "fixed-schedule-end-offset",
    "fixed-schedule-speedup",
];

/// What makes a load of each shape; a load has one of them.
pub(crate) const SHAPES: [&[&str]; 5] = [
    &["request-rate"],
    &["request-rate-series"],
    &["burst-size", "burst-interval"],
    &["user-centric-rate", "num-users"],
    &FIXED_SCHEDULE,
];

/// What a warm-up of a file does not have from the settings for all phases: when to end, what is not for warm-ups.
pub(crate) const NOT_OF_WARMUPS: [&str; 13] = [
    "request-count",
    "num-conversations",
    "benchmark-duration",
    "benchmark-grace-period",
    "request-cancellation-rate",
    "request-cancellation-delay",
    "user-centric-rate",
    "num-users",
    "fixed-schedule",
    "fixed-schedule-auto-offset",
    "fixed-schedule-start-offset",
    "fixed-schedule-end-offset",
    "fixed-schedule-speedup",
];
