//! What the user sees when the run is over: one screen that answers how fast, how much, how well, and where the rest is.
//!
//! The main numbers come first. What was not measured is left out, and a run without any result begins with its cause.

mod facts;
mod gpus;
mod kinds;
mod load;
mod page;
mod servers;
mod table;

use self::page::{Page, Tone};
use crate::{telemetry, text::clean};
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{Exporter, Output},
    documents::{PhaseReport, Report, Subject, TelemetrySource},
    exporter,
    types::Result,
};

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

    let phases: Vec<_> = report.phases.iter().filter(|phase| phase.kind == "profiling").collect();
    // Without a profiling phase, the phase that the run ended in knows why.
    match phases.split_last() {
        Some((result, before)) => {
            for (place, phase) in before.iter().enumerate() {
                heading(&mut page, place, &phases);
                earlier(&mut page, report, phase);
            }
            if !before.is_empty() {
                heading(&mut page, before.len(), &phases);
            }
            whole(&mut page, report, result);
        }
        None => match report.phases.last() {
            Some(phase) => whole(&mut page, report, phase),
            None => {
                page.blank();
                page.line(Tone::Bad, "The run ended before its first request: nothing was measured.");
            }
        },
    }
    for (i, note) in report.notes.iter().enumerate() {
        page.note(if i == 0 { "Notes" } else { "" }, Tone::Plain, note);
    }
    verdict(&mut page, report);
    files(&mut page, report);
    page.into_text()
}

/// Which of several phases comes next.
fn heading(page: &mut Page, place: usize, phases: &[&PhaseReport]) {
    page.blank();
    let title = format!("Phase {} of {}: {}", place + 1, phases.len(), phases[place].name);
    page.line(Tone::Bold, &title);
}

/// The phase that the run was about, with all that is known of it.
fn whole(page: &mut Page, report: &Report, phase: &PhaseReport) {
    let is_measured = phase.kind == "profiling" && phase.outcomes.ok > 0;
    page.blank();
    if is_measured {
        table::write(page, phase);
        facts::scalars(page, phase);
        page.blank();
        gpus::write(page, report, phase);
        servers::write(page, report, phase);
    } else {
        nothing(page, phase);
        load::errors(page, phase, &report.run);
        page.blank();
    }
    load::write(page, phase);
    load::outcomes(page, &phase.outcomes);
    load::warmups(page, report, phase);
    if is_measured {
        gpus::client(page, report, phase);
        missing(page, report, phase);
        load::errors(page, phase, &report.run);
    }
}

/// What an earlier phase has to show.
fn earlier(page: &mut Page, report: &Report, phase: &PhaseReport) {
    page.blank();
    if phase.outcomes.ok > 0 {
        table::write(page, phase);
        facts::scalars(page, phase);
    } else {
        nothing(page, phase);
    }
    page.blank();
    load::write(page, phase);
    load::outcomes(page, &phase.outcomes);
    load::errors(page, phase, &report.run);
}

/// That a phase has no results, and why.
fn nothing(page: &mut Page, phase: &PhaseReport) {
    let title = match phase.outcomes.total {
        _ if phase.kind != "profiling" => "The run ended in its warm-up: nothing was measured.",
        0 => "No request was made: nothing was measured.",
        _ => "No request succeeded: nothing was measured.",
    };
    page.line(Tone::Bad, title);
}

fn incomplete(page: &mut Page, report: &Report) {
    match &report.incomplete_reason {
        Some(reason) => page.line(Tone::Warning, &format!("Incomplete results: {reason}")),
        None if report.was_cancelled => page.line(Tone::Warning, "Incomplete results: the run was stopped"),
        None => {}
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
