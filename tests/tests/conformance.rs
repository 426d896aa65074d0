//! Every registered component keeps the laws of its kind: registering it is what opts it in.

use std::path::PathBuf;

use inferometer_datasets as _;
use inferometer_endpoints as _;
use inferometer_exporters as _;
use inferometer_host::Registry;
use inferometer_mock::MockConfig;
use inferometer_plugin_sdk::api::TelemetryCollector;
use inferometer_plugin_sdk::documents::{
    AudioRequest, DatasetRequest, ImageRequest, Kind, Length, LengthPair, PrefixRequest,
};
use inferometer_plugin_sdk::types::PhaseSpec;
use inferometer_telemetry as _;
use inferometer_testkit::endpoint::Golden;
use inferometer_testkit::timing::{self, Shape};
use inferometer_testkit::{Law, collector, dataset, endpoint, exporter, library, wire};
use inferometer_tests::binary;
use inferometer_tests::mock::Mock;
use inferometer_timing as _;

/// Components that have to be there, so that a registry which lost them does not pass.
const AT_LEAST: [(Kind, &[&str]); 5] = [
    (
        Kind::Endpoint,
        &[
            "audio-transcription",
            "chat",
            "chat-embeddings",
            "cohere-chat",
            "cohere-rankings",
            "completions",
            "embeddings",
            "gemini",
            "hf-tei-rankings",
            "huggingface-generate",
            "image-edit",
            "image-generation",
            "image-retrieval",
            "kserve",
            "messages",
            "nim-embeddings",
            "nim-rankings",
            "ollama",
            "raw",
            "responses",
            "solido-rag",
            "template",
            "video-generation",
        ],
    ),
    (Kind::Timing, &["burst", "concurrency", "constant", "fixed_schedule", "gamma", "poisson", "user_centric"]),
    (
        Kind::Exporter,
        &["client_telemetry", "console", "csv", "gpu_telemetry", "inputs", "json", "records", "server_metrics"],
    ),
    (
        Kind::Dataset,
        &[
            "agentic_messages",
            "auto",
            "azure_trace",
            "bailian_trace",
            "burst_gpt_trace",
            "dag_jsonl",
            "inputs_json",
            "mooncake_trace",
            "multi_turn",
            "openai_batch",
            "random_pool",
            "raw_payload",
            "sharegpt",
            "single_turn",
            "synthetic",
        ],
    ),
    (Kind::Collector, &["host", "nvml", "prometheus"]),
];

/// Where goldens lie.
fn goldens(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "goldens", file].iter().collect()
}

/// Where the answers to a built-in endpoint lie that its own package holds it to.
fn answers_of(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../plugins/endpoints/tests/data", name].iter().collect()
}

/// Options of a built-in endpoint without which it cannot be made.
fn options_of_endpoint(name: &str) -> &'static str {
    match name {
        "template" => r#"{"payload_template": "chat"}"#,
        _ => "",
    }
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
        "constant" | "poisson" | "gamma" => Shape::Open,
        "burst" | "fixed_schedule" => Shape::Other(PhaseSpec::default()),
        "user_centric" => Shape::Other(PhaseSpec { seed: 42, rate: 200.0, ..PhaseSpec::default() }),
        _ => panic!("the strategy '{name}' has no shape: say in this function what it promises"),
    }
}

/// Options of a built-in strategy without which it would refuse every phase.
fn options_of(name: &str) -> &'static str {
    match name {
        "burst" => r#"{"size": 10, "interval_s": 0.1}"#,
        "user_centric" => r#"{"users": 5}"#,
        _ => "",
    }
}

/// The sources that a built-in loader reads, but for the one that reads them all.
fn sources_of(name: &str) -> &'static [&'static str] {
    match name {
        "agentic_messages" => &["agentic_messages.jsonl"],
        "azure_trace" => &["azure_trace.csv"],
        "bailian_trace" => &["bailian_trace.jsonl"],
        "burst_gpt_trace" => &["burst_gpt_trace.csv"],
        "dag_jsonl" => &["dag_jsonl.jsonl"],
        "inputs_json" => &["inputs_json.json"],
        "mooncake_trace" => &["mooncake_trace.jsonl"],
        "multi_turn" => &["multi_turn.jsonl", "multi_turn_questions.jsonl"],
        "openai_batch" => &["openai_batch.jsonl"],
        "random_pool" => &["random_pool.jsonl", "random_pool"],
        "raw_payload" => &["raw_payload.jsonl", "raw_payload"],
        "sharegpt" => &["sharegpt.json", "sharegpt_tools.jsonl"],
        "single_turn" => &["single_turn.jsonl"],
        _ => panic!("the loader '{name}' has no source: say in this function what it is able to open"),
    }
}

/// Requests that a built-in loader is able to open.
fn requests_of(registry: &Registry, name: &str) -> Vec<DatasetRequest> {
    let length = |mean, stddev| Length { mean, stddev };
    let asked = DatasetRequest {
        seed: 42,
        entries: 300,
        input_tokens: length(20.0, 5.0),
        output_tokens: Some(length(64.0, 9.0)),
        ..DatasetRequest::default()
    };
    let source = |source: &&str| {
        let source = goldens(source).to_str().expect("the workspace lies at a UTF-8 path").to_owned();
        DatasetRequest { source: Some(source), ..asked.clone() }
    };
    match name {
        "synthetic" => {
            let pair =
                |input, output, weight| LengthPair { input: length(input, 2.0), output: length(output, 3.0), weight };
            let rich = DatasetRequest {
                entries: 8,
                length_pairs: vec![pair(20.0, 64.0, 60.0), pair(5.0, 9.0, 40.0)],
                turns: Some(length(3.0, 1.0)),
                delay_ms: Some(length(500.0, 200.0)),
                batch: 2,
                prefixes: Some(PrefixRequest { prompts: 4, tokens: 11 }),
                images: Some(ImageRequest {
                    batch: 2,
                    width: length(20.0, 5.0),
                    height: length(10.0, 2.0),
                    format: "random".to_owned(),
                    source: None,
                }),
                audio: Some(AudioRequest {
                    batch: 1,
                    seconds: length(0.05, 0.01),
                    format: "wav".to_owned(),
                    sample_rates: vec![8_000, 16_000],
                    depths: vec![8, 16],
                    channels: 2,
                }),
                ..asked.clone()
            };
            vec![DatasetRequest { output_tokens: None, ..asked.clone() }, asked, rich]
        }
        "auto" => {
            let others = registry.names(Kind::Dataset);
            let others = others.iter().filter(|other| !["auto", "synthetic"].contains(other));
            others.flat_map(|other| sources_of(other)).map(source).collect()
        }
        _ => sources_of(name).iter().map(source).collect(),
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
        let make = || registry.endpoint(name, options_of_endpoint(name)).unwrap().component;
        if answers_of(name).is_dir() && !goldens(&format!("{name}.json")).exists() {
            // The test of its package reads them.
            for make in [&make as &dyn Fn() -> _, &|| wire::endpoint(make()).expect("its description is in order")] {
                endpoint::laws(make, &[]).into_iter().for_each(Law::enforce);
            }
            return;
        }
        let goldens = goldens_of(name);
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
        let make = || registry.timing(name, options_of(name)).unwrap().component;
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
        dataset::check(|| registry.dataset(name, "").unwrap().component, &requests_of(registry, name));
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
