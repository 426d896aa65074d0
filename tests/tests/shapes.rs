//! The shapes of load, each by its flags: what is sent when, how much at a time, and until when.

use std::collections::{BTreeMap, BTreeSet};

use inferometer_mock::MockConfig;
use inferometer_tests::results::{Outcomes, Results};
use inferometer_tests::sent::{Request, Sent, most_at_once};

const MS: u64 = 1_000_000;

/// All of them ended well.
fn all_ok(total: u64) -> Outcomes {
    Outcomes { total, ok: total, ..Outcomes::default() }
}

fn run(config: MockConfig, words: &str) -> Sent {
    Sent::run(config, &[], &format!("--isl 5 {words}"))
}

/// Runs with one worker and with two and expects the same schedule of both: when the measured requests are intended,
/// in nanoseconds after the first.
fn schedule(words: &str) -> Vec<u64> {
    let [one, two] = [1, 2].map(|workers| {
        let sent = run(MockConfig::default(), &format!("{words} --osl 1 --random-seed 3 --workers {workers}"));
        assert_eq!(sent.results.outcomes(), all_ok(sent.requests.len() as u64), "{words}");
        intended(&sent.results)
    });
    assert_eq!(one, two, "{words}: the schedule depends on the number of workers");
    one
}

fn intended(results: &Results) -> Vec<u64> {
    let mut intended: Vec<u64> = results.measured().map(|record| record.metadata.credit_issued_ns).collect();
    intended.sort_unstable();
    let first = intended[0];
    intended.iter().map(|at| at - first).collect()
}

#[test]
fn constant_arrivals_are_one_gap_apart() {
    let expected: Vec<u64> = (0..60).map(|k| k * 4 * MS).collect();
    assert_eq!(schedule("--request-rate 250 --arrival-pattern constant --request-count 60"), expected);
}

#[test]
fn bursts_come_all_at_once_at_equal_distances() {
    let expected: Vec<u64> = (0..15).map(|k| k / 5 * 40 * MS).collect();
    assert_eq!(schedule("--burst-size 5 --burst-interval 40ms --request-count 15"), expected);
}

#[test]
fn an_endless_rate_intends_everything_at_once_and_slots_hold_it_back() {
    assert_eq!(schedule("--request-rate inf --request-count 30"), [0; 30]);
    let slow = MockConfig { ttft_ms: 10.0, ..MockConfig::default() };
    let sent = run(slow, "--request-rate inf --request-count 20 --concurrency 4 --osl 1");
    assert_eq!((intended(&sent.results), sent.results.outcomes()), (vec![0; 20], all_ok(20)));
    assert_eq!(most_at_once(sent.requests.iter().map(Request::span)), 4);
}

/// Standard deviation of the gaps, as a share of their mean, and the mean in nanoseconds.
fn spread(intended: &[u64]) -> (f64, f64) {
    let gaps: Vec<f64> = intended.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
    (variance.sqrt() / mean, mean)
}

#[test]
fn arrivals_by_chance_have_the_rate_that_was_asked_and_the_spread_of_their_pattern() {
    // Each pattern's gaps spread by 1/√shape of their mean. 400 gaps have that mean to 5 σ = 5/√(400 shape).
    for (pattern, shape) in [
        ("--arrival-pattern poisson", 1.0_f64),
        ("--arrival-pattern gamma --arrival-smoothness 100", 100.0),
        ("--arrival-smoothness 0.25", 0.25),
    ] {
        let intended = schedule(&format!("--request-rate 1000 {pattern} --request-count 401 --num-dataset-entries 10"));
        assert_eq!(intended.len(), 401);
        let (spread, mean) = spread(&intended);
        let sigma = 1.0 / shape.sqrt();
        assert!((mean / MS as f64 - 1.0).abs() < 5.0 * sigma / 20.0, "{pattern}: {mean} ns between two");
        assert!((0.6 * sigma..1.6 * sigma).contains(&spread), "{pattern}: {spread}, not {sigma}");
    }
}

/// Checks that arrivals come whenever the number of those that are due, which `due` says for a time in seconds, is a whole one.
fn follows(intended: &[u64], due: impl Fn(f64) -> f64) {
    for (k, at) in intended.iter().enumerate() {
        let due = due(*at as f64 / 1e9);
        assert!((due - k as f64).abs() < 1e-3, "arrival {k} is at {at} ns, where {due} are due");
    }
}

#[test]
fn a_series_of_rates_is_followed_between_its_points() {
    let series = "[[0, 20], [0.4, 220], [0.8, 220]]";
    for workers in [1, 2] {
        let words = format!(
            "--isl 5 --osl 1 --request-rate-series series.json --arrival-pattern constant --benchmark-duration 0.8 \
             --num-dataset-entries 5 --workers {workers}"
        );
        let sent = Sent::run(MockConfig::default(), &[("series.json", series)], &words);
        // 0.4 s at 120 a second on the average and 0.4 s at 220.
        assert_eq!(sent.results.outcomes(), all_ok(136));
        follows(
            &intended(&sent.results),
            |s| if s < 0.4 { 20.0 * s + 250.0 * s * s } else { 48.0 + 220.0 * (s - 0.4) },
        );
    }
}

#[test]
fn what_was_asked_of_a_series_is_its_lowest_and_its_highest_rate() {
    let words = "--isl 5 --osl 1 --request-rate-series series.json --request-count 10";
    let sent = Sent::run(MockConfig::default(), &[("series.json", "[[0, 20], [0.4, 220]]")], words);
    let load = &sent.results.summary["inferometer"]["load"];
    assert_eq!(load["asked"], "20.0 to 220.0 requests/s, poisson");
}

#[test]
fn a_rate_grows_evenly_in_the_time_of_its_ramp() {
    let words = "--request-rate 200 --arrival-pattern constant --request-rate-ramp-duration 500ms --request-count 90";
    let intended = schedule(words);
    assert_eq!(intended.len(), 90);
    // From 0 to 200 a second in half a second, and then 200 a second.
    follows(&intended, |s| if s < 0.5 { 200.0 * s * s } else { 50.0 + 200.0 * (s - 0.5) });
}

#[test]
fn slots_grow_one_by_one_in_the_time_of_their_ramp() {
    let slow = MockConfig { ttft_ms: 15.0, ..MockConfig::default() };
    for load in ["", "--request-rate inf"] {
        let words = format!("--concurrency 5 --concurrency-ramp-duration 400ms --request-count 80 --osl 1 {load}");
        let sent = run(slow.clone(), &words);
        assert_eq!(sent.results.outcomes(), all_ok(80));
        let spans: Vec<(u64, u64)> = permitted(&sent.results).collect();
        let begun = intended_begin(&sent.results);
        for (start, _) in &spans {
            let open = spans.iter().filter(|(begin, end)| begin <= start && end > start).count() as u64;
            let grown = 1 + 4 * (start - begun) / (400 * MS);
            assert!(open <= grown.min(5), "{load}: {open} in flight {} ns after the start", start - begun);
        }
        assert_eq!(most_at_once(spans), 5, "{load}: in the end all are there");
    }
}

/// From leave to send to the end, of each request.
fn permitted(results: &Results) -> impl Iterator<Item = (u64, u64)> {
    results.records.iter().map(|record| {
        let metadata = &record.metadata;
        (metadata.request_start_ns.expect("it was sent"), metadata.request_end_ns.expect("it ended"))
    })
}

fn intended_begin(results: &Results) -> u64 {
    results.measured().map(|record| record.metadata.credit_issued_ns).min().expect("there are requests")
}

#[test]
fn few_requests_wait_for_their_first_token_at_a_time_where_that_is_limited() {
    let slow = MockConfig { ttft_ms: 10.0, itl_ms: 8.0, ..MockConfig::default() };
    for load in ["", "--request-rate 1000"] {
        let words = format!("--streaming --concurrency 8 --prefill-concurrency 2 --request-count 40 --osl 8 {load}");
        let sent = run(slow.clone(), &words);
        assert_eq!(sent.results.outcomes(), all_ok(40));
        let prefills = sent.results.records.iter().map(|record| {
            let start = record.metadata.request_start_ns.expect("it was sent");
            (start, start + (record.number("time_to_first_token") * 1e6) as u64)
        });
        assert_eq!(most_at_once(prefills), 2, "{load}");
        assert!(most_at_once(sent.requests.iter().map(Request::span)) > 2, "{load}: the others go on");
    }
}

const TRACE: &str = r#"{"timestamp": 1000, "input_length": 8, "output_length": 1, "hash_ids": [1]}
{"timestamp": 1050, "input_length": 8, "output_length": 2, "hash_ids": [2]}
{"timestamp": 1050, "input_length": 8, "output_length": 3, "hash_ids": [3]}
{"timestamp": 1200, "input_length": 8, "output_length": 4, "hash_ids": [4]}
{"timestamp": 1101, "input_length": 8, "output_length": 5, "hash_ids": [5]}
"#;

/// A trace's requests by their output tokens, which tell them apart, each with its intended time after the phase's begin
/// as the program has it: the first is at `first_ms`.
fn replayed(words: &str, first_ms: f64) -> BTreeMap<u64, f64> {
    let words = format!("--input-file trace.jsonl --custom-dataset-type mooncake_trace {words}");
    let [one, two] = [1, 2].map(|workers| {
        let words = format!("{words} --workers {workers}");
        let sent = Sent::run(MockConfig::default(), &[("trace.jsonl", TRACE)], &words);
        assert_eq!(sent.results.outcomes(), all_ok(sent.requests.len() as u64));
        let begin = intended_begin(&sent.results);
        let at = |request: &Request| (request.record.metadata.credit_issued_ns - begin) as f64 / 1e6 + first_ms;
        for request in &sent.requests {
            assert!(request.truth.received_ns >= request.record.metadata.credit_issued_ns, "sent before its time");
        }
        sent.requests.iter().map(|request| (request.truth.tokens, at(request))).collect::<BTreeMap<_, _>>()
    });
    assert_eq!(one, two, "{words}");
    one
}

#[test]
fn a_trace_is_sent_at_its_own_times_as_they_are_or_scaled_or_in_part() {
    let all = [(1, 0.0), (2, 50.0), (3, 50.0), (4, 200.0), (5, 101.0)];
    for flag in ["", "--fixed-schedule"] {
        assert_eq!(replayed(flag, 0.0), BTreeMap::from(all), "{flag}");
    }
    let halved = all.map(|(tokens, at)| (tokens, at / 2.0));
    assert_eq!(replayed("--fixed-schedule-speedup 2", 0.0), BTreeMap::from(halved));
    assert_eq!(
        replayed("--fixed-schedule-start-offset 1050 --fixed-schedule-end-offset 1101", 0.0),
        BTreeMap::from([(2, 0.0), (3, 0.0), (5, 51.0)])
    );
    assert_eq!(replayed("--fixed-schedule-end-offset 1050", 0.0), BTreeMap::from([(1, 0.0), (2, 50.0), (3, 50.0)]));
}

#[test]
fn a_trace_is_sent_without_its_times_where_they_are_not_wanted() {
    let words = "--input-file trace.jsonl --custom-dataset-type mooncake_trace --concurrency 1 --no-fixed-schedule";
    let sent = Sent::run(MockConfig::default(), &[("trace.jsonl", TRACE)], words);
    let tokens: Vec<u64> = sent.requests.iter().map(|request| request.truth.tokens).collect();
    assert_eq!(tokens, [1, 2, 3, 4, 5]);
}

#[test]
fn users_send_one_after_another_at_the_rate_of_all() {
    let words = "--user-centric-rate 200 --num-users 4 --session-turns-mean 2 --request-count 24 --osl 1 \
                 --num-dataset-entries 24 --random-seed 3";
    let sent = run(MockConfig::default(), words);
    assert_eq!(sent.results.outcomes(), all_ok(24));
    let intended = intended(&sent.results);
    assert_eq!(intended[..4], [0, 5 * MS, 10 * MS, 15 * MS], "users begin one after another");
    for (k, at) in intended.iter().enumerate() {
        assert!(*at >= k as u64 * 5 * MS, "request {k} came before its user's turn: {at} ns");
    }
}

#[test]
fn a_share_of_the_requests_is_broken_off_and_kept_out_of_the_latencies() {
    let slow = MockConfig { ttft_ms: 10.0, ..MockConfig::default() };
    let words = "--streaming --concurrency 16 --request-count 400 --num-dataset-entries 20 --osl 2 --random-seed 9 \
                 --request-cancellation-rate 25 --warmup-request-count 40";
    let [one, two] = [1, 2].map(|workers| run(slow.clone(), &format!("{words} --workers {workers}")));
    let broken_off = |sent: &Sent| -> BTreeSet<String> {
        let cancelled = sent.results.records.iter().filter(|record| record.metadata.was_cancelled);
        cancelled.map(|record| record.metadata.x_request_id.clone()).collect()
    };
    assert_eq!(broken_off(&one), broken_off(&two), "it depends on the number of workers which are broken off");
    let outcomes = one.results.outcomes();
    assert_eq!((outcomes.total, outcomes.ok), (400, 400 - outcomes.cancelled), "{outcomes:?}");
    // Five standard deviations of 400 draws of one in four.
    assert!(outcomes.cancelled.abs_diff(100) < 44, "{outcomes:?}");
    assert_eq!(one.results.statistic("request_latency", "count"), outcomes.ok as f64);
    assert_eq!(one.results.statistic("time_to_first_token", "count"), outcomes.ok as f64);
    for record in &one.results.records {
        if record.metadata.was_cancelled {
            assert_eq!(record.metadata.benchmark_phase, "profiling", "a warm-up is never broken off");
            assert!(!record.metrics.contains_key("request_latency"), "{record:?}");
        }
    }
    assert_eq!(one.results.summary["warmup_metrics"]["request_count"]["avg"], 40.0);
}

#[test]
fn a_warm_up_has_a_shape_of_its_own_and_is_in_no_figure_of_the_measurement() {
    let words = "--warmup-request-count 10 --warmup-request-rate 500 --warmup-arrival-pattern constant --request-count 12 \
                 --concurrency 3 --osl 2";
    let sent = run(MockConfig::default(), words);
    assert_eq!((sent.results.outcomes(), sent.results.records.len()), (all_ok(12), 22));
    let (mut warmup, mut last) = (Vec::new(), 0);
    for record in sent.results.records.iter().filter(|record| record.metadata.benchmark_phase == "warmup") {
        warmup.push(record.metadata.credit_issued_ns);
        last = last.max(record.metadata.request_end_ns.expect("it was answered"));
    }
    warmup.sort_unstable();
    assert!(warmup.windows(2).all(|pair| pair[1] - pair[0] == 2 * MS), "{warmup:?}");
    assert_eq!(warmup.len(), 10);
    assert!(intended_begin(&sent.results) >= last, "the phases overlap");
    assert_eq!(sent.results.statistic("request_latency", "count"), 12.0);
    assert_eq!(sent.results.value("total_osl"), 24.0);
    assert_eq!(sent.results.summary["inferometer"]["load"]["strategy"], "concurrency");
}

const PHASES: &str = r#"
[[phase]]
kind = "warmup"
request-count = 3
concurrency = 1

[[phase]]
name = "low"
request-count = 4
concurrency = 2

[[phase]]
name = "high"
request-count = 6
request-rate = 500
arrival-pattern = "constant"
"#;

#[test]
fn phases_follow_one_another_through_one_data_set() {
    let lines: String = (0..10).map(|n| format!("{{\"session_id\": \"s{n}\", \"text\": \"line {n}\"}}\n")).collect();
    for workers in [1, 2] {
        let words = format!("--config run.toml --input-file lines.jsonl --osl 1 --workers {workers}");
        let sent = Sent::run(MockConfig::default(), &[("run.toml", PHASES), ("lines.jsonl", &lines)], &words);
        let mut used: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut spans: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for record in &sent.results.records {
            let metadata = &record.metadata;
            used.entry(&metadata.phase_name).or_default().insert(&metadata.conversation_id);
            let span = spans.entry(&metadata.phase_name).or_insert((u64::MAX, 0));
            span.0 = span.0.min(metadata.credit_issued_ns);
            span.1 = span.1.max(metadata.request_end_ns.expect("it was answered"));
        }
        let expected = [
            ("warmup", BTreeSet::from(["s0", "s1", "s2"])),
            ("low", BTreeSet::from(["s3", "s4", "s5", "s6"])),
            ("high", BTreeSet::from(["s7", "s8", "s9", "s0", "s1", "s2"])),
        ];
        assert_eq!(used, BTreeMap::from(expected));
        assert!(spans["warmup"].1 <= spans["low"].0 && spans["low"].1 <= spans["high"].0, "{spans:?}");
        assert_eq!(sent.results.records.len(), 13);
    }
}

#[test]
fn at_the_end_of_its_time_a_run_breaks_off_what_is_in_flight_or_waits_for_it_as_asked() {
    let slow = MockConfig { ttft_ms: 700.0, ..MockConfig::default() };
    let words = "--streaming --concurrency 3 --benchmark-duration 300ms --num-dataset-entries 3 --osl 2";
    let waited = run(slow, &format!("{words} --benchmark-grace-period 60s"));
    assert_eq!(waited.results.outcomes(), all_ok(3));

    // Longer than any test.
    let stuck = MockConfig { ttft_ms: 3_600_000.0, ..MockConfig::default() };
    let mock = inferometer_tests::mock::Mock::start(MockConfig { truth_bodies: true, ..stuck });
    let words = format!("{words} --benchmark-grace-period 0");
    let outcome = mock.profile().args(["--isl", "5"]).args(words.split_whitespace()).run().expect_code(3);
    let sent = Sent::of(outcome, mock.stop());
    assert_eq!(sent.results.outcomes(), Outcomes { total: 3, cancelled: 3, ..Outcomes::default() });
    let ends = sent.results.records.iter().map(|record| record.metadata.request_end_ns.expect("it was broken off"));
    let begin = intended_begin(&sent.results);
    assert!(ends.min().is_some_and(|end| end >= begin + 299 * MS), "they were broken off before their time");
}
