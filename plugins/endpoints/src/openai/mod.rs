//! Reading answers in OpenAI's words: which way an event or a body is read.
//!
//! `usual` is the fast way, for what has the usual shape; `parse` is the thorough one, for everything else. On whatever
//! the fast way takes, the two agree.
//!
//! Of several parallel answers an event or a body tells of one: the first it holds, whose number is told with it. Servers
//! that stream several put each into events of its own.

mod parse;
pub(crate) mod request;
mod usual;

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod samples;

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
    if !is_error && usual::scan(dialect, data, out).is_some() {
        return Ok(());
    }
    let read = if is_error { failure } else { unusual };
    let delta = read(dialect, data, scratch);
    *out = delta.unwrap_or_default();
    delta.map(drop).ok_or(ErrorKind::MALFORMED)
}

/// An event that is not in the usual shape.
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
    let body = answer.body.as_slice();
    let mut delta = Delta::EMPTY;
    if usual::scan(dialect, body, &mut delta).is_none() {
        delta = unusual_body(dialect, body, &mut out.scratch)?;
    }
    out.deltas.push(delta);
    Ok(())
}

/// A body that is not in the usual shape, or no completion at all.
#[cold]
fn unusual_body(dialect: Dialect, body: &[u8], scratch: &mut RVec<u8>) -> Result<Delta> {
    let found = parse::parse(dialect, body, scratch);
    let completion = found.filter(|found| found.has_choices || found.delta.flags & delta_flags::ERROR != 0);
    completion.map(|found| found.delta).ok_or_else(|| {
        let begin: String = String::from_utf8_lossy(body).chars().take(80).collect();
        Error::malformed(format!(
            "the answer is no completion: expected a JSON object with `choices`, got `{begin}`; \
             check the server's path and the endpoint"
        ))
    })
}
