//! What reading an answer costs: an event of a stream and a whole body, the fast way and the thorough way.
//!
//! `cargo bench --package inferometer-endpoints --bench decode`

use divan::{Bencher, black_box, counter::BytesCount};
use inferometer_endpoints::{Chat, Completions, Embeddings, Gemini, ImageGeneration, Messages, Ollama, Responses};
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
    event_of(bencher, &Chat, data);
}

fn event_of(bencher: Bencher<'_, '_>, endpoint: &dyn Endpoint, data: &str) {
    let (event, mut scratch) = (Event::new(data.as_bytes()), RVec::with_capacity(4096));
    bencher.counter(BytesCount::of_str(data)).bench_local(move || {
        let mut delta = Delta::EMPTY;
        scratch.clear();
        endpoint.on_event(black_box(&event), &mut delta, &mut scratch).expect("it is well formed");
        delta
    });
}

fn body(bencher: Bencher<'_, '_>, data: &str) {
    body_of(bencher, &Chat, data);
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

/// An event of each API that brings a piece of text, as real servers and the APIs' descriptions have it.
#[divan::bench(sample_size = 1_000, args = ["completions", "gemini", "messages", "ollama", "responses", "usage"])]
fn event_of_each_api(bencher: Bencher<'_, '_>, name: &str) {
    let (endpoint, data): (&dyn Endpoint, &str) = match name {
        "completions" => (
            &Completions,
            r#"{"id":"cmpl-83faed85e421e9ec","object":"text_completion","created":1795293206,"model":"tiny","choices":[{"index":0,"text":" public","logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":null,"token_ids":null}]}"#,
        ),
        "gemini" => (
            &Gemini,
            r#"{"candidates":[{"content":{"parts":[{"text":" token"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":5,"totalTokenCount":17},"modelVersion":"gemini","responseId":"r1"}"#,
        ),
        "messages" => {
            (&Messages, r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" Lesser"}}"#)
        }
        "ollama" => (
            &Ollama,
            r#"{"model":"llama3.2","created_at":"2026-11-21T20:32:29.385406455Z","message":{"role":"assistant","content":" sky"},"done":false}"#,
        ),
        "responses" => (
            &Responses,
            r#"{"content_index":0,"delta":"OR","item_id":"msg_a6455d52203d78d7","logprobs":[],"output_index":0,"sequence_number":6,"type":"response.output_text.delta"}"#,
        ),
        _ => (
            &Chat,
            r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795293149,"model":"m","choices":[],"usage":{"prompt_tokens":27,"completion_tokens":8,"total_tokens":35,"prompt_tokens_details":{"cached_tokens":0}}}"#,
        ),
    };
    event_of(bencher, endpoint, data);
}

/// An embedding of as many dimensions, as servers write them: about 20 bytes each.
fn embedding(dimensions: usize) -> String {
    let number = |i: usize| ((i as f64 * 0.37).sin() * 0.05).to_string();
    let numbers: Vec<_> = (0..dimensions).map(number).collect();
    format!(
        r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":[{}]}}],"model":"m","usage":{{"prompt_tokens":9,"total_tokens":9}}}}"#,
        numbers.join(",")
    )
}

fn body_of(bencher: Bencher<'_, '_>, endpoint: &dyn Endpoint, data: &str) {
    let answer = Answer {
        status: 200,
        exchange: 0,
        flags: 0,
        content_type: "application/json".into(),
        body: data.as_bytes().into(),
    };
    bencher.counter(BytesCount::of_str(data)).bench_local(move || {
        let mut reply = Reply::default();
        endpoint.on_body(black_box(&answer), &mut reply).expect("it is well formed");
        black_box(reply);
    });
}

/// Answers that are large and hold no text: 100 KB of numbers, the same in an unusual spelling, and 1 MB of an image.
#[divan::bench(args = ["embedding", "embedding_thorough", "image"])]
fn large_body(bencher: Bencher<'_, '_>, name: &str) {
    match name {
        "embedding" => body_of(bencher, &Embeddings, &embedding(4096)),
        "embedding_thorough" => {
            body_of(bencher, &Embeddings, &embedding(4096).replacen("\"object\"", r#""\u006fbject""#, 1));
        }
        _ => body_of(
            bencher,
            &ImageGeneration,
            &format!(r#"{{"created":1,"data":[{{"b64_json":"{}"}}]}}"#, "iVBORw0KGgoAAAAN".repeat(65_536)),
        ),
    }
}

fn main() {
    divan::main();
}
