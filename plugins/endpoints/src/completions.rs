//! The `completions` endpoint: OpenAI's older API, which continues a text.

use crate::{
    body::{json, list},
    openai::{self, Dialect, request},
};
use inferometer_plugin_sdk::{
    Component, NoOptions, RVec,
    api::Endpoint,
    documents::{EndpointInfo, Framing},
    types::{Answer, Delta, Error, ErrorKind, Event, Outgoing, Part, PartKind, Reply, Request, Result},
};

/// Speaks `/v1/completions`.
///
/// The prompt is the text of the conversation's last message: the API knows no roles and no history. A message of
/// several texts is sent as a list, which servers take for several prompts.
pub struct Completions;

impl Component for Completions {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl Endpoint for Completions {
    fn info(&self) -> EndpointInfo {
        EndpointInfo {
            path: "/v1/completions".to_owned(),
            streams: true,
            framing: Framing::Sse,
            produces_tokens: true,
            tokenizes_input: true,
            ends_explicitly: true,
            ..EndpointInfo::default()
        }
    }

    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        request::encode(request, out, "max_tokens", |body| {
            let parts = request.messages.last().map_or(&[][..], |message| message.parts.as_slice());
            body.member("prompt", |out| write_prompt(out, parts)).map(drop)
        })
    }

    #[inline]
    fn on_event(&self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind> {
        openai::on_event(Dialect::Completions, event, out, scratch)
    }

    fn on_body(&self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        openai::on_body(Dialect::Completions, answer, out)
    }
}

fn write_prompt(out: &mut RVec<u8>, parts: &[Part<'_>]) -> Result<()> {
    if parts.iter().any(|part| part.kind != PartKind::TEXT) {
        return Err(Error::new(
            ErrorKind::UNSUPPORTED,
            "`completions` takes text only and the data set holds images, audio or video; use the endpoint `chat`",
        ));
    }
    match parts {
        [] => json("")(out),
        [part] => json(part.data.as_str())(out),
        parts => list(out, parts, |out, part| json(part.data.as_str())(out)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_plugin_sdk::types::{Message, request_flags};

    fn encoded(parts: &[Part<'_>], extra: &str) -> Result<String> {
        let history = [Part::text("before")];
        let messages =
            [&history, parts].map(|parts| Message { role: "user".into(), parts: parts.into(), extra_json: "".into() });
        let request = Request {
            extra_json: extra.into(),
            max_tokens: 8,
            turn: 1,
            flags: request_flags::STREAM,
            ..Request::new("m", &messages)
        };
        let mut out = Outgoing::default();
        Completions.encode(&request, &mut out)?;
        Ok(String::from_utf8(out.body.into()).unwrap())
    }

    #[test]
    fn the_prompt_is_the_last_message() {
        assert_eq!(
            encoded(&[Part::text("Once")], r#"{"n":1}"#).unwrap(),
            concat!(
                r#"{"prompt":"Once","model":"m","stream":true,"max_tokens":8,"n":1,"#,
                r#""stream_options":{"include_usage":true}}"#
            )
        );
    }

    #[test]
    fn several_texts_become_a_list_of_prompts() {
        let body = encoded(&[Part::text("a"), Part::text("b")], "").unwrap();
        assert!(body.starts_with(r#"{"prompt":["a","b"],"#), "{body}");
    }

    #[test]
    fn media_are_refused_with_the_way_out() {
        let image = Part { kind: PartKind::IMAGE, ..Part::text("http://i") };
        let error = encoded(&[Part::text("a"), image], "").unwrap_err();
        assert_eq!(error.kind, ErrorKind::UNSUPPORTED);
        assert!(error.message.contains("`chat`"));
    }
}
