//! OpenAI's chat and text completions. The usual stream of either is copied (see `sse`) and equal to what is said here.

use serde::Deserialize;
use serde_json::json;

use super::{ARGUMENTS_AFTER, ARGUMENTS_BEFORE, CREATED, Dialect, TOOL, escaped_arguments, hex};
use crate::ask::{Ask, Call, choices, named};
use crate::fill::filled;
use crate::framing::Events;
use crate::habits::Habit;
use crate::http::append;
use crate::prompt::Prompt;
use crate::refusal::{Refusal, Shape};
use crate::tell::{Delta, Part, Span, Tale};
use crate::words;

/// The two generation routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Chat,
    Completions,
}

impl Api {
    pub(crate) fn id_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl-",
            Self::Completions => "cmpl-",
        }
    }
}

/// Token counts of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) prompt: u64,
    pub(crate) completion: usize,
}

impl Usage {
    /// Appends it as a JSON object.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let Self { prompt, completion } = self;
        let total = prompt + completion as u64;
        append(
            out,
            format_args!("{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},\"total_tokens\":{total}}}"),
        );
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    model: Option<String>,
    #[serde(borrow)]
    messages: Option<Vec<Message<'a>>>,
    #[serde(borrow)]
    prompt: Option<Prompt<'a>>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    n: Option<u64>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Prompt<'a>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// One of the two routes.
pub(crate) struct OpenAi(pub(crate) Api);

impl OpenAi {
    /// An event with these choices, of an answer that has reached so many tokens of each choice.
    fn event(&self, tale: &Tale<'_>, choices: &str, reached: usize, ends: bool, out: &mut Events<'_>) {
        let usage = if tells_usage(tale) && (tale.has(Habit::UsageEveryChunk) || ends) {
            format!(",\"usage\":{}", usage(tale, reached))
        } else if tale.has(Habit::NullUsage) {
            ",\"usage\":null".to_owned()
        } else {
            String::new()
        };
        let object = match self.0 {
            Api::Chat => "chat.completion.chunk",
            Api::Completions => "text_completion",
        };
        out.data(
            r#"{"id":"@@","object":"@","created":@,"model":@,"choices":[@]@}"#,
            &[&self.0.id_prefix(), &hex(tale.id), &object, &CREATED, &tale.model, &choices, &usage],
        );
    }

    /// One choice of a chat event.
    fn chat(&self, tale: &Tale<'_>, choice: usize, delta: &str, reached: usize, out: &mut Events<'_>) {
        self.event(tale, &chat_choice(choice, delta, "null"), reached, false, out);
    }
}

fn chat_choice(choice: usize, delta: &str, finish: &str) -> String {
    filled(r#"{"index":@,"delta":{@},"logprobs":null,"finish_reason":@}"#, &[&choice, &delta, &finish])
}

fn finish(tale: &Tale<'_>) -> String {
    format!("\"{}\"", tale.finish("length", "stop", "tool_calls"))
}

fn reasoning_name(tale: &Tale<'_>) -> &'static str {
    if tale.has(Habit::ReasoningContent) { "reasoning_content" } else { "reasoning" }
}

/// Whether a stream's usage is told.
fn tells_usage(tale: &Tale<'_>) -> bool {
    let unasked = [Habit::UsageUnasked, Habit::UsageEveryChunk, Habit::UsageWithFinish];
    tale.usage && (tale.ask.include_usage || unasked.into_iter().any(|habit| tale.has(habit)))
}

fn usage(tale: &Tale<'_>, reached: usize) -> String {
    let mut out = Vec::new();
    Usage { prompt: tale.ask.prompt_tokens, completion: reached * tale.ask.choices }.write(&mut out);
    String::from_utf8(out).expect("numbers are text")
}

/// Whether the finish reason comes with the last token; a tool call has still to be closed then.
fn finishes_early(tale: &Tale<'_>) -> bool {
    tale.has(Habit::FinishWithLastToken) && tale.span(Part::Tool).is_none()
}

impl Dialect for OpenAi {
    fn read(&self, call: &Call<'_>) -> Result<Ask, Refusal> {
        let body: Body<'_> = call.json()?;
        let prompt = match (self.0, body.messages, body.prompt) {
            (Api::Chat, Some(messages), _) if !messages.is_empty() => {
                messages.into_iter().map(|message| message.content).collect()
            }
            (Api::Chat, ..) => return Err(Refusal::of("messages", "messages must be a list of at least one message")),
            (Api::Completions, _, Some(prompt)) => prompt,
            (Api::Completions, ..) => return Err(Refusal::of("prompt", "a prompt is required")),
        };
        let choices = choices(body.n, "n")?;
        let asked = [body.max_tokens, body.max_completion_tokens].into_iter().flatten().min();
        let ask = call.ask(named(body.model)?, &prompt, asked, "max_tokens")?;
        Ok(Ask {
            stream: body.stream.unwrap_or(false),
            include_usage: body.stream_options.and_then(|options| options.include_usage).unwrap_or(false),
            choices,
            ..ask
        })
    }

    fn whole(&self, tale: &Tale<'_>, out: &mut Vec<u8>) {
        out.reserve(512 + 8 * tale.completion());
        let object = if self.0 == Api::Chat { "chat.completion" } else { "text_completion" };
        let (prefix, id) = (self.0.id_prefix(), tale.id);
        // Load tests ask for this, so it is written straight through; only what is rare is put together first.
        append(
            out,
            format_args!(
                "{{\"id\":\"{prefix}{id:016x}\",\"object\":\"{object}\",\"created\":{CREATED},\"model\":{},\"choices\":[",
                tale.model
            ),
        );
        let finish = tale.finish("length", "stop", "tool_calls");
        for choice in 0..tale.ask.choices {
            let comma = if choice > 0 { "," } else { "" };
            append(out, format_args!("{comma}{{\"index\":{choice},"));
            let (before, after): (&[u8], &[u8]) = match self.0 {
                Api::Chat => (b"\"message\":{\"role\":\"assistant\",\"content\":\"", b"\"}"),
                Api::Completions => (b"\"text\":\"", b"\""),
            };
            match &tale.spans[..] {
                [Span { part: Part::Text, tokens, .. }] => {
                    out.extend_from_slice(before);
                    words::push(out, tokens.start, tokens.len());
                    out.extend_from_slice(after);
                }
                _ => out.extend_from_slice(message(tale).as_bytes()),
            }
            append(out, format_args!(",\"logprobs\":null,\"finish_reason\":\"{finish}\"}}"));
        }
        out.push(b']');
        if tale.usage {
            out.extend_from_slice(b",\"usage\":");
            Usage { prompt: tale.ask.prompt_tokens, completion: tale.completion() }.write(out);
        }
        out.push(b'}');
    }

    fn open(&self, tale: &Tale<'_>, out: &mut Events<'_>) {
        if self.0 == Api::Chat && !tale.has(Habit::NoRole) && !tale.has(Habit::RoleWithFirstToken) {
            let content = if tale.has(Habit::NullContent) { "null" } else { "\"\"" };
            let delta = filled(r#""role":"assistant","content":@"#, &[&content]);
            for choice in 0..tale.ask.choices {
                self.chat(tale, choice, &delta, 0, out);
            }
        }
    }

    fn begin(&self, tale: &Tale<'_>, span: &Span, choice: usize, out: &mut Events<'_>) {
        if span.part == Part::Tool {
            let delta = filled(
                r#""tool_calls":[{"index":0,"id":"call_@","type":"function","function":{"name":"@","arguments":"@"}}]"#,
                &[&hex(tale.id), &TOOL, &ARGUMENTS_BEFORE],
            );
            self.chat(tale, choice, &delta, span.tokens.start, out);
        }
    }

    fn delta(&self, tale: &Tale<'_>, delta: &Delta, out: &mut Events<'_>) {
        let ends = delta.ends && finishes_early(tale);
        let finish = if ends { finish(tale) } else { "null".to_owned() };
        let choice = match self.0 {
            Api::Completions => {
                let sample = r#"{"index":@,"text":"@","logprobs":null,"finish_reason":@}"#;
                filled(sample, &[&delta.choice, &delta.text, &finish])
            }
            Api::Chat => {
                let role =
                    if delta.starts && tale.has(Habit::RoleWithFirstToken) { r#""role":"assistant","# } else { "" };
                let said = match delta.part {
                    Part::Text => filled(r#"@"content":"@""#, &[&role, &delta.text]),
                    Part::Reasoning => filled(r#"@"@":"@""#, &[&role, &reasoning_name(tale), &delta.text]),
                    Part::Tool => {
                        filled(r#"@"tool_calls":[{"index":0,"function":{"arguments":"@"}}]"#, &[&role, &delta.text])
                    }
                };
                chat_choice(delta.choice, &said, &finish)
            }
        };
        self.event(tale, &choice, delta.reached, ends && tale.has(Habit::UsageWithFinish), out);
    }

    fn end(&self, tale: &Tale<'_>, span: &Span, choice: usize, out: &mut Events<'_>) {
        if span.part == Part::Tool {
            let sample = r#""tool_calls":[{"index":0,"function":{"arguments":"@"}}]"#;
            self.chat(tale, choice, &filled(sample, &[&ARGUMENTS_AFTER]), span.tokens.end, out);
        }
    }

    fn close(&self, tale: &Tale<'_>, out: &mut Events<'_>) {
        let with_finish = tale.has(Habit::UsageWithFinish);
        if !finishes_early(tale) {
            for choice in 0..tale.ask.choices {
                let finish = finish(tale);
                let choice = match self.0 {
                    Api::Chat => chat_choice(choice, "", &finish),
                    Api::Completions => {
                        filled(r#"{"index":@,"text":"","logprobs":null,"finish_reason":@}"#, &[&choice, &finish])
                    }
                };
                self.event(tale, &choice, tale.ask.tokens, with_finish, out);
            }
        }
        if tells_usage(tale) && !with_finish {
            self.event(tale, "", tale.ask.tokens, true, out);
        }
    }

    fn errors(&self) -> Shape {
        Shape::OpenAi
    }

    fn says_done(&self) -> bool {
        true
    }

    fn has_parts(&self) -> bool {
        self.0 == Api::Chat
    }
}

/// The message of a plain chat answer that is more than text.
fn message(tale: &Tale<'_>) -> String {
    let text = tale.span(Part::Text).map_or_else(|| "null".to_owned(), |span| format!("\"{}\"", span.text()));
    let reasoning = tale
        .span(Part::Reasoning)
        .map_or_else(String::new, |span| filled(r#","@":"@""#, &[&reasoning_name(tale), &span.text()]));
    let tools = tale.span(Part::Tool).map_or_else(String::new, |span| {
        filled(
            r#","tool_calls":[{"id":"call_@","type":"function","function":{"name":"@","arguments":"@"}}]"#,
            &[&hex(tale.id), &TOOL, &escaped_arguments(&span.text())],
        )
    });
    filled(r#""message":{"role":"assistant","content":@@@}"#, &[&text, &reasoning, &tools])
}

/// The answer of `/v1/models`.
pub(crate) fn models(models: &[String]) -> Vec<u8> {
    let data: Vec<_> = models
        .iter()
        .map(|id| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "inferometer"}))
        .collect();
    json!({"object": "list", "data": data}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::tests::call;

    fn ask(body: &str) -> Result<Ask, Refusal> {
        let api = if body.contains("messages") { Api::Chat } else { Api::Completions };
        call(body, |call| OpenAi(api).read(call))
    }

    #[test]
    fn the_smaller_of_two_maxima_counts_and_none_means_the_default() {
        let tokens = |maxima: &str| ask(&format!(r#"{{"model":"m","prompt":"x"{maxima}}}"#)).unwrap().tokens;
        assert_eq!(tokens(""), 64);
        assert_eq!(tokens(r#","max_tokens":9"#), 9);
        assert_eq!(tokens(r#","max_tokens":9,"max_completion_tokens":7"#), 7);
        assert_eq!(tokens(r#","max_tokens":null"#), 64);
    }

    #[test]
    fn the_text_of_all_messages_is_the_prompt() {
        let chat = r#"{"model":"m","messages":[
            {"role":"system","content":"be brief"},
            {"role":"user","content":[{"type":"text","text":"what is this"},
                {"type":"image_url","image_url":{"url":"data:a b c"}}]},
            {"role":"assistant","content":null},
            {"role":"assistant"}]}"#;
        assert_eq!(ask(chat).unwrap().prompt_tokens, 5);
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_the_parameter() {
        for (body, param) in [
            (r#"{"prompt":"x"}"#, "model"),
            (r#"{"model":"m"}"#, "prompt"),
            (r#"{"model":"m","messages":[]}"#, "messages"),
            (r#"{"model":"m","prompt":"x","max_tokens":0}"#, "max_tokens"),
            (r#"{"model":"m","prompt":"x","max_tokens":99999999999}"#, "max_tokens"),
            (r#"{"model":"m","prompt":"x","n":0}"#, "n"),
        ] {
            let refusal = ask(body).unwrap_err();
            assert_eq!((refusal.status, refusal.param()), (400, Some(param)), "{body}");
        }
        assert_eq!(ask("{\"model\":").unwrap_err().status, 400);
    }
}
