//! What holds for every dialect: a stream and a plain answer can be parsed, and say the same words.

use serde_json::Value;

use super::*;
use crate::framing::Kind;
use crate::habits::{Habit, Habits};
use crate::http::Request;
use crate::prompt::Counter;
use crate::sse::{Copied, Id, Script};
use crate::tell::{Teller as _, Told};
use crate::words;

/// Hands a request with this body to `read`.
pub(crate) fn call<T>(body: &str, read: impl FnOnce(&Call<'_>) -> T) -> T {
    with_request(&Request::default(), body, read)
}

fn with_request<T>(request: &Request, body: &str, read: impl FnOnce(&Call<'_>) -> T) -> T {
    let call = Call {
        request,
        body: body.as_bytes(),
        model: None,
        stream: false,
        counter: &Counter::new(true),
        default_model: "m",
        osl: 64,
    };
    read(&call)
}

/// A dialect, a request for seven tokens (or the default of 64) with a prompt of three words, where a stream's events
/// and the plain answer hold text, and where they hold the count of output tokens.
struct Case {
    dialect: &'static dyn Dialect,
    body: &'static str,
    delta: &'static str,
    whole: &'static str,
    counts: Option<(&'static str, &'static str)>,
}

const MULTIPART: &str = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n\
    --b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nm\r\n\
    --b\r\ncontent-disposition: form-data; name=\"prompt\"\r\n\r\na b c\r\n--b--\r\n";

fn cases() -> Vec<Case> {
    let case = |dialect, body, delta, whole, counts| Case { dialect, body, delta, whole, counts };
    vec![
        case(
            &OpenAi(Api::Chat),
            r#"{"model":"m","messages":[{"role":"user","content":"a b c"}],"max_tokens":7,"stream_options":{"include_usage":true}}"#,
            "/choices/0/delta/content",
            "/choices/0/message/content",
            Some(("/usage/completion_tokens", "/usage/completion_tokens")),
        ),
        case(
            &OpenAi(Api::Completions),
            r#"{"model":"m","prompt":"a b c","max_tokens":7,"stream_options":{"include_usage":true}}"#,
            "/choices/0/text",
            "/choices/0/text",
            Some(("/usage/completion_tokens", "/usage/completion_tokens")),
        ),
        case(
            &Responses,
            r#"{"model":"m","instructions":"a","input":[{"role":"user","content":[{"type":"input_text","text":"b c"}]}],"max_output_tokens":7}"#,
            "/delta",
            "/output/0/content/0/text",
            Some(("/response/usage/output_tokens", "/usage/output_tokens")),
        ),
        case(
            &Messages,
            r#"{"model":"m","system":"a","messages":[{"role":"user","content":[{"type":"text","text":"b c"}]}],"max_tokens":7}"#,
            "/delta/text",
            "/content/0/text",
            Some(("/usage/output_tokens", "/usage/output_tokens")),
        ),
        case(
            &Gemini,
            r#"{"systemInstruction":{"parts":[{"text":"a"}]},"contents":[{"role":"user","parts":[{"text":"b c"}]}],"generationConfig":{"maxOutputTokens":7}}"#,
            "/candidates/0/content/parts/0/text",
            "/candidates/0/content/parts/0/text",
            Some(("/usageMetadata/candidatesTokenCount", "/usageMetadata/candidatesTokenCount")),
        ),
        case(
            &Cohere,
            r#"{"model":"m","messages":[{"role":"user","content":"a b c"}],"max_tokens":7}"#,
            "/delta/message/content/text",
            "/message/content/0/text",
            Some(("/delta/usage/tokens/output_tokens", "/usage/tokens/output_tokens")),
        ),
        case(
            &Ollama::Chat,
            r#"{"model":"m","messages":[{"role":"user","content":"a b c"}],"options":{"num_predict":7}}"#,
            "/message/content",
            "/message/content",
            Some(("/eval_count", "/eval_count")),
        ),
        case(
            &Ollama::Generate,
            r#"{"model":"m","system":"a","prompt":"b c","options":{"num_predict":7}}"#,
            "/response",
            "/response",
            Some(("/eval_count", "/eval_count")),
        ),
        case(
            &Tgi,
            r#"{"inputs":"a b c","parameters":{"max_new_tokens":7}}"#,
            "/token/text",
            "/generated_text",
            Some(("/details/generated_tokens", "/details/generated_tokens")),
        ),
        case(&Triton, r#"{"text_input":"a b c","parameters":{"max_tokens":7}}"#, "/text_output", "/text_output", None),
        case(&Solido, r#"{"query":["a","b c"],"inference_model":"m"}"#, "/content", "/content", None),
        case(&Transcription, MULTIPART, "/delta", "/text", Some(("/usage/output_tokens", "/usage/output_tokens"))),
    ]
}

impl Case {
    fn ask(&self) -> Ask {
        let boundary = self.body.starts_with("--").then(|| "b".to_owned());
        let request = Request { boundary, query: "alt=sse".to_owned(), ..Request::default() };
        with_request(&request, self.body, |call| self.dialect.read(call)).unwrap()
    }

    /// The events of a stream, as JSON.
    fn stream(&self, ask: &Ask, habits: &[Habit], tokens_per_chunk: usize) -> Vec<Value> {
        let text = self.bytes(ask, habits, tokens_per_chunk);
        if ask.kind == Kind::Lines {
            return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        }
        let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    fn bytes(&self, ask: &Ask, habits: &[Habit], tokens_per_chunk: usize) -> String {
        let habits = habits.iter().copied().chain([Habit::CloseDelimited]).collect();
        let tale = Tale::new(self.dialect, 7, "\"m\"", ask, habits, true);
        let mut told = Told::new(self.dialect, tale, tokens_per_chunk);
        let mut out = Vec::new();
        told.open(&mut out);
        let tokens: usize = (0..told.steps()).map(|step| told.say(step, &mut out).tokens).sum();
        assert_eq!(tokens, ask.tokens * ask.choices);
        told.close(&mut out);
        told.end(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn whole(&self, ask: &Ask, habits: &[Habit]) -> Value {
        let habits = habits.iter().copied().collect();
        let mut out = Vec::new();
        self.dialect.whole(&Tale::new(self.dialect, 7, "\"m\"", ask, habits, true), &mut out);
        serde_json::from_slice(&out).unwrap()
    }
}

fn joined(events: &[Value], pointer: &str) -> String {
    events.iter().filter_map(|event| event.pointer(pointer)?.as_str()).collect()
}

#[test]
fn a_stream_and_a_plain_answer_say_the_words_that_were_asked_for() {
    for case in cases() {
        let ask = case.ask();
        assert_eq!(ask.prompt_tokens, 3, "{}", case.body);
        let expected = words::slice(0, ask.tokens);
        for tokens_per_chunk in [1, 3, 100] {
            let events = case.stream(&ask, &[], tokens_per_chunk);
            assert_eq!(joined(&events, case.delta), expected, "{}", case.body);
        }
        let whole = case.whole(&ask, &[]);
        assert_eq!(whole.pointer(case.whole).unwrap(), &Value::from(expected), "{whole}");
    }
}

#[test]
fn usage_counts_the_words() {
    for case in cases() {
        let Some((streamed, whole)) = case.counts else { continue };
        let ask = case.ask();
        let events = case.stream(&ask, &[], 1);
        let last = events.iter().rev().find_map(|event| event.pointer(streamed)).unwrap();
        assert_eq!(last, &Value::from(ask.tokens), "{}", case.body);
        assert_eq!(case.whole(&ask, &[]).pointer(whole).unwrap(), &Value::from(ask.tokens));
    }
}

#[test]
fn every_habit_leaves_streams_and_plain_answers_readable_with_all_their_words() {
    use clap::ValueEnum as _;
    let last = words::slice(6, 1);
    for case in cases() {
        let ask = case.ask();
        for &habit in Habit::value_variants() {
            if matches!(habit, Habit::Cr | Habit::Gzip) {
                continue;
            }
            let events = case.stream(&ask, &[habit], 2);
            let said = Value::from(events.clone()).to_string();
            assert!(said.contains(last.trim()), "{habit:?}: {said}");
            assert!(case.whole(&ask, &[habit]).is_object());
        }
    }
}

#[test]
fn reasoning_text_and_tool_calls_share_the_tokens() {
    let habits = [Habit::Reasoning, Habit::ToolCalls];
    let (reasoning, text) = (words::slice(0, 3), words::slice(3, 2));
    let call = format!("{{\"text\":\"{}\"}}", words::slice(5, 2));
    let of = |body: &str| cases().into_iter().find(|case| case.body.contains(body)).unwrap();

    let chat = of("stream_options");
    let (events, whole) = (chat.stream(&chat.ask(), &habits, 2), chat.whole(&chat.ask(), &habits));
    let delta = |field: &str| joined(&events, &format!("/choices/0/delta/{field}"));
    assert_eq!((delta("reasoning"), delta("content")), (reasoning.clone(), text.clone()));
    assert_eq!(delta("tool_calls/0/function/arguments"), call);
    let message = &whole["choices"][0]["message"];
    assert_eq!((&message["reasoning"], &message["content"]), (&reasoning.clone().into(), &text.clone().into()));
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], call.as_str());
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");

    let messages = of("\"system\":\"a\",\"messages\"");
    let (events, whole) = (messages.stream(&messages.ask(), &habits, 1), messages.whole(&messages.ask(), &habits));
    let delta = |field: &str| joined(&events, &format!("/delta/{field}"));
    assert_eq!((delta("thinking"), delta("text"), delta("partial_json")), (reasoning, text, call));
    assert_eq!(whole["content"][2]["type"], "tool_use");
    assert_eq!(whole["stop_reason"], "tool_use");
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "content_block_start").count(), 3);
    assert_eq!(kinds.last(), Some(&"message_stop"));
}

#[test]
fn responses_number_their_events_and_end_with_the_whole_response() {
    let case = cases().into_iter().find(|case| case.body.contains("instructions")).unwrap();
    let ask = case.ask();
    let mut events = case.stream(&ask, &[Habit::ReasoningContent, Habit::ToolCalls], 1);
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    let last = events.pop().unwrap();
    assert_eq!(last["type"], "response.completed");
    let whole = case.whole(&ask, &[Habit::ReasoningContent, Habit::ToolCalls]);
    assert_eq!(last["response"], whole);
    assert_eq!(whole["output"].as_array().unwrap().len(), 3);
    let incomplete = case.stream(&ask, &[Habit::IncompleteEvent], 1);
    assert_eq!(incomplete.last().unwrap()["type"], "response.incomplete");
}

#[test]
fn several_choices_each_have_all_the_words() {
    let mut chat = cases().remove(0);
    chat.body = r#"{"model":"m","messages":[{"content":"a"}],"max_tokens":5,"n":3}"#;
    let ask = chat.ask();
    let events = chat.stream(&ask, &[], 2);
    for choice in 0..3 {
        let own: Vec<_> = events.iter().filter(|event| event["choices"][0]["index"] == choice).cloned().collect();
        assert_eq!(joined(&own, "/choices/0/delta/content"), words::slice(0, 5));
        assert_eq!(own.last().unwrap()["choices"][0]["finish_reason"], "length");
    }
    let whole = chat.whole(&ask, &[]);
    assert_eq!(whole["choices"].as_array().unwrap().len(), 3);
    assert_eq!(whole["usage"]["completion_tokens"], 15);
}

#[test]
fn a_told_stream_without_habits_has_the_bytes_of_the_copied_one() {
    for case in &cases()[..2] {
        let api = if case.body.contains("messages") { Api::Chat } else { Api::Completions };
        let ask = case.ask();
        for tokens_per_chunk in [1, 3] {
            let script = Script::new(api, "\"m\"", tokens_per_chunk);
            let mut copied = Copied { script: &script, id: Id::new(7), ask: &ask, usage: true };
            let tale = Tale::new(case.dialect, 7, "\"m\"", &ask, Habits::default(), true);
            let mut told = Told::new(case.dialect, tale, tokens_per_chunk);
            let (mut one, mut other) = (Vec::new(), Vec::new());
            copied.open(&mut one);
            told.open(&mut other);
            for step in 0..told.steps() {
                assert_eq!(copied.weight(step), told.weight(step));
                assert_eq!(copied.say(step, &mut one), told.say(step, &mut other));
            }
            copied.close(&mut one);
            copied.end(&mut one);
            told.close(&mut other);
            told.end(&mut other);
            assert_eq!(String::from_utf8(one).unwrap(), String::from_utf8(other).unwrap());
        }
    }
}

#[test]
fn requests_without_their_prompt_are_refused_in_every_dialect() {
    for case in cases() {
        let refusal = call(r#"{"model":"m"}"#, |call| case.dialect.read(call)).unwrap_err();
        assert_eq!(refusal.status, 400, "{}", case.body);
        assert!(serde_json::from_slice::<Value>(&refusal.body(case.dialect.errors())).unwrap().is_object());
    }
}
