//! What speaks against a run, from where on, and in which words.

use super::*;
use inferometer_abi::documents::{
    LoadReport, MetricResult, Outcomes, Series, Stats, Subject, TelemetryMetric, TelemetrySource,
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

/// The verdict on a report whose phases have slots of `--concurrency`, or none.
fn judge(report: &Report, requests: bool) -> Verdict {
    verdict(report, &vec![Terms { requests, ..Terms::default() }; report.phases.len()], false)
}

fn judged(change: impl FnOnce(&mut PhaseReport, &mut Precision)) -> Verdict {
    let with = |phase: &mut PhaseReport| {
        let mut precision = phase.precision.unwrap();
        change(phase, &mut precision);
        phase.precision = Some(precision);
    };
    judge(&report(with), false)
}

#[test]
fn a_run_against_a_server_that_was_not_checked_is_degraded_and_says_so() {
    let verdict = verdict(&report(|_| {}), &[Terms::default()], true);
    assert_eq!(verdict.state, "degraded");
    assert!(verdict.reasons[0].contains("certificate was not checked (--insecure)"), "{:?}", verdict.reasons);
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
        ("never sent", |phase, _, x| phase.outcomes.dropped = x as u64, 0.0, Some([1.0, 50.0]), Some(51.0)),
        ("requests failed", |phase, _, x| phase.outcomes.error = x as u64, 1.0, Some([2.0, 99.0]), None),
        ("cancelled; latencies", |phase, _, x| phase.outcomes.cancelled = x as u64, 0.0, Some([1.0, 99.0]), None),
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
    let tail = |tail_s| judged(|phase, _| (phase.load.sends_by_time, phase.load.tail_s) = (true, Some(tail_s))).state;
    assert_eq!((&*tail(0.25), &*tail(0.26)), ("valid", "degraded"));
}

#[test]
fn arrivals_that_waited_for_slots_were_kept_by_the_server() {
    let of = |dropped| judge(&report(|phase| phase.outcomes.dropped = dropped), true);
    assert_eq!(
        (of(99).state.as_str(), of(99).reasons),
        ("degraded", vec!["99 arrivals were never sent: no slot was free in time (--concurrency)".to_owned()])
    );
    assert!(of(1).reasons[0].starts_with("1 arrival was never sent"));
}

/// A phase whose requests had times and were sent up to 2 s behind them.
fn late(phase: &mut PhaseReport) {
    phase.load = LoadReport {
        strategy: "constant".to_owned(),
        asked_rate: Some(60.0),
        achieved_rate: Some(17.14),
        lag_p99_ms: Some(2_000.0),
        ..LoadReport::default()
    };
}

/// What was said of lateness where `prefill` slots were asked for, and those of `--concurrency` `has_slots`.
fn said_of_lateness(has_slots: bool, prefill: Option<u64>, change: impl FnOnce(&mut PhaseReport)) -> Vec<String> {
    let report = report(|phase| {
        late(phase);
        change(phase);
    });
    verdict(&report, &[Terms { requests: has_slots, prefill: prefill.is_some(), ..Terms::default() }], false).reasons
}

#[test]
fn what_was_late_for_slots_is_blamed_on_those_slots() {
    let late = "requests were sent up to 2.0 s behind schedule (p99), 17.1 a second where 60.0 were asked";
    let blamed =
        |flags| [format!("{late}: they waited for slots ({flags}), as the server did not answer as fast as they came")];
    assert_eq!(said_of_lateness(true, None, |_| {}), blamed("--concurrency"));
    assert_eq!(said_of_lateness(false, Some(2), |_| {}), blamed("--prefill-concurrency"));
    assert_eq!(said_of_lateness(true, Some(2), |_| {}), blamed("--concurrency, --prefill-concurrency"));
    assert_eq!(said_of_lateness(false, None, |_| {}), [late]);
    let mut said =
        said_of_lateness(true, None, |phase| phase.precision.as_mut().unwrap().send_delay_p99_ms = Some(1_500.0));
    assert_eq!(said, [late], "it is the client's own delay");
    said = said_of_lateness(true, None, |phase| phase.precision.as_mut().unwrap().client_busy = Some(0.99));
    assert_eq!(said[0], late, "the client did not come round to it");
}

#[test]
fn a_rate_that_was_achieved_is_not_told_with_a_lag() {
    let said = said_of_lateness(false, None, |phase| phase.load.achieved_rate = Some(57.0));
    assert_eq!(said, ["requests were sent up to 2.0 s behind schedule (p99)"]);
    let said = said_of_lateness(false, None, |phase| phase.load.strategy = "burst".to_owned());
    assert_eq!(said, ["requests were sent up to 2.0 s behind schedule (p99)"], "bursts have no even rate");
}

#[test]
fn more_than_one_in_a_hundred_that_waited_for_its_prompt_makes_a_schedule_doubtful() {
    let said = |waited, asked_rate| {
        said_of_lateness(true, None, |phase| {
            (phase.load.waited_for_data, phase.load.asked_rate) = (Some(waited), asked_rate);
            phase.load.achieved_rate = None;
        })
    };
    assert_eq!(said(1, Some(60.0)).len(), 1);
    assert_eq!(
        said(2, Some(60.0)),
        [
            "requests were sent up to 2.0 s behind schedule (p99)",
            "2 of 100 requests waited for their prompts to be made: have fewer or shorter ones made \
             (--num-dataset-entries, --isl), or ask for a lower rate"
        ],
        "prompts made them late, and no slots"
    );
    assert_eq!(said(50, None).len(), 1, "nor does a closed loop load as it might");
}

#[test]
fn a_data_sets_own_times_are_kept_or_it_is_said_also_where_they_make_no_rate() {
    let state = |strategy: &str, lag| {
        let of = |phase: &mut PhaseReport| {
            (phase.load.strategy, phase.load.lag_p99_ms) = (strategy.to_owned(), Some(lag));
        };
        judge(&report(of), false).state
    };
    assert_eq!((&*state("fixed_schedule", 10.0), &*state("fixed_schedule", 10.1)), ("valid", "degraded"));
    assert_eq!(state("concurrency", 10.1), "valid");
}

#[test]
fn a_burst_may_take_as_long_as_its_answers_are_long_and_may_wait_for_slots() {
    let state = |lag, asked_rate, has_slots| {
        let of = |phase: &mut PhaseReport| {
            let strategy = "burst".to_owned();
            phase.load = LoadReport { strategy, asked_rate, lag_p99_ms: Some(lag), ..LoadReport::default() };
        };
        judge(&report(of), has_slots).state
    };
    assert_eq!((&*state(20.0, None, false), &*state(20.1, None, false)), ("valid", "degraded"));
    assert_eq!(state(9e3, None, true), "valid", "one burst through slots is what was asked");
    assert_eq!(state(9e3, Some(5.0), true), "degraded", "the next burst has come meanwhile");
}

#[test]
fn an_earlier_phase_is_judged_by_its_load_and_leaves_the_result_to_the_last() {
    let mut report = report(|_| {});
    let mut earlier = phase();
    late(&mut earlier);
    earlier.name = "ramp".to_owned();
    earlier.outcomes.dropped = 99;
    earlier.load.achieved_rate = None;
    report.phases.insert(0, earlier.clone());
    earlier.name = "cold".to_owned();
    earlier.outcomes.ok = 0;
    report.phases.insert(1, earlier.clone());
    earlier.kind = "warmup".to_owned();
    report.phases.insert(0, earlier);
    let found = judge(&report, false);
    assert_eq!(
        (found.state.as_str(), found.reasons),
        (
            "degraded",
            vec![
                "phase 'ramp': requests were sent up to 2.0 s behind schedule (p99)".to_owned(),
                "phase 'ramp': 99 of 100 arrivals were never sent".to_owned(),
                "phase 'cold': no request succeeded".to_owned(),
            ]
        )
    );
}

#[test]
fn a_client_that_lagged_because_it_was_busy_is_told_once() {
    let found = judged(|_, precision| {
        (precision.receive_lag_p99_ms, precision.client_busy) = (Some(30.0), Some(0.97));
    });
    assert_eq!(
        found.reasons,
        ["answers waited 30.0 ms (p99) in this machine until the client read them: it was the bottleneck, busy 97 % \
          of the time; give it --workers or a machine of its own"]
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
        let source = TelemetrySource { subject: Subject::Client, metrics: vec![metric], ..TelemetrySource::default() };
        report.sources.push(source);
        let gauge = Some(Stats { avg: Some(share), ..Stats::default() });
        report.phases[0].telemetry.push(Series { gauge, ..Series::default() });
        judge(&report, false)
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
