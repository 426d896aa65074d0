//! The APIs that generate text: how each reads a request and words an answer.
//!
//! A dialect says nothing of timing, faults or HTTP, and holds no state: everything about an answer is in its
//! [`Tale`].

mod cohere;
mod gemini;
mod messages;
mod ollama;
mod openai;
mod responses;
mod rest;
mod transcription;

use crate::ask::{Ask, Call};
use crate::framing::Events;
use crate::http::JSON;
use crate::refusal::{Refusal, Shape};
use crate::tell::{Delta, Span, Tale};

pub(crate) use cohere::Cohere;
pub(crate) use gemini::Gemini;
pub(crate) use messages::Messages;
pub(crate) use ollama::Ollama;
pub(crate) use openai::{Api, OpenAi, Usage, models};
pub(crate) use responses::Responses;
pub(crate) use rest::{Solido, Tgi, Triton};
pub(crate) use transcription::Transcription;

/// The `created` of every answer: a constant, so that the same seed gives the same bytes.
pub(crate) const CREATED: u64 = 1_700_000_000;
/// The same moment as text.
const CREATED_AT: &str = "2023-11-14T22:13:20Z";
/// The tool that answers with tool calls want to be called.
const TOOL: &str = "say";

/// The words of one API.
pub(crate) trait Dialect: Sync {
    /// Reads a request.
    fn read(&self, call: &Call<'_>) -> Result<Ask, Refusal>;

    /// Appends the plain answer.
    fn whole(&self, tale: &Tale<'_>, out: &mut Vec<u8>);

    /// The media type of the plain answer.
    fn whole_type(&self, _ask: &Ask) -> &'static str {
        JSON
    }

    /// Says what goes before all content.
    fn open(&self, _tale: &Tale<'_>, _out: &mut Events<'_>) {}

    /// Says that a part begins.
    fn begin(&self, _tale: &Tale<'_>, _span: &Span, _choice: usize, _out: &mut Events<'_>) {}

    /// Says some tokens, in exactly one event.
    fn delta(&self, tale: &Tale<'_>, delta: &Delta, out: &mut Events<'_>);

    /// Says that a part has ended.
    fn end(&self, _tale: &Tale<'_>, _span: &Span, _choice: usize, _out: &mut Events<'_>) {}

    /// Says that the answer is complete, and what it took.
    fn close(&self, tale: &Tale<'_>, out: &mut Events<'_>);

    /// Says that something went wrong in the middle.
    fn stream_error(&self, _tale: &Tale<'_>, refusal: &Refusal, out: &mut Events<'_>) {
        out.body(None, &refusal.body(self.errors()));
    }

    /// How errors look.
    fn errors(&self) -> Shape;

    /// Whether streams end with `[DONE]`.
    fn says_done(&self) -> bool {
        false
    }

    /// Whether answers can hold reasoning and tool calls.
    fn has_parts(&self) -> bool {
        true
    }
}

/// An id as it is written.
fn hex(id: u64) -> String {
    format!("{id:016x}")
}

/// The arguments of a tool call that says these words, as a JSON object inside a JSON string.
fn escaped_arguments(words: &str) -> String {
    format!("{{\\\"text\\\":\\\"{words}\\\"}}")
}

/// What stands before the words in [`escaped_arguments`].
const ARGUMENTS_BEFORE: &str = "{\\\"text\\\":\\\"";
/// What stands behind them.
const ARGUMENTS_AFTER: &str = "\\\"}";

#[cfg(test)]
pub(crate) mod tests;
