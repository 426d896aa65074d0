//! What AIPerf's schema has no place for, under the key `inferometer`.

use super::{ErrorEntry, Metric, all_metrics, error_summary, object, telemetry};
use crate::stats::is_judged_from_schedule;
use inferometer_plugin_sdk::{
    documents::{Component, Outcomes, PhaseReport, Report, Run, Verdict},
    types::ABSENT_NS,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Serialize)]
pub(super) struct Own<'a> {
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcomes: Option<Outcomes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Value>,
    /// Which latencies goodput goes by: `intended`, from the schedule, or `service`, from the leave to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    goodput_view: Option<&'static str>,
    /// All of them, in a run of several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    phases: Vec<Phase<'a>>,
    verdict: &'a Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<Value>,
    notes: &'a [String],
    components: &'a [Component],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    telemetry: Vec<telemetry::Source<'a>>,
    plan: Value,
    seed: u64,
}

/// The time that rates divide by; stamps count from `epoch_ns`.
#[derive(Serialize)]
struct Window {
    epoch_ns: u64,
    start_ns: u64,
    end_ns: u64,
    duration_sec: f64,
}

impl Window {
    fn of(run: &Run, phase: &PhaseReport) -> Option<Self> {
        let PhaseReport { start_ns, end_ns, .. } = *phase;
        (start_ns <= end_ns && end_ns != ABSENT_NS).then(|| Self {
            epoch_ns: run.epoch_ns,
            start_ns,
            end_ns,
            duration_sec: (end_ns - start_ns) as f64 / 1e9,
        })
    }
}

/// One of several phases.
#[derive(Serialize)]
struct Phase<'a> {
    name: &'a str,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
    outcomes: Outcomes,
    load: Value,
    metrics: BTreeMap<&'a str, Metric<'a>>,
    error_summary: Vec<ErrorEntry<'a>>,
}

impl<'a> Phase<'a> {
    fn new(run: &Run, phase: &'a PhaseReport) -> serde_json::Result<Self> {
        Ok(Self {
            name: &phase.name,
            kind: &phase.kind,
            window: Window::of(run, phase),
            outcomes: phase.outcomes,
            load: load(phase)?,
            metrics: all_metrics(phase),
            error_summary: error_summary(&phase.errors),
        })
    }
}

fn load(phase: &PhaseReport) -> serde_json::Result<Value> {
    Ok(object(&serde_json::to_value(&phase.load)?))
}

impl<'a> Own<'a> {
    pub(super) fn new(report: &'a Report) -> serde_json::Result<Self> {
        let run = &report.run;
        let phase = report.profiling();
        let phases = if report.phases.len() > 1 { report.phases.as_slice() } else { &[] };
        let precision = phase.and_then(|p| p.precision).map(serde_json::to_value).transpose()?;
        let judged = phase.filter(|p| p.metrics.contains_key("goodput"));
        Ok(Self {
            version: &run.version,
            window: phase.and_then(|p| Window::of(run, p)),
            outcomes: phase.map(|p| p.outcomes),
            load: phase.map(load).transpose()?,
            goodput_view: judged.map(|p| if is_judged_from_schedule(p) { "intended" } else { "service" }),
            phases: phases.iter().map(|phase| Phase::new(run, phase)).collect::<Result<_, _>>()?,
            verdict: &report.verdict,
            precision: precision.as_ref().map(object),
            notes: &report.notes,
            components: &run.components,
            telemetry: telemetry::sources(report),
            plan: object(&run.plan),
            seed: run.seed,
        })
    }
}
