//! Whole runs against the mock server, held against its own account of what it did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use inferometer_mock::MockConfig;
use inferometer_tests::mock::{Mock, Truth};
use inferometer_tests::results::{Outcomes, Record, Results};
use inferometer_tests::run::{Outcome, Program};
use serde_json::Value;

/// One run, and the server's account of it.
struct Run {
    outcome: Outcome,
    results: Results,
    truth: Vec<Truth>,
}

/// Runs `inferometer profile` with these words against a server of its own, and expects it to end well.
fn run(config: MockConfig, words: &str) -> Run {
    let mock = Mock::start(config);
    let outcome = mock.profile().args(words.split_whitespace()).run().expect_code(0);
    Run { results: Results::of(&outcome), outcome, truth: mock.stop() }
}

/// A streamed chat at a pace that leaves the phases of an answer apart: most tests look at this one run.
static STREAMED: LazyLock<Run> = LazyLock::new(|| {
    let pace = MockConfig { ttft_ms: 4.0, itl_ms: 0.5, ..MockConfig::default() };
    run(pace, "--streaming --concurrency 16 --request-count 96 --isl 50 --osl 16")
});

/// Each record with the server's account of the same request; every request has exactly one of each.
fn joined<'a>(records: &'a [Record], truth: &'a [Truth]) -> Vec<(&'a Record, &'a Truth)> {
    let by_id: BTreeMap<&str, &Truth> = truth.iter().map(|truth| (truth.x_request_id.as_str(), truth)).collect();
    assert_eq!(by_id.len(), truth.len(), "the server saw an x_request_id twice");
    let ids: BTreeSet<&str> = records.iter().map(|record| record.metadata.x_request_id.as_str()).collect();
    assert_eq!(ids.len(), records.len(), "two records have the same x_request_id");
    assert_eq!(ids, by_id.keys().copied().collect(), "the records and the server's log hold different requests");
    records.iter().map(|record| (record, by_id[record.metadata.x_request_id.as_str()])).collect()
}

/// All of them ended well.
fn all_ok(total: u64) -> Outcomes {
    Outcomes { total, ok: total, ..Outcomes::default() }
}

#[test]
fn the_counts_of_a_run_add_up_in_every_place_where_they_stand() {
    let Run { outcome, results, .. } = &*STREAMED;
    assert_eq!(results.outcomes(), all_ok(96));
    assert_eq!(results.records.len(), 96);
    assert_eq!(results.value("request_count"), 96.0);
    assert_eq!(results.value("completed_request_count"), 96.0);
    assert_eq!(results.statistic("request_latency", "count"), 96.0);
    assert!(results.errors().is_empty());
    assert!(outcome.says("96 requests = 96 ok + 0 error + 0 cancelled + 0 dropped"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains('\x1b'), "a file is no terminal, so it gets no escape codes");
}

#[test]
fn every_request_that_the_server_saw_has_one_record_with_the_same_tokens() {
    let Run { results, truth, .. } = &*STREAMED;
    for (record, truth) in joined(&results.records, truth) {
        assert_eq!(record.number("output_sequence_length"), truth.tokens as f64);
        assert_eq!(record.number("usage_completion_tokens"), truth.tokens as f64);
    }
    assert_eq!(results.value("total_osl"), truth.iter().map(|truth| truth.tokens).sum::<u64>() as f64);
}

#[test]
fn no_latency_is_shorter_than_what_the_server_itself_took() {
    let Run { results, truth, .. } = &*STREAMED;
    for (record, truth) in joined(&results.records, truth) {
        let since_received = |at: Option<u64>| (at.expect("it had content") - truth.received_ns) as f64 / 1e6;
        assert!(record.number("time_to_first_token") >= since_received(truth.first_ns), "{record:?} {truth:?}");
        assert!(record.number("request_latency") >= since_received(truth.last_ns), "{record:?} {truth:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn how_late_the_client_read_is_told_where_the_kernel_stamps_what_it_receives() {
    let words = "--streaming --concurrency 4 --request-count 8 --isl 5 --osl 4";
    let lag = "first_receive_lag";
    let stamped = run(MockConfig::default(), words);
    for line in stamped.outcome.jsonl("profile_export.jsonl") {
        assert!(line["metrics"][lag]["value"].as_f64().is_some_and(|lag| lag >= 0.0), "{line}");
    }
    assert_eq!(stamped.results.summary["inferometer"]["precision"]["kernel_stamped_share"], 1.0);

    let plain = run(MockConfig::default(), &format!("{words} --receive-timestamps read"));
    assert!(plain.outcome.jsonl("profile_export.jsonl").iter().all(|line| line["metrics"][lag].is_null()));
    assert!(plain.results.summary["inferometer"]["precision"]["ttft_error_ms"].is_null(), "nothing bounds it");
}

#[test]
fn the_summary_is_made_of_the_lines_per_request() {
    let results = &STREAMED.results;
    for tag in ["time_to_first_token", "request_latency", "inter_token_latency", "input_sequence_length"] {
        let values: Vec<f64> = results.measured().map(|record| record.number(tag)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let close = |name, expected: f64| {
            let stated = results.statistic(tag, name);
            assert!((stated - expected).abs() <= 1e-9 * expected, "{name} of {tag}: {stated}, not {expected}");
        };
        close("avg", mean);
        close("min", values.iter().copied().fold(f64::INFINITY, f64::min));
        close("max", values.iter().copied().fold(0.0, f64::max));
    }
    let rate = results.value("request_count") / results.value("benchmark_duration");
    let stated = results.value("request_throughput");
    assert!((stated - rate).abs() <= 1e-9 * rate, "one window for all rates: {stated}, not {rate}");
}

#[test]
fn chunks_of_several_tokens_are_counted_by_their_tokens() {
    let chunked = MockConfig { tokens_per_chunk: 4, ..MockConfig::default() };
    for usage in ["", "--use-server-token-count"] {
        let Run { results, truth, .. } =
            run(chunked.clone(), &format!("--streaming --request-count 8 --isl 20 --osl 18 {usage}"));
        for (record, truth) in joined(&results.records, &truth) {
            assert_eq!(truth.tokens, 18);
            assert_eq!(record.number("output_sequence_length"), 18.0);
        }
    }
}

#[test]
fn tokens_are_counted_by_the_local_tokenizer_when_the_server_reports_no_usage() {
    let silent = MockConfig { ignore_usage: true, ..MockConfig::default() };
    let Run { results, truth, .. } = run(silent, "--streaming --request-count 8 --isl 20 --osl 12");
    for (record, truth) in joined(&results.records, &truth) {
        assert_eq!(record.number("output_sequence_length"), truth.tokens as f64);
        assert_eq!(record.number("input_sequence_length"), 20.0);
        assert!(!record.metrics.contains_key("usage_completion_tokens"));
    }
}

#[test]
fn completions_are_measured_like_chats() {
    let words = "--endpoint-type completions --streaming --concurrency 4 --request-count 16 --isl 30 --osl 8";
    let Run { results, truth, .. } = run(MockConfig::default(), words);
    assert_eq!(results.outcomes(), all_ok(16));
    for (record, truth) in joined(&results.records, &truth) {
        assert_eq!(truth.path, "/v1/completions");
        assert_eq!(record.number("output_sequence_length"), truth.tokens as f64);
        assert!(record.number("time_to_first_token") > 0.0);
    }
}

#[test]
fn whole_answers_have_a_latency_and_tokens_but_no_time_to_first_token() {
    for endpoint in ["chat", "completions"] {
        let words = format!("--endpoint-type {endpoint} --concurrency 4 --request-count 16 --isl 30 --osl 8");
        let Run { outcome, results, truth } = run(MockConfig::default(), &words);
        assert_eq!(results.outcomes(), all_ok(16));
        for (record, truth) in joined(&results.records, &truth) {
            assert_eq!(record.number("output_sequence_length"), truth.tokens as f64);
            assert!(record.number("request_latency") > 0.0);
            assert!(!record.metrics.contains_key("time_to_first_token"));
        }
        // What was not measured is absent, not zero.
        assert!(results.summary.get("time_to_first_token").is_none());
        assert!(results.summary.get("inter_token_latency").is_none());
        assert!(!outcome.says("Time to First Token"), "{}", outcome.stdout);
    }
}

#[test]
fn a_run_at_a_rate_sends_exactly_as_many_requests_as_asked() {
    for (pattern, workers) in [("constant", 1), ("poisson", 1), ("constant", 2), ("poisson", 2)] {
        let words = format!(
            "--streaming --request-rate 500 --arrival-pattern {pattern} --workers {workers} --request-count 101 \
             --isl 10 --osl 4"
        );
        let Run { results, truth, .. } = run(MockConfig::default(), &words);
        assert_eq!(results.outcomes(), all_ok(101), "{words}");
        assert_eq!(joined(&results.records, &truth).len(), 101, "{words}");
        assert_eq!(results.summary["inferometer"]["load"]["asked_rate"], 500.0);
    }
}

#[test]
fn a_rate_with_a_cap_never_has_more_requests_in_flight() {
    let slow = MockConfig { ttft_ms: 5.0, ..MockConfig::default() };
    let words = "--streaming --request-rate 1000 --concurrency 3 --request-count 40 --isl 10 --osl 4";
    let Run { results, truth, .. } = run(slow, words);
    assert_eq!(results.outcomes(), all_ok(40));
    let mut edges: Vec<(u64, i32)> =
        truth.iter().flat_map(|truth| [(truth.received_ns, 1), (truth.last_ns.expect("it had content"), -1)]).collect();
    // An end and a start at the same nanosecond do not overlap.
    edges.sort_unstable();
    let in_flight = edges.iter().scan(0, |now, (_, step)| {
        *now += step;
        Some(*now)
    });
    assert_eq!(in_flight.max(), Some(3));
}

#[test]
fn what_is_unanswered_after_the_grace_period_is_cancelled_and_counted() {
    // Half of the answers pause for longer than any run, so that sooner or later every slot waits for one of them.
    let stuck = MockConfig { stall_rate: 0.5, stall_ms: 3_600_000.0, ..MockConfig::default() };
    let words = "--streaming --concurrency 8 --benchmark-duration 0.5 --benchmark-grace-period 0.1 --isl 10 --osl 8";
    let Run { outcome, results, truth } = run(stuck, words);
    let outcomes = results.outcomes();
    assert_eq!(outcomes.cancelled, 8, "{outcomes:?}");
    assert_eq!(outcomes, Outcomes { total: outcomes.ok + 8, ok: outcomes.ok, cancelled: 8, ..Outcomes::default() });
    assert!(outcomes.ok > 0);
    for (record, truth) in joined(&results.records, &truth) {
        assert_eq!(record.metadata.was_cancelled, truth.outcome == "aborted", "{record:?} {truth:?}");
    }
    assert_eq!(results.statistic("request_latency", "count"), outcomes.ok as f64);
    assert_eq!(results.summary["was_cancelled"], false, "the user did not interrupt it");
    assert!(outcome.says("8 cancelled"), "{}", outcome.stdout);
}

#[test]
fn a_run_by_time_alone_uses_its_data_over_and_over() {
    let pace = MockConfig { ttft_ms: 2.0, ..MockConfig::default() };
    let words = "--streaming --concurrency 4 --benchmark-duration 0.3 --num-dataset-entries 3 --isl 10 --osl 4 --export-level records";
    let Run { outcome, results, truth } = run(pace, words);
    assert_eq!(results.outcomes(), all_ok(truth.len() as u64));
    assert!(truth.len() > 3);
    let used: BTreeSet<&str> = results.records.iter().map(|record| record.metadata.conversation_id.as_str()).collect();
    assert_eq!(used.len(), 3);
    assert_eq!(outcome.json("inputs.json")["data"].as_array().map(Vec::len), Some(3));
}

#[test]
fn the_warm_up_is_kept_out_of_the_measurement_and_told_apart() {
    let words = "--streaming --concurrency 4 --warmup-request-count 6 --request-count 20 --isl 10 --osl 4";
    let Run { results, truth, .. } = run(MockConfig::default(), words);
    assert_eq!(results.outcomes(), all_ok(20));
    assert_eq!(results.statistic("request_latency", "count"), 20.0);
    assert_eq!(results.summary["warmup_metrics"]["request_count"]["avg"], 6.0);
    assert_eq!(results.summary["warmup_metrics"]["request_latency"]["count"], 6);
    assert_eq!(joined(&results.records, &truth).len(), 26);
    assert_eq!(results.measured().count(), 20);
    let begun = |phase: &str| {
        let of_phase = truth.iter().filter(|truth| {
            results.records.iter().any(|record| {
                record.metadata.benchmark_phase == phase && record.metadata.x_request_id == truth.x_request_id
            })
        });
        of_phase.map(|truth| truth.received_ns).collect::<Vec<_>>()
    };
    assert!(begun("warmup").iter().max() < begun("profiling").iter().min(), "the phases overlap");
}

/// Everything that a server can see of a run: each request's identifier, and the prompt that it belongs to.
fn sent(run: &Run) -> BTreeMap<&str, &str> {
    let ids = run.results.records.iter().map(|record| &record.metadata);
    ids.map(|metadata| (metadata.x_request_id.as_str(), metadata.conversation_id.as_str())).collect()
}

#[test]
fn the_same_seed_sends_the_same_requests_whatever_the_number_of_workers() {
    let words = "--streaming --concurrency 4 --warmup-request-count 3 --request-count 20 --isl 40 --isl-stddev 10 \
                 --osl 8 --osl-stddev 2";
    let [one, two, other] = [("7", 1), ("7", 2), ("8", 1)].map(|(seed, workers)| {
        run(MockConfig::default(), &format!("{words} --random-seed {seed} --workers {workers}"))
    });
    assert_eq!(one.outcome.text("inputs.json"), two.outcome.text("inputs.json"));
    assert_eq!(sent(&one), sent(&two));
    assert_ne!(one.outcome.text("inputs.json"), other.outcome.text("inputs.json"));
    assert!(sent(&one).keys().all(|id| !sent(&other).contains_key(id)));
}

#[test]
fn a_run_without_a_seed_reports_the_one_it_drew_and_can_be_repeated_with_it() {
    let words = "--streaming --request-count 5 --isl 40 --osl 8";
    let first = run(MockConfig::default(), words);
    let seed = &first.results.summary["inferometer"]["seed"];
    let again = run(MockConfig::default(), &format!("{words} --random-seed {seed}"));
    assert_eq!(first.outcome.text("inputs.json"), again.outcome.text("inputs.json"));
    assert_eq!(sent(&first), sent(&again));
}

#[test]
fn prompts_have_exactly_the_number_of_tokens_asked_for() {
    let Run { results, .. } = run(MockConfig::default(), "--streaming --request-count 10 --isl 123 --osl 4");
    for record in &results.records {
        // The mock counts words; the local tokenizer's count is kept beside it.
        assert_eq!(record.number("input_sequence_length"), record.number("usage_prompt_tokens"));
    }
    assert_eq!(results.statistic("local_input_tokens", "min"), 123.0);
    assert_eq!(results.statistic("local_input_tokens", "max"), 123.0);
}

#[test]
fn several_models_are_asked_in_turn() {
    let config = MockConfig { models: vec!["small".into(), "large".into()], ..MockConfig::default() };
    let mock = Mock::start(config);
    let outcome = mock
        .profile()
        .args(["--model", "large", "--request-count", "20", "--concurrency", "4", "--isl", "10", "--osl", "4"])
        .run()
        .expect_code(0);
    assert_eq!(Results::of(&outcome).outcomes(), all_ok(20));
    let inputs = outcome.json("inputs.json");
    let sessions = inputs["data"].as_array().expect("a list of sessions");
    let asked = |model: &str| sessions.iter().filter(|session| session["payloads"][0]["model"] == model).count();
    assert_eq!((asked("small"), asked("large")), (10, 10));
}

#[test]
fn several_urls_share_the_requests_evenly() {
    let (one, two) = (Mock::start(MockConfig::default()), Mock::start(MockConfig::default()));
    let outcome = one
        .profile()
        .args(["--url", &two.url(), "--request-count", "20", "--concurrency", "4", "--isl", "10", "--osl", "4"])
        .run()
        .expect_code(0);
    assert_eq!(Results::of(&outcome).outcomes(), all_ok(20));
    assert_eq!((one.stop().len(), two.stop().len()), (10, 10));
}

#[test]
fn requests_are_taken_from_a_file_in_its_order() {
    let mock = Mock::start(MockConfig::default());
    let file = "{\"text\": \"first question\"}\n\n{\"text\": \"the second \\u00e9\", \"output_length\": 3}\n";
    let outcome = mock
        .profile()
        .file("questions.jsonl", file)
        .args(["--streaming", "--input-file", "questions.jsonl", "--osl", "5"])
        .run()
        .expect_code(0);
    assert_eq!(Results::of(&outcome).outcomes(), all_ok(2));
    let inputs = outcome.json("inputs.json");
    let prompts: Vec<&Value> = inputs["data"]
        .as_array()
        .expect("a list of sessions")
        .iter()
        .map(|session| &session["payloads"][0]["messages"][0]["content"])
        .collect();
    assert_eq!(prompts, ["first question", "the second é"]);
}

#[test]
fn extra_fields_and_headers_go_into_every_request() {
    let mock = Mock::start(MockConfig { api_key: Some("from-a-header".into()), ..MockConfig::default() });
    let outcome = mock
        .profile()
        .args(["--extra-inputs", "temperature:0,stop:[\"x\"]", "-H", "Authorization: Bearer from-a-header"])
        .args(["--request-count", "3", "--isl", "10", "--osl", "4"])
        .run()
        .expect_code(0);
    for session in outcome.json("inputs.json")["data"].as_array().expect("a list of sessions") {
        assert_eq!(session["payloads"][0]["temperature"], 0);
        assert_eq!(session["payloads"][0]["stop"], serde_json::json!(["x"]));
    }
}

#[test]
fn the_demo_needs_no_server_and_succeeds() {
    let outcome = Program::new().args(["demo", "--artifact-dir", "artifacts"]).run().expect_code(0);
    assert_eq!(Results::of(&outcome).outcomes(), all_ok(96));
    assert!(outcome.says("Time to First Token"), "{}", outcome.stdout);
    assert!(outcome.says("inferometer profile --model"), "{}", outcome.stdout);
}

#[test]
fn the_mock_command_serves_until_it_is_interrupted() {
    let mut server = Program::new().args(["mock", "--port", "0", "--model", "tiny"]).start();
    server.wait_until(|server| server.stdout().contains("Ctrl-C"));
    let printed = server.stdout();
    let url = printed.split_whitespace().find(|word| word.starts_with("http://")).expect("it says where it serves");
    let outcome = Program::profile()
        .args(["--model", "tiny", "--url", url.trim_end_matches(';'), "--tokenizer", "builtin", "--isl", "10"])
        .run()
        .expect_code(0);
    assert_eq!(Results::of(&outcome).outcomes(), all_ok(2));
    server.interrupt();
    let _ = server.finish().expect_code(0);
}
