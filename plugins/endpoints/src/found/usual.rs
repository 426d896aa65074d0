//! The shapes that answers usually have, tried in turn.

use super::hold;
use crate::{
    cohere, gemini, huggingface, kserve, messages, ollama,
    openai::{self, Dialect},
    reading::{Answers as _, Reader as _, failure},
    responses,
    table::Api,
    usage::{self, Path, at},
};
use inferometer_plugin_sdk::{
    RVec,
    types::{Answer, Delta, Event, NO_COUNT, Reply, delta_flags},
};
use serde_json::Value;

/// By what an answer of a known API is told from others.
enum Mark {
    /// Its `type` begins like this. All that it holds is then found by its API.
    Type(&'static str),
    /// It has such a member.
    Has(&'static str),
}

/// APIs whose answers say what they are.
static KNOWN: [(Mark, &Api); 14] = [
    (Mark::Type("response."), &responses::API),
    (Mark::Type("content_block_"), &messages::API),
    (Mark::Type("message_"), &messages::API),
    (Mark::Type("message-"), &cohere::API),
    (Mark::Type("content-"), &cohere::API),
    (Mark::Type("tool-"), &cohere::API),
    (Mark::Type("ping"), &messages::API),
    (Mark::Type("message"), &messages::API),
    (Mark::Has("output"), &responses::API),
    (Mark::Has("candidates"), &gemini::API),
    (Mark::Has("generated_text"), &huggingface::API),
    (Mark::Has("token"), &huggingface::API),
    (Mark::Has("text_output"), &kserve::API),
    (Mark::Has("done"), &ollama::API),
];

/// Fields of an answer that hold its text, or what else was asked for.
const FIELDS: [Path; 11] = [
    &["text"],
    &["content"],
    &["output"],
    &["generated_text"],
    &["response"],
    &["answer"],
    &["result"],
    &["message", "content"],
    &["data"],
    &["rankings"],
    &["results"],
];

/// The usual answers of chats and completions, without allocating; declines all others.
pub(super) fn scan(data: &[u8]) -> Option<Delta> {
    let chat = openai::usual(Dialect::Chat, data)?;
    if chat.has_content() {
        return Some(chat);
    }
    // In a completion the text lies elsewhere; all else is alike.
    let completion = openai::usual(Dialect::Completions, data);
    completion.filter(Delta::has_content).or(Some(chat))
}

/// Any answer; one that `is_whole` is a body, and others are events. `None` beyond the reach of spans.
pub(super) fn look(answer: &Value, text: &[u8], is_whole: bool, scratch: &mut RVec<u8>) -> Option<Delta> {
    if answer.get("choices").is_some_and(Value::is_array) {
        return choices(text, scratch);
    }
    let first = answer.as_array().and_then(|list| list.first()).unwrap_or(answer);
    let kind = first["type"].as_str().unwrap_or_default();
    let is_known = |mark: &Mark| match mark {
        Mark::Type(begin) => kind.starts_with(begin),
        Mark::Has(key) => first.get(key).is_some(),
    };
    for (mark, api) in KNOWN.iter().filter(|(mark, _)| is_known(mark)) {
        let found = known(api, text, is_whole, scratch);
        if let Some(delta) = found.filter(|delta| matches!(mark, Mark::Type(_)) || says_something(delta)) {
            return Some(delta);
        }
    }
    // A message that is no text is part of an answer.
    if let Some(delta) = failure(answer, false, scratch) {
        return Some(delta);
    }
    // A list of answers is as good as its first.
    let places = FIELDS.iter().filter_map(|field| at(first, field));
    let itself = Some(answer).filter(|answer| !answer.is_object());
    let mut delta = Delta::EMPTY;
    for found in places.chain(itself) {
        delta = hold(found, scratch)?;
        if delta.has_content() {
            break;
        }
    }
    usage::read(answer, &mut delta);
    Some(delta)
}

const fn says_something(delta: &Delta) -> bool {
    let has_counted = delta.prompt_tokens != NO_COUNT || delta.completion_tokens != NO_COUNT;
    delta.has_content() || has_counted || delta.flags & (delta_flags::ERROR | delta_flags::FINISH) != 0
}

/// What `api` finds.
fn known(api: &'static Api, text: &[u8], is_whole: bool, scratch: &mut RVec<u8>) -> Option<Delta> {
    if !is_whole {
        return api.parse(text, scratch);
    }
    let answer = Answer { status: 200, exchange: 0, flags: 0, content_type: "".into(), body: text.into() };
    let mut reply = Reply { scratch: std::mem::take(scratch), ..Reply::default() };
    let read = api.on_body(&answer, &mut reply);
    *scratch = reply.scratch;
    reply.deltas.first().copied().filter(|_| read.is_ok())
}

/// A chat or a completion in an unusual spelling.
fn choices(text: &[u8], scratch: &mut RVec<u8>) -> Option<Delta> {
    let mut chat = Delta::EMPTY;
    let event = Event::new(text);
    Dialect::Chat.on_event(&event, &mut chat, scratch).ok()?;
    if chat.has_content() || chat.flags & delta_flags::ERROR != 0 {
        return Some(chat);
    }
    let mut completion = Delta::EMPTY;
    Dialect::Completions.on_event(&event, &mut completion, scratch).ok()?;
    Some(if completion.has_content() { completion } else { chat })
}
