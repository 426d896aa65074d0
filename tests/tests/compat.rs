//! Plugins and hosts of every version of the interface work together, in both directions.

#[path = "compat/documents.rs"]
mod documents;

use inferometer_mock::MockConfig;
use inferometer_plugin_sdk::types::{Answer, ErrorKind, Exchange, Reply};
use inferometer_testkit::library;
use inferometer_tests::{
    binary,
    compat::{self, Echo},
    mock::Mock,
    results::{Outcomes, Results},
    run::Program,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// What the plugin of 1.0 does in every host.
const OLD: [&str; 5] = [
    "endpoint old-endpoint: /v1/completions prompt \"hello\" text \" token\" deltas 1",
    "timing old-timing: sent 3",
    "exporter old-exporter: wrote true",
    "collector old-collector: metrics 2 samples 2",
    "dataset old-dataset: sessions 3 turns 1",
];

/// What the second plugin of 1.0 does in every host, and what it says at each level.
const SECOND: [&str; 8] = [
    "endpoint second-endpoint: /second/whole prompt \"hello\" text \"\" deltas 0",
    "timing second-timing: sent 1",
    "exporter second-exporter: wrote true",
    "collector second-collector: metrics 0 samples 0",
    "log Error second: an error",
    "log Warning second: a warning",
    "log Information second: a piece of information",
    "dataset second-dataset: sessions 1 turns 1",
];

/// What the plugin of 1.1 does in every host.
const NEWER: [&str; 3] = [
    "endpoint newer-endpoint: /newer prompt \"hello\" text \"62 bytes\" deltas 1",
    "exporter newer-exporter: wrote true",
    "collector newer-collector: metrics 4 samples 5",
];

/// What the driver says of a library.
fn called(driver: &Path, library: &Path, configure: impl FnOnce(&mut Command)) -> Vec<String> {
    let mut command = Command::new(driver);
    command.arg(library).stdin(Stdio::null());
    configure(&mut command);
    let output = command.output().expect("the driver can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} in {}: {errors}", library.display(), driver.display());
    String::from_utf8(output.stdout).expect("it prints UTF-8").lines().map(str::to_owned).collect()
}

#[test]
fn a_plugin_of_1_0_does_the_same_in_the_host_of_1_0_and_in_this_one() {
    let old = compat::version_1_0();
    for host in [&*old.driver, compat::driver()] {
        assert_eq!(called(host, &old.plugin, |_| {}), OLD);
        assert_eq!(called(host, &old.second, |_| {}), SECOND);
    }
}

#[test]
fn the_plugin_of_1_1_does_the_same_in_the_host_of_1_0_and_in_this_one() {
    for host in [&*compat::version_1_0().driver, compat::driver()] {
        assert_eq!(called(host, compat::plugin_of_1_1(), |_| {}), NEWER);
    }
}

#[test]
fn plugins_of_this_version_do_the_same_in_the_host_of_1_0_and_in_this_one() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let device = folder.path().join("device0");
    fs::create_dir(&device).expect("a folder");
    fs::write(device.join("power1_input"), "250000000").expect("a file");
    let prompts = folder.path().join("prompts.txt");
    fs::write(&prompts, "first\nsecond\n").expect("a file");
    let options = format!("example-collector={}", serde_json::json!({ "folder": folder.path() }));
    for kind in ["endpoint", "timing", "exporter", "collector", "dataset"] {
        let library = binary::example_plugin(&format!("inferometer-example-{kind}"));
        let [then, now] = [&*compat::version_1_0().driver, compat::driver()].map(|host| {
            called(host, &library, |command| {
                command.arg(&options).env("DRIVER_SOURCE", &prompts);
            })
        });
        assert_eq!(then, now);
        assert!(now.len() == 1 && now[0].starts_with(&format!("{kind} example-{kind}: ")), "{now:?}");
    }
}

#[test]
fn an_endpoint_of_1_0_is_asked_by_the_call_it_knows() {
    let registry = library(compat::version_1_0().plugin.clone()).expect("it is accepted");
    let endpoint = registry.endpoint("old-endpoint", "{}").expect("it is made").component;
    let read = |body: &'static str| {
        let (status, content_type) = (200, "application/json".into());
        let answer = Answer { status, exchange: 0, flags: 0, content_type, body: body.as_bytes().into() };
        let mut reply = Reply::default();
        let exchange = Exchange { state: 7, ..Exchange::new("/v1/completions") };
        endpoint.on_answer(&answer, &exchange, &mut reply).map(|()| reply)
    };
    let reply = read(r#"{"choices":[{"text":" token","finish_reason":"stop"}]}"#).expect("it can be read");
    assert_eq!(reply.deltas.len(), 1);
    assert_eq!(reply.deltas[0].text.of(&reply.scratch), Some(b" token".as_slice()));
    assert!(reply.next.is_empty());
    let refused = read("no JSON").expect_err("it cannot be read");
    assert!(refused.kind == ErrorKind::MALFORMED && refused.message.starts_with("old: "), "{refused}");
}

#[test]
fn a_run_without_streams_works_on_an_endpoint_of_1_0() {
    let mock = Mock::start(MockConfig::default());
    let program = mock.profile().arg("--plugin").arg(&compat::version_1_0().plugin);
    let outcome = program.args(["--endpoint-type", "old-endpoint", "--request-count", "3", "--osl", "6"]).run();
    let results = Results::of(&outcome.expect_code(0));
    assert_eq!(results.outcomes(), Outcomes { total: 3, ok: 3, ..Outcomes::default() });
    assert_eq!(mock.stop().len(), 3);
}

#[test]
fn a_whole_run_works_on_plugins_of_1_0_alone() {
    // Long enough for some readings of the collector.
    let mock = Mock::start(MockConfig { ttft_ms: 100.0, ..MockConfig::default() });
    let outcome = mock
        .profile()
        .args(["--telemetry-interval", "0.01", "--plugin"])
        .arg(&compat::version_1_0().plugin)
        .args(["--endpoint-type", "old-endpoint", "--streaming", "--arrival-pattern", "old-timing"])
        .args(["--custom-dataset-type", "old-dataset", "--exporter", "old-exporter", "--collector", "old-collector"])
        .args(["--plugin-option", "old-endpoint.prefix=Say: ", "--request-count", "9", "--osl", "6"])
        .run()
        .expect_code(0);
    let results = Results::of(&outcome);
    assert_eq!(results.outcomes(), Outcomes { total: 9, ok: 9, ..Outcomes::default() });
    assert_eq!(
        fs::read_to_string(outcome.artifact("old.txt")).expect("it was written"),
        "metrics true\nrecords 9 ok 9\n"
    );
    let device = &results.summary["telemetry_data"]["endpoints"]["old-collector"]["gpus"]["gpu_0"];
    assert_eq!(device["metrics"]["old_power_usage"]["avg"], 300.0, "{device}");
    let components = results.summary["inferometer"]["components"].as_array().expect("a list of components");
    let old =
        components.iter().filter(|component| component["name"].as_str().is_some_and(|name| name.starts_with("old-")));
    assert!(old.clone().all(|component| component["sha256"].is_string()));
    assert_eq!(old.count(), 5);
    assert_eq!(mock.stop().len(), 9);
}

/// What each paragraph has the server say to the second endpoint of 1.0.
const SCRIPT: &str = r#"{"reasoning":"think"}
{"tool":"call"}
{"flags":["CONTENT"]}
{"text":"said","usage":[21,17,5,3]}
{"flags":["FINISH"]}

{"text":"a \"quoted\"\nline","flags":["SCRATCH"]}
{"flags":["DONE"]}

{"text":"a \"quoted\"\nline","flags":["ESCAPED"]}
{"flags":["FINISH"]}

{"flags":["CONTENT"]}
{"flags":["DONE"]}

{"text":"begun"}

{"text":"begun"}
{"error":"overloaded","flags":["ERROR"]}

{"fail":"MALFORMED"}

{"fail":"IO"}

{"fail":"PANICKED"}
"#;

#[test]
fn all_that_a_plugin_of_1_0_can_say_and_is_told_means_what_it_meant() {
    let server = Echo::start();
    let outcome = Program::profile()
        .file("script.txt", SCRIPT)
        .args(["--model", "m", "--tokenizer", "builtin", "--url", &server.url(), "--plugin"])
        .arg(&compat::version_1_0().second)
        .args(["--endpoint-type", "second-endpoint", "--streaming", "--arrival-pattern", "second-timing"])
        .args(["--custom-dataset-type", "second-dataset", "--input-file", "script.txt", "--random-seed", "77"])
        .args(["--exporter", "second-exporter", "--workers", "1"])
        .args(["--collector", "second-collector", "--plugin-option", "second-collector.fails=UNSUPPORTED"])
        .args(["--osl", "44", "--use-legacy-max-tokens", "--request-count", "9"])
        .run();
    let results = Results::of(&outcome);
    assert_eq!(results.outcomes(), Outcomes { total: 9, ok: 4, error: 5, ..Outcomes::default() });
    // By their own numbers, from the last to the first.
    let names = results.records.iter().map(|record| record.metadata.conversation_id.as_str());
    assert!(names.eq((0..9).rev().map(|index| format!("paragraph-{index}"))));
    let record = |index: usize| &results.records[8 - index];

    // What an event is taken for.
    for (tag, value) in [
        ("usage_prompt_tokens", 21.0),
        ("usage_completion_tokens", 17.0),
        ("usage_prompt_cache_read_tokens", 5.0),
        ("usage_reasoning_tokens", 3.0),
        ("output_sequence_length", 17.0),
        ("output_token_count", 14.0),
    ] {
        assert_eq!(record(0).number(tag), value, "{tag}");
    }
    let gaps = record(0).metrics["inter_chunk_latency"].value.as_array().map(Vec::len);
    assert_eq!(gaps, Some(3), "reasoning, a tool call, content and text are content each");
    let (plain, escaped) = (record(1).number("output_token_count"), record(2).number("output_token_count"));
    assert!(plain == escaped && plain > 1.0, "{plain} and {escaped}");
    assert!(record(3).metrics.contains_key("time_to_first_token"), "{:?}", record(3));
    assert!(!record(3).metrics.contains_key("time_to_first_output_token"), "{:?}", record(3));
    for (index, kind, message) in [
        (4, "truncated", "without its terminator and without a finish reason"),
        (5, "stream_error", "overloaded"),
        (6, "malformed", "cannot be read"),
        (7, "plugin", "code 5"),
        (8, "plugin", "takes no more calls"),
    ] {
        let error = record(index).error.as_ref().unwrap_or_else(|| panic!("paragraph {index} is to fail"));
        assert!(error.kind == kind && error.message.contains(message), "{error:?}");
    }

    // What the endpoint was given to encode, and the server got of it.
    let asked = server.asked().pop().expect("it was asked");
    assert_eq!(asked.line, "PUT /second/stream");
    for header in ["x-second: of 1.0", "content-type: application/second+json"] {
        assert!(asked.headers.iter().any(|line| line == header), "{asked:?}");
    }
    let mut body: Value = serde_json::from_str(&asked.body).expect("it is JSON");
    let prompt = SCRIPT.split("\n\n").next().expect("a paragraph");
    let extra = body["extra"].as_str().and_then(|extra| serde_json::from_str::<Value>(extra).ok()).expect("JSON");
    body["extra"] = extra["asked"].clone();
    let expected = json!({
        "prompt": prompt,
        "parts": [
            ["text", "script", "", prompt],
            ["image", "picture", "", "http://host/cat.png"],
            ["audio", "sound", "wav", "AAAA"],
            ["video", "film", "", "http://host/cat.mp4"],
        ],
        "role": "user",
        "message_extra": r#"{"of":"message"}"#,
        "model": "second-model",
        "stream": true,
        "legacy": true,
        "max_tokens": 100,
        "turn": 0,
        "extra": {
            "source": "script.txt",
            "seed": 77,
            "entries": 9,
            "input_tokens": { "mean": 550.0, "stddev": 0.0 },
            "output_tokens": { "mean": 44.0, "stddev": 0.0 },
        },
    });
    assert_eq!(body, expected);

    // What the exporter was told.
    assert!(outcome.stdout.contains("second: shown"), "{}", outcome.stdout);
    for said in ["second: an error", "second: a warning", "second: a piece of information", "second: UNSUPPORTED"] {
        assert!(outcome.stdout.contains(said), "{said}: {}", outcome.stdout);
    }
    let report = outcome.json("second-report.json");
    assert_eq!(report["run"], outcome.json("second-run.json"));
    assert_eq!((&report["run"]["seed"], &report["run"]["terminal"]["width"]), (&json!(77), &json!(100)));
    assert_eq!(report["run"]["export"]["records"], true);
    assert!(report["run"]["plan"].is_object() && report["run"]["input_config"].is_object());
    let components = report["run"]["components"].as_array().expect("a list");
    let seconds = components.iter().filter(|one| one["sha256"].is_string() && one["version"] == "1.0.0");
    let mut kinds: Vec<&str> = seconds.filter_map(|one| one["kind"].as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["collector", "dataset", "endpoint", "exporter", "timing"]);
    // A machine that is busy with other tests may give further reasons.
    assert!(["degraded", "invalid"].iter().any(|state| report["verdict"]["state"] == *state), "{}", report["verdict"]);
    let reasons = report["verdict"]["reasons"].as_array().into_iter().flatten();
    let mut reasons = reasons.filter_map(Value::as_str);
    assert!(reasons.any(|reason| reason.starts_with("5 of 9 requests")), "{}", report["verdict"]);
    assert!(report["notes"].as_array().is_some_and(|notes| !notes.is_empty()));
    assert_eq!((&report["was_cancelled"], &report["incomplete_reason"]), (&json!(false), &Value::Null));
    let phase = &report["phases"][0];
    assert_eq!((&phase["name"], &phase["kind"]), (&json!("profiling"), &json!("profiling")));
    assert_eq!(phase["outcomes"], json!({ "total": 9, "ok": 4, "error": 5, "cancelled": 0, "dropped": 0 }));
    assert!(phase["start_ns"].as_u64() < phase["end_ns"].as_u64(), "{phase}");
    assert_eq!(phase["load"]["strategy"], "second-timing");
    assert!(phase["load"]["lag_p50_ms"].is_f64() && phase["load"]["in_flight"].is_f64(), "{phase}");
    let groups = phase["errors"].as_array().expect("a list");
    let overloaded = json!({ "code": 200, "kind": "stream_error", "message": "overloaded", "count": 1 });
    assert!(groups.contains(&overloaded), "{groups:?}");
    let length = &phase["metrics"]["output_sequence_length"];
    assert_eq!((&length["unit"], &length["larger_is_better"]), (&json!("tokens"), &json!(true)));
    let statistics = [("avg", 9.0), ("min", 5.0), ("p50", 5.0), ("max", 17.0), ("sum", 27.0), ("count", 3.0)];
    for (name, value) in statistics {
        assert_eq!(length["stats"][name].as_f64(), Some(value), "{name} in {length}");
    }
    let written = outcome.jsonl("second-records.jsonl");
    let first = written.last().expect("there are records");
    let place = report["run"]["metrics"].as_array().expect("a list");
    let place = place.iter().position(|metric| metric["tag"] == "output_sequence_length").expect("it is measured");
    assert_eq!(first["values"][place].as_f64(), Some(17.0));
    for (name, value) in [
        ("index", json!(8)),
        ("session", json!(0)),
        ("turn", json!(0)),
        ("phase", json!(0)),
        ("worker", json!(0)),
        ("status", json!(200)),
        ("outcome", json!("ok")),
        ("events", json!(4)),
        ("conversation_id", json!("paragraph-0")),
        ("phase_name", json!("profiling")),
        ("phase_kind", json!("profiling")),
        ("error_type", json!("")),
        ("error_message", json!("")),
        ("body", json!(asked.body)),
    ] {
        assert_eq!(first[name], value, "{name}");
    }
    let stamps: Vec<Option<u64>> = first["stamps"].as_array().into_iter().flatten().map(Value::as_u64).collect();
    assert!(stamps.len() == 7 && stamps.iter().all(Option::is_some) && stamps.is_sorted(), "{stamps:?}");
    let failed = &written[3];
    assert_eq!((&failed["outcome"], &failed["error_type"]), (&json!("error"), &json!("stream_error")));
    assert_eq!(written[0]["stamps"][4], Value::Null, "nothing was content: {}", written[0]);
}

#[test]
fn an_answer_of_several_exchanges_works_on_an_endpoint_of_1_0() {
    let server = Echo::start();
    let outcome = of(&server, &compat::version_1_0().second, "second-endpoint").run().expect_code(0);
    assert_eq!(Results::of(&outcome).outcomes(), Outcomes { total: 2, ok: 2, ..Outcomes::default() });
    let lines: Vec<String> = server.asked().into_iter().map(|asked| asked.line).collect();
    let both = ["PUT /second/whole", "GET /second/next?status=200&type=text/plain"];
    assert_eq!(lines, [both, both].concat());
}

#[test]
fn every_kind_of_failure_of_a_plugin_of_1_0_is_that_kind() {
    let registry = library(compat::version_1_0().second.clone()).expect("it is accepted");
    for (name, kind) in [
        ("OTHER", ErrorKind::OTHER),
        ("CONFIG", ErrorKind::CONFIG),
        ("UNSUPPORTED", ErrorKind::UNSUPPORTED),
        ("MALFORMED", ErrorKind::MALFORMED),
        ("PANICKED", ErrorKind::PANICKED),
        ("IO", ErrorKind::IO),
    ] {
        let options = json!({ "fails": name }).to_string();
        let mut collector = registry.collector("second-collector", &options).expect("it is made").component;
        assert_eq!(collector.describe().expect_err("it fails").kind, kind, "{name}");
    }
}

#[test]
fn what_1_1_brought_means_what_it_meant() {
    let server = Echo::start();
    let outcome = of(&server, compat::plugin_of_1_1(), "newer-endpoint")
        .args(["--exporter", "newer-exporter", "--collector", "newer-collector", "--telemetry-interval", "0.01"])
        .run()
        .expect_code(0);
    assert_eq!(Results::of(&outcome).outcomes(), Outcomes { total: 2, ok: 2, ..Outcomes::default() });
    let lines: Vec<String> = server.asked().into_iter().map(|asked| asked.line).collect();
    let both = ["POST /newer", "GET /newer/again?of=/newer&from=/newer"];
    assert_eq!(lines, [both, both].concat());

    let told = outcome.jsonl("newer-telemetry.jsonl");
    let told = told.iter().find(|told| told["source"]["collector"] == "newer-collector").expect("it was told");
    let source = &told["source"];
    assert_eq!((&source["subject"], &source["entities"][0]["labels"]["source"]), (&json!("server"), &json!("made up")));
    let kinds = ["gauge", "counter", "histogram", "counter"];
    for (metric, kind) in source["metrics"].as_array().expect("a list").iter().zip(kinds) {
        assert_eq!(metric["kind"], kind, "{metric}");
    }
    assert_eq!(source["entities"][1]["labels"]["le"], "1");
    assert!(told["collections"].as_u64() >= Some(2) && told["in_order"] == true, "{told}");
    assert_eq!(told["counted"], told["samples"]);
    assert_eq!(told["first"], json!([[0, 0, 5.0], [1, 0, 0.0], [2, 1, 0.0], [2, 2, 0.0], [3, 0, 0.0]]));

    let report = outcome.json("newer-report.json");
    let sources = report["sources"].as_array().expect("a list");
    let place = sources.iter().position(|source| source["collector"] == "newer-collector").expect("it is there");
    let series = report["phases"][0]["telemetry"].as_array().expect("a list").iter();
    let series: Vec<&Value> = series.filter(|series| series["source"] == place).collect();
    let of = |metric: u64| *series.iter().find(|series| series["metric"] == metric).expect("it was measured");
    let grown = of(1)["counter"]["total"].as_f64().expect("it grew");
    assert!(grown >= 1.0, "{grown}");
    let histogram = &of(2)["histogram"];
    assert_eq!(histogram["count"]["total"], 4.0 * grown);
    assert_eq!((&histogram["sum"]["total"], &histogram["avg"]), (&json!(8.0 * grown), &json!(2.0)));
    assert_eq!(histogram["buckets"][0], json!({ "le": "1", "count": grown }));
}

/// Two requests, one after the other, through an endpoint of `library`.
fn of(server: &Echo, library: &Path, endpoint: &str) -> Program {
    Program::profile()
        .args(["--model", "m", "--tokenizer", "builtin", "--url", &server.url(), "--endpoint-type", endpoint])
        .args(["--request-count", "2", "--concurrency", "1", "--isl", "5", "--plugin"])
        .arg(library)
}

#[test]
fn libraries_of_both_versions_work_in_one_run_whichever_is_opened_first() {
    let libraries = [compat::version_1_0().plugin.as_path(), compat::plugin_of_1_1()];
    // Components are made in the order of their kinds: the endpoint's library is the first to be opened.
    for (endpoint, exporter) in [("old-endpoint", "newer-exporter"), ("newer-endpoint", "old-exporter")] {
        let mock = Mock::start(MockConfig::default());
        let outcome = mock
            .profile()
            .arg("--plugin")
            .arg(libraries[0])
            .arg("--plugin")
            .arg(libraries[1])
            .args(["--endpoint-type", endpoint, "--exporter", exporter, "--request-count", "2", "--osl", "4"])
            .run();
        assert!(!outcome.stderr.contains("laid out differently"), "{}", outcome.stderr);
        let used = outcome.json("profile_export_aiperf.json")["inferometer"]["components"].to_string();
        assert!(used.contains(endpoint) && used.contains(exporter), "{used}");
    }
}
