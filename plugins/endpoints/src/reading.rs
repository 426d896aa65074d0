//! Reading answers: what holds for all APIs, or for all whose answers are text.
//!
//! There is a fast way for text in its usual shape, which may decline anything, and a thorough one for everything else. On
//! whatever the fast way takes, the two agree.

use crate::openai::{append, error_message};
use inferometer_plugin_sdk::{
    RVec,
    types::{Answer, Delta, Error, ErrorKind, Event, Reply, Result, Span, delta_flags},
};
use serde_json::Value;

/// What reads the answers of one endpoint.
pub(crate) trait Answers: Copy {
    /// Reads an event of a stream.
    ///
    /// # Errors
    /// When it is none of this API.
    fn on_event(self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind>;

    /// Reads a whole answer.
    ///
    /// # Errors
    /// When it is none of this API.
    fn on_body(self, answer: &Answer<'_>, out: &mut Reply) -> Result<()>;
}

/// Answers that come whole: what says what a body holds.
#[derive(Clone, Copy)]
pub(crate) struct Whole(pub(crate) fn(&[u8], &mut RVec<u8>) -> Result<Delta>);

impl Answers for Whole {
    /// Nothing of such an API's is a stream.
    fn on_event(self, _: &Event<'_>, _: &mut Delta, _: &mut RVec<u8>) -> Result<(), ErrorKind> {
        Err(ErrorKind::MALFORMED)
    }

    fn on_body(self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        let delta = (self.0)(answer.body.as_slice(), &mut out.scratch)?;
        out.deltas.push(delta);
        Ok(())
    }
}

/// The two ways to read an event whose content is text.
pub(crate) trait Reader: Copy {
    /// The fast way: puts what `data` holds into `delta`, which is empty. `None` if it declines, and then `delta` is
    /// spoilt.
    fn scan(self, data: &[u8], delta: &mut Delta) -> Option<()>;

    /// The thorough way; `None` if it is no event of this API.
    fn parse(self, data: &[u8], scratch: &mut RVec<u8>) -> Option<Delta>;
}

/// Reads an event of a stream in one way or the other.
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
    let delta = if is_error { called_error(reader, data, scratch) } else { unusual(reader, data, scratch) };
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
fn called_error(reader: impl Reader, data: &[u8], scratch: &mut RVec<u8>) -> Option<Delta> {
    reader.parse(data, scratch).filter(|delta| !delta.error.is_empty()).or_else(|| {
        let all = Span { off: 0, len: data.len().try_into().ok()? };
        Some(Delta { flags: delta_flags::ERROR, error: all, ..Delta::EMPTY })
    })
}

/// The delta of an answer that tells of an error, if `answer` does. One that `is_whole` holds what it ought to, and tells
/// of an error only in so many words.
pub(crate) fn failure(answer: &Value, is_whole: bool, scratch: &mut RVec<u8>) -> Option<Delta> {
    let message = error_message(answer, is_whole)?;
    let error = append(scratch, |out| out.extend_from_slice(message.as_bytes()))?;
    Some(Delta { flags: delta_flags::SCRATCH | delta_flags::ERROR, error, ..Delta::EMPTY })
}

/// The same of an answer of which these two members alone were kept.
pub(crate) fn failure_of(error: &Value, message: &Value, is_whole: bool, scratch: &mut RVec<u8>) -> Option<Delta> {
    if error.is_null() && message.is_null() {
        return None;
    }
    failure(&serde_json::json!({"error": error, "message": message}), is_whole, scratch)
}

/// The error for a body that is no answer of an API, of which one would be `expected`.
#[cold]
pub(crate) fn no_answer(expected: &str, body: &[u8]) -> Error {
    let begin = beginning(body);
    Error::malformed(format!("the answer is no {expected}, got `{begin}`; check the server's path and the endpoint"))
}

/// The error for an answer that is not what was `expected`: says what was found, and the answer's beginning.
pub(crate) fn unexpected(expected: &str, found: &str, body: &[u8]) -> Error {
    let begin = beginning(body);
    Error::malformed(format!(
        "the answer is not {expected}: {found} in `{begin}`; check the server's path and the endpoint"
    ))
}

/// The first characters of an answer, for messages.
pub(crate) fn beginning(body: &[u8]) -> String {
    const CHARACTERS: usize = 80;
    String::from_utf8_lossy(&body[..body.len().min(4 * CHARACTERS)]).chars().take(CHARACTERS).collect()
}
