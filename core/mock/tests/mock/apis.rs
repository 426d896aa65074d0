//! Every API over the wire: paths, media types, errors in each one's own shape, and the log that is the same for all.

use crate::support::{Answer, Client, post, serve, truth};
use inferometer_mock::{MockConfig, MockServer};
use serde_json::Value;

const BOUNDARY: &str = "content-type: multipart/form-data; boundary=\"b b\"\r\n";

/// A multipart body with a file and these fields.
fn form(file: &str, fields: &[(&str, &str)]) -> String {
    let mut body = format!(
        "--b b\r\ncontent-disposition: form-data; name=\"{file}\"; filename=\"f\"\r\ncontent-type: x/y\r\n\r\nf\r\n"
    );
    for (name, value) in fields {
        body += &format!("--b b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    body + "--b b--\r\n"
}

fn multipart(client: &mut Client, path: &str, body: &str) -> Answer {
    let length = body.len();
    client.send(format!("POST {path} HTTP/1.1\r\nhost: m\r\n{BOUNDARY}content-length: {length}\r\n\r\n{body}"));
    client.answer().unwrap()
}

fn server() -> MockServer {
    serve(MockConfig { osl: 4, ..MockConfig::default() })
}

/// The JSON values of a stream, whichever way it parts them.
fn values(answer: &Answer) -> Vec<Value> {
    let text = std::str::from_utf8(&answer.body).unwrap();
    match answer.header("content-type").unwrap() {
        "application/x-ndjson" => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        "application/json" => serde_json::from_str(text).unwrap(),
        _ => {
            let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
            data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
        }
    }
}

const CHAT: &str = r#"{"model":"mock","messages":[{"role":"user","content":"hi"}],"max_tokens":4"#;
const GEMINI: &str = r#"{"contents":[{"parts":[{"text":"hi"}]}]"#;

/// Path, body as far as its closing brace, and where the words of a stream's events are.
const STREAMS: [(&str, &str, &str); 11] = [
    ("/v1/responses", r#"{"model":"mock","input":"hi","stream":true"#, "/delta"),
    ("/v1/messages", CHAT, "/delta/text"),
    ("/v2/chat", CHAT, "/delta/message/content/text"),
    ("/v1beta/models/mock:streamGenerateContent?alt=sse", GEMINI, "/candidates/0/content/parts/0/text"),
    ("/v1beta/models/mock:streamGenerateContent", GEMINI, "/candidates/0/content/parts/0/text"),
    ("/api/chat", r#"{"model":"mock","messages":[{"content":"hi"}]"#, "/message/content"),
    ("/api/generate", r#"{"model":"mock","prompt":"hi""#, "/response"),
    ("/generate_stream", r#"{"inputs":"hi","parameters":{}"#, "/token/text"),
    ("/generate", r#"{"inputs":"hi""#, "/token/text"),
    ("/v2/models/mock/generate_stream", r#"{"text_input":"hi","max_tokens":4"#, "/text_output"),
    ("/rag/api/prompt", r#"{"query":["hi"],"inference_model":"mock""#, "/content"),
];

/// The body of one of them, asking for a stream where the path does not.
fn body(path: &str, open: &str) -> String {
    let asks = path.contains("tream") || path.starts_with("/api") || open.contains("\"stream\"");
    format!("{open}{}}}", if asks { "" } else { ",\"stream\":true" })
}

#[test]
fn every_api_streams_its_words_with_its_media_type() {
    let server = server();
    let mut client = Client::connect(&server);
    for (path, open, pointer) in STREAMS {
        let answer = client.post(path, &body(path, open));
        assert_eq!(answer.status, 200, "{path}: {:?}", String::from_utf8_lossy(&answer.body));
        let media = match path {
            _ if path.starts_with("/api") => "application/x-ndjson",
            "/v1beta/models/mock:streamGenerateContent" => "application/json",
            _ => "text/event-stream; charset=utf-8",
        };
        assert_eq!(answer.header("content-type"), Some(media), "{path}");
        let said: String =
            values(&answer).iter().filter_map(|value| value.pointer(pointer)?.as_str().map(str::to_owned)).collect();
        assert_eq!(said, " time year people way", "{path}");
    }
}

#[test]
fn every_api_says_errors_in_its_own_shape() {
    let server = serve(MockConfig { api_key: Some("k".into()), ..MockConfig::default() });
    let mut client = Client::connect(&server);
    for (path, pointer) in [
        ("/v1/responses", "/error/message"),
        ("/v1/messages", "/error/type"),
        ("/v1beta/models/mock:generateContent", "/error/status"),
        ("/v2/chat", "/message"),
        ("/api/chat", "/error"),
        ("/generate", "/error_type"),
        ("/v2/models/mock/generate", "/error"),
        ("/rag/api/prompt", "/detail"),
        ("/rerank", "/error_type"),
        ("/v1/videos", "/error/type"),
    ] {
        for (headers, status) in [("", 401), ("x-api-key: k\r\n", 400)] {
            client.send(post(path, headers, "{}"));
            let answer = client.answer().unwrap();
            assert_eq!(answer.status, status, "{path}");
            assert!(answer.json().pointer(pointer).unwrap().is_string(), "{path}");
        }
    }
}

#[test]
fn the_key_is_taken_from_wherever_an_api_has_it() {
    let server = serve(MockConfig { api_key: Some("k".into()), ..MockConfig::default() });
    let mut client = Client::connect(&server);
    for header in ["authorization: bearer k", "x-api-key: k", "api-key: k", "x-goog-api-key: k"] {
        client.send(post("/generate", &format!("{header}\r\n"), r#"{"inputs":"hi"}"#));
        assert_eq!(client.answer().unwrap().status, 200, "{header}");
    }
    assert_eq!(client.post("/generate?key=k", r#"{"inputs":"hi"}"#).status, 200);
    assert_eq!(client.post("/generate?key=other", r#"{"inputs":"hi"}"#).status, 401);
}

#[test]
fn models_that_a_path_names_must_be_there() {
    let server = server();
    let mut client = Client::connect(&server);
    let answer = client.post("/v1beta/models/other:generateContent", &format!("{GEMINI}}}"));
    assert_eq!((answer.status, &answer.json()["error"]["status"]), (404, &"NOT_FOUND".into()));
    assert_eq!(client.post("/v2/models/other/generate", r#"{"text_input":"hi"}"#).status, 404);
}

#[test]
fn passages_are_ranked_the_best_first_in_each_rankers_words() {
    let server = server();
    let mut client = Client::connect(&server);
    let nim = r#"{"model":"mock","query":{"text":"q"},"passages":[{"text":"a"},{"text":"b"},{"text":"c"}]}"#;
    let cohere = r#"{"model":"mock","query":"q","documents":["a",{"text":"b"},"c"]}"#;
    let tei = r#"{"query":"q","texts":["a","b","c"],"return_text":true}"#;
    let mut orders = Vec::new();
    for (path, body, list, score) in [
        ("/v1/ranking", nim, "/rankings", "logit"),
        ("/v2/rerank", cohere, "/results", "relevance_score"),
        ("/rerank", cohere, "/results", "relevance_score"),
        ("/rerank", tei, "", "score"),
    ] {
        let answer = client.post(path, body).json();
        let ranks = answer.pointer(list).unwrap().as_array().unwrap();
        let scores: Vec<f64> = ranks.iter().map(|rank| rank[score].as_f64().unwrap()).collect();
        assert!(scores.is_sorted_by(|one, other| one >= other) && scores.len() == 3, "{path}: {scores:?}");
        orders.push(ranks.iter().map(|rank| rank["index"].as_u64().unwrap()).collect::<Vec<_>>());
    }
    assert!(orders.windows(2).all(|pair| pair[0] == pair[1]), "{orders:?}");
    let best = client.post("/v2/rerank", &cohere.replace("{\"model", "{\"top_n\":1,\"model")).json();
    assert_eq!(best["results"].as_array().unwrap().len(), 1);
}

#[test]
fn images_are_pictures_plain_and_streamed() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let server = server();
    let mut client = Client::connect(&server);
    let readable = |value: &Value| {
        let bytes = STANDARD.decode(value["b64_json"].as_str().unwrap()).unwrap();
        let info = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap().info().size();
        assert_eq!(info, (1, 1));
    };
    let path = "/v1/images/generations";
    let plain = client.post(path, r#"{"model":"mock","prompt":"a cat","n":2}"#).json();
    assert_eq!(plain["data"].as_array().unwrap().len(), 2);
    readable(&plain["data"][1]);
    let url = client.post(path, r#"{"model":"mock","prompt":"a cat","response_format":"url"}"#).json();
    assert!(url["data"][0]["url"].is_string());

    let stream = client.post(path, r#"{"model":"mock","prompt":"a cat","stream":true,"partial_images":2}"#);
    let events = values(&stream);
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let partial = "image_generation.partial_image";
    assert_eq!(kinds, [partial, partial, "image_generation.completed"]);
    events.iter().for_each(readable);

    let fields = [("prompt", "wider"), ("model", "mock"), ("stream", "true")];
    let edit = values(&multipart(&mut client, "/v1/images/edits", &form("image[]", &fields)));
    assert_eq!(edit[1]["type"], "image_edit.completed");
    let without = client.post("/v1/images/edits", r#"{"model":"mock","prompt":"wider"}"#);
    assert_eq!(without.json()["error"]["param"], "image");
}

#[test]
fn videos_are_queued_made_and_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("truth.jsonl");
    let server = serve(MockConfig { ttft_ms: 30.0, truth_log: Some(log.clone()), ..MockConfig::default() });
    let mut client = Client::connect(&server);
    let fields = [("prompt", "a cat"), ("model", "mock"), ("seconds", "8")];
    let queued = multipart(&mut client, "/v1/videos", &form("input_reference", &fields)).json();
    assert_eq!((&queued["status"], &queued["seconds"]), (&"queued".into(), &"8".into()));
    let path = format!("/v1/videos/{}", queued["id"].as_str().unwrap());
    let mut seen = Vec::new();
    while seen.last().is_none_or(|status| status != "completed") {
        seen.push(client.get(&path).json()["status"].as_str().unwrap().to_owned());
    }
    assert!(seen[..seen.len() - 1].iter().all(|status| status == "in_progress"));
    let content = client.get(&format!("{path}/content"));
    assert_eq!(content.header("content-type"), Some("video/mp4"));
    assert_eq!(&content.body[4..8], b"ftyp");
    assert_eq!(client.get("/v1/videos/video_0").status, 404);
    server.stop().unwrap();
    let lines = truth(&log);
    assert_eq!(lines.len(), 1, "asking after a video is no load");
    let (received, ready) = (lines[0]["received_ns"].as_u64().unwrap(), lines[0]["ready_ns"].as_u64().unwrap());
    assert_eq!(ready - received, 30_000_000);
}

#[test]
fn a_video_that_meets_an_error_fails() {
    let server = serve(MockConfig { stream_error_rate: 1.0, ..MockConfig::default() });
    let mut client = Client::connect(&server);
    let queued = client.post("/v1/videos", r#"{"model":"mock","prompt":"a cat"}"#).json();
    let path = format!("/v1/videos/{}", queued["id"].as_str().unwrap());
    let failed = client.get(&path).json();
    assert_eq!(failed["status"], "failed");
    assert!(failed["error"]["message"].is_string());
    assert_eq!(client.get(&format!("{path}/content")).status, 404);
}

#[test]
fn audio_is_transcribed_as_json_as_text_and_as_a_stream() {
    let server = server();
    let mut client = Client::connect(&server);
    let path = "/v1/audio/transcriptions";
    let mut ask = |extra: &[(&str, &str)]| {
        let fields: Vec<_> = [("model", "mock")].into_iter().chain(extra.iter().copied()).collect();
        multipart(&mut client, path, &form("file", &fields))
    };
    let words = " time year people way";
    assert_eq!(ask(&[]).json()["text"], words);
    let text = ask(&[("response_format", "text")]);
    assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(text.body, format!("{words}\n").into_bytes());
    let events = values(&ask(&[("stream", "true")]));
    assert_eq!(events.len(), 5);
    assert_eq!((&events[4]["type"], &events[4]["text"]), (&"transcript.text.done".into(), &words.into()));
    assert_eq!(ask(&[("response_format", "srt")]).status, 400);
}

#[test]
fn images_are_retrieved_with_boxes_for_each() {
    let server = server();
    let body = r#"{"input":[{"type":"image_url","url":"data:a"},{"type":"image_url","url":"data:b"}]}"#;
    let answer = Client::connect(&server).post("/v1/infer", body).json();
    assert_eq!(answer["data"].as_array().unwrap().len(), 2);
    assert!(answer["data"][1]["bounding_boxes"].is_object());
}

#[test]
fn errors_in_mid_stream_are_said_in_each_apis_own_shape() {
    let server = serve(MockConfig { stream_error_rate: 1.0, osl: 4, ..MockConfig::default() });
    let mut client = Client::connect(&server);
    for (path, open, pointer) in [
        (STREAMS[0].0, STREAMS[0].1, "/message"),
        (STREAMS[1].0, STREAMS[1].1, "/error/message"),
        (STREAMS[2].0, STREAMS[2].1, "/delta/error"),
        (STREAMS[3].0, STREAMS[3].1, "/error/message"),
        (STREAMS[5].0, STREAMS[5].1, "/error"),
        (STREAMS[7].0, STREAMS[7].1, "/error"),
        (STREAMS[10].0, STREAMS[10].1, "/detail"),
    ] {
        let events = values(&client.post(path, &body(path, open)));
        let last = events.last().unwrap();
        assert!(last.pointer(pointer).and_then(Value::as_str).unwrap().contains("mid-stream"), "{path}: {last}");
    }
}

#[test]
fn the_truth_log_joins_the_requests_of_all_apis_with_the_times_of_their_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("truth.jsonl");
    let config =
        MockConfig { ttft_ms: 2.0, itl_ms: 1.0, osl: 4, truth_log: Some(log.clone()), ..MockConfig::default() };
    let server = serve(config);
    let mut client = Client::connect(&server);
    for (path, open, _) in STREAMS {
        client.send(post(path, &format!("x-request-id: {path}\r\n"), &body(path, open)));
        client.answer().unwrap();
    }
    server.stop().unwrap();
    for ((path, ..), line) in STREAMS.iter().zip(truth(&log)) {
        assert_eq!((&line["x_request_id"], &line["outcome"]), (&Value::from(*path), &"ok".into()));
        assert_eq!((&line["tokens"], &line["chunks"]), (&4.into(), &4.into()), "{path}");
        for (k, at) in line["written_ns"].as_array().unwrap().iter().enumerate() {
            let earliest = line["received_ns"].as_u64().unwrap() + (2 + k as u64) * 1_000_000;
            assert!(at.as_u64().unwrap() >= earliest, "{path}");
        }
    }
}
