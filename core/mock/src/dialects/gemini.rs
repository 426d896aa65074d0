//! Google's Gemini: `generateContent`, and its stream as events (`?alt=sse`) or as one JSON array.

use serde::Deserialize;

use super::{Dialect, TOOL, hex};
use crate::ask::{Ask, Call, choices};
use crate::fill::{fill, filled};
use crate::framing::{Events, Kind};
use crate::prompt::Prompt;
use crate::refusal::{Refusal, Shape};
use crate::tell::{Delta, Part, Tale};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow, alias = "system_instruction")]
    system_instruction: Option<Prompt<'a>>,
    #[serde(borrow)]
    contents: Option<Prompt<'a>>,
    #[serde(alias = "generation_config")]
    generation_config: Option<Generation>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Generation {
    #[serde(alias = "max_output_tokens")]
    max_output_tokens: Option<u64>,
    #[serde(alias = "candidate_count")]
    candidate_count: Option<u64>,
}

/// `/v1beta/models/{model}:generateContent` and `:streamGenerateContent`.
pub(crate) struct Gemini;

fn part(part: Part, text: &str) -> String {
    match part {
        Part::Reasoning => filled(r#"{"text":"@","thought":true}"#, &[&text]),
        Part::Text => filled(r#"{"text":"@"}"#, &[&text]),
        // Calls come whole, so every piece of a stream is a call of its own.
        Part::Tool => filled(r#"{"functionCall":{"name":"@","args":{"text":"@"}}}"#, &[&TOOL, &text]),
    }
}

fn candidate(index: usize, parts: &str, finish: Option<&str>) -> String {
    let finish = finish.map_or_else(String::new, |finish| filled(r#","finishReason":"@""#, &[&finish]));
    filled(r#"{"content":{"parts":[@],"role":"model"}@,"index":@}"#, &[&parts, &finish, &index])
}

fn finish(tale: &Tale<'_>) -> &'static str {
    tale.finish("MAX_TOKENS", "STOP", "STOP")
}

/// What follows the candidates. Thoughts are counted apart.
fn tail(tale: &Tale<'_>, reached: usize) -> String {
    let thoughts = tale.reasoning_tokens().min(reached) * tale.ask.choices;
    let candidates = reached * tale.ask.choices - thoughts;
    let mut tail = String::new();
    if tale.usage {
        let prompt = tale.ask.prompt_tokens;
        let thought = if thoughts > 0 { format!(",\"thoughtsTokenCount\":{thoughts}") } else { String::new() };
        tail = filled(
            r#","usageMetadata":{"promptTokenCount":@,"candidatesTokenCount":@@,"totalTokenCount":@}"#,
            &[&prompt, &candidates, &thought, &(prompt + (candidates + thoughts) as u64)],
        );
    }
    tail + &filled(r#","modelVersion":@,"responseId":"@""#, &[&tale.model, &hex(tale.id)])
}

impl Dialect for Gemini {
    fn read(&self, call: &Call<'_>) -> Result<Ask, Refusal> {
        let body: Body<'_> = call.json()?;
        let contents = body.contents.ok_or_else(|| Refusal::of("contents", "contents is not specified"))?;
        let prompt = body.system_instruction.into_iter().chain([contents]).collect();
        let generation = body.generation_config.unwrap_or_default();
        let choices = choices(generation.candidate_count, "candidateCount")?;
        let model = call.model.unwrap_or(call.default_model).to_owned();
        let ask = call.ask(model, &prompt, generation.max_output_tokens, "maxOutputTokens")?;
        let events = call.request.query.split('&').any(|pair| pair == "alt=sse");
        Ok(Ask { choices, kind: if events { Kind::Events } else { Kind::Array }, ..ask })
    }

    fn whole(&self, tale: &Tale<'_>, out: &mut Vec<u8>) {
        let parts: Vec<String> = tale.spans.iter().map(|span| part(span.part, &span.text())).collect();
        let parts = parts.join(",");
        let candidates: Vec<String> =
            (0..tale.ask.choices).map(|index| candidate(index, &parts, Some(finish(tale)))).collect();
        fill(out, r#"{"candidates":[@]@}"#, &[&candidates.join(","), &tail(tale, tale.ask.tokens)]);
    }

    fn delta(&self, tale: &Tale<'_>, delta: &Delta, out: &mut Events<'_>) {
        let finish = delta.ends.then(|| finish(tale));
        let candidate = candidate(delta.choice, &part(delta.part, &delta.text), finish);
        out.data(r#"{"candidates":[@]@}"#, &[&candidate, &tail(tale, delta.reached)]);
    }

    /// The last content has said all.
    fn close(&self, _tale: &Tale<'_>, _out: &mut Events<'_>) {}

    fn errors(&self) -> Shape {
        Shape::Google
    }
}
