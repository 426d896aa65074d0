//! The `messages` endpoint: Anthropic's Messages.

use crate::{
    body::{self, json, list},
    speaks::{self, speaks},
    table::{Api, Holds, Member, Shape},
    turns::{Split, data_uri, refused, streams, strings, typed, write_message},
};
use inferometer_plugin_sdk::{
    RVec,
    documents::EndpointInfo,
    types::{Outgoing, Part, PartKind, Request, Result, delta_flags},
};

speaks! {
    /// Speaks `/v1/messages`.
    ///
    /// What the system says goes into `system`. The API requires a limit: 1024 tokens where none is asked for.
    Messages, "messages", "Anthropic's Messages (/v1/messages).",
    info: EndpointInfo {
        headers: [("anthropic-version".to_owned(), "2023-06-01".to_owned())].into(),
        key_header: Some("x-api-key".to_owned()),
        ..speaks::text("/v1/messages")
    },
    encode: encode,
    answers: &API,
}

/// Most output tokens to ask for where the user does not say.
const DEFAULT_LIMIT: u32 = 1024;

pub(crate) static API: Api = Api {
    event: Shape::by(
        "type",
        &[
            Member::new("delta", Holds::Within(&DELTA)),
            Member::new("content_block", Holds::Within(&STARTED)),
            Member::new("message", Holds::Within(&BEGUN)),
            Member::new("usage", Holds::Usage),
            Member::new("type", Holds::Mark(delta_flags::DONE)).when(&["message_stop"]),
        ],
    ),
    body: Shape::new(&[
        Member::new("content", Holds::Within(&BLOCK)),
        Member::new("stop_reason", Holds::Mark(delta_flags::FINISH)),
        Member::new("usage", Holds::Usage),
    ]),
    expected: "message: expected a JSON object with `content`",
};

static BEGUN: Shape = Shape::new(&[Member::new("usage", Holds::Usage)]);

/// A piece of a block, or of the message's end.
static DELTA: Shape = Shape::new(&[
    Member::new("text", Holds::Text),
    Member::new("thinking", Holds::Reasoning),
    Member::new("partial_json", Holds::Tool),
    Member::new("stop_reason", Holds::Mark(delta_flags::FINISH)),
]);

/// A block at its beginning: a tool's input is empty there, and comes in pieces.
static STARTED: Shape = Shape::new(&[
    Member::new("text", Holds::Text),
    Member::new("thinking", Holds::Reasoning),
    Member::new("name", Holds::Tool),
]);

static BLOCK: Shape = Shape::new(&[
    Member::new("text", Holds::Text),
    Member::new("thinking", Holds::Reasoning),
    Member::new("name", Holds::Tool),
    Member::new("input", Holds::Tool),
]);

fn encode(request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
    body::encode(request, out, |body| {
        let Split { system, others } = Split::of(request, "messages", &["system", "developer"])?;
        body.member("model", json(request.model.as_str()))?;
        body.member("messages", |out| list(out, &others, |out, message| write_message(out, message, write_part)))?;
        let limit = if request.max_tokens == 0 { DEFAULT_LIMIT } else { request.max_tokens };
        body.member("max_tokens", json(&limit))?;
        if streams(request) {
            body.member("stream", json(&true))?;
        }
        if !system.is_empty() {
            body.member("system", json(&system))?;
        }
        Ok(())
    })
}

fn write_part(out: &mut RVec<u8>, part: &Part<'_>) -> Result<()> {
    let data = part.data.as_str();
    match (part.kind, data_uri(data)) {
        (PartKind::TEXT, _) => strings(out, &[("type", "text"), ("text", data)]),
        (PartKind::IMAGE, Some((mime, data))) => {
            typed(out, "image", "source", &[("type", "base64"), ("media_type", mime), ("data", data)])
        }
        (PartKind::IMAGE, None) => typed(out, "image", "source", &[("type", "url"), ("url", data)]),
        (kind, _) => Err(refused("messages", kind, "text and images")),
    }
}
