//! `server_metrics_export.json`, in AIPerf's schema 1.1.

use super::{AIPERF_VERSION, figures, labels, updates::Updates};
use crate::{clock, json::object, stats::finite, telemetry};
use inferometer_plugin_sdk::documents::{Bucket, PhaseReport, Report, Subject, TelemetrySource};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;
use std::collections::BTreeMap;

const SCHEMA_VERSION: &str = "1.1";

/// The whole file.
#[derive(Serialize)]
pub(super) struct File<'a> {
    schema_version: &'a str,
    aiperf_version: &'a str,
    inferometer_version: &'a str,
    benchmark_id: &'a str,
    summary: Summary<'a>,
    metrics_phase: &'a str,
    metrics: BTreeMap<&'a str, Metric<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warmup_metrics: Option<BTreeMap<&'a str, Metric<'a>>>,
    input_config: Value,
}

impl<'a> File<'a> {
    pub(super) fn new(report: &'a Report, updates: &[Updates]) -> Self {
        let run = &report.run;
        let warmup = report.phases.iter().rev().find(|phase| phase.kind == "warmup");
        Self {
            schema_version: SCHEMA_VERSION,
            aiperf_version: AIPERF_VERSION,
            inferometer_version: &run.version,
            benchmark_id: &run.benchmark_id,
            summary: Summary::new(report, updates),
            metrics_phase: "profiling",
            metrics: report.profiling().map(|phase| metrics(report, phase)).unwrap_or_default(),
            warmup_metrics: warmup.map(|phase| metrics(report, phase)),
            input_config: object(&run.input_config),
        }
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    endpoints_configured: Vec<&'a str>,
    endpoints_successful: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    endpoint_info: BTreeMap<&'a str, EndpointInfo>,
    phase_time_ranges: BTreeMap<&'a str, TimeRange>,
}

#[derive(Serialize)]
struct TimeRange {
    #[serde(skip_serializing_if = "Option::is_none")]
    start_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_ns: Option<u64>,
}

impl<'a> Summary<'a> {
    fn new(report: &'a Report, updates: &[Updates]) -> Self {
        let epoch_ns = report.run.epoch_ns;
        let sources = || telemetry::sources(report, Subject::Server);
        let successful = || sources().filter(|source| source.collections > 0);
        let names = |source: &'a TelemetrySource| source.name.as_str();
        let profiling = report.profiling();
        let info = |source: &'a TelemetrySource| {
            let updates = updates.iter().find(|updates| updates.are_of(source));
            (source.name.as_str(), EndpointInfo::new(source, updates, epoch_ns))
        };
        let range = |phase: &'a PhaseReport| {
            let [start_ns, end_ns] = [phase.start_ns, phase.end_ns].map(|stamp| clock::wall_ns(epoch_ns, stamp));
            (phase.name.as_str(), TimeRange { start_ns, end_ns })
        };
        Self {
            endpoints_configured: sources().map(names).collect(),
            endpoints_successful: successful().map(names).collect(),
            start_time: profiling.and_then(|phase| clock::wall_text(epoch_ns, phase.start_ns)),
            end_time: profiling.and_then(|phase| clock::wall_text(epoch_ns, phase.end_ns)),
            endpoint_info: successful().map(info).collect(),
            phase_time_ranges: report.phases.iter().map(range).collect(),
        }
    }
}

/// How a source was read, and how often it told something new.
#[derive(Serialize)]
struct EndpointInfo {
    total_fetches: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_fetch_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_fetch_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_fetch_latency_ms: Option<f64>,
    #[serde(flatten)]
    updates: Option<UpdateInfo>,
}

#[derive(Serialize)]
struct UpdateInfo {
    unique_updates: usize,
    first_update_ns: u64,
    last_update_ns: u64,
    duration_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_update_interval_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    median_update_interval_ms: Option<f64>,
}

impl EndpointInfo {
    fn new(source: &TelemetrySource, updates: Option<&Updates>, epoch_ns: u64) -> Self {
        let wall = |stamp: u64| epoch_ns.saturating_add(stamp);
        let ends = updates.and_then(|updates| Some((updates, updates.list.first()?.at_ns, updates.list.last()?.at_ns)));
        let update_info = ends.map(|(updates, first, last)| UpdateInfo {
            unique_updates: updates.list.len(),
            first_update_ns: wall(first),
            last_update_ns: wall(last),
            duration_seconds: last.saturating_sub(first) as f64 / 1e9,
            avg_update_interval_ms: updates.intervals_ms().map(|(mean, _)| mean),
            median_update_interval_ms: updates.intervals_ms().map(|(_, median)| median),
        });
        Self {
            total_fetches: source.collections,
            first_fetch_ns: source.first_ns.map(wall),
            last_fetch_ns: source.last_ns.map(wall),
            avg_fetch_latency_ms: finite(source.mean_ms),
            updates: update_info,
        }
    }
}

#[derive(Serialize)]
struct Metric<'a> {
    r#type: &'a str,
    description: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    unit: &'a str,
    series: Vec<Series<'a>>,
}

#[derive(Serialize)]
struct Series<'a> {
    endpoint_url: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    stats: Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    buckets: Option<Buckets<'a>>,
}

/// The series of a phase by metric; one that several servers have stands there once, with the series of all.
fn metrics<'a>(report: &'a Report, phase: &'a PhaseReport) -> BTreeMap<&'a str, Metric<'a>> {
    let mut metrics = BTreeMap::new();
    for reading in telemetry::readings(report, phase, Subject::Server) {
        let (kind, figures) = figures(reading.series);
        if figures.is_empty() {
            continue;
        }
        let metric = reading.metric;
        let entry = metrics.entry(metric.name.as_str()).or_insert_with(|| Metric {
            r#type: kind,
            description: &metric.help,
            unit: &metric.unit,
            series: Vec::new(),
        });
        entry.series.push(Series {
            endpoint_url: &reading.source.name,
            labels: labels(reading.source, &reading.entity.labels),
            stats: Figures(figures),
            buckets: reading.series.histogram.as_ref().map(|histogram| Buckets(&histogram.buckets)),
        });
    }
    metrics
}

struct Figures(Vec<(String, f64)>);

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            match name.as_str() {
                "count" => map.serialize_entry(name, &Whole(*value))?,
                _ => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

/// Cumulative counts by bound, in the order of the bounds.
struct Buckets<'a>(&'a [Bucket]);

impl Serialize for Buckets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for bucket in self.0.iter().filter(|bucket| bucket.count.is_finite()) {
            map.serialize_entry(&bucket.le, &Whole(bucket.count))?;
        }
        map.end()
    }
}

/// A count, without a fraction where it has none.
struct Whole(f64);

impl Serialize for Whole {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && self.0.abs() < i64::MAX as f64 {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}
