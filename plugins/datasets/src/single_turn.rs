//! JSONL files of single requests: one object per line, each a request that stands alone.
//!
//! The whole file is read and checked before the run; every error names the file, the line and the field. Lines that
//! share a `session_id` are turns of one session, in the order of the file.

mod media;
mod row;
mod store;

use crate::{lengths::Lengths, lines::Lines, random::Purpose};
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{DatasetLoader, SessionSink, TextTools},
    documents::{DatasetInfo, DatasetRequest},
    types::{Error, Result},
};
use store::{Builder, Store};

/// Reads a JSONL file, plain or compressed by gzip.
#[derive(Default)]
pub(crate) struct SingleTurn {
    store: Store,
}

impl Component for SingleTurn {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self::default())
    }
}

impl DatasetLoader for SingleTurn {
    fn open(&mut self, request: &DatasetRequest, _: &dyn TextTools) -> Result<DatasetInfo> {
        let Some(source) = request.source.as_deref() else {
            return Err(Error::config("the single_turn data set reads a file and was given none; give --input-file"));
        };
        let output = request.output_tokens.map(|o| Lengths::new("--osl", o, request.seed, Purpose::OutputLength));
        let output = output.transpose()?;

        let mut lines = Lines::open(source)?;
        let mut builder = Builder::default();
        while let Some((number, line)) = lines.next_line()? {
            let mut row = row::parse(line).map_err(|problem| Error::config(format!("{source}:{number}: {problem}")))?;
            if let (0, Some(output)) = (row.max_tokens, &output) {
                row.max_tokens = output.draw(builder.rows());
            }
            builder.push(number, &row);
        }
        if builder.rows() == 0 {
            return Err(Error::config(format!("{source}: holds no requests; give one JSON object per line")));
        }
        self.store = builder.finish();
        Ok(DatasetInfo { sessions: self.store.sessions(), ..DatasetInfo::default() })
    }

    fn session(&self, index: u64, _: &dyn TextTools, sink: &mut dyn SessionSink) -> Result<()> {
        if index >= self.store.sessions() {
            return Err(crate::no_session(index));
        }
        self.store.give(index as usize, sink);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
