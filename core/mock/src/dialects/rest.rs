//! Smaller APIs that generate text: Hugging Face TGI, KServe as Triton extends it, and Solido's retrieval.

use serde::Deserialize;

use super::Dialect;
use crate::ask::{Ask, Call};
use crate::fill::{fill, filled};
use crate::framing::{Events, Kind};
use crate::prompt::Prompt;
use crate::refusal::{Refusal, Shape};
use crate::tell::{Delta, Part, Tale};

/// Hugging Face's `/generate` and `/generate_stream`.
pub(crate) struct Tgi;

#[derive(Deserialize)]
struct TgiBody<'a> {
    model: Option<String>,
    #[serde(borrow)]
    inputs: Option<Prompt<'a>>,
    parameters: Option<TgiParameters>,
    stream: Option<bool>,
}

#[derive(Deserialize)]
struct TgiParameters {
    max_new_tokens: Option<u64>,
}

/// What an answer says of itself at its end.
fn details(tale: &Tale<'_>) -> String {
    if !tale.usage {
        return "null".to_owned();
    }
    let finish = tale.finish("length", "eos_token", "eos_token");
    filled(
        r#"{"finish_reason":"@","generated_tokens":@,"seed":null,"input_length":@}"#,
        &[&finish, &tale.ask.tokens, &tale.ask.prompt_tokens],
    )
}

impl Dialect for Tgi {
    fn read(&self, call: &Call<'_>) -> Result<Ask, Refusal> {
        let body: TgiBody<'_> = call.json()?;
        let prompt = body.inputs.ok_or_else(|| Refusal::of("inputs", "inputs are required"))?;
        let asked = body.parameters.and_then(|parameters| parameters.max_new_tokens);
        let model = body.model.unwrap_or_else(|| call.default_model.to_owned());
        let ask = call.ask(model, &prompt, asked, "max_new_tokens")?;
        Ok(Ask { stream: call.stream || body.stream.unwrap_or(false), kind: Kind::TightEvents, ..ask })
    }

    fn whole(&self, tale: &Tale<'_>, out: &mut Vec<u8>) {
        fill(out, r#"{"generated_text":"@","details":@}"#, &[&tale.text(Part::Text), &details(tale)]);
    }

    fn delta(&self, tale: &Tale<'_>, delta: &Delta, out: &mut Events<'_>) {
        let (text, details) = if delta.ends {
            (format!("\"{}\"", tale.text(Part::Text)), details(tale))
        } else {
            ("null".to_owned(), "null".to_owned())
        };
        out.data(
            r#"{"index":@,"token":{"id":@,"text":"@","logprob":-0.5,"special":false},"generated_text":@,"details":@}"#,
            &[&delta.reached, &delta.reached, &delta.text, &text, &details],
        );
    }

    /// The last token has said all.
    fn close(&self, _tale: &Tale<'_>, _out: &mut Events<'_>) {}

    fn errors(&self) -> Shape {
        Shape::HuggingFace
    }

    fn has_parts(&self) -> bool {
        false
    }
}

/// Triton's `/v2/models/{model}/generate` and `generate_stream`.
pub(crate) struct Triton;

#[derive(Deserialize)]
struct TritonBody<'a> {
    #[serde(borrow)]
    text_input: Option<Prompt<'a>>,
    max_tokens: Option<u64>,
    parameters: Option<TritonParameters>,
}

#[derive(Deserialize)]
struct TritonParameters {
    max_tokens: Option<u64>,
}

fn text_output(tale: &Tale<'_>, text: &str) -> String {
    filled(r#"{"model_name":@,"model_version":"1","text_output":"@"}"#, &[&tale.model, &text])
}

impl Dialect for Triton {
    fn read(&self, call: &Call<'_>) -> Result<Ask, Refusal> {
        let body: TritonBody<'_> = call.json()?;
        let prompt = body.text_input.ok_or_else(|| Refusal::of("text_input", "a text_input is required"))?;
        let asked = body.max_tokens.or_else(|| body.parameters.and_then(|parameters| parameters.max_tokens));
        let model = call.model.unwrap_or(call.default_model).to_owned();
        call.ask(model, &prompt, asked, "max_tokens")
    }

    fn whole(&self, tale: &Tale<'_>, out: &mut Vec<u8>) {
        fill(out, "@", &[&text_output(tale, &tale.text(Part::Text))]);
    }

    fn delta(&self, tale: &Tale<'_>, delta: &Delta, out: &mut Events<'_>) {
        out.data("@", &[&text_output(tale, &delta.text)]);
    }

    /// This API ends its streams without a word.
    fn close(&self, _tale: &Tale<'_>, _out: &mut Events<'_>) {}

    fn errors(&self) -> Shape {
        Shape::Bare
    }

    fn has_parts(&self) -> bool {
        false
    }
}

/// Solido's `/rag/api/prompt`. It streams to clients that accept events.
pub(crate) struct Solido;

#[derive(Deserialize)]
struct SolidoBody<'a> {
    #[serde(borrow)]
    query: Option<Prompt<'a>>,
    inference_model: Option<String>,
    stream: Option<bool>,
}

const SOURCES: &str = r#"[{"title":"mock","url":"http://mock.invalid/1","score":0.5}]"#;

impl Dialect for Solido {
    fn read(&self, call: &Call<'_>) -> Result<Ask, Refusal> {
        let body: SolidoBody<'_> = call.json()?;
        let query = body.query.ok_or_else(|| Refusal::of("query", "a query is required"))?;
        let model = body.inference_model.unwrap_or_else(|| call.default_model.to_owned());
        let ask = call.ask(model, &query, None, "max_tokens")?;
        Ok(Ask { stream: body.stream.unwrap_or(call.request.accepts_events), ..ask })
    }

    fn whole(&self, tale: &Tale<'_>, out: &mut Vec<u8>) {
        fill(out, r#"{"content":"@","sources":@}"#, &[&tale.text(Part::Text), &SOURCES]);
    }

    fn delta(&self, _tale: &Tale<'_>, delta: &Delta, out: &mut Events<'_>) {
        out.data(r#"{"content":"@"}"#, &[&delta.text]);
    }

    fn close(&self, _tale: &Tale<'_>, out: &mut Events<'_>) {
        out.data(r#"{"content":"","sources":@}"#, &[&SOURCES]);
    }

    fn errors(&self) -> Shape {
        Shape::Detail
    }

    fn has_parts(&self) -> bool {
        false
    }
}
