//! A host for the tests: a tokenizer that counts words, files, and sinks that keep what they are given.

use flate2::{Compression, write::GzEncoder};
use inferometer_plugin_sdk::{
    api::{DatasetLoader, OutlineSink, SessionSink, TextTools},
    documents::{DatasetInfo, DatasetRequest},
    types::{Branch, Error, Message, Outline, PartKind, Result, Turn, TurnTime},
};
use std::io::Write;

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
    pub(crate) branches: Vec<Branch>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct CollectedTurn {
    /// Role of the last message; empty without messages.
    pub(crate) role: String,
    /// Parts of the last message.
    pub(crate) parts: Vec<CollectedPart>,
    /// The messages before the last one.
    pub(crate) before: Vec<CollectedMessage>,
    /// Extras of the last message.
    pub(crate) message_extra: String,
    pub(crate) model: String,
    pub(crate) extra: String,
    pub(crate) raw_body: String,
    pub(crate) max_tokens: u32,
    pub(crate) flags: u32,
    pub(crate) time: TurnTime,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct CollectedMessage {
    pub(crate) role: String,
    pub(crate) parts: Vec<CollectedPart>,
    pub(crate) extra: String,
}

#[derive(Debug, PartialEq)]
pub(crate) struct CollectedPart {
    pub(crate) kind: PartKind,
    pub(crate) name: String,
    pub(crate) mime: String,
    pub(crate) data: String,
}

impl CollectedTurn {
    /// All messages: roles with their texts.
    pub(crate) fn said(&self) -> Vec<(&str, String)> {
        let last = (self.role.as_str(), &self.parts);
        let all = self.before.iter().map(|message| (message.role.as_str(), &message.parts)).chain([last]);
        all.map(|(role, parts)| (role, parts.iter().map(|p| p.data.as_str()).collect::<Vec<_>>().join("|"))).collect()
    }
}

impl SessionSink for Collected {
    fn name(&mut self, name: &str) {
        self.name = name.to_owned();
    }

    fn turn(&mut self, turn: &Turn<'_>) {
        let mut messages: Vec<_> = turn.messages.iter().map(message).collect();
        let CollectedMessage { role, parts, extra: message_extra } = messages.pop().unwrap_or_default();
        self.turns.push(CollectedTurn {
            role,
            parts,
            before: messages,
            message_extra,
            model: turn.model.to_string(),
            extra: turn.extra_json.to_string(),
            raw_body: String::from_utf8(turn.raw_body.to_vec()).unwrap(),
            max_tokens: turn.max_tokens,
            flags: turn.flags,
            time: turn.time,
        });
    }

    fn branch(&mut self, branch: &Branch) {
        self.branches.push(*branch);
    }
}

fn message(message: &Message<'_>) -> CollectedMessage {
    let parts = message.parts.iter().map(|part| CollectedPart {
        kind: part.kind,
        name: part.name.to_string(),
        mime: part.mime.to_string(),
        data: part.data.to_string(),
    });
    CollectedMessage { role: message.role.to_string(), parts: parts.collect(), extra: message.extra_json.to_string() }
}

/// Session `index` of an opened loader.
pub(crate) fn session(loader: &impl DatasetLoader, index: u64) -> Collected {
    let mut collected = Collected::default();
    loader.session(index, &Words, &mut collected).unwrap();
    collected
}

/// The name of a session, and time and output tokens of each of its turns, as its outline has them.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct CollectedOutline {
    pub(crate) name: String,
    pub(crate) turns: Vec<(TurnTime, u32)>,
}

impl OutlineSink for CollectedOutline {
    fn name(&mut self, name: &str) {
        self.name = name.to_owned();
    }

    fn turn(&mut self, outline: &Outline<'_>) {
        self.turns.push((outline.time, outline.output_tokens));
    }
}

/// The outline of session `index` of an opened loader.
pub(crate) fn outline(loader: &impl DatasetLoader, index: u64) -> CollectedOutline {
    let mut collected = CollectedOutline::default();
    loader.outline(index, &mut collected).unwrap();
    collected
}

/// Opens a folder of `files` in a loader or, where there is but one and its name is no path, that file.
pub(crate) fn open<L: DatasetLoader + Default>(
    files: &[(&str, &[u8])],
    request: &DatasetRequest,
) -> Result<(L, DatasetInfo)> {
    let folder = tempfile::tempdir().unwrap();
    for (name, contents) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }
    let first = std::path::Path::new(files[0].0);
    let source = match first.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => folder.path().join(parent),
        None => folder.path().join(first),
    };
    let mut loader = L::default();
    let source = Some(source.to_str().unwrap().to_owned());
    let info = loader.open(&DatasetRequest { source, ..request.clone() }, &Words)?;
    Ok((loader, info))
}

/// All sessions, branches last, of a file `data` with these contents.
pub(crate) fn sessions<L: DatasetLoader + Default>(contents: impl AsRef<[u8]>) -> (Vec<Collected>, DatasetInfo) {
    let (loader, info) = open::<L>(&[("data", contents.as_ref())], &DatasetRequest::default()).unwrap();
    let all = 0..info.sessions + info.branches;
    (all.map(|index| session(&loader, index)).collect(), info)
}

/// The error of a file `data` with these contents, without the folder it lies in.
pub(crate) fn error<L: DatasetLoader + Default>(contents: impl AsRef<[u8]>) -> String {
    let error = open::<L>(&[("data", contents.as_ref())], &DatasetRequest::default()).err().expect("an error");
    let (_, rest) = error.message.split_once("/data:").expect("the file's name in the message");
    rest.trim_start().to_owned()
}

/// The contents as gzip writes them.
pub(crate) fn gzip(contents: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(contents).unwrap();
    encoder.finish().unwrap()
}
