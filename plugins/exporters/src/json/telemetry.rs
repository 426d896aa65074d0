//! Telemetry in the summary: GPUs in AIPerf's `telemetry_data`, and the rest of it for the key `inferometer`.

use super::Metric;
use crate::{
    stats::{any_measured, finite},
    telemetry::{self, Device, Reading},
};
use inferometer_plugin_sdk::documents::{PhaseReport, Report, Subject, TelemetrySource};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::collections::{BTreeMap, BTreeSet};

/// AIPerf's account of GPU telemetry; it is there, and empty, when no GPU was read.
#[derive(Serialize)]
pub(super) struct TelemetryData<'a> {
    summary: Summary<'a>,
    endpoints: BTreeMap<&'a str, Endpoint<'a>>,
    error_summary: Vec<Failure<'a>>,
}

#[derive(Serialize)]
struct Summary<'a> {
    endpoints_configured: Vec<&'a str>,
    endpoints_successful: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<&'a str>,
}

impl<'a> TelemetryData<'a> {
    pub(super) fn new(report: &'a Report, start_time: Option<&'a str>, end_time: Option<&'a str>) -> Self {
        let sources = || telemetry::sources(report, Subject::Device);
        let mut endpoints: BTreeMap<&str, Endpoint<'_>> = BTreeMap::new();
        for (device, readings) in report.profiling().into_iter().flat_map(|phase| telemetry::devices(report, phase)) {
            endpoints.entry(telemetry::endpoint(device.url)).or_default().gpus.add(device, &readings);
        }
        Self {
            summary: Summary {
                endpoints_configured: sources().map(|source| source.name.as_str()).collect(),
                endpoints_successful: sources().filter(|s| s.collections > 0).map(|s| s.name.as_str()).collect(),
                start_time,
                end_time,
            },
            endpoints,
            error_summary: sources().filter_map(Failure::new).collect(),
        }
    }
}

/// Why a source gave nothing, or nothing more.
#[derive(Serialize)]
struct Failure<'a> {
    error_details: FailureDetails<'a>,
    count: u64,
}

#[derive(Serialize)]
struct FailureDetails<'a> {
    r#type: &'static str,
    message: &'a str,
}

impl<'a> Failure<'a> {
    fn new(source: &'a TelemetrySource) -> Option<Self> {
        let message = source.failure.as_deref()?;
        Some(Self { error_details: FailureDetails { r#type: "telemetry", message }, count: 1 })
    }
}

#[derive(Default, Serialize)]
struct Endpoint<'a> {
    gpus: Gpus<'a>,
}

/// GPUs by a name of their own, in the order of their source.
#[derive(Default)]
struct Gpus<'a> {
    list: Vec<(String, Gpu<'a>)>,
    names: BTreeSet<String>,
}

impl<'a> Gpus<'a> {
    /// `gpu_<index>`; where that is taken, as with slices of one GPU or several hosts behind a page, with the device's
    /// id after it.
    fn add(&mut self, device: Device<'a>, readings: &[Reading<'a>]) {
        let short = format!("gpu_{}", device.index);
        let long = format!("{short}_{}", device.id);
        let numbered = (2..).map(|n| format!("{long}_{n}"));
        let mut names = [short, long.clone()].into_iter().chain(numbered);
        let name = names.find(|name| !self.names.contains(name)).expect("there are more numbers than devices");
        self.names.insert(name.clone());
        self.list.push((name, Gpu::new(device, readings)));
    }
}

impl Serialize for Gpus<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.list.iter().map(|(name, gpu)| (name, gpu)))
    }
}

#[derive(Serialize)]
struct Gpu<'a> {
    gpu_index: u64,
    gpu_name: &'a str,
    gpu_uuid: &'a str,
    platform: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    metrics: Metrics<'a>,
}

impl<'a> Gpu<'a> {
    fn new(device: Device<'a>, readings: &[Reading<'a>]) -> Self {
        Self {
            gpu_index: device.index,
            gpu_name: device.name,
            gpu_uuid: device.uuid,
            platform: device.platform,
            hostname: device.hostname,
            namespace: device.namespace,
            pod_name: device.pod_name,
            instance: device.instance,
            metrics: Metrics::new(readings),
        }
    }
}

/// Metrics by tag, in the order of their source.
struct Metrics<'a>(Vec<(&'a str, Metric<'a>)>);

impl<'a> Metrics<'a> {
    fn new(readings: &[Reading<'a>]) -> Self {
        let metric = |reading: &Reading<'a>| {
            let stats = reading.stats();
            let metric = Metric { unit: &reading.metric.unit, stats };
            any_measured(&stats).then_some((reading.metric.name.as_str(), metric))
        };
        Self(readings.iter().filter_map(metric).collect())
    }
}

impl Serialize for Metrics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (tag, metric) in &self.0 {
            map.serialize_entry(tag, metric)?;
        }
        map.end()
    }
}

/// A source, for the key `inferometer`: how it was read and why it ended, and what it says of the machine that makes the
/// load, for which AIPerf has no place. The figures of servers have a file of their own.
#[derive(Serialize)]
pub(super) struct Source<'a> {
    collector: &'a str,
    source: &'a str,
    subject: Subject,
    collections: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entities: Vec<Entity<'a>>,
}

#[derive(Serialize)]
struct Entity<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    metrics: Metrics<'a>,
}

/// All sources of the report.
pub(super) fn sources(report: &Report) -> Vec<Source<'_>> {
    let phase = |of: &TelemetrySource| report.profiling().filter(|_| of.subject == Subject::Client);
    let all = report.sources.iter().enumerate().map(|(place, of)| Source {
        collector: &of.collector,
        source: &of.name,
        subject: of.subject,
        collections: of.collections,
        first_ns: of.first_ns,
        last_ns: of.last_ns,
        mean_ms: finite(of.mean_ms),
        failure: of.failure.as_deref(),
        entities: phase(of).map(|phase| entities(report, phase, place)).unwrap_or_default(),
    });
    all.collect()
}

fn entities<'a>(report: &'a Report, phase: &'a PhaseReport, source: usize) -> Vec<Entity<'a>> {
    let mut by_entity: BTreeMap<usize, Vec<Reading<'a>>> = BTreeMap::new();
    let readings = telemetry::readings(report, phase, Subject::Client);
    for reading in readings.filter(|reading| reading.series.source == source) {
        by_entity.entry(reading.series.entity).or_default().push(reading);
    }
    let entity = |readings: Vec<Reading<'a>>| {
        let entity = readings.first()?.entity;
        Some(Entity { id: &entity.id, labels: &entity.labels, metrics: Metrics::new(&readings) })
    };
    by_entity.into_values().filter_map(entity).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{GPU_JSON, telemetry_report};
    use inferometer_plugin_sdk::documents::TelemetryEntity;
    use serde_json::{Value, json};

    fn telemetry_data(report: &Report) -> Value {
        serde_json::to_value(TelemetryData::new(report, None, None)).unwrap()
    }

    #[test]
    fn the_gpus_of_the_sample_come_out_as_aiperf_wrote_them() {
        let sample: Value = serde_json::from_str(GPU_JSON).unwrap();
        let (ours, theirs) = (telemetry_data(&telemetry_report()), &sample["telemetry_data"]);
        assert_eq!(ours["endpoints"], theirs["endpoints"]);
        for key in ["endpoints_configured", "endpoints_successful"] {
            assert_eq!(ours["summary"][key], theirs["summary"][key], "{key}");
        }
        let text = serde_json::to_string(&TelemetryData::new(&telemetry_report(), None, None)).unwrap();
        assert!(text.contains(r#""nvidia_energy_consumption":{"unit":"MJ","avg":0.00024000000000000003},"nvidia_gpu"#));
    }

    #[test]
    fn devices_that_share_a_number_have_names_of_their_own() {
        let mut report = telemetry_report();
        let slice =
            |id: &str| TelemetryEntity { id: id.into(), labels: [("gpu_index".to_owned(), "0".to_owned())].into() };
        report.sources[0].entities = vec![slice("GPU-a/1"), slice("GPU-a/2")];
        let mut twin = report.sources[0].clone();
        twin.name = "https://127.0.0.1:18100/dcgm/".into();
        report.sources.push(twin);
        let phase = &mut report.phases[1];
        let mut series = phase.telemetry[..2].to_vec();
        series.iter_mut().for_each(|series| series.source = 3);
        phase.telemetry.extend(series);
        let data = telemetry_data(&report);
        let gpus = data["endpoints"]["127.0.0.1:18100/dcgm"]["gpus"].as_object().unwrap();
        let names = gpus.keys().map(String::as_str).collect::<BTreeSet<_>>();
        assert_eq!(names, BTreeSet::from(["gpu_0", "gpu_0_GPU-a/2", "gpu_0_GPU-a/1", "gpu_0_GPU-a/2_2"]));
    }

    #[test]
    fn a_source_that_failed_says_why_and_the_client_is_under_our_own_key() {
        let mut report = telemetry_report();
        report.sources.push(TelemetrySource {
            collector: "dcgm".into(),
            name: "http://gpu-7:9400/metrics".into(),
            failure: Some("connection refused".into()),
            ..TelemetrySource::default()
        });
        let data = telemetry_data(&report);
        assert_eq!(data["summary"]["endpoints_configured"][1], "http://gpu-7:9400/metrics");
        assert_eq!(data["summary"]["endpoints_successful"].as_array().unwrap().len(), 1);
        assert_eq!(data["error_summary"][0]["error_details"]["message"], "connection refused");

        let own = serde_json::to_value(sources(&report)).unwrap();
        assert_eq!(own[3]["failure"], "connection refused");
        assert!(own[0].get("entities").is_none() && own[1].get("entities").is_none());
        assert_eq!(own[1]["subject"], "server");
        let cpu = &own[2]["entities"][0]["metrics"]["host_cpu_utilization"];
        assert_eq!(cpu, &json!({"unit": "%", "avg": 43.1, "max": 61.0, "count": 2}));
    }
}
