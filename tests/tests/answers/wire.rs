//! Answers as bytes: heads, streams, codings.

use std::io::Write;

use flate2::{Compression, write::GzEncoder, write::ZlibEncoder};

pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// An answer of that status line, header lines and body, whose length is told.
pub(crate) fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

pub(crate) const EVENTS: &str = "Content-Type: text/event-stream\r\n";
pub(crate) const JSON: &str = "Content-Type: application/json\r\n";
pub(crate) const HTML: &str = "Content-Type: text/html\r\n";

pub(crate) fn stream(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", EVENTS, body)
}

pub(crate) fn json(body: &str) -> Vec<u8> {
    answer("200 OK", JSON, body)
}

pub(crate) fn refusal(status: &str, body: &str) -> Vec<u8> {
    answer(status, JSON, body)
}

/// An event with a piece of text.
pub(crate) fn piece(text: &str) -> String {
    choice(&format!(r#"{{"content":"{text}"}}"#), "null")
}

pub(crate) fn choice(delta: &str, reason: &str) -> String {
    let choice = format!(r#"{{"index":0,"delta":{delta},"finish_reason":{reason}}}"#);
    format!("data: {{\"object\":\"chat.completion.chunk\",\"choices\":[{choice}]}}\n\n")
}

pub(crate) fn stop() -> String {
    choice("{}", "\"stop\"")
}

/// A good stream.
pub(crate) fn hello() -> String {
    [choice(r#"{"role":"assistant","content":""}"#, "null"), piece("Hello"), piece(" there"), stop(), DONE.into()]
        .concat()
}

/// A good answer that is no stream.
pub(crate) fn hello_whole() -> String {
    let choice = r#"{"index":0,"message":{"role":"assistant","content":"Hello there"},"finish_reason":"stop"}"#;
    format!(r#"{{"object":"chat.completion","choices":[{choice}]}}"#)
}

pub(crate) fn chunked(chunks: &[&str], end: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{EVENTS}Transfer-Encoding: chunked\r\n\r\n");
    let chunk = |chunk: &&str| format!("{:x};ext=\"a b\"\r\n{chunk}\r\n", chunk.len());
    [head, chunks.iter().map(chunk).collect(), end.to_owned()].concat().into_bytes()
}

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

pub(crate) fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

pub(crate) fn coded(coding: &str, kind: &str, body: Vec<u8>) -> Vec<u8> {
    answer("200 OK", &format!("{kind}Content-Encoding: {coding}\r\n"), body)
}

/// The beginning of a stream that is said to have so many bytes.
pub(crate) fn answer_of_length(length: u64) -> String {
    format!("HTTP/1.1 200 OK\r\n{EVENTS}Content-Length: {length}\r\n\r\n{}", piece("Hello"))
}
