//! `--apply-chat-template`: prompts are counted as the model is given them.

use std::fs;
use std::path::Path;

use inferometer_mock::MockConfig;
use inferometer_tests::mock::Mock;
use inferometer_tests::run::{Outcome, Program};

const TEMPLATE: &str = "{% for m in messages %}{% if m.content == 'bad' %}{{ raise_exception('not this') }}{% endif %}\
                        [{{ m.role }}] {{ m.content }}\n{% endfor %}{% if tools %}{{ tools | length }} tools\n{% endif %}\
                        {% if add_generation_prompt %}[assistant]{% endif %}";

/// Runs these prompts, all counted here, with a tokenizer that has this template, if any.
fn run(prompts: &[&str], template: Option<&str>, words: &[&str], code: i32) -> Outcome {
    let mock = Mock::start(MockConfig { ignore_usage: true, ..MockConfig::default() });
    let url = mock.url();
    let lines: Vec<_> = prompts.iter().map(|text| serde_json::json!({ "text": text }).to_string()).collect();
    let program = Program::profile()
        .args(["--model", "mock", "--url", &url, "--tokenizer", "own", "--input-file", "in.jsonl"])
        .args(words)
        .file("in.jsonl", lines.join("\n"));
    let folder = program.folder().join("own");
    fs::create_dir(&folder).expect("the files of a test are its own");
    let vocabulary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tokens/tests/data/byte-level-bpe.json");
    fs::copy(vocabulary, folder.join("tokenizer.json")).expect("the files of a test are its own");
    if let Some(template) = template {
        fs::write(folder.join("chat_template.jinja"), template).expect("the files of a test are its own");
    }
    program.run().expect_code(code)
}

/// The prompt lengths, in the order of the requests.
fn counts(outcome: &Outcome) -> Vec<u64> {
    let of = |record: &serde_json::Value| {
        record["metrics"]["input_sequence_length"]["value"].as_u64().expect("prompts are counted")
    };
    outcome.jsonl("profile_export.jsonl").iter().map(of).collect()
}

#[test]
fn a_prompt_is_counted_as_the_text_that_the_template_makes_of_it() {
    let templated = run(&["One.", "Two, and more."], Some(TEMPLATE), &["--apply-chat-template"], 0);
    let spelt = ["[user] One.\n[assistant]", "[user] Two, and more.\n[assistant]"];
    assert_eq!(counts(&templated), counts(&run(&spelt, Some(TEMPLATE), &[], 0)));
    assert!(!templated.stdout.contains("plain text"), "{}", templated.stdout);

    let extra = r#"{"tools": [{"type": "function", "function": {"name": "f"}}]}"#;
    let tools = run(&["One."], Some(TEMPLATE), &["--apply-chat-template", "--extra-inputs", extra], 0);
    assert_eq!(counts(&tools), counts(&run(&["[user] One.\n1 tools\n[assistant]"], Some(TEMPLATE), &[], 0)));
}

#[test]
fn what_a_template_refuses_and_what_is_no_chat_is_counted_plainly() {
    let prompts = ["bad", "good"];
    let outcome = run(&prompts, Some(TEMPLATE), &["--apply-chat-template"], 0);
    let plain = counts(&run(&prompts, Some(TEMPLATE), &[], 0));
    let found = counts(&outcome);
    assert_eq!(found[0], plain[0]);
    assert!(found[1] > plain[1]);
    for words in ["1 prompt was counted as plain text", "not this"] {
        assert!(outcome.says(words), "no '{words}' in {}", outcome.stdout);
    }

    let words = ["--apply-chat-template", "--endpoint-type", "completions"];
    let completions = run(&prompts, Some(TEMPLATE), &words, 0);
    assert_eq!(counts(&completions), plain);
    assert!(!completions.stdout.contains("plain text"), "{}", completions.stdout);
}

#[test]
fn a_tokenizer_without_a_template_is_refused_before_anything_is_sent() {
    let outcome = run(&["One."], None, &["--apply-chat-template"], 2);
    for word in ["--apply-chat-template", "own", "has no chat template", "chat_template.jinja"] {
        assert!(outcome.stderr.contains(word), "{word}: {}", outcome.stderr);
    }
    assert!(outcome.artifacts().is_empty());
    let invalid = run(&["One."], Some("{% for %}"), &["--apply-chat-template"], 2);
    assert!(invalid.stderr.contains("not valid"), "{}", invalid.stderr);
}
