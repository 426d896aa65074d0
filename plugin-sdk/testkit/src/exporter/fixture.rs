//! Runs for exporters to write: an ordinary one, and some that they may not expect.

use super::telemetry::{self, Given};
use crate::law::HOSTILE;
use inferometer_plugin_sdk::{
    documents::{
        Component, ErrorGroup, Export, Kind, LoadReport, MetricInfo, MetricResult, Outcomes, PhaseReport, Precision,
        Report, Run, Stats, Terminal, Verdict,
    },
    types::{ABSENT_NS, Outcome, Record},
};

/// A run with its requests.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) report: Report,
    pub(super) requests: Vec<Finished>,
    pub(super) telemetry: Vec<Given>,
}

/// What a [`Record`] borrows, owned.
pub(super) struct Finished {
    index: u64,
    outcome: Outcome,
    /// Intended, permitted, sent, headers, first, last, end.
    stamps: [u64; 7],
    gaps_ns: Vec<u64>,
    values: Vec<f64>,
    /// Conversation, phase, error's kind, error's message.
    texts: [String; 4],
    body: Vec<u8>,
}

impl Finished {
    pub(super) fn record(&self) -> Record<'_> {
        let [conversation, phase, kind, message] = self.texts.each_ref().map(|text| text.as_str().into());
        let [intended_ns, permitted_ns, sent_ns, headers_ns, first_ns, last_ns, end_ns] = self.stamps;
        Record {
            index: self.index,
            session: self.index % 5,
            turn: (self.index / 5) as u32,
            phase: 0,
            worker: 0,
            status: if self.outcome == Outcome::OK { 200 } else { 0 },
            outcome: self.outcome,
            events: self.gaps_ns.len() as u32,
            request_id: (u128::from(self.index) << 64 | 1).to_be_bytes(),
            correlation_id: (u128::from(self.index % 5) << 64 | 2).to_be_bytes(),
            intended_ns,
            permitted_ns,
            sent_ns,
            headers_ns,
            first_ns,
            last_ns,
            end_ns,
            gaps_ns: self.gaps_ns.as_slice().into(),
            values: self.values.as_slice().into(),
            conversation_id: conversation,
            phase_name: phase,
            phase_kind: "profiling".into(),
            error_type: kind,
            error_message: message,
            body: self.body.as_slice().into(),
            reserved: [0; 8],
        }
    }
}

fn requests(metrics: usize) -> Vec<Finished> {
    (0..23)
        .map(|index| {
            let start = index * 1_234_567;
            let failed = index % 7 == 6;
            let end = start + 40_000_003;
            Finished {
                index,
                outcome: if failed { Outcome::ERROR } else { Outcome::OK },
                stamps: if failed {
                    [start, start + 10, start + 20, ABSENT_NS, ABSENT_NS, ABSENT_NS, end]
                } else {
                    [start, start + 10, start + 20, start + 5_000_000, start + 9_000_000, end, end]
                },
                gaps_ns: if failed { Vec::new() } else { vec![1_000_000, 1_250_000, 999_999] },
                values: (0..metrics).map(|n| if failed { f64::NAN } else { n as f64 + index as f64 / 3.0 }).collect(),
                texts: [
                    format!("session_{:06}", index % 5),
                    "profiling".to_owned(),
                    if failed { "connect" } else { "" }.to_owned(),
                    if failed { "connection refused" } else { "" }.to_owned(),
                ],
                body: format!(r#"{{"model":"m","messages":[{{"role":"user","content":"Say {index}."}}]}}"#)
                    .into_bytes(),
            }
        })
        .collect()
}

fn metric(tag: &str, header: &str, unit: &str) -> MetricInfo {
    MetricInfo { tag: tag.to_owned(), header: header.to_owned(), unit: unit.to_owned(), larger_is_better: false }
}

fn run() -> Run {
    Run {
        version: "1.2.3".into(),
        benchmark_id: "0123456789ab".into(),
        epoch_ns: 1_700_000_000_000_000_000,
        command: "inferometer profile --model m".into(),
        seed: 42,
        input_config: serde_json::json!({"endpoint": {"model_names": ["m"], "streaming": true}}),
        plan: serde_json::json!({"limits": {"duration": null}}),
        metrics: vec![
            metric("time_to_first_token", "Time to First Token", "ms"),
            metric("request_latency", "Request Latency", "ms"),
            metric("output_sequence_length", "Output Sequence Length", "tokens"),
        ],
        components: vec![Component {
            kind: Kind::Endpoint,
            name: "chat".into(),
            origin: "built-in".into(),
            version: "1.2.3".into(),
            sha256: None,
        }],
        export: Export {
            prefix: None,
            records: true,
            folder: "artifacts".into(),
            server_metrics: ["json", "csv", "jsonl"].map(str::to_owned).into(),
        },
        terminal: Terminal::default(),
    }
}

pub(super) fn all_stats(value: f64) -> Stats {
    let some = Some(value);
    Stats {
        avg: some,
        p1: some,
        p5: some,
        p10: some,
        p25: some,
        p50: some,
        p75: some,
        p90: some,
        p95: some,
        p99: some,
        min: some,
        max: some,
        std: some,
        count: Some(20),
        sum: some,
    }
}

fn ordinary() -> Case {
    let run = run();
    let scalar = MetricResult {
        info: metric("request_throughput", "Request Throughput", "requests/sec"),
        stats: Stats { avg: Some(12.5), ..Stats::default() },
    };
    let full = run.metrics.iter().map(|info| MetricResult { info: info.clone(), stats: all_stats(1234.5) });
    let metrics = full.chain([scalar]).map(|result| (result.info.tag.clone(), result)).collect();
    let phase = PhaseReport {
        name: "profiling".into(),
        kind: "profiling".into(),
        start_ns: 0,
        end_ns: 70_000_000,
        outcomes: Outcomes { total: 23, ok: 20, error: 3, ..Outcomes::default() },
        load: LoadReport {
            strategy: "concurrency".into(),
            asked: "4 requests in flight".into(),
            achieved: "3.8 requests in flight".into(),
            in_flight: Some(3.8),
            lag_p50_ms: Some(0.02),
            lag_p99_ms: Some(0.31),
            ..LoadReport::default()
        },
        metrics,
        errors: vec![ErrorGroup { code: None, kind: "connect".into(), message: "connection refused".into(), count: 3 }],
        telemetry: telemetry::series(),
        precision: Some(Precision {
            ttft_error_ms: Some(0.02),
            kernel_stamped_share: Some(1.0),
            ..Precision::default()
        }),
    };
    let telemetry = telemetry::given();
    let sources = telemetry::sources(&telemetry);
    let requests = requests(run.metrics.len());
    let verdict = Verdict { state: "valid".into(), reasons: Vec::new() };
    let report =
        Report { run, phases: vec![phase], verdict, notes: vec!["One note.".into()], sources, ..Report::default() };
    Case { name: "an ordinary run", report, requests, telemetry }
}

/// Nothing was sent, nothing is known.
fn empty() -> Case {
    Case {
        name: "a run of which nothing is known",
        report: Report::default(),
        requests: Vec::new(),
        telemetry: Vec::new(),
    }
}

/// Sent, and nothing came of it.
fn without_results() -> Case {
    let mut case = Case { name: "a run without a result", ..ordinary() };
    let phase = &mut case.report.phases[0];
    phase.metrics.clear();
    phase.load = LoadReport::default();
    phase.precision = None;
    phase.telemetry.clear();
    case.requests.retain(|request| request.outcome == Outcome::ERROR);
    for source in &mut case.report.sources {
        (source.collections, source.failure) = (0, Some("connection refused".into()));
    }
    case.telemetry.clear();
    case.report.incomplete_reason = Some("no request succeeded".into());
    case.report.was_cancelled = true;
    case
}

/// Numbers that no JSON can say, and stamps at the ends of time.
fn odd_numbers() -> Case {
    let mut case = Case { name: "a run of odd numbers", ..ordinary() };
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MAX, f64::MIN_POSITIVE, -1.0];
    let phase = &mut case.report.phases[0];
    for (result, value) in phase.metrics.values_mut().zip(odd) {
        result.stats = all_stats(value);
    }
    let of = Some(f64::NAN);
    phase.load = LoadReport {
        asked_rate: of,
        achieved_rate: of,
        in_flight: of,
        tail_s: of,
        lag_p50_ms: of,
        ..LoadReport::default()
    };
    phase.precision = Some(Precision {
        ttft_error_ms: of,
        itl_error_ms: Some(f64::INFINITY),
        itl_error_pct: Some(f64::MAX),
        receive_lag_p99_ms: Some(-1.0),
        ..Precision::default()
    });
    (phase.start_ns, phase.end_ns) = (u64::MAX, 0);
    phase.outcomes.total = u64::MAX;
    phase.errors[0].code = Some(u32::MAX);
    for (n, request) in case.requests.iter_mut().enumerate() {
        request.values.iter_mut().enumerate().for_each(|(i, value)| *value = odd[(i + n) % odd.len()]);
        request.stamps = if n % 2 == 0 { [ABSENT_NS; 7] } else { [ABSENT_NS - 1, 0, ABSENT_NS - 1, 5, 3, 2, 1] };
        request.gaps_ns = vec![0, u64::MAX];
        request.outcome = Outcome(n as u32);
    }
    telemetry::make_odd(&mut case, &odd);
    case.report.run.epoch_ns = u64::MAX;
    case.report.run.terminal.width = 0;
    case
}

/// Strings of a server, a data set and a user who mean no good.
fn hostile() -> Case {
    let mut case = Case { name: "a run of hostile strings", ..ordinary() };
    for (n, request) in case.requests.iter_mut().enumerate() {
        let text = HOSTILE[n % HOSTILE.len()];
        request.texts = [text; 4].map(str::to_owned);
        request.body = text.as_bytes().to_vec();
        request.body.extend((n % 2 == 0).then_some(0xff));
        request.outcome = Outcome::ERROR;
    }
    let all = HOSTILE.concat();
    telemetry::make_hostile(&mut case, &all);
    let report = &mut case.report;
    for info in &mut report.run.metrics {
        (info.header, info.unit) = (all.clone(), all.clone());
    }
    let phase = &mut report.phases[0];
    let errors = HOSTILE.iter().map(|text| ErrorGroup {
        code: Some(500),
        kind: (*text).to_owned(),
        message: text.repeat(50),
        count: 1,
    });
    phase.errors = errors.collect();
    for result in phase.metrics.values_mut() {
        (result.info.header, result.info.unit) = (all.clone(), all.clone());
    }
    let load = &mut phase.load;
    for text in [&mut phase.name, &mut load.strategy, &mut load.asked, &mut load.achieved] {
        text.clone_from(&all);
    }
    report.notes = HOSTILE.map(str::to_owned).to_vec();
    report.verdict = Verdict { state: all.clone(), reasons: report.notes.clone() };
    report.incomplete_reason = Some(all.clone());
    let run = &mut report.run;
    for text in [&mut run.version, &mut run.benchmark_id, &mut run.command, &mut run.export.folder] {
        text.clone_from(&all);
    }
    run.components.iter_mut().for_each(|component| component.origin.clone_from(&all));
    run.input_config = serde_json::json!({ all.clone(): all.clone() });
    run.plan = serde_json::json!([all]);
    case
}

/// All of them; the first is the ordinary one.
pub(super) fn cases() -> [Case; 5] {
    [ordinary(), empty(), without_results(), odd_numbers(), hostile()]
}
