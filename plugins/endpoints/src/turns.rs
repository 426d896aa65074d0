//! What the requests of APIs with conversations, or with a single prompt, have in common.

use crate::body::{Object, json, list, object};
use inferometer_plugin_sdk::{
    RVec,
    types::{Error, ErrorKind, Message, Part, PartKind, Request, Result, request_flags},
};

/// Whether the answer is to be streamed.
pub(crate) fn streams(request: &Request<'_>) -> bool {
    request.flags & request_flags::STREAM != 0
}

/// Writes an object of members that are texts.
pub(crate) fn strings(out: &mut RVec<u8>, members: &[(&str, &str)]) -> Result<()> {
    object(out, "", |object| members.iter().try_for_each(|(key, value)| object.member(key, json(value)).map(drop)))
}

/// Writes an object of one member.
pub(crate) fn only(out: &mut RVec<u8>, key: &str, value: impl FnOnce(&mut RVec<u8>) -> Result<()>) -> Result<()> {
    object(out, "", |object| object.member(key, value).map(drop))
}

/// Writes an object that says of which type it is, and holds texts under `key`.
pub(crate) fn typed(out: &mut RVec<u8>, kind: &str, key: &str, members: &[(&str, &str)]) -> Result<()> {
    object(out, "", |object| {
        object.member("type", json(kind))?;
        object.member(key, |out| strings(out, members)).map(drop)
    })
}

/// Writes a message as most APIs have it: its role and its content, with its extra fields laid over them.
///
/// # Errors
/// Those of `part`, and when the extra fields are no JSON object.
pub(crate) fn write_message(out: &mut RVec<u8>, message: &Message<'_>, part: PartWriter) -> Result<()> {
    object(out, message.extra_json.as_str(), |object| write_said(object, message, part))
}

/// What writes a part of a message.
pub(crate) type PartWriter = fn(&mut RVec<u8>, &Part<'_>) -> Result<()>;

/// Writes the role and the content of a message: its text if it has nothing else, or a list of what `part` writes.
///
/// # Errors
/// Those of `part`.
pub(crate) fn write_said(object: &mut Object<'_>, message: &Message<'_>, part: PartWriter) -> Result<()> {
    object.member("role", json(message.role.as_str()))?;
    let content = |out: &mut RVec<u8>| match message.parts.as_slice() {
        [] => json("")(out),
        [part] if part.kind == PartKind::TEXT => json(part.data.as_str())(out),
        parts => list(out, parts, part),
    };
    object.member("content", content).map(drop)
}

/// The messages of a request for an API that keeps what the system says apart from the conversation.
pub(crate) struct Split<'a> {
    /// What the system says, blank lines between its texts; empty if it says nothing.
    pub(crate) system: String,
    /// The others, in their order.
    pub(crate) others: Vec<&'a Message<'a>>,
}

impl<'a> Split<'a> {
    /// Splits the messages of `request`, of which those whose role is among `roles` are the system's.
    ///
    /// # Errors
    /// When the system says anything but text: `endpoint` has no place for it.
    pub(crate) fn of(request: &'a Request<'a>, endpoint: &str, roles: &[&str]) -> Result<Self> {
        let is_system = |message: &&Message<'_>| roles.contains(&message.role.as_str());
        let (system, others): (Vec<&Message<'_>>, _) = request.messages.as_slice().iter().partition(is_system);
        if system.iter().any(|message| !message.extra_json.is_empty()) {
            return Err(unsupported(format!(
                "`{endpoint}` has no place for extra fields of a system message; leave them out of the data set"
            )));
        }
        let texts = texts_of(endpoint, system.iter().flat_map(|message| message.parts.as_slice()))?;
        Ok(Self { system: texts.join("\n\n"), others })
    }
}

/// All texts of a request as one prompt, with `between` between them, for an API without conversations.
///
/// # Errors
/// When there is anything but text.
pub(crate) fn prompt(request: &Request<'_>, endpoint: &str, between: &str) -> Result<String> {
    let parts = request.messages.as_slice().iter().flat_map(|message| message.parts.as_slice());
    Ok(texts_of(endpoint, parts)?.join(between))
}

fn texts_of<'a>(endpoint: &str, parts: impl Iterator<Item = &'a Part<'a>>) -> Result<Vec<&'a str>> {
    let mut texts = Vec::new();
    for part in parts {
        if part.kind != PartKind::TEXT {
            return Err(refused(endpoint, part.kind, "text in this place"));
        }
        if !part.data.is_empty() {
            texts.push(part.data.as_str());
        }
    }
    Ok(texts)
}

/// The content of a data URI: its media type and its base64.
pub(crate) fn data_uri(data: &str) -> Option<(&str, &str)> {
    let (head, content) = data.strip_prefix("data:")?.split_once(',')?;
    Some((head.strip_suffix(";base64")?, content))
}

/// OpenAI's name of an audio format, which a data set may give as a media type.
///
/// # Errors
/// When there is none.
pub(crate) fn audio_format<'a>(endpoint: &str, mime: &'a str) -> Result<&'a str> {
    match mime.strip_prefix("audio/").unwrap_or(mime) {
        "" => Err(Error::config(format!(
            "an audio part without a format is a URL, and `{endpoint}` sends audio as base64 only; give the data and its \
             format"
        ))),
        "mpeg" => Ok("mp3"),
        "x-wav" | "wave" => Ok("wav"),
        format => Ok(format),
    }
}

/// The error for a part of a kind that an API has no words for.
pub(crate) fn refused(endpoint: &str, kind: PartKind, takes: &str) -> Error {
    let what = match kind {
        PartKind::TEXT => "text",
        PartKind::IMAGE => "an image",
        PartKind::AUDIO => "audio",
        PartKind::VIDEO => "a video",
        PartKind(_) => "a part of an unknown kind",
    };
    unsupported(format!(
        "`{endpoint}` takes {takes} and the data set holds {what}; leave that out or use another endpoint"
    ))
}

fn unsupported(message: String) -> Error {
    Error::new(ErrorKind::UNSUPPORTED, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_plugin_sdk::RStr;

    fn message<'a>(role: &'a str, parts: &'a [Part<'a>]) -> Message<'a> {
        Message { role: role.into(), parts: parts.into(), extra_json: RStr::empty() }
    }

    #[test]
    fn what_the_system_says_is_taken_out_of_the_conversation_wherever_it_stands() {
        let texts = ["Be brief.", "Hi", "", "Be kind."].map(Part::text);
        let [brief, hi, nothing, kind] = texts.each_ref().map(std::slice::from_ref);
        let messages =
            [message("system", brief), message("user", hi), message("system", nothing), message("dev", kind)];
        let request = Request::new("m", &messages);
        let split = Split::of(&request, "x", &["system", "dev"]).unwrap();
        assert_eq!((split.system.as_str(), split.others.len()), ("Be brief.\n\nBe kind.", 1));
        assert_eq!(prompt(&request, "x", " ").unwrap(), "Be brief. Hi Be kind.");
    }

    #[test]
    fn what_the_system_cannot_say_is_refused_in_words() {
        let image = [Part { kind: PartKind::IMAGE, ..Part::text("http://i") }];
        let extra = Message { extra_json: "{}".into(), ..message("system", &[]) };
        for message in [message("system", &image), extra] {
            let messages = [message];
            let error = Split::of(&Request::new("m", &messages), "x", &["system"]).err().unwrap();
            assert_eq!(error.kind, ErrorKind::UNSUPPORTED);
            assert!(error.message.contains("`x`") && error.message.contains("leave"), "{error}");
        }
    }

    #[test]
    fn a_data_uri_is_told_from_a_url() {
        assert_eq!(data_uri("data:image/png;base64,AA=="), Some(("image/png", "AA==")));
        for other in ["http://host/a.png", "data:text/plain,hello", "data:", "AA=="] {
            assert_eq!(data_uri(other), None, "{other}");
        }
    }
}
