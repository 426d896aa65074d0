//! The `huggingface-generate` endpoint: text generation as Hugging Face's servers offer it.

use crate::{
    body::{Object, json},
    table::{Api, Holds, Member, Shape},
    turns::prompt,
    usage::Part,
};
use inferometer_plugin_sdk::{
    Component, NoOptions, RVec,
    api::Endpoint,
    documents::{EndpointInfo, Framing},
    types::{Answer, Delta, ErrorKind, Event, Outgoing, Reply, Request, Result, delta_flags},
};

/// Speaks `/generate`, and `/generate_stream` for streams.
///
/// The API knows no conversation and no model: all texts become one, blanks between them. The extras are parameters.
pub struct HuggingfaceGenerate;

inferometer_plugin_sdk::endpoint! {
    name: "huggingface-generate",
    summary: "Hugging Face's text generation (/generate).",
    component: HuggingfaceGenerate
}

impl Component for HuggingfaceGenerate {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl Endpoint for HuggingfaceGenerate {
    fn info(&self) -> EndpointInfo {
        EndpointInfo {
            path: "/generate".to_owned(),
            streaming_path: Some("/generate_stream".to_owned()),
            streams: true,
            framing: Framing::Sse,
            produces_tokens: true,
            tokenizes_input: true,
            ends_explicitly: true,
            ..EndpointInfo::default()
        }
    }

    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        out.body.clear();
        if !request.raw_body.is_empty() {
            out.body.extend_from_slice(&request.raw_body);
            return Ok(());
        }
        let mut body = Object::open(&mut out.body, "")?;
        body.member("inputs", json(&prompt(request, "huggingface-generate", " ")?))?;
        body.member("parameters", |out| {
            let mut parameters = Object::open(out, request.extra_json.as_str())?;
            if request.max_tokens != 0 {
                parameters.member("max_new_tokens", json(&request.max_tokens))?;
            }
            parameters.extras()?;
            parameters.close();
            Ok(())
        })?;
        body.close();
        Ok(())
    }

    #[inline]
    fn on_event(&self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind> {
        API.on_event(event, out, scratch)
    }

    fn on_body(&self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        API.on_body(answer, out)
    }
}

pub(crate) static API: Api = Api {
    // The last event repeats the whole text, by which it says that it is the last.
    event: Shape::new(&[
        Member::new("token", Holds::Within(&TOKEN)),
        Member::new("generated_text", Holds::Mark(delta_flags::FINISH)),
        Member::new("details", Holds::Within(&DETAILS)),
    ]),
    body: Shape::new(&[Member::new("generated_text", Holds::Text), Member::new("details", Holds::Within(&DETAILS))]),
    expected: "generated text: expected a JSON object with `generated_text`",
};

/// A special token, such as the end of a sequence, is no part of the answer.
static TOKEN: Shape = Shape::by("special", &[Member::new("text", Holds::Text).unless(&["true"])]);

static DETAILS: Shape = Shape::new(&[
    Member::new("finish_reason", Holds::Mark(delta_flags::FINISH)),
    Member::new("generated_tokens", Holds::Count(Part::GeneratedTokens)),
    Member::new("input_length", Holds::Count(Part::InputLength)),
]);
