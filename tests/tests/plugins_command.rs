//! The life of a plugin on the command line: made, checked, installed, locked. And what becomes of one that is not fit.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use inferometer_tests::binary;
use inferometer_tests::run::{Outcome, Program};
use serde_json::Value;
use tempfile::TempDir;

#[path = "plugins_command/sources.rs"]
mod sources;

use sources::{LEAVER, MEDDLER, QUITTER, UNRULY};

const KINDS: [&str; 5] = ["endpoint", "timing", "exporter", "collector", "dataset"];

/// Crates that `plugins new` made, one per kind; built and tested once for all tests here.
struct Made {
    folder: TempDir,
    built: PathBuf,
}

static MADE: LazyLock<Made> = LazyLock::new(Made::new);

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let new = |name: &str, kind: &str| {
            let _ = plugins(&["new", name, "--kind", kind, "--sdk-path", sdk()])
                .arg("--path")
                .arg(folder.path().join(name))
                .run()
                .expect_code(0);
        };
        let mut names: Vec<String> = KINDS.map(|kind| format!("made-{kind}")).into();
        KINDS.iter().for_each(|kind| new(&format!("made-{kind}"), kind));
        for (name, code) in [
            ("made-unruly", UNRULY.to_owned()),
            ("made-leaver", format!("{QUITTER}{LEAVER}")),
            ("made-meddler", format!("{QUITTER}{MEDDLER}")),
            ("made-quitter", QUITTER.to_owned()),
        ] {
            new(name, "timing");
            fs::write(folder.path().join(name).join("src/lib.rs"), code).expect("the crate is ours");
            fs::remove_dir_all(folder.path().join(name).join("tests")).expect("the crate is ours");
            names.push(name.to_owned());
        }
        // One workspace, made afterwards, builds all of them in one go; with the versions that this one has.
        let workspace = format!("[workspace]\nresolver = \"3\"\nmembers = {names:?}\n");
        fs::write(folder.path().join("Cargo.toml"), workspace).expect("the folder is ours");
        fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"), folder.path().join("Cargo.lock"))
            .expect("it is there");
        let built = binary::inferometer().parent().expect("a program lies in a folder").to_owned();
        for command in ["build", "test"] {
            cargo(folder.path(), &[command, "--workspace", "--offline", "--quiet"]);
        }
        // Cargo's folder of unnamed profiles lies beside that of the program's own.
        let built = built.with_file_name("debug");
        Self { folder, built }
    }

    fn library(&self, name: &str) -> PathBuf {
        let file = format!("libmade_{name}{}", std::env::consts::DLL_SUFFIX);
        self.built.join(file)
    }
}

/// What makes cargo use the folder and the profile of this workspace, so that its dependencies are not built anew.
fn as_this_workspace() -> [(&'static str, &'static OsStr); 3] {
    let target = binary::inferometer().ancestors().nth(2).expect("a program lies two folders deep");
    [
        ("CARGO_TARGET_DIR", target.as_os_str()),
        ("CARGO_PROFILE_DEV_OPT_LEVEL", OsStr::new("1")),
        ("CARGO_PROFILE_DEV_DEBUG", OsStr::new("line-tables-only")),
    ]
}

/// Runs cargo as a plugin's author would, but with what was built already.
fn cargo(folder: &Path, args: &[&str]) {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(args)
        .current_dir(folder)
        .envs(as_this_workspace())
        .stdout(Stdio::null())
        .status()
        .expect("cargo can be started");
    assert!(status.success(), "cargo {args:?} in {}: {status}", folder.display());
}

fn sdk() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-sdk")
}

fn plugins(words: &[&str]) -> Program {
    Program::new().arg("plugins").args(words)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is UTF-8")
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error} in {}", outcome.stdout))
}

/// The outcomes of checks in a list of them, by what is checked.
fn outcome_of(checks: &Value, check: &str) -> (String, String) {
    let checks = checks.as_array().expect("a list");
    let one = checks.iter().find(|one| one["check"].as_str().is_some_and(|words| words.contains(check)));
    let one = one.unwrap_or_else(|| panic!("no check {check} in {checks:?}"));
    let text = |key: &str| one[key].as_str().expect("it is text").to_owned();
    (text("outcome"), text("detail"))
}

fn component<'a>(report: &'a Value, name: &str) -> &'a Value {
    let components = report["components"].as_array().expect("a list");
    components.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name} in {components:?}"))
}

#[test]
fn a_crate_of_each_kind_builds_passes_its_tests_and_is_a_good_plugin() {
    for kind in KINDS {
        let library = MADE.library(kind);
        let report = json(&plugins(&["check", "--json", text(&library)]).run().expect_code(0));
        assert_eq!((&report["good"], &report["usable"]), (&true.into(), &true.into()), "{report:#}");
        let made = component(&report, &format!("made-{kind}"));
        assert_eq!((&made["kind"], &made["package"]), (&kind.into(), &format!("made-{kind}").into()));
        assert_eq!(outcome_of(&made["checks"], "can be made").0, "ok");
        let page = plugins(&["check", text(&library)]).run().expect_code(0).stdout;
        assert!(page.starts_with(text(&library)) && page.contains("\nA good plugin: "), "{page}");
        assert!(page.contains(report["sha256"].as_str().expect("a checksum")), "{page}");
    }
}

#[test]
fn a_crate_is_installed_from_its_library_found_without_a_flag_and_replaced_by_its_next_build() {
    let home = tempfile::tempdir().unwrap();
    let at_home = |words: &[&str]| plugins(words).env("XDG_DATA_HOME", home.path()).run().expect_code(0);
    for kind in KINDS {
        let installed = at_home(&["install", text(&MADE.library(kind))]).stdout;
        assert!(installed.contains(&format!("{kind} 'made-{kind}' 0.1.0")), "{installed}");
    }
    let listed = json(&at_home(&["list", "--json"]));
    let folder = home.path().join("inferometer/plugins");
    for kind in KINDS {
        let file = folder.join(MADE.library(kind).file_name().unwrap());
        assert_eq!(component(&listed, &format!("made-{kind}"))["origin"], text(&fs::canonicalize(&file).unwrap()));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o755);
    }
    let again = at_home(&["install", text(&MADE.library("timing"))]).stdout;
    assert!(again.contains("in place of made-timing 0.1.0 (the same file)"), "{again}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), KINDS.len(), "nothing else is left behind");

    // Another build of the same package under another name: no second library of the same components stays.
    fs::rename(folder.join(MADE.library("timing").file_name().unwrap()), folder.join("libolder.so")).unwrap();
    let again = at_home(&["install", text(&MADE.library("timing"))]).stdout;
    assert!(again.contains("libolder.so"), "{again}");
    assert!(!folder.join("libolder.so").exists());
}

#[test]
fn a_library_that_brings_more_than_the_installed_one_of_its_package_is_left_in_place() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("inferometer/plugins");
    fs::create_dir_all(&folder).unwrap();
    // The manifest is text in the file: the same package brings a component of another name.
    let mut bytes = fs::read(MADE.library("timing")).unwrap();
    let (from, to) = (br#""name":"made-timing","#, br#""name":"made-tempos","#);
    let at = bytes.windows(from.len()).position(|window| window == from).expect("its manifest names it");
    bytes[at..at + to.len()].copy_from_slice(to);
    fs::write(folder.join("libother.so"), &bytes).unwrap();

    let install = || plugins(&["install", text(&MADE.library("timing"))]).env("XDG_DATA_HOME", home.path()).run();
    let installed = install().expect_code(0).stdout;
    assert!(!installed.contains("in place of"), "{installed}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);

    // In its own file it is an earlier build, and what goes with it is told.
    fs::rename(folder.join("libother.so"), folder.join(MADE.library("timing").file_name().unwrap())).unwrap();
    let installed = install().expect_code(0).stdout;
    assert!(installed.contains("in place of made-timing 0.1.0, which brought timing 'made-tempos'"), "{installed}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn nothing_is_installed_where_runs_would_pass_it_over() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("inferometer/plugins");
    fs::create_dir_all(&folder).unwrap();
    for open in [folder.as_path(), folder.parent().unwrap()] {
        let set = |mode| fs::set_permissions(open, Permissions::from_mode(mode)).unwrap();
        set(0o777);
        let program = plugins(&["install", text(&MADE.library("timing"))]).env("XDG_DATA_HOME", home.path());
        let outcome = program.run().expect_code(2);
        assert!(
            outcome.stderr.contains("nothing is installed") && outcome.stderr.contains("chmod"),
            "{}",
            outcome.stderr
        );
        assert_eq!((outcome.stdout.as_str(), fs::read_dir(&folder).unwrap().count()), ("", 0));
        set(0o755);
    }
}

#[test]
fn an_installed_library_says_what_shadows_it() {
    let program =
        plugins(&["install", text(&MADE.library("timing"))]).env("INFEROMETER_PLUGIN_PATH", MADE.library("timing"));
    let installed = program.run().expect_code(0).stdout;
    assert!(installed.contains("is already taken from"), "{installed}");
}

#[test]
fn a_crate_in_a_folder_is_built_and_checked_or_installed_in_one_go() {
    // Builds what was built for the other tests in place of a release, which would take minutes.
    let script = "#!/bin/sh\n[ \"$1 $2\" = 'build --release' ] || exit 9\nshift 2\nHOME=$REAL_HOME exec cargo build --offline \"$@\"\n";
    let folder = MADE.folder.path().join("made-timing");
    let run = |command: &str| {
        let mut program = plugins(&[command, text(&folder)]).file("cargo", script);
        let script = program.folder().join("cargo");
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        for (name, value) in as_this_workspace() {
            program = program.env(name, value);
        }
        let home = std::env::var_os("HOME").unwrap_or_default();
        let outcome = program.env("CARGO", script).env("REAL_HOME", home).run().expect_code(0);
        assert!(outcome.stderr.contains("running `cargo build --release`"), "{}", outcome.stderr);
        outcome
    };
    let checked = run("check");
    assert!(checked.stdout.contains("timing 'made-timing'") && checked.stdout.contains("\nA good plugin: "));
    let outcome = run("install");
    assert!(outcome.folder().join("data/inferometer/plugins/libmade_timing.so").is_file(), "{}", outcome.stdout);
}

#[test]
fn a_folder_that_is_no_crate_and_a_file_that_is_not_called_like_a_library_are_not_installed() {
    let empty = tempfile::tempdir().unwrap();
    for command in ["install", "check"] {
        let outcome = plugins(&[command, text(empty.path())]).run().expect_code(2);
        assert!(outcome.stderr.contains("is no crate; give a library or a crate"), "{}", outcome.stderr);
    }
    let renamed = empty.path().join("made-timing");
    fs::copy(MADE.library("timing"), &renamed).unwrap();
    let outcome = plugins(&["install", text(&renamed)]).run().expect_code(2);
    assert!(outcome.stderr.contains("end in .so"), "{}", outcome.stderr);
}

#[test]
fn a_new_crate_overwrites_nothing_and_needs_a_good_name() {
    let program = plugins(&["new", "acme", "--kind", "endpoint"]);
    fs::create_dir(program.folder().join("acme")).unwrap();
    let outcome = program.run().expect_code(2);
    assert!(outcome.stderr.contains("acme is there already"), "{}", outcome.stderr);
    assert_eq!(fs::read_dir(outcome.folder().join("acme")).unwrap().count(), 0);

    let outcome = plugins(&["new", "Acme Chat", "--kind", "endpoint"]).run().expect_code(2);
    assert!(outcome.stderr.contains("'Acme Chat' is no name for a plugin"), "{}", outcome.stderr);
    assert!(!outcome.folder().join("Acme Chat").exists());
    let outcome = plugins(&["new", "acme", "--kind", "endpoint", "--sdk-path", "."]).run().expect_code(2);
    assert!(outcome.stderr.contains("--sdk-path .") && outcome.stderr.contains("'plugin-sdk'"), "{}", outcome.stderr);
}

#[test]
fn a_new_crate_inside_a_workspace_is_a_crate_of_its_own() {
    let program = plugins(&["new", "acme", "--kind", "timing", "--sdk-path", sdk()]);
    let outcome = program.file("Cargo.toml", "[workspace]\nmembers = []\n").run().expect_code(0);
    for command in ["cargo test", "cargo build --release", "plugins check", "plugins install", "--arrival-pattern acme"]
    {
        assert!(outcome.stdout.contains(command), "no '{command}' in {}", outcome.stdout);
    }
    let crate_folder = outcome.folder().join("acme");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"), crate_folder.join("Cargo.lock")).unwrap();
    cargo(&crate_folder, &["metadata", "--offline", "--no-deps", "--format-version", "1"]);
}

#[test]
fn files_that_are_no_libraries_or_cut_short_are_told_by_the_check_that_they_fail() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("libmade.so");
    let report = |words: &str| {
        let outcome = plugins(&["check", "--json", text(&file)]).run().expect_code(2);
        let page = plugins(&["check", text(&file)]).run().expect_code(2).stdout;
        assert!(page.contains("FAILED") && page.contains(words) && page.ends_with("No usable plugin.\n"), "{page}");
        json(&outcome)
    };
    let missing = report("No such file");
    assert_eq!((&missing["good"], &missing["usable"]), (&false.into(), &false.into()));
    fs::write(&file, "Dear reader,").unwrap();
    assert_eq!(outcome_of(&report("no shared library")["checks"], "whole shared library").0, "failed");
    let whole = fs::read(MADE.library("timing")).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let cut = report("cut short");
    assert_eq!(outcome_of(&cut["checks"], "whole shared library").0, "failed");
    assert_eq!(outcome_of(&cut["checks"], "opens").0, "skipped");
    fs::write(&file, &whole).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    assert_eq!(outcome_of(&report("everyone may write")["checks"], "nobody else").0, "failed");
    let allowed = plugins(&["check", text(&file), "--allow-unsafe-permissions"]);
    let _ = allowed.run().expect_code(0);
}

#[test]
fn components_that_end_the_process_or_hang_are_findings_and_hide_no_other() {
    let library = MADE.library("unruly");
    let report = json(&plugins(&["check", "--json", "--timeout", "2", text(&library)]).run().expect_code(2));
    assert_eq!((&report["good"], &report["usable"]), (&false.into(), &false.into()));
    let made = |name: &str| outcome_of(&component(&report, name)["checks"], "can be made with default options");
    let failed = |name: &str, words: &[&str]| {
        let (outcome, detail) = made(name);
        assert_eq!(outcome, "failed", "{name}");
        words.iter().for_each(|word| assert!(detail.contains(word), "no '{word}' in {detail}"));
    };
    failed("aborts", &["it ended the whole process: signal 6 (SIGABRT)", "a cry for help"]);
    failed("exits", &["it ended the whole process: exit code 0"]);
    failed("hangs", &["it was not done after 2 s"]);
    let law = |name: &str, law: &str| outcome_of(&component(&report, name)["checks"], law);
    let (outcome, detail) = law("panics", "without a panic");
    assert!(outcome == "failed" && detail.contains("no more"), "{detail}");
    let (outcome, detail) = law("quits", "ends at its limits");
    assert!(outcome == "failed" && detail.starts_with("0 arrivals of 1"), "{detail}");
    let (outcome, detail) = made("asks");
    assert!(outcome == "skipped" && detail.contains("'token' has to be given"), "{detail}");
    assert_eq!(law("asks", "ends at its limits").0, "skipped");
}

#[test]
fn components_are_checked_with_the_options_and_the_file_that_they_need() {
    let check = |kind: &str, more: &[&str]| plugins(&["check", "--json", text(&MADE.library(kind))]).args(more).run();
    let of = |report: &Value, name: &str, words: &str| outcome_of(&component(report, name)["checks"], words);

    let report = json(&check("unruly", &["--timeout", "2", "--plugin-option", "asks.token=x"]).expect_code(2));
    assert_eq!(of(&report, "asks", "can be made with the given options").0, "ok");
    let (outcome, detail) = of(&report, "asks", "without a panic");
    assert!(outcome == "failed" && detail.contains("asked before the phase began"), "{detail}");
    assert_eq!(of(&report, "panics", "can be made with default options").0, "ok");

    let report = json(&check("timing", &["--plugin-option", "made-timing.no_such=1"]).expect_code(2));
    let (outcome, detail) = of(&report, "made-timing", "can be made with the given options");
    assert!(outcome == "failed" && detail.contains("no option 'no_such'"), "{detail}");
    for (option, words) in [("acme.size=1", "it has made-timing"), ("acme", "name.key=value")] {
        let outcome = check("timing", &["--plugin-option", option]).expect_code(2);
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }

    let report = json(&check("dataset", &[]).expect_code(0));
    let (outcome, detail) = of(&report, "made-dataset", "opens a data set");
    assert!(outcome == "skipped" && detail.contains("without --input-file"), "{detail}");
    assert_eq!(of(&report, "made-dataset", "its number and its data set alone").0, "skipped");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompts.tsv");
    fs::write(&file, "Why is the sky blue?\nCount to ten.\t32\n").unwrap();
    let report = json(&check("dataset", &["--input-file", text(&file)]).expect_code(0));
    let opened = of(&report, "made-dataset", "opens a data set");
    assert_eq!((opened.0.as_str(), opened.1.as_str()), ("ok", "2 sessions"));
    assert_eq!(of(&report, "made-dataset", "its number and its data set alone").0, "ok");
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_that_ends_the_program_that_opens_it_is_a_finding() {
    let library = MADE.library("leaver");
    let report = json(&plugins(&["check", "--json", text(&library)]).run().expect_code(2));
    let (outcome, detail) = outcome_of(&report["checks"], "opens");
    assert!(outcome == "failed" && detail.contains("exit code 0"), "{detail}");
    let (_, left) = detail.split_once("left ").expect("it says which process it leaves behind");
    let id = left.split(' ').next().expect("a number");
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:")).map(str::trim);
    assert!(state.is_none_or(|state| state.starts_with(['Z', 'X'])), "process {id} is still there: {state:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_that_changes_the_process_as_it_is_opened_is_a_finding_and_moves_no_results() {
    let library = MADE.library("meddler");
    let report = json(&plugins(&["check", "--json", text(&library)]).run().expect_code(2));
    let (outcome, detail) = outcome_of(&report["checks"], "leaves the process that opens it as it was");
    assert_eq!(outcome, "failed");
    for words in ["working directory to /", "ignore SIGTERM", "it printed 23 bytes", "hello from the meddler"] {
        assert!(detail.contains(words), "no '{words}' in {detail}");
    }
    assert_eq!((&report["usable"], &report["interface"]), (&true.into(), &report["components"][0]["interface"]));

    let words = ["--model", "m", "--url", "http://127.0.0.1:9", "--plugin", text(&library), "--request-count", "3"];
    let outcome = Program::profile().args(words).args(["--arrival-pattern", "quitter", "--request-rate", "9"]).run();
    for words in ["a plugin changed the working directory to /", "a plugin made the process ignore SIGTERM"] {
        assert!(outcome.stderr.contains(words), "no '{words}' in {}", outcome.stderr);
    }
    assert!(outcome.folder().join("artifacts/profile_export_aiperf.json").is_file(), "{}", outcome.stderr);
}

#[test]
fn what_breaks_laws_is_installed_by_force_and_what_is_not_safe_never() {
    let refused = |words: &[&str], why: &str| {
        let outcome = plugins(words).run().expect_code(2);
        assert!(outcome.stderr.contains("is not installed") && outcome.stderr.contains(why), "{}", outcome.stderr);
        assert!(!outcome.folder().join("data/inferometer").exists());
    };
    let (quitter, leaver) = (MADE.library("quitter"), MADE.library("leaver"));
    refused(&["install", text(&quitter)], "pass --force");
    refused(&["install", text(&leaver)], "mend what failed");
    refused(&["install", "--force", text(&leaver)], "--force passes over broken laws only");
    let outcome = plugins(&["install", "--force", text(&quitter)]).run().expect_code(0);
    assert!(outcome.folder().join("data/inferometer/plugins").join(quitter.file_name().unwrap()).is_file());
}

/// A folder with copies of two libraries, and a lock file of them.
fn locked() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for kind in ["timing", "exporter"] {
        let library = MADE.library(kind);
        let copy = folder.path().join(library.file_name().expect("a library has a name"));
        fs::copy(&library, copy).expect("a library can be copied");
    }
    let lock = folder.path().join("ci.lock");
    let outcome = plugins(&["lock", "--plugin", text(folder.path()), "--lock-file", text(&lock)]).run().expect_code(0);
    assert!(outcome.stdout.starts_with("Locked 2 libraries in "), "{}", outcome.stdout);
    (folder, lock)
}

/// What is said of a run with these plugins and this lock, which is refused.
fn not_as_locked(plugins: &Path, lock: &Path) -> String {
    let words = ["--model", "m", "--url", "http://127.0.0.1:9", "--plugin", text(plugins), "--lock-file", text(lock)];
    let profile = Program::profile().args(words).run().expect_code(2);
    for command in [&["list"][..], &["show", "made-timing"]] {
        let program = Program::new().arg("plugins").args(command).args(&words[4..]);
        assert_eq!(program.run().expect_code(2).stderr, profile.stderr);
    }
    assert!(profile.stderr.contains("inferometer plugins lock --lock-file"), "{}", profile.stderr);
    profile.stderr
}

#[test]
fn a_lock_file_says_what_it_locks_and_is_the_same_when_written_again() {
    let (folder, lock) = locked();
    let first = fs::read_to_string(&lock).unwrap();
    let table: toml::Table = toml::from_str(&first).unwrap();
    let libraries = table["library"].as_array().unwrap();
    let of = |index: usize, key: &str| libraries[index][key].as_str().unwrap();
    assert_eq!((of(0, "file"), of(1, "file")), ("libmade_exporter.so", "libmade_timing.so"));
    assert_eq!(of(1, "sha256").len(), 64);
    let component = &libraries[1]["component"][0];
    for (key, value) in [("kind", "timing"), ("name", "made-timing"), ("package", "made-timing"), ("version", "0.1.0")]
    {
        assert_eq!(component[key].as_str(), Some(value));
    }
    assert!(component["interface"].is_str());
    let words = ["lock", "--plugin", text(folder.path()), "--lock-file", text(&lock)];
    let _ = plugins(&words).run().expect_code(0);
    assert_eq!(fs::read_to_string(&lock).unwrap(), first);
}

#[test]
fn the_locked_libraries_are_let_pass_wherever_they_lie_and_by_default_from_the_usual_file() {
    let (folder, lock) = locked();
    let elsewhere = tempfile::tempdir().unwrap();
    for file in ["libmade_timing.so", "libmade_exporter.so"] {
        fs::copy(folder.path().join(file), elsewhere.path().join(file)).unwrap();
    }
    let program = plugins(&["list", "--locked", "--plugin", text(elsewhere.path())]);
    let outcome = program.file("inferometer-plugins.lock", fs::read(&lock).unwrap()).run().expect_code(0);
    assert!(outcome.stdout.contains("made-timing"), "{}", outcome.stdout);
    let config = format!("locked = true\n[plugins]\npath = [\"{}\"]\n", text(elsewhere.path()));
    let missing = plugins(&["list", "--config", "run.toml"]).file("run.toml", &config).run().expect_code(2);
    assert!(missing.stderr.contains("inferometer-plugins.lock: No such file"), "{}", missing.stderr);
    let outcome = plugins(&["lock", "--config", "run.toml"]).file("run.toml", &config).run().expect_code(0);
    assert!(outcome.folder().join("inferometer-plugins.lock").is_file());
}

#[test]
fn a_library_that_was_changed_added_or_removed_after_the_lock_is_refused_before_anything_is_opened() {
    let (folder, lock) = locked();
    let timing = folder.path().join("libmade_timing.so");
    let whole = fs::read(&timing).unwrap();
    let mut changed = whole.clone();
    // Beyond everything that the loader looks at.
    changed.push(0);
    fs::write(&timing, &changed).unwrap();
    let words = not_as_locked(folder.path(), &lock);
    assert!(words.contains(text(&timing)) && words.contains("is locked"), "{words}");

    fs::write(&timing, &whole[..whole.len() / 2]).unwrap();
    let words = not_as_locked(folder.path(), &lock);
    assert!(words.contains("libmade_timing.so") && words.contains("cut short"), "{words}");

    fs::remove_file(&timing).unwrap();
    let words = not_as_locked(folder.path(), &lock);
    assert!(words.contains("libmade_timing.so") && words.contains("is missing"), "{words}");

    fs::write(&timing, &whole).unwrap();
    fs::copy(MADE.library("dataset"), folder.path().join("libmore.so")).unwrap();
    let words = not_as_locked(folder.path(), &lock);
    assert!(words.contains("libmore.so") && words.contains("is not locked"), "{words}");

    fs::remove_file(folder.path().join("libmore.so")).unwrap();
    fs::write(&lock, "library = 7").unwrap();
    assert!(not_as_locked(folder.path(), &lock).contains("no lock file"));
}

#[test]
fn a_lock_is_written_through_a_link_and_taken_from_no_device_and_from_nothing_that_everyone_may_write() {
    let (folder, lock) = locked();
    let link = folder.path().join("link.lock");
    std::os::unix::fs::symlink(&lock, &link).unwrap();
    let written = |file: &str| plugins(&["lock", "--plugin", text(folder.path()), "--lock-file", file]).run();
    fs::write(&lock, "").unwrap();
    let _ = written(text(&link)).expect_code(0);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&lock).unwrap().contains("libmade_timing.so"));
    for (file, words) in [("/dev/null", "no regular file"), ("/no/such/folder/a.lock", "No such file or directory")] {
        let outcome = written(file).expect_code(2);
        assert!(outcome.stderr.contains(words) && !outcome.stderr.contains(".inferometer-lock-"), "{}", outcome.stderr);
    }

    let listed = |lock: &str| plugins(&["list", "--plugin", text(folder.path()), "--lock-file", lock]);
    let _ = listed(text(&lock)).run().expect_code(0);
    let outcome = listed("/dev/zero").run().expect_code(2);
    assert!(outcome.stderr.contains("neither a regular file"), "{}", outcome.stderr);
    fs::set_permissions(&lock, Permissions::from_mode(0o666)).unwrap();
    let outcome = listed(text(&lock)).run().expect_code(2);
    assert!(outcome.stderr.contains("everyone may write") && outcome.stderr.contains("chmod"), "{}", outcome.stderr);
    let _ = listed(text(&lock)).arg("--allow-unsafe-permissions").run().expect_code(0);
}

#[test]
fn a_preference_for_a_name_that_nobody_has_is_refused_with_the_nearest() {
    let program = plugins(&["list", "--config", "run.toml"]).file("run.toml", "[plugins.prefer]\nchatt = \"acme\"\n");
    let outcome = program.run().expect_code(2);
    assert!(outcome.stderr.contains("did you mean 'chat'?"), "{}", outcome.stderr);
}

#[test]
fn what_was_passed_over_has_a_code_for_machines() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("words.so"), "Dear reader,").unwrap();
    let listed = json(&plugins(&["list", "--json", "--plugin", text(folder.path())]).run().expect_code(0));
    assert_eq!(listed["skipped"][0]["code"], "no_object");
    assert!(listed["interface"].is_string());
}
