//! What reading an answer costs: an event of a stream and a whole body, the fast way and the thorough way.
//!
//! `cargo bench --package inferometer-endpoints --bench decode`

use divan::{Bencher, black_box, counter::BytesCount};
use inferometer_endpoints::Chat;
use inferometer_plugin_sdk::{
    RVec,
    api::Endpoint,
    types::{Answer, Delta, Event, Reply},
};

/// 221 bytes, of which 6 are the answer.
const CHUNK: &str = r#"{"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk","created":1795288691,"model":"meta-llama/Llama-3.1-8B","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}"#;

/// 653 bytes, of which 280 are the answer.
const BODY: &str = r#"{"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion","created":1795288691,"model":"meta-llama/Llama-3.1-8B","choices":[{"index":0,"message":{"role":"assistant","content":"The sea is blue because water takes up red light sooner than blue light.\nWhat is left \"over\" comes back to the eye: the deeper the water, the bluer it looks. Near the shore sand and plants add green and brown to it, and under a grey sky the surface shows little but the colour of the clouds."},"logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":27,"total_tokens":91,"completion_tokens":64,"prompt_tokens_details":{"cached_tokens":16}}}"#;

/// The same answer in a spelling that only the thorough way reads: the first key holds an escape.
fn unusual(answer: &str) -> String {
    answer.replacen("\"id\"", r#""\u0069d""#, 1)
}

fn event(bencher: Bencher<'_, '_>, data: &str) {
    let (event, mut scratch) = (Event::new(data.as_bytes()), RVec::with_capacity(4096));
    bencher.counter(BytesCount::of_str(data)).bench_local(move || {
        let mut delta = Delta::EMPTY;
        scratch.clear();
        Chat.on_event(black_box(&event), &mut delta, &mut scratch).expect("it is well formed");
        delta
    });
}

fn body(bencher: Bencher<'_, '_>, data: &str) {
    let answer = Answer {
        status: 200,
        exchange: 0,
        flags: 0,
        content_type: "application/json".into(),
        body: data.as_bytes().into(),
    };
    bencher.counter(BytesCount::of_str(data)).bench_local(move || {
        let mut reply = Reply::default();
        Chat.on_body(black_box(&answer), &mut reply).expect("it is well formed");
        black_box(reply);
    });
}

#[divan::bench(sample_size = 1_000)]
fn event_fast(bencher: Bencher<'_, '_>) {
    event(bencher, CHUNK);
}

#[divan::bench(sample_size = 1_000)]
fn event_thorough(bencher: Bencher<'_, '_>) {
    event(bencher, &unusual(CHUNK));
}

#[divan::bench(sample_size = 1_000)]
fn body_fast(bencher: Bencher<'_, '_>) {
    body(bencher, BODY);
}

#[divan::bench(sample_size = 1_000)]
fn body_thorough(bencher: Bencher<'_, '_>) {
    body(bencher, &unusual(BODY));
}

fn main() {
    divan::main();
}
