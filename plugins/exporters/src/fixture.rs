//! Runs for the tests of all exporters, made of a run that AIPerf 0.13 measured and wrote.

use inferometer_plugin_sdk::{
    api::Output,
    documents::{
        Component, ErrorGroup, Export, LoadReport, MetricInfo, MetricResult, Outcomes, PhaseReport, Report, Run,
        Verdict,
    },
    types::{Outcome, Record, Result},
};
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) const SAMPLE_JSON: &str = include_str!("../tests/data/profile_export_aiperf.json");
pub(crate) const SAMPLE_CSV: &str = include_str!("../tests/data/profile_export_aiperf.csv");
pub(crate) const SAMPLE_JSONL: &str = include_str!("../tests/data/profile_export.jsonl");

/// An artifact folder and a terminal in memory.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) writes: usize,
    pub(crate) shown: String,
}

impl Disk {
    pub(crate) fn text(&self, file: &str) -> String {
        String::from_utf8(self.files[file].clone()).unwrap()
    }
}

impl Output for Disk {
    fn write(&mut self, file: &str, bytes: &[u8]) -> Result<()> {
        self.writes += 1;
        self.files.entry(file.to_owned()).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn show(&mut self, text: &str) -> Result<()> {
        self.shown.push_str(text);
        Ok(())
    }
}

fn sample() -> Value {
    serde_json::from_str(SAMPLE_JSON).unwrap()
}

/// The sample's metrics; their headers are in the CSV file, where the rows of either table are sorted by tag.
fn sample_metrics() -> BTreeMap<String, MetricResult> {
    let mut tables = SAMPLE_CSV.split("\r\n\r\n").map(|t| t.lines().skip(1).map(|row| row.split(',').next().unwrap()));
    let (mut distributions, mut scalars) = (tables.next().unwrap(), tables.next().unwrap());
    let sample: BTreeMap<String, Value> = serde_json::from_value(sample()).unwrap();
    let metrics = sample.into_iter().filter_map(|(tag, value)| {
        let unit = value.get("unit")?.as_str()?.to_owned();
        let label = if value.get("p50").is_some() { distributions.next() } else { scalars.next() }.unwrap();
        let header = label.strip_suffix(&format!(" ({unit})")).unwrap_or(label).to_owned();
        let info = MetricInfo { tag: tag.clone(), header, unit, larger_is_better: false };
        Some((tag, MetricResult { info, stats: serde_json::from_value(value).unwrap() }))
    });
    metrics.collect()
}

pub(crate) fn sample_run() -> Run {
    let sample = sample();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let first: Value = serde_json::from_str(SAMPLE_JSONL.lines().next().unwrap()).unwrap();
    let catalogue = first["metrics"].as_object().unwrap().iter().filter(|(_, m)| !m["value"].is_array());
    let components = ["console", "csv", "inputs", "json", "records"].map(|name| {
        serde_json::from_value::<Component>(
            serde_json::json!({"kind": "exporter", "name": name, "origin": "built-in", "version": "0.1.0"}),
        )
        .unwrap()
    });
    Run {
        version: "0.1.0".into(),
        benchmark_id: text(&sample["benchmark_id"]),
        epoch_ns: 1_795_288_691_000_000_000,
        command: text(&sample["run_info"]["cli_command"]),
        seed: 42,
        input_config: sample["input_config"].clone(),
        plan: serde_json::json!({"limits": {"duration": null}}),
        metrics: catalogue
            .map(|(tag, m)| MetricInfo { tag: tag.clone(), unit: text(&m["unit"]), ..MetricInfo::default() })
            .collect(),
        components: components.into(),
        export: Export { prefix: None, records: true, folder: "artifacts/mock-model-chat-concurrency4".into() },
        ..Run::default()
    }
}

/// 24 streaming chat requests, all well.
pub(crate) fn sample_report() -> Report {
    let profiling = PhaseReport {
        name: "profiling".into(),
        kind: "profiling".into(),
        start_ns: 888_043_000,
        end_ns: 1_697_351_000,
        outcomes: Outcomes { total: 24, ok: 24, ..Outcomes::default() },
        load: LoadReport {
            strategy: "concurrency".into(),
            asked: "4 requests in flight".into(),
            achieved: "3.8 requests in flight".into(),
            in_flight: Some(3.8),
            lag_p50_ms: Some(0.0214),
            lag_p99_ms: Some(0.31),
            ..LoadReport::default()
        },
        metrics: sample_metrics(),
        errors: Vec::new(),
    };
    Report {
        run: sample_run(),
        phases: vec![profiling],
        verdict: Verdict { state: "valid".into(), reasons: Vec::new() },
        ..Report::default()
    }
}

/// The same after a warm-up of four requests.
pub(crate) fn warmed_report() -> Report {
    let mut report = sample_report();
    let mut warmup = report.phases[0].clone();
    (warmup.name, warmup.kind) = ("warmup".into(), "warmup".into());
    warmup.outcomes = Outcomes { total: 4, ok: 4, ..Outcomes::default() };
    warmup.metrics.retain(|tag, _| tag == "request_count");
    warmup.metrics.get_mut("request_count").unwrap().stats.avg = Some(4.0);
    report.phases.insert(0, warmup);
    report
}

/// 200 requests of which none succeeded.
pub(crate) fn failed_report() -> Report {
    let mut report = sample_report();
    let phase = &mut report.phases[0];
    phase.metrics.clear();
    phase.outcomes = Outcomes { total: 200, error: 200, ..Outcomes::default() };
    phase.errors = vec![
        ErrorGroup {
            code: Some(404),
            kind: "http_status".into(),
            message: "{\"error\":{\"message\":\"The model `mock-modle` does not exist.\",\"type\":\"NotFoundError\"}}"
                .into(),
            count: 150,
        },
        ErrorGroup {
            code: None,
            kind: "connect".into(),
            message: "127.0.0.1:18100: connection refused".into(),
            count: 50,
        },
    ];
    report.incomplete_reason = Some("no request succeeded".into());
    report.verdict = Verdict { state: "invalid".into(), reasons: vec!["no request succeeded".into()] };
    report
}

/// What a [`Record`] borrows, owned.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) index: u64,
    pub(crate) session: u64,
    pub(crate) turn: u32,
    pub(crate) phase: u32,
    pub(crate) status: u32,
    pub(crate) outcome: Outcome,
    pub(crate) request_id: [u8; 16],
    pub(crate) correlation_id: [u8; 16],
    pub(crate) intended_ns: u64,
    pub(crate) permitted_ns: u64,
    pub(crate) headers_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) gaps_ns: Vec<u64>,
    pub(crate) values: Vec<f64>,
    pub(crate) conversation_id: String,
    pub(crate) phase_kind: String,
    pub(crate) error_type: String,
    pub(crate) error_message: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn record(&self) -> Record<'_> {
        Record {
            index: self.index,
            session: self.session,
            turn: self.turn,
            phase: self.phase,
            worker: 0,
            status: self.status,
            outcome: self.outcome,
            events: 16,
            request_id: self.request_id,
            correlation_id: self.correlation_id,
            intended_ns: self.intended_ns,
            permitted_ns: self.permitted_ns,
            sent_ns: self.permitted_ns,
            headers_ns: self.headers_ns,
            first_ns: self.headers_ns,
            last_ns: self.end_ns,
            end_ns: self.end_ns,
            gaps_ns: self.gaps_ns.as_slice().into(),
            values: self.values.as_slice().into(),
            conversation_id: self.conversation_id.as_str().into(),
            phase_name: "profiling".into(),
            phase_kind: self.phase_kind.as_str().into(),
            error_type: self.error_type.as_str().into(),
            error_message: self.error_message.as_str().into(),
            body: self.body.as_slice().into(),
            reserved: [0; 8],
        }
    }
}

/// The sample's first three requests.
pub(crate) fn sample_requests() -> Vec<Request> {
    let run = sample_run();
    let bits =
        |value: &Value| u128::from_str_radix(&value.as_str().unwrap().replace('-', ""), 16).unwrap().to_be_bytes();
    let request = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let (metadata, metrics) = (&line["metadata"], &line["metrics"]);
        let stamp = |key: &str| metadata[key].as_u64().unwrap() - run.epoch_ns;
        let gaps = metrics["inter_chunk_latency"]["value"].as_array().unwrap();
        Request {
            index: metadata["session_num"].as_u64().unwrap(),
            session: metadata["session_num"].as_u64().unwrap(),
            turn: 0,
            phase: 0,
            status: 200,
            outcome: Outcome::OK,
            request_id: bits(&metadata["x_request_id"]),
            correlation_id: bits(&metadata["x_correlation_id"]),
            intended_ns: stamp("credit_issued_ns"),
            permitted_ns: stamp("request_start_ns"),
            headers_ns: stamp("request_ack_ns"),
            end_ns: stamp("request_end_ns"),
            gaps_ns: gaps.iter().map(|gap| (gap.as_f64().unwrap() * 1e6).round() as u64).collect(),
            values: run.metrics.iter().map(|m| metrics[&m.tag]["value"].as_f64().unwrap()).collect(),
            conversation_id: metadata["conversation_id"].as_str().unwrap().to_owned(),
            phase_kind: "profiling".into(),
            error_type: String::new(),
            error_message: String::new(),
            body: b"{\"model\":\"mock-model\"}".to_vec(),
        }
    };
    SAMPLE_JSONL.lines().map(request).collect()
}
