//! The `kserve` endpoint: generation as KServe's protocol v2 and Triton have it.

use crate::{
    body::json,
    listed::encode,
    table::{Api, Holds, Member, Shape},
    turns::{prompt, streams},
};
use inferometer_plugin_sdk::{
    Component, NoOptions, RVec,
    api::Endpoint,
    documents::{EndpointInfo, Framing},
    types::{Answer, Delta, ErrorKind, Event, Outgoing, Reply, Request, Result},
};

/// Speaks `/v2/models/{model}/generate`, and `generate_stream` for streams.
///
/// The API knows no conversation: all texts become one, blank lines between them. Streams end without a word.
pub struct Kserve;

inferometer_plugin_sdk::endpoint! {
    name: "kserve",
    summary: "KServe's and Triton's generate (/v2/models/{model}/generate).",
    component: Kserve
}

impl Component for Kserve {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl Endpoint for Kserve {
    fn info(&self) -> EndpointInfo {
        EndpointInfo {
            path: "/v2/models/{model}/generate".to_owned(),
            streaming_path: Some("/v2/models/{model}/generate_stream".to_owned()),
            streams: true,
            framing: Framing::Sse,
            produces_tokens: true,
            tokenizes_input: true,
            ends_explicitly: false,
            ..EndpointInfo::default()
        }
    }

    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        encode(request, out, |body, request| {
            body.member("text_input", json(&prompt(request, "kserve", "\n\n")?))?;
            body.object("parameters", |parameters| {
                if request.max_tokens != 0 {
                    parameters.member("max_tokens", json(&request.max_tokens))?;
                }
                parameters.member("stream", json(&streams(request))).map(drop)
            })
        })
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
    event: Shape::new(ANSWER),
    body: Shape::new(ANSWER),
    expected: "generated text: expected a JSON object with `text_output`",
};

const ANSWER: &[Member] = &[Member::new("text_output", Holds::Text)];
