//! Traces: what requests came when, and of what lengths. One module reads each form of file.
//!
//! A file is read and checked whole before the run, and kept as numbers; the texts of its prompts are made when they are
//! asked for. Hash ids name the blocks of a prompt, so that prompts which began alike begin alike again. Nothing here
//! says when anything is sent: times are handed on as the trace has them.

mod azure;
mod bailian;
mod burst_gpt;
mod clock;
mod columns;
mod fields;
mod messages;
mod mooncake;
mod prompts;
mod rows;
mod store;
mod synthesis;

use crate::auto::with_likeness;
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{DatasetLoader, OutlineSink, SessionSink, TextTools},
    documents::{DatasetInfo, DatasetRequest},
    types::{Error, Result},
};
use prompts::Prompts;
use rows::{MOST_TOKENS, Order, Rows};
use std::marker::PhantomData;
use store::Store;
use synthesis::Synthesis;

/// Reads traces as Mooncake published them.
pub(crate) type MooncakeTrace = Trace<mooncake::Mooncake>;
/// Reads traces as Alibaba's Bailian published them.
pub(crate) type BailianTrace = Trace<bailian::Bailian>;
/// Reads the BurstGPT traces.
pub(crate) type BurstGptTrace = Trace<burst_gpt::BurstGpt>;
/// Reads the Azure inference traces.
pub(crate) type AzureTrace = Trace<azure::Azure>;

/// A form of trace.
pub(crate) trait Form: Send + Sync + 'static {
    /// The data set's name.
    const NAME: &'static str;
    /// Tokens of the block that a hash id stands for, unless the user says otherwise.
    const BLOCK_TOKENS: u32 = 512;
    /// How the turns of a session follow one another.
    const ORDER: Order = Order::File;

    /// Reads the file into `rows`; `notes` takes what is worth saying.
    fn read(rows: &mut Rows, notes: &mut Vec<String>) -> Result<()>;
}

/// A trace of one form.
pub(crate) struct Trace<F> {
    opened: Option<(Store, Prompts)>,
    form: PhantomData<F>,
}

impl<F: Form> Component for Trace<F> {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self { opened: None, form: PhantomData })
    }
}

impl<F: Form> DatasetLoader for Trace<F> {
    fn open(&mut self, request: &DatasetRequest, _: &dyn TextTools) -> Result<DatasetInfo> {
        let Some(source) = request.source.as_deref() else {
            let name = F::NAME;
            return Err(Error::config(format!(
                "the {name} data set reads a file and was given none; give --input-file"
            )));
        };
        let synthesis = Synthesis::new(&request.trace)?;
        let prompts = Prompts::new(request.seed);
        let mut rows = Rows::new(source, block_tokens(request.trace.block_tokens, F::BLOCK_TOKENS)?);
        let mut notes = Vec::new();
        F::read(&mut rows, &mut notes).map_err(|error| with_likeness(error, source, F::NAME))?;
        if rows.is_empty() {
            return Err(Error::config(format!("{source}: holds no requests; check that it is a {} file", F::NAME)));
        }
        rows.name_rests()?;
        synthesis.apply(&mut rows, &prompts, &mut notes)?;
        let store = rows.into_store(F::ORDER);
        let has_timestamps = follows_times(source, &store, &mut notes);
        let info = DatasetInfo { sessions: store.sessions() as u64, has_timestamps, notes, ..DatasetInfo::default() };
        self.opened = Some((store, prompts));
        Ok(info)
    }

    fn session(&self, index: u64, text: &dyn TextTools, sink: &mut dyn SessionSink) -> Result<()> {
        let (store, prompts, session) = self.find(index)?;
        store.give(session, prompts, text, sink)
    }

    fn outline(&self, index: u64, sink: &mut dyn OutlineSink) -> Result<()> {
        let (store, _, session) = self.find(index)?;
        store.outline(session, sink);
        Ok(())
    }
}

impl<F> Trace<F> {
    fn find(&self, index: u64) -> Result<(&Store, &Prompts, usize)> {
        let opened = self.opened.as_ref().filter(|(store, _)| index < store.sessions() as u64);
        let (store, prompts) = opened.ok_or_else(|| crate::no_session(index))?;
        Ok((store, prompts, index as usize))
    }
}

fn block_tokens(asked: Option<u64>, usual: u32) -> Result<u32> {
    let Some(asked) = asked else { return Ok(usual) };
    match u32::try_from(asked) {
        Ok(tokens @ 1..=MOST_TOKENS) => Ok(tokens),
        _ => Err(Error::config(format!("--isl-block-size {asked}: a block has from 1 to {MOST_TOKENS} tokens"))),
    }
}

/// Whether all sessions say when they begin. Where only some do, there is no schedule to follow; the trace can still be
/// sent in another way, so this is said and not refused.
fn follows_times(source: &str, store: &Store, notes: &mut Vec<String>) -> bool {
    let (without, first_line) = store.sessions_without_times();
    if let Some(line) = first_line.filter(|_| without < store.sessions()) {
        notes.push(format!(
            "{without} of {} sessions have no timestamp (the first begins at {source}:{line}), so the trace's times cannot be \
             followed",
            store.sessions()
        ));
    }
    without == 0
}

#[cfg(test)]
mod tests;
