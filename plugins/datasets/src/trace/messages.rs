//! Requests that a trace gives as lists of messages.

use crate::conversation::{NewMessage, NewPart, Problem, borrowed_from_json, message};
use inferometer_plugin_sdk::types::{Message, Part};
use serde_json::value::RawValue;

/// Reads a JSON list of messages.
///
/// # Errors
/// When it is none or empty, or something is wrong with a message.
pub(super) fn read(json: &str) -> Result<Vec<NewMessage>, Problem> {
    let messages: Vec<&RawValue> = borrowed_from_json("messages", json)?;
    if messages.is_empty() {
        return Err(Problem::new("messages", "is an empty list; give a message"));
    }
    messages.iter().enumerate().map(|(n, json)| message(&format!("messages[{n}]"), json.get())).collect()
}

/// Hands messages to `give` in the interface's types.
pub(super) fn with_all(messages: &[NewMessage], give: impl FnOnce(&[Message<'_>])) {
    let parts: Vec<Vec<Part<'_>>> = messages.iter().map(|message| message.parts.iter().map(part).collect()).collect();
    let messages: Vec<_> = messages
        .iter()
        .zip(&parts)
        .map(|(message, parts)| Message {
            role: message.role.as_str().into(),
            parts: parts.as_slice().into(),
            extra_json: message.extra_json.as_str().into(),
        })
        .collect();
    give(&messages);
}

fn part(part: &NewPart) -> Part<'_> {
    let NewPart { kind, name, mime, data } = part;
    Part { kind: *kind, flags: 0, name: name.as_str().into(), mime: mime.as_str().into(), data: data.as_str().into() }
}
