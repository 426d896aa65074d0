//! Laws of every exporter.

use super::{Fault, HOSTILE, Law, Maker, Verdict, broken, survives};
use inferometer_abi::{
    RSlice,
    api::{Exporter, Output},
    documents::{Export, MetricInfo, MetricResult, PhaseReport, Report, Run, Stats},
    types::{ABSENT_NS, Error, ErrorKind, Outcome, Record, Result},
};
use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

pub(super) const LAWS: [Law<dyn Exporter>; 2] = [
    ("writes the same run alike, inside its folder, as what its files are called", writes_alike),
    ("tells of an output that fails", tells_of_failures),
];

/// A folder and a terminal in memory.
#[derive(Default, PartialEq)]
struct Folder {
    files: BTreeMap<String, Vec<u8>>,
    shown: String,
    refused: Vec<String>,
    calls: usize,
    is_full: bool,
}

impl Folder {
    fn is_called(&mut self) -> Result<()> {
        self.calls += 1;
        if self.is_full { Err(Error::new(ErrorKind::IO, "no space left on device")) } else { Ok(()) }
    }
}

impl Output for Folder {
    fn write(&mut self, file: &str, bytes: &[u8]) -> Result<()> {
        self.is_called()?;
        let mut parts = Path::new(file).components().peekable();
        if parts.peek().is_none() || !parts.all(|part| matches!(part, Component::Normal(_))) || file.contains('\0') {
            self.refused.push(file.to_owned());
            return Err(Error::new(ErrorKind::IO, format!("{file}: leaves the folder")));
        }
        self.files.entry(file.to_owned()).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn show(&mut self, text: &str) -> Result<()> {
        self.is_called()?;
        self.shown.push_str(text);
        Ok(())
    }
}

/// Runs to export, each with its number of records.
fn runs() -> [(&'static str, Report, usize); 3] {
    let metric = |tag: &str| MetricInfo {
        tag: tag.to_owned(),
        header: tag.to_owned(),
        unit: "ms".into(),
        larger_is_better: false,
    };
    let stats = Stats { avg: Some(12.5), p50: Some(12.0), p99: Some(20.0), count: Some(20), ..Stats::default() };
    let run = Run {
        version: "1.2.3".into(),
        benchmark_id: "0123456789ab".into(),
        command: "inferometer profile --model m".into(),
        metrics: vec![metric("request_latency")],
        export: Export { records: true, folder: "artifacts".into(), ..Export::default() },
        ..Run::default()
    };
    let result = MetricResult { info: metric("request_latency"), stats };
    let phase = PhaseReport {
        name: "profiling".into(),
        kind: "profiling".into(),
        end_ns: 70_000_000,
        metrics: [("request_latency".to_owned(), result)].into(),
        ..PhaseReport::default()
    };
    let ordinary = Report { run, phases: vec![phase], ..Report::default() };
    let mut hostile = ordinary.clone();
    hostile.run.command = HOSTILE.join(" ");
    hostile.notes = HOSTILE.map(str::to_owned).into();
    hostile.phases[0].name = HOSTILE[2].to_owned();
    [("an ordinary run", ordinary, 20), ("a run of odd texts", hostile, 20), ("an empty run", Report::default(), 0)]
}

fn record(index: usize, metrics: usize) -> Record<'static> {
    const VALUES: [f64; 1] = [12.5];
    let start = index as u64 * 1_000_000;
    let has_failed = index % 7 == 6;
    let text = HOSTILE[index % HOSTILE.len()];
    Record {
        index: index as u64,
        session: index as u64,
        turn: 0,
        phase: 0,
        worker: 0,
        status: if has_failed { 0 } else { 200 },
        outcome: if has_failed { Outcome::ERROR } else { Outcome::OK },
        events: 3,
        request_id: [7; 16],
        correlation_id: [8; 16],
        intended_ns: start,
        permitted_ns: start + 10,
        sent_ns: start + 20,
        headers_ns: if has_failed { ABSENT_NS } else { start + 5_000_000 },
        first_ns: if has_failed { ABSENT_NS } else { start + 9_000_000 },
        last_ns: if has_failed { ABSENT_NS } else { start + 12_000_000 },
        end_ns: start + 12_500_000,
        gaps_ns: RSlice::from_slice(&[1_000_000, 2_000_000]),
        values: VALUES[..metrics].into(),
        conversation_id: text.into(),
        phase_name: "profiling".into(),
        phase_kind: "profiling".into(),
        error_type: if has_failed { "connect" } else { "" }.into(),
        error_message: if has_failed { text } else { "" }.into(),
        body: RSlice::from_slice(b"{}"),
        reserved: [0; 8],
    }
}

fn export(
    make: Maker<'_, dyn Exporter>,
    report: &Report,
    records: usize,
    batch: usize,
    out: &mut Folder,
) -> std::result::Result<Result<()>, Fault> {
    let mut exporter = make()?;
    let records: Vec<Record<'_>> = (0..records).map(|index| record(index, report.run.metrics.len())).collect();
    let begun = survives(exporter.begin(&report.run, out), || "the beginning of a run".to_owned())?;
    if begun.is_err() {
        return Ok(begun);
    }
    for records in records.chunks(batch) {
        let taken = survives(exporter.records(records, out), || "records".to_owned())?;
        if taken.is_err() {
            return Ok(taken);
        }
    }
    survives(exporter.finish(report, out), || "the end of a run".to_owned())
}

fn writes_alike(make: Maker<'_, dyn Exporter>) -> Verdict {
    let mut names = String::new();
    for (name, report, records) in runs() {
        let (mut first, mut again) = (Folder::default(), Folder::default());
        for (batch, out) in [(8, &mut first), (1, &mut again)] {
            if let Err(error) = export(make, &report, records, batch, out)? {
                let refused = out.refused.join(", ");
                return Err(broken(format_args!(
                    "{name} is not written: {error}{}{refused}",
                    if refused.is_empty() { "" } else { "; it wrote to " }
                )));
            }
        }
        (first.calls, again.calls) = (0, 0);
        if first != again {
            return Err(broken(format_args!("{name}, handed over in other portions, is written otherwise")));
        }
        if names.is_empty() {
            names = first.files.keys().cloned().collect::<Vec<_>>().join(", ");
        }
        for (file, bytes) in &first.files {
            let is_json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).is_ok();
            let is_good = match Path::new(file).extension().and_then(|ending| ending.to_str()) {
                Some("json") => is_json(bytes),
                Some("jsonl") => bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).all(is_json),
                _ => true,
            };
            if !is_good {
                return Err(broken(format_args!("{file}, of {name}, is not the JSON that it is called")));
            }
        }
    }
    Ok(names)
}

fn tells_of_failures(make: Maker<'_, dyn Exporter>) -> Verdict {
    let [(_, report, records), ..] = runs();
    let mut out = Folder { is_full: true, ..Folder::default() };
    let done = export(make, &report, records, 8, &mut out)?;
    match (out.calls, done) {
        (0, _) => Err(Fault::Untried("it writes nothing of an ordinary run through its output".to_owned())),
        (_, Ok(())) => Err(broken("nothing could be written, and it said that all went well")),
        (_, Err(_)) => Ok(String::new()),
    }
}
