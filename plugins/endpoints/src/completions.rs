//! The `completions` endpoint: OpenAI's older API, which continues a text.

use crate::{
    body::{self, json, list},
    openai::{Dialect, write_rest},
    speaks::{self, speaks},
};
use inferometer_plugin_sdk::{
    RVec,
    serde::{Serialize, Serializer},
    types::{Error, ErrorKind, Message, Outgoing, PartKind, Request, Result},
};
use std::fmt;

speaks! {
    /// Speaks `/v1/completions`.
    ///
    /// The API knows neither roles nor a history: the prompt is the texts of all messages in their order, blank lines
    /// between them. One message of several texts is sent as a list, which servers take for several prompts.
    Completions, "completions", "OpenAI's older text completions (/v1/completions).",
    info: speaks::text("/v1/completions"),
    encode: encode,
    answers: Dialect::Completions,
}

fn encode(request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
    body::encode(request, out, |body| {
        body.member("prompt", |out| write_prompt(out, request.messages.as_slice()))?;
        write_rest(body, request, "max_tokens")
    })
}

fn write_prompt(out: &mut RVec<u8>, messages: &[Message<'_>]) -> Result<()> {
    if messages.iter().flat_map(|message| message.parts.iter()).any(|part| part.kind != PartKind::TEXT) {
        return Err(Error::new(
            ErrorKind::UNSUPPORTED,
            "`completions` takes text only and the data set holds images, audio or video; use the endpoint `chat`",
        ));
    }
    match messages {
        [] => json("")(out),
        [only] => match only.parts.as_slice() {
            [] => json("")(out),
            [part] => json(part.data.as_str())(out),
            parts => list(out, parts, |out, part| json(part.data.as_str())(out)),
        },
        [.., last] if last.parts.len() > 1 => Err(Error::new(
            ErrorKind::UNSUPPORTED,
            "`completions` sends several texts of a message as several prompts, which leaves no place for the messages \
             before it; send one text, or leave out the system prompt, the context and the earlier turns",
        )),
        several => json(&Joined(several))(out),
    }
}

/// The texts of messages with blank lines between them, put together while they are written.
struct Joined<'a>(&'a [Message<'a>]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self.0.iter().flat_map(|message| message.parts.iter()).map(|part| part.data.as_str());
        for (n, text) in texts.filter(|text| !text.is_empty()).enumerate() {
            if n > 0 {
                f.write_str("\n\n")?;
            }
            f.write_str(text)?;
        }
        Ok(())
    }
}

impl Serialize for Joined<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_plugin_sdk::{
        api::Endpoint as _,
        types::{Part, request_flags},
    };

    fn encoded(messages: &[(&str, &[Part<'_>])], extra: &str) -> Result<String> {
        let messages: Vec<Message<'_>> = messages
            .iter()
            .map(|(role, parts)| Message { role: (*role).into(), parts: (*parts).into(), extra_json: "".into() })
            .collect();
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
    fn a_single_text_is_the_prompt() {
        assert_eq!(
            encoded(&[("user", &[Part::text("Once")])], r#"{"n":1}"#).unwrap(),
            concat!(
                r#"{"prompt":"Once","model":"m","stream":true,"max_tokens":8,"n":1,"#,
                r#""stream_options":{"include_usage":true}}"#
            )
        );
    }

    #[test]
    fn several_messages_become_one_prompt_in_their_order_without_their_roles() {
        let history: [(&str, &[Part<'_>]); 4] = [
            ("system", &[Part::text("Be \"brief\".")]),
            ("user", &[Part::text("a"), Part::text("b")]),
            ("assistant", &[]),
            ("user", &[Part::text("c\n")]),
        ];
        let body = encoded(&history, "").unwrap();
        assert!(body.starts_with(r#"{"prompt":"Be \"brief\".\n\na\n\nb\n\nc\n","#), "{body}");
    }

    #[test]
    fn several_prompts_after_other_messages_are_refused_with_the_way_out() {
        let error = encoded(&[("system", &[Part::text("s")]), ("user", &[Part::text("a"), Part::text("b")])], "");
        let error = error.unwrap_err();
        assert_eq!(error.kind, ErrorKind::UNSUPPORTED);
        assert!(error.message.contains("several prompts") && error.message.contains("send one text"), "{error}");
    }

    #[test]
    fn several_texts_become_a_list_of_prompts() {
        let body = encoded(&[("user", &[Part::text("a"), Part::text("b")])], "").unwrap();
        assert!(body.starts_with(r#"{"prompt":["a","b"],"#), "{body}");
    }

    #[test]
    fn media_are_refused_with_the_way_out() {
        let image = Part { kind: PartKind::IMAGE, ..Part::text("http://i") };
        let error = encoded(&[("user", &[Part::text("a"), image])], "").unwrap_err();
        assert_eq!(error.kind, ErrorKind::UNSUPPORTED);
        assert!(error.message.contains("`chat`"));
    }
}
