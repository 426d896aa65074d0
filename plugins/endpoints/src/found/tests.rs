//! Answers of all shapes, and what is found in them.

use super::*;
use crate::testing::texts;
use proptest::prelude::*;

fn finder(expression: Option<&str>) -> Finder {
    Finder::new(expression).unwrap()
}

fn event(expression: Option<&str>, data: &str) -> Result<(Delta, [String; 4]), ErrorKind> {
    let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
    finder(expression).on_event(&Event::new(data.as_bytes()), &mut delta, &mut scratch)?;
    Ok((delta, texts(&delta, data.as_bytes(), &scratch)))
}

fn body(expression: Option<&str>, data: &str) -> Result<(Delta, [String; 4])> {
    let mut reply = Reply::default();
    finder(expression).on_body(data.as_bytes(), &mut reply)?;
    let [delta] = reply.deltas.as_slice() else { panic!("one delta is told of {data}") };
    Ok((*delta, texts(delta, data.as_bytes(), &reply.scratch)))
}

#[test]
fn the_text_of_an_answer_is_found_in_every_usual_shape() {
    for answer in [
        r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"index":0,"text":"hi","finish_reason":"stop"}]}"#,
        r#"{"choices":[{"message":{"content":[{"type":"text","text":"hi"}]}}]}"#,
        r#"{"object":"response","output":[{"type":"reasoning"},{"type":"message","content":[{"type":"output_text","text":"hi"}]}]}"#,
        r#"{"type":"message","role":"assistant","content":[{"type":"text","text":"h"},{"type":"text","text":"i"}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"hi"}],"role":"model"}}]}"#,
        r#"{"model":"m","message":{"role":"assistant","content":"hi"},"done":true}"#,
        r#"[{"generated_text":"hi"}]"#,
        r#"{"generated_text":"hi","details":null}"#,
        r#"{"text_output":"hi"}"#,
        r#"{"text":["hi"]}"#,
        r#"{"output":"hi"}"#,
        r#"{"response":"hi"}"#,
        r#"{"answer":"hi"}"#,
        r#"{"result":"hi"}"#,
        r#""hi""#,
        "hi",
    ] {
        let (delta, [text, ..]) = body(None, answer).unwrap();
        assert_eq!(text, "hi", "{answer}: {delta:?}");
    }
}

#[test]
fn what_is_no_text_is_content_all_the_same() {
    for answer in [
        r#"{"data":[{"object":"embedding","embedding":[0.1]}]}"#,
        r#"{"rankings":[{"index":0,"logit":1}]}"#,
        r#"{"results":[{"index":0,"relevance_score":1}]}"#,
        "[[0.1,0.2]]",
    ] {
        let (delta, [text, ..]) = body(None, answer).unwrap();
        assert!(delta.has_content() && text.is_empty(), "{answer}");
    }
}

#[test]
fn events_of_every_usual_stream_are_read() {
    for (data, expected) in [
        (r#"{"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}"#, ["hi", "", "", ""]),
        (r#"{"choices":[{"index":0,"text":"hi","finish_reason":null}]}"#, ["hi", "", "", ""]),
        (r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#, ["", "hm", "", ""]),
        (r#"{"type":"response.output_text.delta","delta":"hi"}"#, ["hi", "", "", ""]),
        (r#"{"type":"response.function_call_arguments.delta","delta":"{}"}"#, ["", "", "{}", ""]),
        (r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"hi"}}"#, ["hi", "", "", ""]),
        (r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"hm"}}"#, ["", "hm", "", ""]),
        (r#"{"token":{"id":1,"text":"hi"},"generated_text":null}"#, ["hi", "", "", ""]),
        (r#"{"type":"response.output_text.done","text":"hi"}"#, ["", "", "", ""]),
        (r#"{"type":"ping"}"#, ["", "", "", ""]),
        (r#"{"error":{"message":"busy"}}"#, ["", "", "", "busy"]),
        ("", ["", "", "", ""]),
        ("hi", ["hi", "", "", ""]),
    ] {
        assert_eq!(event(None, data).unwrap().1, expected, "{data}");
    }
    assert_eq!(event(None, " [DONE]").unwrap().0.flags, delta_flags::DONE);
    assert_eq!(event(None, r#"{"type":"message_stop"}"#).unwrap().0.flags & delta_flags::DONE, delta_flags::DONE);
    assert!(event(None, r#"{"text":"#).is_err());
}

#[test]
fn usage_is_read_wherever_the_text_was_found() {
    let answer = r#"{"a":{"b":"hi"},"text":"no","usage":{"input_tokens":3,"output_tokens":2}}"#;
    for expression in [None, Some("a.b"), Some("a.b || text")] {
        let (delta, _) = body(expression, answer).unwrap();
        assert_eq!((delta.prompt_tokens, delta.completion_tokens), (3, 2), "{expression:?}");
    }
}

#[test]
fn an_expression_says_where_the_text_is() {
    for (expression, answer, text, content) in [
        ("a.b", r#"{"a":{"b":"h\"i"}}"#, "h\"i", true),
        ("a[*].b", r#"{"a":[{"b":"h"},{"b":"i"}]}"#, "hi", true),
        ("n", r#"{"n":7}"#, "7", true),
        ("data[0].embedding", r#"{"data":[{"embedding":[0.1]}]}"#, "", true),
        ("a", r#"{"a":{"b":1}}"#, "", true),
    ] {
        let (delta, [found, ..]) = body(Some(expression), answer).unwrap();
        assert_eq!((found.as_str(), delta.has_content()), (text, content), "{expression}");
    }
    assert_eq!(event(Some("a.b"), r#"{"a":{"b":"hi"}}"#).unwrap().1[0], "hi");
    assert!(!event(Some("a.b"), r#"{"a":{}}"#).unwrap().0.has_content());
    assert!(event(Some("a.b"), "hi").is_err());
}

#[test]
fn an_answer_in_which_nothing_is_found_is_refused_with_its_beginning() {
    for answer in [r#"{"b":1}"#, "[]", r#"{"a":null}"#, r#"{"a":"#] {
        let error = body(Some("a"), answer).unwrap_err();
        assert!(error.message.contains("`a` (response_field)") && error.message.contains(answer), "{error}");
    }
    let error = body(None, r#"{"b":1}"#).unwrap_err();
    assert!(error.message.contains("response_field") && error.message.contains(r#"{"b":1}"#), "{error}");
    assert!(body(None, "").is_err());
}

#[test]
fn an_error_in_an_answer_is_told_in_the_servers_words() {
    for expression in [None, Some("a")] {
        let (delta, [.., error]) = body(expression, r#"{"error":{"message":"busy"}}"#).unwrap();
        assert!(delta.flags & delta_flags::ERROR != 0 && error == "busy");
    }
    let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
    for data in [r#"{"status":"busy"}"#, "busy"] {
        finder(None).on_event(&Event::new(data.as_bytes()).named("error"), &mut delta, &mut scratch).unwrap();
        assert_eq!(texts(&delta, data.as_bytes(), &scratch)[3], data);
    }
}

proptest! {
    #[test]
    fn anything_is_read_or_refused(text in r#"[\[\]{}":,a-c01é\\ ]{0,40}"#) {
        for expression in [None, Some("a.b"), Some("a[*].b")] {
            let _ = event(expression, &text);
            let _ = body(expression, &text);
        }
    }
}
