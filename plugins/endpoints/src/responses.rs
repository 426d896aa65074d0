//! The `responses` endpoint: OpenAI's Responses.

use crate::{
    body::{self, json, list},
    speaks::{self, speaks},
    table::{Api, Holds, Member, Shape},
    turns::{PartWriter, Split, audio_format, refused, streams, strings, typed, write_said},
};
use inferometer_plugin_sdk::{
    RVec,
    types::{Message, Outgoing, Part, PartKind, Request, Result, delta_flags},
};

speaks! {
    /// Speaks `/v1/responses`.
    ///
    /// What the system says goes into `instructions`. Each request brings the whole conversation; nothing is looked for on
    /// the server.
    ///
    /// A stream says everything twice: in pieces, and once more when an item and when the answer is complete. The pieces
    /// count, and the repetition does not, since an event is read without knowing what came before it.
    Responses, "responses", "OpenAI's Responses (/v1/responses).",
    info: speaks::text("/v1/responses"),
    encode: encode,
    answers: &API,
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
                "response.code_interpreter_call_code.delta",
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
        Member::new("code", Holds::Tool),
    ],
);

static CONTENT: Shape = Shape::new(&[Member::new("text", Holds::Text), Member::new("refusal", Holds::Text)]);

static THOUGHT: Shape = Shape::new(&[Member::new("text", Holds::Reasoning)]);

fn encode(request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
    body::encode(request, out, |body| {
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

fn write_message(out: &mut RVec<u8>, message: &Message<'_>) -> Result<()> {
    let part: PartWriter = match message.role.as_str() {
        "assistant" => |out, part| write_part(out, part, "output_text"),
        _ => |out, part| write_part(out, part, "input_text"),
    };
    body::object(out, message.extra_json.as_str(), |object| {
        object.member("type", json("message"))?;
        write_said(object, message, part)
    })
}

fn write_part(out: &mut RVec<u8>, part: &Part<'_>, text: &str) -> Result<()> {
    let data = part.data.as_str();
    match part.kind {
        PartKind::TEXT => strings(out, &[("type", text), ("text", data)]),
        PartKind::IMAGE => strings(out, &[("type", "input_image"), ("image_url", data)]),
        PartKind::AUDIO => {
            let format = audio_format("responses", &part.mime)?;
            typed(out, "input_audio", "input_audio", &[("data", data), ("format", format)])
        }
        kind => Err(refused("responses", kind, "text, images and audio")),
    }
}
