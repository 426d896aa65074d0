//! The `ollama` endpoint: Ollama's own APIs, for chat and for prompts.

use crate::{
    body::{Object, json, list},
    listed::encode,
    table::{Api, Holds, Member, Shape},
    turns::{data_uri, prompt, refused, streams},
    usage::Part as Count,
};
use inferometer_plugin_sdk::{
    Component, NoOptions, RVec,
    api::Endpoint,
    documents::{EndpointInfo, Framing},
    types::{
        Answer, Delta, Error, ErrorKind, Event, Message, Outgoing, Part, PartKind, Reply, Request, Result, delta_flags,
    },
};

/// Speaks `/api/chat`.
pub struct Ollama;

inferometer_plugin_sdk::endpoint! {
    name: "ollama",
    summary: "Ollama's chat (/api/chat).",
    component: Ollama
}

impl Component for Ollama {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl Endpoint for Ollama {
    fn info(&self) -> EndpointInfo {
        EndpointInfo { path: "/api/chat".to_owned(), ..info() }
    }

    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        encode(request, out, |body, request| {
            body.member("model", json(request.model.as_str()))?;
            body.member("messages", |out| list(out, &request.messages, write_message))?;
            write_rest(body, request)
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

/// Speaks `/api/generate`, which continues a prompt: the texts of all messages, blank lines
/// between them.
pub struct OllamaGenerate;

inferometer_plugin_sdk::endpoint! {
    name: "ollama-generate",
    summary: "Ollama's completion of a prompt (/api/generate).",
    component: OllamaGenerate
}

impl Component for OllamaGenerate {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl Endpoint for OllamaGenerate {
    fn info(&self) -> EndpointInfo {
        EndpointInfo { path: "/api/generate".to_owned(), ..info() }
    }

    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        encode(request, out, |body, request| {
            body.member("model", json(request.model.as_str()))?;
            body.member("prompt", json(&prompt(request, "ollama-generate", "\n\n")?))?;
            write_rest(body, request)
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

static TOOL_CALL: Shape = Shape::new(&[Member::new("function", Holds::Within(&FUNCTION))]);

static FUNCTION: Shape = Shape::new(&[Member::new("name", Holds::Tool), Member::new("arguments", Holds::Tool)]);

fn info() -> EndpointInfo {
    EndpointInfo {
        streams: true,
        framing: Framing::JsonLines,
        produces_tokens: true,
        tokenizes_input: true,
        ends_explicitly: true,
        ..EndpointInfo::default()
    }
}

/// Whether it streams, which Ollama does unless it is told not to, and the limit.
fn write_rest(body: &mut Object<'_>, request: &Request<'_>) -> Result<()> {
    body.member("stream", json(&streams(request)))?;
    if request.max_tokens != 0 {
        body.object("options", |options| options.member("num_predict", json(&request.max_tokens)).map(drop))?;
    }
    Ok(())
}

fn write_message(out: &mut RVec<u8>, message: &Message<'_>) -> Result<()> {
    let mut object = Object::open(out, message.extra_json.as_str())?;
    object.member("role", json(message.role.as_str()))?;
    let is_image = |part: &&Part<'_>| part.kind == PartKind::IMAGE;
    let (images, others): (Vec<&Part<'_>>, Vec<_>) = message.parts.as_slice().iter().partition(is_image);
    if let Some(other) = others.iter().find(|part| part.kind != PartKind::TEXT) {
        return Err(refused("ollama", other.kind, "text and images"));
    }
    let texts: Vec<&str> = others.iter().map(|part| part.data.as_str()).collect();
    object.member("content", json(&texts.join("\n\n")))?;
    if !images.is_empty() {
        object.member("images", |out| list(out, &images, |out, image| json(base64_of(&image.data)?)(out)))?;
    }
    object.extras()?;
    object.close();
    Ok(())
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
