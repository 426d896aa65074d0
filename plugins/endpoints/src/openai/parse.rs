//! The thorough way to read an event or a body: parse it and look everywhere.
//!
//! It forgives all that can be forgiven: a field of an unexpected type counts as missing, only what is no JSON object is
//! refused. Text is unescaped and goes to the scratch buffer.

use super::Dialect;
use crate::usage::{self, Path, at};
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
    /// Whether there was a list of choices, be it empty.
    pub(super) has_choices: bool,
}

/// Parses `text`; `None` if it is no JSON object.
pub(super) fn parse(dialect: Dialect, text: &[u8], scratch: &mut RVec<u8>) -> Option<Found> {
    let answer: Value = serde_json::from_slice(text).ok().filter(Value::is_object)?;
    let mut delta = Delta { flags: delta_flags::SCRATCH, ..Delta::EMPTY };
    let has_usage = usage::read(&answer, &mut delta);
    let choices = answer.get("choices").and_then(Value::as_array);
    if let Some(choice) = choices.and_then(|list| list.first()) {
        let places = match dialect {
            Dialect::Chat => CHAT,
            Dialect::Completions => COMPLETIONS,
        };
        delta.text = first(choice, places.text, scratch, write_content)?;
        delta.reasoning = first(choice, places.reasoning, scratch, write_content)?;
        delta.tool = first(choice, places.tool, scratch, write_tool_calls)?;
        delta.choice = choice.get("index").and_then(Value::as_u64).and_then(|n| n.try_into().ok()).unwrap_or(0);
        if choice.get("finish_reason").and_then(Value::as_str).is_some_and(|reason| !reason.is_empty()) {
            delta.flags |= delta_flags::FINISH;
        }
    }
    if let Some(message) = error_message(&answer, choices.is_some() || has_usage) {
        delta.flags |= delta_flags::ERROR;
        delta.error = append(scratch, |out| out.extend_from_slice(message.as_bytes()))?;
    }
    Some(Found { delta, has_choices: choices.is_some() })
}

/// The span of what `write` appends; `None` beyond the reach of spans.
fn append(scratch: &mut RVec<u8>, write: impl FnOnce(&mut RVec<u8>)) -> Option<Span> {
    let off = scratch.len();
    write(scratch);
    Some(Span { off: off.try_into().ok()?, len: (scratch.len() - off).try_into().ok()? })
}

fn first(choice: &Value, paths: &[Path], scratch: &mut RVec<u8>, write: fn(&Value, &mut RVec<u8>)) -> Option<Span> {
    let mut span = Span::default();
    for value in paths.iter().filter_map(|path| at(choice, path)) {
        span = append(scratch, |out| write(value, out))?;
        if !span.is_empty() {
            break;
        }
    }
    Some(span)
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

/// What went wrong, if `answer` is an error or holds one.
fn error_message(answer: &Value, is_completion: bool) -> Option<Cow<'_, str>> {
    match &answer["error"] {
        Value::Null | Value::Bool(false) => {}
        Value::String(message) if message.is_empty() => {}
        error => {
            let message = error["message"].as_str().filter(|message| !message.is_empty());
            return Some(message.map_or_else(|| words(error), Cow::from));
        }
    }
    // Some servers do not wrap their errors.
    answer["message"].as_str().filter(|_| !is_completion).map(Cow::from)
}

/// A string's content, or anything else as JSON.
fn words(value: &Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| value.to_string().into(), Cow::from)
}
