//! `inferometer chat`, with its lines from a pipe: what is sent, what is shown, and how it ends.

use std::fs;

use inferometer_mock::MockConfig;
use inferometer_tests::mock::Mock;
use inferometer_tests::results::{Outcomes, Results};
use inferometer_tests::run::{Outcome, Program};
use serde_json::{Value, json};

/// A mock that keeps what was said.
fn mock(config: MockConfig) -> Mock {
    Mock::start(MockConfig { truth_bodies: true, osl: 5, ..config })
}

/// A conversation with the model `mock` at `mock`, of these lines.
fn chat(mock: &Mock, lines: &str, args: &[&str]) -> Outcome {
    let program = Program::new().args(["chat", "--model", "mock", "--url", &mock.url()]);
    program.args(["--tokenizer", "builtin"]).args(args).typed(lines).run()
}

/// The messages of each request, in order.
fn sent(mock: Mock) -> Vec<Value> {
    mock.stop().iter().map(|truth| truth.json()["messages"].clone()).collect()
}

fn says(role: &str, text: &str) -> Value {
    json!({ "role": role, "content": text })
}

#[test]
fn every_question_is_sent_with_what_was_said_before_and_every_answer_is_shown_with_its_figures() {
    let mock = mock(MockConfig { ttft_ms: 20.0, itl_ms: 5.0, ..MockConfig::default() });
    let outcome = chat(&mock, "Hello\n\nAnd \"why\"?\n", &["--system", "Be brief."]).expect_code(0);
    let truths = mock.stop();
    let replies: Vec<&str> =
        truths.iter().map(|truth| truth.text.as_deref().expect("it keeps what was said")).collect();
    let system = says("system", "Be brief.");
    let (hello, why) = (says("user", "Hello"), says("user", "And \"why\"?"));
    assert_eq!(truths[0].json()["messages"], json!([system, hello]));
    assert_eq!(truths[1].json()["messages"], json!([system, hello, says("assistant", replies[0]), why]));
    assert!(truths.iter().all(|truth| truth.json()["stream"] == true));
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!((lines[0], lines[2]), (replies[0].trim_end(), replies[1].trim_end()), "{}", outcome.stdout);
    for figures in [lines[1], lines[3]] {
        let parts: Vec<&str> = figures.split(" · ").collect();
        assert!(parts.len() == 5 && parts[0].starts_with("TTFT "), "{figures}");
        assert_eq!(parts[1], "5 tokens", "{figures}");
        assert!(
            parts[2].ends_with(" tokens/s") && parts[3].starts_with("ITL ") && parts[4].ends_with(" s"),
            "{figures}"
        );
    }
    assert_eq!(outcome.stderr, "");
}

#[test]
fn a_whole_answer_has_no_first_token_and_a_server_that_counts_nothing_is_counted_for() {
    let mock = mock(MockConfig { ignore_usage: true, ..MockConfig::default() });
    let outcome = chat(&mock, "Hello\n", &["--no-streaming", "--max-tokens", "3"]).expect_code(0);
    let figures = outcome.stdout.lines().last().expect("a line of figures");
    assert!(figures.contains(" (counted here)") && !figures.contains("TTFT"), "{figures}");
    let truths = mock.stop();
    assert_eq!(truths[0].json()["max_completion_tokens"], 3);
    assert_eq!(truths[0].json()["stream"], false);
}

#[test]
fn a_question_that_fails_is_told_by_its_kind_and_the_conversation_goes_on_without_it() {
    let mock = mock(MockConfig::default());
    let lines = "/model other\nLost\n/model mock\nHello\n";
    let outcome = chat(&mock, lines, &[]).expect_code(3);
    assert!(outcome.stderr.contains("error: http_status: 404"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("`other` does not exist"), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("TTFT"), "{}", outcome.stdout);
    assert_eq!(sent(mock)[1], json!([says("user", "Hello")]));
}

#[test]
fn nothing_that_is_secret_is_shown() {
    let mock = mock(MockConfig { api_key: Some("sk-the-right-one".to_owned()), ..MockConfig::default() });
    let right = chat(&mock, "Hello\n", &["--api-key", "sk-the-right-one"]).expect_code(0);
    let wrong = chat(&mock, "Hello\n", &["--api-key", "sk-the-wrong-one"]).expect_code(3);
    assert!(wrong.stderr.contains("401") && wrong.stderr.contains("--api-key"), "{}", wrong.stderr);
    for outcome in [right, wrong] {
        assert!(!outcome.stdout.contains("sk-the") && !outcome.stderr.contains("sk-the"));
    }
}

#[test]
fn commands_change_what_is_sent_and_are_not_sent_themselves() {
    let mock = mock(MockConfig::default());
    let lines = "One\n/system Rhyme.\n/reset\nTwo\n/system\n//etc\n/nonsense\n/help\n/quit\nNever\n";
    // A command that is not known is a mistake too.
    let outcome = chat(&mock, lines, &[]).expect_code(3);
    assert!(outcome.stderr.contains("no command /nonsense") && outcome.stderr.contains("/help"), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("/save FILE"), "{}", outcome.stdout);
    let sent = sent(mock);
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[1], json!([says("system", "Rhyme."), says("user", "Two")]));
    assert_eq!(sent[2].as_array().map(Vec::len), Some(3), "{}", sent[2]);
    assert_eq!(sent[2][2], says("user", "/etc"));
}

#[test]
fn a_conversation_that_was_saved_can_be_sent_again() {
    let mock = mock(MockConfig::default());
    let lines = "/save talk.jsonl\nOne\nTwo\n/save talk.jsonl\n/save talk.jsonl\n";
    let outcome = chat(&mock, lines, &["--system", "Be brief."]).expect_code(3);
    assert!(
        outcome.stderr.contains("nothing to save") && outcome.stderr.contains("is there already"),
        "{}",
        outcome.stderr
    );
    let talk = fs::read(outcome.folder().join("talk.jsonl")).expect("it was saved");
    let replay = mock.profile().file("talk.jsonl", talk).args(["--input-file", "talk.jsonl", "--concurrency", "1"]);
    let results = Results::of(&replay.run().expect_code(0));
    assert_eq!(results.outcomes(), Outcomes { total: 2, ok: 2, ..Outcomes::default() });
    let sent = sent(mock);
    assert_eq!(sent[..2], sent[2..], "the same is sent again");
}

#[test]
fn what_cannot_be_used_is_said_before_anything_is_asked() {
    let program = || Program::new().arg("chat").typed("Hello\n");
    let outcome = program().args(["--url", "http://127.0.0.1:9"]).run().expect_code(2);
    assert!(outcome.stderr.contains("--model is missing"), "{}", outcome.stderr);
    let outcome = program().args(["--model", "m", "--endpoint-type", "chatt"]).run().expect_code(2);
    assert!(outcome.stderr.contains("chatt"), "{}", outcome.stderr);
    let outcome = program().args(["--model", "m", "--streaming", "--no-streaming"]).run().expect_code(2);
    assert!(outcome.stderr.contains("--no-streaming"), "{}", outcome.stderr);
    let embeddings = ["--model", "m", "--endpoint-type", "embeddings", "--url", "http://127.0.0.1:9"];
    let outcome = program().args(embeddings).run().expect_code(2);
    assert!(outcome.stderr.contains("no text to talk with"), "{}", outcome.stderr);
}
