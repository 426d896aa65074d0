//! Every registered component keeps the laws of its kind: registering it is what opts it in.

use std::path::PathBuf;

use inferometer_datasets as _;
use inferometer_endpoints as _;
use inferometer_exporters as _;
use inferometer_host::Registry;
use inferometer_mock::MockConfig;
use inferometer_plugin_sdk::api::TelemetryCollector;
use inferometer_plugin_sdk::documents::{DatasetRequest, Kind, Length};
use inferometer_telemetry as _;
use inferometer_testkit::endpoint::Golden;
use inferometer_testkit::timing::{self, Shape};
use inferometer_testkit::{collector, dataset, endpoint, exporter, library, wire};
use inferometer_tests::binary;
use inferometer_tests::mock::Mock;
use inferometer_timing as _;

/// Components that have to be there, so that a registry which lost them does not pass.
const AT_LEAST: [(Kind, &[&str]); 5] = [
    (Kind::Endpoint, &["chat", "completions"]),
    (Kind::Timing, &["concurrency", "constant", "poisson"]),
    (
        Kind::Exporter,
        &["client_telemetry", "console", "csv", "gpu_telemetry", "inputs", "json", "records", "server_metrics"],
    ),
    (Kind::Dataset, &["single_turn", "synthetic"]),
    (Kind::Collector, &["host", "nvml", "prometheus"]),
];

/// Where goldens lie.
fn goldens(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "goldens", file].iter().collect()
}

/// What the answers of the server of an endpoint hold.
fn goldens_of(name: &str) -> Vec<Golden> {
    let path = goldens(&format!("{name}.json"));
    let json = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "the endpoint '{name}' has no goldens ({}: {error}): write that file, a JSON list of real answers of its server \
             and of what they hold, as inferometer_testkit::endpoint::Golden says; one with events if it streams, and one \
             with a body",
            path.display()
        )
    });
    Golden::list(&json).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a built-in strategy promises.
fn shape_of(name: &str) -> Shape {
    match name {
        "concurrency" => Shape::Closed,
        "constant" | "poisson" => Shape::Open,
        _ => panic!("the strategy '{name}' has no shape: say in this function whether it is an open or a closed loop"),
    }
}

/// Requests that a built-in loader is able to open.
fn requests_of(name: &str) -> Vec<DatasetRequest> {
    let asked = DatasetRequest {
        seed: 42,
        entries: 300,
        input_tokens: Length { mean: 20.0, stddev: 5.0 },
        output_tokens: Some(Length { mean: 64.0, stddev: 9.0 }),
        ..DatasetRequest::default()
    };
    let file = |file: &str| Some(goldens(file).to_str().expect("the workspace lies at a UTF-8 path").to_owned());
    match name {
        "synthetic" => vec![DatasetRequest { output_tokens: None, ..asked.clone() }, asked],
        "single_turn" => vec![DatasetRequest { source: file("single_turn.jsonl"), ..asked }],
        "mooncake_trace" | "bailian_trace" => {
            vec![DatasetRequest { source: file(&format!("{name}.jsonl")), ..asked }]
        }
        "burst_gpt_trace" | "azure_trace" => {
            vec![DatasetRequest { source: file(&format!("{name}.csv")), ..asked }]
        }
        _ => panic!("the loader '{name}' has no request: say in this function what it is able to open"),
    }
}

/// Calls `check` with the name of every built-in component of `kind`.
fn for_each(kind: Kind, check: impl Fn(&Registry, &str)) {
    let registry = Registry::builtin();
    let names = registry.names(kind);
    let expected = AT_LEAST.iter().filter(|(of, _)| *of == kind).flat_map(|(_, names)| *names);
    let lost: Vec<_> = expected.filter(|name| !names.contains(name)).collect();
    assert!(lost.is_empty(), "{lost:?} are not registered, but {names:?}");
    for name in names {
        println!("{kind} '{name}'");
        check(&registry, name);
    }
}

#[test]
fn every_endpoint_keeps_the_laws_and_reads_usual_events_without_allocating() {
    for_each(Kind::Endpoint, |registry, name| {
        let (make, goldens) = (|| registry.endpoint(name, "").unwrap().component, goldens_of(name));
        endpoint::check(make, &goldens);
        if make().info().streams {
            let count = |read: &mut dyn FnMut()| allocation_counter::measure(read).count_total;
            endpoint::reads_usual_events_without_allocating(&*make(), &goldens, count);
        }
    });
}

#[test]
fn every_timing_strategy_keeps_the_laws_and_ends_by_itself() {
    for_each(Kind::Timing, |registry, name| {
        let make = || registry.timing(name, "").unwrap().component;
        timing::check(make, shape_of(name));
        timing::ends_by_itself(&make, shape_of(name));
    });
}

#[test]
fn every_exporter_keeps_the_laws() {
    for_each(Kind::Exporter, |registry, name| exporter::check(|| registry.exporter(name, "").unwrap().component));
}

#[test]
fn every_data_set_loader_keeps_the_laws() {
    for_each(Kind::Dataset, |registry, name| {
        dataset::check(|| registry.dataset(name, "").unwrap().component, &requests_of(name));
    });
}

#[test]
fn every_collector_keeps_the_laws() {
    for_each(Kind::Collector, |registry, name| {
        let make = || registry.collector(name, "").unwrap().component;
        match name {
            "prometheus" => reads_pages(registry, name),
            "host" if PathBuf::from("/proc/stat").exists() => collector::check(make, 3, || {}),
            "host" => says_what_is_missing(make, "--no-client-telemetry"),
            "nvml" if make().describe().is_ok() => collector::check(make, 3, || {}),
            "nvml" => says_what_is_missing(make, "--gpu-telemetry"),
            _ => panic!(
                "the collector '{name}' has no source: give it one here and hold it to inferometer_testkit::collector"
            ),
        }
    });
}

/// The pages of a server and of its GPUs, whose figures grow between readings.
fn reads_pages(registry: &Registry, name: &str) {
    let mock = Mock::start(MockConfig { gpus: 2, ..MockConfig::default() });
    for page in ["/metrics", "/dcgm/metrics"] {
        let options = serde_json::json!({"url": mock.url() + page}).to_string();
        let make = || registry.collector(name, &options).expect("its options fit").component;
        collector::check(make, 3, || {});
    }
}

/// A collector whose source is not on this machine says so in one line, with the way out.
fn says_what_is_missing(make: impl Fn() -> Box<dyn TelemetryCollector>, way_out: &str) {
    for mut collector in [make(), wire::collector(make())] {
        let message = collector.describe().expect_err("its source is not there").message;
        assert!(message.contains(way_out) && message.lines().count() == 1, "{message}");
    }
}

#[test]
fn an_endpoint_from_a_library_keeps_the_laws() {
    let path = binary::example_plugin("inferometer-example-endpoint");
    let registry = library(path).unwrap_or_else(|error| panic!("the library is refused: {error}"));
    endpoint::check(|| registry.endpoint("example-endpoint", "").unwrap().component, &goldens_of("example-endpoint"));
}
