//! `profile_export_aiperf.json`: the summary, in AIPerf's schema 1.4.
//!
//! What inferometer knows beyond that schema stands under the one key `inferometer`. There are no nulls: what was not
//! measured is absent.

mod own;
mod telemetry;

use self::{own::Own, telemetry::TelemetryData};
use crate::{
    clock, names,
    stats::{JSON_TAIL, finite, json_head, measured},
};
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{Exporter, Output},
    documents::{ErrorGroup, MetricResult, PhaseReport, Report, Stats},
    exporter,
    types::{Error, ErrorKind, Result},
};
use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap},
};
use serde_json::Value;
use std::collections::BTreeMap;

const SCHEMA_VERSION: &str = "1.4";
/// The version of AIPerf whose schema this is.
const AIPERF_VERSION: &str = "0.13.0";

/// The metrics that come before the description of the run, in AIPerf's order; all others follow it by tag.
const LEADING: [&str; 24] = [
    "request_throughput",
    "request_latency",
    "request_count",
    "time_to_first_token",
    "time_to_second_token",
    "inter_token_latency",
    "output_token_throughput",
    "output_token_throughput_per_user",
    "output_sequence_length",
    "input_sequence_length",
    "goodput",
    "good_request_count",
    "output_token_count",
    "reasoning_token_count",
    "min_request_timestamp",
    "max_response_timestamp",
    "inter_chunk_latency",
    "total_output_tokens",
    "total_reasoning_tokens",
    "benchmark_duration",
    "total_isl",
    "total_osl",
    "error_request_count",
    "total_error_isl",
];

struct Json;

impl Component for Json {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl Exporter for Json {
    fn finish(&mut self, report: &Report, out: &mut dyn Output) -> Result<()> {
        let file = names::json(&report.run.export);
        let text = serde_json::to_vec_pretty(&Summary(report))
            .map_err(|e| Error::new(ErrorKind::OTHER, format!("{file} could not be put together: {e}")))?;
        out.write(&file, &text)
    }
}

exporter! { name: "json", summary: "Writes the summary as JSON, in AIPerf's schema.", component: Json }

/// The whole file.
struct Summary<'a>(&'a Report);

impl Serialize for Summary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let report = self.0;
        let run = &report.run;
        let phase = report.profiling();
        let metric = |tag: &str| phase.and_then(|p| p.metrics.get(tag)).filter(|m| measured(m));
        let time = |stamp: Option<u64>| stamp.and_then(|stamp| clock::wall_text(run.epoch_ns, stamp));
        let (start_time, end_time) = (time(phase.map(|p| p.start_ns)), time(phase.map(|p| p.end_ns)));

        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema_version", SCHEMA_VERSION)?;
        map.serialize_entry("aiperf_version", AIPERF_VERSION)?;
        map.serialize_entry("inferometer_version", &run.version)?;
        map.serialize_entry("benchmark_id", &run.benchmark_id)?;
        for tag in LEADING {
            if let Some(metric) = metric(tag) {
                map.serialize_entry(tag, &Metric::new(metric))?;
            }
        }
        let (start_time, end_time) = (start_time.as_deref(), end_time.as_deref());
        map.serialize_entry("telemetry_data", &TelemetryData::new(report, start_time, end_time))?;
        map.serialize_entry("input_config", &object(&run.input_config))?;
        let run_info = RunInfo { benchmark_id: &run.benchmark_id, trial: 0, cli_command: &run.command };
        map.serialize_entry("run_info", &run_info)?;
        map.serialize_entry("was_cancelled", &report.was_cancelled)?;
        map.serialize_entry("is_complete", &(!report.was_cancelled && report.incomplete_reason.is_none()))?;
        if let Some(reason) = &report.incomplete_reason {
            map.serialize_entry("incomplete_reason", reason)?;
        }
        // A run that ended before its profiling phase has its cause in the phase it ended in.
        let errors = phase.or(report.phases.last()).map(|p| p.errors.as_slice()).unwrap_or_default();
        map.serialize_entry("error_summary", &error_summary(errors))?;
        for (key, time) in [("start_time", start_time), ("end_time", end_time)] {
            if let Some(time) = time {
                map.serialize_entry(key, time)?;
            }
        }
        if let Some(warmup) = report.phases.iter().rev().find(|p| p.kind == "warmup") {
            map.serialize_entry("warmup_metrics", &all_metrics(warmup))?;
        }
        for (tag, metric) in phase.map(all_metrics).unwrap_or_default() {
            if !LEADING.contains(&tag) {
                map.serialize_entry(tag, &metric)?;
            }
        }
        map.serialize_entry("inferometer", &Own::new(report).map_err(S::Error::custom)?)?;
        map.end()
    }
}

fn all_metrics(phase: &PhaseReport) -> BTreeMap<&str, Metric<'_>> {
    phase.metrics.iter().filter(|(_, m)| measured(m)).map(|(tag, m)| (tag.as_str(), Metric::new(m))).collect()
}

/// `{unit, avg, p1 … p99, min, max, std, count, sum}`, as far as measured.
struct Metric<'a> {
    unit: &'a str,
    stats: Stats,
}

impl<'a> Metric<'a> {
    fn new(metric: &'a MetricResult) -> Self {
        Self { unit: &metric.info.unit, stats: metric.stats }
    }
}

impl Serialize for Metric<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stats = &self.stats;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("unit", self.unit)?;
        for (name, get) in json_head() {
            if let Some(value) = finite(get(stats)) {
                map.serialize_entry(name, &value)?;
            }
        }
        if let Some(count) = stats.count {
            map.serialize_entry("count", &count)?;
        }
        if let Some(sum) = finite(JSON_TAIL.1(stats)) {
            map.serialize_entry(JSON_TAIL.0, &sum)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct RunInfo<'a> {
    benchmark_id: &'a str,
    trial: u32,
    cli_command: &'a str,
}

#[derive(Serialize)]
struct ErrorEntry<'a> {
    error_details: ErrorDetails<'a>,
    count: u64,
}

#[derive(Serialize)]
struct ErrorDetails<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u32>,
    r#type: &'a str,
    message: &'a str,
}

fn error_summary(errors: &[ErrorGroup]) -> Vec<ErrorEntry<'_>> {
    errors.iter().map(ErrorEntry::new).collect()
}

impl<'a> ErrorEntry<'a> {
    fn new(group: &'a ErrorGroup) -> Self {
        let error_details = ErrorDetails { code: group.code, r#type: &group.kind, message: &group.message };
        Self { error_details, count: group.count }
    }
}

/// `value` without nulls, at any depth; an empty object if it is null itself.
pub(crate) fn object(value: &Value) -> Value {
    without_nulls(value).unwrap_or_else(|| Value::Object(serde_json::Map::new()))
}

fn without_nulls(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(items) => Some(Value::Array(items.iter().filter_map(without_nulls).collect())),
        Value::Object(map) => {
            let kept = map.iter().filter_map(|(key, value)| Some((key.clone(), without_nulls(value)?)));
            Some(Value::Object(kept.collect()))
        }
        other => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Disk, SAMPLE_JSON, failed_report, phased_report, sample_report, warmed_report};
    use inferometer_plugin_sdk::documents::Precision;

    fn export(report: &Report) -> String {
        let mut disk = Disk::default();
        Json.finish(report, &mut disk).unwrap();
        disk.text("profile_export_aiperf.json")
    }

    fn parsed(report: &Report) -> Value {
        serde_json::from_str(&export(report)).unwrap()
    }

    /// The file's top-level keys, in the order in which they stand.
    fn keys(text: &str) -> Vec<&str> {
        text.lines().filter_map(|l| l.strip_prefix("  \"")?.split_once('"').map(|(key, _)| key)).collect()
    }

    fn has_null(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Array(items) => items.iter().any(has_null),
            Value::Object(map) => map.values().any(has_null),
            _ => false,
        }
    }

    #[test]
    fn every_key_of_the_sample_is_there_with_its_type_unit_and_value() {
        let (ours, sample) = (parsed(&sample_report()), serde_json::from_str::<Value>(SAMPLE_JSON).unwrap());
        for (key, theirs) in sample.as_object().unwrap() {
            let our = ours.get(key).unwrap_or_else(|| panic!("{key} is missing"));
            if ["start_time", "end_time", "telemetry_data"].contains(&key.as_str()) {
                assert_same_shape(key, our, theirs);
            } else {
                assert_eq!(our, theirs, "{key}");
            }
        }
        assert_eq!(ours["start_time"], "2026-11-21T19:18:11.888043Z");
        assert_eq!(ours["end_time"], "2026-11-21T19:18:12.697351Z");
    }

    fn assert_same_shape(at: &str, ours: &Value, theirs: &Value) {
        match (ours, theirs) {
            (Value::Object(ours), Value::Object(theirs)) => {
                assert!(ours.keys().eq(theirs.keys()), "{at}");
                for (key, theirs) in theirs {
                    assert_same_shape(key, &ours[key], theirs);
                }
            }
            (Value::String(_), Value::String(_)) => {}
            _ => assert_eq!(ours, theirs, "{at}"),
        }
    }

    #[test]
    fn the_keys_stand_in_the_order_of_the_sample_and_ours_is_the_last() {
        let text = export(&sample_report());
        let ours = keys(&text);
        let head = keys(SAMPLE_JSON).into_iter().take_while(|key| *key != "http_req_blocked").collect::<Vec<_>>();
        let ours_of_theirs = ours.iter().copied().filter(|key| *key != "inferometer_version").collect::<Vec<_>>();
        assert_eq!(ours_of_theirs[..head.len()], head);
        assert_eq!(ours.last(), Some(&"inferometer"));
        assert_eq!(SAMPLE_JSON.lines().nth(1), text.lines().nth(1), "two blanks of indentation");
    }

    #[test]
    fn what_inferometer_adds_stands_under_one_key_without_nulls() {
        let mut report = sample_report();
        report.phases[0].load.asked_rate = Some(f64::NAN);
        let known = Precision { ttft_error_ms: Some(0.02), kernel_stamped_share: Some(1.0), ..Precision::default() };
        report.phases[0].precision = Some(Precision { itl_error_pct: Some(f64::NAN), ..known });
        let ours = parsed(&report);
        let own = &ours["inferometer"];
        assert_eq!(own["outcomes"]["ok"], 24);
        assert_eq!(own["window"]["duration_sec"], 0.809308);
        assert_eq!(own["load"]["asked"], "4 requests in flight");
        assert_eq!(own["verdict"]["state"], "valid");
        assert_eq!(own["components"][0]["name"], "console");
        assert_eq!(own["plan"], serde_json::json!({"limits": {}}));
        assert_eq!(own["seed"], 42);
        assert_eq!(own["precision"], serde_json::json!({"ttft_error_ms": 0.02, "kernel_stamped_share": 1.0}));
        assert!(own.get("telemetry").is_none());
        assert!(!has_null(&ours));
    }

    #[test]
    fn the_load_is_told_with_all_that_was_measured_of_it_and_no_more() {
        let mut report = sample_report();
        assert!(parsed(&report)["inferometer"]["load"].get("late").is_none());
        let load = &mut report.phases[0].load;
        (load.late, load.late_ms, load.concurrency_unit) = (Some(3), Some(10.0), Some("sessions".into()));
        (load.burst_spread_ms, load.waited_for_data) = (Some(7.5), Some(2));
        let load = &parsed(&report)["inferometer"]["load"];
        assert_eq!(
            (&load["late"], &load["late_ms"], &load["concurrency_unit"]),
            (&3.into(), &10.0.into(), &"sessions".into())
        );
        assert_eq!((&load["burst_spread_ms"], &load["waited_for_data"]), (&7.5.into(), &2.into()));
    }

    #[test]
    fn several_phases_are_told_each_with_all_of_its_own() {
        let ours = parsed(&phased_report());
        let [slow, last] = ours["inferometer"]["phases"].as_array().unwrap().as_slice() else { panic!("two phases") };
        assert_eq!((&slow["name"], &slow["kind"]), (&"slow, \"cold\"".into(), &"profiling".into()));
        assert_eq!((&slow["window"]["start_ns"], &slow["window"]["duration_sec"]), (&100_000_000.into(), &0.7.into()));
        assert_eq!((&slow["outcomes"]["ok"], &slow["load"]["late"]), (&12.into(), &9.into()));
        assert_eq!(
            (&slow["metrics"]["request_count"]["avg"], &last["metrics"]["request_count"]["avg"]),
            (&12.0.into(), &24.0.into())
        );
        assert_eq!(slow["error_summary"][0]["error_details"]["code"], 503);
        assert_eq!((&last["load"], &last["window"]), (&ours["inferometer"]["load"], &ours["inferometer"]["window"]));
        assert_eq!(ours["request_count"]["avg"], 24.0);
        assert!(!has_null(&ours));
        assert_eq!(parsed(&warmed_report())["inferometer"]["phases"][0]["kind"], "warmup");
        assert!(parsed(&sample_report())["inferometer"].get("phases").is_none());
    }

    #[test]
    fn goodput_says_which_latencies_it_goes_by() {
        let mut report = sample_report();
        assert!(parsed(&report)["inferometer"].get("goodput_view").is_none());
        let metrics = &mut report.phases[0].metrics;
        metrics.insert("goodput".into(), metrics["request_throughput"].clone());
        assert_eq!(parsed(&report)["inferometer"]["goodput_view"], "service");
        let metrics = &mut report.phases[0].metrics;
        metrics.insert("intended_latency".into(), metrics["request_latency"].clone());
        assert_eq!(parsed(&report)["inferometer"]["goodput_view"], "intended");
    }

    #[test]
    fn a_warm_up_has_its_own_metrics() {
        let ours = parsed(&warmed_report());
        assert_eq!(ours["warmup_metrics"]["request_count"]["avg"], 4.0);
        assert_eq!(ours["request_count"]["avg"], 24.0);
        assert!(parsed(&sample_report()).get("warmup_metrics").is_none());
    }

    #[test]
    fn a_failed_run_says_why_and_holds_no_metric() {
        let ours = parsed(&failed_report());
        let error = &ours["error_summary"][0];
        assert_eq!(error["error_details"]["code"], 404);
        assert_eq!(error["error_details"]["type"], "http_status");
        assert_eq!(error["count"], 150);
        assert!(ours["error_summary"][1]["error_details"].get("code").is_none());
        assert_eq!(ours["is_complete"], false);
        assert_eq!(ours["incomplete_reason"], "no request succeeded");
        assert!(ours.get("request_latency").is_none());
        assert!(!has_null(&ours));

        let mut in_warmup = failed_report();
        in_warmup.phases[0].kind = "warmup".into();
        let ours = parsed(&in_warmup);
        assert_eq!(ours["error_summary"][0]["count"], 150);
        assert_eq!(ours["warmup_metrics"], serde_json::json!({}));
    }

    #[test]
    fn what_is_not_a_number_is_left_out_and_an_empty_report_is_still_a_file() {
        let mut report = sample_report();
        let latency = report.phases[0].metrics.get_mut("request_latency").unwrap();
        (latency.stats.avg, latency.stats.sum) = (Some(f64::NAN), Some(f64::INFINITY));
        report.phases[0].metrics.get_mut("request_throughput").unwrap().stats.avg = Some(f64::NAN);
        let ours = parsed(&report);
        assert!(ours["request_latency"].get("avg").is_none() && ours["request_latency"].get("sum").is_none());
        assert!(ours.get("request_throughput").is_none());

        let empty = parsed(&Report::default());
        assert_eq!(empty["error_summary"], serde_json::json!([]));
        assert!(empty.get("start_time").is_none() && !has_null(&empty));
    }

    #[test]
    fn the_same_report_gives_the_same_bytes() {
        assert_eq!(export(&warmed_report()), export(&warmed_report()));
    }
}
