//! What a template knows of a request.

use crate::{
    chat,
    parts::Parts,
    rankings::{PASSAGES, QUERY},
};
use inferometer_plugin_sdk::{
    RVec,
    types::{Error, Message, Part, PartKind, Request, Result, request_flags},
};
use minijinja::Value;
use std::collections::BTreeSet;

/// All variables. Those that name one thing are undefined where a turn has none; those that name several are then empty.
pub(super) const NAMES: [&str; 18] = [
    "text",
    "texts",
    "image",
    "images",
    "audio",
    "audios",
    "video",
    "videos",
    "query",
    "queries",
    "passage",
    "passages",
    "model",
    "max_tokens",
    "stream",
    "turn",
    "turns",
    "messages",
];

/// The variables of `request` that are among `uses`, as far as it has them.
///
/// # Errors
/// When messages cannot be written as chats have them.
pub(super) fn of<'n>(request: &Request<'_>, uses: &'n BTreeSet<String>) -> Result<Vec<(&'n str, Value)>> {
    let mut values = Vec::new();
    for name in uses {
        if let Some(value) = one(request, name)? {
            values.push((name.as_str(), value));
        }
    }
    Ok(values)
}

fn one(request: &Request<'_>, name: &str) -> Result<Option<Value>> {
    let parts = Parts::of(request, "template");
    let of_kind = |kind| parts.of_kind(kind).map(|part| part.data.as_str());
    let messages = request.messages.as_slice();
    Ok(match name {
        "text" => first(parts.texts()),
        "texts" => Some(all(parts.texts())),
        "image" => first(of_kind(PartKind::IMAGE)),
        "images" => Some(all(of_kind(PartKind::IMAGE))),
        "audio" => first(of_kind(PartKind::AUDIO)),
        "audios" => Some(all(of_kind(PartKind::AUDIO))),
        "video" => first(of_kind(PartKind::VIDEO)),
        "videos" => Some(all(of_kind(PartKind::VIDEO))),
        "query" => first(parts.named(QUERY)),
        "queries" => Some(all(parts.named(QUERY))),
        "passage" => first(parts.named(PASSAGES)),
        "passages" => Some(all(parts.named(PASSAGES))),
        "model" => Some(request.model.as_str().into()),
        "max_tokens" if request.max_tokens == 0 => Some(Value::from(())),
        "max_tokens" => Some(request.max_tokens.into()),
        "stream" => Some((request.flags & request_flags::STREAM != 0).into()),
        "turn" => messages.last().map(turn),
        "turns" => Some(messages.iter().map(turn).collect()),
        "messages" => Some(messages.iter().map(message).collect::<Result<_>>()?),
        _ => None,
    })
}

fn first<'a>(mut texts: impl Iterator<Item = &'a str>) -> Option<Value> {
    texts.next().map(Value::from)
}

fn all<'a>(texts: impl Iterator<Item = &'a str>) -> Value {
    texts.collect()
}

/// A message by the kinds of its parts.
fn turn(message: &Message<'_>) -> Value {
    let of_kind = |kind| -> Value {
        let is_kind = |part: &&Part<'_>| part.kind == kind;
        message.parts.iter().filter(is_kind).map(|part| part.data.as_str()).collect()
    };
    Value::from_pairs([
        ("role", Value::from(message.role.as_str())),
        ("texts", of_kind(PartKind::TEXT)),
        ("images", of_kind(PartKind::IMAGE)),
        ("audios", of_kind(PartKind::AUDIO)),
        ("videos", of_kind(PartKind::VIDEO)),
    ])
}

/// A message as the endpoint `chat` writes it.
fn message(message: &Message<'_>) -> Result<Value> {
    let mut json = RVec::new();
    chat::write_message(&mut json, message)?;
    serde_json::from_slice(&json)
        .map_err(|error| Error::config(format!("the extra fields of a message cannot be read: {error}")))
}
