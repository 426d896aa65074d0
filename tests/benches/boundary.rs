//! What an endpoint's call costs per event: built in, behind the wire form within the program, and from a library.
//!
//! `cargo bench --package inferometer-tests --bench boundary`

use divan::{Bencher, black_box};
use inferometer_endpoints as _;
use inferometer_host::{Discovery, Registry};
use inferometer_plugin_sdk::{
    RVec,
    api::Endpoint,
    types::{Delta, Event},
};
use inferometer_testkit::wire;
use inferometer_tests::binary;
use std::sync::LazyLock;

/// A chunk as chat servers send them: 221 bytes, of which 6 are the answer.
const CHUNK: &str = r#"{"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk","created":1795288691,"model":"meta-llama/Llama-3.1-8B","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}"#;

/// The built-in endpoints, twice: in the program, and in a library.
static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let library = binary::example_plugin("inferometer-builtins-library");
    let example = binary::example_plugin("inferometer-example-endpoint");
    let discovery = Discovery { explicit: vec![library, example], ..Discovery::default() };
    Registry::discover(&discovery).expect("the libraries were built")
});

fn endpoint(name: &str) -> Box<dyn Endpoint> {
    REGISTRY.endpoint(name, "{}").expect("it is there").component
}

fn decode(bencher: Bencher<'_, '_>, endpoint: &dyn Endpoint) {
    let (event, mut scratch) = (Event::new(CHUNK.as_bytes()), RVec::with_capacity(4096));
    bencher.bench_local(move || {
        let mut delta = Delta::EMPTY;
        scratch.clear();
        endpoint.on_event(black_box(&event), &mut delta, &mut scratch).expect("it is well formed");
        delta
    });
}

#[divan::bench(sample_size = 1_000)]
fn chat_built_in(bencher: Bencher<'_, '_>) {
    decode(bencher, &*endpoint("built-in:chat"));
}

#[divan::bench(sample_size = 1_000)]
fn chat_behind_the_wire(bencher: Bencher<'_, '_>) {
    decode(bencher, &*wire::endpoint(endpoint("built-in:chat")).expect("it describes itself"));
}

#[divan::bench(sample_size = 1_000)]
fn chat_from_a_library(bencher: Bencher<'_, '_>) {
    decode(bencher, &*endpoint("inferometer-endpoints:chat"));
}

/// An endpoint that parses JSON with a library, as a stranger's first one will.
#[divan::bench(sample_size = 1_000)]
fn example_from_a_library(bencher: Bencher<'_, '_>) {
    decode(bencher, &*endpoint("example-endpoint"));
}

fn main() {
    // Built before anything is printed.
    LazyLock::force(&REGISTRY);
    divan::main();
}
