//! A stranger's library serves a whole run like a built-in, and one that cannot be trusted is refused in words.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use inferometer_mock::MockConfig;
use inferometer_tests::binary;
use inferometer_tests::mock::Mock;
use inferometer_tests::results::{Outcomes, Results};
use inferometer_tests::run::{Outcome, Program};
use tempfile::TempDir;

/// A few short requests to the example's endpoint.
const SHORT: [&str; 9] =
    ["--endpoint-type", "example-echo", "--streaming", "--request-count", "8", "--isl", "10", "--osl", "6"];

static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| binary::example_plugin("inferometer-example-echo-endpoint"));

/// A folder with a copy of the example in it, and the path of the copy.
fn plugin_folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let copy = folder.path().join(LIBRARY.file_name().expect("a library has a name"));
    fs::copy(&*LIBRARY, &copy).expect("a library can be copied");
    fs::set_permissions(&copy, Permissions::from_mode(0o644)).expect("the copy is ours");
    (folder, copy)
}

/// Runs it and expects each request to end well with its six tokens.
fn succeeds(program: impl FnOnce(Program) -> Program) -> Outcome {
    let mock = Mock::start(MockConfig::default());
    let outcome = program(mock.profile()).args(SHORT).run().expect_code(0);
    let results = Results::of(&outcome);
    assert_eq!(results.outcomes(), Outcomes { total: 8, ok: 8, ..Outcomes::default() });
    let truth = mock.stop();
    assert_eq!(truth.len(), 8);
    assert!(truth.iter().all(|truth| truth.path == "/v1/completions" && truth.tokens == 6), "{truth:?}");
    assert_eq!(results.value("total_osl"), 48.0);
    outcome
}

/// Runs it and expects it to be refused for a reason of `words` before anything is sent.
fn refused(program: impl FnOnce(Program) -> Program, words: &[&str]) {
    let mock = Mock::start(MockConfig::default());
    let outcome = program(mock.profile()).args(SHORT).run().expect_code(2);
    assert!(outcome.stderr.starts_with("error: "), "{}", outcome.stderr);
    for word in words {
        assert!(outcome.stderr.contains(word), "no '{word}' in: {}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    assert!(mock.stop().is_empty(), "a request was sent");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is UTF-8")
}

#[test]
fn an_endpoint_from_a_plugin_folder_serves_a_whole_run_and_stands_in_the_results() {
    let (folder, copy) = plugin_folder();
    let outcome = succeeds(|program| program.arg("--plugin").arg(folder.path()));
    let results = Results::of(&outcome);
    let components = results.summary["inferometer"]["components"].as_array().expect("a list of components");
    let used = components.iter().find(|component| component["name"] == "example-echo").expect("it was used");
    assert_eq!(used["kind"], "endpoint");
    assert_eq!(used["origin"], text(&copy));
    let sum = used["sha256"].as_str().expect("a library has a checksum");
    assert!(sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()), "{sum}");
    assert!(used["version"].is_string(), "{used}");
}

#[test]
fn a_library_can_be_named_itself_or_found_by_the_environment() {
    let (folder, copy) = plugin_folder();
    let _ = succeeds(|program| program.arg("--plugin").arg(&copy));
    let _ = succeeds(|program| program.env("INFEROMETER_PLUGIN_PATH", folder.path()));
}

#[test]
fn a_library_can_be_named_in_the_configuration_file() {
    let (folder, _) = plugin_folder();
    let file = format!(
        "[plugins]\npath = [\"{}\"]\n[plugins.options.example-echo]\nprefix = \"From the file: \"\n",
        text(folder.path())
    );
    let outcome = succeeds(|program| program.file("run.toml", file).args(["--config", "run.toml"]));
    let inputs = outcome.json("inputs.json");
    let prompt = inputs["data"][0]["payloads"][0]["prompt"].as_str().expect("a prompt");
    assert!(prompt.starts_with("From the file: "), "{prompt}");
}

#[test]
fn a_library_in_the_users_own_plugin_folder_is_found_without_a_flag() {
    let outcome = succeeds(|program| {
        let folder = program.folder().join("data/inferometer/plugins");
        fs::create_dir_all(&folder).unwrap();
        fs::copy(&*LIBRARY, folder.join("libecho.so")).unwrap();
        program
    });
    assert!(outcome.text("profile_export_aiperf.json").contains("libecho.so"));
}

#[test]
fn a_library_in_the_working_folder_is_not_picked_up() {
    let mock = Mock::start(MockConfig::default());
    let program = mock.profile();
    fs::copy(&*LIBRARY, program.folder().join("libecho.so")).unwrap();
    let outcome = program.args(SHORT).run().expect_code(2);
    assert!(outcome.stderr.contains("'example-echo'"), "{}", outcome.stderr);
}

#[test]
fn an_option_of_a_plugin_changes_the_requests_that_are_sent() {
    let (folder, _) = plugin_folder();
    let prompts = |more: &[&str]| {
        let outcome =
            succeeds(|program| program.arg("--plugin").arg(folder.path()).args(["--random-seed", "1"]).args(more));
        let inputs = outcome.json("inputs.json");
        let sessions = inputs["data"].as_array().expect("a list of sessions").clone();
        let prompt = |session: &serde_json::Value| session["payloads"][0]["prompt"].as_str().unwrap().to_owned();
        sessions.iter().map(prompt).collect::<Vec<String>>()
    };
    let plain = prompts(&[]);
    let prefixed = prompts(&["--plugin-option", "example-echo.prefix=Say after me: "]);
    let expected: Vec<String> = plain.iter().map(|prompt| format!("Say after me: {prompt}")).collect();
    assert_eq!(prefixed, expected);
}

#[test]
fn an_option_that_a_plugin_does_not_have_is_refused_by_name() {
    let (folder, copy) = plugin_folder();
    let with = |option: &str, words: &[&str]| {
        refused(|program| program.arg("--plugin").arg(folder.path()).args(["--plugin-option", option]), words);
    };
    with("example-echo.prefx=x", &["example-echo", "prefx", "prefix", text(&copy)]);
    with("example-echo.prefix=[1]", &["example-echo", "string"]);
}

#[test]
fn a_library_that_is_cut_short_is_refused_before_it_is_opened() {
    let (folder, copy) = plugin_folder();
    let whole = fs::read(&copy).unwrap();
    for size in [whole.len() / 2, whole.len() - 1, 5000, 100] {
        fs::write(&copy, &whole[..size]).unwrap();
        refused(|program| program.arg("--plugin").arg(&copy), &[text(&copy), "cut short or damaged"]);
    }
    fs::write(&copy, "").unwrap();
    refused(|program| program.arg("--plugin").arg(&copy), &[text(&copy)]);
    fs::write(&copy, "no library at all").unwrap();
    refused(|program| program.arg("--plugin").arg(&copy), &[text(&copy), "no shared library"]);
    drop(folder);
}

#[test]
fn a_library_in_a_folder_that_cannot_be_used_is_told_of_when_its_component_is_asked_for() {
    let (folder, copy) = plugin_folder();
    let whole = fs::read(&copy).unwrap();
    fs::write(&copy, &whole[..whole.len() / 2]).unwrap();
    refused(
        |program| program.env("INFEROMETER_PLUGIN_PATH", folder.path()),
        &["'example-echo'", text(&copy), "cut short"],
    );
}

#[test]
fn a_library_that_everyone_may_write_is_refused_unless_that_is_allowed() {
    let (_folder, copy) = plugin_folder();
    fs::set_permissions(&copy, Permissions::from_mode(0o666)).unwrap();
    refused(
        |program| program.arg("--plugin").arg(&copy),
        &[text(&copy), "everyone may write", "chmod o-w", "--allow-unsafe-permissions"],
    );
    let _ = succeeds(|program| program.arg("--plugin").arg(&copy).arg("--allow-unsafe-permissions"));
}

#[test]
fn failures_of_the_server_are_told_through_a_plugin_too() {
    let (folder, _) = plugin_folder();
    for (config, kind) in [
        (MockConfig { stream_error_rate: 1.0, ..MockConfig::default() }, "stream_error"),
        (MockConfig { truncate_rate: 1.0, ..MockConfig::default() }, "truncated"),
        (MockConfig { malformed_rate: 1.0, ..MockConfig::default() }, "malformed"),
    ] {
        let mock = Mock::start(config);
        let outcome = mock.profile().arg("--plugin").arg(folder.path()).args(SHORT).run().expect_code(3);
        assert_eq!(Results::of(&outcome).errors(), [(kind.to_owned(), 8)].into());
    }
}
