//! Whole runs against real servers: a real engine, and a real front end over a simulated one.

use inferometer_tests::peers::{self, Peer};
use inferometer_tests::results::{Outcomes, Results};
use inferometer_tests::run::Program;

/// Runs `inferometer profile` with these words against `peer`, and expects all requests to end well.
fn run(peer: &Peer, words: &str, requests: u64) -> Results {
    let outcome = Program::profile()
        .args(["--model", peer.model(), "--url", &peer.url()])
        .arg("--tokenizer")
        .arg(peer.model_folder())
        .args(words.split_whitespace())
        .args(["--request-count", &requests.to_string()])
        // The tiny model ends some answers before their first word: these prompts it answers, if it leaves nothing to chance.
        .args(["--random-seed", "7", "--extra-inputs", "temperature:0"])
        .run()
        .expect_code(0);
    let results = Results::of(&outcome);
    let expected = Outcomes { total: requests, ok: requests, ..Outcomes::default() };
    assert_eq!(results.outcomes(), expected, "{}", outcome.stdout);
    assert_eq!(results.records.len() as u64, requests);
    results
}

/// The lengths are those that the server reports, and no answer is longer than asked.
fn counts_agree(results: &Results, most: f64) {
    for record in &results.records {
        let tokens = record.number("output_sequence_length");
        assert!((1.0..=most).contains(&tokens), "{record:?}");
        assert_eq!(tokens, record.number("usage_completion_tokens"), "{record:?}");
        assert_eq!(record.number("input_sequence_length"), record.number("usage_prompt_tokens"), "{record:?}");
    }
    let sum: f64 = results.records.iter().map(|record| record.number("usage_completion_tokens")).sum();
    assert_eq!(results.value("total_usage_completion_tokens"), sum);
    assert_eq!(results.value("total_osl"), sum);
}

/// A streamed answer has a first token, and that before its last.
fn times_are_in_order(results: &Results) {
    for record in &results.records {
        let (first, last) = (record.number("time_to_first_token"), record.number("request_latency"));
        assert!(0.0 < first && first <= last, "{record:?}");
    }
}

fn streams_chats(peer: &Peer) {
    let words = "--endpoint-type chat --streaming --concurrency 16 --isl 100 --osl 64";
    let results = run(peer, words, 200);
    counts_agree(&results, 64.0);
    times_are_in_order(&results);
}

fn streams_completions(peer: &Peer) {
    let words = "--endpoint-type completions --streaming --concurrency 8 --isl 50 --osl 16";
    let results = run(peer, words, 40);
    counts_agree(&results, 16.0);
    times_are_in_order(&results);
    // No template surrounds a completion's prompt, so the server reads about what was made.
    assert_eq!(results.statistic("local_input_tokens", "min"), 50.0);
}

fn answers_whole_chats(peer: &Peer, slots: u64, requests: u64) {
    let results = run(peer, &format!("--concurrency {slots} --isl 20 --osl 4"), requests);
    counts_agree(&results, 4.0);
    assert!(results.summary.get("time_to_first_token").is_none());
}

#[test]
fn llama_server_streams_200_chats() {
    if let Some(peer) = peers::llama() {
        streams_chats(peer);
    }
}

#[test]
fn dynamo_streams_200_chats() {
    if let Some(peer) = peers::dynamo() {
        streams_chats(peer);
    }
}

#[test]
fn llama_server_streams_completions() {
    if let Some(peer) = peers::llama() {
        streams_completions(peer);
    }
}

#[test]
fn dynamo_streams_completions() {
    if let Some(peer) = peers::dynamo() {
        streams_completions(peer);
    }
}

#[test]
fn no_chat_is_lost_when_llama_server_closes_a_connection_after_a_hundred_requests() {
    if let Some(peer) = peers::llama() {
        answers_whole_chats(peer, 2, 300);
    }
}

#[test]
fn dynamo_answers_whole_chats() {
    if let Some(peer) = peers::dynamo() {
        answers_whole_chats(peer, 4, 40);
    }
}

#[test]
fn dynamo_keeps_up_with_a_poisson_rate() {
    let Some(peer) = peers::dynamo() else { return };
    let words = "--streaming --request-rate 50 --arrival-pattern poisson --isl 100 --osl 16";
    let results = run(peer, words, 100);
    counts_agree(&results, 16.0);
    times_are_in_order(&results);
    let load = &results.summary["inferometer"]["load"];
    assert_eq!(load["asked_rate"], 50.0);
    assert!(load["lag_p99_ms"].is_number(), "{load}");
}

#[test]
fn a_model_that_a_real_server_does_not_have_is_reported_in_its_words() {
    let Some(peer) = peers::dynamo() else { return };
    let outcome = Program::profile()
        .args(["--model", "absent", "--url", &peer.url(), "--tokenizer", "builtin", "--request-count", "2"])
        .run()
        .expect_code(3);
    let results = Results::of(&outcome);
    assert_eq!(results.errors(), [("http_status".to_owned(), 2)].into());
    assert!(outcome.stdout.contains("absent"), "{}", outcome.stdout);
}

#[test]
fn a_real_server_that_lists_its_model_is_ready() {
    let Some(peer) = peers::llama() else { return };
    let words = "--wait-for-model-timeout 30 --wait-for-model-mode both --isl 20 --osl 4";
    counts_agree(&run(peer, words, 4), 4.0);
}

/// The sum of a metric over the requests that have it.
fn sum(results: &Results, tag: &str) -> f64 {
    results.records.iter().filter(|record| record.metrics.contains_key(tag)).map(|record| record.number(tag)).sum()
}

/// Runs with these words, and expects what the requests are said to have used to be what the server's own counters have
/// grown by: `counters` of prompt tokens that were not taken from its cache (or all, if that is what it counts), and of output tokens.
fn usage_is_what_the_server_counted(peer: &Peer, words: &str, counters: [&str; 2], counts_cached: bool) {
    let before = counters.map(|name| peer.counter(name));
    let results = run(peer, words, 12);
    let grown = [0, 1].map(|place: usize| peer.counter(counters[place]) - before[place]);
    let cached = if counts_cached { 0.0 } else { sum(&results, "usage_prompt_cache_read_tokens") };
    let used = [sum(&results, "usage_prompt_tokens") - cached, sum(&results, "usage_completion_tokens")];
    assert_eq!(used, grown, "{words}: cached {cached}");
    assert!(used[0] > 0.0, "{words}");
    if words.contains("--streaming") {
        counts_agree(&results, 8.0);
        times_are_in_order(&results);
    }
}

const APIS: [&str; 3] = [
    "--endpoint-type chat --streaming --concurrency 4 --isl 40 --osl 8",
    "--endpoint-type responses --streaming --concurrency 4 --isl 40 --osl 8",
    "--endpoint-type messages --streaming --concurrency 4 --isl 40 --osl 8",
];

#[test]
fn llama_server_counts_the_tokens_that_its_answers_are_said_to_have_used() {
    // Its own: other tests would be in its counters too.
    let Some(peer) = peers::own("llama") else { return };
    for words in APIS.into_iter().chain(["--endpoint-type embeddings --concurrency 4 --isl 40"]) {
        let counters = ["llamacpp:prompt_tokens_total", "llamacpp:tokens_predicted_total"];
        usage_is_what_the_server_counted(&peer, words, counters, false);
    }
}

#[test]
fn dynamo_counts_the_tokens_that_its_answers_are_said_to_have_used() {
    let Some(peer) = peers::own("dynamo") else { return };
    for words in APIS {
        let counters = ["dynamo_frontend_input_sequence_tokens_sum", "dynamo_frontend_output_tokens_total"];
        usage_is_what_the_server_counted(&peer, words, counters, true);
    }
}
