//! The `solido-rag` endpoint: questions to Solido's retrieval-augmented generation.

use crate::{
    body::{json, list},
    listed::encode,
    parts::Parts,
    table::{Api, Holds, Member, Shape},
    turns::strings,
};
use inferometer_plugin_sdk::{
    Component, NoOptions, RVec,
    api::Endpoint,
    documents::{EndpointInfo, Framing},
    types::{Answer, Delta, ErrorKind, Event, Outgoing, PartKind, Reply, Request, Result},
};

/// Speaks `/rag/api/prompt`.
///
/// The API knows no conversation: of a longer one it is sent the last message. Nor does it know a limit of tokens. Streams end
/// without a word.
pub struct SolidoRag;

inferometer_plugin_sdk::endpoint! {
    name: "solido-rag",
    summary: "Solido's retrieval-augmented generation (/rag/api/prompt).",
    component: SolidoRag
}

impl Component for SolidoRag {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl Endpoint for SolidoRag {
    fn info(&self) -> EndpointInfo {
        EndpointInfo {
            path: "/rag/api/prompt".to_owned(),
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
            let parts = Parts::of(request, "solido-rag").only(&[PartKind::TEXT], "text")?;
            let texts: Vec<&str> = parts.texts().collect();
            body.member("query", |out| list(out, &texts, |out, text| json(text)(out)))?;
            body.member("filters", |out| strings(out, &[("family", "Solido"), ("tool", "SDE")]))?;
            body.member("inference_model", json(request.model.as_str())).map(drop)
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
    expected: "answer of Solido's: expected a JSON object with `content`",
};

const ANSWER: &[Member] = &[Member::new("content", Holds::Text)];
