//! Cohere's chat, second version.

use serde::Deserialize;

use super::{ARGUMENTS_AFTER, ARGUMENTS_BEFORE, Dialect, TOOL, escaped_arguments, hex};
use crate::ask::{Ask, Call, named};
use crate::fill::{fill, filled};
use crate::framing::Events;
use crate::prompt::Prompt;
use crate::refusal::{Refusal, Shape};
use crate::tell::{Delta, Part, Span, Tale};

#[derive(Deserialize)]
struct Body<'a> {
    model: Option<String>,
    #[serde(borrow)]
    messages: Option<Vec<Message<'a>>>,
    max_tokens: Option<u64>,
    stream: Option<bool>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Prompt<'a>,
}

/// `/v2/chat`.
pub(crate) struct Cohere;

fn finish(tale: &Tale<'_>) -> &'static str {
    tale.finish("MAX_TOKENS", "COMPLETE", "TOOL_CALL")
}

fn usage(tale: &Tale<'_>) -> String {
    if !tale.usage {
        return String::new();
    }
    let counts = filled(r#"{"input_tokens":@,"output_tokens":@}"#, &[&tale.ask.prompt_tokens, &tale.ask.tokens]);
    filled(r#","usage":{"billed_units":@,"tokens":@}"#, &[&counts, &counts])
}

fn content(part: Part, text: &str) -> String {
    let kind = if part == Part::Reasoning { "thinking" } else { "text" };
    filled(r#"{"type":"@","@":"@"}"#, &[&kind, &kind, &text])
}

fn tool_call(tale: &Tale<'_>, arguments: &str) -> String {
    filled(
        r#"{"id":"@_@","type":"function","function":{"name":"@","arguments":"@"}}"#,
        &[&TOOL, &hex(tale.id), &TOOL, &arguments],
    )
}

fn event(name: &str, index: usize, message: &str, out: &mut Events<'_>) {
    out.named(name, r#"{"type":"@","index":@,"delta":{"message":@}}"#, &[&name, &index, &message]);
}

fn arguments_delta(index: usize, piece: &str, out: &mut Events<'_>) {
    let message = filled(r#"{"tool_calls":{"function":{"arguments":"@"}}}"#, &[&piece]);
    event("tool-call-delta", index, &message, out);
}

impl Dialect for Cohere {
    fn read(&self, call: &Call<'_>) -> Result<Ask, Refusal> {
        let body: Body<'_> = call.json()?;
        let messages = body.messages.filter(|messages| !messages.is_empty());
        let messages = messages.ok_or_else(|| Refusal::of("messages", "at least one message is required"))?;
        let prompt = messages.into_iter().map(|message| message.content).collect();
        let ask = call.ask(named(body.model)?, &prompt, body.max_tokens, "max_tokens")?;
        Ok(Ask { stream: body.stream.unwrap_or(false), ..ask })
    }

    fn whole(&self, tale: &Tale<'_>, out: &mut Vec<u8>) {
        let contents: Vec<String> = tale
            .spans
            .iter()
            .filter(|span| span.part != Part::Tool)
            .map(|span| content(span.part, &span.text()))
            .collect();
        let tools = tale.span(Part::Tool).map_or_else(String::new, |span| {
            filled(r#","tool_calls":[@]"#, &[&tool_call(tale, &escaped_arguments(&span.text()))])
        });
        fill(
            out,
            r#"{"id":"@","finish_reason":"@","message":{"role":"assistant","content":[@]@}@}"#,
            &[&hex(tale.id), &finish(tale), &contents.join(","), &tools, &usage(tale)],
        );
    }

    fn open(&self, tale: &Tale<'_>, out: &mut Events<'_>) {
        out.named(
            "message-start",
            r#"{"type":"message-start","id":"@","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#,
            &[&hex(tale.id)],
        );
    }

    fn begin(&self, tale: &Tale<'_>, span: &Span, _choice: usize, out: &mut Events<'_>) {
        if span.part == Part::Tool {
            let message = filled(r#"{"tool_calls":@}"#, &[&tool_call(tale, ARGUMENTS_BEFORE)]);
            event("tool-call-start", span.index, &message, out);
        } else {
            let message = filled(r#"{"content":@}"#, &[&content(span.part, "")]);
            event("content-start", span.index, &message, out);
        }
    }

    fn delta(&self, _tale: &Tale<'_>, delta: &Delta, out: &mut Events<'_>) {
        let field = match delta.part {
            Part::Tool => return arguments_delta(delta.index, &delta.text, out),
            Part::Reasoning => "thinking",
            Part::Text => "text",
        };
        let message = filled(r#"{"content":{"@":"@"}}"#, &[&field, &delta.text]);
        event("content-delta", delta.index, &message, out);
    }

    fn end(&self, _tale: &Tale<'_>, span: &Span, _choice: usize, out: &mut Events<'_>) {
        let name = if span.part == Part::Tool {
            arguments_delta(span.index, ARGUMENTS_AFTER, out);
            "tool-call-end"
        } else {
            "content-end"
        };
        out.named(name, r#"{"type":"@","index":@}"#, &[&name, &span.index]);
    }

    fn close(&self, tale: &Tale<'_>, out: &mut Events<'_>) {
        let sample = r#"{"type":"message-end","delta":{"finish_reason":"@"@}}"#;
        out.named("message-end", sample, &[&finish(tale), &usage(tale)]);
    }

    fn stream_error(&self, _tale: &Tale<'_>, refusal: &Refusal, out: &mut Events<'_>) {
        let message = serde_json::Value::from(refusal.message());
        let sample = r#"{"type":"message-end","delta":{"finish_reason":"ERROR","error":@}}"#;
        out.named("message-end", sample, &[&message]);
    }

    fn errors(&self) -> Shape {
        Shape::Cohere
    }

    fn says_done(&self) -> bool {
        true
    }
}
