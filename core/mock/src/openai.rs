//! OpenAI's bodies: what a generation request asks for, and the plain JSON answers. Streams are in `sse`.

use serde::Deserialize;
use serde_json::json;

use crate::config::MAX_OUTPUT_TOKENS;
use crate::http::append;
use crate::prompt::{Counter, Prompt};
use crate::words;

/// The `created` of every answer: a constant, so that the same seed gives the same bytes.
pub(crate) const CREATED: u64 = 1_700_000_000;

/// The two generation routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Chat,
    Completions,
}

impl Api {
    pub(crate) fn id_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl-",
            Self::Completions => "cmpl-",
        }
    }
}

/// A request that is answered with an error.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    kind: &'static str,
    param: Option<&'static str>,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        let kind = match status {
            401 => "AuthenticationError",
            404 => "NotFoundError",
            500.. => "InternalServerError",
            _ => "BadRequestError",
        };
        Self { status, kind, param: None, message: message.into() }
    }

    pub(crate) fn of(param: &'static str, message: impl Into<String>) -> Self {
        Self { param: Some(param), ..Self::new(400, message) }
    }

    pub(crate) fn unknown_model(model: &str) -> Self {
        Self { param: Some("model"), ..Self::new(404, format!("The model `{model}` does not exist.")) }
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let body = json!({"error": {
            "message": self.message, "type": self.kind, "param": self.param, "code": self.status,
        }});
        body.to_string().into_bytes()
    }
}

/// Token counts of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) prompt: u64,
    pub(crate) completion: usize,
}

impl Usage {
    /// Appends it as a JSON object.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let Self { prompt, completion } = self;
        let total = prompt + completion as u64;
        append(
            out,
            format_args!("{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},\"total_tokens\":{total}}}"),
        );
    }
}

/// What a generation request wants.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) model: String,
    pub(crate) tokens: usize,
    pub(crate) prompt_tokens: u64,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    /// `length` when the request set the maximum, `stop` when the mock's own length ended the answer.
    pub(crate) finish: &'static str,
}

#[derive(Deserialize)]
struct Body<'a> {
    model: Option<String>,
    #[serde(borrow)]
    messages: Option<Vec<Message<'a>>>,
    #[serde(borrow)]
    prompt: Option<Prompt<'a>>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    n: Option<u64>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Prompt<'a>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

impl Ask {
    pub(crate) fn usage(&self) -> Usage {
        Usage { prompt: self.prompt_tokens, completion: self.tokens }
    }

    /// Reads a request body. `osl` is the output length when the request names none. Unknown fields are ignored.
    pub(crate) fn parse(api: Api, body: &[u8], osl: usize, counter: &Counter) -> Result<Self, Refusal> {
        let body: Body<'_> = parse(body)?;
        let prompt = match (api, body.messages, body.prompt) {
            (Api::Chat, Some(messages), _) if !messages.is_empty() => {
                messages.into_iter().map(|message| message.content).collect()
            }
            (Api::Chat, ..) => return Err(Refusal::of("messages", "messages must be a list of at least one message")),
            (Api::Completions, _, Some(prompt)) => prompt,
            (Api::Completions, ..) => return Err(Refusal::of("prompt", "a prompt is required")),
        };
        if body.n.unwrap_or(1) != 1 {
            return Err(Refusal::of("n", "this server makes one choice per request: leave out n, or set it to 1"));
        }
        let asked = [body.max_tokens, body.max_completion_tokens].into_iter().flatten().min();
        let tokens = match asked {
            None => osl,
            Some(asked) => usize::try_from(asked)
                .ok()
                .filter(|tokens| (1..=MAX_OUTPUT_TOKENS).contains(tokens))
                .ok_or_else(|| {
                    let message = format!("the maximum must be from 1 to {MAX_OUTPUT_TOKENS} tokens, not {asked}");
                    Refusal::of("max_tokens", message)
                })?,
        };
        Ok(Self {
            model: named(body.model)?,
            tokens,
            prompt_tokens: counter.count(&prompt),
            stream: body.stream.unwrap_or(false),
            include_usage: body.stream_options.and_then(|options| options.include_usage).unwrap_or(false),
            finish: if asked.is_some() { "length" } else { "stop" },
        })
    }
}

pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::new(400, format!("the body cannot be used: {error}")))
}

pub(crate) fn named(model: Option<String>) -> Result<String, Refusal> {
    model.ok_or_else(|| Refusal::of("model", "a model is required"))
}

/// The plain answer of a generation route. `model` is a JSON string.
pub(crate) fn plain(api: Api, ask: &Ask, id: u64, model: &str, with_usage: bool) -> Vec<u8> {
    let out = &mut Vec::with_capacity(512 + 8 * ask.tokens);
    let (object, before, after) = match api {
        Api::Chat => ("chat.completion", "\"message\":{\"role\":\"assistant\",\"content\":\"", "\"}"),
        Api::Completions => ("text_completion", "\"text\":\"", "\""),
    };
    let prefix = api.id_prefix();
    append(
        out,
        format_args!(
            "{{\"id\":\"{prefix}{id:016x}\",\"object\":\"{object}\",\"created\":{CREATED},\"model\":{model},\
             \"choices\":[{{\"index\":0,{before}"
        ),
    );
    words::push(out, 0, ask.tokens);
    let finish = ask.finish;
    append(out, format_args!("{after},\"logprobs\":null,\"finish_reason\":\"{finish}\"}}]"));
    if with_usage {
        out.extend_from_slice(b",\"usage\":");
        ask.usage().write(out);
    }
    out.push(b'}');
    std::mem::take(out)
}

/// The answer of `/v1/models`.
pub(crate) fn models(models: &[String]) -> Vec<u8> {
    let data: Vec<_> = models
        .iter()
        .map(|id| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "inferometer"}))
        .collect();
    json!({"object": "list", "data": data}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(body: &str) -> Result<Ask, Refusal> {
        let api = if body.contains("messages") { Api::Chat } else { Api::Completions };
        Ask::parse(api, body.as_bytes(), 64, &Counter::new(false))
    }

    #[test]
    fn the_smaller_of_two_maxima_counts_and_none_means_the_default() {
        let tokens = |maxima: &str| ask(&format!(r#"{{"model":"m","prompt":"x"{maxima}}}"#)).unwrap().tokens;
        assert_eq!(tokens(""), 64);
        assert_eq!(tokens(r#","max_tokens":9"#), 9);
        assert_eq!(tokens(r#","max_tokens":9,"max_completion_tokens":7"#), 7);
        assert_eq!(tokens(r#","max_tokens":null"#), 64);
    }

    #[test]
    fn the_text_of_all_messages_is_the_prompt() {
        let chat = r#"{"model":"m","messages":[
            {"role":"system","content":"be brief"},
            {"role":"user","content":[{"type":"text","text":"what is this"},
                {"type":"image_url","image_url":{"url":"data:a b c"}}]},
            {"role":"assistant","content":null},
            {"role":"assistant"}]}"#;
        assert_eq!(ask(chat).unwrap().prompt_tokens, 5);
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_the_parameter() {
        for (body, param) in [
            (r#"{"prompt":"x"}"#, "model"),
            (r#"{"model":"m"}"#, "prompt"),
            (r#"{"model":"m","messages":[]}"#, "messages"),
            (r#"{"model":"m","prompt":"x","max_tokens":0}"#, "max_tokens"),
            (r#"{"model":"m","prompt":"x","max_tokens":99999999999}"#, "max_tokens"),
            (r#"{"model":"m","prompt":"x","n":2}"#, "n"),
        ] {
            let refusal = ask(body).unwrap_err();
            assert_eq!((refusal.status, refusal.param), (400, Some(param)), "{body}");
        }
        assert_eq!(ask("{\"model\":").unwrap_err().status, 400);
    }
}
