//! The `chat` endpoint: OpenAI's chat completions, with images, audio and video as servers of open models take them.

use crate::{
    body::{self, list},
    openai::{Dialect, write_rest},
    speaks::{self, speaks},
    turns::{self, audio_format, refused, strings, typed},
};
use inferometer_plugin_sdk::{
    RVec,
    types::{Message, Outgoing, Part, PartKind, Request, Result, request_flags},
};

speaks! {
    /// Speaks `/v1/chat/completions`.
    Chat, "chat", "OpenAI's chat completions, as most servers offer them (/v1/chat/completions).",
    info: speaks::text("/v1/chat/completions"),
    encode: encode,
    answers: Dialect::Chat,
}

fn encode(request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
    let is_legacy = request.flags & request_flags::LEGACY_MAX_TOKENS != 0;
    let limit = if is_legacy { "max_tokens" } else { "max_completion_tokens" };
    body::encode(request, out, |body| {
        body.member("messages", |out| list(out, &request.messages, write_message))?;
        write_rest(body, request, limit)
    })
}

/// Writes a message with its parts.
///
/// # Errors
/// When the API has no words for a part.
pub(crate) fn write_message(out: &mut RVec<u8>, message: &Message<'_>) -> Result<()> {
    turns::write_message(out, message, write_part)
}

fn write_part(out: &mut RVec<u8>, part: &Part<'_>) -> Result<()> {
    let data = part.data.as_str();
    match part.kind {
        PartKind::TEXT => strings(out, &[("type", "text"), ("text", data)]),
        PartKind::IMAGE => typed(out, "image_url", "image_url", &[("url", data)]),
        PartKind::VIDEO => typed(out, "video_url", "video_url", &[("url", data)]),
        PartKind::AUDIO => {
            let format = audio_format("chat", &part.mime)?;
            typed(out, "input_audio", "input_audio", &[("data", data), ("format", format)])
        }
        kind => Err(refused("chat", kind, "text, images, audio and video")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_plugin_sdk::{RStr, api::Endpoint as _, types::ErrorKind};

    fn message<'a>(role: &'a str, parts: &'a [Part<'a>], extra: &'a str) -> Message<'a> {
        Message { role: role.into(), parts: parts.into(), extra_json: extra.into() }
    }

    fn part<'a>(kind: PartKind, mime: &'a str, data: &'a str) -> Part<'a> {
        Part { kind, flags: 0, name: RStr::empty(), mime: mime.into(), data: data.into() }
    }

    fn request<'a>(messages: &'a [Message<'a>], extra: &'a str) -> Request<'a> {
        Request {
            extra_json: extra.into(),
            max_tokens: 16,
            flags: request_flags::STREAM,
            ..Request::new("m", messages)
        }
    }

    fn encoded(request: &Request<'_>) -> Result<String> {
        let mut out = Outgoing::default();
        Chat.encode(request, &mut out)?;
        Ok(String::from_utf8(out.body.into()).unwrap())
    }

    const HELLO: [Part<'_>; 1] = [Part {
        kind: PartKind::TEXT,
        flags: 0,
        name: RStr::empty(),
        mime: RStr::empty(),
        data: RStr::from_str("Hello \"you\"\n"),
    }];

    #[test]
    fn a_plain_turn_is_written_in_the_usual_order() {
        let messages = [message("user", &HELLO, "")];
        assert_eq!(
            encoded(&request(&messages, "")).unwrap(),
            concat!(
                r#"{"messages":[{"role":"user","content":"Hello \"you\"\n"}],"model":"m","stream":true,"#,
                r#""max_completion_tokens":16,"stream_options":{"include_usage":true}}"#
            )
        );
    }

    #[test]
    fn stream_is_always_said_and_a_limit_only_if_there_is_one() {
        let unlimited = Request { flags: 0, max_tokens: 0, ..request(&[], "") };
        assert_eq!(encoded(&unlimited).unwrap(), r#"{"messages":[],"model":"m","stream":false}"#);
        let legacy = Request { flags: request_flags::LEGACY_MAX_TOKENS, ..request(&[], "") };
        assert_eq!(encoded(&legacy).unwrap(), r#"{"messages":[],"model":"m","stream":false,"max_tokens":16}"#);
    }

    #[test]
    fn extras_override_everything_even_stream() {
        let extra = r#"{"stream":false,"temperature":0.0,"model":"other"}"#;
        assert_eq!(
            encoded(&request(&[], extra)).unwrap(),
            r#"{"messages":[],"model":"other","stream":false,"max_completion_tokens":16,"temperature":0.0}"#
        );
        let streaming = Request { flags: 0, max_tokens: 0, ..request(&[], r#"{"stream":true,"stream_options":null}"#) };
        assert_eq!(encoded(&streaming).unwrap(), r#"{"messages":[],"model":"m","stream":true,"stream_options":null}"#);
    }

    #[test]
    fn a_raw_body_is_sent_as_it_is() {
        let raw = Request { raw_body: b"{ not even JSON".as_slice().into(), ..request(&[], r#"{"top_k":1}"#) };
        assert_eq!(encoded(&raw).unwrap(), "{ not even JSON");
    }

    #[test]
    fn media_make_the_content_a_list_of_parts() {
        let parts = [
            part(PartKind::TEXT, "", "See"),
            part(PartKind::IMAGE, "image/png", "data:image/png;base64,AA"),
            part(PartKind::AUDIO, "audio/mpeg", "BB"),
            part(PartKind::VIDEO, "", "http://v"),
        ];
        let messages = [message("user", &parts, ""), message("user", &[], "")];
        let body = encoded(&Request { flags: 0, max_tokens: 0, ..request(&messages, "") }).unwrap();
        assert_eq!(
            body,
            concat!(
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"See"},"#,
                r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}},"#,
                r#"{"type":"input_audio","input_audio":{"data":"BB","format":"mp3"}},"#,
                r#"{"type":"video_url","video_url":{"url":"http://v"}}]},{"role":"user","content":""}],"#,
                r#""model":"m","stream":false}"#
            )
        );
    }

    #[test]
    fn extra_fields_of_a_message_are_laid_over_it() {
        let messages = [message("assistant", &[], r#"{"content":null,"tool_calls":[]}"#)];
        let body = encoded(&request(&messages, "")).unwrap();
        assert!(body.contains(r#"{"role":"assistant","content":null,"tool_calls":[]}"#), "{body}");
    }

    #[test]
    fn what_cannot_be_said_is_refused_in_words() {
        let odd = [part(PartKind(9), "", "x")];
        let messages = [message("user", &odd, "")];
        assert_eq!(encoded(&request(&messages, "")).unwrap_err().kind, ErrorKind::UNSUPPORTED);
        let silent = [part(PartKind::AUDIO, "", "x")];
        let messages = [message("user", &silent, "")];
        assert_eq!(encoded(&request(&messages, "")).unwrap_err().kind, ErrorKind::CONFIG);
        assert_eq!(encoded(&request(&[], "top_k=1")).unwrap_err().kind, ErrorKind::CONFIG);
    }
}
