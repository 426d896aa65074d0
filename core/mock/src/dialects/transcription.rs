//! OpenAI's audio transcription. Nothing is listened to: the text has the length of any other answer.

use super::Dialect;
use crate::ask::{Ask, Call, named};
use crate::fill::{fill, filled};
use crate::form::Form;
use crate::framing::Events;
use crate::http::{JSON, TEXT};
use crate::prompt::Prompt;
use crate::refusal::{Refusal, Shape};
use crate::tell::{Delta, Part, Tale};

/// `/v1/audio/transcriptions`.
pub(crate) struct Transcription;

fn usage(tale: &Tale<'_>) -> String {
    if !tale.usage {
        return String::new();
    }
    filled(
        r#","usage":{"type":"tokens","input_tokens":@,"output_tokens":@,"total_tokens":@}"#,
        &[&tale.ask.prompt_tokens, &tale.ask.tokens, &tale.total()],
    )
}

impl Dialect for Transcription {
    fn read(&self, call: &Call<'_>) -> Result<Ask, Refusal> {
        let form = Form::read(call)?;
        if !form.has("file") {
            return Err(Refusal::of("file", "a file is required, in a body of the type multipart/form-data"));
        }
        let bare = match form.text("response_format").as_deref() {
            None | Some("json" | "verbose_json") => false,
            Some("text") => true,
            Some(other) => {
                let message = format!("this server writes json, verbose_json and text, not {other}");
                return Err(Refusal::of("response_format", message));
            }
        };
        let prompt = form.text("prompt").map(Prompt::of_text).unwrap_or_default();
        let ask = call.ask(named(form.text("model"))?, &prompt, None, "max_tokens")?;
        Ok(Ask { stream: form.flag("stream")?, bare, ..ask })
    }

    fn whole(&self, tale: &Tale<'_>, out: &mut Vec<u8>) {
        let text = tale.text(Part::Text);
        if tale.ask.bare {
            fill(out, "@\n", &[&text]);
        } else {
            fill(out, r#"{"text":"@"@}"#, &[&text, &usage(tale)]);
        }
    }

    fn whole_type(&self, ask: &Ask) -> &'static str {
        if ask.bare { TEXT } else { JSON }
    }

    fn delta(&self, _tale: &Tale<'_>, delta: &Delta, out: &mut Events<'_>) {
        out.data(r#"{"type":"transcript.text.delta","delta":"@"}"#, &[&delta.text]);
    }

    fn close(&self, tale: &Tale<'_>, out: &mut Events<'_>) {
        let sample = r#"{"type":"transcript.text.done","text":"@"@}"#;
        out.data(sample, &[&tale.text(Part::Text), &usage(tale)]);
    }

    fn errors(&self) -> Shape {
        Shape::OpenAi
    }

    fn has_parts(&self) -> bool {
        false
    }
}
