//! The thorough way to read an event or a body: parse it and look everywhere.
//!
//! It forgives all that can be forgiven: a field of an unexpected type counts as missing, only what is no JSON object is
//! refused. Text is unescaped and goes to the scratch buffer.

use super::Dialect;
use crate::{
    halves,
    usage::{self, Path, at},
};
use inferometer_plugin_sdk::{
    RVec,
    types::{Delta, Span, delta_flags},
};
use serde_json::Value;
use std::borrow::Cow;

/// Places of text in a choice; of each the first that is not empty counts.
struct Places {
    text: &'static [Path],
    reasoning: &'static [Path],
    tool: &'static [Path],
}

const CHAT: Places = Places {
    text: &[&["delta", "content"], &["message", "content"]],
    reasoning: &[
        &["delta", "reasoning_content"],
        &["delta", "reasoning"],
        &["message", "reasoning_content"],
        &["message", "reasoning"],
    ],
    tool: &[&["delta", "tool_calls"], &["message", "tool_calls"]],
};

const COMPLETIONS: Places = Places { text: &[&["text"]], reasoning: &[], tool: &[] };

/// What an answer held.
pub(super) struct Found {
    pub(super) delta: Delta,
    /// The choices behind the first, where each is told by itself.
    pub(super) more: Vec<Delta>,
    /// Whether there was a list of choices, be it empty.
    pub(super) has_choices: bool,
}

/// What is made of several choices.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Several {
    /// One delta with their texts one after the other.
    Joined,
    /// A delta for each.
    Apart,
}

/// Parses `text`; `None` if it is no JSON object.
pub(super) fn parse(dialect: Dialect, text: &[u8], several: Several, scratch: &mut RVec<u8>) -> Option<Found> {
    let answer = halves::parse(text).ok().filter(Value::is_object)?;
    let mut delta = Delta { flags: delta_flags::SCRATCH, ..Delta::EMPTY };
    let has_usage = usage::read(&answer, &mut delta);
    let list = answer.get("choices").and_then(Value::as_array);
    let choices = list.map_or(&[][..], Vec::as_slice);
    let (first, rest) = choices.split_at(if several == Several::Joined { choices.len() } else { choices.len().min(1) });
    tell(dialect, first, &mut delta, scratch)?;
    let further = rest.iter().map(|choice| {
        let mut delta = Delta { flags: delta_flags::SCRATCH, ..Delta::EMPTY };
        tell(dialect, std::slice::from_ref(choice), &mut delta, scratch).map(|()| delta)
    });
    let more = further.collect::<Option<Vec<_>>>()?;
    if let Some(message) = error_message(&answer, list.is_some() || has_usage) {
        delta.flags |= delta_flags::ERROR;
        delta.error = append(scratch, |out| out.extend_from_slice(message.as_bytes()))?;
    }
    Some(Found { delta, more, has_choices: list.is_some() })
}

/// Tells `delta` what `choices` hold together; it goes by the number of the first.
fn tell(dialect: Dialect, choices: &[Value], delta: &mut Delta, scratch: &mut RVec<u8>) -> Option<()> {
    let places = match dialect {
        Dialect::Chat => CHAT,
        Dialect::Completions => COMPLETIONS,
    };
    let Some(first) = choices.first() else { return Some(()) };
    delta.text = joined(choices, places.text, scratch, write_content)?;
    delta.reasoning = joined(choices, places.reasoning, scratch, write_content)?;
    delta.tool = joined(choices, places.tool, scratch, write_tool_calls)?;
    delta.choice = first.get("index").and_then(Value::as_u64).and_then(|n| n.try_into().ok()).unwrap_or(0);
    let has_finished = |choice: &Value| choice["finish_reason"].as_str().is_some_and(|reason| !reason.is_empty());
    if choices.iter().any(has_finished) {
        delta.flags |= delta_flags::FINISH;
    }
    Some(())
}

/// The span of what `write` appends; `None` beyond the reach of spans.
pub(crate) fn append(scratch: &mut RVec<u8>, write: impl FnOnce(&mut RVec<u8>)) -> Option<Span> {
    let off = scratch.len();
    write(scratch);
    Some(Span { off: off.try_into().ok()?, len: (scratch.len() - off).try_into().ok()? })
}

/// Of each choice what is written of the first of `paths` that is not empty.
fn joined(choices: &[Value], paths: &[Path], scratch: &mut RVec<u8>, write: fn(&Value, &mut RVec<u8>)) -> Option<Span> {
    append(scratch, |out| {
        for choice in choices {
            let before = out.len();
            for value in paths.iter().filter_map(|path| at(choice, path)) {
                write(value, out);
                if out.len() > before {
                    break;
                }
            }
        }
    })
}

/// Text, or a list of parts of which some are text.
fn write_content(content: &Value, out: &mut RVec<u8>) {
    let parts = content.as_array().into_iter().flatten().map(|part| &part["text"]);
    for text in parts.chain([content]).filter_map(Value::as_str) {
        out.extend_from_slice(text.as_bytes());
    }
}

/// Names and arguments, one after the other: what the model wrote, without what the server put around it.
fn write_tool_calls(calls: &Value, out: &mut RVec<u8>) {
    for function in calls.as_array().into_iter().flatten().map(|call| &call["function"]) {
        for value in [&function["name"], &function["arguments"]].into_iter().filter(|value| !value.is_null()) {
            out.extend_from_slice(words(value).as_bytes());
        }
    }
}

/// What went wrong, if `answer` is an error or holds one. What is no completion either may be an error without a name.
pub(crate) fn error_message(answer: &Value, is_completion: bool) -> Option<Cow<'_, str>> {
    let told = words_of_error(&answer["error"]);
    if told.is_some() || is_completion {
        return told;
    }
    // Some servers do not wrap their errors.
    let named = answer["message"].as_str().map(Cow::from);
    let detailed = || Some(&answer["detail"]).filter(|detail| !detail.is_null()).map(words);
    named.or_else(detailed).or_else(|| (answer["type"] == "error").then(|| words(answer)))
}

/// What an error says of itself, if it is one.
pub(crate) fn words_of_error(error: &Value) -> Option<Cow<'_, str>> {
    match error {
        Value::Null | Value::Bool(false) => None,
        Value::String(message) if message.is_empty() => None,
        error => {
            let message = error["message"].as_str().filter(|message| !message.is_empty());
            Some(message.map_or_else(|| words(error), Cow::from))
        }
    }
}

/// A string's content, or anything else as JSON.
pub(crate) fn words(value: &Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| value.to_string().into(), Cow::from)
}
