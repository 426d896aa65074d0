//! Whole files in, sessions and outlines or an error out.

mod forms;
mod mooncake;
mod stretched;

use super::{Form, Trace};
use crate::testing::Words;
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{DatasetLoader, OutlineSink, SessionSink, TextTools},
    documents::{DatasetInfo, DatasetRequest, TraceRequest},
    types::{Outline, Result, Turn, TurnTime},
};

/// A session as sinks saw it, with its texts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) turns: Vec<SeenTurn>,
}

#[derive(Debug, PartialEq)]
pub(super) struct SeenTurn {
    /// Role, texts and extras of each message.
    pub(super) messages: Vec<(String, Vec<String>, String)>,
    pub(super) extra: String,
    pub(super) raw_body: String,
    pub(super) max_tokens: u32,
    pub(super) flags: u32,
    pub(super) time: TurnTime,
}

impl SeenTurn {
    /// The text of the only message.
    pub(super) fn prompt(&self) -> &str {
        match &self.messages[..] {
            [(role, texts, _)] if role == "user" && texts.len() == 1 => &texts[0],
            other => panic!("not one text of the user: {other:?}"),
        }
    }
}

impl SessionSink for Seen {
    fn name(&mut self, name: &str) {
        self.name = name.to_owned();
    }

    fn turn(&mut self, turn: &Turn<'_>) {
        let messages = turn.messages.iter().map(|message| {
            let texts = message.parts.iter().map(|part| part.data.to_string()).collect();
            (message.role.to_string(), texts, message.extra_json.to_string())
        });
        self.turns.push(SeenTurn {
            messages: messages.collect(),
            extra: turn.extra_json.to_string(),
            raw_body: String::from_utf8(turn.raw_body.to_vec()).unwrap(),
            max_tokens: turn.max_tokens,
            flags: turn.flags,
            time: turn.time,
        });
    }
}

/// The outlines of a session.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outlined {
    pub(super) name: String,
    pub(super) turns: Vec<OutlinedTurn>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct OutlinedTurn {
    pub(super) time: TurnTime,
    pub(super) input: u32,
    pub(super) output: u32,
    pub(super) block_tokens: u32,
    pub(super) blocks: Vec<u64>,
}

impl OutlineSink for Outlined {
    fn name(&mut self, name: &str) {
        self.name = name.to_owned();
    }

    fn turn(&mut self, outline: &Outline<'_>) {
        self.turns.push(OutlinedTurn {
            time: outline.time,
            input: outline.input_tokens,
            output: outline.output_tokens,
            block_tokens: outline.block_tokens,
            blocks: outline.blocks.to_vec(),
        });
    }
}

/// A trace that was opened.
pub(super) struct Opened<F> {
    pub(super) loader: Trace<F>,
    pub(super) info: DatasetInfo,
}

impl<F: Form> Opened<F> {
    pub(super) fn sessions(&self) -> Vec<Seen> {
        (0..self.info.sessions).map(|index| self.session(index)).collect()
    }

    pub(super) fn session(&self, index: u64) -> Seen {
        let mut seen = Seen::default();
        self.loader.session(index, &Words, &mut seen).unwrap();
        seen
    }

    pub(super) fn outlines(&self) -> Vec<Outlined> {
        let outline = |index| {
            let mut outlined = Outlined::default();
            self.loader.outline(index, &mut outlined).unwrap();
            outlined
        };
        (0..self.info.sessions).map(outline).collect()
    }

    /// The prompts of all turns, in order.
    pub(super) fn prompts(&self) -> Vec<String> {
        self.sessions().iter().flat_map(|seen| seen.turns.iter().map(|turn| turn.prompt().to_owned())).collect()
    }

    /// The outlines of all turns, in order.
    pub(super) fn turns(&self) -> Vec<OutlinedTurn> {
        self.outlines().into_iter().flat_map(|outlined| outlined.turns).collect()
    }
}

/// Opens a file of these contents.
pub(super) fn open_with<F: Form>(contents: &[u8], trace: TraceRequest) -> Result<Opened<F>> {
    open_seeded(contents, trace, 42)
}

pub(super) fn open_seeded<F: Form>(contents: &[u8], trace: TraceRequest, seed: u64) -> Result<Opened<F>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.file");
    std::fs::write(&path, contents).unwrap();
    let mut loader = Trace::<F>::create(NoOptions {}).unwrap();
    let source = Some(path.to_str().unwrap().to_owned());
    let info = loader.open(&DatasetRequest { source, seed, trace, ..DatasetRequest::default() }, &Words)?;
    Ok(Opened { loader, info })
}

pub(super) fn open<F: Form>(contents: &str) -> Opened<F> {
    open_with(contents.as_bytes(), TraceRequest::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// The error of a file, from what follows its name.
pub(super) fn error<F: Form>(contents: &str, trace: TraceRequest) -> String {
    let error = open_with::<F>(contents.as_bytes(), trace).err().expect("an error");
    assert_eq!(error.kind, inferometer_plugin_sdk::types::ErrorKind::CONFIG, "{error}");
    match error.message.split_once("trace.file") {
        Some((_, rest)) => rest.to_owned(),
        None => error.message.to_string(),
    }
}

pub(super) fn at(timestamp_ns: u64) -> TurnTime {
    TurnTime { timestamp_ns, ..TurnTime::NONE }
}

pub(super) fn words(text: &str) -> u64 {
    Words.count(text)
}
