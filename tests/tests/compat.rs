//! Plugins and hosts of every version of the interface work together, in both directions.

use inferometer_mock::MockConfig;
use inferometer_plugin_sdk::types::{Answer, ErrorKind, Exchange, Reply};
use inferometer_testkit::library;
use inferometer_tests::{
    binary, compat,
    mock::Mock,
    results::{Outcomes, Results},
};
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
