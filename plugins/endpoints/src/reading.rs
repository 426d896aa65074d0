//! Which of its two ways an answer is read: what holds for all APIs whose answers are text.
//!
//! There is a fast way for what has the usual shape, which may decline anything, and a thorough one for everything else. On
//! whatever the fast way takes, the two agree.

use inferometer_plugin_sdk::{
    RVec,
    types::{Delta, Error, ErrorKind, Event, Result, Span, delta_flags},
};

/// What reads the answers of one API.
pub(crate) trait Reader: Copy {
    /// The fast way to read an event: puts what `data` holds into `delta`, which is empty. `None` if it declines, and then
    /// `delta` is spoilt.
    fn scan(self, data: &[u8], delta: &mut Delta) -> Option<()>;

    /// The thorough way to read an event; `None` if it is none of this API.
    fn parse(self, data: &[u8], scratch: &mut RVec<u8>) -> Option<Delta>;
}

/// Reads an event of a stream.
#[inline]
pub(crate) fn on_event(
    reader: impl Reader,
    event: &Event<'_>,
    out: &mut Delta,
    scratch: &mut RVec<u8>,
) -> Result<(), ErrorKind> {
    let data = event.data.as_slice();
    let is_error = event.name == "error";
    if !is_error && reader.scan(data, out).is_some() {
        return Ok(());
    }
    let delta = if is_error { failure(reader, data, scratch) } else { unusual(reader, data, scratch) };
    *out = delta.unwrap_or_default();
    delta.map(drop).ok_or(ErrorKind::MALFORMED)
}

/// An event that is not in the usual shape.
#[cold]
fn unusual(reader: impl Reader, data: &[u8], scratch: &mut RVec<u8>) -> Option<Delta> {
    match data.trim_ascii() {
        b"[DONE]" => Some(Delta { flags: delta_flags::DONE, ..Delta::EMPTY }),
        // A sign of life that some proxies send.
        b"" => Some(Delta::EMPTY),
        _ => reader.parse(data, scratch),
    }
}

/// An event that is called an error, whatever it holds; its data as it is where no message can be found.
#[cold]
fn failure(reader: impl Reader, data: &[u8], scratch: &mut RVec<u8>) -> Option<Delta> {
    reader.parse(data, scratch).filter(|delta| !delta.error.is_empty()).or_else(|| {
        let all = Span { off: 0, len: data.len().try_into().ok()? };
        Some(Delta { flags: delta_flags::ERROR, error: all, ..Delta::EMPTY })
    })
}

/// The error for a body that is no answer of an API, of which one would be `expected`.
#[cold]
pub(crate) fn no_answer(expected: &str, body: &[u8]) -> Error {
    let begin: String = String::from_utf8_lossy(body).chars().take(80).collect();
    Error::malformed(format!("the answer is no {expected}, got `{begin}`; check the server's path and the endpoint"))
}
