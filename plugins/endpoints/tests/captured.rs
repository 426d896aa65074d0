//! Answers of real servers (llama.cpp, Dynamo, vLLM), captured byte by byte, read from beginning to end.

#![allow(clippy::unwrap_used, reason = "a test")]

use inferometer_endpoints::{Chat, Completions};
use inferometer_plugin_sdk::{
    RVec,
    api::Endpoint,
    types::{Answer, Delta, ErrorKind, Event, NO_COUNT, Reply, delta_flags},
};

/// What an answer held in the end.
#[derive(Debug, Default, PartialEq)]
struct Held {
    text: String,
    /// Prompt, completion and cached tokens.
    usage: Option<[u32; 3]>,
    finished: bool,
    done: bool,
    content_events: usize,
}

impl Held {
    fn add(&mut self, delta: &Delta, data: &[u8], scratch: &[u8]) {
        let within = if delta.flags & delta_flags::SCRATCH == 0 { data } else { scratch };
        let text = std::str::from_utf8(delta.text.of(within).unwrap()).unwrap();
        if delta.flags & delta_flags::ESCAPED == 0 {
            self.text += text;
        } else {
            self.text += &serde_json::from_str::<String>(&format!("\"{text}\"")).unwrap();
        }
        if delta.prompt_tokens != NO_COUNT {
            self.usage = Some([delta.prompt_tokens, delta.completion_tokens, delta.cached_tokens]);
        }
        self.finished |= delta.flags & delta_flags::FINISH != 0;
        self.done |= delta.flags & delta_flags::DONE != 0;
        self.content_events += usize::from(delta.has_content());
        assert_eq!(delta.flags & delta_flags::ERROR, 0);
    }
}

fn body(file: &str) -> String {
    let path = format!("{}/tests/data/{file}.http", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap().replace("\r\n", "\n");
    text.split_once("\n\n").unwrap().1.to_owned()
}

fn stream(endpoint: &dyn Endpoint, file: &str) -> Held {
    let mut held = Held::default();
    for line in body(file).lines().filter_map(|line| line.strip_prefix("data: ")) {
        let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
        endpoint.on_event(&Event::new(line.as_bytes()), &mut delta, &mut scratch).unwrap();
        held.add(&delta, line.as_bytes(), &scratch);
    }
    held
}

fn whole(endpoint: &dyn Endpoint, body: &str) -> Result<Reply, ErrorKind> {
    let answer = Answer {
        status: 200,
        exchange: 0,
        flags: 0,
        content_type: "application/json".into(),
        body: body.as_bytes().into(),
    };
    let mut reply = Reply::default();
    endpoint.on_body(&answer, &mut reply).map(|()| reply).map_err(|error| error.kind)
}

fn complete(text: &str, usage: Option<[u32; 3]>, content_events: usize) -> Held {
    Held { text: text.to_owned(), usage, finished: true, done: true, content_events }
}

#[test]
fn chat_streams_give_text_usage_finish_and_end() {
    for (file, text, usage) in [
        ("llamacpp_chat_stream_nousage", "  The GNU Lesser GPL requires COR", None),
        ("llamacpp_chat_stream_usage", "  The \"History\"; domat", Some([27, 8, 0])),
        ("dynamo_chat_stream_nousage", "ler default after typiar actually expectedreg", None),
        ("dynamo_chat_stream_usage", "ately putens twownlease sa mis", Some([27, 8, 0])),
        ("vllm_chat_stream_nousage", "  The \"History\"; domat", None),
        ("vllm_chat_stream_usage", "the Library has subsequ 2001,", Some([27, 8, NO_COUNT])),
    ] {
        assert_eq!(stream(&Chat, file), complete(text, usage, 8), "{file}");
    }
    // This server takes any model, and this prompt made it stop early.
    assert_eq!(stream(&Chat, "llamacpp_error_model"), complete("  The GNU GPL", None, 4));
}

#[test]
fn completion_streams_give_text_usage_finish_and_end() {
    for (file, text, cached) in [
        ("llamacpp_completions_stream", " using pe program using public statement has sub", 0),
        ("dynamo_completions_stream", "hand meaningregperimentalspecpri K mean", 0),
        ("vllm_completions_stream", " using public accessis wa of this", NO_COUNT),
    ] {
        assert_eq!(stream(&Completions, file), complete(text, Some([2, 8, cached]), 8), "{file}");
    }
}

#[test]
fn whole_answers_give_text_usage_and_finish() {
    for (file, text, cached) in [
        ("llamacpp_chat", "  The \"History\"; durable", 26),
        ("dynamo_chat", "ocument IO copies between & EnglishAnakefile", 0),
        ("vllm_chat", "  The GNU Lesser durable source", NO_COUNT),
    ] {
        let body = body(file);
        let reply = whole(&Chat, &body).unwrap();
        let mut held = Held::default();
        reply.deltas.iter().for_each(|delta| held.add(delta, body.as_bytes(), &reply.scratch));
        assert_eq!(held, Held { done: false, ..complete(text, Some([27, 8, cached]), 1) }, "{file}");
    }
}

#[test]
fn error_bodies_under_a_good_status_are_errors() {
    for (file, message) in [
        ("dynamo_error_model", "Model not found"),
        ("vllm_error_model", "The model `nosuch` does not exist. Valid aliases: tiny."),
    ] {
        let reply = whole(&Chat, &body(file)).unwrap();
        let [delta] = reply.deltas.as_slice() else { panic!("one delta") };
        assert_eq!(delta.flags & delta_flags::ERROR, delta_flags::ERROR);
        assert_eq!(delta.error.of(&reply.scratch).unwrap(), message.as_bytes());
    }
}

#[test]
fn bodies_that_are_no_completion_are_refused() {
    for body in ["", "<html>", r#"{"data":[]}"#, r#"{"choices":[{"#] {
        assert_eq!(whole(&Completions, body).unwrap_err(), ErrorKind::MALFORMED, "{body}");
    }
}
