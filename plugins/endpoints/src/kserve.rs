//! The `kserve` endpoint: generation as KServe's protocol v2 and Triton have it.

use crate::{
    body::{self, json},
    speaks::{self, speaks},
    table::{Api, Holds, Member, Shape},
    turns::{prompt, streams},
};
use inferometer_plugin_sdk::{
    documents::EndpointInfo,
    types::{Outgoing, Request, Result},
};

speaks! {
    /// Speaks `/v2/models/{model}/generate`, and `generate_stream` for streams.
    ///
    /// The API knows no conversation: all texts become one, blank lines between them. Streams end without a word.
    Kserve, "kserve", "KServe's and Triton's generate (/v2/models/{model}/generate).",
    info: EndpointInfo {
        streaming_path: Some("/v2/models/{model}/generate_stream".to_owned()),
        ends_explicitly: false,
        ..speaks::text("/v2/models/{model}/generate")
    },
    encode: encode,
    answers: &API,
}

pub(crate) static API: Api = Api {
    event: Shape::new(ANSWER),
    body: Shape::new(ANSWER),
    expected: "generated text: expected a JSON object with `text_output`",
};

const ANSWER: &[Member] = &[Member::new("text_output", Holds::Text)];

fn encode(request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
    body::encode(request, out, |body| {
        body.member("text_input", json(&prompt(request, "kserve", "\n\n")?))?;
        body.nested("parameters", |parameters| {
            if request.max_tokens != 0 {
                parameters.member("max_tokens", json(&request.max_tokens))?;
            }
            parameters.member("stream", json(&streams(request))).map(drop)
        })
    })
}
