//! The `huggingface-generate` endpoint: text generation as Hugging Face's servers offer it.

use crate::{
    body::{self, json},
    speaks::{self, speaks},
    table::{Api, Holds, Member, Shape},
    turns::prompt,
    usage::Part,
};
use inferometer_plugin_sdk::{
    documents::EndpointInfo,
    types::{Outgoing, Request, Result, delta_flags},
};

speaks! {
    /// Speaks `/generate`, and `/generate_stream` for streams.
    ///
    /// The API knows no conversation and no model: all texts become one, blanks between them. The extras are parameters.
    HuggingfaceGenerate, "huggingface-generate", "Hugging Face's text generation (/generate).",
    info: EndpointInfo { streaming_path: Some("/generate_stream".to_owned()), ..speaks::text("/generate") },
    encode: encode,
    answers: &API,
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

fn encode(request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
    body::encode_with(request, "", out, |body| {
        body.member("inputs", json(&prompt(request, "huggingface-generate", " ")?))?;
        let parameters = |out: &mut _| {
            body::object(out, request.extra_json.as_str(), |parameters| {
                if request.max_tokens != 0 {
                    parameters.member("max_new_tokens", json(&request.max_tokens))?;
                }
                Ok(())
            })
        };
        body.member("parameters", parameters).map(drop)
    })
}
