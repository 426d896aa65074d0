//! Bundles: a run from one file sends what the run sent that it was made of, wherever the originals have gone; no secret
//! is in it, and nothing of it is used that is not as it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use inferometer_mock::MockConfig;
use inferometer_tests::mock::{Mock, Truth};
use inferometer_tests::run::{Outcome, Program};

const KEY: &str = "sk-of-the-test-7";
const PROMPTS: &str =
    "{\"text\": \"One.\", \"output_length\": 3}\n{\"text\": \"Two, and more of it.\"}\n{\"text\": \"Three.\"}\n";
/// A picture, of which nothing is read but the bytes.
const PICTURE: &[u8] = b"\x89PNG";

fn tokenizer() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tokens/tests/data/byte-level-bpe.json")
}

/// A mock that keeps what it is sent, and leaves the counting of tokens to the client.
fn mock() -> Mock {
    Mock::start(MockConfig { truth_bodies: true, ignore_usage: true, ..MockConfig::default() })
}

/// The program with these words, and with files in the folder that it runs in.
fn with_files(program: Program, words: &[&str], files: &[(&str, &[u8])]) -> Program {
    for (name, _) in files {
        let folder = program.folder().join(name).parent().map(Path::to_owned).expect("the files of a test are its own");
        fs::create_dir_all(folder).expect("the files of a test are its own");
    }
    let program = program.args(words);
    files.iter().fold(program, |program, (name, content)| program.file(name, content))
}

/// Makes `run.bundle` of these settings, and removes the files that they name.
fn bundled(words: &[&str], files: &[(&str, &[u8])]) -> Outcome {
    let program = with_files(Program::new().args(["bundle", "--output", "run.bundle"]), words, files);
    let outcome = program.run().expect_code(0);
    for (name, _) in files {
        fs::remove_file(outcome.folder().join(name)).expect("the files of a test are its own");
    }
    outcome
}

fn path(outcome: &Outcome) -> String {
    outcome.folder().join("run.bundle").to_str().expect("the files of a test are its own").to_owned()
}

/// Runs a bundle, with a temporary folder that has to be empty afterwards.
fn run_bundle(bundle: &str, words: &[&str], code: i32) -> Outcome {
    let program = Program::profile().args(["--bundle", bundle]).args(words);
    let scratch = program.folder().join("scratch");
    fs::create_dir(&scratch).expect("the files of a test are its own");
    let outcome = program.env("TMPDIR", &scratch).run().expect_code(code);
    assert_eq!(
        fs::read_dir(&scratch).expect("the files of a test are its own").count(),
        0,
        "what was unpacked is left behind"
    );
    outcome
}

/// What was sent, whatever the order in which it came.
fn bodies(truth: &[Truth]) -> Vec<&str> {
    let mut bodies: Vec<_> =
        truth.iter().map(|truth| truth.body.as_deref().expect("the files of a test are its own")).collect();
    bodies.sort_unstable();
    bodies
}

/// Checks that a run from the bundle of these settings is the run of the settings themselves.
fn sends_the_same(settings: &[&str], files: &[(&str, &[u8])]) -> Outcome {
    let mock = mock();
    let url = mock.url();
    let settings = [&["--model", "mock", "--url", &url][..], settings].concat();
    let bundle = bundled(&settings, files);
    let run = run_bundle(&path(&bundle), &[], 0);
    let seed = bundle
        .stdout
        .split_once("seed ")
        .and_then(|(_, rest)| rest.split_once(','))
        .expect("the files of a test are its own")
        .0;
    let direct = with_files(Program::profile().args(["--random-seed", seed]), &settings, files).run().expect_code(0);
    assert_eq!(run.text("inputs.json"), direct.text("inputs.json"));
    let truth = mock.stop();
    let (of_bundle, of_direct) = truth.split_at(truth.len() / 2);
    assert!(!of_bundle.is_empty());
    assert_eq!(bodies(of_bundle), bodies(of_direct));
    assert_eq!(run.jsonl("profile_export.jsonl").len(), of_bundle.len());
    run
}

/// The names of all files below `folder`, and whether one of them holds `text`.
fn searched(folder: &Path, text: &str) -> (Vec<String>, bool) {
    let (mut names, mut holds, mut folders) = (Vec::new(), false, vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(next)
            .expect("the files of a test are its own")
            .map(|entry| entry.expect("the files of a test are its own").path())
        {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            holds |= String::from_utf8_lossy(&fs::read(&path).expect("the files of a test are its own")).contains(text);
            names.push(
                path.strip_prefix(folder)
                    .expect("the files of a test are its own")
                    .to_str()
                    .expect("the files of a test are its own")
                    .to_owned(),
            );
        }
    }
    names.sort();
    (names, holds)
}

#[test]
fn a_template_of_bodies_is_put_in_and_the_file_of_a_key_is_only_named() {
    let template = br#"{"model": {{ model|tojson }}, "messages": {{ messages|tojson }}, "max_tokens": 2}"#;
    let chat = ["--endpoint-type", "template", "--endpoint", "/v1/chat/completions", "--tokenizer", "builtin"];
    let own = ["--extra-inputs", "payload_template:body.j2", "--request-count", "2", "--isl", "5"];
    let _ = sends_the_same(&[&chat[..], &own].concat(), &[("body.j2", template)]);

    let url = ["--model", "m", "--url", "http://127.0.0.1:9", "--tokenizer", "builtin", "--api-key-file", "my.key"];
    let bundle = bundled(&url, &[("my.key", b"sk-1")]);
    assert!(bundle.stdout.contains("file of this machine: --api-key-file 'my.key'"), "{}", bundle.stdout);
}

#[test]
fn a_run_from_a_bundle_sends_the_bytes_of_the_run_that_it_was_made_of() {
    sends_the_same(
        &["--input-file", "in/prompts.jsonl", "--tokenizer", "builtin"],
        &[("in/prompts.jsonl", PROMPTS.as_bytes())],
    );
}

#[test]
fn a_bundle_has_the_tokenizer_in_it_wherever_it_came_from() {
    let json = fs::read(tokenizer()).unwrap();
    let cached = "cache/huggingface/hub/models--acme--tiny";
    let of_cache: &[(&str, &[u8])] =
        &[(&format!("{cached}/refs/main"), b"c0ffee\n"), (&format!("{cached}/snapshots/c0ffee/tokenizer.json"), &json)];
    for (tokenizer, files) in [
        ("here", &[("here/tokenizer.json", &json[..]), ("here/chat_template.jinja", b"{{ messages }}")][..]),
        ("any-name.json", &[("any-name.json", &json)]),
        ("acme/tiny", of_cache),
    ] {
        let settings = ["--tokenizer", tokenizer, "--isl", "20", "--osl", "4", "--request-count", "6"];
        let run = sends_the_same(&settings, files);
        // Made up to the length by that tokenizer, and counted with it.
        for record in run.jsonl("profile_export.jsonl") {
            assert_eq!(record["metrics"]["input_sequence_length"]["value"], 20, "{tokenizer}: {record}");
        }
    }
}

#[test]
fn a_bundle_has_all_that_the_settings_and_the_data_name() {
    let config = "system-prompt-file = 'prompt.txt'\ninput-file = 'in/rows.jsonl'\ntokenizer = 'builtin'\n\
                  [[phase]]\nname = 'a'\nkind = 'warmup'\nrequest-count = 1\n\
                  [[phase]]\nname = 'b'\nrequest-rate-series = 'rates/x.json'\nrequest-count = 2\n\
                  [[phase]]\nname = 'c'\nrequest-rate-series = 'x.json'\nrequest-count = 2\n";
    let rows = r#"{"text": "What is it?", "image": "pictures/dot.png"}"#;
    let files: &[(&str, &[u8])] = &[
        ("run.toml", config.as_bytes()),
        ("prompt.txt", b"Be brief."),
        ("in/rows.jsonl", rows.as_bytes()),
        ("in/pictures/dot.png", PICTURE),
        ("rates/x.json", b"[[0, 100], [1, 100]]"),
        ("x.json", b"[[0, 200], [1, 200]]"),
    ];
    sends_the_same(&["--config", "run.toml"], files);
}

#[test]
fn secrets_are_left_out_and_asked_for_again() {
    let mock = Mock::start(MockConfig { api_key: Some(KEY.to_owned()), ..MockConfig::default() });
    let header = format!("X-Gate: {KEY}");
    let extra = format!("upstream_token:{KEY}");
    let url = mock.url();
    let settings = [
        "--model",
        "mock",
        "--url",
        &url,
        "--tokenizer",
        "builtin",
        "--api-key",
        KEY,
        "-H",
        &header,
        "--extra-inputs",
        &extra,
        "--plugin-option",
        &format!("prometheus.headers={{\"X\": \"{KEY}\"}}"),
        "--request-count",
        "2",
        "--isl",
        "5",
        "--osl",
        "2",
    ];
    let bundle = bundled(&settings, &[]);
    for word in ["--api-key", "--header 'X-Gate'", "--extra-inputs"] {
        assert!(bundle.stdout.contains(word), "{word}: {}", bundle.stdout);
    }
    let folder = bundle.folder().join("unpacked");
    fs::create_dir(&folder).unwrap();
    let status = Command::new("tar").arg("xzf").arg(path(&bundle)).arg("-C").arg(&folder).status().unwrap();
    assert!(status.success());
    let (names, holds) = searched(&folder, KEY);
    assert_eq!(names, ["manifest.json", "run.toml"]);
    assert!(!holds, "the key is in the bundle");
    assert!(!bundle.stdout.contains(KEY) && !bundle.stderr.contains(KEY));

    let without = run_bundle(&path(&bundle), &[], 3);
    assert!(without.stderr.contains("made with --api-key"), "{}", without.stderr);
    let with = run_bundle(&path(&bundle), &["--api-key", KEY, "-H", &header], 0);
    assert!(!with.stderr.contains("made with --api-key") && !with.stderr.contains("--header"), "{}", with.stderr);
    assert!(with.stderr.contains("made with --extra-inputs"), "{}", with.stderr);
}

#[test]
fn flags_win_over_what_a_bundle_says() {
    let mock = mock();
    let bundle = bundled(&["--model", "m", "--tokenizer", "builtin", "--isl", "5", "--request-count", "9"], &[]);
    let run = run_bundle(&path(&bundle), &["--model", "mock", "--url", &mock.url(), "--request-count", "3"], 0);
    assert_eq!(run.jsonl("profile_export.jsonl").len(), 3);
    assert!(mock.stop().iter().all(|truth| truth.json()["model"] == "mock"));
}

#[test]
fn a_bundle_that_is_not_as_it_was_made_is_refused_before_anything_is_sent() {
    let mock = mock();
    let url = mock.url();
    let settings = ["--model", "mock", "--url", &url, "--tokenizer", "builtin", "--input-file", "in.jsonl"];
    let bundle = bundled(&settings, &[("in.jsonl", PROMPTS.as_bytes())]);
    let whole = fs::read(path(&bundle)).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let cut = &whole[..whole.len() / 2];
    for (name, content) in [("flipped", &flipped[..]), ("cut", cut), ("text", b"model = 'm'"), ("empty", b"")] {
        let file = bundle.folder().join(name);
        fs::write(&file, content).unwrap();
        let refused = run_bundle(file.to_str().unwrap(), &[], 2);
        for word in ["error: --bundle", name, "make it anew"] {
            assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
        }
        assert!(refused.artifacts().is_empty());
    }
    let gone = run_bundle("/no/such/run.bundle", &[], 2);
    assert!(
        gone.stderr.contains("/no/such/run.bundle") && gone.stderr.contains("inferometer bundle"),
        "{}",
        gone.stderr
    );
    assert!(mock.stop().is_empty(), "a request was sent");
}

#[test]
fn what_would_not_run_is_not_bundled_and_no_file_is_replaced_unasked() {
    let words = ["bundle", "--output", "run.bundle", "--model", "m", "--tokenizer", "builtin"];
    let refused = |more: &[&str], files: &[(&str, &[u8])], expected: &str| {
        let outcome = with_files(Program::new().args(words), more, files).run().expect_code(2);
        assert!(outcome.stderr.contains(expected), "{expected}: {}", outcome.stderr);
        let names: Vec<_> = fs::read_dir(outcome.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!names.iter().any(|name| name.to_string_lossy().contains("inferometer-bundle")), "{names:?}");
        assert_eq!(outcome.folder().join("run.bundle").exists(), files.iter().any(|(name, _)| *name == "run.bundle"));
    };
    refused(&["--input-file", "gone.jsonl"], &[], "gone.jsonl");
    refused(&["--input-file", "bad.jsonl"], &[("bad.jsonl", b"{\"text\": 3}")], "bad.jsonl");
    refused(&["--endpoint-type", "no-such"], &[], "no-such");
    refused(&[], &[("run.bundle", b"mine")], "--overwrite");
    let row = r#"{"text": "x", "image": "../dot.png"}"#;
    let files: &[(&str, &[u8])] = &[("in/rows.jsonl", row.as_bytes()), ("dot.png", PICTURE)];
    refused(&["--input-file", "in/rows.jsonl"], files, "'../dot.png', which a bundle cannot hold");

    let replaced = with_files(Program::new().args(words), &["--overwrite"], &[("run.bundle", b"old")]).run();
    let replaced = replaced.expect_code(0);
    assert_ne!(fs::read(path(&replaced)).unwrap(), b"old");
    assert!(replaced.stdout.contains("run.toml") && replaced.stdout.contains("profile --bundle run.bundle"));
}
