//! From rows to the report: metrics, asked against achieved load, grouped failures, and the verdict.

use crate::{
    Invocation,
    failures::Reach,
    input_config::input_config,
    job::{Job, Phase},
    precision::ClientFacts,
    records::Records,
    store::Store,
    telemetry::SourceLog,
    totals::{PhaseTotals, Totals},
    verdict::{Terms, verdict},
};
use inferometer_abi::documents::{Component, Export, PhaseReport, Report, Run, Series, TelemetrySource, Verdict};
use inferometer_metrics::{
    Options, PhaseMetrics, TokenSource, Window, catalogue, context_overflows,
    telemetry::{Span, summarize},
};
use inferometer_model::{
    FailureKind,
    config::ExportLevel,
    plan::{PhaseKind, PhasePlan, Plan},
};
use std::{path::Path, sync::atomic::Ordering::Relaxed};

/// What the report is made of besides rows.
pub(crate) struct Facts<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) invocation: &'a Invocation,
    pub(crate) benchmark_id: &'a str,
    pub(crate) components: Vec<Component>,
    pub(crate) folder: &'a Path,
    pub(crate) options: &'a Options,
    pub(crate) notes: Vec<String>,
    pub(crate) client: ClientFacts,
    pub(crate) strategy_error: Option<inferometer_abi::types::Error>,
    pub(crate) kept: Kept,
    /// Whether the load was stopped before its end.
    pub(crate) was_stopped: bool,
    pub(crate) logs: &'a [SourceLog],
}

/// What the workers counted while they kept their requests.
#[derive(Default)]
pub(crate) struct Kept {
    /// Measured requests whose tokens were to be counted here.
    pub(crate) to_count: u64,
    /// Answers that were too long to be kept.
    pub(crate) cut: u64,
    /// Arrivals by phase that were due and that no worker came round to.
    missed: Vec<u64>,
}

impl Kept {
    /// What the workers counted together.
    pub(crate) fn of(stores: &[Store]) -> Self {
        let phases = stores.iter().map(|store| store.missed.len()).max().unwrap_or(0);
        let missed = |phase| stores.iter().filter_map(|store| store.missed.get(phase)).sum();
        Self {
            to_count: stores.iter().map(|store| store.to_count).sum(),
            cut: stores.iter().map(|store| store.cut).sum(),
            missed: (0..phases).map(missed).collect(),
        }
    }

    fn missed(&self, phase: usize) -> u64 {
        self.missed.get(phase).copied().unwrap_or(0)
    }
}

/// Everything a run found, and whether no connection was ever made.
pub(crate) fn report(job: &Job, records: &Records, facts: Facts<'_>) -> (Report, Reach) {
    let plans: Vec<&PhasePlan> = job.phases.iter().map(|phase| &phase.plan).collect();
    let Totals { phases: totals, counted, resent, streamed, whole, precision, reach, lost } =
        Totals::of(&plans, records, facts.options, &facts.client);
    let mut phases: Vec<PhaseReport> = Vec::new();
    let mut unseen = Vec::new();
    for (index, totals) in totals.into_iter().enumerate() {
        // Between the load before and the load after.
        let start_ns = phases.iter().map(|phase| phase.end_ns).max().unwrap_or(0);
        let next = job.phases.get(index + 1).map(Phase::start_ns);
        let alone = Window { start_ns, end_ns: next.filter(|&next| next > 0).unwrap_or(u64::MAX) };
        let mut phase = phase(&job.phases[index].plan, totals, facts.kept.missed(index), alone, &facts);
        let waited = job.phases[index].waited();
        phase.load.waited_for_data = (waited > 0).then_some(waited);
        if job.phases[index].plan.kind == PhaseKind::Profiling && phase.end_ns > 0 {
            let window = Window { start_ns: phase.start_ns, end_ns: phase.end_ns };
            unseen.extend(facts.logs.iter().filter_map(|log| log.unseen(Span { window, alone })));
        }
        phases.push(phase);
    }
    if let Some(phase) = phases.iter_mut().rfind(|phase| phase.kind == "profiling") {
        phase.precision = Some(precision.finish(&facts.client));
    }
    let mut notes = facts.notes;
    notes.extend(unseen);
    let lost = lost.words();
    notes.extend(records.note());
    notes.extend(lost.clone());
    let measured = || phases.iter().filter(|phase| phase.kind == "profiling");
    let measured_ok = measured().map(|phase| phase.outcomes.ok).sum();
    notes.extend(counted.note(facts.kept.to_count, measured_ok));
    if measured().any(|phase| phase.metrics.contains_key("usage_discrepancy_count")) {
        notes.extend(counted.compared_note(measured_ok));
    }
    let counts_tokens = facts.options.produces_tokens || facts.options.tokenizes_input;
    if facts.options.token_source == TokenSource::ServerOnly && counts_tokens {
        notes.extend(counted.untold_note(measured_ok));
    }
    notes.extend(resent_note(resent));
    let waited = measured().filter_map(|phase| phase.load.waited_for_data).sum();
    notes.extend(waited_note(waited));
    let profiling = job.phases.iter().filter(|phase| phase.plan.kind == PhaseKind::Profiling);
    notes.extend(unsent_note(profiling.clone().map(|phase| phase.unsent.load(Relaxed)).sum()));
    notes.extend(unended_note(profiling.map(|phase| phase.unended.load(Relaxed)).sum()));
    notes.extend(delivery_note(facts.options.streaming, streamed, whole));
    if facts.kept.cut > 0 {
        notes.push(format!(
            "{} answers were too long to be kept for counting; their tokens are the server's alone",
            facts.kept.cut
        ));
    }
    if let Some(error) = &facts.strategy_error {
        notes.push(format!("the timing strategy failed and ended its phase: {error}"));
    }
    let reason = if facts.was_stopped {
        Some("interrupted by the user".to_owned())
    } else {
        facts.strategy_error.map(|error| format!("the timing strategy failed: {error}")).or(lost)
    };
    let mut report = Report {
        run: Run {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            benchmark_id: facts.benchmark_id.to_owned(),
            epoch_ns: job.clock.epoch_ns(),
            command: facts.invocation.command.clone(),
            seed: facts.plan.seed,
            input_config: input_config(facts.plan, job, facts.folder),
            plan: serde_json::to_value(facts.plan).unwrap_or_default(),
            metrics: catalogue(facts.options),
            components: facts.components,
            export: Export {
                prefix: facts.plan.output.prefix.clone(),
                records: facts.plan.output.level == ExportLevel::Records,
                folder: facts.folder.display().to_string(),
                server_metrics: facts.plan.telemetry.server_metrics.clone(),
            },
            terminal: facts.invocation.terminal.clone(),
        },
        phases,
        was_cancelled: facts.was_stopped,
        incomplete_reason: reason,
        verdict: Verdict::default(),
        notes,
        sources: facts.logs.iter().map(|log| log.source.clone()).collect(),
    };
    let server = &facts.plan.server;
    let terms: Vec<Terms> = facts.plan.phases.iter().map(Terms::of).collect();
    let is_unchecked = server.connection.tls.insecure && server.urls.iter().any(|url| url.scheme() == "https");
    report.verdict = verdict(&report, &terms, is_unchecked);
    (report, reach)
}

fn phase(plan: &PhasePlan, totals: PhaseTotals, missed: u64, alone: Window, facts: &Facts<'_>) -> PhaseReport {
    let found = totals.summary.finish();
    let telemetry = telemetry(facts.logs, found.window.map(|window| Span { window, alone }));
    let sources: Vec<TelemetrySource> = facts.logs.iter().map(|log| log.source.clone()).collect();
    let energy = inferometer_metrics::telemetry::energy(
        &sources,
        &telemetry,
        &found,
        plan.concurrency.filter(|_| plan.rate.is_none()),
    );
    let PhaseMetrics { window, mut outcomes, mut metrics } = found;
    metrics.extend(energy.into_iter().map(|metric| (metric.info.tag.clone(), metric)));
    outcomes.total += missed;
    outcomes.dropped += missed;
    let (overflows, errors) = (totals.failures.count(FailureKind::ContextOverflow), totals.failures.groups());
    metrics.extend(context_overflows(overflows).map(|metric| (metric.info.tag.clone(), metric)));
    PhaseReport {
        name: plan.name.clone(),
        kind: plan.kind.as_str().to_owned(),
        start_ns: window.map_or(0, |window| window.start_ns),
        end_ns: window.map_or(0, |window| window.end_ns),
        outcomes,
        load: totals.pace.report(plan, window),
        metrics,
        errors,
        telemetry,
        precision: None,
    }
}

/// What the telemetry sources say of the window of `span`.
fn telemetry(logs: &[SourceLog], span: Option<Span>) -> Vec<Series> {
    let Some(span) = span else { return Vec::new() };
    let series = |(index, log): (usize, &SourceLog)| summarize(index, &log.source, log.readings(), span);
    logs.iter().enumerate().flat_map(series).collect()
}

/// Requests whose prompts were not made in time.
fn waited_note(waited: u64) -> Option<String> {
    (waited > 0).then(|| {
        format!(
            "{waited} requests waited for their prompts to be made, and were late by that; fewer or shorter prompts \
             (--num-dataset-entries, --isl) are made faster than they are sent"
        )
    })
}

/// Turns that could not be sent.
fn unsent_note(unsent: u64) -> Option<String> {
    (unsent > 0).then(|| {
        format!("{unsent} later turns were not sent, since the reply they build on was not got; they are no arrivals")
    })
}

/// Answers whose server said that nothing would follow, and kept them open.
fn unended_note(unended: u64) -> Option<String> {
    (unended > 0).then(|| {
        let answers = if unended == 1 { "1 answer was".to_owned() } else { format!("{unended} answers were") };
        format!(
            "{answers} kept open by the server for a second and more after their last event ([DONE]): they count, the \
             connections were closed, and their slots were held that long"
        )
    })
}

/// Answers that came otherwise than they were asked for: `streamed` as streams, `whole` in one piece.
fn delivery_note(asked_streams: bool, streamed: u64, whole: u64) -> Option<String> {
    let all = streamed + whole;
    match asked_streams {
        true if whole > 0 => Some(format!(
            "{whole} of {all} answers came whole where streams were asked for, and have no time to first token; see the \
             server's Content-Type"
        )),
        false if streamed > 0 => Some(format!(
            "{streamed} of {all} answers came as streams where none were asked for, and were read as such; --streaming \
             measures them"
        )),
        _ => None,
    }
}

/// Requests sent twice, which a server that closes connections at will makes necessary.
fn resent_note(resent: u64) -> Option<String> {
    (resent > 0).then(|| {
        let requests = if resent == 1 { "1 request was".to_owned() } else { format!("{resent} requests were") };
        format!("{requests} sent anew on a fresh connection: the server had closed the pooled one without a word")
    })
}
