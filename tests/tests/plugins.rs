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
    ["--endpoint-type", "example-endpoint", "--streaming", "--request-count", "8", "--isl", "10", "--osl", "6"];

static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| binary::example_plugin("inferometer-example-endpoint"));

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
    let used = components.iter().find(|component| component["name"] == "example-endpoint").expect("it was used");
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
        "[plugins]\npath = [\"{}\"]\n[plugins.options.example-endpoint]\nprefix = \"From the file: \"\n",
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
        fs::copy(&*LIBRARY, folder.join("libexample.so")).unwrap();
        program
    });
    assert!(outcome.text("profile_export_aiperf.json").contains("libexample.so"));
}

#[test]
fn a_library_in_the_working_folder_is_not_picked_up() {
    let mock = Mock::start(MockConfig::default());
    let program = mock.profile();
    fs::copy(&*LIBRARY, program.folder().join("libexample.so")).unwrap();
    let outcome = program.args(SHORT).run().expect_code(2);
    assert!(outcome.stderr.contains("'example-endpoint'"), "{}", outcome.stderr);
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
    let prefixed = prompts(&["--plugin-option", "example-endpoint.prefix=Say after me: "]);
    let expected: Vec<String> = plain.iter().map(|prompt| format!("Say after me: {prompt}")).collect();
    assert_eq!(prefixed, expected);
}

#[test]
fn an_option_that_a_plugin_does_not_have_is_refused_by_name() {
    let (folder, copy) = plugin_folder();
    let with = |option: &str, words: &[&str]| {
        refused(|program| program.arg("--plugin").arg(folder.path()).args(["--plugin-option", option]), words);
    };
    with("example-endpoint.prefx=x", &["'example-endpoint'", "no option 'prefx', did you mean 'prefix'?", text(&copy)]);
    with("example-endpoint.prefix=[1]", &["'example-endpoint'", "option 'prefix'", "'prefix' takes text"]);
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
        &["'example-endpoint'", text(&copy), "cut short"],
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

/// Puts `new` in place of `old`, of equal length, wherever it stands in the library.
fn change(library: &Path, old: &str, new: &str) {
    assert_eq!(old.len(), new.len());
    let mut bytes = fs::read(library).expect("the copy is ours");
    let places: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(old.as_bytes())).collect();
    assert!(!places.is_empty(), "no '{old}' in {}", library.display());
    places.into_iter().for_each(|at| bytes[at..at + old.len()].copy_from_slice(new.as_bytes()));
    fs::write(library, bytes).expect("the copy is ours");
}

fn plugins(words: &[&str]) -> Program {
    Program::new().arg("plugins").args(words)
}

fn json(outcome: &Outcome) -> serde_json::Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error} in {}", outcome.stdout))
}

#[test]
fn the_list_has_the_built_ins_and_the_components_of_libraries_each_with_its_file() {
    let (_folder, copy) = plugin_folder();
    let outcome = plugins(&["list", "--plugin", text(&copy)]).run().expect_code(0);
    let line = |name: &str| {
        let mut lines = outcome.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.find(|words| words.get(1) == Some(&name)).unwrap_or_else(|| panic!("no {name} in {}", outcome.stdout))
    };
    let example = line("example-endpoint");
    assert_eq!((example[0], example[3], example[4]), ("endpoint", text(&copy), "Example:"));
    assert_eq!((line("chat")[0], line("chat")[3]), ("endpoint", "built-in"));
    assert_eq!(line("poisson")[0], "timing");
}

#[test]
fn the_list_says_what_was_passed_over_or_hidden_and_why() {
    let (folder, copy) = plugin_folder();
    fs::write(folder.path().join("notes.so"), "no library at all").unwrap();
    let program = plugins(&["list", "--plugin", text(&LIBRARY)]).env("INFEROMETER_PLUGIN_PATH", folder.path());
    let outcome = program.run().expect_code(0);
    let (_, passed_over) = outcome.stdout.split_once("\nPassed over:\n").expect("two files were passed over");
    assert!(passed_over.contains("notes.so: it is no shared library"), "{passed_over}");
    assert!(passed_over.contains(text(&copy)), "{passed_over}");
    assert!(passed_over.contains(&format!("already taken from {}", text(&LIBRARY))), "{passed_over}");
}

#[test]
fn the_list_says_which_of_several_a_name_means_or_that_none_can_be_chosen() {
    let (_folder, copy) = plugin_folder();
    change(&copy, "\"package\":\"inferometer-example-endpoint\"", "\"package\":\"the-one-of-some-other-author\"");
    let list = |prefer: &str| {
        let file = format!("[plugins.prefer]\n{prefer}");
        let both = ["list", "--plugin", text(&copy), "--plugin", text(&LIBRARY), "--config", "run.toml"];
        let outcome = plugins(&both).file("run.toml", file).run().expect_code(0);
        outcome.stdout.split_once("\nSame names:\n").expect("two are called the same").1.to_owned()
    };
    let tie = list("");
    assert_eq!(tie.matches("2 endpoint components are called 'example-endpoint'").count(), 1, "{tie}");
    let chosen = list("example-endpoint = \"the-one-of-some-other-author\"");
    let (ours, theirs) = (text(&LIBRARY), text(&copy));
    let words = format!("endpoint 'example-endpoint' means that of {theirs} (by [plugins.prefer]), not that of {ours}");
    assert!(chosen.contains(&words), "{chosen}");
}

#[test]
fn the_list_for_machines_is_json_with_what_was_passed_over() {
    let (folder, copy) = plugin_folder();
    fs::write(folder.path().join("notes.so"), "no library at all").unwrap();
    let file = format!("model = \"m\"\n[plugins]\npath = [\"{}\"]\n", text(folder.path()));
    let outcome = plugins(&["list", "--json", "--config", "run.toml"]).file("run.toml", file).run().expect_code(0);
    let list = json(&outcome);
    let components = list["components"].as_array().expect("a list");
    let example = components.iter().find(|one| one["name"] == "example-endpoint").expect("it is found");
    assert_eq!(
        (&example["kind"], &example["origin"], &example["chosen"]),
        (&"endpoint".into(), &text(&copy).into(), &true.into())
    );
    let skipped = list["skipped"].as_array().expect("a list");
    assert_eq!(skipped.len(), 1, "{skipped:?}");
    assert!(skipped[0]["path"].as_str().is_some_and(|path| path.ends_with("notes.so")), "{skipped:?}");
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_library_that_cannot_be_opened_is_listed_all_the_same_and_shown_without_its_options() {
    let (_folder, copy) = plugin_folder();
    change(&copy, "libc.so.6\0", "libx.so.6\0");
    let listed = plugins(&["list", "--plugin", text(&copy)]).run().expect_code(0);
    assert!(
        listed.stdout.contains("example-endpoint") && listed.stderr.is_empty(),
        "{}{}",
        listed.stdout,
        listed.stderr
    );
    let shown = plugins(&["show", "example-endpoint", "--plugin", text(&copy)]).run().expect_code(2);
    assert!(shown.stdout.contains(text(&copy)) && shown.stdout.contains("Options   not known"), "{}", shown.stdout);
    assert!(shown.stderr.contains("libx.so.6"), "{}", shown.stderr);
}

#[test]
fn a_component_is_shown_with_its_options_and_how_to_set_one() {
    let (_folder, copy) = plugin_folder();
    let shown = |words: &[&str]| plugins(words).args(["--plugin", text(&copy)]).run().expect_code(0);
    let page = shown(&["show", "Example_Endpoint"]).stdout;
    for words in [
        "endpoint 'example-endpoint': Example:",
        text(&copy),
        "prefix: text [default: \"\"]",
        "Put in front of every prompt.",
        "--plugin-option example-endpoint.prefix=VALUE",
        "[plugins.options.example-endpoint]",
    ] {
        assert!(page.contains(words), "no '{words}' in: {page}");
    }
    let document = json(&shown(&["show", "example-endpoint", "--json"]));
    assert_eq!(document[0]["options"][0]["name"], "prefix");
    assert_eq!(document[0]["options_schema"]["properties"]["prefix"]["type"], "string");
    assert!(shown(&["show", "chat", "--kind", "endpoint"]).stdout.contains("Options   none"));
}

#[test]
fn a_component_that_is_not_there_is_not_shown_and_the_nearest_is_named() {
    let outcome = plugins(&["show", "compltions"]).run().expect_code(2);
    assert!(outcome.stderr.contains("did you mean 'completions'?"), "{}", outcome.stderr);
    let outcome = plugins(&["show", "chat", "--kind", "timing"]).run().expect_code(2);
    assert!(outcome.stderr.contains("no timing component is called 'chat'"), "{}", outcome.stderr);
}

#[test]
fn a_reader_that_goes_away_does_not_disturb_the_list() {
    for words in [&["list"][..], &["list", "--json"], &["show", "chat"]] {
        let outcome = plugins(words).unread().run().expect_code(0);
        assert_eq!(outcome.stderr, "");
    }
}

#[test]
fn options_of_a_component_that_is_not_there_are_refused_with_the_nearest_name() {
    let (folder, _) = plugin_folder();
    let plugin = |program: Program| program.arg("--plugin").arg(folder.path());
    let words = ["options for 'example-endpiont'", "did you mean 'example-endpoint'?"];
    refused(|program| plugin(program).args(["--plugin-option", "example-endpiont.prefix=x"]), &words);
    let file = "[plugins.options.example-endpiont]\nprefix = \"x\"\n";
    refused(|program| plugin(program).file("run.toml", file).args(["--config", "run.toml"]), &words);
}

#[test]
fn options_of_a_component_that_is_there_and_not_used_are_let_be_whatever_they_are() {
    let (folder, _) = plugin_folder();
    let _ = succeeds(|program| program.arg("--plugin").arg(folder.path()).args(["--plugin-option", "chat.speed=9"]));
}

#[test]
fn options_reach_a_component_under_whatever_spelling_of_its_name() {
    let (folder, _) = plugin_folder();
    for name in ["Example_Endpoint", "inferometer-example-endpoint:example-endpoint"] {
        let option = format!("{name}.prefix=Say: ");
        let outcome = succeeds(|program| program.arg("--plugin").arg(folder.path()).args(["--plugin-option", &option]));
        let inputs = outcome.json("inputs.json");
        let prompt = inputs["data"][0]["payloads"][0]["prompt"].as_str().expect("a prompt");
        assert!(prompt.starts_with("Say: "), "{prompt}");
    }
}
