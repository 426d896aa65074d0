//! What real servers count themselves agrees with what was measured. Each server serves this file's one run alone.

use inferometer_tests::{
    peers::{self, Peer},
    results::{Outcomes, Results},
    run::Program,
};

const REQUESTS: u64 = 60;

/// The growth of a server's counters of these names over the measured phase, added up; and what was measured.
fn counted(peer: &Peer, names: &[&str]) -> (Vec<f64>, Results) {
    let words = "--streaming --concurrency 8 --warmup-request-count 8 --isl 40 --osl 24";
    let outcome = Program::profile()
        .args(["--model", peer.model(), "--url", &peer.url()])
        .arg("--tokenizer")
        .arg(peer.model_folder())
        .args(words.split_whitespace())
        .args(["--request-count", &REQUESTS.to_string()])
        .run()
        .expect_code(0);
    let results = Results::of(&outcome);
    let expected = Outcomes { total: REQUESTS, ok: REQUESTS, ..Outcomes::default() };
    assert_eq!(results.outcomes(), expected, "{}", outcome.stdout);
    let metrics = outcome.json("server_metrics_export.json");
    let total = |name: &&str| {
        let series = metrics["metrics"][name]["series"].as_array().unwrap_or_else(|| panic!("no {name} in {metrics}"));
        series.iter().filter_map(|series| series["stats"]["total"].as_f64()).sum()
    };
    (names.iter().map(total).collect(), results)
}

#[test]
fn llama_server_counts_the_tokens_that_were_measured_and_no_others() {
    let Some(peer) = peers::llama() else { return };
    let names = ["llamacpp:tokens_predicted", "llamacpp:prompt_tokens", "llamacpp:prompt_tokens_cached"];
    let (totals, results) = counted(peer, &names);
    assert_eq!(totals[0], results.value("total_osl"));
    assert_eq!(totals[1] + totals[2], results.value("total_isl"));
}

#[test]
fn dynamo_counts_the_requests_and_tokens_that_were_measured_and_no_others() {
    let Some(peer) = peers::dynamo() else { return };
    let (totals, results) = counted(peer, &["dynamo_frontend_requests", "dynamo_frontend_output_tokens"]);
    assert_eq!(totals, [REQUESTS as f64, results.value("total_osl")]);
}
