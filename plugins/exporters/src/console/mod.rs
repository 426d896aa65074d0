//! What the user sees when the run is over: one screen that answers how fast, how much, how well, and where the rest is.
//!
//! The main numbers come first. What was not measured is left out, and a run without any result begins with its cause.

mod facts;
mod gpus;
mod kinds;
mod page;
mod servers;
mod table;

use self::page::{Page, Tone};
use crate::{names, numbers, telemetry, text::clean};
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{Exporter, Output},
    documents::{ErrorGroup, Outcomes, PhaseReport, Report, Run, Subject, TelemetrySource},
    exporter,
    types::Result,
};

/// Kinds of failure that are shown; the files hold all of them.
const SHOWN_ERRORS: usize = 5;

struct Console;

impl Component for Console {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl Exporter for Console {
    fn finish(&mut self, report: &Report, out: &mut dyn Output) -> Result<()> {
        out.show(&render(report))
    }
}

exporter! { name: "console", summary: "Shows the main results on the terminal.", component: Console }

fn render(report: &Report) -> String {
    let mut page = Page::new(&report.run.terminal);
    page.line(Tone::Bold, &facts::headline(&report.run));
    incomplete(&mut page, report);

    let measured = report.profiling().filter(|phase| phase.outcomes.ok > 0);
    // Without a profiling phase, the phase that the run ended in knows why.
    let last = report.profiling().or(report.phases.last());
    match (measured, last) {
        (Some(phase), _) => {
            page.blank();
            table::write(&mut page, phase);
            facts::scalars(&mut page, phase);
            page.blank();
            gpus::write(&mut page, report, phase);
            servers::write(&mut page, report, phase);
            load(&mut page, phase);
            outcomes(&mut page, report, phase);
            gpus::client(&mut page, report, phase);
            missing(&mut page, report, phase);
            errors(&mut page, phase, &report.run);
        }
        (None, Some(phase)) => {
            page.blank();
            let title = match phase.outcomes.total {
                _ if phase.kind != "profiling" => "The run ended in its warm-up: nothing was measured.",
                0 => "No request was made: nothing was measured.",
                _ => "No request succeeded: nothing was measured.",
            };
            page.line(Tone::Bad, title);
            errors(&mut page, phase, &report.run);
            page.blank();
            load(&mut page, phase);
            outcomes(&mut page, report, phase);
        }
        (None, None) => {
            page.blank();
            page.line(Tone::Bad, "The run ended before its first request: nothing was measured.");
        }
    }
    for (i, note) in report.notes.iter().enumerate() {
        page.note(if i == 0 { "Notes" } else { "" }, Tone::Plain, note);
    }
    verdict(&mut page, report);
    files(&mut page, report);
    page.into_text()
}

fn incomplete(page: &mut Page, report: &Report) {
    match &report.incomplete_reason {
        Some(reason) => page.line(Tone::Warning, &format!("Incomplete results: {reason}")),
        None if report.was_cancelled => page.line(Tone::Warning, "Incomplete results: the run was stopped"),
        None => {}
    }
}

fn load(page: &mut Page, phase: &PhaseReport) {
    let load = &phase.load;
    let share =
        load.asked_rate.zip(load.achieved_rate).filter(|(asked, _)| *asked > 0.0).map(|(asked, got)| got / asked);
    let share = share.filter(|share| share.is_finite());
    if !load.asked.is_empty() {
        page.entry("Asked", Tone::Plain, &load.asked);
    }
    if !load.achieved.is_empty() && phase.outcomes.ok > 0 {
        let behind = share.is_some_and(|share| share < 0.95);
        let percent = share.map(|share| format!(" ({}% of what was asked)", numbers::fixed(share * 100.0, 1)));
        let tone = if behind { Tone::Warning } else { Tone::Plain };
        page.entry("Achieved", tone, &format!("{}{}", load.achieved, percent.unwrap_or_default()));
    }
    let lag = |name: &str, value: Option<f64>| {
        value.filter(|lag| lag.is_finite()).map(|lag| format!("{name} {} ms", numbers::short(lag)))
    };
    let lags = [lag("p50", load.lag_p50_ms), lag("p99", load.lag_p99_ms)].into_iter().flatten().collect::<Vec<_>>();
    if !lags.is_empty() {
        page.entry("Lag", Tone::Plain, &format!("{} behind schedule", lags.join(", ")));
    }
}

fn outcomes(page: &mut Page, report: &Report, phase: &PhaseReport) {
    page.entry("Outcomes", if phase.outcomes.error > 0 { Tone::Bad } else { Tone::Plain }, &sum(&phase.outcomes));
    let failed_before = report.phases.iter().filter(|p| p.kind == "warmup" && p.outcomes.ok < p.outcomes.total);
    for warmup in failed_before.filter(|p| !std::ptr::eq(*p, phase)) {
        page.entry("Warm-up", Tone::Warning, &sum(&warmup.outcomes));
    }
}

fn sum(outcomes: &Outcomes) -> String {
    let Outcomes { total, ok, error, cancelled, dropped } = *outcomes;
    let [ok, error, cancelled, dropped] = [ok, error, cancelled, dropped].map(numbers::count);
    let total = numbers::counted(total, "request");
    format!("{total} = {ok} ok + {error} error + {cancelled} cancelled + {dropped} dropped")
}

fn errors(page: &mut Page, phase: &PhaseReport, run: &Run) {
    let mut groups = phase.errors.iter().collect::<Vec<_>>();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    for (i, ErrorGroup { code, kind, message, count }) in groups.iter().take(SHOWN_ERRORS).enumerate() {
        let code = code.map(|code| format!(" {code}")).unwrap_or_default();
        let text = format!("{} × {kind}{code}: {message}", numbers::count(*count));
        page.entry(if i == 0 { "Errors" } else { "" }, Tone::Bad, &text);
    }
    if let Some(rest) = groups.get(SHOWN_ERRORS..).filter(|rest| !rest.is_empty()) {
        let requests = numbers::counted(rest.iter().map(|group| group.count).sum(), "request");
        let kinds = numbers::counted(rest.len() as u64, "more kind");
        page.entry("", Tone::Bad, &format!("and {kinds} ({requests}): see {}", names::json(&run.export)));
    }
}

/// Says so if a source of GPUs had none, or if no level of a source was read while it was measured, as happens in short runs.
fn missing(page: &mut Page, report: &Report, phase: &PhaseReport) {
    let has_levels = |source: usize| {
        let series = || phase.telemetry.iter().filter(move |series| series.source == source);
        series().any(|series| series.gauge.is_some())
    };
    let missing = report.sources.iter().enumerate().filter(|(place, source)| {
        let levels = source.metrics.iter().any(|metric| metric.kind == "gauge");
        source.collections > 0 && levels && !has_levels(*place)
    });
    let named = |sources: Vec<&TelemetrySource>| {
        let names = sources.into_iter().map(|source| telemetry::endpoint(&source.name)).collect::<Vec<_>>();
        clean(&names.join(", "), 120)
    };
    // Servers without metrics are in the block of servers.
    let empty = telemetry::sources(report, Subject::Device)
        .filter(|source| source.collections > 0 && source.metrics.is_empty())
        .collect::<Vec<_>>();
    if !empty.is_empty() {
        page.note("Telemetry", Tone::Plain, &format!("no GPU was found at {}", named(empty)));
    }
    let names = named(missing.map(|(_, source)| source).collect());
    if !names.is_empty() {
        let text = format!(
            "no level of {names} was read while it was measured: make the run longer, or --telemetry-interval shorter"
        );
        page.note("Telemetry", Tone::Plain, &text);
    }
}

fn verdict(page: &mut Page, report: &Report) {
    let state = report.verdict.state.as_str();
    let tone = match state {
        "" => return,
        "valid" => Tone::Good,
        "degraded" => Tone::Warning,
        _ => Tone::Bad,
    };
    let bounds = report.profiling().filter(|phase| phase.outcomes.ok > 0).and_then(|phase| phase.precision.as_ref());
    let bounds = bounds.and_then(|precision| facts::bounds(&report.run, precision));
    let reasons = Some(report.verdict.reasons.join("; ")).filter(|reasons| !reasons.is_empty());
    // Behind reasons they would be lost.
    let below = bounds.clone().filter(|_| reasons.is_some());
    let said = reasons.or(bounds).map(|said| format!(": {said}")).unwrap_or_default();
    page.note("Verdict", tone, &format!("{state}{said}"));
    if let Some(bounds) = below {
        page.note("", Tone::Plain, &bounds);
    }
}

fn files(page: &mut Page, report: &Report) {
    let run = &report.run;
    if run.export.folder.is_empty() {
        return;
    }
    page.entry("Files", Tone::Plain, &run.export.folder);
    let names = facts::files(report).join(", ");
    if !names.is_empty() {
        page.entry("", Tone::Faint, &names);
    }
}

#[cfg(test)]
mod tests;
