//! Habits of real servers, as they show on the wire.

use std::io::Read as _;

use crate::support::{CHAT, Client, chat, post, serve, truth};
use flate2::read::MultiGzDecoder;
use inferometer_mock::{Habit, MockConfig};
use serde_json::Value;

const WORDS: &str = " time year people way day";

/// All bytes that a server with these habits sends for a chat of five tokens, until it closes.
fn raw(habits: &[Habit], stream: bool) -> String {
    String::from_utf8(bytes(habits, stream)).unwrap()
}

fn bytes(habits: &[Habit], stream: bool) -> Vec<u8> {
    let server = serve(MockConfig { habits: habits.to_vec(), ..MockConfig::default() });
    let mut client = Client::connect(&server);
    client.send(post(CHAT, "connection: close\r\n", &chat(5, stream)));
    let (bytes, end) = client.rest();
    end.unwrap();
    bytes
}

/// The JSON of a stream's events, and whether it ended with `[DONE]`.
fn events(habits: &[Habit]) -> (Vec<Value>, bool) {
    let text = raw(habits, true);
    let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let done = data.last() == Some(&"[DONE]");
    let json = data.iter().filter(|data| **data != "[DONE]");
    (json.map(|data| serde_json::from_str(data).unwrap()).collect(), done)
}

fn content(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}

#[test]
fn the_role_comes_alone_with_the_first_token_or_never() {
    let roles = |habits: &[Habit]| {
        let (events, _) = events(habits);
        assert_eq!(content(&events), WORDS);
        let role = events.iter().position(|event| event["choices"][0]["delta"]["role"] == "assistant");
        role.map(|at| events[at]["choices"][0]["delta"]["content"].as_str().unwrap().to_owned())
    };
    assert_eq!(roles(&[]).as_deref(), Some(""));
    assert_eq!(roles(&[Habit::RoleWithFirstToken]).as_deref(), Some(" time"));
    assert_eq!(roles(&[Habit::NoRole]), None);
    let (null, _) = events(&[Habit::NullContent]);
    assert!(null[0]["choices"][0]["delta"]["content"].is_null() && content(&null) == WORDS);
}

#[test]
fn the_finish_reason_and_the_usage_come_where_the_habits_put_them() {
    let (early, _) = events(&[Habit::FinishWithLastToken, Habit::UsageWithFinish]);
    let last = early.last().unwrap();
    assert_eq!(
        (&last["choices"][0]["finish_reason"], &last["usage"]["completion_tokens"]),
        (&"length".into(), &5.into())
    );
    assert_eq!(last["choices"][0]["delta"]["content"], " day");

    let (every, _) = events(&[Habit::UsageEveryChunk]);
    let counts: Vec<u64> = every.iter().map(|event| event["usage"]["completion_tokens"].as_u64().unwrap()).collect();
    assert_eq!(counts, [0, 1, 2, 3, 4, 5, 5, 5]);

    let (null, _) = events(&[Habit::NullUsage]);
    assert!(null[0].get("usage").is_some_and(Value::is_null) && null.last().unwrap()["usage"].is_object());
}

#[test]
fn the_end_of_a_stream_may_go_unsaid() {
    assert!(events(&[]).1);
    let (events, done) = events(&[Habit::NoDone]);
    assert!(!done && content(&events) == WORDS);
    let server = serve(MockConfig { habits: vec![Habit::ExtraDone], ..MockConfig::default() });
    let body = r#"{"model":"mock","messages":[{"content":"hi"}],"max_tokens":1,"stream":true}"#;
    let messages = Client::connect(&server).post("/v1/messages", body);
    assert!(messages.body.ends_with(b"data: [DONE]\n\n"));
}

#[test]
fn reasoning_has_either_name_and_half_of_the_tokens() {
    for (habit, name) in [(Habit::Reasoning, "reasoning"), (Habit::ReasoningContent, "reasoning_content")] {
        let (events, _) = events(&[habit]);
        let thought: String = events.iter().filter_map(|event| event["choices"][0]["delta"][name].as_str()).collect();
        assert_eq!((thought + &content(&events)).as_str(), WORDS);
    }
}

#[test]
fn streams_come_unasked_or_not_at_all() {
    assert!(raw(&[Habit::AlwaysStream], false).contains("text/event-stream"));
    assert!(raw(&[Habit::NeverStream], true).contains("application/json"));
    assert!(raw(&[Habit::PlainContentType], true).contains("text/plain"));
}

#[test]
fn lines_end_as_the_habit_says() {
    let data = |text: &str| text.matches("data:").count();
    let (lf, crlf, cr) = (raw(&[], true), raw(&[Habit::Crlf], true), raw(&[Habit::Cr], true));
    assert_eq!(crlf.matches("}\r\n\r\n").count(), data(&crlf) - 1);
    assert_eq!(cr.matches("}\r\r").count(), data(&cr) - 1);
    assert!(data(&lf) == data(&crlf) && data(&lf) == data(&cr));
}

#[test]
fn answers_that_end_with_the_connection_say_no_length_and_close_it() {
    for (habit, version) in [(Habit::Http10, "HTTP/1.0 200"), (Habit::CloseDelimited, "HTTP/1.1 200")] {
        for stream in [true, false] {
            let server = serve(MockConfig { habits: vec![habit], ..MockConfig::default() });
            let mut client = Client::connect(&server);
            client.send(post(CHAT, "", &chat(5, stream)));
            let (bytes, end) = client.rest();
            end.unwrap();
            let text = String::from_utf8(bytes).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(version) && head.contains("connection: close"), "{head}");
            assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
            assert!(if stream { body.ends_with("[DONE]\n\n") } else { body.ends_with('}') });
        }
    }
}

#[test]
fn compressed_bodies_hold_what_plain_ones_do() {
    for stream in [true, false] {
        let plain = bytes(&[Habit::CloseDelimited], stream);
        let packed = bytes(&[Habit::CloseDelimited, Habit::Gzip], stream);
        let body = |bytes: &[u8]| {
            let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            (String::from_utf8(bytes[..at].to_vec()).unwrap(), bytes[at..].to_vec())
        };
        let ((_, plain), (head, packed)) = (body(&plain), body(&packed));
        assert!(head.contains("content-encoding: gzip\r\n"));
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
    }
}

#[test]
fn chunks_carry_extensions_and_trailers_follow() {
    for stream in [true, false] {
        let text = raw(&[Habit::ChunkExtensions, Habit::Trailers], stream);
        assert!(text.contains("transfer-encoding: chunked") && text.contains("trailer: x-mock-trailer"));
        assert!(text.contains(";mock=\"a;b\"\r\n"));
        assert!(text.ends_with("0\r\nx-mock-trailer: 1\r\n\r\n"));
        assert!(text.contains(" time"));
    }
}

#[test]
fn other_heads_go_before_the_answers() {
    let text = raw(&[Habit::Continue, Habit::EarlyHints], true);
    let heads: Vec<&str> = text.lines().filter(|line| line.starts_with("HTTP/1.1 ")).collect();
    assert_eq!(heads, ["HTTP/1.1 100 Continue", "HTTP/1.1 103 Early Hints", "HTTP/1.1 200 OK"]);
}

#[test]
fn events_may_be_commented_numbered_and_tight() {
    let text = raw(&[Habit::Comments, Habit::EventIds, Habit::NoSpace], true);
    assert!(text.contains(": keepalive\n\nid:0\nretry:3000\ndata:{"));
    assert_eq!(text.matches(": keepalive").count(), text.matches("data:").count());
}

#[test]
fn clients_are_sent_on_and_answered_where_they_are_sent() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("truth.jsonl");
    let server =
        serve(MockConfig { habits: vec![Habit::Redirect], truth_log: Some(log.clone()), ..MockConfig::default() });
    let mut client = Client::connect(&server);
    let answer = client.post("/v1/chat/completions?a=b", &chat(1, false));
    assert_eq!(answer.status, 307);
    let location = answer.header("location").unwrap().to_owned();
    assert_eq!(location, "/v1/chat/completions?a=b&redirected");
    assert_eq!(client.post(&location, &chat(1, false)).status, 200);
    server.stop().unwrap();
    assert_eq!(truth(&log).len(), 1);
}

#[test]
fn errors_may_be_pages_for_people() {
    let config =
        MockConfig { habits: vec![Habit::HtmlErrors], error_rate: 1.0, error_status: 502, ..MockConfig::default() };
    let server = serve(config);
    let answer = Client::connect(&server).post(CHAT, &chat(1, true));
    assert_eq!((answer.status, answer.header("content-type")), (502, Some("text/html; charset=utf-8")));
    assert!(answer.body.starts_with(b"<!DOCTYPE html>"));
}

#[test]
fn tokens_are_gathered_and_the_log_tells_so() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("truth.jsonl");
    let config = MockConfig {
        habits: vec![Habit::Coalesce, Habit::LateHead],
        ttft_ms: 2.0,
        itl_ms: 1.0,
        truth_log: Some(log.clone()),
        ..MockConfig::default()
    };
    let server = serve(config);
    assert_eq!(Client::connect(&server).post(CHAT, &chat(10, true)).content().split_whitespace().count(), 10);
    server.stop().unwrap();
    let mut written: Vec<u64> = serde_json::from_value(truth(&log)[0]["written_ns"].clone()).unwrap();
    assert_eq!(written.len(), 10);
    written.dedup();
    assert_eq!(written.len(), 3, "four, four and two tokens share their writes");
}
