//! What the loaders of files with conversations share: records, their fields, messages, and the sessions in memory.
//!
//! A kind of file is a [`Format`]: how its records become sessions. The whole file is read and checked when the data set
//! is opened; every error names the file, the line and the field.

mod fields;
mod media;
mod message;
mod payload;
mod records;
mod row;
mod store;

pub(crate) use fields::{Fields, Problem, borrowed_from_json, from_json, object_of, shortened};
pub(crate) use message::{Cutter, message};
pub(crate) use payload::Payloads;
pub(crate) use records::{Origin, Records};
pub(crate) use row::{ROW_KEYS, Row, Rows};
pub(crate) use store::{Builder, Limit, NewMessage, NewPart, NewTurn, Store, StoredRow};

use crate::auto::with_likeness;
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{DatasetLoader, OutlineSink, SessionSink, TextTools},
    documents::{DatasetInfo, DatasetRequest},
    types::{Error, Result},
};
use std::marker::PhantomData;

/// A kind of file.
pub(crate) trait Format: Default + Send + Sync + 'static {
    /// What the kind is called.
    const NAME: &'static str;

    /// Reads and checks the whole source.
    ///
    /// # Errors
    /// Names the file, the line and the field.
    fn read(source: &str) -> Result<Contents>;
}

/// What a source holds.
pub(crate) struct Contents {
    pub(crate) store: Store,
    /// Sessions, the last ones of the store, that others begin.
    pub(crate) branches: u64,
    /// As in [`DatasetInfo::recorded_replies`].
    pub(crate) recorded_replies: bool,
    pub(crate) notes: Vec<String>,
}

impl Contents {
    /// Sessions that stand for themselves, with nothing to be said of them.
    pub(crate) fn new(store: Store) -> Self {
        Self { store, branches: 0, recorded_replies: false, notes: Vec::new() }
    }
}

/// The loader of a kind of file.
#[derive(Default)]
pub(crate) struct Conversations<F> {
    store: Store,
    format: PhantomData<F>,
}

impl<F: Format> Component for Conversations<F> {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self::default())
    }
}

impl<F: Format> DatasetLoader for Conversations<F> {
    fn open(&mut self, request: &DatasetRequest, _: &dyn TextTools) -> Result<DatasetInfo> {
        let source = source(request, F::NAME)?;
        let contents = F::read(source).map_err(|error| with_likeness(error, source, F::NAME))?;
        let sessions = contents.store.sessions() - contents.branches;
        if sessions == 0 {
            return Err(nothing_in(source, &contents.notes));
        }
        self.store = contents.store;
        Ok(DatasetInfo {
            sessions,
            branches: contents.branches,
            kind: None,
            has_timestamps: self.store.has_timestamps(),
            recorded_replies: contents.recorded_replies,
            notes: contents.notes,
        })
    }

    fn session(&self, index: u64, text: &dyn TextTools, sink: &mut dyn SessionSink) -> Result<()> {
        self.store.give(index, text, sink)
    }

    fn outline(&self, index: u64, sink: &mut dyn OutlineSink) -> Result<()> {
        self.store.outline(index, sink)
    }
}

/// The file or folder that a loader called `name` is to read.
///
/// # Errors
/// When none was given.
pub(crate) fn source<'r>(request: &'r DatasetRequest, name: &str) -> Result<&'r str> {
    request
        .source
        .as_deref()
        .ok_or_else(|| Error::config(format!("the {name} data set reads a file and was given none; give --input-file")))
}

/// A source without a single request.
pub(crate) fn nothing_in(source: &str, notes: &[String]) -> Error {
    let notes: String = notes.iter().map(|note| format!(" ({note})")).collect();
    Error::config(format!("{source}: holds no requests{notes}; give one JSON object per line"))
}
