//! An endpoint: teaches inferometer the API of a (made-up) server of texts.
//!
//! That server takes `POST /v1/completions` with `{"prompt", "model", "stream", "max_tokens"}` and streams events such as
//! `{"choices": [{"text": " word", "finish_reason": null}]}`, the last one being `[DONE]`. Any server that speaks
//! OpenAI's completions understands it too, so this can be tried anywhere:
//!
//! ```text
//! cargo build --release
//! inferometer profile --plugin target/release/libinferometer_example_endpoint.so --endpoint-type example-endpoint …
//! ```
//!
//! An endpoint does no I/O. It writes a request's body and says what is in an answer; sending and timing are the host's.

use inferometer_plugin_sdk::{
    Component, RVec,
    api::Endpoint,
    documents::EndpointInfo,
    schemars::JsonSchema,
    serde::Deserialize,
    types::{
        Answer, Delta, Error, ErrorKind, Event, Outgoing, PartKind, Reply, Request, Result, Span, delta_flags,
        request_flags,
    },
};
use serde_json::{Map, Value, json};

/// The endpoint: whatever it keeps, all worker threads share.
pub struct Example {
    options: Options,
}

/// What a user may set; `inferometer plugins show example-endpoint` prints it. Other names are refused before the run.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(crate = "inferometer_plugin_sdk::serde", default)]
#[schemars(crate = "inferometer_plugin_sdk::schemars")]
pub struct Options {
    /// Put in front of every prompt.
    pub prefix: String,
}

impl Component for Example {
    type Options = Options;

    fn create(options: Options) -> Result<Self> {
        Ok(Self { options })
    }
}

impl Endpoint for Example {
    fn info(&self) -> EndpointInfo {
        EndpointInfo {
            path: "/v1/completions".into(),
            streams: true,
            produces_tokens: true,
            tokenizes_input: true,
            // A stream that just stops, without `[DONE]` or a finish reason, counts as cut off.
            ends_explicitly: true,
            ..EndpointInfo::default()
        }
    }

    /// Writes one request. Method, path and content type keep their defaults: POST, the path above, JSON.
    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        // Some data sets bring whole bodies.
        if !request.raw_body.is_empty() {
            out.body.extend_from_slice(&request.raw_body);
            return Ok(());
        }
        let parts = request.messages.iter().flat_map(|message| message.parts.iter());
        let texts: Vec<&str> = parts.filter(|p| p.kind == PartKind::TEXT).map(|p| p.data.as_str()).collect();
        let mut body = json!({
            "prompt": format!("{}{}", self.options.prefix, texts.join("\n")),
            "model": request.model.as_str(),
            "stream": request.flags & request_flags::STREAM != 0,
        });
        // Zero means that the user set no limit.
        if request.max_tokens > 0 {
            body["max_tokens"] = request.max_tokens.into();
        }
        // Fields the user adds to every request, as a JSON object; they override ours.
        if !request.extra_json.is_empty() {
            let extra: Map<String, Value> = serde_json::from_str(&request.extra_json)
                .map_err(|e| Error::config(format!("the extra fields have to be a JSON object: {e}")))?;
            extra.into_iter().for_each(|(key, value)| body[key] = value);
        }
        out.body = body.to_string().into_bytes().into();
        Ok(())
    }

    /// Says what one event of a stream holds. Text that is not found in the event as it stands goes to `scratch`.
    fn on_event(&self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind> {
        if event.data.as_slice() == b"[DONE]" {
            out.flags = delta_flags::DONE;
            return Ok(());
        }
        *out = read(&event.data, scratch).map_err(|_| ErrorKind::MALFORMED)?;
        Ok(())
    }

    /// Says what a whole answer holds, for requests that do not stream. Here it looks the same as an event.
    fn on_body(&self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        let delta = read(&answer.body, &mut out.scratch)
            .map_err(|e| Error::malformed(format!("the answer is not JSON as expected: {e}")))?;
        out.deltas.push(delta);
        Ok(())
    }
}

fn read(json: &[u8], scratch: &mut RVec<u8>) -> serde_json::Result<Delta> {
    let answer: Value = serde_json::from_slice(json)?;
    let choice = &answer["choices"][0];
    // Everything starts out empty or unknown, and what the answer does not say stays so.
    let mut delta = Delta { flags: delta_flags::SCRATCH, ..Delta::EMPTY };
    if let Some(text) = choice["text"].as_str() {
        delta.text = keep(text, scratch);
    }
    if choice["finish_reason"].is_string() {
        delta.flags |= delta_flags::FINISH;
    }
    // Servers report errors inside streams that began well; unsaid, they would be measured as short answers.
    if let Some(message) = answer["error"]["message"].as_str() {
        delta.flags |= delta_flags::ERROR;
        delta.error = keep(message, scratch);
    }
    Ok(delta)
}

/// Puts `text` into the scratch buffer and says where.
fn keep(text: &str, scratch: &mut RVec<u8>) -> Span {
    let span = Span { off: scratch.len() as u32, len: text.len() as u32 };
    scratch.extend_from_slice(text.as_bytes());
    span
}

// The name under which users ask for it; and, once in a library, what makes the library a plugin.
inferometer_plugin_sdk::endpoint! {
    name: "example-endpoint",
    summary: "Example: the completions of a made-up server of texts.",
    component: Example
}
inferometer_plugin_sdk::export_plugin!();

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_plugin_sdk::types::{Message, Part};

    #[test]
    fn a_request_is_written_and_its_answer_is_read() {
        let example = Example::create(Options { prefix: "Say: ".into() }).unwrap();
        let parts = [Part::text("hello")];
        let messages = [Message { role: "user".into(), parts: parts.as_slice().into(), extra_json: "".into() }];
        let request = Request {
            extra_json: r#"{"seed": 7}"#.into(),
            max_tokens: 4,
            flags: request_flags::STREAM,
            ..Request::new("m", &messages)
        };
        let mut out = Outgoing::default();
        example.encode(&request, &mut out).unwrap();
        let body: Value = serde_json::from_slice(&out.body).unwrap();
        assert_eq!(body, json!({"prompt": "Say: hello", "model": "m", "stream": true, "max_tokens": 4, "seed": 7}));

        let read = |data: &str| {
            let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
            example.on_event(&Event::new(data.as_bytes()), &mut delta, &mut scratch)?;
            Ok((delta.text.of(&scratch).unwrap().to_vec(), delta.flags & !delta_flags::SCRATCH))
        };
        assert_eq!(read(r#"{"choices":[{"text":" \"hi\""}]}"#), Ok((b" \"hi\"".to_vec(), 0)));
        assert_eq!(read(r#"{"choices":[{"text":"","finish_reason":"stop"}]}"#), Ok((vec![], delta_flags::FINISH)));
        assert_eq!(read(r#"{"error":{"message":"too long"}}"#), Ok((vec![], delta_flags::ERROR)));
        assert_eq!(read("[DONE]"), Ok((vec![], delta_flags::DONE)));
        assert_eq!(read("not JSON"), Err(ErrorKind::MALFORMED));
    }
}
