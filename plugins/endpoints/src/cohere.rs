//! The `cohere-chat` endpoint: Cohere's chat.

use crate::{
    body::{self, json, list},
    speaks::{self, speaks},
    table::{Api, Holds, Member, Shape, TOOL_CALL},
    turns::{refused, streams, strings, typed, write_message},
    usage::Part as Count,
};
use inferometer_plugin_sdk::{
    RVec,
    types::{Outgoing, Part, PartKind, Request, Result, delta_flags},
};

speaks! {
    /// Speaks `/v2/chat`.
    CohereChat, "cohere-chat", "Cohere's chat (/v2/chat).",
    info: speaks::text("/v2/chat"),
    encode: encode,
    answers: &API,
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

/// What is billed is another count.
static USAGE: Shape =
    Shape::new(&[Member::new("tokens", Holds::Usage), Member::new("cached_tokens", Holds::Count(Count::CachedTokens))]);

fn encode(request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
    body::encode(request, out, |body| {
        body.member("model", json(request.model.as_str()))?;
        body.member("messages", |out| {
            list(out, &request.messages, |out, message| write_message(out, message, write_part))
        })?;
        body.member("stream", json(&streams(request)))?;
        if request.max_tokens != 0 {
            body.member("max_tokens", json(&request.max_tokens))?;
        }
        Ok(())
    })
}

fn write_part(out: &mut RVec<u8>, part: &Part<'_>) -> Result<()> {
    let data = part.data.as_str();
    match part.kind {
        PartKind::TEXT => strings(out, &[("type", "text"), ("text", data)]),
        PartKind::IMAGE => typed(out, "image_url", "image_url", &[("url", data)]),
        kind => Err(refused("cohere-chat", kind, "text and images")),
    }
}
