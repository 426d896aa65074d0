//! The verdict: may these numbers be believed, and why not. How far they may be off is [`crate::precision`]'s.

use inferometer_abi::documents::{PhaseReport, Precision, Report, Verdict};
use inferometer_metrics::telemetry::client_level;

/// From where on a figure speaks against a run.
#[derive(Clone, Copy)]
struct Limit {
    /// The numbers are degraded.
    degraded: f64,
    /// They are not to be believed.
    invalid: f64,
    /// What is no more than this is of no account, whatever share it is, in milliseconds.
    least_ms: f64,
}

/// Error of the time to first token, as a share of its median. Servers and settings are compared by a few percent; past
/// half of it, one cannot tell a server from one that is twice as fast. Networks alone vary by a tenth of a millisecond.
const TTFT: Limit = Limit { degraded: 0.05, invalid: 0.5, least_ms: 0.1 };
/// Error of the inter-token latency, as a share of it. It is a mean over an answer, so that it should be better known. No
/// model makes tokens so fast that half of a tenth of a millisecond matters.
const ITL: Limit = Limit { degraded: 0.02, invalid: 0.25, least_ms: 0.05 };
/// Error of the latency of whole answers, as a share of its median: as of the time to first token.
const LATENCY: Limit = TTFT;
/// Receive lag, as a share of the median latency: a closed loop is slower by it, and its rates are lower. Stamps are
/// without it, so that by itself it spoils no latency. A millisecond is what a system takes to wake up a thread.
const LAG: Limit = Limit { degraded: 0.1, invalid: f64::INFINITY, least_ms: 1.0 };
/// Share of the time that a worker had to wait for a processor. Where reads were late by no more than a wake-up takes and no
/// latency is in doubt, the waiting did no harm. A lag of over half the median latency with it makes the load another one
/// than was asked.
const WAIT: Limit = Limit { degraded: 0.2, invalid: 0.6, least_ms: 0.0 };
const WAIT_LAG: f64 = 0.5;
/// The same where nothing tells how late reads were: stamps are then as late as they.
const BLIND_WAIT: Limit = Limit { degraded: 0.2, invalid: 0.5, least_ms: 0.0 };
/// Share of the arrivals that were never sent though nothing but the client kept them: any is a fault, and with more than
/// half of them the load was not the one that was asked.
const UNSENT: Limit = Limit { degraded: 0.0, invalid: 0.5, least_ms: 0.0 };
/// Where fewer requests than this share needed a new connection, these are of the run's beginning and a warm-up spares them.
const FEW_NEW: f64 = 0.05;
/// A send lag beyond this, at the 99th percentile, makes an open-loop run doubtful.
const LATE_MS: f64 = 10.0;
/// A worker busier than this may have been the bottleneck itself.
const BUSY: f64 = 0.9;
/// More failures than this share, and what is left may not be typical.
const ERRORS: f64 = 0.01;
/// A wait for the last answers longer than this share of the window weighs on the rates.
const TAIL: f64 = 0.25;
/// Steal beyond this share, in percent: the client's machine is a guest that does not get what it believes to have.
const STEAL_PCT: f64 = 5.0;
/// A telemetry collector's figure for [`WAIT`], in percent, where the system does not tell it of single threads.
const THREAD_WAIT: &str = "process_thread_wait";

/// What a doubt does to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Degrades,
    Invalidates,
}
use Weight::{Degrades, Invalidates};

impl Limit {
    /// What `share` does to a run, if anything; `ms` is what it is a share for.
    fn judge(self, share: f64, ms: f64) -> Option<Weight> {
        match share {
            _ if ms <= self.least_ms => None,
            share if share > self.invalid => Some(Invalidates),
            share if share > self.degraded => Some(Degrades),
            _ => None,
        }
    }

    /// The same of a share of anything but a time.
    fn judge_share(self, share: f64) -> Option<Weight> {
        self.judge(share, f64::INFINITY)
    }
}

/// A reason, and what it does to the run.
type Doubt = (Weight, String);

/// Judges a report. `has_slots`: an arrival may have had to wait for a slot, which is the server's doing.
pub(crate) fn verdict(report: &Report, has_slots: bool) -> Verdict {
    let mut doubts = match report.profiling().filter(|phase| phase.outcomes.ok > 0) {
        None => vec![(Invalidates, "no request succeeded".to_owned())],
        Some(phase) => {
            let precision = phase.precision.unwrap_or_default();
            let errors = of_errors(phase, &precision);
            let client = of_client(report, phase, &precision, !errors.is_empty());
            [of_load(phase, has_slots), errors, client].concat()
        }
    };
    doubts.extend(report.incomplete_reason.clone().map(|reason| (Degrades, reason)));
    let state = match doubts.iter().map(|(weight, _)| *weight).max() {
        None => "valid",
        Some(Degrades) => "degraded",
        Some(Invalidates) => "invalid",
    };
    // What decides comes first.
    doubts.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    Verdict { state: state.to_owned(), reasons: doubts.into_iter().map(|(_, reason)| reason).collect() }
}

/// Whether the load was the one that was asked, and all of it measured.
fn of_load(phase: &PhaseReport, has_slots: bool) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let (outcomes, load) = (&phase.outcomes, &phase.load);
    if let (Some(_), Some(lag)) = (load.asked_rate, load.lag_p99_ms)
        && lag > LATE_MS
    {
        doubts.push((Degrades, format!("requests were sent up to {} behind schedule (p99)", time(lag))));
    }
    if let Some(weight) = UNSENT.judge_share(outcomes.dropped as f64 / outcomes.total as f64) {
        let weight = if has_slots { Degrades } else { weight };
        let of = if weight == Invalidates { format!(" of {}", outcomes.total) } else { String::new() };
        doubts.push((weight, format!("{}{of} arrivals were never sent", outcomes.dropped)));
    }
    if outcomes.error as f64 > ERRORS * outcomes.total as f64 {
        let (failed, total) = (outcomes.error, outcomes.total);
        doubts.push((Degrades, format!("{failed} of {total} requests failed; latencies are of the others alone")));
    }
    if outcomes.cancelled > 0 {
        let cancelled = outcomes.cancelled;
        doubts.push((Degrades, format!("{cancelled} requests were cancelled; latencies are of the others alone")));
    }
    let (window, tail) = (phase.end_ns.saturating_sub(phase.start_ns) as f64, load.tail_s.unwrap_or(0.0) * 1e9);
    if load.sends_by_time && tail > TAIL * window {
        let seconds = tail / 1e9;
        doubts.push((
            Degrades,
            format!("the last answers came {seconds:.1} s after the sending had ended, and rates include that time"),
        ));
    }
    doubts
}

/// How far the latencies may be off.
fn of_errors(phase: &PhaseReport, precision: &Precision) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let of_median = |limit: Limit, tag, error_ms: Option<f64>, name| {
        let (error, median) = (error_ms?, median_ms(phase, tag)?);
        let weight = limit.judge(error / median, error)?;
        let share = error / median * 100.0;
        let hint = if is_of_new_connections(phase, precision, error) {
            ": a warm-up (--warmup-request-count) keeps new connections out"
        } else {
            ""
        };
        Some((weight, format!("{name} may be off by {} (p99), {share:.0} % of its median{hint}", time(error))))
    };
    doubts.extend(of_median(TTFT, "time_to_first_token", precision.ttft_error_ms, "TTFT"));
    if let Some((percent, error)) = precision.itl_error_pct.zip(precision.itl_error_ms)
        && let Some(weight) = ITL.judge(percent / 100.0, error)
    {
        doubts.push((weight, format!("ITL may be off by {} (p99), {percent:.0} % of it", time(error))));
    }
    if precision.ttft_error_ms.is_none() {
        doubts.extend(of_median(LATENCY, "request_latency", precision.latency_error_ms, "latency"));
    }
    doubts
}

/// Whether most of an error is of the connections with which the run began: of when they stood, which no later request has
/// to know.
fn is_of_new_connections(phase: &PhaseReport, precision: &Precision, error_ms: f64) -> bool {
    let reused = phase.metrics.get("http_req_connection_reused").and_then(|metric| metric.stats.avg);
    // Apart from the send delay, new connections are all that the error of a whole answer is made of.
    let of_connections = precision.latency_error_ms.zip(precision.send_delay_p99_ms).map(|(all, delay)| all - delay);
    of_connections.is_some_and(|ms| ms > error_ms / 2.0) && reused.is_some_and(|share| share > 1.0 - FEW_NEW)
}

/// Whether the client kept up. `is_off`: how far latencies may be off is a doubt already.
fn of_client(report: &Report, phase: &PhaseReport, precision: &Precision, is_off: bool) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let busy = precision.client_busy.filter(|busy| *busy > BUSY).map(|busy| busy * 100.0);
    let median = median_ms(phase, "request_latency");
    let lag = precision.receive_lag_p99_ms;
    let lag_share = lag.zip(median).map_or(0.0, |(lag, median)| lag / median);
    let lags = lag.and_then(|lag| Some((LAG.judge(lag_share, lag)?, time(lag))));
    match (&lags, busy) {
        (Some((weight, lag)), None) => doubts.push((
            *weight,
            format!(
                "answers waited {lag} (p99) in this machine until the client read them: it did not keep up, and what it \
                 sends next comes as much later"
            ),
        )),
        (Some((weight, lag)), Some(busy)) => doubts.push((
            *weight,
            format!(
                "answers waited {lag} (p99) in this machine until the client read them: it was the bottleneck, busy \
                 {busy:.0} % of the time; give it --workers or a machine of its own"
            ),
        )),
        (None, Some(busy)) => doubts.push((
            Degrades,
            format!("the client itself was busy {busy:.0} % of the time; give it --workers or a machine of its own"),
        )),
        (None, None) => {}
    }
    let level = |tag| client_level(&report.sources, &phase.telemetry, tag).and_then(|stats| stats.avg);
    let waited = precision.client_waited.or_else(|| level(THREAD_WAIT).map(|percent| percent / 100.0));
    let judge_wait = |waited: f64| match lag {
        None => BLIND_WAIT.judge_share(waited),
        Some(lag) if lag <= LAG.least_ms && !is_off => None,
        Some(_) => WAIT.judge_share(waited).map(|weight| if lag_share > WAIT_LAG { weight } else { Degrades }),
    };
    if let Some(waited) = waited
        && let Some(weight) = judge_wait(waited)
    {
        let share = waited * 100.0;
        doubts.push((
            weight,
            format!(
                "give the client processors that nothing else uses: a thread of it was ready to run and had to wait for a \
                 processor {share:.0} % of the time"
            ),
        ));
    }
    if let Some(steal) = level("host_cpu_steal").filter(|steal| *steal > STEAL_PCT) {
        doubts.push((
            Degrades,
            format!(
                "the client's machine was kept from its processors by the one it is a guest of {steal:.0} % of the time"
            ),
        ));
    }
    doubts
}

/// The median of a latency in milliseconds, if it was measured and is one to take a share of.
fn median_ms(phase: &PhaseReport, tag: &str) -> Option<f64> {
    phase.metrics.get(tag)?.stats.p50.filter(|median| *median > 0.0)
}

/// A time in milliseconds, for people.
fn time(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => format!("{ms:.2} ms"),
        ms if ms < 1e3 => format!("{ms:.1} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_abi::documents::{
        MetricResult, Outcomes, Series, Stats, Subject, TelemetryMetric, TelemetrySource,
    };
    use proptest::prelude::*;

    /// A phase of 100 good requests with a median TTFT of 100 ms and a median latency of 200 ms.
    fn phase() -> PhaseReport {
        let metric = |tag: &str, p50| {
            let stats = Stats { p50: Some(p50), ..Stats::default() };
            (tag.to_owned(), MetricResult { stats, ..MetricResult::default() })
        };
        PhaseReport {
            kind: "profiling".to_owned(),
            end_ns: 1_000_000_000,
            outcomes: Outcomes { total: 100, ok: 100, ..Outcomes::default() },
            metrics: [metric("time_to_first_token", 100.0), metric("request_latency", 200.0)].into(),
            precision: Some(Precision {
                ttft_error_ms: Some(0.1),
                itl_error_ms: Some(0.01),
                itl_error_pct: Some(0.1),
                latency_error_ms: Some(0.1),
                receive_lag_p99_ms: Some(0.1),
                client_busy: Some(0.1),
                client_waited: Some(0.01),
                ..Precision::default()
            }),
            ..PhaseReport::default()
        }
    }

    fn report(change: impl FnOnce(&mut PhaseReport)) -> Report {
        let mut phase = phase();
        change(&mut phase);
        Report { phases: vec![phase], ..Report::default() }
    }

    fn judged(change: impl FnOnce(&mut PhaseReport, &mut Precision)) -> Verdict {
        let with = |phase: &mut PhaseReport| {
            let mut precision = phase.precision.unwrap();
            change(phase, &mut precision);
            phase.precision = Some(precision);
        };
        verdict(&report(with), false)
    }

    #[test]
    fn a_clean_run_is_valid_and_one_without_a_success_is_not() {
        assert_eq!(judged(|_, _| {}).state, "valid");
        let failed = judged(|phase, _| phase.outcomes.ok = 0);
        assert_eq!((&*failed.state, &*failed.reasons), ("invalid", &["no request succeeded".to_owned()][..]));
    }

    #[test]
    fn each_limit_has_two_sides() {
        type Change = fn(&mut PhaseReport, &mut Precision, f64);
        /// What is changed, what is just good enough, what degrades and is just not invalid, and what is.
        type Case = (&'static str, Change, f64, Option<[f64; 2]>, Option<f64>);
        let cases: [Case; 17] = [
            ("TTFT may be off", |_, p, x| p.ttft_error_ms = Some(x), 5.0, Some([5.1, 50.0]), Some(50.1)),
            (
                "TTFT may be off",
                |phase, p, x| {
                    phase.metrics.get_mut("time_to_first_token").unwrap().stats.p50 = Some(0.12);
                    p.ttft_error_ms = Some(x);
                },
                0.1,
                None,
                Some(0.11),
            ),
            (
                "ITL may be off",
                |_, p, x| (p.itl_error_pct, p.itl_error_ms) = (Some(x), Some(1.0)),
                2.0,
                Some([2.1, 25.0]),
                Some(25.1),
            ),
            (
                "ITL may be off",
                |_, p, x| (p.itl_error_pct, p.itl_error_ms) = (Some(99.0), Some(x)),
                0.05,
                None,
                Some(0.051),
            ),
            (
                "latency may be off",
                |_, p, x| (p.ttft_error_ms, p.latency_error_ms) = (None, Some(x)),
                10.0,
                Some([10.1, 100.0]),
                Some(100.1),
            ),
            ("answers waited", |_, p, x| p.receive_lag_p99_ms = Some(x), 20.0, Some([20.1, 5e3]), None),
            (
                "answers waited",
                |phase, p, x| {
                    phase.metrics.get_mut("request_latency").unwrap().stats.p50 = Some(2.0);
                    p.receive_lag_p99_ms = Some(x);
                },
                1.0,
                Some([1.1, 9.0]),
                None,
            ),
            ("the client itself was busy", |_, p, x| p.client_busy = Some(x), 0.9, Some([0.91, 1.0]), None),
            (
                "had to wait for a processor",
                |_, p, x| (p.client_waited, p.receive_lag_p99_ms) = (Some(x), Some(1.1)),
                0.2,
                Some([0.21, 1.0]),
                None,
            ),
            (
                "had to wait for a processor",
                |_, p, x| (p.client_waited, p.receive_lag_p99_ms) = (Some(x), Some(101.0)),
                0.2,
                Some([0.21, 0.6]),
                Some(0.61),
            ),
            (
                "had to wait for a processor",
                |_, p, x| (p.client_waited, p.receive_lag_p99_ms) = (Some(0.9), Some(x)),
                1.0,
                Some([1.1, 100.0]),
                Some(100.1),
            ),
            (
                "had to wait for a processor",
                |_, p, x| (p.client_waited, p.ttft_error_ms) = (Some(0.9), Some(x)),
                5.0,
                Some([5.1, 50.0]),
                Some(50.1),
            ),
            (
                "had to wait for a processor",
                |_, p, x| *p = Precision { client_waited: Some(x), ..Precision::default() },
                0.2,
                Some([0.21, 0.5]),
                Some(0.51),
            ),
            (
                "arrivals were never sent",
                |phase, _, x| phase.outcomes.dropped = x as u64,
                0.0,
                Some([1.0, 50.0]),
                Some(51.0),
            ),
            ("requests failed", |phase, _, x| phase.outcomes.error = x as u64, 1.0, Some([2.0, 99.0]), None),
            ("were cancelled", |phase, _, x| phase.outcomes.cancelled = x as u64, 0.0, Some([1.0, 99.0]), None),
            (
                "behind schedule",
                |phase, _, x| (phase.load.asked_rate, phase.load.lag_p99_ms) = (Some(1.0), Some(x)),
                10.0,
                Some([10.1, 9e9]),
                None,
            ),
        ];
        for (number, (words, change, good, doubtful, worthless)) in cases.into_iter().enumerate() {
            let state = |value| {
                let found = judged(|phase, precision| change(phase, precision, value));
                (found.state, found.reasons.iter().any(|reason| reason.contains(words)))
            };
            assert!(!state(good).1, "case {number}, {words}: {good}");
            for value in doubtful.into_iter().flatten() {
                assert_eq!(state(value), ("degraded".to_owned(), true), "case {number}, {words}: {value}");
            }
            if let Some(value) = worthless {
                assert_eq!(state(value), ("invalid".to_owned(), true), "case {number}, {words}: {value}");
            }
        }
    }

    #[test]
    fn answers_that_come_long_after_the_sending_weigh_on_rates() {
        let tail =
            |tail_s| judged(|phase, _| (phase.load.sends_by_time, phase.load.tail_s) = (true, Some(tail_s))).state;
        assert_eq!((&*tail(0.25), &*tail(0.26)), ("valid", "degraded"));
    }

    #[test]
    fn arrivals_that_waited_for_slots_were_kept_by_the_server() {
        assert_eq!(verdict(&report(|phase| phase.outcomes.dropped = 99), true).state, "degraded");
    }

    #[test]
    fn a_client_that_lagged_because_it_was_busy_is_told_once() {
        let found = judged(|_, precision| {
            (precision.receive_lag_p99_ms, precision.client_busy) = (Some(30.0), Some(0.97));
        });
        assert_eq!(
            found.reasons,
            [
                "answers waited 30.0 ms (p99) in this machine until the client read them: it was the bottleneck, busy 97 % \
              of the time; give it --workers or a machine of its own"
            ]
        );
    }

    #[test]
    fn what_decides_is_said_first_and_in_units_that_fit() {
        let found = judged(|phase, precision| {
            phase.outcomes.dropped = 51;
            precision.ttft_error_ms = Some(8.25);
            (phase.load.asked_rate, phase.load.lag_p99_ms) = (Some(1.0), Some(4_998.0));
        });
        assert_eq!(
            found.reasons,
            [
                "51 of 100 arrivals were never sent",
                "requests were sent up to 5.0 s behind schedule (p99)",
                "TTFT may be off by 8.2 ms (p99), 8 % of its median"
            ]
        );
    }

    #[test]
    fn what_telemetry_knows_of_waiting_is_asked_where_threads_do_not_tell_themselves() {
        let with = |tag: &str, share: f64, waited| {
            let mut report = report(|phase| {
                let precision = phase.precision.as_mut().unwrap();
                (precision.client_waited, precision.receive_lag_p99_ms) = (waited, Some(2.0));
            });
            let metric = TelemetryMetric { name: tag.to_owned(), ..TelemetryMetric::default() };
            let source =
                TelemetrySource { subject: Subject::Client, metrics: vec![metric], ..TelemetrySource::default() };
            report.sources.push(source);
            let gauge = Some(Stats { avg: Some(share), ..Stats::default() });
            report.phases[0].telemetry.push(Series { gauge, ..Series::default() });
            verdict(&report, false)
        };
        assert_eq!(with("process_thread_wait", 20.0, None).state, "valid");
        assert_eq!(with("process_thread_wait", 90.0, Some(0.1)).state, "valid");
        let found = with("process_thread_wait", 60.0, None);
        assert!(found.state == "degraded" && found.reasons[0].ends_with("60 % of the time"), "{found:?}");
        assert_eq!(with("host_cpu_steal", 5.0, None).state, "valid");
        assert_eq!(with("host_cpu_steal", 5.1, None).state, "degraded");
    }

    #[test]
    fn a_wait_that_made_nothing_late_is_no_reason() {
        let waited = |lag, error| {
            judged(|_, precision| {
                (precision.client_waited, precision.receive_lag_p99_ms) = (Some(0.5), Some(lag));
                precision.ttft_error_ms = Some(error);
            })
            .reasons
            .len()
        };
        assert_eq!((waited(0.9, 0.1), waited(1.1, 0.1), waited(0.9, 6.0)), (0, 1, 2));
    }

    #[test]
    fn a_run_that_is_in_doubt_for_its_first_connections_alone_is_told_to_warm_up() {
        let is_told = |reused, delay, tag: &str| {
            let found = judged(|phase, precision| {
                let stats = Stats { avg: Some(reused), ..Stats::default() };
                let metric = MetricResult { stats, ..MetricResult::default() };
                phase.metrics.insert(tag.to_owned(), metric);
                *precision = Precision {
                    ttft_error_ms: Some(8.0),
                    latency_error_ms: Some(7.0),
                    send_delay_p99_ms: Some(delay),
                    ..*precision
                };
            });
            assert!(found.reasons[0].starts_with("TTFT may be off by 8.0 ms (p99), 8 % of its median"), "{found:?}");
            found.reasons[0].ends_with(": a warm-up (--warmup-request-count) keeps new connections out")
        };
        let tag = "http_req_connection_reused";
        assert!(is_told(0.98, 1.0, tag));
        assert!(!is_told(0.0, 1.0, tag), "every request needs a connection of its own");
        assert!(!is_told(0.98, 4.0, tag), "requests were sent late on all connections");
        assert!(!is_told(0.98, 1.0, "other"), "nothing is known of connections");
    }

    #[test]
    fn a_lag_says_nothing_in_a_closed_loop() {
        assert_eq!(judged(|phase, _| phase.load.lag_p99_ms = Some(50.0)).state, "valid");
    }

    #[test]
    fn what_is_not_known_is_no_reason() {
        assert_eq!(judged(|_, precision| *precision = Precision::default()).state, "valid");
    }

    proptest! {
        #[test]
        fn a_verdict_gets_no_better_when_an_error_a_lag_or_a_wait_grows(
            known in prop::array::uniform6(0.0..2.0_f64),
            more in prop::array::uniform6(0.0..2.0_f64),
        ) {
            let weight = |values: [f64; 6]| {
                let [ttft, itl, percent, lag, busy, waited] = values;
                let state = judged(|_, precision| {
                    *precision = Precision {
                        ttft_error_ms: Some(ttft * 60.0),
                        itl_error_ms: Some(itl / 10.0),
                        itl_error_pct: Some(percent * 30.0),
                        receive_lag_p99_ms: Some(lag * 100.0),
                        client_busy: Some(busy),
                        client_waited: Some(waited),
                        ..Precision::default()
                    };
                }).state;
                ["valid", "degraded", "invalid"].iter().position(|name| *name == state)
            };
            for at in 0..6 {
                let mut grown = known;
                grown[at] += more[at];
                prop_assert!(weight(grown) >= weight(known), "{at}");
            }
        }
    }
}
