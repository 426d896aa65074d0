//! What cannot work is refused in words that help, before any request is sent, and with an exit code that scripts can
//! tell apart; what fails all the same leaves files that say why.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use inferometer_mock::MockConfig;
use inferometer_tests::mock::Mock;
use inferometer_tests::results::{Outcomes, Results};
use inferometer_tests::run::{Outcome, Program};

/// A few short requests.
const SHORT: [&str; 6] = ["--request-count", "4", "--isl", "10", "--osl", "4"];

/// Checks that the program says what is wrong, all of `words`, and nothing a user cannot read.
fn says(outcome: &Outcome, words: &[&str]) {
    let said = &outcome.stderr;
    assert!(said.starts_with("error: "), "{said}");
    for word in words {
        assert!(said.contains(word), "no '{word}' in: {said}");
    }
    for noise in ["panicked", "RUST_BACKTRACE", "stack backtrace", "Os {", "Some(", "src/"] {
        assert!(!said.contains(noise), "'{noise}' in: {said}");
    }
}

/// Runs `profile` with these arguments, which have to be refused for a reason of `words` before anything is sent.
fn refused(args: &[&str], words: &[&str]) {
    refused_with(|program| program.args(args), words);
}

/// As [`refused`], with files to make beforehand.
fn refused_with(add: impl FnOnce(Program) -> Program, words: &[&str]) {
    let mock = Mock::start(MockConfig::default());
    let outcome = add(mock.profile()).run().expect_code(2);
    says(&outcome, words);
    assert_eq!(outcome.stdout, "");
    assert!(outcome.artifacts().is_empty(), "{:?}", outcome.artifacts());
    assert!(mock.stop().is_empty(), "a request was sent");
}

#[test]
fn a_server_that_cannot_be_reached_is_named_and_the_files_say_so() {
    // Bound and closed again: nothing listens there.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let outcome = Program::profile()
        .args(["--model", "m", "--url", &url, "--tokenizer", "builtin", "--streaming"])
        .args(SHORT)
        .run()
        .expect_code(3);
    says(&outcome, &[&url, "no connection", "is the server running", "--url"]);
    let results = Results::of(&outcome);
    assert_eq!(results.outcomes(), Outcomes { total: 4, error: 4, ..Outcomes::default() });
    assert_eq!(results.errors(), BTreeMap::from([("connect".to_owned(), 4)]));
    assert_eq!(
        outcome.artifacts(),
        [
            "client_telemetry_export.jsonl",
            "inputs.json",
            "profile_export.jsonl",
            "profile_export_aiperf.csv",
            "profile_export_aiperf.json"
        ]
    );
}

#[test]
fn a_server_that_answers_everything_with_500_leaves_files_with_the_cause() {
    let mock = Mock::start(MockConfig { error_rate: 1.0, ..MockConfig::default() });
    let outcome = mock.profile().args(SHORT).run().expect_code(3);
    let results = Results::of(&outcome);
    let group = &results.summary["error_summary"][0];
    assert_eq!(group["count"], 4);
    assert_eq!(group["error_details"]["code"], 500);
    assert_eq!(group["error_details"]["message"], "500 an error, as configured");
    assert_eq!(results.summary["inferometer"]["verdict"]["state"], "invalid");
    assert!(outcome.says("500 an error, as configured"), "{}", outcome.stdout);
}

#[test]
fn a_host_without_an_address_is_named() {
    let outcome = Program::profile()
        .args(["--model", "m", "--url", "http://no-such-host.invalid:8000", "--tokenizer", "builtin"])
        .run()
        .expect_code(3);
    says(&outcome, &["no-such-host.invalid", "--url"]);
}

#[test]
fn a_mistyped_flag_is_answered_with_the_one_that_was_meant() {
    refused(&["--concurency", "4"], &["'--concurency'", "'--concurrency'"]);
    refused(&["--num-request", "4"], &["'--num-request'", "--num-requests"]);
}

#[test]
fn flags_of_other_benchmarks_are_answered_with_a_reason_or_a_substitute() {
    refused(&["--public-dataset", "sharegpt"], &["--public-dataset is not a flag here", "--input-file"]);
    refused(&["--search-space", "x"], &["--search-space is not a flag here", "once per value"]);
    refused(&["--zmq-host", "x"], &["--zmq-host is not a flag here", "one process"]);
    refused(&["-v"], &["-v is not a flag here"]);
}

#[test]
fn a_flag_without_its_value_is_named() {
    refused(&["--request-count"], &["--request-count"]);
}

#[test]
fn a_missing_model_is_asked_for() {
    let outcome = Program::profile().args(["--url", "http://127.0.0.1:9"]).run().expect_code(2);
    says(&outcome, &["--model is missing", "--model llama-3"]);
}

#[test]
fn objectives_that_cannot_be_judged_are_refused_before_the_run() {
    refused(&["--streaming", "--goodput", "tfft:50"], &["tfft", "ttft"]);
    refused(
        &["--streaming", "--goodput", "time_to_frist_token:50"],
        &["time_to_frist_token", "did you mean \"time_to_first_token\""],
    );
    refused(&["--streaming", "--goodput", "time_to_first_token:-1"], &["time_to_first_token", "-1"]);
    refused(&["--streaming", "--goodput", "ttft"], &["ttft", "write tag:value"]);
    refused(&["--streaming", "--goodput", "ttft:fast"], &["time_to_first_token", "fast", "ms"]);
    // Without streaming there is no first token to time.
    refused(&["--goodput", "ttft:50"], &["time_to_first_token", "needs streaming"]);
}

#[test]
fn objectives_that_can_be_judged_give_goodput() {
    let mock = Mock::start(MockConfig { ttft_ms: 2.0, ..MockConfig::default() });
    for (objective, good) in [("ttft:60000", 4.0), ("time_to_first_token:1", 0.0), ("ttft:60000 tpot:60000", 4.0)] {
        let outcome = mock.profile().args(SHORT).args(["--streaming", "--goodput", objective]).run().expect_code(0);
        let results = Results::of(&outcome);
        assert_eq!(results.value("good_request_count"), good, "{objective}");
        assert_eq!(results.value("good_request_fraction"), good / 4.0, "{objective}");
        assert!(results.value("goodput") >= 0.0);
    }
}

#[test]
fn numbers_that_make_no_sense_are_named_with_what_would_do() {
    refused(&["--request-rate", "0"], &["--request-rate 0", "above 0"]);
    refused(&["--request-rate=-5"], &["--request-rate -5", "above 0"]);
    refused(&["--request-rate", "nan"], &["--request-rate NaN"]);
    // All at once, but how many?
    refused(&["--request-rate", "inf"], &["burst of all requests", "--request-count"]);
    refused(&["--request-rate", "fast"], &["'fast'", "--request-rate"]);
    refused(&["--concurrency", "0"], &["--concurrency 0", "at least 1"]);
    refused(&["--concurrency", "-1"], &["--concurrency -1:", "whole number"]);
    refused(&["--request-count", "-5"], &["--request-count -5:", "whole number"]);
    refused(&["--concurrency", "1,2,4"], &["--concurrency 1,2,4:", "once per value"]);
    refused(&["--random-seed", "x"], &["--random-seed x:", "whole number"]);
    refused(&["--shared-system-prompt-length", "4294967295"], &["--shared-system-prompt-length", "1000000"]);
    refused(&["--isl", "20000000"], &["--isl 20000000", "1 to 10000000"]);
    refused(&["--session-turns-mean", "20000"], &["--session-turns-mean 20000", "1 to 10000"]);
    refused(&["--image-width-mean", "9000"], &["--image-width-mean 9000", "1 to 8192"]);
    refused(&["--request-count", "0"], &["--request-count 0"]);
    refused(&["--request-count", "1.5"], &["'1.5'", "whole number"]);
    refused(&["--benchmark-duration", "0"], &["--benchmark-duration 0"]);
    refused(&["--benchmark-duration", "1us"], &["--benchmark-duration 0.000001", "a millisecond"]);
    refused(&["--benchmark-duration", "soon"], &["'soon'", "3m"]);
    refused(&["--workers", "0"], &["--workers 0"]);
    refused(&["--workers", "70000"], &["--workers 70000", "1024"]);
    refused(&["--num-dataset-entries", "1000000000000"], &["--num-dataset-entries", "10000000"]);
    refused(&["--isl", "0"], &["--isl 0"]);
    refused(&["--osl-stddev", "3"], &["--osl-stddev", "--osl"]);
    refused(&["--failed-request-threshold", "5"], &["--failed-request-threshold 5", "0.05"]);
    refused(&["--request-cancellation-rate", "120"], &["--request-cancellation-rate 120", "0 to 100"]);
    refused(&["--seq-dist", "256,128:60;512,256:30"], &["--seq-dist 256,128:60;512,256:30", "add up to 90", "100"]);
}

#[test]
fn an_infinite_rate_with_a_number_of_requests_sends_them_at_once() {
    let mock = Mock::start(MockConfig::default());
    let outcome = mock.profile().args(SHORT).args(["--request-rate", "inf"]).run().expect_code(0);
    let results = Results::of(&outcome);
    assert_eq!(results.outcomes(), Outcomes { total: 4, ok: 4, ..Outcomes::default() });
    assert_eq!(results.summary["inferometer"]["plan"]["phases"][0]["strategy"], "burst");
    assert_eq!(mock.stop().len(), 4);
}

#[test]
fn settings_that_need_others_are_refused_with_those_they_need() {
    let rate = "add --request-rate";
    refused(&["--on-overload", "drop", "--concurrency", "2"], &["--on-overload", rate]);
    refused(&["--arrival-smoothness", "2"], &["--arrival-smoothness", rate]);
    refused(&["--prefill-concurrency", "2"], &["--prefill-concurrency", "add --streaming"]);
    refused(&["--num-users", "5"], &["--num-users", "add --user-centric-rate"]);
    refused(&["--user-centric-rate", "5"], &["--user-centric-rate", "add --num-users"]);
    refused(&["--warmup-concurrency", "2"], &["--warmup-concurrency", "--warmup-request-count"]);
    refused(&["--fixed-schedule"], &["--fixed-schedule", "add --input-file"]);
    refused_with(
        |program| {
            program.file("rows.jsonl", "{\"text\": \"a\"}\n").args(["--fixed-schedule", "--input-file", "rows.jsonl"])
        },
        &["--fixed-schedule", "with timestamps"],
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    refused(
        &["--streaming", "--prefill-concurrency", "8", "--concurrency", "4"],
        &["--prefill-concurrency 8", "the 4", "--concurrency"],
    );
    refused(&["--request-rate", "5", "--user-centric-rate", "5", "--num-users", "2"], &["leave one out"]);
    refused(
        &["--input-file", "x", "--fixed-schedule-speedup", "2", "--concurrency", "4"],
        &["--fixed-schedule-speedup", "--concurrency", "add --fixed-schedule,"],
    );
    refused(&["--fixed-schedule", "--no-fixed-schedule"], &["--no-fixed-schedule", "leave one out"]);
}

#[test]
fn a_series_of_rates_that_is_none_is_named_with_what_would_do() {
    for (content, word) in [
        ("rates: 5, 50", "[[0, 5], [60, 50]]"),
        ("[[0, 5]]", "1 points"),
        ("[[0, 5], [60, -1]]", "the rate -1"),
        ("[[60, 5], [0, 50]]", "point 2 is at 0 s"),
    ] {
        refused_with(
            |program| {
                let program = program.file("rates.json", content);
                program.args(["--request-rate-series", "rates.json", "--request-count", "4"])
            },
            &["--request-rate-series rates.json", word],
        );
    }
    refused(&["--request-rate-series", "missing.json"], &["--request-rate-series missing.json", "give a JSON file"]);
}

#[test]
fn input_that_cannot_be_read_is_named_with_file_and_line() {
    refused(&["--input-file", "missing.jsonl"], &["missing.jsonl"]);
    refused_with(
        |program| {
            fs::create_dir(program.folder().join("prompts")).unwrap();
            program.args(["--input-file", "prompts"])
        },
        &["prompts", "folder"],
    );
    for (content, line) in [
        ("{\"text\": \"fine\"}\n{\"text\": \"cut\n", "rows.jsonl:2"),
        ("{\"text\": \"fine\"}\n\n{\"txet\": \"misspelt\"}\n", "rows.jsonl:3"),
        // Of what kind it is, nobody can tell.
        ("[1, 2]\n", "--custom-dataset-type"),
    ] {
        refused_with(
            |program| program.file("rows.jsonl", content).args(["--input-file", "rows.jsonl"]),
            &["rows.jsonl", line],
        );
    }
    refused_with(
        |program| {
            let program = program.file("rows.jsonl", "[1, 2]\n");
            program.args(["--input-file", "rows.jsonl", "--custom-dataset-type", "single_turn"])
        },
        &["rows.jsonl:1"],
    );
    refused_with(
        |program| program.file("empty.jsonl", "").args(["--input-file", "empty.jsonl"]),
        &["empty.jsonl: is empty"],
    );
    refused_with(
        |program| program.file("rows.json", "[{\"text\": \"a\"}]").args(["--input-file", "rows.json"]),
        &["rows.json", "write one object per line"],
    );
    refused_with(
        |program| {
            let program = program.file("trace.jsonl", "{\"input_length\": 5, \"output_length\": 2}");
            program.args(["--input-file", "trace.jsonl", "--custom-dataset-type", "single_turn"])
        },
        &["trace.jsonl:1", "it looks like mooncake_trace"],
    );
    refused_with(
        |program| program.file("binary.jsonl", [0xff, 0xfe, 0x00]).args(["--input-file", "binary.jsonl"]),
        &["binary.jsonl", "is not text"],
    );
}

#[test]
fn components_that_do_not_exist_are_answered_with_the_ones_that_do() {
    refused(&["--endpoint-type", "chatt"], &["'chatt'", "did you mean 'chat'", "completions"]);
    refused(&["--arrival-pattern", "poison", "--request-rate", "5"], &["'poison'", "did you mean 'poisson'"]);
    refused(&["--custom-dataset-type", "multi"], &["'multi'", "single_turn"]);
    refused(&["--exporter", "jsn"], &["'jsn'", "json"]);
    refused(&["--plugin", "/no/such/plugin.so"], &["/no/such/plugin.so"]);
    refused(&["--plugin-option", "chat"], &["--plugin-option chat", "name.key=value"]);
}

#[test]
fn a_tokenizer_that_is_not_there_is_named() {
    let with = |name: &str, words: &[&str]| {
        let outcome = Program::profile()
            .args(["--model", "m", "--url", "http://127.0.0.1:9", "--tokenizer", name])
            .run()
            .expect_code(2);
        says(&outcome, words);
    };
    with("./no/such/folder", &["./no/such/folder"]);
    with("acme/unheard-of", &["acme/unheard-of"]);
}

#[test]
fn urls_that_cannot_be_used_are_refused_with_what_would_do() {
    let with = |url: &str, words: &[&str]| {
        let outcome = Program::profile().args(["--model", "m", "--url", url]).run().expect_code(2);
        says(&outcome, words);
    };
    with("http://h/deployments/{model}/chat", &["{model}", "--endpoint '/openai/deployments/{model}"]);
    with("ftp://localhost", &["--url ftp://localhost", "http"]);
    with("http://", &["--url", "http://127.0.0.1:8000"]);
    with("http://localhost:99999", &["--url http://localhost:99999", "port"]);
    with("http://me:secret@localhost:8000", &["--url", "Authorization"]);
}

#[test]
fn telemetry_that_cannot_be_read_is_refused_with_what_would_do() {
    refused(&["--gpu-telemetry", "nvlm"], &["did you mean 'nvml'?"]);
    refused(&["--gpu-telemetry", "nvml", "fields.csv"], &["fields.csv", "add dcgm or a page's URL"]);
    refused(&["--server-metrics", "http://bob:sesame@localhost/metrics"], &["--server-metrics", "prometheus.headers"]);
    refused(&["--server-metrics-formats", "jsno"], &["did you mean 'json'?"]);
    refused(&["--server-metrics-formats", "json", "--no-server-metrics"], &["leave one out"]);
    refused(&["--gpu-telemetry", "dcgm", "--no-gpu-telemetry"], &["exclude each other"]);
    refused(&["--telemetry-interval", "-1"], &["--telemetry-interval", "write seconds such as 30"]);
    refused(&["--telemetry-interval", "2h"], &["--telemetry-interval", "3600 or less"]);
}

#[test]
fn a_folder_that_already_holds_a_run_is_kept_unless_told_otherwise() {
    let mock = Mock::start(MockConfig::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let run = |count: &str, more: &[&str]| {
        Program::new()
            .args(["profile", "--accept-invalid", "--model", "mock", "--url", &mock.url(), "--tokenizer", "builtin"])
            .args(["--artifact-dir", path, "--request-count", count, "--isl", "10", "--osl", "4"])
            .args(more)
            .run()
    };
    let summary = || fs::read_to_string(folder.path().join("profile_export_aiperf.json")).unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();

    let _ = run("3", &[]).expect_code(0);
    let first = summary();
    says(&run("5", &[]).expect_code(2), &[path, "already holds a run", "--overwrite"]);
    assert_eq!(summary(), first, "the refused run changed what was there");

    // One without lines per request: none of the first run may be left beside it.
    let _ = run("5", &["--overwrite", "--export-level", "summary"]).expect_code(0);
    assert_ne!(summary(), first);
    assert!(!folder.path().join("profile_export.jsonl").exists());
    assert_eq!(fs::read_to_string(folder.path().join("notes.txt")).unwrap(), "mine", "others' files are left alone");
    assert_eq!(mock.stop().len(), 8);
}

#[test]
fn an_artifact_folder_that_is_a_file_is_refused() {
    let mock = Mock::start(MockConfig::default());
    let outcome = mock.profile().file("artifacts", "a file").run().expect_code(2);
    says(&outcome, &["--artifact-dir artifacts is a file"]);
    assert!(mock.stop().is_empty());
}

#[test]
fn each_run_gets_a_folder_of_its_own_and_latest_points_to_the_newest() {
    let mock = Mock::start(MockConfig::default());
    let outcome = Program::new()
        .args(["profile", "--accept-invalid", "--model", "mock", "--url", &mock.url(), "--tokenizer", "builtin"])
        .args(SHORT)
        .run()
        .expect_code(0);
    let artifacts = outcome.folder().join("artifacts");
    let target = fs::read_link(artifacts.join("latest")).expect("there is a link");
    assert!(target.is_relative(), "the folder can be moved: {target:?}");
    let run = artifacts.join(&target);
    let id = outcome_id(&run);
    assert!(target.to_str().unwrap().ends_with(&id), "{target:?} is not called after {id}");
    assert!(outcome.stdout.contains(target.to_str().unwrap()), "{}", outcome.stdout);
}

fn outcome_id(run: &Path) -> String {
    let text = fs::read_to_string(run.join("profile_export_aiperf.json")).expect("the run left its summary");
    let summary: serde_json::Value = serde_json::from_str(&text).expect("the summary is JSON");
    summary["benchmark_id"].as_str().expect("a run has an id").to_owned()
}

#[test]
fn a_configuration_file_is_checked_as_the_flags_are() {
    let with = |content: &str, words: &[&str]| {
        refused_with(|program| program.file("run.toml", content).args(["--config", "run.toml"]), words);
    };
    with("concurency = 4\n", &["run.toml", "'concurency'", "did you mean 'concurrency'"]);
    with("concurrency = \"many\"\n", &["run.toml", "'concurrency'", "'many'"]);
    with("concurrency = [1, 2]\n", &["run.toml", "'concurrency'", "once per value"]);
    with("random-seed = 1.5\n", &["run.toml", "'random-seed'", "1.5", "whole number"]);
    with("request_count = 0\n", &["--request-count 0"]);
    with("concurrency = \n", &["run.toml", "line 1"]);
    with("[[phase]]\nrequest-count = 4\nconcurency = 2\n", &["run.toml", "phase 1", "did you mean 'concurrency'"]);
    with("[plugins]\nfolder = \"x\"\n", &["run.toml", "plugins", "folder"]);
    refused(&["--config", "missing.toml"], &["missing.toml"]);
}

#[test]
fn flags_win_over_the_configuration_file() {
    let mock = Mock::start(MockConfig::default());
    let file = "request-count = 50\nconcurrency = 3\nisl = 10\nosl = 4\nstreaming = true\n";
    let outcome = mock
        .profile()
        .file("run.toml", file)
        .args(["--config", "run.toml", "--request-count", "6", "--streaming=false"])
        .run()
        .expect_code(0);
    let results = Results::of(&outcome);
    assert_eq!(results.outcomes(), Outcomes { total: 6, ok: 6, ..Outcomes::default() });
    let plan = &results.summary["inferometer"]["plan"];
    assert_eq!(plan["phases"][0]["concurrency"], 3);
    assert_eq!(plan["server"]["streaming"], false);
    assert_eq!(mock.stop().len(), 6);
}

#[test]
fn a_missing_key_is_reported_in_the_servers_words() {
    let mock = Mock::start(MockConfig { api_key: Some("sk-right".into()), ..MockConfig::default() });
    for key in [None, Some("sk-wrong")] {
        let program = mock.profile().args(SHORT);
        let program = match key {
            Some(key) => program.args(["--api-key", key]),
            None => program,
        };
        let outcome = program.run().expect_code(3);
        let results = Results::of(&outcome);
        assert_eq!(results.summary["error_summary"][0]["error_details"]["code"], 401);
        assert!(outcome.stdout.contains("401"), "{}", outcome.stdout);
    }
}

#[test]
fn a_key_is_used_and_stands_in_nothing_that_the_program_leaves_behind() {
    let key = "sk-9f2b47c1";
    let mock = Mock::start(MockConfig { api_key: Some(key.into()), ..MockConfig::default() });
    let given: [&dyn Fn(Program) -> Program; 5] = [
        &|program| program.env("INFEROMETER_API_KEY", key),
        &|program| program.args(["--api-key", key]),
        &|program| program.arg(format!("--api-key={key}")),
        &|program| program.args(["-H", &format!("Authorization: Bearer {key}")]),
        &|program| program.file("run.toml", format!("api-key = \"{key}\"")).args(["--config", "run.toml"]),
    ];
    for (way, give) in given.iter().enumerate() {
        let outcome = give(mock.profile()).args(SHORT).run().expect_code(0);
        assert!(!outcome.stdout.contains(key) && !outcome.stderr.contains(key), "way {way}: printed");
        for name in outcome.artifacts() {
            assert!(!outcome.text(&name).contains(key), "way {way}: in {name}");
        }
        let dry = give(mock.profile()).args(SHORT).arg("--dry-run").run().expect_code(0);
        assert!(!dry.stdout.contains(key) && !dry.stderr.contains(key), "way {way}: printed by --dry-run");
    }
}

#[test]
fn a_key_that_no_header_can_carry_is_refused_without_showing_it() {
    let outcome = Program::profile()
        .args(["--model", "m", "--url", "http://127.0.0.1:9", "--api-key", "sk-\nsecret"])
        .run()
        .expect_code(2);
    says(&outcome, &["--api-key", "INFEROMETER_API_KEY"]);
    assert!(!outcome.stderr.contains("secret"), "{}", outcome.stderr);
}

#[test]
fn a_dry_run_shows_the_plan_and_the_first_requests_and_sends_nothing() {
    let mock = Mock::start(MockConfig::default());
    let words = ["--streaming", "--concurrency", "2", "--random-seed", "5"];
    let dry = mock.profile().args(SHORT).args(words).arg("--dry-run").run().expect_code(0);
    assert_eq!(dry.artifacts(), ["schedule.jsonl"]);
    assert_eq!(dry.jsonl("schedule.jsonl").len(), 4);
    let (plan, requests) = dry.stdout.split_once("\nrequest 0").expect("a plan, then requests");
    let plan: serde_json::Value = serde_json::from_str(plan).unwrap_or_else(|error| panic!("{error} in {plan}"));
    assert_eq!(plan["phases"][0]["concurrency"], 2);
    assert_eq!(plan["seed"], 5);

    let run = mock.profile().args(SHORT).args(words).run().expect_code(0);
    assert_eq!(mock.stop().len(), 4, "the dry run sent something");
    let inputs = run.json("inputs.json");
    let first = inputs["data"][0]["payloads"][0].as_object().expect("the first body");
    let content = first["messages"][0]["content"].as_str().expect("the first prompt");
    let shown = requests.lines().next().expect("the first request");
    assert!(shown.contains(&serde_json::to_string(content).unwrap()), "{shown} is not what is sent: {first:?}");
}

#[test]
fn a_dry_run_says_where_requests_go_and_asks_nobody_for_addresses() {
    let dry = |endpoint: &[&str]| {
        let url = "http://no-such-host.invalid:8000/api?key=S1";
        let program = Program::profile().args(["--model", "m", "--url", url, "--tokenizer", "builtin", "--dry-run"]);
        program.args(SHORT).args(endpoint).run().expect_code(0).stdout
    };
    let said = dry(&["--endpoint", "/x?z=S1"]);
    assert!(said.contains("POST http://no-such-host.invalid:8000/api/x?key=<redacted>&z=<redacted> {"), "{said}");
    assert!(!said.contains("S1"), "{said}");
    let audio = dry(&["--endpoint-type", "audio-transcription", "--audio-length-mean", "0.1"]);
    assert!(audio.contains("/audio/transcriptions") && audio.contains("bytes, audio/"), "{audio}");
}

#[test]
fn what_cannot_stream_is_asked_for_whole_answers_and_a_note_says_so() {
    let mock = Mock::start(MockConfig::default());
    let outcome =
        mock.profile().args(SHORT).args(["--endpoint-type", "embeddings", "--streaming"]).run().expect_code(0);
    assert!(outcome.says("cannot stream"), "{}", outcome.stdout);
    assert_eq!(Results::of(&outcome).summary["inferometer"]["plan"]["server"]["streaming"], false);
}

#[test]
fn a_way_to_the_server_that_cannot_be_gone_is_named_itself() {
    let run = |args: &[&str], code| {
        let program =
            Program::profile().args(["--model", "m", "--url", "http://127.0.0.1:9", "--tokenizer", "builtin"]);
        program.args(SHORT).args(args).env("HTTP_PROXY", "garbage^^").run().expect_code(code)
    };
    says(&run(&["--proxy", "http://no-such-proxy.invalid:3128"], 3), &["no-such-proxy.invalid", "check --proxy"]);
    says(&run(&["--proxy", "env"], 2), &["--proxy env", "HTTP_PROXY", "garbage^^"]);
    says(&run(&["--unix-socket", "no-such-socket"], 3), &["no-such-socket", "--unix-socket"]);
}

#[test]
fn headers_that_something_else_sets_and_keys_that_are_not_there_are_refused() {
    refused(&["--session-header", "Authorization"], &["--session-header 'Authorization'"]);
    refused(&["--session-header", "X-A", "-H", "X-A: 1"], &["--session-header 'X-A'", "--header"]);
    let version = ["--endpoint-type", "messages", "--session-header", "anthropic-version"];
    refused(&version, &["--session-header 'anthropic-version'", "'messages'"]);
    refused(&["--api-key-header", "api-key"], &["--api-key-header", "INFEROMETER_API_KEY"]);
    let both = ["--url", "https://127.0.0.1:9", "--insecure", "--ca-certificate", "ca.pem"];
    refused(&both, &["--insecure", "--ca-certificate"]);
}

#[test]
fn a_key_of_a_file_wins_over_that_of_the_environment() {
    let mock = Mock::start(MockConfig { api_key: Some("of-the-file".into()), ..MockConfig::default() });
    let program = mock.profile().args(SHORT).file("key", "of-the-file\n").args(["--api-key-file", "key"]);
    let _ = program.env("INFEROMETER_API_KEY", "of-the-environment").run().expect_code(0);
}

#[test]
fn keys_in_queries_stand_in_no_result() {
    let mock = Mock::start(MockConfig::default());
    let page = format!("{}/metrics?tok=sk-9f2b", mock.url());
    let outcome = mock
        .profile()
        .args(SHORT)
        .args(["--endpoint", "/v1/chat/completions?key=sk-9f2b", "--gpu-telemetry", &page, "--server-metrics", &page])
        .run()
        .expect_code(0);
    for name in outcome.artifacts() {
        assert!(!outcome.text(&name).contains("sk-9f2b"), "in {name}");
    }
    assert!(!outcome.stdout.contains("sk-9f2b"), "{}", outcome.stdout);
}

#[test]
fn a_chat_with_what_gives_no_text_is_refused_before_the_first_line() {
    let chat = |args: &[&str]| {
        let program =
            Program::new().args(["chat", "--model", "m", "--url", "http://127.0.0.1:9", "--tokenizer", "builtin"]);
        program.args(args).run().expect_code(2)
    };
    for kind in ["embeddings", "nim-rankings", "image-generation", "video-generation"] {
        says(&chat(&["--endpoint-type", kind]), &[kind, "such as chat"]);
    }
    says(&chat(&["--max-tokens", "0"]), &["--max-tokens 0"]);
}

#[test]
fn a_reader_that_stops_reading_breaks_nothing() {
    let mock = Mock::start(MockConfig::default());
    let outcome = mock.profile().args(SHORT).unread().run().expect_code(0);
    assert_eq!(outcome.stderr, "");
    assert_eq!(Results::of(&outcome).outcomes(), Outcomes { total: 4, ok: 4, ..Outcomes::default() });
    let dry = mock.profile().args(SHORT).arg("--dry-run").unread().run().expect_code(0);
    assert_eq!(dry.stderr, "");
    let demo = Program::new().args(["demo", "--artifact-dir", "artifacts"]).unread().run().expect_code(0);
    assert_eq!(demo.stderr, "");
}
