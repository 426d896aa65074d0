//! The endpoints `ollama` and `ollama-generate`: Ollama's own APIs, for chat and for prompts.

use crate::{
    body::{self, Object, json, list},
    speaks::{self, speaks},
    table::{Api, Holds, Member, Shape, TOOL_CALL},
    turns::{data_uri, prompt, refused, streams},
    usage::Part as Count,
};
use inferometer_plugin_sdk::{
    RVec,
    documents::{EndpointInfo, Framing},
    types::{Error, ErrorKind, Message, Part, PartKind, Request, Result, delta_flags},
};

speaks! {
    /// Speaks `/api/chat`.
    Ollama, "ollama", "Ollama's chat (/api/chat).",
    info: EndpointInfo { framing: Framing::JsonLines, ..speaks::text("/api/chat") },
    encode: |request: &Request<'_>, out| body::encode(request, out, |body| {
        body.member("model", json(request.model.as_str()))?;
        body.member("messages", |out| list(out, &request.messages, write_message))?;
        write_rest(body, request)
    }),
    answers: &API,
}

speaks! {
    /// Speaks `/api/generate`, which continues a prompt: the texts of all messages, blank lines between them.
    OllamaGenerate, "ollama-generate", "Ollama's completion of a prompt (/api/generate).",
    info: EndpointInfo { framing: Framing::JsonLines, ..speaks::text("/api/generate") },
    encode: |request: &Request<'_>, out| body::encode(request, out, |body| {
        body.member("model", json(request.model.as_str()))?;
        body.member("prompt", json(&prompt(request, "ollama-generate", "\n\n")?))?;
        write_rest(body, request)
    }),
    answers: &API,
}

pub(crate) static API: Api = Api {
    event: Shape::new(ANSWER),
    body: Shape::new(ANSWER),
    expected: "answer of Ollama's: expected a JSON object with `message` or `response`",
};

/// A whole answer and a line of a stream look alike, in both APIs but for the place of the text.
const ANSWER: &[Member] = &[
    Member::new("message", Holds::Within(&MESSAGE)),
    Member::new("response", Holds::Text),
    Member::new("thinking", Holds::Reasoning),
    Member::new("done_reason", Holds::Mark(delta_flags::FINISH)),
    Member::new("done", Holds::Mark(delta_flags::DONE)),
    Member::new("prompt_eval_count", Holds::Count(Count::PromptEvalCount)),
    Member::new("eval_count", Holds::Count(Count::EvalCount)),
];

static MESSAGE: Shape = Shape::new(&[
    Member::new("content", Holds::Text),
    Member::new("thinking", Holds::Reasoning),
    Member::new("tool_calls", Holds::Within(&TOOL_CALL)),
]);

/// Whether it streams, which Ollama does unless it is told not to, and the limit.
fn write_rest(body: &mut Object<'_>, request: &Request<'_>) -> Result<()> {
    body.member("stream", json(&streams(request)))?;
    if request.max_tokens != 0 {
        body.nested("options", |options| options.member("num_predict", json(&request.max_tokens)).map(drop))?;
    }
    Ok(())
}

fn write_message(out: &mut RVec<u8>, message: &Message<'_>) -> Result<()> {
    let is_image = |part: &&Part<'_>| part.kind == PartKind::IMAGE;
    let (images, others): (Vec<&Part<'_>>, Vec<_>) = message.parts.as_slice().iter().partition(is_image);
    if let Some(other) = others.iter().find(|part| part.kind != PartKind::TEXT) {
        return Err(refused("ollama", other.kind, "text and images"));
    }
    let texts: Vec<&str> = others.iter().map(|part| part.data.as_str()).collect();
    body::object(out, message.extra_json.as_str(), |object| {
        object.member("role", json(message.role.as_str()))?;
        object.member("content", json(&texts.join("\n\n")))?;
        if !images.is_empty() {
            object.member("images", |out| list(out, &images, |out, image| json(base64_of(&image.data)?)(out)))?;
        }
        Ok(())
    })
}

/// An image as Ollama takes it.
fn base64_of(image: &str) -> Result<&str> {
    data_uri(image).map(|(_, data)| data).ok_or_else(|| {
        Error::new(
            ErrorKind::UNSUPPORTED,
            "`ollama` takes images as data only and the data set holds a link; give the image itself, as a data URI",
        )
    })
}
