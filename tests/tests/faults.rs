//! Servers that misbehave: every request is still counted once, and the reason is named.

use std::collections::{BTreeMap, BTreeSet};

use inferometer_mock::MockConfig;
use inferometer_tests::mock::{Mock, Truth};
use inferometer_tests::results::{Outcomes, Results};
use inferometer_tests::run::Outcome;

const STREAMED: &str = "--streaming --concurrency 8 --isl 10 --osl 12";
const WHOLE: &str = "--concurrency 8 --isl 10 --osl 12";

/// Runs so many requests against a server of its own.
fn run(config: MockConfig, words: &str, requests: u64) -> (Outcome, Results, Vec<Truth>) {
    let mock = Mock::start(config);
    let outcome = mock.profile().args(words.split_whitespace()).args(["--request-count", &requests.to_string()]).run();
    let results = Results::of(&outcome);
    (outcome, results, mock.stop())
}

/// What the results call a fault that the server's log calls `fault`.
fn kind(fault: &str, streamed: bool) -> Option<&'static str> {
    match fault {
        "ok" => None,
        "error" => Some("http_status"),
        "reset" => Some("reset"),
        "truncated" => Some("truncated"),
        "malformed" => Some("malformed"),
        // Only a stream can hold an event that reports an error.
        "stream_error" => streamed.then_some("stream_error"),
        other => panic!("the server ended a request as {other}"),
    }
}

/// Every record says what its request met, and the sums are those of the server's own log.
fn agree(results: &Results, truth: &[Truth], streamed: bool) {
    let met: BTreeMap<&str, Option<&str>> =
        truth.iter().map(|truth| (truth.x_request_id.as_str(), kind(&truth.outcome, streamed))).collect();
    assert_eq!(results.records.len(), met.len());
    let mut errors: BTreeMap<String, u64> = BTreeMap::new();
    for record in &results.records {
        let said = record.error.as_ref().map(|error| error.kind.as_str());
        assert_eq!(said, met[record.metadata.x_request_id.as_str()], "{record:?}");
        if let Some(kind) = said {
            *errors.entry(kind.to_owned()).or_default() += 1;
        }
    }
    let (total, error) = (met.len() as u64, errors.values().sum());
    assert_eq!(results.outcomes(), Outcomes { total, ok: total - error, error, ..Outcomes::default() });
    assert_eq!(results.errors(), errors);
}

/// Each fault alone, with the word that the user reads of it.
fn each() -> [(MockConfig, &'static str, &'static str); 5] {
    let none = MockConfig::default;
    [
        (MockConfig { error_rate: 1.0, ..none() }, "http_status", "500 an error, as configured"),
        (MockConfig { reset_rate: 1.0, ..none() }, "reset", "reset"),
        (MockConfig { truncate_rate: 1.0, ..none() }, "truncated", "terminator"),
        (MockConfig { malformed_rate: 1.0, ..none() }, "malformed", "cannot be read"),
        (MockConfig { stream_error_rate: 1.0, ..none() }, "stream_error", "an error in mid-stream"),
    ]
}

#[test]
fn a_server_that_only_fails_is_reported_with_the_reason_and_exit_code_3() {
    for (config, kind, word) in each() {
        let (outcome, results, truth) = run(config, STREAMED, 24);
        let outcome = outcome.expect_code(3);
        agree(&results, &truth, true);
        assert_eq!(results.errors(), BTreeMap::from([(kind.to_owned(), 24)]));
        for record in &results.records {
            let error = record.error.as_ref().expect("every request failed");
            assert!(error.message.contains(word), "{kind}: {}", error.message);
        }
        assert!(outcome.says(kind) && outcome.says(word), "{kind}: {}", outcome.stdout);
        assert!(outcome.says("24 requests = 0 ok + 24 error + 0 cancelled + 0 dropped"), "{}", outcome.stdout);
        // Nothing was measured, so nothing is claimed.
        assert!(results.summary.get("request_latency").is_none(), "{kind}");
        assert!(results.summary.get("time_to_first_token").is_none(), "{kind}");
    }
}

#[test]
fn every_request_to_a_server_that_fails_in_all_ways_is_counted_as_what_it_met() {
    let mixed = MockConfig {
        error_rate: 0.15,
        reset_rate: 0.15,
        truncate_rate: 0.15,
        malformed_rate: 0.15,
        stream_error_rate: 0.15,
        seed: 3,
        ..MockConfig::default()
    };
    for (words, streamed) in [(STREAMED, true), (WHOLE, false)] {
        let (outcome, results, truth) = run(mixed.clone(), words, 120);
        let _ = outcome.expect_code(0);
        agree(&results, &truth, streamed);
        let met: BTreeSet<&str> = truth.iter().map(|truth| truth.outcome.as_str()).collect();
        assert!(met.len() >= 5, "the mix holds too few kinds: {met:?}");
    }
}

#[test]
fn failed_requests_never_enter_the_latencies_of_those_that_succeeded() {
    let half = MockConfig { error_rate: 0.5, ..MockConfig::default() };
    let (outcome, results, truth) = run(half, STREAMED, 60);
    let _ = outcome.expect_code(0);
    let ok = truth.iter().filter(|truth| truth.outcome == "ok").count() as f64;
    assert!(ok > 0.0 && ok < 60.0);
    assert_eq!(results.statistic("request_latency", "count"), ok);
    assert_eq!(results.statistic("time_to_first_token", "count"), ok);
    assert_eq!(results.value("request_error_rate"), (60.0 - ok) / 60.0 * 100.0);
    assert_eq!(results.value("error_request_count"), 60.0 - ok);
    for record in results.records.iter().filter(|record| record.error.is_some()) {
        assert!(!record.metrics.contains_key("request_latency"), "{record:?}");
    }
}

#[test]
fn a_share_of_failures_above_the_limit_ends_with_exit_code_4() {
    let half = MockConfig { error_rate: 0.5, ..MockConfig::default() };
    for (limit, code) in [("0.05", 4), ("0.95", 0)] {
        let (outcome, results, _) = run(half.clone(), &format!("{STREAMED} --failed-request-threshold {limit}"), 60);
        let _ = outcome.expect_code(code);
        assert_eq!(results.outcomes().total, 60);
    }
}

#[test]
fn connections_that_the_server_closed_while_idle_cost_no_request() {
    let single = MockConfig { max_requests_per_connection: 1, ..MockConfig::default() };
    let few = MockConfig { max_requests_per_connection: 3, threads: 2, ..MockConfig::default() };
    // The time between two requests is about that after which an idle connection is closed: some are, some are not.
    let idle = MockConfig { idle_close_ms: 4.0, ..MockConfig::default() };
    let paced = "--streaming --isl 10 --osl 12 --request-rate 200";
    for (config, words) in [(single.clone(), STREAMED), (single, WHOLE), (few, STREAMED), (idle, paced)] {
        let (outcome, results, truth) = run(config, words, 100);
        let _ = outcome.expect_code(0);
        assert_eq!(results.outcomes(), Outcomes { total: 100, ok: 100, ..Outcomes::default() });
        agree(&results, &truth, true);
    }
}

#[test]
fn answers_that_arrive_in_tiny_pieces_hold_the_same_tokens() {
    let split = MockConfig { split: 3, ..MockConfig::default() };
    for words in [STREAMED, WHOLE] {
        let (outcome, results, truth) = run(split.clone(), words, 16);
        let _ = outcome.expect_code(0);
        agree(&results, &truth, true);
        assert!(results.records.iter().all(|record| record.number("output_sequence_length") == 12.0));
        // The texts themselves, put together again, count the same by the local tokenizer.
        assert_eq!(results.statistic("local_output_tokens", "min"), 12.0);
        assert_eq!(results.statistic("local_output_tokens", "max"), 12.0);
    }
}

#[test]
fn a_pause_in_mid_answer_is_waited_out_and_is_part_of_the_latency() {
    let stalling = MockConfig { stall_rate: 1.0, stall_ms: 150.0, ..MockConfig::default() };
    let (outcome, results, truth) = run(stalling, STREAMED, 16);
    let _ = outcome.expect_code(0);
    agree(&results, &truth, true);
    for record in &results.records {
        let (first, decode) = (record.number("time_to_first_token"), record.number("decode_duration"));
        let latency = record.number("request_latency");
        // The server counts its pause from the moment it has the request, the client from before that.
        assert!(latency >= 150.0, "{record:?}");
        assert!((first + decode - latency).abs() < 1e-6, "{record:?}");
    }
}

#[test]
fn an_answer_that_takes_too_long_is_a_timeout() {
    let stalling = MockConfig { stall_rate: 1.0, stall_ms: 3_600_000.0, ..MockConfig::default() };
    let (outcome, results, truth) = run(stalling, &format!("{STREAMED} --request-timeout-seconds 0.2"), 16);
    let outcome = outcome.expect_code(3);
    assert_eq!(results.errors(), BTreeMap::from([("timeout".to_owned(), 16)]));
    assert!(outcome.says("in mid-answer"), "{}", outcome.stdout);
    assert!(truth.iter().all(|truth| truth.outcome == "aborted"), "the connection was given up, too");
}

#[test]
fn a_model_that_the_server_does_not_know_is_reported_in_the_servers_words() {
    let mock = Mock::start(MockConfig::default());
    let outcome = mock.profile().args(["--model", "other", "--request-count", "2", "--isl", "10"]).run();
    let results = Results::of(&outcome);
    assert_eq!(results.outcomes(), Outcomes { total: 2, ok: 1, error: 1, ..Outcomes::default() });
    let error = results.records.iter().find_map(|record| record.error.as_ref()).expect("one request failed");
    assert!(error.message.contains("404") && error.message.contains("other"), "{error:?}");
    assert!(outcome.stdout.contains("404"), "{}", outcome.stdout);
}
