//! OpenAI's responses: every event has a name and a number, and whatever was begun is ended with its whole text.

use std::fmt::Display;

use serde::Deserialize;

use super::{ARGUMENTS_AFTER, ARGUMENTS_BEFORE, CREATED, Dialect, TOOL, escaped_arguments, hex};
use crate::ask::{Ask, Call, named};
use crate::fill::{fill, filled};
use crate::framing::Events;
use crate::habits::Habit;
use crate::prompt::Prompt;
use crate::refusal::{Refusal, Shape};
use crate::tell::{Delta, Part, Span, Tale};

#[derive(Deserialize)]
struct Body<'a> {
    model: Option<String>,
    #[serde(borrow)]
    instructions: Option<Prompt<'a>>,
    #[serde(borrow)]
    input: Option<Prompt<'a>>,
    max_output_tokens: Option<u64>,
    stream: Option<bool>,
}

/// `/v1/responses`.
pub(crate) struct Responses;

/// An event with its type and number, and these further members.
fn event(name: &str, sample: &str, values: &[&dyn Display], out: &mut Events<'_>) {
    let rest = filled(sample, values);
    let number = out.number();
    out.named(name, r#"{"type":"@","sequence_number":@,@}"#, &[&name, &number, &rest]);
}

/// The whole response object; `output` and `usage` are empty while it is in progress.
fn response(tale: &Tale<'_>, status: &str) -> String {
    let done = status != "in_progress";
    let reason = if status == "incomplete" { r#"{"reason":"max_output_tokens"}"# } else { "null" };
    let items: Vec<String> =
        if done { tale.spans.iter().map(|span| item(tale, span, "completed")).collect() } else { Vec::new() };
    filled(
        r#"{"id":"resp_@","object":"response","created_at":@,"status":"@","error":null,"incomplete_details":@,"model":@,"output":[@],"usage":@}"#,
        &[
            &hex(tale.id),
            &CREATED,
            &status,
            &reason,
            &tale.model,
            &items.join(","),
            &if done { usage(tale) } else { "null".to_owned() },
        ],
    )
}

fn status(tale: &Tale<'_>) -> &'static str {
    tale.finish("incomplete", "completed", "completed")
}

fn usage(tale: &Tale<'_>) -> String {
    if !tale.usage {
        return "null".to_owned();
    }
    filled(
        r#"{"input_tokens":@,"input_tokens_details":{"cached_tokens":0},"output_tokens":@,"output_tokens_details":{"reasoning_tokens":@},"total_tokens":@}"#,
        &[&tale.ask.prompt_tokens, &tale.ask.tokens, &tale.reasoning_tokens(), &tale.total()],
    )
}

fn item_id(tale: &Tale<'_>, part: Part) -> String {
    let prefix = match part {
        Part::Reasoning => "rs",
        Part::Text => "msg",
        Part::Tool => "fc",
    };
    format!("{prefix}_{}", hex(tale.id))
}

/// An item of the output, empty while it is in progress.
fn item(tale: &Tale<'_>, span: &Span, status: &str) -> String {
    let done = status != "in_progress";
    let id = item_id(tale, span.part);
    let text = if done { span.text() } else { String::new() };
    match span.part {
        Part::Reasoning => {
            let part = if done { reasoning_part(tale, &text) } else { String::new() };
            let (summary, content) =
                if tale.has(Habit::ReasoningContent) { (String::new(), part) } else { (part, String::new()) };
            filled(r#"{"id":"@","type":"reasoning","summary":[@],"content":[@]}"#, &[&id, &summary, &content])
        }
        Part::Text => {
            let part = if done { text_part(&text) } else { String::new() };
            let sample = r#"{"id":"@","type":"message","status":"@","role":"assistant","content":[@]}"#;
            filled(sample, &[&id, &status, &part])
        }
        Part::Tool => {
            let arguments = if done { escaped_arguments(&text) } else { String::new() };
            filled(
                r#"{"id":"@","type":"function_call","status":"@","call_id":"call_@","name":"@","arguments":"@"}"#,
                &[&id, &status, &hex(tale.id), &TOOL, &arguments],
            )
        }
    }
}

fn text_part(text: &str) -> String {
    filled(r#"{"type":"output_text","text":"@","annotations":[],"logprobs":[]}"#, &[&text])
}

fn reasoning_part(tale: &Tale<'_>, text: &str) -> String {
    let kind = if tale.has(Habit::ReasoningContent) { "reasoning_text" } else { "summary_text" };
    filled(r#"{"type":"@","text":"@"}"#, &[&kind, &text])
}

/// The events of a part with text: name before the dot, and the field that counts its pieces.
fn names(tale: &Tale<'_>, part: Part) -> (&'static str, &'static str, &'static str) {
    match part {
        Part::Reasoning if tale.has(Habit::ReasoningContent) => {
            ("response.content_part", "response.reasoning_text", "content_index")
        }
        Part::Reasoning => ("response.reasoning_summary_part", "response.reasoning_summary_text", "summary_index"),
        _ => ("response.content_part", "response.output_text", "content_index"),
    }
}

fn part_of(tale: &Tale<'_>, part: Part, text: &str) -> String {
    if part == Part::Reasoning { reasoning_part(tale, text) } else { text_part(text) }
}

fn arguments_delta(tale: &Tale<'_>, index: usize, piece: &str, out: &mut Events<'_>) {
    let name = "response.function_call_arguments.delta";
    let id = item_id(tale, Part::Tool);
    event(name, r#""item_id":"@","output_index":@,"delta":"@""#, &[&id, &index, &piece], out);
}

impl Dialect for Responses {
    fn read(&self, call: &Call<'_>) -> Result<Ask, Refusal> {
        let body: Body<'_> = call.json()?;
        let input = body.input.ok_or_else(|| Refusal::of("input", "an input is required"))?;
        let prompt = body.instructions.into_iter().chain([input]).collect();
        let ask = call.ask(named(body.model)?, &prompt, body.max_output_tokens, "max_output_tokens")?;
        Ok(Ask { stream: body.stream.unwrap_or(false), ..ask })
    }

    fn whole(&self, tale: &Tale<'_>, out: &mut Vec<u8>) {
        fill(out, "@", &[&response(tale, status(tale))]);
    }

    fn open(&self, tale: &Tale<'_>, out: &mut Events<'_>) {
        for name in ["response.created", "response.in_progress"] {
            event(name, r#""response":@"#, &[&response(tale, "in_progress")], out);
        }
    }

    fn begin(&self, tale: &Tale<'_>, span: &Span, _choice: usize, out: &mut Events<'_>) {
        let item = item(tale, span, "in_progress");
        event("response.output_item.added", r#""output_index":@,"item":@"#, &[&span.index, &item], out);
        if span.part == Part::Tool {
            return arguments_delta(tale, span.index, ARGUMENTS_BEFORE, out);
        }
        let (name, _, counter) = names(tale, span.part);
        event(
            &format!("{name}.added"),
            r#""item_id":"@","output_index":@,"@":0,"part":@"#,
            &[&item_id(tale, span.part), &span.index, &counter, &part_of(tale, span.part, "")],
            out,
        );
    }

    fn delta(&self, tale: &Tale<'_>, delta: &Delta, out: &mut Events<'_>) {
        if delta.part == Part::Tool {
            return arguments_delta(tale, delta.index, &delta.text, out);
        }
        let (_, name, counter) = names(tale, delta.part);
        event(
            &format!("{name}.delta"),
            r#""item_id":"@","output_index":@,"@":0,"delta":"@""#,
            &[&item_id(tale, delta.part), &delta.index, &counter, &delta.text],
            out,
        );
    }

    fn end(&self, tale: &Tale<'_>, span: &Span, _choice: usize, out: &mut Events<'_>) {
        let (id, index, text) = (item_id(tale, span.part), span.index, span.text());
        if span.part == Part::Tool {
            arguments_delta(tale, index, ARGUMENTS_AFTER, out);
            let name = "response.function_call_arguments.done";
            let arguments = escaped_arguments(&text);
            event(name, r#""item_id":"@","output_index":@,"arguments":"@""#, &[&id, &index, &arguments], out);
        } else {
            let (part_name, text_name, counter) = names(tale, span.part);
            let sample = r#""item_id":"@","output_index":@,"@":0,"text":"@""#;
            event(&format!("{text_name}.done"), sample, &[&id, &index, &counter, &text], out);
            let part = part_of(tale, span.part, &text);
            let sample = r#""item_id":"@","output_index":@,"@":0,"part":@"#;
            event(&format!("{part_name}.done"), sample, &[&id, &index, &counter, &part], out);
        }
        let item = item(tale, span, "completed");
        event("response.output_item.done", r#""output_index":@,"item":@"#, &[&index, &item], out);
    }

    fn close(&self, tale: &Tale<'_>, out: &mut Events<'_>) {
        let status = status(tale);
        let name = if status == "incomplete" && tale.has(Habit::IncompleteEvent) {
            "response.incomplete"
        } else {
            "response.completed"
        };
        event(name, r#""response":@"#, &[&response(tale, status)], out);
    }

    fn stream_error(&self, _tale: &Tale<'_>, refusal: &Refusal, out: &mut Events<'_>) {
        let message = serde_json::Value::from(refusal.message());
        event("error", r#""code":"server_error","message":@,"param":null"#, &[&message], out);
    }

    fn errors(&self) -> Shape {
        Shape::OpenAi
    }
}
