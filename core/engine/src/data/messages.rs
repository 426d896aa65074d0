//! [`Said`] and [`Conversation`]: messages that are kept, for requests that hold what was said before.

use inferometer_abi::{
    RSlice,
    types::{Message, Part, PartKind},
};
use std::sync::Arc;

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    role: String,
    parts: Vec<SaidPart>,
    extra: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct SaidPart {
    kind: PartKind,
    name: String,
    mime: String,
    data: String,
}

impl SaidPart {
    fn text(text: &str) -> Self {
        Self { kind: PartKind::TEXT, name: String::new(), mime: String::new(), data: text.to_owned() }
    }

    fn borrowed(&self) -> Part<'_> {
        let (name, mime, data) = (self.name.as_str().into(), self.mime.as_str().into(), self.data.as_str().into());
        Part { kind: self.kind, flags: 0, name, mime, data }
    }
}

impl Said {
    /// A message that is one text.
    pub(crate) fn text(role: &str, text: &str) -> Self {
        Self { role: role.to_owned(), parts: vec![SaidPart::text(text)], extra: String::new() }
    }

    /// A copy of `message`.
    pub(crate) fn of(message: &Message<'_>) -> Self {
        let part = |part: &Part<'_>| SaidPart {
            kind: part.kind,
            name: part.name.to_string(),
            mime: part.mime.to_string(),
            data: part.data.to_string(),
        };
        Self {
            role: message.role.to_string(),
            parts: message.parts.iter().map(part).collect(),
            extra: message.extra_json.to_string(),
        }
    }

    pub(crate) fn is(&self, role: &str) -> bool {
        self.role == role
    }

    /// Puts `text` before the first text of the message, or after the last.
    pub(crate) fn mark(&mut self, text: &str, at_start: bool) {
        let is_text = |part: &SaidPart| part.kind == PartKind::TEXT;
        let place = if at_start { self.parts.iter().position(is_text) } else { self.parts.iter().rposition(is_text) };
        match place {
            Some(place) if at_start => self.parts[place].data.insert_str(0, text),
            Some(place) => self.parts[place].data.push_str(text),
            None if at_start => self.parts.insert(0, SaidPart::text(text)),
            None => self.parts.push(SaidPart::text(text)),
        }
    }

    /// Its texts.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter(|part| part.kind == PartKind::TEXT).map(|part| part.data.as_str())
    }

    /// Bytes that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.data.len() + size_of::<SaidPart>()).sum::<usize>() + size_of::<Self>()
    }

    fn borrowed(&self) -> Vec<Part<'_>> {
        self.parts.iter().map(SaidPart::borrowed).collect()
    }
}

/// Hands `said` to `take` as an endpoint sees it.
pub(crate) fn with_messages<R>(said: &[Arc<Said>], take: impl FnOnce(RSlice<'_, Message<'_>>) -> R) -> R {
    let parts: Vec<Vec<Part<'_>>> = said.iter().map(|said| said.borrowed()).collect();
    let messages: Vec<Message<'_>> = said
        .iter()
        .zip(&parts)
        .map(|(said, parts)| Message {
            role: said.role.as_str().into(),
            parts: parts.as_slice().into(),
            extra_json: said.extra.as_str().into(),
        })
        .collect();
    take(messages.as_slice().into())
}

/// What was said in a session so far. Cheap to copy: a fork begins with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conversation(Vec<Arc<Said>>);

impl From<Vec<Arc<Said>>> for Conversation {
    fn from(said: Vec<Arc<Said>>) -> Self {
        Self(said)
    }
}

impl Conversation {
    /// Adds what a turn brings.
    pub(crate) fn add(&mut self, said: &[Arc<Said>]) {
        self.0.extend_from_slice(said);
    }

    /// Adds the reply that was got.
    pub(crate) fn reply(&mut self, text: &str) {
        self.0.push(Arc::new(Said::text("assistant", text)));
    }

    /// All messages, in order.
    pub(crate) fn said(&self) -> &[Arc<Said>] {
        &self.0
    }
}
