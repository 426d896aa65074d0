//! The thorough way along a table: parse the answer and look everywhere.
//!
//! It forgives all that can be forgiven: only what is neither a JSON object nor a list is refused. Text is unescaped and goes
//! to the scratch buffer.

use super::{Holds, Shape};
use crate::{
    halves,
    openai::{append, error_message, words, words_of_error},
    usage::Counts,
};
use inferometer_plugin_sdk::{
    RVec,
    types::{Delta, Span, delta_flags},
};
use serde_json::Value;

/// What an answer held.
pub(super) struct Found {
    pub(super) delta: Delta,
    /// Whether there was anything of the table in it.
    pub(super) is_known: bool,
}

/// Parses `text`; `None` if it is neither a JSON object nor a list.
pub(super) fn parse(shape: &Shape, text: &[u8], scratch: &mut RVec<u8>) -> Option<Found> {
    let answer = halves::parse(text).ok().filter(|value| value.is_object() || value.is_array())?;
    let mut delta = Delta { flags: delta_flags::SCRATCH, ..Delta::EMPTY };
    let (mut counts, mut is_known, mut error) = (Counts::NONE, false, None);
    visit(shape, &answer, &mut |holds, value| {
        let fits = match holds {
            Holds::Text | Holds::Reasoning => value.is_string(),
            Holds::Tool => !value.is_null(),
            Holds::Within(_) => true,
            Holds::Usage => {
                counts.read(value);
                value.is_object()
            }
            Holds::Count(part) => value.as_u64().map(|count| counts.set(part, count)).is_some(),
            Holds::Mark(flags) => {
                let is_marked = value.as_bool().or(value.as_str().map(|word| !word.is_empty()));
                delta.flags |= if is_marked == Some(true) { flags } else { 0 };
                is_marked.is_some()
            }
            Holds::Error => {
                error = error.take().or_else(|| words_of_error(value).map(String::from));
                !value.is_null()
            }
        };
        is_known |= fits;
    });
    counts.tell(&mut delta);
    delta.text = told(shape, &answer, scratch, |holds| matches!(holds, Holds::Text))?;
    delta.reasoning = told(shape, &answer, scratch, |holds| matches!(holds, Holds::Reasoning))?;
    delta.tool = told(shape, &answer, scratch, |holds| matches!(holds, Holds::Tool))?;
    let unnamed = || objects(&answer).find_map(|object| error_message(object, is_known)).map(String::from);
    if let Some(message) = error.or_else(unnamed) {
        delta.flags |= delta_flags::ERROR;
        delta.error = append(scratch, |out| out.extend_from_slice(message.as_bytes()))?;
    }
    Some(Found { delta, is_known })
}

/// Appends all values of one kind, one after the other.
fn told(shape: &Shape, answer: &Value, scratch: &mut RVec<u8>, is_wanted: impl Fn(Holds) -> bool) -> Option<Span> {
    append(scratch, |out| {
        visit(shape, answer, &mut |holds, value| {
            let is_told = value.is_string() || matches!(holds, Holds::Tool) && !value.is_null();
            if is_told && is_wanted(holds) {
                out.extend_from_slice(words(value).as_bytes());
            }
        });
    })
}

/// A value that is an object, or those in a list.
fn objects(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter().filter(|value| value.is_object())
}

/// Calls `found` with every value that the table names, and what it holds by the table. Objects and lists with more are told,
/// too, before what is in them.
fn visit(shape: &Shape, value: &Value, found: &mut dyn FnMut(Holds, &Value)) {
    for object in objects(value) {
        let kind = match object.get(shape.kind).filter(|_| !shape.kind.is_empty()) {
            Some(Value::String(word)) => word,
            Some(Value::Bool(true)) => "true",
            Some(Value::Bool(false)) => "false",
            _ => "",
        };
        for (at, member) in shape.members.iter().enumerate() {
            let is_first = || !shape.members[..at].iter().any(|m| m.key == member.key && m.is_for(kind.as_bytes()));
            let value = object.get(member.key).filter(|_| member.is_for(kind.as_bytes()) && is_first());
            match (value, member.holds) {
                (Some(inner @ (Value::Object(_) | Value::Array(_))), Holds::Within(shape)) => {
                    found(member.holds, inner);
                    visit(shape, inner, found);
                }
                (None, _) | (_, Holds::Within(_)) => {}
                (Some(value), holds) => found(holds, value),
            }
        }
    }
}
