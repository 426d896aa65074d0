//! What an answer that is no good one says: the server's words, found in whatever shape it puts them, and the remedy where
//! one is known. How an answer is read that may be a good one is [`crate::reading`]'s.

use inferometer_model::{Failure, FailureKind, secret::shown_url};
use serde_json::Value;
use std::borrow::Cow;
use url::Url;

/// Longest message kept of a failure, in characters.
const LONGEST_MESSAGE: usize = 500;
/// Longest body that is parsed as JSON, in bytes: an error is short, and the thread has answers to read.
const LONGEST_JSON: usize = 1 << 20;
/// Most of a text that is looked at for a message, in bytes.
const LOOKED_AT: usize = 64 << 10;
/// How deep in a JSON body a message may lie.
const DEPTH: u32 = 4;

/// What servers say when a prompt, or a prompt and its answer, are longer than the model can take; in lower case. Each list
/// of words has to be there in whole.
const OVERFLOWS: [&[&str]; 28] = [
    // OpenAI and all who speak like it; its code, vLLM, DeepSeek, OpenRouter, Fireworks, Mistral, Ollama.
    &["context_length_exceeded"],
    &["maximum context length"],
    &["context length exceeded"],
    &["exceeds the context length"],
    &["exceeds context length"],
    &["exceed context limit"],
    &["reduce the length of the "],
    // vLLM's engine.
    &["longer than the maximum model length"],
    &["max_model_len"],
    // Text Generation Inference and Text Embeddings Inference.
    &["`max_new_tokens` must be <="],
    &["inputs` must have less than", "tokens"],
    // llama.cpp, its code, and LM Studio.
    &["exceed_context_size_error"],
    &["exceeds the available context size"],
    &["greater than the context length"],
    &["context window", " exceed"],
    &["input is too large to process"],
    // Anthropic and Bedrock.
    &["prompt is too long"],
    &["input is too long for requested model"],
    // Gemini.
    &["exceeds the maximum number of tokens"],
    // SGLang.
    &["longer than the model's context length"],
    &["exceeds the model's maximum context"],
    // TensorRT-LLM.
    &["exceeds maximum input length"],
    &["max_input_len"],
    &["max_seq_len"],
    // Cohere, xAI, watsonx, LMDeploy.
    &["too many tokens: "],
    &["maximum prompt length"],
    &["cannot exceed the total tokens limit"],
    &["session_len"],
];

/// An answer with another status than 2xx.
pub(crate) struct Refusal<'a> {
    pub(crate) status: u16,
    pub(crate) content_type: &'a str,
    /// `Location`, if there is one.
    pub(crate) location: Option<&'a str>,
    /// `Retry-After`, if there is one.
    pub(crate) retry_after: Option<&'a str>,
    pub(crate) body: &'a [u8],
    /// The path that was asked.
    pub(crate) path: &'a str,
}

impl Refusal<'_> {
    /// The failure that it is.
    pub(crate) fn failure(&self) -> Failure {
        let Message { words, code } = message(self.content_type, self.body);
        let status = self.status;
        // Of limits of another kind servers speak in much the same words.
        if !matches!(status, 300..=399 | 401 | 403 | 429) && is_overflow(&words, &code) {
            return Failure::new(FailureKind::ContextOverflow, overflow(format_args!("{status} {words}")));
        }
        let remedy = self.remedy(&words).map(|remedy| format!(" ({remedy})")).unwrap_or_default();
        Failure::new(FailureKind::HttpStatus, format!("{status} {words}{remedy}"))
    }

    fn remedy(&self, words: &str) -> Option<Cow<'static, str>> {
        let path = self.path.split('?').next().unwrap_or_default();
        let lower = words.to_ascii_lowercase();
        if lower.contains("http request") && lower.contains("https") {
            return Some("the server speaks TLS: begin --url with https://".into());
        }
        let wait = self.retry_after.map(|after| match after.bytes().all(|byte| byte.is_ascii_digit()) {
            true => format!("the server asks to try again in {after} s"),
            false => format!("the server asks to try again at {}", shorten(after)),
        });
        Some(match self.status {
            300..=399 => match self.location {
                Some(location) => {
                    let place = shown_place(location);
                    format!("redirects are not followed; it leads to {place}: {}", moved(location, path)).into()
                }
                None => "redirects are not followed".into(),
            },
            401 | 403 => "the key is missing or not the right one: --api-key".into(),
            404 | 405 => format!("are the path {path} and the model's name right? --url, --endpoint, --model").into(),
            407 => "the proxy wants a name and a password: --proxy http://NAME:PASSWORD@HOST:PORT".into(),
            413 => "larger than the server, or a proxy before it, takes: shorter prompts, --isl".into(),
            429 => match wait {
                Some(wait) => format!("{wait}; a lower --request-rate or --concurrency stays below its limit").into(),
                None => "a lower --request-rate or --concurrency stays below the server's limit".into(),
            },
            502 => {
                "a proxy got no answer from the server behind it: is that up, and are its time-outs long enough?".into()
            }
            503 => match wait {
                Some(wait) => wait.into(),
                None => "overloaded, or not ready yet: --wait-for-model-timeout waits for it".into(),
            },
            504 => "a proxy did not wait long enough for the server behind it: raise its time-out".into(),
            _ => return wait.map(Cow::from),
        })
    }
}

/// What to do about an answer that says that the path asked lies at `location`.
fn moved(location: &str, path: &str) -> String {
    let is_url = location.starts_with("http://") || location.starts_with("https://");
    let base = location.split('?').next().unwrap_or_default();
    match base.strip_suffix(path) {
        Some(base) if is_url && !path.is_empty() => format!("give --url {}", shown_place(base)),
        _ => "give that in --url and --endpoint".to_owned(),
    }
}

/// Where a redirect leads, fit to be shown: a place may hold keys.
pub(crate) fn shown_place(location: &str) -> String {
    let shown = Url::parse(location).map(|url| shown_url(&url));
    shorten(&shown.unwrap_or_else(|_| location.split('?').next().unwrap_or_default().to_owned()))
}

/// An error that an answer with a good status reports. `said`: its message, as far as the endpoint knows; `data`: the event
/// or the body that it is in.
pub(crate) fn inside(said: &str, data: &[u8]) -> Failure {
    let found = found(data);
    let (words, code) = match found {
        // What an endpoint hands on as JSON, or not at all, may be known here.
        Some(Message { words, code }) if said.trim().is_empty() || said.trim_start().starts_with('{') => (words, code),
        found => (said.trim().to_owned(), found.map(|message| message.code).unwrap_or_default()),
    };
    if is_overflow(&words, &code) {
        return Failure::new(FailureKind::ContextOverflow, overflow(format_args!("{}", shorten(&words))));
    }
    let words =
        if words.is_empty() { "an error inside the answer, without a message".to_owned() } else { shorten(&words) };
    Failure::new(FailureKind::StreamError, words)
}

/// What a body is that has a good status and cannot be read as an answer; `why` is what the endpoint says of it.
pub(crate) fn unreadable(content_type: &str, body: &[u8], why: &str) -> Failure {
    let text = String::from_utf8_lossy(&body[..body.len().min(LOOKED_AT)]);
    if text.trim().is_empty() {
        return Failure::new(FailureKind::NoContent, "an empty body");
    }
    if is_html(content_type, &text) {
        let page = page(&text);
        return Failure::new(
            FailureKind::Malformed,
            format!("{page} where JSON was expected: is --url a web site, or a proxy's own page?"),
        );
    }
    Failure::new(FailureKind::Malformed, shorten(why))
}

fn overflow(message: std::fmt::Arguments<'_>) -> String {
    format!("{message} (fewer tokens fit: --isl, --osl)")
}

/// What a server says in an error.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// For people.
    pub(crate) words: String,
    /// For programs: codes and types, where it gives any.
    code: String,
}

/// What a body of an error says: the usual fields of JSON, the title of a page, or the beginning of a text.
pub(crate) fn message(content_type: &str, body: &[u8]) -> Message {
    if let Some(Message { words, code }) = found(body) {
        return Message { words: shorten(&words), code };
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(LOOKED_AT)]);
    let is_binary = |text: &str| text.chars().any(|c| c == '\u{fffd}' || (c.is_control() && !c.is_whitespace()));
    let words = match text.trim() {
        "" => "without a message".to_owned(),
        text if is_binary(text) => format!("with {} bytes that are no text", body.len()),
        text if is_html(content_type, text) => page(text),
        text => shorten(text),
    };
    Message { words, code: String::new() }
}

/// The message in a JSON body, or in the events of a body that is a stream.
fn found(body: &[u8]) -> Option<Message> {
    let of = |text: &[u8]| {
        if text.len() > LONGEST_JSON {
            return None;
        }
        let json: Value = serde_json::from_slice(text).ok()?;
        let mut code = String::new();
        codes(&json, &mut code, DEPTH);
        let words = words(&json, DEPTH)?;
        Some(Message { words: words.trim().to_owned(), code })
    };
    let lines = || body[..body.len().min(LOOKED_AT)].split(|byte| matches!(byte, b'\n' | b'\r'));
    of(body).or_else(|| lines().filter_map(|line| line.strip_prefix(b"data:")).find_map(|data| of(data.trim_ascii())))
}

/// The first message in `json` by the names that servers give it, most telling first.
fn words(json: &Value, depth: u32) -> Option<String> {
    let deeper = |value: &Value| depth.checked_sub(1).and_then(|depth| words(value, depth));
    let fields = match json {
        Value::String(text) => return Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Value::Array(list) => {
            let all: Vec<String> = list.iter().take(5).filter_map(deeper).collect();
            return (!all.is_empty()).then(|| all.join("; "));
        }
        Value::Object(fields) => fields,
        _ => return None,
    };
    let text = |name: &str| fields.get(name)?.as_str().filter(|text| !text.trim().is_empty());
    // OAuth has a code where others have the message.
    if let (Some(code), Some(description)) = (text("error"), text("error_description")) {
        return Some(format!("{code}: {description}"));
    }
    // What a field of the request is refused for, and which.
    if let (Some(message), Some(Value::Array(place))) = (text("msg"), fields.get("loc")) {
        let part = |part: &Value| part.as_str().map_or_else(|| part.to_string(), str::to_owned);
        return Some(format!("{}: {message}", place.iter().map(part).collect::<Vec<_>>().join(".")));
    }
    if let (Some(title), Some(detail)) = (text("title"), text("detail")) {
        return Some(format!("{title}: {detail}"));
    }
    let names = [
        "error",
        "message",
        "detail",
        "details",
        "errors",
        "msg",
        "Message",
        "error_message",
        "faultstring",
        "fault",
        "title",
    ];
    names
        .into_iter()
        .filter_map(|name| fields.get(name))
        .find_map(deeper)
        .or_else(|| ["reason", "code", "type", "status"].into_iter().find_map(text).map(str::to_owned))
}

/// Adds the codes and types of errors in `json` to `out`.
fn codes(json: &Value, out: &mut String, depth: u32) {
    if depth == 0 {
        return;
    }
    match json {
        Value::Array(list) => list.iter().take(5).for_each(|value| codes(value, out, depth - 1)),
        Value::Object(fields) => {
            for name in ["code", "type", "error_type", "status"] {
                if let Some(code) = fields.get(name).and_then(Value::as_str) {
                    out.push_str(code);
                    out.push(' ');
                }
            }
            for name in ["error", "detail", "errors"] {
                if let Some(value) = fields.get(name) {
                    codes(value, out, depth - 1);
                }
            }
        }
        _ => {}
    }
}

/// Whether a server says, in its `words` or its `code`, that what was asked is longer than the model can take.
fn is_overflow(words: &str, code: &str) -> bool {
    let said = format!("{words}\n{code}").to_ascii_lowercase();
    OVERFLOWS.iter().any(|all| all.iter().all(|part| said.contains(part)))
}

/// Whether a text is a page for browsers.
fn is_html(content_type: &str, text: &str) -> bool {
    let start = text.trim_start().trim_start_matches('\u{feff}').trim_start();
    let begins = |tag: &str| start.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
    (content_type.to_ascii_lowercase().contains("html") && start.starts_with('<'))
        || ["<!doctype html", "<html", "<head", "<body", "<h1", "<title", "<center"].into_iter().any(begins)
}

/// What a page for browsers is, by its title or else by its text.
fn page(html: &str) -> String {
    let lower = html.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|at| Some(at + lower[at..].find('>')? + 1)).and_then(|from| {
        let end = from + lower[from..].find("</title")?;
        Some(plain(&html[from..end])).filter(|title| !title.is_empty())
    });
    match title.unwrap_or_else(|| plain(html)).as_str() {
        "" => "an HTML page".to_owned(),
        title => format!("an HTML page ({})", title.chars().take(120).collect::<String>()),
    }
}

/// The text of a piece of HTML: without tags, scripts and styles, and with its spaces made single.
fn plain(html: &str) -> String {
    let (mut text, mut rest) = (String::new(), html);
    // Of the same length.
    let lower = html.to_ascii_lowercase();
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        text.push(' ');
        let tag = &rest[at..];
        let hides = |name: &str| tag.get(1..=name.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(name));
        let hidden = ["script", "style"].into_iter().find(|name| hides(name));
        let end = match hidden {
            Some(name) => lower[html.len() - tag.len()..].find(&format!("</{name}")).unwrap_or(tag.len()),
            None => 0,
        };
        let tag = &tag[end..];
        rest = tag.find('>').map_or("", |end| &tag[end + 1..]);
    }
    text.push_str(rest);
    for (entity, sign) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")]
    {
        text = text.replace(entity, sign);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The beginning of a text that is too long to be kept whole.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(LONGEST_MESSAGE) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
