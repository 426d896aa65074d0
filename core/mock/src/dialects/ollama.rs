//! Ollama's chat and generation: JSON lines, and a stream unless the request says otherwise.

use serde::Deserialize;

use super::{CREATED_AT, Dialect, TOOL};
use crate::ask::{Ask, Call, named};
use crate::fill::{fill, filled};
use crate::framing::{Events, Kind};
use crate::prompt::Prompt;
use crate::refusal::{Refusal, Shape};
use crate::tell::{Delta, Part, Tale};

#[derive(Deserialize)]
struct Body<'a> {
    model: Option<String>,
    #[serde(borrow)]
    messages: Option<Vec<Message<'a>>>,
    #[serde(borrow)]
    system: Option<Prompt<'a>>,
    #[serde(borrow)]
    prompt: Option<Prompt<'a>>,
    options: Option<Options>,
    stream: Option<bool>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Prompt<'a>,
}

#[derive(Deserialize)]
struct Options {
    num_predict: Option<i64>,
}

/// `/api/chat` and `/api/generate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ollama {
    Chat,
    Generate,
}

impl Ollama {
    /// The members of a line that hold these words.
    fn said(self, part: Part, text: &str) -> String {
        match (self, part) {
            (Self::Generate, Part::Reasoning) => filled(r#""response":"","thinking":"@""#, &[&text]),
            (Self::Generate, _) => filled(r#""response":"@""#, &[&text]),
            (Self::Chat, Part::Reasoning) => {
                filled(r#""message":{"role":"assistant","content":"","thinking":"@"}"#, &[&text])
            }
            (Self::Chat, Part::Text) => filled(r#""message":{"role":"assistant","content":"@"}"#, &[&text]),
            // Calls come whole, so every piece of a stream is a call of its own.
            (Self::Chat, Part::Tool) => {
                filled(r#""message":{"role":"assistant","content":"","tool_calls":[@]}"#, &[&tool_call(text)])
            }
        }
    }
}

fn tool_call(text: &str) -> String {
    filled(r#"{"function":{"name":"@","arguments":{"text":"@"}}}"#, &[&TOOL, &text])
}

/// What ends the last line, with durations that no clock was asked for.
fn end(tale: &Tale<'_>) -> String {
    let usage = if tale.usage {
        filled(
            r#","total_duration":2,"load_duration":0,"prompt_eval_count":@,"prompt_eval_duration":1,"eval_count":@,"eval_duration":1"#,
            &[&tale.ask.prompt_tokens, &tale.ask.tokens],
        )
    } else {
        String::new()
    };
    filled(r#","done_reason":"@","done":true@"#, &[&tale.finish("length", "stop", "stop"), &usage])
}

impl Dialect for Ollama {
    fn read(&self, call: &Call<'_>) -> Result<Ask, Refusal> {
        let body: Body<'_> = call.json()?;
        let prompt = match self {
            Self::Chat => {
                let messages = body.messages.ok_or_else(|| Refusal::of("messages", "messages are required"))?;
                messages.into_iter().map(|message| message.content).collect()
            }
            Self::Generate => {
                let prompt = body.prompt.ok_or_else(|| Refusal::of("prompt", "a prompt is required"))?;
                body.system.into_iter().chain([prompt]).collect()
            }
        };
        // Negative numbers mean no limit.
        let asked = body.options.and_then(|options| options.num_predict).and_then(|limit| u64::try_from(limit).ok());
        let ask = call.ask(named(body.model)?, &prompt, asked, "num_predict")?;
        Ok(Ask { stream: body.stream.unwrap_or(true), kind: Kind::Lines, ..ask })
    }

    fn whole(&self, tale: &Tale<'_>, out: &mut Vec<u8>) {
        let thinking =
            tale.span(Part::Reasoning).map_or_else(String::new, |span| filled(r#","thinking":"@""#, &[&span.text()]));
        let text = tale.text(Part::Text);
        let said = match self {
            Self::Generate => {
                let text = text + &tale.text(Part::Tool);
                filled(r#""response":"@"@"#, &[&text, &thinking])
            }
            Self::Chat => {
                let calls = tale
                    .span(Part::Tool)
                    .map_or_else(String::new, |span| filled(r#","tool_calls":[@]"#, &[&tool_call(&span.text())]));
                filled(r#""message":{"role":"assistant","content":"@"@@}"#, &[&text, &thinking, &calls])
            }
        };
        fill(out, r#"{"model":@,"created_at":"@",@@}"#, &[&tale.model, &CREATED_AT, &said, &end(tale)]);
    }

    fn delta(&self, tale: &Tale<'_>, delta: &Delta, out: &mut Events<'_>) {
        let said = self.said(delta.part, &delta.text);
        out.data(r#"{"model":@,"created_at":"@",@,"done":false}"#, &[&tale.model, &CREATED_AT, &said]);
    }

    fn close(&self, tale: &Tale<'_>, out: &mut Events<'_>) {
        let said = self.said(Part::Text, "");
        out.data(r#"{"model":@,"created_at":"@",@@}"#, &[&tale.model, &CREATED_AT, &said, &end(tale)]);
    }

    fn errors(&self) -> Shape {
        Shape::Bare
    }
}
