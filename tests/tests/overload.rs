//! Loads that the server cannot take: what waits is seen in the latencies, what is dropped is counted, and all of it adds
//! up.

use inferometer_mock::MockConfig;
use inferometer_tests::results::{Outcomes, Record, Results};
use inferometer_tests::sent::{Request, Sent, most_at_once};

/// What the server takes for a request, in milliseconds; it gets 60 a second and has two slots for them.
const SERVICE_MS: f64 = 120.0;
const RATE: f64 = 60.0;

fn overloaded(requests: u64, words: &str) -> Sent {
    let words = format!(
        "--arrival-pattern constant --request-rate {RATE} --concurrency 2 --request-count {requests} --isl 5 --osl 1 \
         --streaming --workers 1 {words}"
    );
    Sent::run(MockConfig { ttft_ms: SERVICE_MS, ..MockConfig::default() }, &[], &words)
}

/// The records in the order of the schedule.
fn scheduled(results: &Results) -> Vec<&Record> {
    let mut records: Vec<&Record> = results.records.iter().collect();
    records.sort_by_key(|record| record.metadata.credit_issued_ns);
    records
}

fn number(results: &Results, name: &str) -> f64 {
    let load = &results.summary["inferometer"]["load"];
    load[name].as_f64().unwrap_or_else(|| panic!("no {name} in {load}"))
}

#[test]
fn a_queue_before_the_server_is_in_the_latencies_from_the_schedule_and_in_no_other() {
    let sent = overloaded(30, "");
    let results = &sent.results;
    assert_eq!(results.outcomes(), Outcomes { total: 30, ok: 30, ..Outcomes::default() });
    let mut permitted = 0;
    for (k, record) in scheduled(results).into_iter().enumerate() {
        // Each slot serves one request after another, so that request k waits at least for those before it.
        let waits_ms = (k / 2) as f64 * SERVICE_MS - k as f64 * 1e3 / RATE;
        let least_ms = waits_ms.max(0.0) + SERVICE_MS;
        let latency_ms = record.number("intended_latency");
        assert!(latency_ms >= least_ms - 1e-3, "request {k}: {latency_ms} ms, and {least_ms} ms at least");
        assert!(latency_ms <= 2.0 * least_ms + 1_000.0, "request {k}: {latency_ms} ms, where {least_ms} ms are due");
        let since_intended = latency_ms - record.number("request_latency");
        let start = record.metadata.request_start_ns.expect("it was sent");
        let waited_ms = (start - record.metadata.credit_issued_ns) as f64 / 1e6;
        assert!((since_intended - waited_ms).abs() < 1e-3, "the two latencies differ by the wait");
        assert!(start >= permitted, "request {k} was overtaken");
        permitted = start;
    }
    assert!(most_at_once(sent.requests.iter().map(Request::span)) <= 2);
    assert!(results.statistic("intended_latency", "p50") > results.statistic("request_latency", "p50"));
}

#[test]
fn a_rate_that_was_not_achieved_is_said_in_figures_and_in_the_verdict() {
    let sent = overloaded(24, "");
    let results = &sent.results;
    assert_eq!(number(results, "asked_rate"), RATE);
    // Two slots of that service time give no more, but for the first two.
    let most = 23.0 / (11.0 * SERVICE_MS / 1e3);
    assert!(number(results, "achieved_rate") <= most + 1e-9, "{}", results.summary["inferometer"]["load"]);
    assert!(number(results, "late") >= 22.0);
    // The last two wait for eleven before them.
    let last_ms = 11.0 * SERVICE_MS - 23.0 * 1e3 / RATE;
    assert!(number(results, "lag_p99_ms") >= 0.9 * last_ms, "{}", results.summary["inferometer"]["load"]);
    let verdict = &results.summary["inferometer"]["verdict"];
    assert_ne!(verdict["state"], "valid");
    assert!(verdict["reasons"].to_string().contains("behind schedule"), "{verdict}");
    let stdout = &sent.outcome.stdout;
    for words in ["60.0 requests/s, constant, at most 2 requests in flight", "behind schedule", "degraded"] {
        assert!(sent.outcome.says(words), "no '{words}' in {stdout}");
    }
}

#[test]
fn what_finds_no_slot_is_dropped_and_counted_and_what_finds_one_never_waited() {
    let sent = overloaded(60, "--on-overload drop");
    let results = &sent.results;
    let outcomes = results.outcomes();
    assert_eq!((outcomes.total, outcomes.ok + outcomes.dropped), (60, 60));
    assert_eq!(outcomes.ok, sent.requests.len() as u64);
    // 2 × 120 ms of service hold 14 arrivals.
    assert!(outcomes.ok >= 2 && outcomes.dropped >= 30, "{outcomes:?}");
    assert_eq!(results.records.len(), 60);
    for record in &results.records {
        match &record.error {
            None => assert!(record.metadata.request_start_ns.is_some()),
            Some(error) => {
                assert_eq!((error.kind.as_str(), record.metadata.request_start_ns), ("dropped", None));
                assert!(error.message.contains("slot"), "{error:?}");
            }
        }
    }
    assert!(most_at_once(sent.requests.iter().map(Request::span)) <= 2);
    assert!(number(results, "lag_p50_ms") < SERVICE_MS / 2.0, "{}", results.summary["inferometer"]["load"]);
    assert_eq!(results.statistic("request_latency", "count"), outcomes.ok as f64);
    let verdict = &results.summary["inferometer"]["verdict"];
    assert!(verdict["reasons"].to_string().contains("arrivals were never sent"), "{verdict}");
    assert!(sent.outcome.says(&format!("{} dropped", outcomes.dropped)), "{}", sent.outcome.stdout);
}

/// Each line per request is of one of the outcomes in the summary, and each of these has its line but for arrivals that
/// no worker came round to.
fn adds_up(sent: &Sent) -> Outcomes {
    let outcomes = sent.results.outcomes();
    let mut lines = Outcomes::default();
    for record in &sent.results.records {
        lines.total += 1;
        let kind = record.error.as_ref().map(|error| error.kind.as_str());
        match kind {
            None => lines.ok += 1,
            Some("dropped") => lines.dropped += 1,
            Some(_) if record.metadata.was_cancelled => lines.cancelled += 1,
            Some(_) => lines.error += 1,
        }
    }
    let missed = outcomes.total - lines.total;
    let expected = Outcomes { total: lines.total + missed, dropped: lines.dropped + missed, ..lines };
    assert_eq!(outcomes, expected);
    assert_eq!(outcomes.total, outcomes.ok + outcomes.error + outcomes.cancelled + outcomes.dropped);
    let latencies =
        sent.results.summary.get("request_latency").map(|_| sent.results.statistic("request_latency", "count"));
    assert_eq!(latencies.unwrap_or_default(), outcomes.ok as f64);
    let said = format!(
        "{} requests = {} ok + {} error + {} cancelled + {} dropped",
        outcomes.total, outcomes.ok, outcomes.error, outcomes.cancelled, outcomes.dropped
    );
    assert!(sent.outcome.says(&said), "{said}: {}", sent.outcome.stdout);
    for Request { record, truth } in &sent.requests {
        match truth.outcome.as_str() {
            "ok" => assert!(record.error.is_none() || record.metadata.was_cancelled, "{record:?}"),
            "aborted" => assert!(record.metadata.was_cancelled, "{record:?}"),
            _ => assert!(record.error.is_some(), "{record:?}"),
        }
    }
    outcomes
}

/// A server that fails in all ways and takes its time.
fn faulty() -> MockConfig {
    MockConfig {
        ttft_ms: 12.0,
        itl_ms: 1.0,
        jitter: 0.5,
        error_rate: 0.1,
        reset_rate: 0.1,
        truncate_rate: 0.1,
        stream_error_rate: 0.05,
        stall_rate: 0.05,
        stall_ms: 60.0,
        seed: 4,
        ..MockConfig::default()
    }
}

const MIXED: &str = "--streaming --isl 5 --osl 6 --request-rate 600 --concurrency 4 --request-cancellation-rate 15 \
                     --request-cancellation-delay 5ms --random-seed 2";

#[test]
fn sums_are_exact_under_overload_faults_and_requests_broken_off_together() {
    for (overload, workers) in [("queue", 1), ("drop", 1), ("queue", 2), ("drop", 2)] {
        let words = format!("{MIXED} --on-overload {overload} --request-count 200 --workers {workers}");
        let outcomes = adds_up(&Sent::run(faulty(), &[], &words));
        assert_eq!(outcomes.total, 200, "{words}");
        assert!(outcomes.ok > 0 && outcomes.error > 0 && outcomes.cancelled > 0, "{words}: {outcomes:?}");
        assert_eq!(outcomes.dropped > 0, overload == "drop", "{words}: {outcomes:?}");
    }
}

#[test]
fn sums_are_exact_when_time_runs_out_under_overload_and_faults() {
    for (overload, grace) in [("queue", "0"), ("drop", "0"), ("queue", "1s"), ("drop", "1s")] {
        let words = format!(
            "{MIXED} --on-overload {overload} --benchmark-duration 300ms --benchmark-grace-period {grace} --workers 2 \
             --arrival-pattern constant --num-dataset-entries 20"
        );
        let outcomes = adds_up(&Sent::run(faulty(), &[], &words));
        assert_eq!(outcomes.total, 180, "600 a second for 0.3 s: {words}");
        assert!(outcomes.dropped > 0, "{words}: {outcomes:?}");
    }
}

#[test]
fn sums_are_exact_for_sessions_that_break_off_in_an_overload() {
    for (overload, unit) in [("queue", "sessions"), ("drop", "sessions"), ("queue", "requests"), ("drop", "requests")] {
        let words = format!(
            "{MIXED} --on-overload {overload} --concurrency-unit {unit} --session-turns-mean 3 --num-conversations 60 \
             --session-turn-delay-mean 5 --workers 2"
        );
        let sent = Sent::run(faulty(), &[], &words);
        let outcomes = adds_up(&sent);
        assert!(outcomes.ok > 0 && outcomes.error > 0 && outcomes.cancelled > 0, "{words}: {outcomes:?}");
        // Each session began, was broken off at the first turn without an answer, and the others are said to be unsent.
        let begun: std::collections::BTreeSet<_> =
            sent.results.records.iter().map(|record| &record.metadata.x_correlation_id).collect();
        assert_eq!(begun.len(), 60, "{words}");
        let turns_of_dropped_sessions: u64 =
            sent.results.records.iter().filter(|r| r.metadata.request_start_ns.is_none()).count() as u64 * 2;
        let unsent = 180 - outcomes.total - turns_of_dropped_sessions;
        let is_said = sent.notes().contains(&format!("{unsent} later turns were not sent"));
        assert!(is_said || overload == "drop", "{words}: {unsent}: {}", sent.notes());
    }
}
