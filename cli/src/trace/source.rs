//! Reads a trace: finds its loader, and asks it for the outlines of all sessions.

use super::{
    args::SourceArgs,
    count::{Counter, Text},
};
use crate::{Failure, registry::registry};
use inferometer_abi::{
    api::{DatasetLoader, OutlineSink as _},
    documents::{DatasetInfo, DatasetRequest, Kind, TraceRequest},
    types::{Error, ErrorKind, Outline},
};
use inferometer_host::Registry;
use inferometer_model::{ExitCode, config::RawConfig, file, resolve::plugin_options};
use inferometer_tokens::TokenizerRequest;
use inferometer_trace::Trace;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A file, and what reads it.
pub(super) struct Source<'a> {
    args: &'a SourceArgs,
    registry: Registry,
    options: BTreeMap<String, Map<String, Value>>,
    text: Text,
}

/// A trace that was read.
pub(super) struct Read {
    pub(super) trace: Trace,
    /// What kind of data set it is.
    pub(super) kind: String,
    /// How many of its sessions only other sessions begin.
    pub(super) branches: u64,
    /// What is worth saying of it.
    pub(super) notes: Vec<String>,
}

impl<'a> Source<'a> {
    /// Finds the components and the tokenizer.
    pub(super) fn new(args: &'a SourceArgs) -> Result<Self, Failure> {
        let SourceArgs { places, locked, plugin_option, .. } = args;
        let flags = RawConfig {
            plugin: places.plugin.clone(),
            plugin_option: plugin_option.clone(),
            allow_unsafe_permissions: places.allow_unsafe_permissions,
            locked: locked.locked,
            lock_file: locked.lock_file.clone(),
            ..RawConfig::default()
        };
        let (settings, plugins) = file::load(&flags, places.config.as_deref()).map_err(Failure::usage)?;
        let name = args.tokenizer.clone().unwrap_or_else(|| "builtin".to_owned());
        let request = TokenizerRequest { name: Some(name), ..TokenizerRequest::default() };
        let resolved = inferometer_tokens::resolve(&request).map_err(Failure::usage)?;
        Ok(Self {
            args,
            registry: registry(&settings, &plugins)?,
            options: plugin_options(&settings, &plugins).map_err(Failure::usage)?,
            text: Text::new(resolved.tokenizer),
        })
    }

    /// Reads the file as `changes` say.
    pub(super) fn read(&self, changes: TraceRequest, seed: u64) -> Result<Read, Failure> {
        let name = &self.args.custom_dataset_type;
        let entry = self.registry.find(Kind::Dataset, name).map_err(Failure::usage)?;
        let given = self.options.iter().filter(|(component, _)| entry.answers_to(component));
        let options: Map<_, _> = given.flat_map(|(_, options)| options.clone()).collect();
        let made = self.registry.dataset(name, &Value::Object(options).to_string()).map_err(Failure::usage)?;
        let mut loader = made.component;
        let request = DatasetRequest {
            source: Some(self.args.file.clone()),
            seed,
            trace: TraceRequest { block_tokens: self.args.isl_block_size, ..changes },
            ..DatasetRequest::default()
        };
        let info = loader.open(&request, &self.text).map_err(|error| self.failure(&error))?;
        let mut notes = info.notes.clone();
        let trace = self.outlines(&*loader, &info, &mut notes)?;
        Ok(Read { trace, kind: info.kind.unwrap_or_else(|| name.clone()), branches: info.branches, notes })
    }

    fn outlines(
        &self,
        loader: &dyn DatasetLoader,
        info: &DatasetInfo,
        notes: &mut Vec<String>,
    ) -> Result<Trace, Failure> {
        let mut trace = Trace::default();
        let mut was_counted = false;
        for session in 0..info.sessions.saturating_add(info.branches) {
            trace.begin_session();
            let has_outlines = match loader.outline(session, &mut trace) {
                Ok(()) => true,
                Err(error) if error.kind == ErrorKind::UNSUPPORTED => false,
                Err(error) => return Err(self.failure(&error)),
            };
            if has_outlines && !trace.lacks_input_counts() {
                continue;
            }
            was_counted = true;
            let mut counter = Counter::new(&self.text);
            loader.session(session, &self.text, &mut counter).map_err(|error| self.failure(&error))?;
            if let Some(name) = counter.name.as_deref().filter(|_| !has_outlines) {
                trace.name(name);
            }
            for (turn, counted) in counter.turns.iter().enumerate() {
                if has_outlines {
                    trace.supply_counts(turn, counted.input_tokens, counted.output_tokens);
                } else {
                    trace.turn(&Outline {
                        time: counted.time,
                        input_tokens: counted.input_tokens,
                        output_tokens: counted.output_tokens,
                        ..Outline::EMPTY
                    });
                }
            }
        }
        if was_counted {
            let remedy = if self.args.tokenizer.is_some() { "" } else { "; --tokenizer takes that of your model" };
            notes.push(format!("input tokens were counted with {}, replies left out{remedy}", self.text.name()));
        }
        Ok(trace)
    }

    /// The failure that a loader's error is. Loaders name the file; one that does not is helped out.
    fn failure(&self, error: &Error) -> Failure {
        let code = if error.kind == ErrorKind::PANICKED { ExitCode::Internal } else { ExitCode::Usage };
        let file = &self.args.file;
        let message = error.to_string();
        Failure::new(code, if message.contains(file.as_str()) { message } else { format!("{file}: {message}") })
    }
}
