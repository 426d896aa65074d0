//! The documents that cross the boundary as JSON: descriptions that may grow.
//!
//! Readers ignore fields they do not know and supply defaults for fields that are missing, so a plugin and a host of
//! different minor versions understand each other. What is absent was not measured: absent is never zero.

mod dataset;
mod telemetry;

pub use dataset::{
    AudioRequest, DatasetInfo, DatasetRequest, ImageRequest, Length, LengthPair, PrefixRequest, RangeRatio,
    RankingRequest, TraceRequest,
};
pub use telemetry::{
    Bucket, Histogram, Increase, Series, Subject, TelemetryEntity, TelemetryMetric, TelemetrySource, metric_kind,
};

use crate::types::Outcome;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The five kinds of component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// [`Endpoint`](crate::api::Endpoint)
    Endpoint,
    /// [`TimingStrategy`](crate::api::TimingStrategy)
    Timing,
    /// [`Exporter`](crate::api::Exporter)
    Exporter,
    /// [`TelemetryCollector`](crate::api::TelemetryCollector)
    Collector,
    /// [`DatasetLoader`](crate::api::DatasetLoader)
    Dataset,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Endpoint, Self::Timing, Self::Exporter, Self::Collector, Self::Dataset];

    /// Its name, as manifests and messages spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Timing => "timing",
            Self::Exporter => "exporter",
            Self::Collector => "collector",
            Self::Dataset => "dataset",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the answers of an endpoint are cut into events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// Server-sent events.
    #[default]
    Sse,
    /// One JSON value a line.
    JsonLines,
}

/// What an endpoint is able to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointInfo {
    /// Its path on the server, with a leading slash. `{model}` in it stands for the model that a request asks for (since
    /// 1.1).
    pub path: String,
    /// The path when streaming, where it differs.
    pub streaming_path: Option<String>,
    /// Whether it can stream.
    pub streams: bool,
    /// How its streams are cut, where their content type does not say.
    pub framing: Framing,
    /// Whether its answers are made of tokens.
    pub produces_tokens: bool,
    /// Whether its requests are made of tokens.
    pub tokenizes_input: bool,
    /// A well-formed stream ends with a terminator or a finish reason; one that does not was truncated.
    pub ends_explicitly: bool,
    /// Its requests are a query and passages to be ranked, which made-up data is then. Since 1.1.
    pub ranks: bool,
    /// Header fields that every request has; the user's take precedence. Since 1.1.
    pub headers: BTreeMap<String, String>,
    /// The header field that takes the user's key as it is; absent: `Authorization`, as a bearer token. Since 1.1.
    pub key_header: Option<String>,
}

/// The description of a run, known before its results.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// Version of the program.
    pub version: String,
    /// Twelve hexadecimal digits that name this run.
    pub benchmark_id: String,
    /// When the run began: wall-clock nanoseconds since 1970, the zero of all stamps.
    pub epoch_ns: u64,
    /// The command, secrets removed.
    pub command: String,
    /// The seed everything random came from.
    pub seed: u64,
    /// The settings in the shape of AIPerf's `input_config`.
    pub input_config: serde_json::Value,
    /// The whole plan of the run.
    pub plan: serde_json::Value,
    /// The catalogue of per-request metrics: [`crate::types::Record::values`] goes by it.
    pub metrics: Vec<MetricInfo>,
    /// The components at work.
    pub components: Vec<Component>,
    /// How result files are named and which are wanted.
    pub export: Export,
    /// The terminal the user looks at.
    pub terminal: Terminal,
}

/// How result files are named and which are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Export {
    /// Replaces the default stem of the file names.
    pub prefix: Option<String>,
    /// Whether one line per request is wanted.
    pub records: bool,
    /// The folder, for messages.
    pub folder: String,
    /// Endings of the files with the server's own metrics that are wanted: `json`, `csv`, `jsonl`.
    pub server_metrics: Vec<String>,
}

/// The terminal the user looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terminal {
    /// Columns.
    pub width: u16,
    /// Whether colours are welcome.
    pub color: bool,
}

impl Default for Terminal {
    fn default() -> Self {
        Self { width: 100, color: false }
    }
}

/// A component at work in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// `built-in`, or the library it came from.
    pub origin: String,
    /// Version of the crate it came from.
    #[serde(default)]
    pub version: String,
    /// SHA-256 of the library, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What a metric is called and measured in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricInfo {
    /// Its tag, such as `time_to_first_token`.
    pub tag: String,
    /// Its name for people, such as `Time to First Token`.
    pub header: String,
    /// The unit its values are shown in.
    pub unit: String,
    /// Whether more is better.
    pub larger_is_better: bool,
}

/// A metric over a whole phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricResult {
    /// What it is.
    #[serde(flatten)]
    pub info: MetricInfo,
    /// Its statistics; a metric that is one number has only `avg`.
    pub stats: Stats,
}

/// Statistics over requests (or over time, for those that are time-weighted). Percentiles are linear interpolations on
/// the sorted values at index `q/100·(n−1)`; `std` divides by `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are the statistics")]
pub struct Stats {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avg: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p1: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p5: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p10: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p25: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p75: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p90: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum: Option<f64>,
}

/// Everything a run found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The description of the run, as given at its beginning.
    pub run: Run,
    /// The phases in order; the last profiling phase is the result.
    pub phases: Vec<PhaseReport>,
    /// Whether the user stopped it.
    pub was_cancelled: bool,
    /// Why the results are not complete, if they are not.
    pub incomplete_reason: Option<String>,
    /// May these numbers be believed?
    pub verdict: Verdict,
    /// Things worth knowing, each said once.
    pub notes: Vec<String>,
    /// Where telemetry was asked for, those that failed included; [`Series::source`] counts in it.
    pub sources: Vec<TelemetrySource>,
}

impl Report {
    /// The profiling phase, which the main numbers are about.
    pub fn profiling(&self) -> Option<&PhaseReport> {
        self.phases.iter().rev().find(|p| p.kind == "profiling")
    }
}

/// May these numbers be believed, and why not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Verdict {
    /// `valid`, `degraded` or `invalid`.
    pub state: String,
    /// The reasons, if not valid.
    pub reasons: Vec<String>,
}

/// What one phase found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PhaseReport {
    /// Its name.
    pub name: String,
    /// `warmup` or `profiling`.
    pub kind: String,
    /// First intended send, in nanoseconds since the run began.
    pub start_ns: u64,
    /// Last end of a request, in nanoseconds since the run began.
    pub end_ns: u64,
    /// How its arrivals ended.
    pub outcomes: Outcomes,
    /// What was asked of the schedule and what became of it.
    pub load: LoadReport,
    /// Its metrics by tag.
    pub metrics: BTreeMap<String, MetricResult>,
    /// Its failures, grouped.
    pub errors: Vec<ErrorGroup>,
    /// What telemetry says of its window, by source, metric and entity.
    pub telemetry: Vec<Series>,
    /// How far its latencies may be from what the server did.
    pub precision: Option<Precision>,
}

/// How far what the client measured may be from what the server did, and how well the client kept up. What is not known is
/// absent. Bounds hold for 99 of 100 requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Precision {
    /// Largest error of a time to first token, in milliseconds.
    pub ttft_error_ms: Option<f64>,
    /// Largest error of an inter-token latency, in milliseconds.
    pub itl_error_ms: Option<f64>,
    /// The same in percent of what that latency would then be.
    pub itl_error_pct: Option<f64>,
    /// Largest error of a request's latency, in milliseconds.
    pub latency_error_ms: Option<f64>,
    /// From leave to send to the first byte in the kernel's hands, connecting apart, in milliseconds: the client's own time.
    pub send_delay_p50_ms: Option<f64>,
    /// The same, 99th percentile.
    pub send_delay_p99_ms: Option<f64>,
    /// How long what had come waited in the kernel until it was read, in milliseconds, over all reads; of a read that took
    /// up several packets it is known of the last alone.
    pub receive_lag_p50_ms: Option<f64>,
    /// The same, 99th percentile.
    pub receive_lag_p99_ms: Option<f64>,
    /// The same, longest.
    pub receive_lag_max_ms: Option<f64>,
    /// Share of the reads, 0 to 1, of which the kernel said when their bytes had come.
    pub kernel_stamped_share: Option<f64>,
    /// Share of the time, 0 to 1, that the busiest worker thread was on a processor.
    pub client_busy: Option<f64>,
    /// Share of the time, 0 to 1, that the worker thread which had to wait longest was ready to run without a processor.
    pub client_waited: Option<f64>,
}

/// How arrivals ended; the four add up to `total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcomes {
    /// All arrivals.
    pub total: u64,
    /// Complete answers.
    pub ok: u64,
    /// Failures.
    pub error: u64,
    /// Stopped.
    pub cancelled: u64,
    /// Never sent.
    pub dropped: u64,
}

impl Outcomes {
    /// Counts one more.
    pub fn add(&mut self, outcome: Outcome) {
        self.total += 1;
        match outcome {
            Outcome::OK => self.ok += 1,
            Outcome::CANCELLED => self.cancelled += 1,
            Outcome::DROPPED => self.dropped += 1,
            _ => self.error += 1,
        }
    }
}

/// Asked against achieved load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadReport {
    /// The strategy.
    pub strategy: String,
    /// What was asked, in words: `16 requests in flight`, `20.0 requests/s, Poisson`.
    pub asked: String,
    /// What was achieved, in the same words.
    pub achieved: String,
    /// Requests per second asked, if a rate was.
    pub asked_rate: Option<f64>,
    /// Requests per second sent, over the time in which they were being sent.
    pub achieved_rate: Option<f64>,
    /// Requests in flight, averaged over the window.
    pub in_flight: Option<f64>,
    /// Send lag behind the schedule in milliseconds, median.
    pub lag_p50_ms: Option<f64>,
    /// Send lag behind the schedule in milliseconds, 99th percentile.
    pub lag_p99_ms: Option<f64>,
    /// Requests that were sent late: so much behind the schedule that it shows.
    pub late: Option<u64>,
    /// What counts as late, in milliseconds.
    pub late_ms: Option<f64>,
    /// What `--concurrency` counts: `requests` or `sessions`; absent without a limit.
    pub concurrency_unit: Option<String>,
    /// Of requests that were intended at one instant, from the first send to the last, in milliseconds; the longest of all
    /// bursts.
    pub burst_spread_ms: Option<f64>,
    /// Requests that had to wait for their prompt to be made.
    pub waited_for_data: Option<u64>,
    /// From the last send to the end of the window, in seconds.
    pub tail_s: Option<f64>,
    /// Whether sending ended by the clock and not by a count.
    pub sends_by_time: bool,
}

/// Failures of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorGroup {
    /// HTTP status, if there was one.
    pub code: Option<u32>,
    /// The kind.
    pub kind: String,
    /// One example's message.
    pub message: String,
    /// How often.
    pub count: u64,
}
