//! The `messages` endpoint: Anthropic's Messages.

use crate::{
    body::{Object, json, list},
    listed::encode,
    table::{Api, Holds, Member, Shape},
    turns::{Split, data_uri, refused, streams, strings},
};
use inferometer_plugin_sdk::{
    Component, NoOptions, RVec,
    api::Endpoint,
    documents::{EndpointInfo, Framing},
    types::{Answer, Delta, ErrorKind, Event, Message, Outgoing, Part, PartKind, Reply, Request, Result, delta_flags},
};

/// Speaks `/v1/messages`.
///
/// What the system says goes into `system`. The API requires a limit: 1024 tokens where none is asked for.
pub struct Messages;

inferometer_plugin_sdk::endpoint! {
    name: "messages",
    summary: "Anthropic's Messages (/v1/messages).",
    component: Messages
}

impl Component for Messages {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl Endpoint for Messages {
    fn info(&self) -> EndpointInfo {
        EndpointInfo {
            path: "/v1/messages".to_owned(),
            headers: [("anthropic-version".to_owned(), "2023-06-01".to_owned())].into(),
            key_header: Some("x-api-key".to_owned()),
            streams: true,
            framing: Framing::Sse,
            produces_tokens: true,
            tokenizes_input: true,
            ends_explicitly: true,
            ..EndpointInfo::default()
        }
    }

    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        encode(request, out, |body, request| {
            let Split { system, others } = Split::of(request, "messages", &["system", "developer"])?;
            body.member("model", json(request.model.as_str()))?;
            body.member("messages", |out| list(out, &others, |out, message| write_message(out, message)))?;
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

    #[inline]
    fn on_event(&self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind> {
        API.on_event(event, out, scratch)
    }

    fn on_body(&self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        API.on_body(answer, out)
    }
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

fn write_message(out: &mut RVec<u8>, message: &Message<'_>) -> Result<()> {
    let mut object = Object::open(out, message.extra_json.as_str())?;
    object.member("role", json(message.role.as_str()))?;
    object.member("content", |out| match message.parts.as_slice() {
        [] => json("")(out),
        [part] if part.kind == PartKind::TEXT => json(part.data.as_str())(out),
        parts => list(out, parts, write_part),
    })?;
    object.extras()?;
    object.close();
    Ok(())
}

fn write_part(out: &mut RVec<u8>, part: &Part<'_>) -> Result<()> {
    let data = part.data.as_str();
    match part.kind {
        PartKind::TEXT => strings(out, &[("type", "text"), ("text", data)]),
        PartKind::IMAGE => {
            let mut object = Object::open(out, "")?;
            object.member("type", json("image"))?;
            object.member("source", |out| match data_uri(data) {
                Some((mime, data)) => strings(out, &[("type", "base64"), ("media_type", mime), ("data", data)]),
                None => strings(out, &[("type", "url"), ("url", data)]),
            })?;
            object.close();
            Ok(())
        }
        kind => Err(refused("messages", kind, "text and images")),
    }
}
