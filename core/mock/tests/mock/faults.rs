//! How the mock server misbehaves, and what its truth log says about it.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::support::{Answer, CHAT, Client, chat, events, post, serve, truth};
use inferometer_mock::{MockConfig, MockError, MockServer};
use serde_json::Value;

/// Sends one request to a server with this fault, and gives what came, how it ended, and the log's line.
fn meet(config: MockConfig, body: &str) -> (Vec<u8>, std::io::Result<()>, Value) {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("truth.jsonl");
    let server = serve(MockConfig { truth_log: Some(log.clone()), ..config });
    let mut client = Client::connect(&server);
    client.send(post(CHAT, "connection: close\r\n", body));
    let (bytes, end) = client.rest();
    server.stop().unwrap();
    let mut lines = truth(&log);
    assert_eq!(lines.len(), 1);
    (bytes, end, lines.remove(0))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn errors_come_with_their_status_and_shape() {
    let config = MockConfig { error_rate: 1.0, error_status: 503, ..MockConfig::default() };
    let (bytes, end, line) = meet(config, &chat(8, true));
    end.unwrap();
    assert!(text(&bytes).starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    assert!(text(&bytes).contains("{\"error\":{"));
    assert_eq!((&line["outcome"], &line["status"]), (&"error".into(), &503.into()));
    assert_eq!((&line["tokens"], &line["first_ns"]), (&0.into(), &Value::Null));
}

#[test]
fn resets_break_the_connection_after_some_content() {
    for stream in [true, false] {
        let config = MockConfig { reset_rate: 1.0, ..MockConfig::default() };
        let (bytes, end, line) = meet(config, &chat(64, stream));
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(text(&bytes).contains("\"content\":\" time"));
        assert!(!text(&bytes).contains("finish_reason\":\"length"));
        assert_eq!((&line["outcome"], &line["status"]), (&"reset".into(), &200.into()));
    }
}

#[test]
fn truncated_streams_end_cleanly_but_without_a_finish() {
    let config = MockConfig { truncate_rate: 1.0, ..MockConfig::default() };
    let (bytes, end, line) = meet(config, &chat(8, true));
    end.unwrap();
    let text = text(&bytes);
    assert!(text.ends_with("\r\n0\r\n\r\n"));
    assert!(text.contains("\" time\""));
    assert!(!text.contains("[DONE]") && !text.contains("\"length\"") && !text.contains("usage"));
    assert_eq!(line["outcome"], "truncated");
    let tokens = line["tokens"].as_u64().unwrap();
    assert!((1..8).contains(&tokens));
    assert_eq!(text.matches("data: ").count() as u64, tokens + 1);
}

#[test]
fn truncated_plain_bodies_fall_short_of_their_length() {
    let server = serve(MockConfig { truncate_rate: 1.0, ..MockConfig::default() });
    let mut client = Client::connect(&server);
    client.send(post(CHAT, "", &chat(8, false)));
    assert_eq!(client.answer().unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn malformed_streams_carry_one_broken_line_and_all_their_tokens() {
    let server = serve(MockConfig { malformed_rate: 1.0, ..MockConfig::default() });
    let mut client = Client::connect(&server);
    let answer = client.post(CHAT, &chat(8, true));
    let events = answer.events();
    let broken: Vec<_> = events
        .iter()
        .enumerate()
        .filter(|(_, event)| *event != "[DONE]" && serde_json::from_str::<Value>(event).is_err())
        .map(|(i, _)| i)
        .collect();
    assert!(matches!(broken[..], [i] if i > 1 && i < events.len() - 3), "{broken:?}");
    assert_eq!(answer.content().split_whitespace().count(), 8);
    assert_eq!(events.last().unwrap(), "[DONE]");
    assert!(serde_json::from_slice::<Value>(&client.post(CHAT, &chat(8, false)).body).is_err());
}

#[test]
fn stream_errors_are_the_last_event_of_a_200_answer() {
    let server = serve(MockConfig { stream_error_rate: 1.0, ..MockConfig::default() });
    let answer = Client::connect(&server).post(CHAT, &chat(8, true));
    assert_eq!(answer.status, 200);
    let events = events(&answer.body);
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], 500);
    assert!(!answer.content().is_empty());
}

#[test]
fn stalls_hold_the_stream_and_lose_nothing() {
    for stream in [true, false] {
        let config = MockConfig { stall_rate: 1.0, stall_ms: 50.0, ..MockConfig::default() };
        let start = Instant::now();
        let (bytes, end, line) = meet(config, &chat(8, stream));
        assert!(start.elapsed() >= Duration::from_millis(50));
        end.unwrap();
        assert!(text(&bytes).contains("\"completion_tokens\":8"));
        assert_eq!((&line["outcome"], &line["tokens"]), (&"ok".into(), &8.into()));
    }
}

#[test]
fn split_writes_carry_the_same_bytes() {
    let whole = serve(MockConfig::default());
    for most in [1, 7] {
        let split = serve(MockConfig { split: most, ..MockConfig::default() });
        for stream in [true, false] {
            let body = chat(40, stream);
            let expected = Client::connect(&whole).post(CHAT, &body);
            let got = Client::connect(&split).post(CHAT, &body);
            assert_eq!(got.headers, expected.headers);
            // The ids differ: each server counts its own requests.
            let body = |answer: &Answer| text(&answer.body).replace(id(&answer.body), "");
            assert_eq!(body(&got), body(&expected));
        }
    }
}

fn id(body: &[u8]) -> &str {
    let body = text(body);
    let at = body.find("chatcmpl-").unwrap();
    &body[at..at + "chatcmpl-".len() + 16]
}

#[test]
fn idle_connections_are_closed_without_notice() {
    let server = serve(MockConfig { idle_close_ms: 20.0, ..MockConfig::default() });
    let mut client = Client::connect(&server);
    let answer = client.post(CHAT, &chat(1, true));
    assert_eq!(answer.header("connection"), None);
    let (bytes, end) = client.rest();
    assert!(bytes.is_empty() && end.is_ok());
}

#[test]
fn connections_are_closed_after_their_number_of_answers_without_notice() {
    let server = serve(MockConfig { max_requests_per_connection: 2, ..MockConfig::default() });
    let mut client = Client::connect(&server);
    for _ in 0..2 {
        let answer = client.post(CHAT, &chat(1, false));
        assert_eq!((answer.status, answer.header("connection")), (200, None));
    }
    assert!(client.rest().0.is_empty());
}

#[test]
fn the_truth_log_has_one_line_per_request_with_its_id_and_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("truth.jsonl");
    let server = serve(MockConfig { truth_log: Some(log.clone()), ttft_ms: 2.0, itl_ms: 1.0, ..MockConfig::default() });
    let mut client = Client::connect(&server);
    for tokens in 1..=4 {
        let headers = format!("x-request-id: r{tokens}\r\n");
        client.send(post(CHAT, &headers, &chat(tokens, tokens % 2 == 0)));
        client.answer().unwrap();
    }
    client.get("/metrics");
    server.stop().unwrap();

    let lines = truth(&log);
    assert_eq!(lines.len(), 4);
    for (i, line) in lines.iter().enumerate() {
        let tokens = i as u64 + 1;
        let number = |key: &str| line[key].as_u64().unwrap();
        assert_eq!(line["x_request_id"], format!("r{tokens}"));
        assert_eq!((&line["path"], &line["outcome"], number("status")), (&CHAT.into(), &"ok".into(), 200));
        assert_eq!(number("tokens"), tokens);
        let written: Vec<u64> = serde_json::from_value(line["written_ns"].clone()).unwrap();
        let chunks = if tokens.is_multiple_of(2) { tokens } else { 1 };
        assert_eq!((written.len() as u64, number("chunks")), (chunks, chunks));
        assert_eq!((written[0], *written.last().unwrap()), (number("first_ns"), number("last_ns")));
        // Deadlines are absolute: token k never comes before 2 + k ms, however late its forerunner was.
        let first_due = if chunks == 1 { 2 + tokens - 1 } else { 2 };
        for (k, at) in written.iter().enumerate() {
            assert!(*at >= number("received_ns") + (first_due + k as u64) * 1_000_000);
        }
    }
}

#[test]
fn a_client_that_goes_away_is_logged_as_aborted() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("truth.jsonl");
    let server = serve(MockConfig { truth_log: Some(log.clone()), ttft_ms: 3_600_000.0, ..MockConfig::default() });
    let mut gone = Client::connect(&server);
    gone.send(post(CHAT, "", &chat(1, true)));
    let mut watcher = Client::connect(&server);
    let running = |watcher: &mut Client| String::from_utf8(watcher.get("/metrics").body).unwrap();
    while !running(&mut watcher).contains("mock_requests_running 1") {}
    drop(gone);
    while !running(&mut watcher).contains("mock_requests_running 0") {}
    server.stop().unwrap();
    assert_eq!(truth(&log)[0]["outcome"], "aborted");
}

#[test]
fn a_truth_log_that_cannot_be_written_is_reported_with_its_path() {
    let error = MockServer::start(MockConfig {
        port: 0,
        truth_log: Some("/nowhere/truth.jsonl".into()),
        ..MockConfig::default()
    })
    .unwrap_err();
    assert!(matches!(&error, MockError::TruthLog { .. }));
    assert!(error.to_string().contains("/nowhere/truth.jsonl"));
}
