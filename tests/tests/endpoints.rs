//! Every built-in endpoint against the mock, which speaks all of their APIs, streamed where there are streams and whole;
//! each request as both sides saw it. And chats against every habit that the mock can put on.

use std::collections::BTreeSet;

use clap::ValueEnum as _;
use inferometer_mock::{Habit, MockConfig};
use inferometer_tests::mock::Mock;
use inferometer_tests::relay::{Door, Relay, field};
use inferometer_tests::results::{Outcomes, Record, Results};
use inferometer_tests::run::Program;
use inferometer_tests::sent::{Request, Sent};

/// Requests of a run.
const REQUESTS: u64 = 3;

/// What an endpoint is run with, and what is known of each of its requests.
struct Case {
    kind: &'static str,
    /// Where the server saw a whole answer asked for, and where a stream; the same if nothing is said of it.
    paths: (&'static str, Option<&'static str>),
    words: &'static [&'static str],
    /// Tokens of an answer that has some.
    tokens: Option<u64>,
    /// The server's usage of prompt and answer, in whole answers and in streams.
    usage: (Usage, Usage),
    /// The tokens of the prompt that the server is to find in the body; none if it is not text.
    prompt: Prompt,
    /// What stands in the body before the prompt.
    opens: &'static str,
}

/// Which token counts a server tells.
#[derive(Clone, Copy, PartialEq)]
enum Usage {
    Both,
    Prompt,
    Answer,
    None,
}

/// What is known of the length of a prompt.
#[derive(Clone, Copy)]
enum Prompt {
    Tokens(u64),
    /// More than so many.
    Beyond(u64),
    /// There is no text.
    None,
}

use Usage::{Answer, Both};

const TEXT: &[&str] = &["--isl", "12", "--osl", "5"];
const IMAGE: &[&str] = &["--isl", "12", "--image-width-mean", "16", "--image-height-mean", "16"];
const SOUND: &[&str] = &["--audio-length-mean", "0.1"];
const TEMPLATE: &[&str] = &[
    "--isl",
    "12",
    "--osl",
    "5",
    "--endpoint",
    "/v1/completions",
    "--extra-inputs",
    r#"payload_template:{"model": {{ model|tojson }}, "prompt": {{ text|tojson }}, "max_tokens": {{ max_tokens }}, "stream": {{ stream|tojson }}}"#,
    "response_field:choices[0].text",
];

/// An endpoint whose answers are text of five tokens, and whose usage is always told.
const fn text(kind: &'static str, path: &'static str, opens: &'static str) -> Case {
    let (tokens, usage) = (Some(5), (Both, Both));
    Case { kind, paths: (path, None), words: TEXT, tokens, usage, prompt: Prompt::Tokens(12), opens }
}

/// One whose answers have no tokens.
const fn other(kind: &'static str, path: &'static str, opens: &'static str) -> Case {
    Case { tokens: None, usage: (Usage::Prompt, Usage::Prompt), ..text(kind, path, opens) }
}

/// One that ranks what is made up unasked.
const fn ranks(kind: &'static str, path: &'static str, opens: &'static str) -> Case {
    // The passages alone have hundreds.
    Case { words: &[], prompt: Prompt::Beyond(200), ..other(kind, path, opens) }
}

/// All but `raw`, which takes a file, and `video-generation`, whose requests are several exchanges.
fn cases() -> Vec<Case> {
    let gemini = "/v1beta/models/mock:streamGenerateContent";
    let (silent, streams_silent) = ((Usage::None, Usage::None), (Both, Usage::None));
    vec![
        text("chat", "/v1/chat/completions", r#""content":""#),
        text("completions", "/v1/completions", r#""prompt":""#),
        text("responses", "/v1/responses", r#""content":""#),
        text("messages", "/v1/messages", r#""content":""#),
        Case {
            paths: ("/v1beta/models/mock:generateContent", Some(gemini)),
            ..text("gemini", "", r#""parts":[{"text":""#)
        },
        text("cohere-chat", "/v2/chat", r#""content":""#),
        text("ollama", "/api/chat", r#""content":""#),
        text("ollama-generate", "/api/generate", r#""prompt":""#),
        Case { paths: ("/generate", Some("/generate_stream")), ..text("huggingface-generate", "", r#""inputs":""#) },
        Case {
            paths: ("/v2/models/mock/generate", Some("/v2/models/mock/generate_stream")),
            usage: silent,
            ..text("kserve", "", r#""text_input":""#)
        },
        // Cannot be told how long an answer is to be.
        Case { tokens: Some(64), usage: silent, ..text("solido-rag", "/rag/api/prompt", r#""query":[""#) },
        Case { words: TEMPLATE, usage: streams_silent, ..text("template", "/v1/completions", r#""prompt": ""#) },
        Case {
            words: SOUND,
            tokens: Some(64),
            usage: (Answer, Answer),
            prompt: Prompt::None,
            ..text("audio-transcription", "/v1/audio/transcriptions", "Content-Type: audio/wav\r\n\r\nRIFF")
        },
        other("embeddings", "/v1/embeddings", r#""input":[""#),
        other("chat-embeddings", "/v1/embeddings", r#""content":""#),
        Case { words: IMAGE, prompt: Prompt::Beyond(12), ..other("nim-embeddings", "/v1/embeddings", r#""input":[""#) },
        ranks("nim-rankings", "/v1/ranking", r#""query":{"text":""#),
        ranks("cohere-rankings", "/v2/rerank", r#""query":""#),
        Case { usage: silent, ..ranks("hf-tei-rankings", "/rerank", r#""query":""#) },
        other("image-generation", "/v1/images/generations", r#""prompt":""#),
        Case { words: IMAGE, ..other("image-edit", "/v1/images/edits", "name=\"prompt\"\r\n\r\n") },
        Case {
            words: IMAGE,
            usage: silent,
            prompt: Prompt::None,
            ..other("image-retrieval", "/v1/infer", r#""url":"data:image/"#)
        },
    ]
}

/// Those of them that have no streams.
fn streams(kind: &str) -> bool {
    !(kind.contains("embeddings") || kind.contains("rankings") || kind == "image-retrieval")
}

fn run(kind: &str, words: &[&str]) -> Sent {
    let mock = Mock::start(MockConfig { truth_bodies: true, ..MockConfig::default() });
    let program = mock.profile().args(["--endpoint-type", kind, "--request-count", &REQUESTS.to_string()]);
    let outcome = program.args(["--concurrency", "2"]).args(words).run().expect_code(0);
    let sent = Sent::of(outcome, mock.stop());
    let all_ok = Outcomes { total: REQUESTS, ok: REQUESTS, ..Outcomes::default() };
    assert_eq!(sent.results.outcomes(), all_ok, "{kind}");
    assert_eq!(sent.requests.len() as u64, REQUESTS, "{kind}");
    sent
}

/// A metric's number, if the request has it.
fn metric(record: &Record, tag: &str) -> Option<u64> {
    let value = &record.metrics.get(tag)?.value;
    Some(value.as_f64().unwrap_or_else(|| panic!("{tag} is {value}")) as u64)
}

/// Both sides say the same of one request.
fn agrees(case: &Case, Request { record, truth }: &Request, streaming: bool) {
    let Case { kind, paths, tokens, usage, prompt, opens, .. } = case;
    let path = if streaming { paths.1.unwrap_or(paths.0) } else { paths.0 };
    assert_eq!((truth.path.as_str(), truth.outcome.as_str()), (path, "ok"), "{kind}");

    let body = truth.body.as_deref().expect("the mock keeps bodies");
    let (_, after) = body.split_once(opens).unwrap_or_else(|| panic!("{kind}: no {opens} in {body}"));
    assert!(!after.starts_with(['"', '\r']), "{kind}: an empty prompt: {body}");
    let isl = metric(record, "input_sequence_length");
    match *prompt {
        Prompt::None => assert_eq!((isl, truth.prompt_tokens), (None, 0), "{kind}"),
        Prompt::Tokens(count) => assert_eq!((isl, truth.prompt_tokens), (Some(count), count), "{kind}"),
        Prompt::Beyond(least) => {
            assert_eq!(isl, Some(truth.prompt_tokens), "{kind}");
            assert!(truth.prompt_tokens > least, "{kind}: {truth:?}");
        }
    }

    assert_eq!(metric(record, "output_sequence_length"), *tokens, "{kind}: {record:?}");
    assert_eq!(truth.tokens, tokens.unwrap_or(0), "{kind}");
    let usage = if streaming { usage.1 } else { usage.0 };
    let (asked, answered) = (matches!(usage, Both | Usage::Prompt), matches!(usage, Both | Answer));
    assert_eq!(metric(record, "usage_prompt_tokens"), asked.then_some(truth.prompt_tokens), "{kind}");
    assert_eq!(metric(record, "usage_completion_tokens"), answered.then_some(truth.tokens), "{kind}");

    // One gap less than there are chunks, and no first token where nothing is streamed.
    let gaps = record.metrics.get("inter_chunk_latency").map(|gaps| gaps.value.as_array().map_or(0, Vec::len) as u64);
    assert_eq!(gaps, streaming.then(|| truth.chunks - 1), "{kind}: {record:?}");
    let first = record.metrics.get("time_to_first_token").map(|first| first.value.as_f64().expect("it is a time"));
    assert_eq!(first.is_some(), streaming && tokens.is_some(), "{kind}: {record:?}");
    let since_received = (truth.first_ns.expect("it was answered") - truth.received_ns) as f64 / 1e6;
    assert!(first.is_none_or(|first| first >= since_received), "{kind}: {first:?} {since_received}");
    assert!(record.number("request_latency") >= since_received, "{kind}");
}

#[test]
fn every_endpoint_agrees_with_the_server_on_each_of_its_whole_answers() {
    for case in cases() {
        for request in &run(case.kind, case.words).requests {
            agrees(&case, request, false);
        }
    }
}

#[test]
fn every_endpoint_that_streams_agrees_with_the_server_on_each_of_its_streams() {
    for case in cases().iter().filter(|case| streams(case.kind)) {
        for request in &run(case.kind, &[case.words, &["--streaming"]].concat()).requests {
            agrees(case, request, true);
        }
    }
}

#[test]
fn no_built_in_endpoint_is_without_a_test_here() {
    let listed = Program::new().args(["plugins", "list"]).run().expect_code(0).stdout;
    let listed: BTreeSet<&str> = listed
        .lines()
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>())
        .filter_map(|words| (words.first() == Some(&"endpoint")).then(|| words[1]))
        .collect();
    let cases = cases();
    let tested: BTreeSet<&str> = cases.iter().map(|case| case.kind).chain(["raw", "video-generation"]).collect();
    assert_eq!(listed, tested);
}

#[test]
fn raw_bodies_are_sent_as_they_stand_in_the_file_and_their_answers_are_found() {
    for (streaming, more) in [(false, ""), (true, r#","stream":true,"stream_options":{"include_usage":true}"#)] {
        let lines = ["who is it", "and what is that"].map(|text| {
            format!(r#"{{ "model":"mock", "messages":[{{"role":"user","content":"{text}"}}],"max_tokens":5{more}}}"#)
        });
        let words = "--endpoint-type raw --endpoint /v1/chat/completions --custom-dataset-type raw_payload \
                     --input-file bodies.jsonl --concurrency 1";
        let words = format!("{words}{}", if streaming { " --streaming" } else { "" });
        let sent = Sent::run(MockConfig::default(), &[("bodies.jsonl", &lines.join("\n"))], &words);
        assert_eq!(sent.results.outcomes(), Outcomes { total: 2, ok: 2, ..Outcomes::default() });
        for (Request { record, truth }, line) in sent.requests.iter().zip(&lines) {
            assert_eq!(truth.body.as_ref(), Some(line));
            assert_eq!((truth.tokens, metric(record, "output_sequence_length")), (5, Some(5)), "{record:?}");
            assert_eq!(record.metrics.contains_key("time_to_first_token"), streaming);
        }
    }
}

#[test]
fn a_video_is_submitted_polled_and_fetched_in_one_request() {
    for download in [true, false] {
        let mock = Mock::start(MockConfig { truth_bodies: true, ttft_ms: 1.0, ..MockConfig::default() });
        let relay = Relay::start(Door::Tcp, mock.address());
        let program = mock.profile().args(["--proxy", &format!("http://127.0.0.1:{}", relay.port())]);
        let program = program.args(["--endpoint-type", "video-generation", "--request-count", "2", "--isl", "12"]);
        let outcome = program.args(download.then_some("--download-video-content")).run().expect_code(0);
        let sent = Sent::of(outcome, mock.stop());
        assert_eq!(sent.results.outcomes(), Outcomes { total: 2, ok: 2, ..Outcomes::default() });
        let heads = relay.heads();
        for Request { record, truth } in &sent.requests {
            assert_eq!((metric(record, "input_sequence_length"), truth.prompt_tokens), (Some(12), 12));
            assert!(truth.body.as_deref().is_some_and(|body| body.contains("name=\"prompt\"\r\n\r\n")));
            let id = Some(record.metadata.x_request_id.as_str());
            let exchanges = heads.iter().filter(|head| field(head, "x-request-id") == id);
            let lines: Vec<&str> = exchanges.filter_map(|head| head.split(" HTTP").next()).collect();
            let (first, rest) = lines.split_first().expect("it was sent");
            assert!(first.starts_with("POST ") && first.ends_with("/v1/videos"), "{lines:?}");
            assert!(
                rest.iter().all(|line| line.starts_with("GET ") && line.contains("/v1/videos/video_")),
                "{lines:?}"
            );
            let fetched = rest.iter().filter(|line| line.ends_with("/content")).count();
            assert_eq!(fetched, usize::from(download), "{lines:?}");
            assert!(rest.len() > fetched, "it was not polled: {lines:?}");
        }
    }
}

#[test]
fn keys_go_where_each_api_wants_them_and_further_headers_beside_them() {
    const KEY: &str = "a-key-of-the-tests";
    let bearer = format!("Bearer {KEY}");
    for (kind, name, value) in
        [("chat", "authorization", bearer.as_str()), ("messages", "x-api-key", KEY), ("gemini", "x-goog-api-key", KEY)]
    {
        let mock = Mock::start(MockConfig { api_key: Some(KEY.to_owned()), ..MockConfig::default() });
        let relay = Relay::start(Door::Tcp, mock.address());
        let url = format!("http://127.0.0.1:{}", relay.port());
        let profile = || {
            let program = Program::profile().args(["--url", &url, "--model", "mock", "--tokenizer", "builtin"]);
            program.args(["--endpoint-type", kind, "--request-count", "2", "--isl", "12", "--osl", "5"])
        };
        let outcome = profile().env("INFEROMETER_API_KEY", KEY).args(["--session-header", "X-Session"]).run();
        let results = Results::of(&outcome.expect_code(0));
        assert_eq!(results.outcomes(), Outcomes { total: 2, ok: 2, ..Outcomes::default() });
        let heads: Vec<String> = relay.heads().into_iter().filter(|head| head.starts_with("POST")).collect();
        assert_eq!(heads.len(), 2);
        for head in &heads {
            assert_eq!(field(head, name), Some(value), "{head}");
            assert_eq!(head.matches(KEY).count(), 1, "{head}");
            assert_eq!(field(head, "anthropic-version").is_some(), kind == "messages", "{head}");
            let record = results.records.iter().find(|r| field(head, "x-request-id") == Some(&r.metadata.x_request_id));
            let session = record.map(|record| record.metadata.x_correlation_id.as_str());
            assert!(session.is_some() && field(head, "x-session") == session, "{head}");
        }
        let refused = profile().env("INFEROMETER_API_KEY", "another").run().expect_code(3);
        assert_eq!(Results::of(&refused).errors(), [("http_status".to_owned(), 2)].into(), "{kind}");
    }
}

/// What a chat that streams finds of a habit that is not just another way of saying the same.
const FINDINGS: [(Habit, Found); 2] = [(Habit::NeverStream, Found::Whole), (Habit::Redirect, Found::Failure)];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    /// As many tokens as were streamed.
    Tokens,
    /// As many tokens, and no first one.
    Whole,
    /// Redirects are not followed.
    Failure,
}

#[test]
fn streamed_chats_are_read_alike_whatever_the_habits_of_the_server() {
    for &habit in Habit::value_variants() {
        let found = FINDINGS.iter().find(|(of, _)| *of == habit).map_or(Found::Tokens, |(_, found)| *found);
        let mock = Mock::start(MockConfig { habits: vec![habit], ..MockConfig::default() });
        let program = mock.profile().args(["--streaming", "--request-count", "2", "--isl", "12", "--osl", "8"]);
        let outcome = program.run().expect_code(if found == Found::Failure { 3 } else { 0 });
        let sent = Sent::of(outcome, mock.stop());
        if found == Found::Failure {
            assert_eq!(sent.results.errors(), [("http_status".to_owned(), 2)].into(), "{habit:?}");
            let error = sent.results.records[0].error.as_ref().expect("it failed");
            assert!(error.message.contains("307"), "{error:?}");
            continue;
        }
        assert_eq!(sent.results.outcomes(), Outcomes { total: 2, ok: 2, ..Outcomes::default() }, "{habit:?}");
        assert_eq!(sent.requests.len(), 2, "{habit:?}");
        for Request { record, truth } in &sent.requests {
            let counts = ["output_sequence_length", "usage_completion_tokens"].map(|tag| metric(record, tag));
            assert_eq!((truth.tokens, counts), (8, [Some(8); 2]), "{habit:?}: {record:?}");
            let isl = metric(record, "input_sequence_length");
            assert_eq!((isl, truth.prompt_tokens), (Some(12), 12), "{habit:?}");
            let streamed = record.metrics.contains_key("time_to_first_token");
            assert_eq!(streamed, found == Found::Tokens, "{habit:?}: {record:?}");
        }
    }
}
