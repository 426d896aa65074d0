//! A host for the tests: a tokenizer that counts words, and a sink that keeps what it is given.

use inferometer_plugin_sdk::{
    api::{DatasetLoader, SessionSink, TextTools},
    types::{Error, PartKind, Result, Turn, TurnTime},
};

/// A tokenizer whose tokens are words; it knows none beyond 1,000 a text.
pub(crate) struct Words;

impl TextTools for Words {
    fn count(&self, text: &str) -> u64 {
        text.split_whitespace().count() as u64
    }

    fn text(&self, seed: u64, tokens: u64) -> Result<String> {
        if tokens > 1_000 {
            return Err(Error::config("no text is that long"));
        }
        Ok((0..tokens).map(|n| format!("w{:x}", seed.rotate_left(n as u32))).collect::<Vec<_>>().join(" "))
    }
}

/// A session as a sink saw it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Collected {
    pub(crate) name: String,
    pub(crate) turns: Vec<CollectedTurn>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct CollectedTurn {
    pub(crate) role: String,
    pub(crate) parts: Vec<CollectedPart>,
    pub(crate) model: String,
    pub(crate) extra: String,
    pub(crate) max_tokens: u32,
    pub(crate) time: TurnTime,
}

#[derive(Debug, PartialEq)]
pub(crate) struct CollectedPart {
    pub(crate) kind: PartKind,
    pub(crate) name: String,
    pub(crate) mime: String,
    pub(crate) data: String,
}

impl SessionSink for Collected {
    fn name(&mut self, name: &str) {
        self.name = name.to_owned();
    }

    fn turn(&mut self, turn: &Turn<'_>) {
        let [message] = turn.messages.as_slice() else { panic!("{} messages in a turn", turn.messages.len()) };
        let parts = message.parts.iter().map(|part| CollectedPart {
            kind: part.kind,
            name: part.name.to_string(),
            mime: part.mime.to_string(),
            data: part.data.to_string(),
        });
        self.turns.push(CollectedTurn {
            role: message.role.to_string(),
            parts: parts.collect(),
            model: turn.model.to_string(),
            extra: turn.extra_json.to_string(),
            max_tokens: turn.max_tokens,
            time: turn.time,
        });
    }
}

/// Session `index` of an opened loader.
pub(crate) fn session(loader: &impl DatasetLoader, index: u64) -> Collected {
    let mut collected = Collected::default();
    loader.session(index, &Words, &mut collected).unwrap();
    collected
}
