//! Finding the text of an answer whose shape is not known beforehand: by trying the usual shapes, or by an expression of
//! the user's.
//!
//! [`Finder`] is what the endpoints `raw` and `template` read with. What most servers send is found by a scan and without
//! allocating; anything else is parsed.

mod expression;
mod usual;

#[cfg(test)]
mod tests;

use crate::{
    halves,
    openai::append,
    reading::{beginning, failure},
    usage,
};
use expression::Expression;
use inferometer_plugin_sdk::{
    RVec,
    types::{Delta, Error, ErrorKind, Event, Reply, Result, Span, delta_flags},
};
use serde_json::Value;

/// Finds what an answer holds.
pub(crate) struct Finder {
    expression: Option<Expression>,
}

impl Finder {
    /// One that goes by `expression`, in JMESPath; without one it tries the usual shapes.
    ///
    /// # Errors
    /// When that is no expression.
    pub(crate) fn new(expression: Option<&str>) -> Result<Self> {
        Ok(Self { expression: expression.map(Expression::new).transpose()? })
    }

    /// Reads an event of a stream. One in which nothing is found says nothing.
    pub(crate) fn on_event(&self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind> {
        let data = event.data.as_slice();
        let is_error = event.name == "error";
        if !is_error && let Some(delta) = self.scan(data) {
            *out = delta;
            return Ok(());
        }
        let trimmed = data.trim_ascii();
        if trimmed == b"[DONE]" {
            out.flags = delta_flags::DONE;
            return Ok(());
        }
        let all = Span { off: 0, len: data.len().try_into().map_err(|_| ErrorKind::MALFORMED)? };
        *out = match halves::parse(data) {
            Ok(value) => {
                let delta = self.look(&value, data, false, scratch).ok_or(ErrorKind::MALFORMED)?;
                match is_error && delta.flags & delta_flags::ERROR == 0 {
                    true => Delta { flags: delta_flags::ERROR, error: all, ..Delta::EMPTY },
                    false => delta,
                }
            }
            Err(_) if is_error => Delta { flags: delta_flags::ERROR, error: all, ..Delta::EMPTY },
            // A sign of life that some proxies send.
            Err(_) if trimmed.is_empty() => Delta::EMPTY,
            Err(_) if self.takes_plain(data) => Delta { text: all, ..Delta::EMPTY },
            Err(_) => return Err(ErrorKind::MALFORMED),
        };
        Ok(())
    }

    /// Reads a whole answer, in which there has to be something.
    ///
    /// # Errors
    /// When nothing is found.
    pub(crate) fn on_body(&self, body: &[u8], out: &mut Reply) -> Result<()> {
        let delta = match self.scan(body) {
            Some(delta) => delta,
            None => match halves::parse(body) {
                Ok(value) => self
                    .look(&value, body, true, &mut out.scratch)
                    .ok_or_else(|| Error::malformed("the answer holds more than 4 GiB of text"))?,
                Err(_) if self.takes_plain(body) => {
                    let len = body.len().try_into().map_err(|_| Error::malformed("the answer is longer than 4 GiB"))?;
                    Delta { text: Span { off: 0, len }, ..Delta::EMPTY }
                }
                Err(error) => return Err(self.nothing(body, &format!(", which is no JSON: {error}"))),
            },
        };
        if !delta.has_content() && delta.flags & (delta_flags::ERROR | delta_flags::FINISH) == 0 {
            return Err(self.nothing(body, ""));
        }
        out.deltas.push(delta);
        Ok(())
    }

    /// Whether text that is no JSON is the answer: not if an expression is to find something in it, nor if it seems to be
    /// JSON that was damaged.
    fn takes_plain(&self, data: &[u8]) -> bool {
        let begins_as_json = matches!(data.trim_ascii_start().first(), None | Some(b'{' | b'[' | b'"'));
        self.expression.is_none() && !begins_as_json && std::str::from_utf8(data).is_ok()
    }

    fn nothing(&self, body: &[u8], why: &str) -> Error {
        let begin = beginning(body);
        Error::malformed(match &self.expression {
            Some(expression) => {
                format!("`{}` (response_field) finds nothing in the answer `{begin}`{why}", expression.as_str())
            }
            None => format!(
                "no text is found in the answer `{begin}`{why}; say where it is with --extra-inputs response_field:…"
            ),
        })
    }

    fn scan(&self, data: &[u8]) -> Option<Delta> {
        self.expression.as_ref().map_or_else(|| usual::scan(data), |expression| expression.scan(data))
    }

    fn look(&self, answer: &Value, text: &[u8], is_whole: bool, scratch: &mut RVec<u8>) -> Option<Delta> {
        let Some(expression) = &self.expression else { return usual::look(answer, text, is_whole, scratch) };
        if let Some(delta) = failure(answer, true, scratch) {
            return Some(delta);
        }
        let mut delta = hold(&expression.search(answer), scratch)?;
        usage::read(answer, &mut delta);
        Some(delta)
    }
}

/// What was found, as a delta: of texts their words, of numbers as well, and of anything else that it is there. `None`
/// beyond the reach of spans.
fn hold(found: &Value, scratch: &mut RVec<u8>) -> Option<Delta> {
    let mut delta = Delta { flags: delta_flags::SCRATCH, ..Delta::EMPTY };
    let is_text = |items: &[Value]| items.iter().all(Value::is_string);
    delta.text = append(scratch, |out| match found {
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        Value::Number(_) | Value::Bool(_) => out.extend_from_slice(found.to_string().as_bytes()),
        Value::Array(items) if is_text(items) => {
            items.iter().filter_map(Value::as_str).for_each(|text| out.extend_from_slice(text.as_bytes()));
        }
        _ => {}
    })?;
    let is_there = match found {
        Value::Array(items) => !items.is_empty() && !is_text(items),
        Value::Object(members) => !members.is_empty(),
        _ => false,
    };
    delta.flags |= if is_there { delta_flags::CONTENT } else { 0 };
    Some(delta)
}
