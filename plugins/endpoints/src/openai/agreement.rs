//! The law of the two ways to read an answer: what the fast one takes, it reads exactly as the thorough one does.

use super::{Dialect, Several, parse, samples, usual};
use crate::{halves, reading::Answers as _};
use inferometer_plugin_sdk::{
    RVec,
    types::{Answer, Delta, ErrorKind, Event, Reply, Span, delta_flags},
};
use proptest::{collection::vec, prelude::*, sample::Index, strategy::ValueTree, test_runner::TestRunner};

const DIALECTS: [Dialect; 2] = [Dialect::Chat, Dialect::Completions];

/// A delta with its texts instead of spans.
#[derive(Debug, PartialEq)]
struct Told {
    texts: [String; 4],
    counts: [u32; 4],
    details: [u64; 4],
    choice: u32,
    events: u32,
}

fn told(delta: &Delta, data: &[u8], scratch: &[u8]) -> Told {
    let within = if delta.flags & delta_flags::SCRATCH == 0 { data } else { scratch };
    let text = |span: Span| {
        let text = String::from_utf8_lossy(span.of(within).unwrap());
        match delta.flags & delta_flags::ESCAPED {
            0 => text.into_owned(),
            _ => serde_json::from_str(&format!("\"{text}\"")).unwrap(),
        }
    };
    Told {
        texts: [delta.text, delta.reasoning, delta.tool, delta.error].map(text),
        counts: [delta.prompt_tokens, delta.completion_tokens, delta.cached_tokens, delta.reasoning_tokens],
        details: delta.reserved,
        choice: delta.choice,
        events: delta.flags & !(delta_flags::ESCAPED | delta_flags::SCRATCH),
    }
}

/// What the scan takes of an event.
fn scanned(dialect: Dialect, data: &[u8]) -> Option<Told> {
    let mut delta = Delta::EMPTY;
    usual::scan(dialect, data, &mut delta, |_| None).map(|()| told(&delta, data, &[]))
}

/// What the scan takes of a body.
fn scanned_body(dialect: Dialect, data: &[u8]) -> Option<Vec<Told>> {
    let (mut first, mut more) = (Delta::EMPTY, Vec::new());
    usual::scan(dialect, data, &mut first, |further| {
        more.push(told(&further, data, &[]));
        Some(())
    })?;
    Some([told(&first, data, &[])].into_iter().chain(more).collect())
}

/// What the thorough way says of `data`, and whether there are choices in it.
fn parsed(dialect: Dialect, several: Several, data: &[u8]) -> Option<(Vec<Told>, bool)> {
    let mut scratch = RVec::new();
    let found = parse::parse(dialect, data, several, &mut scratch)?;
    let all = [found.delta].into_iter().chain(found.more);
    Some((all.map(|delta| told(&delta, data, &scratch)).collect(), found.has_choices))
}

/// Whatever the scan takes of `data` is a completion, and both ways say the same of it.
fn check_agreement(data: &[u8]) -> Result<(), TestCaseError> {
    for dialect in DIALECTS {
        if let Some(fast) = scanned(dialect, data) {
            prop_assert_eq!(Some((vec![fast], true)), parsed(dialect, Several::Joined, data));
        }
        if let Some(fast) = scanned_body(dialect, data) {
            prop_assert_eq!(Some((fast, true)), parsed(dialect, Several::Apart, data));
        }
    }
    Ok(())
}

fn read(name: &str, data: &[u8]) -> Result<Told, ErrorKind> {
    let event = Event::new(data).named(name);
    let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
    Dialect::Chat.on_event(&event, &mut delta, &mut scratch)?;
    Ok(told(&delta, data, &scratch))
}

fn read_body(data: &[u8]) -> Result<Vec<Told>, ErrorKind> {
    let answer =
        Answer { status: 200, exchange: 0, flags: 0, content_type: "application/json".into(), body: data.into() };
    let mut reply = Reply::default();
    Dialect::Chat.on_body(&answer, &mut reply).map_err(|error| error.kind)?;
    Ok(reply.deltas.iter().map(|delta| told(delta, data, &reply.scratch)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_scan_takes_it_reads_as_the_parser_does(text in samples::answer()) {
        check_agreement(text.as_bytes())?;
    }

    #[test]
    fn the_scan_takes_nothing_that_a_parser_refuses(
        text in samples::answer(), flips in vec((any::<Index>(), any::<u8>()), 0..3), cut in any::<Index>(), is_cut: bool,
    ) {
        let mut bytes = text.into_bytes();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        check_agreement(&bytes)?;
        let is_object = halves::parse(&bytes).is_ok_and(|value| value.is_object());
        prop_assert_eq!(read("", &bytes).is_ok(), is_object || bytes.trim_ascii().is_empty());
    }

    #[test]
    fn bodies_are_read_if_they_hold_choices_or_an_error(text in samples::answer()) {
        let thorough = parsed(Dialect::Chat, Several::Apart, text.as_bytes())
            .filter(|(told, has_choices)| *has_choices || told[0].events & delta_flags::ERROR != 0);
        let expected = thorough.map(|(told, _)| told).ok_or(ErrorKind::MALFORMED);
        prop_assert_eq!(read_body(text.as_bytes()), expected);
    }

    #[test]
    fn random_bytes_are_refused_or_read_but_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = read("", &bytes);
        let _ = read("error", &bytes);
        let _ = read_body(&bytes);
    }
}

#[test]
fn the_laws_are_not_empty_because_the_scan_takes_most_answers() {
    let (mut runner, answers) = (TestRunner::deterministic(), samples::answer());
    let mut sample = || answers.new_tree(&mut runner).unwrap().current();
    let taken = (0..1000).filter(|_| scanned_body(Dialect::Chat, sample().as_bytes()).is_some()).count();
    assert!((500..1000).contains(&taken), "{taken} of 1000");
}

#[test]
fn usual_chunks_are_taken_by_the_scan() {
    for text in [
        r#"{"choices":[{"index":0,"delta":{"content":"a \"b\" \u00e9 é"},"finish_reason":null}],"usage":null}"#,
        r#"{"id": "x", "choices": [{"delta": {"role": "assistant", "content": null}, "index": 0}]} "#,
        r#"{"choices":[{"index":1,"delta":{"reasoning_content":"hm","tool_calls":[]},"finish_reason":"stop"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":null}}"#,
        r#"{"choices":[{"delta":{"content":"\ud83d\ude42"},"logprobs":{"content":[{"token":"x","logprob":-1.2e-07}]}}]}"#,
    ] {
        assert!(scanned(Dialect::Chat, text.as_bytes()).is_some(), "{text}");
    }
}

#[test]
fn usual_bodies_are_taken_by_the_scan() {
    for (dialect, text) in [
        (
            Dialect::Chat,
            r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":
            "assistant","content":"Hi","refusal":null,"annotations":[]},"logprobs":{"content":[{"token":"Hi","logprob":
            -3.1e-06,"bytes":[72,105],"top_logprobs":[]}],"refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":
            9,"completion_tokens":1,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},
            "completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}},"service_tier":"default"}"#,
        ),
        (
            Dialect::Chat,
            r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":
            "assistant","content":null,"reasoning_content":"hm","tool_calls":null},"logprobs":null,"finish_reason":"length",
            "matched_stop":null}],"usage":{"prompt_tokens":9,"total_tokens":10,"completion_tokens":1,
            "prompt_tokens_details":null,"reasoning_tokens":1},"metadata":{"weight_version":"default"}}"#,
        ),
        (
            Dialect::Chat,
            r#"{"choices":[{"index":0,"message":{"content":"one","reasoning":"hm","reasoning_content":"hm"}},
            {"index":1,"message":{"content":"two"}}]}"#,
        ),
        (
            Dialect::Completions,
            r#"{"id":"c","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":" \ud83d\ude42",
            "logprobs":{"text_offset":[0],"token_logprobs":[-0.5],"tokens":[" 🙂"],"top_logprobs":[{" 🙂":-0.5}]},
            "finish_reason":"length","stop_reason":null,"prompt_logprobs":null}],"service_tier":null,"usage":
            {"prompt_tokens":9,"total_tokens":10,"completion_tokens":1},"kv_transfer_params":null}"#,
        ),
    ] {
        assert!(scanned_body(dialect, text.as_bytes()).is_some(), "{text}");
    }
}

#[test]
fn what_the_scan_could_not_tell_right_it_leaves_to_the_parser() {
    for text in [
        r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f"}}]}}]}"#,
        r#"{"choices":[{"message":{"content":[{"type":"text","text":"a"}]}}]}"#,
        r#"{"choices":[{"message":{"content":"a"},"delta":{"content":"b"}}]}"#,
        r#"{"choices":[{"delta":{"content":"\ud83d"}}]}"#,
        r#"{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}"#,
        r#"{"choices":[],"usage":{"tokens":{"input_tokens":2}}}"#,
        r#"{"choices":[],"usageMetadata":{"promptTokenCount":2}}"#,
        r#"{"choices":[],"error":"overloaded"}"#,
        r#"{"object":"error","message":"overloaded"}"#,
    ] {
        assert!(scanned(Dialect::Chat, text.as_bytes()).is_none(), "{text}");
    }
}

#[test]
fn all_that_real_servers_answer_without_an_error_is_taken_by_the_scan() {
    let mut taken = 0;
    for (dialect, folder) in DIALECTS.into_iter().zip(["chat", "completions"]) {
        let folder = format!("{}/tests/data/{folder}", env!("CARGO_MANIFEST_DIR"));
        for path in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let is_captured = ["llamacpp_", "dynamo_", "vllm_"].iter().any(|server| name.starts_with(server));
            if !is_captured || !name.ends_with(".http") || name.contains("error") {
                continue;
            }
            let answer = std::fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
            let body = answer.split_once("\n\n").unwrap().1;
            let is_stream = name.contains("stream");
            let events = body.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
            for data in events.chain((!is_stream).then_some(body)) {
                assert!(scanned(dialect, data.as_bytes()).is_some(), "{name}: {data}");
                taken += 1;
            }
        }
    }
    assert!(taken > 50, "{taken} answers");
}

#[test]
fn several_parallel_answers_of_a_body_are_told_one_by_one() {
    for unusual in ["", r#""\u0069d":1,"#] {
        let body = format!(
            r#"{{{unusual}"choices":[{{"index":1,"message":{{"content":"one"}}}},{{"index":0,"message":{{"content":"two"}},
            "finish_reason":"stop"}}],"usage":{{"completion_tokens":2}}}}"#
        );
        let read = read_body(body.as_bytes()).unwrap();
        let told: Vec<_> = read.iter().map(|told| (told.texts[0].as_str(), told.choice, told.events)).collect();
        assert_eq!(told, [("one", 1, 0), ("two", 0, delta_flags::FINISH)]);
        assert_eq!((read[0].counts[1], read[1].counts[1]), (2, u32::MAX));
    }
}

#[test]
fn several_parallel_answers_of_an_event_are_told_one_after_the_other() {
    let event = br#"{"choices":[{"index":1,"delta":{"content":"one"}},{"index":0,"delta":{"content":"two"}}]}"#;
    let read = read("", event).unwrap();
    assert_eq!((read.texts[0].as_str(), read.choice), ("onetwo", 1));
}

#[test]
fn of_the_two_names_of_reasoning_the_longer_one_comes_first() {
    for body in [
        r#"{"choices":[{"message":{"reasoning":"b","reasoning_content":"a"}}]}"#,
        r#"{"choices":[{"message":{"reasoning_content":"a","reasoning":"b"}}]}"#,
        r#"{"choices":[{"message":{"reasoning_content":"","reasoning":"a"}}]}"#,
        r#"{"choices":[{"message":{"reasoning":"a","reasoning_content":null}}]}"#,
    ] {
        assert_eq!(read_body(body.as_bytes()).unwrap()[0].texts[1], "a", "{body}");
    }
}

#[test]
fn look_alikes_inside_strings_are_text() {
    let text = r#"{\"choices\":[{\"delta\":{\"content\":\"no\"}}],\"usage\":{\"prompt_tokens\":1}}"#;
    let event = format!(r#"{{"id":"{text}","choices":[{{"delta":{{"content":"{text}"}}}}]}}"#);
    let read = read("", event.as_bytes()).unwrap();
    assert_eq!(read.texts[0], text.replace('\\', ""));
    assert_eq!(read.counts, [u32::MAX; 4]);
}

#[test]
fn tool_calls_are_told_by_name_and_arguments() {
    let event = br#"{"choices":[{"delta":{"content":null,"tool_calls":[{"index":0,"id":"c","function":
        {"name":"find","arguments":"{\"q\""}},{"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}"#;
    let read = read("", event).unwrap();
    assert_eq!(read.texts[2], r#"find{"q":1}"#);
    assert_eq!(read.events, delta_flags::FINISH);
}

#[test]
fn errors_are_told_in_every_shape() {
    for (name, data, message) in [
        ("", r#"{"error":{"message":"too long","code":400}}"#, "too long"),
        ("", r#"{"error":"too long","choices":[]}"#, "too long"),
        ("", r#"{"error":{"code":400}}"#, r#"{"code":400}"#),
        ("", r#"{"object":"error","message":"too long","code":400}"#, "too long"),
        ("error", r#"{"error":{"message":"too long"}}"#, "too long"),
        ("error", r#"{"message":"too long"}"#, "too long"),
        ("error", r#"{"detail":"too long"}"#, "too long"),
        ("", r#"{"detail":[{"msg":"too long"}]}"#, r#"[{"msg":"too long"}]"#),
        ("", r#"{"type":"error","code":7}"#, r#"{"code":7,"type":"error"}"#),
        ("error", r#"{"code":7}"#, r#"{"code":7}"#),
        ("error", "too long", "too long"),
        ("error", "", ""),
    ] {
        let read = read(name, data.as_bytes()).unwrap();
        assert_eq!(read.events, delta_flags::ERROR, "{data}");
        assert_eq!(read.texts[3], message, "{data}");
    }
    assert_eq!(read("", br#"{"error":null,"choices":[]}"#).unwrap().events, 0);
}

#[test]
fn the_terminator_signs_of_life_and_nonsense_are_told_apart() {
    assert_eq!(read("", b" [DONE]\n").unwrap().events, delta_flags::DONE);
    assert_eq!(read("", b" ").unwrap().events, 0);
    assert_eq!(read("", br#"{"type":"ping"}"#).unwrap().events, 0);
    for data in ["{", "[1]", "null", "\"text\"", r#"{"choices":[}"#, "[DONE"] {
        assert_eq!(read("", data.as_bytes()), Err(ErrorKind::MALFORMED), "{data}");
    }
}
