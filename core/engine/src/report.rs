//! From rows to the report: metrics, asked against achieved load, grouped failures, and the verdict.

use crate::{
    Invocation,
    input_config::input_config,
    job::{Job, Phase},
    store::{Store, gaps},
    tally::Tally,
    telemetry::SourceLog,
    verdict::verdict,
};
use inferometer_abi::{
    documents::{
        Component, ErrorGroup, Export, LoadReport, PhaseReport, Report, Run, Series, TelemetrySource, Verdict,
    },
    types::{ABSENT_NS, NO_COUNT, Outcome},
};
use inferometer_metrics::{
    Options, PhaseMetrics, Summary, Window, catalogue,
    telemetry::{Span, summarize},
};
use inferometer_model::{
    FailureKind, Row,
    config::ExportLevel,
    plan::{PhaseKind, PhasePlan, Plan},
};
use std::{collections::BTreeMap, path::Path};

/// A difference between the server's and the local token counts beyond this is worth a note.
const COUNT_DIFFERENCE: f64 = 0.1;

/// What the report is made of besides rows.
pub(crate) struct Facts<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) invocation: &'a Invocation,
    pub(crate) benchmark_id: &'a str,
    pub(crate) components: Vec<Component>,
    pub(crate) folder: &'a Path,
    pub(crate) options: &'a Options,
    pub(crate) notes: Vec<String>,
    /// Share of the time the busiest worker was on a processor.
    pub(crate) busy: f64,
    pub(crate) strategy_error: Option<inferometer_abi::types::Error>,
    pub(crate) tally: Tally,
    pub(crate) logs: &'a [SourceLog],
}

/// Everything a run found.
pub(crate) fn report(job: &Job, stores: &[Store], facts: Facts<'_>) -> Report {
    let mut phases: Vec<PhaseReport> = Vec::new();
    let mut unseen = Vec::new();
    for index in 0..job.phases.len() {
        // Between the load before and the load after.
        let start_ns = phases.iter().map(|phase| phase.end_ns).max().unwrap_or(0);
        let next = job.phases.get(index + 1).map(Phase::start_ns);
        let alone = Window { start_ns, end_ns: next.filter(|&next| next > 0).unwrap_or(u64::MAX) };
        let phase = phase(job, stores, index, alone, &facts);
        if job.phases[index].plan.kind == PhaseKind::Profiling && phase.end_ns > 0 {
            let window = Window { start_ns: phase.start_ns, end_ns: phase.end_ns };
            unseen.extend(facts.logs.iter().filter_map(|log| log.unseen(Span { window, alone })));
        }
        phases.push(phase);
    }
    let was_cancelled = job.control.is_stopped();
    let mut notes = facts.notes;
    notes.extend(unseen);
    let measured = || {
        let rows = stores.iter().flat_map(|store| &store.rows);
        rows.filter(|row| job.phases[usize::from(row.phase)].plan.kind == PhaseKind::Profiling)
    };
    notes.extend(count_note(measured(), facts.tally));
    notes.extend(resent_note(measured()));
    let unstreamed = |phase: &&PhaseReport| {
        phase.outcomes.ok > 0 && phase.kind == "profiling" && !phase.metrics.contains_key("time_to_first_token")
    };
    if facts.options.streaming && phases.iter().any(|phase| unstreamed(&phase)) {
        notes.push(
            "streams were asked for and answers came whole, so there is no time to first token; see the server's \
             Content-Type"
                .to_owned(),
        );
    }
    let let_go: u64 = stores.iter().map(|store| store.texts_let_go).sum();
    if let_go > 0 {
        notes.push(format!(
            "the text of {let_go} answers was let go to bound the memory; their tokens are the server's alone"
        ));
    }
    if let Some(error) = &facts.strategy_error {
        notes.push(format!("the timing strategy failed and ended its phase: {error}"));
    }
    let reason = if was_cancelled {
        Some("interrupted by the user".to_owned())
    } else {
        facts.strategy_error.map(|error| format!("the timing strategy failed: {error}"))
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
        was_cancelled,
        incomplete_reason: reason,
        verdict: Verdict::default(),
        notes,
        sources: facts.logs.iter().map(|log| log.source.clone()).collect(),
    };
    report.verdict = verdict(&report, facts.busy);
    report
}

fn phase(job: &Job, stores: &[Store], index: usize, alone: Window, facts: &Facts<'_>) -> PhaseReport {
    let plan = &job.phases[index].plan;
    let mut summary = Summary::new(facts.options.clone());
    let mut words = Vec::new();
    for store in stores {
        for (row, detail) in store.rows.iter().zip(&store.details).filter(|(row, _)| usize::from(row.phase) == index) {
            gaps::read(store.gaps.get(detail.gaps), &mut words);
            summary.push(row, &words);
        }
    }
    let found = summary.finish();
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
    let missed: u64 = stores.iter().filter_map(|store| store.missed.get(index)).sum();
    outcomes.total += missed;
    outcomes.dropped += missed;
    let rows = || stores.iter().flat_map(|store| &store.rows).filter(|row| usize::from(row.phase) == index);
    PhaseReport {
        name: plan.name.clone(),
        kind: plan.kind.as_str().to_owned(),
        start_ns: window.map_or(0, |window| window.start_ns),
        end_ns: window.map_or(0, |window| window.end_ns),
        outcomes,
        load: load(plan, &rows(), window),
        metrics,
        errors: errors(stores, index),
        telemetry,
    }
}

/// What the telemetry sources say of the window of `span`.
fn telemetry(logs: &[SourceLog], span: Option<Span>) -> Vec<Series> {
    let Some(span) = span else { return Vec::new() };
    let series = |(index, log): (usize, &SourceLog)| summarize(index, &log.source, log.readings(), span);
    logs.iter().enumerate().flat_map(series).collect()
}

/// What was asked of the schedule and what became of it.
fn load<'a>(plan: &PhasePlan, rows: &(impl Iterator<Item = &'a Row> + Clone), window: Option<Window>) -> LoadReport {
    let slots = |slots: u64| format!("{slots} {} in flight", if slots == 1 { "request" } else { "requests" });
    let asked = match (plan.rate, plan.concurrency) {
        (Some(rate), limit) => {
            let limit = limit.map_or_else(String::new, |limit| format!(", at most {}", slots(limit)));
            format!("{rate:.1} requests/s, {}{limit}", plan.strategy)
        }
        (None, Some(limit)) => slots(limit),
        (None, None) => plan.strategy.clone(),
    };
    let sent = rows.clone().filter(|row| row.sent != ABSENT_NS);
    let (first, last) = sent.clone().fold((u64::MAX, 0), |(a, b), row| (a.min(row.sent), b.max(row.sent)));
    let count = sent.clone().count();
    let span = last.saturating_sub(first) as f64 / 1e9;
    // So many requests have one gap less between them.
    let achieved_rate = (count > 1 && span > 0.0).then(|| (count - 1) as f64 / span);
    let busy: f64 = sent.clone().map(|row| row.end.saturating_sub(row.permitted) as f64).sum();
    let in_flight = window.filter(|window| window.duration_ns() > 0).map(|window| busy / window.duration_ns() as f64);
    let mut lags: Vec<f64> = sent.map(|row| row.sent.saturating_sub(row.intended) as f64 / 1e6).collect();
    let lag = inferometer_metrics::stats::of(&mut lags);
    let achieved = match (plan.rate, achieved_rate, in_flight) {
        (Some(_), Some(rate), _) => format!("{rate:.1} requests/s"),
        (None, _, Some(in_flight)) => format!("{in_flight:.1} requests in flight"),
        _ => String::new(),
    };
    LoadReport {
        strategy: plan.strategy.clone(),
        asked,
        achieved,
        asked_rate: plan.rate,
        achieved_rate,
        in_flight,
        lag_p50_ms: lag.p50,
        lag_p99_ms: lag.p99,
        tail_s: window.filter(|_| count > 0).map(|window| window.end_ns.saturating_sub(last) as f64 / 1e9),
        sends_by_time: plan.stop.duration_ns.is_some(),
    }
}

/// Failures of a phase, grouped by kind, status and message with its numbers masked; most frequent first.
fn errors(stores: &[Store], phase: usize) -> Vec<ErrorGroup> {
    let mut groups: BTreeMap<(FailureKind, u16, String), ErrorGroup> = BTreeMap::new();
    for store in stores {
        for (number, failure) in &store.failures {
            let row = &store.rows[*number as usize];
            if usize::from(row.phase) != phase || row.outcome != Outcome::ERROR {
                continue;
            }
            let key = (failure.kind, row.status, mask(&failure.message));
            let group = groups.entry(key).or_insert_with(|| ErrorGroup {
                code: (row.status != 0).then_some(u32::from(row.status)),
                kind: failure.kind.as_str().to_owned(),
                message: failure.message.to_string(),
                count: 0,
            });
            group.count += 1;
        }
    }
    let mut groups: Vec<ErrorGroup> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
}

/// A message without what differs from request to request: words with digits in them.
fn mask(message: &str) -> String {
    let varies = |word: &str| word.bytes().any(|byte| byte.is_ascii_digit());
    message.split(' ').map(|word| if varies(word) { "#" } else { word }).collect::<Vec<_>>().join(" ")
}

/// Requests sent twice, which a server that closes connections at will makes necessary.
fn resent_note<'a>(rows: impl Iterator<Item = &'a Row>) -> Option<String> {
    let resent = rows.filter(|row| row.resent).count();
    (resent > 0).then(|| {
        let requests = if resent == 1 { "1 request was".to_owned() } else { format!("{resent} requests were") };
        format!("{requests} sent anew on a fresh connection: the server had closed the pooled one without a word")
    })
}

/// Where the server and the local tokenizer count differently, said once.
fn count_note<'a>(rows: impl Iterator<Item = &'a Row>, tally: Tally) -> Option<String> {
    let (mut server, mut local, mut compared) = (0_u64, 0_u64, 0_u64);
    for row in rows.filter(|row| row.is_ok()) {
        let ours = row.local_output.checked_add(row.local_reasoning);
        if let (Some(ours), true) = (ours, row.usage_completion != NO_COUNT && row.local_output != NO_COUNT) {
            server += u64::from(row.usage_completion);
            local += u64::from(ours);
            compared += 1;
        }
    }
    if local == 0 || (server as f64 / local as f64 - 1.0).abs() <= COUNT_DIFFERENCE {
        return None;
    }
    let mean = |sum: u64| sum as f64 / compared as f64;
    let of = if tally.counted < tally.of {
        format!(" (counted on {} of {})", tally.counted, tally.of)
    } else {
        String::new()
    };
    Some(format!(
        "the server reports {:.1} output tokens a request where the local tokenizer counts {:.1}{of}; the server's are used",
        mean(server),
        mean(local)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_differ_in_numbers_are_one_group() {
        assert_eq!(mask("request a1b2 took 30 s"), mask("request c3d4 took 31 s"));
        assert_ne!(mask("no such model"), mask("no such route"));
    }
}
