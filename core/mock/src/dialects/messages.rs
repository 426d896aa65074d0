//! Anthropic's messages.

use serde::Deserialize;

use super::{Dialect, TOOL, hex};
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
    system: Option<Prompt<'a>>,
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

/// `/v1/messages`.
pub(crate) struct Messages;

fn stop_reason(tale: &Tale<'_>) -> &'static str {
    tale.finish("max_tokens", "end_turn", "tool_use")
}

fn usage(tale: &Tale<'_>, output: usize) -> String {
    if tale.usage {
        filled(r#","usage":{"input_tokens":@,"output_tokens":@}"#, &[&tale.ask.prompt_tokens, &output])
    } else {
        String::new()
    }
}

/// A block as a plain answer has it.
fn block(tale: &Tale<'_>, span: &Span) -> String {
    let text = span.text();
    match span.part {
        Part::Reasoning => filled(r#"{"type":"thinking","thinking":"@","signature":"@"}"#, &[&text, &hex(tale.id)]),
        Part::Text => filled(r#"{"type":"text","text":"@"}"#, &[&text]),
        Part::Tool => filled(
            r#"{"type":"tool_use","id":"toolu_@","name":"@","input":{"text":"@"}}"#,
            &[&hex(tale.id), &TOOL, &text],
        ),
    }
}

fn delta(index: usize, delta: &str, usage: &str, out: &mut Events<'_>) {
    let sample = r#"{"type":"content_block_delta","index":@,"delta":{@}@}"#;
    out.named("content_block_delta", sample, &[&index, &delta, &usage]);
}

fn partial_json(index: usize, piece: &str, usage: &str, out: &mut Events<'_>) {
    delta(index, &filled(r#""type":"input_json_delta","partial_json":"@""#, &[&piece]), usage, out);
}

impl Dialect for Messages {
    fn read(&self, call: &Call<'_>) -> Result<Ask, Refusal> {
        let body: Body<'_> = call.json()?;
        let messages = body.messages.filter(|messages| !messages.is_empty());
        let messages = messages.ok_or_else(|| Refusal::of("messages", "messages: at least one message is required"))?;
        let prompt = body.system.into_iter().chain(messages.into_iter().map(|message| message.content)).collect();
        if body.max_tokens.is_none() {
            return Err(Refusal::of("max_tokens", "max_tokens: Field required"));
        }
        let ask = call.ask(named(body.model)?, &prompt, body.max_tokens, "max_tokens")?;
        Ok(Ask { stream: body.stream.unwrap_or(false), ..ask })
    }

    fn whole(&self, tale: &Tale<'_>, out: &mut Vec<u8>) {
        let blocks: Vec<String> = tale.spans.iter().map(|span| block(tale, span)).collect();
        fill(
            out,
            r#"{"id":"msg_@","type":"message","role":"assistant","model":@,"content":[@],"stop_reason":"@","stop_sequence":null@}"#,
            &[&hex(tale.id), &tale.model, &blocks.join(","), &stop_reason(tale), &usage(tale, tale.ask.tokens)],
        );
    }

    fn open(&self, tale: &Tale<'_>, out: &mut Events<'_>) {
        out.named(
            "message_start",
            r#"{"type":"message_start","message":{"id":"msg_@","type":"message","role":"assistant","model":@,"content":[],"stop_reason":null,"stop_sequence":null@}}"#,
            &[&hex(tale.id), &tale.model, &usage(tale, 0)],
        );
        out.named("ping", r#"{"type":"ping"}"#, &[]);
    }

    fn begin(&self, tale: &Tale<'_>, span: &Span, _choice: usize, out: &mut Events<'_>) {
        let block = match span.part {
            Part::Reasoning => r#"{"type":"thinking","thinking":"","signature":""}"#.to_owned(),
            Part::Text => r#"{"type":"text","text":""}"#.to_owned(),
            Part::Tool => {
                filled(r#"{"type":"tool_use","id":"toolu_@","name":"@","input":{}}"#, &[&hex(tale.id), &TOOL])
            }
        };
        let sample = r#"{"type":"content_block_start","index":@,"content_block":@}"#;
        out.named("content_block_start", sample, &[&span.index, &block]);
        if span.part == Part::Tool {
            partial_json(span.index, super::ARGUMENTS_BEFORE, "", out);
        }
    }

    fn delta(&self, tale: &Tale<'_>, said: &Delta, out: &mut Events<'_>) {
        let usage = if tale.has(Habit::UsageEveryChunk) { usage(tale, said.reached) } else { String::new() };
        let text = &said.text;
        match said.part {
            Part::Reasoning => {
                delta(said.index, &filled(r#""type":"thinking_delta","thinking":"@""#, &[text]), &usage, out);
            }
            Part::Text => delta(said.index, &filled(r#""type":"text_delta","text":"@""#, &[text]), &usage, out),
            Part::Tool => partial_json(said.index, text, &usage, out),
        }
    }

    fn end(&self, tale: &Tale<'_>, span: &Span, _choice: usize, out: &mut Events<'_>) {
        match span.part {
            Part::Reasoning => {
                let signature = filled(r#""type":"signature_delta","signature":"@""#, &[&hex(tale.id)]);
                delta(span.index, &signature, "", out);
            }
            Part::Tool => partial_json(span.index, super::ARGUMENTS_AFTER, "", out),
            Part::Text => {}
        }
        out.named("content_block_stop", r#"{"type":"content_block_stop","index":@}"#, &[&span.index]);
    }

    fn close(&self, tale: &Tale<'_>, out: &mut Events<'_>) {
        out.named(
            "message_delta",
            r#"{"type":"message_delta","delta":{"stop_reason":"@","stop_sequence":null}@}"#,
            &[&stop_reason(tale), &usage(tale, tale.ask.tokens)],
        );
        out.named("message_stop", r#"{"type":"message_stop"}"#, &[]);
    }

    fn stream_error(&self, _tale: &Tale<'_>, refusal: &Refusal, out: &mut Events<'_>) {
        out.body(Some("error"), &refusal.body(self.errors()));
    }

    fn errors(&self) -> Shape {
        Shape::Anthropic
    }
}
