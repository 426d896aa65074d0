//! `analyze-trace` and `synthesize`, as a user runs them: on traces small enough that every figure is known beforehand.

use std::fs;

use inferometer_tests::run::{Outcome, Program};
use serde_json::{Value, json};

/// Four requests in two seconds, with blocks of ten tokens: the first prompt comes again, whole and then by half.
const TRACE: &str = r#"{"timestamp": 0, "input_length": 25, "output_length": 4, "hash_ids": [0, 1, 2]}
{"timestamp": 500, "input_length": 25, "output_length": 8, "hash_ids": [0, 1, 2]}
{"timestamp": 1000, "input_length": 20, "output_length": 4, "hash_ids": [0, 3]}
{"timestamp": 2000, "input_length": 10, "output_length": 4, "hash_ids": [4]}
"#;

/// Two sessions, of which one has a later turn.
const CONVERSATION: &str = r#"{"session_id": "a", "timestamp": 0, "input_length": 10, "output_length": 5}
{"session_id": "b", "timestamp": 1000, "input_length": 30, "output_length": 5}
{"session_id": "a", "delay": 250, "input_length": 20, "output_length": 5}
"#;

fn analyze(content: &str, args: &[&str]) -> Outcome {
    Program::new().file("trace.jsonl", content).args(["analyze-trace", "trace.jsonl"]).args(args).run()
}

/// The JSON report of a trace with blocks of ten tokens.
fn report(content: &str, args: &[&str]) -> Value {
    let outcome =
        analyze(content, &["--json", "--isl-block-size", "10"].iter().chain(args).copied().collect::<Vec<_>>());
    parse(&outcome.expect_code(0).stdout)
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// Checks that the program refuses, in words that help.
fn refused(outcome: Outcome, words: &[&str]) {
    let outcome = outcome.expect_code(2);
    assert!(outcome.stderr.starts_with("error: "), "{}", outcome.stderr);
    for word in words {
        assert!(outcome.stderr.contains(word), "no '{word}' in: {}", outcome.stderr);
    }
    assert_eq!(outcome.stdout, "");
}

/// Writes a copy of `content` and gives it back, with what was said.
fn synthesized(content: &str, args: &[&str]) -> (String, String) {
    let outcome = Program::new()
        .file("trace.jsonl", content)
        .args(["synthesize", "trace.jsonl", "--output", "out.jsonl", "--isl-block-size", "10"])
        .args(args)
        .run()
        .expect_code(0);
    let written = fs::read_to_string(outcome.folder().join("out.jsonl")).expect("it was written");
    (written, outcome.stdout)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(parse).collect()
}

#[test]
fn the_figures_of_a_small_trace_are_those_computed_by_hand() {
    let report = report(TRACE, &[]);
    assert_eq!(report["kind"], "mooncake_trace");
    assert_eq!((&report["sessions"], &report["requests"], &report["span_s"]), (&json!(4), &json!(4), &json!(2.0)));
    assert_eq!(report["arrivals"]["mean_rate_per_s"], 1.5);
    assert_eq!(report["arrivals"]["peak_1s_rate_per_s"], 2.0);
    assert_eq!((&report["input_tokens"]["total"], &report["input_tokens"]["p50"]), (&json!(80), &json!(22.5)));
    assert_eq!((&report["output_tokens"]["mean"], &report["input_output_ratio"]), (&json!(5.0), &json!(4.0)));
    assert_eq!(report["offered_output_tokens_per_s"], 7.5);
    let prefix = &report["prefix"];
    assert_eq!(
        (&prefix["blocks"], &prefix["distinct_blocks"], &prefix["hit_blocks"]),
        (&json!(9), &json!(5), &json!(4))
    );
    assert_eq!((&prefix["hit_tokens"], &prefix["token_hit_rate"]), (&json!(35), &json!(0.4375)));
    assert_eq!(prefix["requests_with_hit_share"], 0.5);
    assert_eq!(prefix["hit_rate_per_request"]["max"], 1.0);
    assert_eq!(prefix["reuse_distance_s"]["max"], 0.5);
}

#[test]
fn a_smaller_cache_finds_less_and_the_curve_says_how_much() {
    let small = report(TRACE, &["--cache-blocks", "1"]);
    assert_eq!((&small["prefix"]["cache_blocks"], &small["prefix"]["hit_blocks"]), (&json!(1), &json!(2)));
    let curve = small["prefix"]["cache_curve"].as_array().expect("a list");
    assert_eq!(curve.first(), Some(&json!({"cache_blocks": 1, "block_hit_rate": 2.0 / 9.0, "token_hit_rate": 0.25})));
    assert_eq!(curve.last(), Some(&json!({"cache_blocks": 5, "block_hit_rate": 4.0 / 9.0, "token_hit_rate": 0.4375})));
}

#[test]
fn people_read_the_same_figures_in_lines_that_fit_a_hundred_columns() {
    let outcome = analyze(TRACE, &["--isl-block-size", "10"]).expect_code(0);
    let page = &outcome.stdout;
    for words in [
        "trace.jsonl (mooncake_trace)",
        "4 requests in 4 sessions over 2 s",
        "1.50 requests/s",
        "43.8 % of the tokens, 44.4 % of the blocks (4 of 9)",
        "5, of which 2 in one request only",
    ] {
        assert!(page.contains(words), "no '{words}' in: {page}");
    }
    assert!(!page.contains("Conversations"), "{page}");
    for line in page.lines() {
        assert!(line.chars().count() <= 100, "{line}");
        assert_eq!(line, line.trim_end());
    }
    assert_eq!(analyze(TRACE, &["--isl-block-size", "10"]).stdout, *page, "a second time");
}

#[test]
fn what_is_not_in_the_data_is_not_in_the_report() {
    let bare = report("{\"input_length\": 10}\n{\"input_length\": 20}\n", &["--custom-dataset-type", "mooncake_trace"]);
    for absent in ["span_s", "arrivals", "output_tokens", "input_output_ratio", "prefix", "conversations"] {
        assert_eq!(bare.get(absent), None, "{absent}");
    }
    assert_eq!(bare["input_tokens"]["mean"], 15.0);
}

#[test]
fn turns_of_a_session_are_told_apart() {
    let report = report(CONVERSATION, &[]);
    let conversations = &report["conversations"];
    assert_eq!(
        (&report["sessions"], &report["requests"], &conversations["sessions"]),
        (&json!(2), &json!(3), &json!(1))
    );
    assert_eq!(conversations["think_time_s"]["mean"], 0.25);
    assert_eq!(
        conversations["turns"][1],
        json!({"turn": 2, "and_later": false, "requests": 1, "mean_input_tokens": 20.0, "mean_output_tokens": 5.0})
    );
    assert_eq!(report["arrivals"]["inferred"], 1);
}

#[test]
fn prompts_that_are_given_in_words_are_counted_and_it_is_said_with_what() {
    let outcome = analyze("{\"text\": \"one two three\"}\n", &["--custom-dataset-type", "single_turn", "--json"]);
    let report = parse(&outcome.expect_code(0).stdout);
    assert_eq!(report["input_tokens"]["total"], 3);
    let notes = report["notes"].to_string();
    assert!(notes.contains("o200k_base") && notes.contains("--tokenizer"), "{notes}");
}

#[test]
fn a_report_is_written_to_a_file_as_well_when_that_is_asked() {
    let outcome = analyze(TRACE, &["--isl-block-size", "10", "--output-file", "report.json"]).expect_code(0);
    assert!(outcome.stdout.contains("4 requests"), "{}", outcome.stdout);
    let written = fs::read_to_string(outcome.folder().join("report.json")).expect("it was written");
    assert_eq!(parse(&written)["requests"], 4);
}

#[test]
fn a_trace_that_is_broken_is_refused_with_its_line_and_its_field() {
    let broken = TRACE.replace("\"input_length\": 20", "\"input_length\": \"many\"");
    for command in [&["analyze-trace", "trace.jsonl"][..], &["synthesize", "trace.jsonl", "--output", "out.jsonl"]] {
        let outcome = Program::new().file("trace.jsonl", &broken).args(command).args(["--isl-block-size", "10"]).run();
        assert!(!outcome.folder().join("out.jsonl").exists());
        refused(outcome, &["trace.jsonl:3", "input_length", "many"]);
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    refused(Program::new().args(["analyze-trace", "missing.jsonl"]).run(), &["missing.jsonl"]);
    refused(analyze("", &[]), &["trace.jsonl"]);
    refused(analyze("this is no trace\n", &[]), &["trace.jsonl"]);
    refused(analyze(TRACE, &["--custom-dataset-type", "nonesuch"]), &["nonesuch"]);
    refused(analyze(TRACE, &["--tokenizer", "/no/such/tokenizer"]), &["/no/such/tokenizer"]);
    let nowhere = ["--isl-block-size", "10", "--output-file", "no/such/folder/report.json"];
    refused(analyze(TRACE, &nowhere), &["--output-file", "no/such/folder"]);
}

#[test]
fn values_that_mean_nothing_are_refused_by_the_name_of_their_flag() {
    for (flag, value) in [
        ("--synthesis-speedup-ratio", "0"),
        ("--synthesis-prompt-len-multiplier", "-1"),
        ("--synthesis-output-len-multiplier", "inf"),
        ("--synthesis-prefix-len-multiplier", "many"),
        ("--synthesis-prefix-root-multiplier", "0"),
        ("--synthesis-max-isl", "0"),
        ("--isl-block-size", "0"),
    ] {
        let flag_and_value = format!("{flag}={value}");
        let outcome = Program::new().args(["synthesize", "t.jsonl", "-o", "o.jsonl", &flag_and_value]).run();
        refused(outcome, &[flag, value]);
    }
}

#[test]
fn a_copy_that_changes_nothing_says_what_the_trace_says() {
    let (written, said) = synthesized(TRACE, &[]);
    assert_eq!(lines(&written), lines(TRACE));
    assert!(said.contains("4 requests, in 4 sessions") && !said.contains(" before)"), "{said}");
    assert!(said.contains("--isl-block-size 10"), "{said}");
    let (again, _) = synthesized(&written, &[]);
    assert_eq!(again, written);
    let (conversation, _) = synthesized(CONVERSATION, &[]);
    let of = |text: &str| {
        let mut report = report(text, &[]);
        report.as_object_mut().map(|report| report.remove("notes"));
        report
    };
    assert_eq!(of(&conversation), of(CONVERSATION));
}

#[test]
fn a_copy_is_faster_and_longer_as_asked_and_the_summary_says_so() {
    let (written, said) = synthesized(
        TRACE,
        &["--synthesis-speedup-ratio", "4", "--synthesis-output-len-multiplier", "2", "--synthesis-max-osl", "10"],
    );
    let column = |name: &str| lines(&written).iter().map(|line| line[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("timestamp"), [json!(0), json!(125), json!(250), json!(500)]);
    assert_eq!(column("output_length"), [json!(8), json!(10), json!(8), json!(8)]);
    assert_eq!(column("input_length"), [json!(25), json!(25), json!(20), json!(10)]);
    assert!(said.contains("0.500 s (2 before)"), "{said}");
}

#[test]
fn longer_shared_prefixes_are_shared_by_as_many() {
    let (written, _) = synthesized(TRACE, &["--synthesis-prefix-len-multiplier", "3"]);
    let (before, after) = (report(TRACE, &[]), report(&written, &[]));
    let shared = |report: &Value| report["prefix"]["shared_prefix_tokens"]["max"].as_f64().expect("a number");
    assert!(shared(&after) >= 2.0 * shared(&before), "{before} {after}");
    assert_eq!(after["prefix"]["requests_with_hit_share"], before["prefix"]["requests_with_hit_share"]);
}

#[test]
fn turns_that_are_too_long_are_left_out_and_a_copy_of_none_is_refused() {
    let (written, said) = synthesized(TRACE, &["--synthesis-max-isl", "20"]);
    assert_eq!(lines(&written).len(), 2);
    assert!(said.contains("2 requests (4 before)"), "{said}");
    let none = Program::new()
        .file("trace.jsonl", TRACE)
        .args(["synthesize", "trace.jsonl", "--output", "out.jsonl", "--isl-block-size", "10"])
        .args(["--synthesis-max-isl", "1"])
        .run();
    refused(none, &["trace.jsonl", "--synthesis-max-isl"]);
}

#[test]
fn a_file_that_is_there_is_written_over_only_when_that_is_asked() {
    let program = || {
        let program = Program::new().file("trace.jsonl", TRACE).file("out.jsonl", "mine");
        program.args(["synthesize", "trace.jsonl", "--output", "out.jsonl", "--isl-block-size", "10"])
    };
    let outcome = program().run();
    assert_eq!(fs::read_to_string(outcome.folder().join("out.jsonl")).ok().as_deref(), Some("mine"));
    refused(outcome, &["--output out.jsonl", "--overwrite"]);
    let outcome = program().arg("--overwrite").run().expect_code(0);
    assert_eq!(fs::read_to_string(outcome.folder().join("out.jsonl")).map(|text| lines(&text).len()).ok(), Some(4));
}
