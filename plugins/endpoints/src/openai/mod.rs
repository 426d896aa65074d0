//! Reading answers in OpenAI's words: which way an event or a body is read.
//!
//! `chunk` is the fast way, for events in the usual shape; `parse` is the thorough one, for everything else. On whatever
//! the fast way takes, the two agree.
//!
//! Of several parallel answers an event tells of one: the first it holds, whose number is told with it. Servers that
//! stream several put each into events of its own.

mod chunk;
mod parse;
pub(crate) mod request;

#[cfg(test)]
mod agreement;

use inferometer_plugin_sdk::{
    RVec,
    types::{Answer, Delta, Error, ErrorKind, Event, Reply, Result, Span, delta_flags},
};

/// The two ways a choice keeps its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// In a message, which streams bring as a delta.
    Chat,
    /// In the choice itself.
    Completions,
}

/// Reads an event of a stream.
#[inline]
pub(crate) fn on_event(
    dialect: Dialect,
    event: &Event<'_>,
    out: &mut Delta,
    scratch: &mut RVec<u8>,
) -> Result<(), ErrorKind> {
    let data = event.data.as_slice();
    let is_error = event.name == "error";
    if !is_error && chunk::scan(dialect, data, out).is_some() {
        return Ok(());
    }
    let read = if is_error { failure } else { unusual };
    let delta = read(dialect, data, scratch);
    *out = delta.unwrap_or_default();
    delta.map(drop).ok_or(ErrorKind::MALFORMED)
}

/// Whatever is not an ordinary chunk.
#[cold]
fn unusual(dialect: Dialect, data: &[u8], scratch: &mut RVec<u8>) -> Option<Delta> {
    match data.trim_ascii() {
        b"[DONE]" => Some(Delta { flags: delta_flags::DONE, ..Delta::EMPTY }),
        // A sign of life that some proxies send.
        b"" => Some(Delta::EMPTY),
        _ => parse::parse(dialect, data, scratch).map(|found| found.delta),
    }
}

/// An event that is called an error, whatever it holds; its data as it is where no message can be found.
#[cold]
fn failure(dialect: Dialect, data: &[u8], scratch: &mut RVec<u8>) -> Option<Delta> {
    let known = parse::parse(dialect, data, scratch).map(|found| found.delta);
    known.filter(|delta| !delta.error.is_empty()).or_else(|| {
        let all = Span { off: 0, len: data.len().try_into().ok()? };
        Some(Delta { flags: delta_flags::ERROR, error: all, ..Delta::EMPTY })
    })
}

/// Reads a whole answer.
pub(crate) fn on_body(dialect: Dialect, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
    let found = parse::parse(dialect, answer.body.as_slice(), &mut out.scratch)
        .filter(|found| found.has_choices || found.delta.flags & delta_flags::ERROR != 0)
        .ok_or_else(|| {
            let begin: String = String::from_utf8_lossy(&answer.body).chars().take(80).collect();
            Error::malformed(format!(
                "the answer is no completion: expected a JSON object with `choices`, got `{begin}`; \
                 check the server's path and the endpoint"
            ))
        })?;
    out.deltas.push(found.delta);
    Ok(())
}
