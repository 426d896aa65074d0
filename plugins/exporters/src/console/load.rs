//! How a phase's load went: asked and achieved, how late, and how its requests ended.

use super::page::{Page, Tone};
use crate::{names, numbers, stats::finite};
use inferometer_plugin_sdk::documents::{ErrorGroup, LoadReport, Outcomes, PhaseReport, Report, Run};

/// Kinds of failure that are shown; the files hold all of them.
const SHOWN_ERRORS: usize = 5;
/// With more than this share of its requests late, or less than this share of the rate that was asked, a load was another one.
const LATE: f64 = 0.01;
const ACHIEVED: f64 = 0.95;

/// Whether its requests had times of their own, which do not wait for answers: then it matters how late they were sent.
pub(super) fn is_scheduled(load: &LoadReport) -> bool {
    load.asked_rate.is_some() || matches!(load.strategy.as_str(), "burst" | "fixed_schedule")
}

/// What was asked, what became of it, and how late.
pub(super) fn write(page: &mut Page, phase: &PhaseReport) {
    let load = &phase.load;
    let share =
        load.asked_rate.zip(load.achieved_rate).filter(|(asked, _)| *asked > 0.0).map(|(asked, got)| got / asked);
    let share = finite(share);
    if !load.asked.is_empty() {
        page.entry("Asked", Tone::Plain, &load.asked);
    }
    if !load.achieved.is_empty() && phase.outcomes.ok > 0 {
        let behind = share.is_some_and(|share| share < ACHIEVED);
        let percent = share.map(|share| format!(" ({}% of what was asked)", numbers::fixed(share * 100.0, 1)));
        let tone = if behind { Tone::Warning } else { Tone::Plain };
        page.entry("Achieved", tone, &format!("{}{}", load.achieved, percent.unwrap_or_default()));
    }
    let lag = |name: &str, value| finite(value).map(|lag| format!("{name} {} ms", numbers::short(lag)));
    let lags = [lag("p50", load.lag_p50_ms), lag("p99", load.lag_p99_ms)].into_iter().flatten().collect::<Vec<_>>();
    if !lags.is_empty() {
        page.entry("Lag", Tone::Plain, &format!("{} behind schedule", lags.join(", ")));
    }
    late(page, phase);
    if let Some(spread) = finite(load.burst_spread_ms) {
        page.entry("Burst", Tone::Plain, &format!("{} ms from first to last send", numbers::short(spread)));
    }
}

/// How many requests were sent late, if any were.
fn late(page: &mut Page, phase: &PhaseReport) {
    let load = &phase.load;
    let Some((late, bound)) = load.late.zip(finite(load.late_ms)) else { return };
    if late == 0 || !is_scheduled(load) {
        return;
    }
    let sent = phase.outcomes.total.saturating_sub(phase.outcomes.dropped);
    let tone = if late as f64 > LATE * sent as f64 { Tone::Warning } else { Tone::Plain };
    let (late, sent) = (numbers::count(late), numbers::counted(sent, "request"));
    let bound = if bound.fract() == 0.0 { numbers::fixed(bound, 0) } else { numbers::short(bound) };
    page.entry("Late", tone, &format!("{late} of {sent} sent more than {bound} ms behind schedule"));
}

/// How the requests of a phase ended.
pub(super) fn outcomes(page: &mut Page, outcomes: &Outcomes) {
    page.entry("Outcomes", if outcomes.error > 0 { Tone::Bad } else { Tone::Plain }, &sum(outcomes));
}

/// How the requests of warm-ups ended, where not all was well; not of `shown`.
pub(super) fn warmups(page: &mut Page, report: &Report, shown: &PhaseReport) {
    let failed = report.phases.iter().filter(|p| p.kind == "warmup" && p.outcomes.ok < p.outcomes.total);
    for warmup in failed.filter(|warmup| !std::ptr::eq(*warmup, shown)) {
        page.entry("Warm-up", Tone::Warning, &sum(&warmup.outcomes));
    }
}

/// The outcomes in words that add up.
pub(super) fn sum(outcomes: &Outcomes) -> String {
    let Outcomes { total, ok, error, cancelled, dropped } = *outcomes;
    let [ok, error, cancelled, dropped] = [ok, error, cancelled, dropped].map(numbers::count);
    let total = numbers::counted(total, "request");
    format!("{total} = {ok} ok + {error} error + {cancelled} cancelled + {dropped} dropped")
}

/// What failed in a phase, most frequent first.
pub(super) fn errors(page: &mut Page, phase: &PhaseReport, run: &Run) {
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
