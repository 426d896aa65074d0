//! What `--dry-run` says of the schedule is what a run does.

use std::collections::BTreeSet;

use inferometer_mock::MockConfig;
use inferometer_tests::mock::Mock;
use inferometer_tests::results::Results;
use inferometer_tests::run::Outcome;
use inferometer_tests::sent::with_files;
use serde_json::Value;

/// A trace of twelve sessions, some of which come at the same time.
fn trace() -> String {
    let line =
        |k: u64| format!("{{\"timestamp\": {}, \"input_length\": 5, \"output_length\": 1}}\n", 1_000 + k / 2 * 35);
    (0..12).map(line).collect()
}

/// Runs with these words, and with `--dry-run` if that is wanted, with files in its folder.
fn profile(words: &str, dry: bool) -> Outcome {
    let mock = Mock::start(MockConfig::default());
    let program = with_files(mock.profile(), &[("trace.jsonl", &trace())]).args(words.split_whitespace());
    program.args(dry.then_some("--dry-run")).run().expect_code(0)
}

/// The requests that a dry run plans.
fn planned(words: &str) -> Vec<Value> {
    profile(words, true).jsonl("schedule.jsonl")
}

/// A time of a request in nanoseconds, if it has it.
fn time(request: &Value, of: &str) -> Option<u64> {
    request[of].as_f64().map(|seconds| (seconds * 1e9).round() as u64)
}

/// Times after the first of them, in order.
fn relative(mut times: Vec<u64>) -> Vec<u64> {
    times.sort_unstable();
    let first = times[0];
    times.iter().map(|at| at - first).collect()
}

#[test]
fn the_schedule_of_a_dry_run_is_that_of_the_run() {
    for shape in [
        "--request-rate 250 --arrival-pattern constant --request-count 30",
        "--request-rate 250 --arrival-pattern poisson --request-count 30",
        "--request-rate 250 --arrival-smoothness 4 --request-count 30",
        "--burst-size 5 --burst-interval 40ms --request-count 15",
        "--input-file trace.jsonl --custom-dataset-type mooncake_trace --fixed-schedule",
    ] {
        for workers in [1, 2] {
            let synthetic = if shape.contains("trace") { "" } else { "--isl 5 --osl 1" };
            let words = format!("{synthetic} {shape} --random-seed 7 --workers {workers}");
            let planned = planned(&words).iter().filter_map(|request| time(request, "intended_s")).collect();
            let run = Results::of(&profile(&words, false));
            let intended = run.measured().map(|record| record.metadata.credit_issued_ns).collect();
            assert_eq!(relative(planned), relative(intended), "{words}");
        }
    }
}

#[test]
fn what_waits_for_a_slot_at_the_phases_end_is_dropped_there() {
    let words = "--isl 5 --request-rate 10 --arrival-pattern constant --concurrency 1 --benchmark-duration 3";
    for (latency, sends) in [("1", vec![0, 1_000_000_000, 2_000_000_000]), ("10", vec![0])] {
        let planned = planned(&format!("{words} --dry-run-latency {latency}"));
        let sent: Vec<u64> = planned.iter().filter_map(|request| time(request, "sent_s")).collect();
        assert_eq!((planned.len(), sent), (30, sends), "latency {latency}");
    }
}

#[test]
fn slots_of_a_dry_run_grow_as_those_of_a_run() {
    let words = "--isl 5 --request-rate inf --request-count 6 --concurrency 5 --concurrency-ramp-duration 2 \
                 --dry-run-latency 100";
    let sent: Vec<u64> = planned(words).iter().filter_map(|request| time(request, "sent_s")).collect();
    let ms = |ms: u64| ms * 1_000_000;
    assert_eq!(sent, [ms(0), ms(500), ms(1_000), ms(1_500), ms(2_000), ms(100_000)]);
}

#[test]
fn sessions_that_think_make_room_for_others_where_slots_are_requests() {
    let words = "--isl 5 --concurrency 1 --num-conversations 2 --session-turns-mean 2 --session-turn-delay-mean 5000 \
                 --dry-run-latency 1";
    let begun = |unit: &str| {
        let planned = planned(&format!("{words} --concurrency-unit {unit}"));
        let first = planned.iter().filter(|request| request["turn"] == 0);
        first.filter_map(|request| time(request, "sent_s")).collect::<Vec<_>>()
    };
    let second = 1_000_000_000;
    assert_eq!(begun("sessions"), [0, 7 * second]);
    assert_eq!(begun("requests"), [0, second]);
}

#[test]
fn a_closed_loop_comes_to_its_end_where_answers_take_no_time() {
    let planned = planned("--isl 5 --concurrency 1 --benchmark-duration 10ms --dry-run-latency 0");
    assert!(planned.iter().all(|request| time(request, "sent_s").is_some_and(|at| at < 10_000_000)));
}

#[test]
fn users_send_as_many_sessions_as_they_are_told_to() {
    for seed in 0..3 {
        let words = format!(
            "--isl 5 --user-centric-rate 10 --num-users 8 --session-turns-mean 5 --session-turns-stddev 3 \
             --num-conversations 40 --dry-run-latency 0.1 --workers 2 --random-seed {seed}"
        );
        let sessions: BTreeSet<u64> =
            planned(&words).iter().filter_map(|request| request["session"].as_u64()).collect();
        assert_eq!(sessions.len(), 40, "seed {seed}");
    }
}
