//! What a well-behaved mock server answers.

use crate::support::{CHAT, Client, chat, post, serve};
use inferometer_mock::{MockConfig, MockServer};
use serde_json::Value;

fn server() -> MockServer {
    serve(MockConfig::default())
}

#[test]
fn models_health_and_metrics_are_served() {
    let server = serve(MockConfig { models: vec!["a".into(), "b".into()], ..MockConfig::default() });
    let mut client = Client::connect(&server);
    let models = client.get("/v1/models").json();
    assert_eq!(models["data"][1]["id"], "b");
    assert_eq!(client.get("/health?full=1").status, 200);
    let body = chat(5, false).replace("mock", "b");
    assert_eq!(client.post(CHAT, &body).status, 200);
    client.post(CHAT, "{");
    let metrics = String::from_utf8(client.get("/metrics").body).unwrap();
    for line in [
        "mock_requests_total{outcome=\"ok\"} 1",
        "mock_requests_total{outcome=\"error\"} 1",
        "mock_requests_running 0",
        "mock_prompt_tokens_total 3",
        "mock_generation_tokens_total 5",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn a_chat_stream_has_role_content_finish_usage_and_done() {
    let server = server();
    let answer = Client::connect(&server).post(CHAT, &chat(3, true));
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let events = answer.events();
    let json = |i: usize| serde_json::from_str::<Value>(&events[i]).unwrap();
    assert_eq!(events.len(), 7);
    assert_eq!(json(0)["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(json(0)["choices"][0]["delta"]["content"], "");
    assert_eq!(answer.content(), " time year people");
    assert_eq!(json(4)["choices"][0]["finish_reason"], "length");
    assert_eq!(json(5)["choices"].as_array().unwrap().len(), 0);
    let usage = serde_json::json!({"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6});
    assert_eq!(json(5)["usage"], usage);
    assert_eq!(events[6], "[DONE]");
}

#[test]
fn answers_have_exactly_the_tokens_that_were_asked_for() {
    let server = server();
    let mut client = Client::connect(&server);
    for tokens in [1, 2, 64, 65, 1000] {
        let stream = client.post(CHAT, &chat(tokens, true)).content();
        let plain = client.post(CHAT, &chat(tokens, false)).json();
        assert_eq!(stream.split_whitespace().count(), tokens);
        assert_eq!(plain["choices"][0]["message"]["content"], stream.as_str());
        assert_eq!(plain["usage"]["completion_tokens"], tokens);
    }
}

#[test]
fn chunks_of_several_tokens_hold_the_same_text() {
    let one = server();
    let five = serve(MockConfig { tokens_per_chunk: 5, ..MockConfig::default() });
    let body = chat(128, true);
    let (one, five) = (Client::connect(&one).post(CHAT, &body), Client::connect(&five).post(CHAT, &body));
    assert_eq!(one.content(), five.content());
    // Role, finish, usage and [DONE] come on top.
    assert_eq!(one.events().len(), 128 + 4);
    assert_eq!(five.events().len(), 26 + 4);
}

#[test]
fn completions_are_served_plain_and_streamed() {
    let server = server();
    let mut client = Client::connect(&server);
    let plain = client.post("/v1/completions", r#"{"model":"mock","prompt":"a b"}"#).json();
    assert_eq!(plain["object"], "text_completion");
    assert_eq!(plain["usage"]["completion_tokens"], 64);
    assert_eq!(plain["choices"][0]["finish_reason"], "stop");
    let stream = client.post("/v1/completions", r#"{"model":"mock","prompt":"a b","stream":true}"#);
    assert_eq!(plain["choices"][0]["text"], stream.content().as_str());
    assert_eq!(stream.events().len(), 64 + 2, "usage was not asked for");
}

#[test]
fn embeddings_are_served() {
    let server = server();
    let answer = Client::connect(&server).post("/v1/embeddings", r#"{"model":"mock","input":["a b","c"]}"#);
    let body = answer.json();
    assert_eq!(body["data"].as_array().unwrap().len(), 2);
    assert_eq!(body["usage"]["prompt_tokens"], 3);
}

#[test]
fn prompts_count_in_tokens_or_in_words_where_that_is_asked_for() {
    let prompt = r#"{"model":"mock","prompt":"Shall I compare thee to a summer's day?","max_tokens":1}"#;
    for (count_words, expected) in [(false, 11), (true, 8)] {
        let server = serve(MockConfig { count_words, ..MockConfig::default() });
        let answer = Client::connect(&server).post("/v1/completions", prompt).json();
        assert_eq!(answer["usage"]["prompt_tokens"], expected);
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let bytes = |seed| {
        let server = serve(MockConfig { seed, ..MockConfig::default() });
        Client::connect(&server).post(CHAT, &chat(9, true)).body
    };
    assert_eq!(bytes(5), bytes(5));
    assert_ne!(bytes(5), bytes(6));
}

#[test]
fn errors_have_the_status_and_the_shape_of_openai() {
    let server = server();
    let mut client = Client::connect(&server);
    for (answer, status, word) in [
        (client.post(CHAT, "{not json"), 400, "body"),
        (client.post(CHAT, &chat(1, true).replace("mock", "other")), 404, "other"),
        (client.post("/v1/nothing", "{}"), 404, "/v1/nothing"),
        (client.get(CHAT), 405, "POST"),
    ] {
        let error = &answer.json()["error"];
        assert_eq!((answer.status, &error["code"]), (status, &Value::from(status)));
        assert!(error["message"].as_str().unwrap().contains(word), "{error}");
    }
}

#[test]
fn the_key_is_asked_for_on_api_routes_only() {
    let server = serve(MockConfig { api_key: Some("secret".into()), ..MockConfig::default() });
    let mut client = Client::connect(&server);
    assert_eq!(client.get("/health").status, 200);
    assert_eq!(client.get("/v1/models").status, 401);
    assert_eq!(client.post(CHAT, &chat(1, false)).status, 401);
    for (key, status) in [("wrong", 401), ("secret", 200)] {
        client.send(post(CHAT, &format!("authorization: Bearer {key}\r\n"), &chat(1, false)));
        assert_eq!(client.answer().unwrap().status, status);
    }
}

#[test]
fn usage_can_be_withheld() {
    let server = serve(MockConfig { ignore_usage: true, ..MockConfig::default() });
    let mut client = Client::connect(&server);
    assert_eq!(client.post(CHAT, &chat(2, true)).events().len(), 5);
    assert!(client.post(CHAT, &chat(2, false)).json().get("usage").is_none());
}

#[test]
fn the_request_id_is_echoed() {
    let server = server();
    let mut client = Client::connect(&server);
    for stream in [true, false] {
        client.send(post(CHAT, "X-Request-ID: abc-1\r\n", &chat(1, stream)));
        assert_eq!(client.answer().unwrap().header("x-request-id"), Some("abc-1"));
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = server();
    let mut client = Client::connect(&server);
    let burst: String = (1..=5).map(|tokens| post(CHAT, "", &chat(tokens, tokens % 2 == 0))).collect();
    client.send(burst);
    for tokens in 1..=5 {
        let answer = client.answer().unwrap();
        let text = if tokens % 2 == 0 {
            answer.content()
        } else {
            answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
        };
        assert_eq!(text.split_whitespace().count(), tokens);
    }
}

#[test]
fn chunked_request_bodies_are_put_together() {
    let server = server();
    let mut client = Client::connect(&server);
    let body = chat(7, false);
    let (one, two) = body.split_at(10);
    for trailer in ["", "x-sum: 1\r\n"] {
        client.send(format!("POST {CHAT} HTTP/1.1\r\nhost: m\r\ntransfer-encoding: chunked\r\n\r\n"));
        client.send(format!("{:x}\r\n{one}\r\n", one.len()));
        client.send(format!("{:X};ext=1\r\n{two}\r\n0\r\n{trailer}\r\n", two.len()));
        assert_eq!(client.answer().unwrap().json()["usage"]["completion_tokens"], 7);
    }
}

#[test]
fn a_client_that_asks_for_leave_to_send_its_body_gets_it() {
    let server = server();
    let mut client = Client::connect(&server);
    let request = post(CHAT, "expect: 100-continue\r\n", &chat(2, false));
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    client.send(format!("{head}\r\n\r\n"));
    assert_eq!(client.answer().unwrap().status, 100);
    client.send(body);
    assert_eq!(client.answer().unwrap().status, 200);
}

#[test]
fn requests_that_cannot_be_read_are_refused_and_the_connection_closed() {
    let server = server();
    for (request, status) in [
        ("GET / HTTP/1.0\r\n\r\n", 505),
        ("nonsense\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", 413),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n", 400),
    ] {
        let mut client = Client::connect(&server);
        client.send(request);
        let answer = client.answer().unwrap();
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{request:?}");
        assert!(client.answer().is_err(), "{request:?}");
    }
}

#[test]
fn a_client_that_wants_the_connection_closed_gets_it_closed() {
    let server = server();
    let mut client = Client::connect(&server);
    client.send(post(CHAT, "connection: close\r\n", &chat(1, true)));
    assert_eq!(client.answer().unwrap().header("connection"), Some("close"));
    assert!(client.rest().0.is_empty());
}

#[test]
fn all_threads_serve() {
    let server = serve(MockConfig { threads: 3, ..MockConfig::default() });
    let mut clients: Vec<_> = (0..7).map(|_| Client::connect(&server)).collect();
    for client in &mut clients {
        assert_eq!(client.post(CHAT, &chat(3, true)).content(), " time year people");
    }
}

#[test]
fn a_port_in_use_is_reported_with_its_address() {
    let server = server();
    let error = MockServer::start(MockConfig { port: server.addr().port(), ..MockConfig::default() }).unwrap_err();
    assert!(error.to_string().contains(&server.addr().to_string()), "{error}");
}

#[test]
fn stopping_ends_open_connections() {
    let server = serve(MockConfig { ttft_ms: 60_000.0, ..MockConfig::default() });
    let mut client = Client::connect(&server);
    client.send(post(CHAT, "", &chat(1, false)));
    server.stop().unwrap();
    assert!(client.answer().is_err());
}
