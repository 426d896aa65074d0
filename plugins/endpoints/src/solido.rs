//! The `solido-rag` endpoint: questions to Solido's retrieval-augmented generation.

use crate::{
    body::{self, json},
    parts::Parts,
    speaks::{self, speaks},
    table::{Api, Holds, Member, Shape},
    turns::strings,
};
use inferometer_plugin_sdk::{
    documents::EndpointInfo,
    types::{Outgoing, PartKind, Request, Result},
};

speaks! {
    /// Speaks `/rag/api/prompt`.
    ///
    /// The API knows no conversation: of a longer one it is sent the last message. Nor does it know a limit of tokens.
    /// Streams end without a word.
    SolidoRag, "solido-rag", "Solido's retrieval-augmented generation (/rag/api/prompt).",
    info: EndpointInfo { ends_explicitly: false, ..speaks::text("/rag/api/prompt") },
    encode: encode,
    answers: &API,
}

pub(crate) static API: Api = Api {
    event: Shape::new(ANSWER),
    body: Shape::new(ANSWER),
    expected: "answer of Solido's: expected a JSON object with `content`",
};

const ANSWER: &[Member] = &[Member::new("content", Holds::Text)];

fn encode(request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
    body::encode(request, out, |body| {
        let parts = Parts::of(request, "solido-rag").only(&[PartKind::TEXT], "text")?;
        let texts: Vec<&str> = parts.texts().collect();
        body.member("query", json(&texts))?;
        body.member("filters", |out| strings(out, &[("family", "Solido"), ("tool", "SDE")]))?;
        body.member("inference_model", json(request.model.as_str())).map(drop)
    })
}
