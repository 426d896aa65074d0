//! The verdict: may these numbers be believed, and why not.

use inferometer_abi::documents::{PhaseReport, Report, Verdict};
use inferometer_metrics::telemetry::client_level;

/// A send lag beyond this, at the 99th percentile, makes an open-loop run doubtful.
const LAG_LIMIT_MS: f64 = 10.0;
/// A worker busier than this may have been the bottleneck itself.
const BUSY_LIMIT: f64 = 0.9;
/// More failures than this share, and what is left may not be typical.
const ERROR_LIMIT: f64 = 0.01;
/// A wait for the last answers longer than this share of the window weighs on the rates.
const TAIL_LIMIT: f64 = 0.25;
/// What of the client's machine makes its numbers doubtful: a level in percent, from where on, and in what words.
const CLIENT_LIMITS: [(&str, f64, &str); 2] = [
    ("process_thread_wait", 20.0, "a thread of the client was ready to run and had to wait for a processor"),
    ("host_cpu_steal", 5.0, "the client's machine was kept from its processors by the one it is a guest of"),
];

/// Judges a report; `busy` is the share of the time the busiest worker was on a processor.
pub(crate) fn verdict(report: &Report, busy: f64) -> Verdict {
    let phase = report.profiling().filter(|phase| phase.outcomes.ok > 0);
    let mut reasons = phase.map_or_else(
        || vec!["no request succeeded".to_owned()],
        |phase| {
            let mut doubts = doubts(phase, busy);
            doubts.extend(doubts_of_client(report, phase));
            doubts
        },
    );
    reasons.extend(report.incomplete_reason.clone());
    let state = match (phase, reasons.is_empty()) {
        (None, _) => "invalid",
        (Some(_), true) => "valid",
        (Some(_), false) => "degraded",
    };
    Verdict { state: state.to_owned(), reasons }
}

/// What speaks against the numbers of a phase.
fn doubts(phase: &PhaseReport, busy: f64) -> Vec<String> {
    let mut doubts = Vec::new();
    let (outcomes, load) = (&phase.outcomes, &phase.load);
    if let (Some(_), Some(lag)) = (load.asked_rate, load.lag_p99_ms)
        && lag > LAG_LIMIT_MS
    {
        let late = if lag < 1e3 { format!("{lag:.1} ms") } else { format!("{:.1} s", lag / 1e3) };
        doubts.push(format!("requests were sent up to {late} behind schedule (p99)"));
    }
    if outcomes.dropped > 0 {
        doubts.push(format!("{} arrivals were never sent", outcomes.dropped));
    }
    if outcomes.error as f64 > ERROR_LIMIT * outcomes.total as f64 {
        doubts.push(format!(
            "{} of {} requests failed; latencies are of the others alone",
            outcomes.error, outcomes.total
        ));
    }
    if outcomes.cancelled > 0 {
        doubts.push(format!("{} requests were cancelled; latencies are of the others alone", outcomes.cancelled));
    }
    let (window, tail) = (phase.end_ns.saturating_sub(phase.start_ns) as f64, load.tail_s.unwrap_or(0.0) * 1e9);
    if load.sends_by_time && tail > TAIL_LIMIT * window {
        doubts.push(format!(
            "the last answers came {:.1} s after the sending had ended, and rates include that time",
            tail / 1e9
        ));
    }
    if busy > BUSY_LIMIT {
        doubts.push(format!(
            "the client itself was busy {:.0} % of the time; give it --workers or a machine of its own",
            busy * 100.0
        ));
    }
    doubts
}

/// What telemetry of the client's machine speaks against the numbers of a phase.
fn doubts_of_client(report: &Report, phase: &PhaseReport) -> Vec<String> {
    let level = |tag| client_level(&report.sources, &phase.telemetry, tag).and_then(|stats| stats.avg);
    let over = CLIENT_LIMITS.iter().filter_map(|(tag, limit, words)| {
        let share = level(tag).filter(|share| share > limit)?;
        Some(format!("{words} {share:.0} % of the time"))
    });
    over.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_abi::documents::{Outcomes, Series, Stats, Subject, TelemetryMetric, TelemetrySource};

    fn report(change: impl FnOnce(&mut PhaseReport)) -> Report {
        let mut phase = PhaseReport {
            kind: "profiling".to_owned(),
            end_ns: 1_000_000_000,
            outcomes: Outcomes { total: 100, ok: 100, ..Outcomes::default() },
            ..PhaseReport::default()
        };
        change(&mut phase);
        Report { phases: vec![phase], ..Report::default() }
    }

    fn state(change: impl FnOnce(&mut PhaseReport)) -> String {
        verdict(&report(change), 0.1).state
    }

    #[test]
    fn a_clean_run_is_valid_and_one_without_a_success_is_not() {
        assert_eq!(state(|_| {}), "valid");
        assert_eq!(state(|phase| phase.outcomes.ok = 0), "invalid");
    }

    #[test]
    fn each_doubt_degrades_and_is_named() {
        assert_eq!(state(|phase| phase.outcomes.error = 2), "degraded");
        assert_eq!(state(|phase| phase.outcomes.dropped = 1), "degraded");
        assert_eq!(state(|phase| phase.outcomes.cancelled = 1), "degraded");
        assert_eq!(state(|phase| (phase.load.sends_by_time, phase.load.tail_s) = (true, Some(0.5))), "degraded");
        let late =
            |phase: &mut PhaseReport| (phase.load.asked_rate, phase.load.lag_p99_ms) = (Some(1.0), Some(4_998.0));
        assert_eq!(verdict(&report(late), 0.1).reasons, ["requests were sent up to 5.0 s behind schedule (p99)"]);
        assert_eq!(verdict(&report(|_| {}), 0.95).state, "degraded");
    }

    #[test]
    fn a_client_that_waits_for_a_processor_is_doubted() {
        let with = |share: f64| {
            let mut report = report(|_| {});
            let metric = TelemetryMetric { name: "process_thread_wait".to_owned(), ..TelemetryMetric::default() };
            let source =
                TelemetrySource { subject: Subject::Client, metrics: vec![metric], ..TelemetrySource::default() };
            report.sources.push(source);
            let gauge = Some(Stats { avg: Some(share), ..Stats::default() });
            report.phases[0].telemetry.push(Series { gauge, ..Series::default() });
            verdict(&report, 0.1)
        };
        assert_eq!(with(5.0).state, "valid");
        assert_eq!(with(60.0).state, "degraded");
        assert!(with(60.0).reasons[0].ends_with("60 % of the time"));
    }

    #[test]
    fn a_lag_says_nothing_in_a_closed_loop() {
        assert_eq!(state(|phase| phase.load.lag_p99_ms = Some(50.0)), "valid");
    }
}
