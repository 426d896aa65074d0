//! The `cohere-chat` endpoint: Cohere's chat.

use crate::{
    body::{Object, json, list},
    listed::encode,
    table::{Api, Holds, Member, Shape},
    turns::{only, refused, streams, strings},
    usage::Part,
};
use inferometer_plugin_sdk::{
    Component, NoOptions, RVec,
    api::Endpoint,
    documents::{EndpointInfo, Framing},
    types::{Answer, Delta, ErrorKind, Event, Message, Outgoing, PartKind, Reply, Request, Result, delta_flags},
};

/// Speaks `/v2/chat`.
pub struct CohereChat;

inferometer_plugin_sdk::endpoint! {
    name: "cohere-chat",
    summary: "Cohere's chat (/v2/chat).",
    component: CohereChat
}

impl Component for CohereChat {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl Endpoint for CohereChat {
    fn info(&self) -> EndpointInfo {
        EndpointInfo {
            path: "/v2/chat".to_owned(),
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
            body.member("model", json(request.model.as_str()))?;
            body.member("messages", |out| list(out, &request.messages, write_message))?;
            body.member("stream", json(&streams(request)))?;
            if request.max_tokens != 0 {
                body.member("max_tokens", json(&request.max_tokens))?;
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

pub(crate) static API: Api = Api {
    event: Shape::by(
        "type",
        &[
            Member::new("delta", Holds::Within(&DELTA)),
            Member::new("type", Holds::Mark(delta_flags::DONE)).when(&["message-end"]),
        ],
    ),
    body: Shape::new(ANSWER),
    expected: "answer of Cohere's: expected a JSON object with `message`",
};

/// A whole answer; what the events of a stream hold adds up to the same.
const ANSWER: &[Member] = &[
    Member::new("message", Holds::Within(&MESSAGE)),
    Member::new("finish_reason", Holds::Mark(delta_flags::FINISH)),
    Member::new("usage", Holds::Within(&USAGE)),
    Member::new("error", Holds::Error),
];

static DELTA: Shape = Shape::new(ANSWER);

static MESSAGE: Shape = Shape::new(&[
    Member::new("content", Holds::Within(&CONTENT)),
    Member::new("tool_plan", Holds::Reasoning),
    Member::new("tool_calls", Holds::Within(&TOOL_CALL)),
]);

static CONTENT: Shape = Shape::new(&[Member::new("text", Holds::Text), Member::new("thinking", Holds::Reasoning)]);

static TOOL_CALL: Shape = Shape::new(&[Member::new("function", Holds::Within(&FUNCTION))]);

static FUNCTION: Shape = Shape::new(&[Member::new("name", Holds::Tool), Member::new("arguments", Holds::Tool)]);

/// What is billed is another count.
static USAGE: Shape =
    Shape::new(&[Member::new("tokens", Holds::Usage), Member::new("cached_tokens", Holds::Count(Part::CachedTokens))]);

fn write_message(out: &mut RVec<u8>, message: &Message<'_>) -> Result<()> {
    let mut object = Object::open(out, message.extra_json.as_str())?;
    object.member("role", json(message.role.as_str()))?;
    object.member("content", |out| match message.parts.as_slice() {
        [] => json("")(out),
        [part] if part.kind == PartKind::TEXT => json(part.data.as_str())(out),
        parts => list(out, parts, |out, part| match part.kind {
            PartKind::TEXT => strings(out, &[("type", "text"), ("text", &part.data)]),
            PartKind::IMAGE => {
                let mut object = Object::open(out, "")?;
                object.member("type", json("image_url"))?;
                object.member("image_url", |out| only(out, "url", json(part.data.as_str())))?;
                object.close();
                Ok(())
            }
            kind => Err(refused("cohere-chat", kind, "text and images")),
        }),
    })?;
    object.extras()?;
    object.close();
    Ok(())
}
