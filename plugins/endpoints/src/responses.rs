//! The `responses` endpoint: OpenAI's Responses.

use crate::{
    body::{Object, json, list},
    listed::encode,
    table::{Api, Holds, Member, Shape},
    turns::{Split, audio_format, refused, streams, strings},
};
use inferometer_plugin_sdk::{
    Component, NoOptions, RVec,
    api::Endpoint,
    documents::{EndpointInfo, Framing},
    types::{Answer, Delta, ErrorKind, Event, Message, Outgoing, Part, PartKind, Reply, Request, Result, delta_flags},
};

/// Speaks `/v1/responses`.
///
/// What the system says goes into `instructions`. Each request brings the whole conversation; nothing is looked for on the
/// server.
///
/// A stream says everything twice: in pieces, and once more when an item and when the answer is complete. The pieces count, and
/// the repetition does not, since an event is read without knowing what came before it.
pub struct Responses;

inferometer_plugin_sdk::endpoint! {
    name: "responses",
    summary: "OpenAI's Responses (/v1/responses).",
    component: Responses
}

impl Component for Responses {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl Endpoint for Responses {
    fn info(&self) -> EndpointInfo {
        EndpointInfo {
            path: "/v1/responses".to_owned(),
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
            let Split { system, others } = Split::of(request, "responses", &["system"])?;
            body.member("input", |out| list(out, &others, |out, message| write_message(out, message)))?;
            body.member("model", json(request.model.as_str()))?;
            body.member("stream", json(&streams(request)))?;
            if !system.is_empty() {
                body.member("instructions", json(&system))?;
            }
            if request.max_tokens != 0 {
                body.member("max_output_tokens", json(&request.max_tokens))?;
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

const COMPLETE: &[&str] = &["response.completed", "response.incomplete"];
const LAST: &[&str] = &["response.completed", "response.incomplete", "response.failed"];

pub(crate) static API: Api = Api {
    event: Shape::by(
        "type",
        &[
            Member::new("delta", Holds::Text).when(&["response.output_text.delta", "response.refusal.delta"]),
            Member::new("delta", Holds::Reasoning)
                .when(&["response.reasoning_text.delta", "response.reasoning_summary_text.delta"]),
            Member::new("delta", Holds::Tool).when(&[
                "response.function_call_arguments.delta",
                "response.custom_tool_call_input.delta",
                "response.mcp_call_arguments.delta",
            ]),
            Member::new("item", Holds::Within(&STARTED)).when(&["response.output_item.added"]),
            Member::new("response", Holds::Within(&ENDED)).when(LAST),
            Member::new("type", Holds::Mark(delta_flags::FINISH | delta_flags::DONE)).when(COMPLETE),
        ],
    ),
    body: Shape::by(
        "status",
        &[
            Member::new("output", Holds::Within(&ITEM)),
            Member::new("usage", Holds::Usage),
            Member::new("status", Holds::Mark(delta_flags::FINISH)).when(&["completed", "incomplete"]),
        ],
    ),
    expected: "response: expected a JSON object with `output`",
};

/// An item at its beginning. A message has nothing yet, and a tool call its name.
static STARTED: Shape = Shape::new(&[Member::new("name", Holds::Tool)]);

static ENDED: Shape = Shape::new(&[Member::new("usage", Holds::Usage), Member::new("error", Holds::Error)]);

static ITEM: Shape = Shape::by(
    "type",
    &[
        Member::new("content", Holds::Within(&THOUGHT)).when(&["reasoning"]),
        Member::new("content", Holds::Within(&CONTENT)),
        Member::new("summary", Holds::Within(&THOUGHT)),
        Member::new("name", Holds::Tool),
        Member::new("arguments", Holds::Tool),
        Member::new("input", Holds::Tool),
    ],
);

static CONTENT: Shape = Shape::new(&[Member::new("text", Holds::Text), Member::new("refusal", Holds::Text)]);

static THOUGHT: Shape = Shape::new(&[Member::new("text", Holds::Reasoning)]);

fn write_message(out: &mut RVec<u8>, message: &Message<'_>) -> Result<()> {
    let mut object = Object::open(out, message.extra_json.as_str())?;
    object.member("type", json("message"))?;
    object.member("role", json(message.role.as_str()))?;
    let text = if message.role == "assistant" { "output_text" } else { "input_text" };
    object.member("content", |out| match message.parts.as_slice() {
        [] => json("")(out),
        [part] if part.kind == PartKind::TEXT => json(part.data.as_str())(out),
        parts => list(out, parts, |out, part| write_part(out, part, text)),
    })?;
    object.extras()?;
    object.close();
    Ok(())
}

fn write_part(out: &mut RVec<u8>, part: &Part<'_>, text: &str) -> Result<()> {
    let data = part.data.as_str();
    match part.kind {
        PartKind::TEXT => strings(out, &[("type", text), ("text", data)]),
        PartKind::IMAGE => strings(out, &[("type", "input_image"), ("image_url", data)]),
        PartKind::AUDIO => {
            let mut object = Object::open(out, "")?;
            object.member("type", json("input_audio"))?;
            let format = audio_format("responses", &part.mime)?;
            object.member("input_audio", |out| strings(out, &[("data", data), ("format", format)]))?;
            object.close();
            Ok(())
        }
        kind => Err(refused("responses", kind, "text, images and audio")),
    }
}
