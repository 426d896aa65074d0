//! The `gemini` endpoint: Google's Gemini.

use crate::{
    body::{self, json, list},
    speaks::{self, speaks},
    table::{Api, Holds, Member, Shape},
    turns::{Split, data_uri, only, refused, strings},
};
use inferometer_plugin_sdk::{
    RVec,
    documents::EndpointInfo,
    types::{Message, Outgoing, Part, PartKind, Request, Result, delta_flags},
};

speaks! {
    /// Speaks `/v1beta/models/{model}:generateContent`, and `:streamGenerateContent` for streams.
    ///
    /// What the system says goes into `systemInstruction`, and the role `assistant` is called `model`. Media that are no
    /// data URI are sent as links, but for audio with a format, whose data is base64.
    Gemini, "gemini", "Google's Gemini (/v1beta/models/{model}:generateContent).",
    info: EndpointInfo {
        streaming_path: Some("/v1beta/models/{model}:streamGenerateContent?alt=sse".to_owned()),
        key_header: Some("x-goog-api-key".to_owned()),
        ..speaks::text("/v1beta/models/{model}:generateContent")
    },
    encode: encode,
    answers: &API,
}

pub(crate) static API: Api = Api {
    event: Shape::new(ANSWER),
    body: Shape::new(ANSWER),
    expected: "answer of Gemini: expected a JSON object with `candidates`",
};

/// A whole answer and an event of a stream look alike.
const ANSWER: &[Member] = &[
    Member::new("candidates", Holds::Within(&CANDIDATE)),
    Member::new("usageMetadata", Holds::Usage),
    Member::new("promptFeedback", Holds::Within(&FEEDBACK)),
];

static CANDIDATE: Shape = Shape::new(&[
    Member::new("content", Holds::Within(&CONTENT)),
    Member::new("finishReason", Holds::Mark(delta_flags::FINISH)),
]);

static CONTENT: Shape = Shape::new(&[Member::new("parts", Holds::Within(&PART))]);

static PART: Shape = Shape::by(
    "thought",
    &[
        Member::new("text", Holds::Text).unless(&["true"]),
        Member::new("text", Holds::Reasoning),
        Member::new("functionCall", Holds::Within(&CALL)),
        Member::new("executableCode", Holds::Within(&CODE)),
        Member::new("inlineData", Holds::Within(&MEDIA)),
    ],
);

static CALL: Shape = Shape::new(&[Member::new("name", Holds::Tool), Member::new("args", Holds::Tool)]);

/// What the model has the server run.
static CODE: Shape = Shape::new(&[Member::new("code", Holds::Tool)]);

/// An image or a sound: content that is no text.
static MEDIA: Shape = Shape::new(&[Member::new("data", Holds::Mark(delta_flags::CONTENT))]);

/// A prompt that is blocked has no answer.
static FEEDBACK: Shape = Shape::new(&[Member::new("blockReason", Holds::Error)]);

fn encode(request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
    body::encode(request, out, |body| {
        let Split { system, others } = Split::of(request, "gemini", &["system", "developer"])?;
        body.member("contents", |out| list(out, &others, |out, message| write_message(out, message)))?;
        if !system.is_empty() {
            let parts = [Part::text(&system)];
            body.member("systemInstruction", |out| only(out, "parts", |out| list(out, &parts, write_part)))?;
        }
        if request.max_tokens != 0 {
            body.nested("generationConfig", |config| {
                config.member("maxOutputTokens", json(&request.max_tokens)).map(drop)
            })?;
        }
        Ok(())
    })
}

fn write_message(out: &mut RVec<u8>, message: &Message<'_>) -> Result<()> {
    body::object(out, message.extra_json.as_str(), |object| {
        object.member("role", json(if message.role == "assistant" { "model" } else { message.role.as_str() }))?;
        let nothing = [Part::text("")];
        let parts = message.parts.as_slice();
        object.member("parts", |out| list(out, if parts.is_empty() { &nothing } else { parts }, write_part)).map(drop)
    })
}

fn write_part(out: &mut RVec<u8>, part: &Part<'_>) -> Result<()> {
    let (data, mime) = (part.data.as_str(), part.mime.as_str());
    match (part.kind, data_uri(data)) {
        (PartKind::TEXT, _) => strings(out, &[("text", data)]),
        (PartKind::IMAGE | PartKind::AUDIO | PartKind::VIDEO, Some((mime, data))) => inline(out, mime, data),
        (PartKind::AUDIO, None) if !mime.is_empty() => {
            let has_type = mime.contains('/');
            inline(out, &if has_type { mime.to_owned() } else { format!("audio/{mime}") }, data)
        }
        (PartKind::IMAGE | PartKind::AUDIO | PartKind::VIDEO, None) => only(out, "fileData", |out| {
            let members = [("mimeType", mime), ("fileUri", data)];
            strings(out, if mime.is_empty() { &members[1..] } else { &members })
        }),
        (kind, _) => Err(refused("gemini", kind, "text, images, audio and video")),
    }
}

fn inline(out: &mut RVec<u8>, mime: &str, data: &str) -> Result<()> {
    only(out, "inlineData", |out| strings(out, &[("mimeType", mime), ("data", data)]))
}
