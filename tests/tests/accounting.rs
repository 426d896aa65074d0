//! Accounts that have to be exact whatever happens: every arrival of the schedule ends in exactly one way, and what was not
//! answered still tells what became of it.

use std::collections::BTreeSet;

use inferometer_mock::MockConfig;
use inferometer_tests::mock::Mock;
use inferometer_tests::results::Results;
use inferometer_tests::run::{Outcome, Program};

fn ended(program: Program, words: &str, code: i32) -> (Outcome, Results) {
    let outcome = program.args(words.split_whitespace()).run().expect_code(code);
    let results = Results::of(&outcome);
    (outcome, results)
}

#[test]
fn every_arrival_of_a_schedule_that_cannot_be_kept_is_accounted_for() {
    let mock = Mock::start(MockConfig { ttft_ms: 20.0, ..MockConfig::default() });
    let words = "--arrival-pattern constant --request-rate 20000 --concurrency 4 --benchmark-duration 500ms \
                 --benchmark-grace-period 0 --num-dataset-entries 10 --isl 5 --osl 1";
    let (outcome, results) = ended(mock.profile(), words, 0);
    let outcomes = results.outcomes();
    assert_eq!(outcomes.total, 10_000, "20,000 a second for half a second");
    assert_eq!(outcomes.ok + outcomes.error + outcomes.cancelled + outcomes.dropped, outcomes.total);
    assert!(outcomes.dropped > 9_000, "{outcomes:?}");
    assert!(outcome.stdout.contains("degraded") && outcome.says("arrivals were"), "{}", outcome.stdout);
}

#[test]
fn a_file_of_sessions_is_sent_once_however_many_are_open() {
    let mock = Mock::start(MockConfig::default());
    let lines: String = (0..30)
        .map(|n| format!("{{\"text\": \"line {n}\", \"session_id\": \"s{}\", \"output_length\": 1}}\n", n / 3))
        .collect();
    let program = mock.profile().file("sessions.jsonl", lines);
    let file = program.folder().join("sessions.jsonl");
    let (_, results) = ended(program.arg("--input-file").arg(file), "--concurrency 8", 0);
    let turns: BTreeSet<_> =
        results.records.iter().map(|r| (r.metadata.conversation_id.clone(), r.metadata.turn_index)).collect();
    assert_eq!((results.records.len(), turns.len()), (30, 30));
}

#[test]
fn the_measured_prompts_are_not_those_of_the_warmup() {
    let mock = Mock::start(MockConfig::default());
    let (_, results) = ended(mock.profile(), "--warmup-request-count 4 --request-count 6 --isl 10 --osl 1", 0);
    let names: BTreeSet<_> = results.records.iter().map(|r| r.metadata.conversation_id.clone()).collect();
    assert_eq!((results.records.len(), names.len()), (10, 10));
}

#[test]
fn a_request_whose_time_was_over_tells_how_far_it_had_come() {
    let mock = Mock::start(MockConfig { ttft_ms: 60_000.0, ..MockConfig::default() });
    let words = "--streaming --request-count 2 --concurrency 2 --request-timeout-seconds 1s --isl 5 --osl 4";
    let (outcome, _) = ended(mock.profile(), words, 3);
    for line in outcome.jsonl("profile_export.jsonl") {
        assert_eq!(line["error"]["type"], "timeout");
        assert!(line["error"]["message"].as_str().is_some_and(|m| m.contains("waiting for content")), "{line}");
        assert!(line["metadata"]["request_ack_ns"].is_u64(), "the head had come: {line}");
    }
}

#[test]
fn many_failures_do_not_pass_for_a_valid_measurement() {
    let mock = Mock::start(MockConfig { error_rate: 0.5, ..MockConfig::default() });
    let (outcome, results) = ended(mock.profile(), "--request-count 100 --concurrency 4 --isl 5 --osl 1", 0);
    let verdict = &results.summary["inferometer"]["verdict"];
    assert!(results.outcomes().error > 0 && verdict["reasons"].to_string().contains("requests failed"), "{verdict}");
    assert_ne!(verdict["state"], "valid", "{}", outcome.stdout);
}
