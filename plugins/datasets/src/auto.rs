//! Finds out what a file or folder holds, and has the right loader read it.
//!
//! The beginning of a file decides: the names of its first record's fields, or its header. A field `type` that names a kind
//! goes before everything else. What fits no kind, or two, is refused: nothing is guessed.

mod beginning;
mod kinds;

use crate::{
    conversation::source,
    lines::{self, stem},
};
use beginning::Beginning;
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{DatasetLoader, OutlineSink, SessionSink, TextTools},
    documents::{DatasetInfo, DatasetRequest},
    types::{Error, Result},
};
use kinds::{KINDS, Kind};

/// Delegates to the loader that fits.
#[derive(Default)]
pub(crate) struct Auto {
    loader: Option<Box<dyn DatasetLoader>>,
}

impl Component for Auto {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self::default())
    }
}

impl DatasetLoader for Auto {
    fn open(&mut self, request: &DatasetRequest, text: &dyn TextTools) -> Result<DatasetInfo> {
        let kind = kind_of(source(request, "auto")?)?;
        let mut loader = (kind.make)()?;
        let info = loader.open(request, text).map_err(|error| {
            Error::new(
                error.kind,
                format!("{} (taken for {}; --custom-dataset-type says otherwise)", error.message, kind.name),
            )
        })?;
        self.loader = Some(loader);
        Ok(DatasetInfo { kind: Some(kind.name.to_owned()), ..info })
    }

    fn session(&self, index: u64, text: &dyn TextTools, sink: &mut dyn SessionSink) -> Result<()> {
        self.loader.as_ref().ok_or_else(|| crate::no_session(index))?.session(index, text, sink)
    }

    fn outline(&self, index: u64, sink: &mut dyn OutlineSink) -> Result<()> {
        self.loader.as_ref().ok_or_else(|| crate::no_session(index))?.outline(index, sink)
    }
}

fn kind_of(source: &str) -> Result<&'static Kind> {
    let Some(files) = lines::files_of(source)? else { return kind_of_file(source, false) };
    let kind = kind_of_file(&files[0], true)?;
    for file in &files[1..] {
        let other = kind_of_file(file, true)?;
        if other.name != kind.name {
            return Err(Error::config(format!(
                "{source}: {} is {} and {} is {}; give files of one kind, or say which with --custom-dataset-type",
                stem(&files[0]),
                kind.name,
                stem(file),
                other.name
            )));
        }
    }
    Ok(kind)
}

fn kind_of_file(file: &str, in_folder: bool) -> Result<&'static Kind> {
    let beginning = beginning::of(file)?;
    if let Some(named) = beginning.named_type()
        && let Some(kind) = KINDS.iter().find(|kind| kind.name == named)
    {
        return Ok(kind);
    }
    let fitting = fitting(&beginning, in_folder);
    match fitting[..] {
        [kind] => Ok(kind),
        [] if let Some(kind) = only(&beginning, !in_folder).filter(|_| in_folder) => Err(Error::config(format!(
            "{file}: is {}, of which a single file is read and no folder; give this one, or another, with --input-file",
            kind.name
        ))),
        [] if let Some(kind) = beginning.without_array().and_then(|lines| only(&lines, in_folder)) => Err(refused(
            file,
            &format!(
                "{} fits no kind of data set, but its objects look like {}: write one object per line, without a list \
                 around them",
                beginning.described(),
                kind.name
            ),
        )),
        [] => Err(refused(file, &format!("{} fits no kind of data set", beginning.described()))),
        _ => {
            let names: Vec<&str> = fitting.iter().map(|kind| kind.name).collect();
            Err(refused(file, &format!("{} fits {}", beginning.described(), names.join(" and "))))
        }
    }
}

/// The kinds that a file which begins so may be of.
fn fitting(beginning: &Beginning, in_folder: bool) -> Vec<&'static Kind> {
    KINDS.iter().filter(|kind| kind.reads(in_folder) && (kind.fits)(beginning)).collect()
}

/// The one kind that a file which begins so is of.
fn only(beginning: &Beginning, in_folder: bool) -> Option<&'static Kind> {
    match fitting(beginning, in_folder)[..] {
        [kind] => Some(kind),
        _ => None,
    }
}

/// An error of the loader called `name`, with what the file looks like if that is something else.
pub(crate) fn with_likeness(error: Error, source: &str, name: &str) -> Error {
    match kind_of(source) {
        Ok(kind) if kind.name != name => {
            Error::new(error.kind, format!("{} (it looks like {}, not {name})", error.message, kind.name))
        }
        _ => error,
    }
}

fn refused(file: &str, reason: &str) -> Error {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    Error::config(format!("{file}: {reason}; say what it is with --custom-dataset-type: {}", names.join(", ")))
}

#[cfg(test)]
mod tests;
