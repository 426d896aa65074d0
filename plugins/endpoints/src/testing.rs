//! What the tests of endpoints have in common: a request of one message put to one of them, and its answers read.

use inferometer_plugin_sdk::{
    RSlice, RVec,
    api::Endpoint,
    types::{Answer, Delta, Error, ErrorKind, Event, Message, Outgoing, Part, Reply, Request, Result},
};

/// A part of some kind under a name.
pub(crate) fn named<'a>(name: &'a str, text: &'a str) -> Part<'a> {
    Part { name: name.into(), ..Part::text(text) }
}

/// What is sent for a message of `parts`.
pub(crate) fn sent(endpoint: &dyn Endpoint, parts: &[Part<'_>], extra: &str, flags: u32) -> Result<Outgoing> {
    let messages = [Message { role: "user".into(), parts: RSlice::from_slice(parts), extra_json: "".into() }];
    let mut out = Outgoing::default();
    let request = Request { extra_json: extra.into(), flags, ..Request::new("m", &messages) };
    endpoint.encode(&request, &mut out).map(|()| out)
}

/// The same as text.
pub(crate) fn body(endpoint: &dyn Endpoint, parts: &[Part<'_>], extra: &str) -> Result<String> {
    sent(endpoint, parts, extra, 0).map(|out| String::from_utf8_lossy(&out.body).into_owned())
}

/// Reads a whole answer.
pub(crate) fn read(endpoint: &dyn Endpoint, content_type: &str, body: &[u8]) -> Result<Reply> {
    let answer = Answer { status: 200, exchange: 0, flags: 0, content_type: content_type.into(), body: body.into() };
    let mut reply = Reply::default();
    endpoint.on_body(&answer, &mut reply).map(|()| reply)
}

/// Reads an answer that cannot be read, or ought not to be.
pub(crate) fn refused(endpoint: &dyn Endpoint, body: &str) -> String {
    match read(endpoint, "", body.as_bytes()) {
        Err(Error { kind: ErrorKind::MALFORMED, message }) => message.into(),
        other => panic!("{body} is not refused as malformed: {other:?}"),
    }
}

/// Reads an event, and tells the texts it holds: text, reasoning, tool and error.
pub(crate) fn event(endpoint: &dyn Endpoint, name: &str, data: &str) -> Result<(Delta, [String; 4]), ErrorKind> {
    let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
    endpoint.on_event(&Event::new(data.as_bytes()).named(name), &mut delta, &mut scratch)?;
    Ok((delta, texts(&delta, data.as_bytes(), &scratch)))
}

/// The texts of a delta.
pub(crate) fn texts(delta: &Delta, data: &[u8], scratch: &[u8]) -> [String; 4] {
    use inferometer_plugin_sdk::types::delta_flags;
    let within = if delta.flags & delta_flags::SCRATCH == 0 { data } else { scratch };
    [delta.text, delta.reasoning, delta.tool, delta.error].map(|span| {
        let text = std::str::from_utf8(span.of(within).expect("a span lies within")).expect("a text is UTF-8");
        if delta.flags & delta_flags::ESCAPED == 0 {
            return text.to_owned();
        }
        serde_json::from_str(&format!("\"{text}\"")).expect("a text that is said to be escaped can be unescaped")
    })
}
