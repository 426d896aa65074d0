//! Statistics under the names and in the orders of the result files. Values that are not finite count as not measured.

use inferometer_plugin_sdk::documents::{MetricResult, PhaseReport, Stats};

/// A statistic: its name in the files, and where it is found.
pub(crate) type Field = (&'static str, fn(&Stats) -> Option<f64>);

const PERCENTILES: [Field; 9] = [
    ("p1", |s| s.p1),
    ("p5", |s| s.p5),
    ("p10", |s| s.p10),
    ("p25", |s| s.p25),
    ("p50", |s| s.p50),
    ("p75", |s| s.p75),
    ("p90", |s| s.p90),
    ("p95", |s| s.p95),
    ("p99", |s| s.p99),
];
const AVG: Field = ("avg", |s| s.avg);
const MIN: Field = ("min", |s| s.min);
const MAX: Field = ("max", |s| s.max);
const STD: Field = ("std", |s| s.std);
const SUM: Field = ("sum", |s| s.sum);

/// What comes before `count` in the JSON file.
pub(crate) fn json_head() -> impl Iterator<Item = Field> {
    [AVG].into_iter().chain(PERCENTILES).chain([MIN, MAX, STD])
}

/// What comes after `count` in the JSON file.
pub(crate) const JSON_TAIL: Field = SUM;

/// The columns of the CSV file.
pub(crate) fn csv_columns() -> impl Iterator<Item = Field> {
    [AVG, MIN, MAX, SUM].into_iter().chain(PERCENTILES).chain([STD])
}

/// The columns of a gauge of the server.
pub(crate) fn gauge_columns() -> impl Iterator<Item = Field> {
    [AVG, MIN, MAX, STD].into_iter().chain(PERCENTILES)
}

/// The percentiles alone.
pub(crate) fn percentiles() -> impl Iterator<Item = Field> {
    PERCENTILES.into_iter()
}

/// The value, if it is a number.
pub(crate) fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|v| v.is_finite())
}

/// Whether anything was measured.
pub(crate) fn measured(metric: &MetricResult) -> bool {
    any_measured(&metric.stats)
}

/// Whether any of them is a number.
pub(crate) fn any_measured(stats: &Stats) -> bool {
    csv_columns().any(|(_, get)| finite(get(stats)).is_some())
}

/// Whether it is a distribution; otherwise it is one number, in `avg`.
pub(crate) fn is_distribution(metric: &MetricResult) -> bool {
    PERCENTILES.iter().any(|(_, get)| finite(get(&metric.stats)).is_some())
}

/// Whether goodput goes by latencies from the schedule, and not from when a request got leave to be sent: so it does where
/// both are measured.
pub(crate) fn is_judged_from_schedule(phase: &PhaseReport) -> bool {
    phase.metrics.contains_key("intended_latency")
}
