//! The laws of exporters.

mod fixture;
mod telemetry;

use crate::{
    law::{Law, Make, holds, survives},
    wire,
};
use fixture::Case;
use inferometer_plugin_sdk::{
    api::{Exporter, Output},
    types::{Error, ErrorKind, Record, Result},
};
use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

/// Records that a host gives at a time.
const BATCH: usize = 8;
/// Calls of an output that are tried to fail, one after the other.
const MOST_FAILURES: usize = 40;

const REPEATS: &str = "the same run gives the same bytes";
const STAYS: &str = "files lie in the artifact folder";
const READABLE: &str = "what is written can be read";
const TELLS: &str = "an exporter tells that its output failed";

/// Holds an exporter to all laws, as it is and behind the wire; `make` makes it anew. See [`laws`].
///
/// # Panics
/// When a law is broken.
pub fn check(make: impl Fn() -> Box<dyn Exporter>) {
    let wired = || wire::exporter(make());
    for make in [&make as Make<'_, _>, &wired] {
        laws(make).into_iter().for_each(Law::enforce);
    }
    for case in fixture::cases() {
        let (here, there) = (written(&make, &case), written(&wired, &case));
        holds!(
            "an exporter writes the same here and behind the wire",
            here == there,
            "{}: {}",
            case.name,
            apart(&here, &there)
        );
    }
}

/// The laws of exporters, on ordinary, empty, odd and hostile runs.
pub fn laws<'a>(make: Make<'a, dyn Exporter>) -> Vec<Law<'a>> {
    vec![
        Law::new(REPEATS, move || writes_the_same_again(make)),
        Law::new(STAYS, move || writes_into_its_folder(make)),
        Law::new(READABLE, move || writes_what_can_be_read(make)),
        Law::new(TELLS, move || tells_of_a_failing_output(make)),
    ]
}

/// An artifact folder and a terminal in memory. Like the host's own, it refuses names that leave the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// The files by name.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What was shown.
    pub shown: String,
    /// Names that were refused.
    pub refused: Vec<String>,
    /// Calls so far.
    calls: usize,
    /// The call that fails, and all after it.
    fails_at: Option<usize>,
}

impl Folder {
    /// One whose call number `call`, from 0, fails, and every call after it.
    #[must_use]
    pub fn failing_at(call: usize) -> Self {
        Self { fails_at: Some(call), ..Self::default() }
    }

    fn is_called(&mut self) -> Result<()> {
        let call = self.calls;
        self.calls += 1;
        match self.fails_at {
            Some(first) if call >= first => Err(Error::new(ErrorKind::IO, "no space left on device")),
            _ => Ok(()),
        }
    }
}

impl Output for Folder {
    fn write(&mut self, file: &str, bytes: &[u8]) -> Result<()> {
        self.is_called()?;
        let mut components = Path::new(file).components().peekable();
        let stays = components.peek().is_some() && components.all(|part| matches!(part, Component::Normal(_)));
        if !stays || file.contains('\0') {
            self.refused.push(file.to_owned());
            return Err(Error::new(ErrorKind::IO, format!("{file}: leaves the folder")));
        }
        self.files.entry(file.to_owned()).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn show(&mut self, text: &str) -> Result<()> {
        self.is_called()?;
        self.shown.push_str(text);
        Ok(())
    }
}

/// Exports a whole run with its telemetry, `batch` records at a time.
fn export(make: Make<'_, dyn Exporter>, case: &Case, batch: usize, out: &mut Folder) -> Result<()> {
    let law = "an exporter writes or fails without a panic";
    let mut exporter = make();
    let input = || case.name.to_owned();
    survives(law, input, || exporter.begin(&case.report.run, out))?;
    let records: Vec<Record<'_>> = case.requests.iter().map(fixture::Finished::record).collect();
    for records in records.chunks(batch) {
        survives(law, input, || exporter.records(records, out))?;
    }
    for telemetry::Given { source, collections, samples } in &case.telemetry {
        survives(law, input, || exporter.telemetry(source, collections, samples, out))?;
    }
    survives(law, input, || exporter.finish(&case.report, out))
}

fn written_in(make: Make<'_, dyn Exporter>, case: &Case, batch: usize) -> Folder {
    let mut out = Folder::default();
    let done = export(make, case, batch, &mut out);
    let Folder { refused, .. } = &out;
    holds!("files lie in the artifact folder", refused.is_empty(), "{}: it wrote to {refused:?}", case.name);
    holds!(
        "every run can be written",
        done.is_ok(),
        "{}: {}",
        case.name,
        done.err().map_or_else(String::new, |e| e.to_string())
    );
    Folder { calls: 0, ..out }
}

fn written(make: Make<'_, dyn Exporter>, case: &Case) -> Folder {
    written_in(make, case, BATCH)
}

/// Where two folders differ.
fn apart(one: &Folder, other: &Folder) -> String {
    if one.shown != other.shown {
        return format!("it showed\n{}\n  and\n{}", one.shown, other.shown);
    }
    let names = |folder: &Folder| folder.files.keys().cloned().collect::<Vec<_>>();
    if names(one) != names(other) {
        return format!("files {:?} and {:?}", names(one), names(other));
    }
    let differing = one.files.iter().find(|(name, bytes)| other.files.get(*name) != Some(bytes));
    differing.map_or_else(String::new, |(name, bytes)| {
        let other = &other.files[name];
        let at = bytes.iter().zip(other).take_while(|(a, b)| a == b).count();
        let around = |bytes: &[u8]| bytes[at.saturating_sub(60)..bytes.len().min(at + 60)].escape_ascii().to_string();
        format!("{name}, byte {at}\n  {}\n  {}", around(bytes), around(other))
    })
}

/// The same run gives the same bytes, however its records are handed over.
fn writes_the_same_again(make: Make<'_, dyn Exporter>) {
    for case in fixture::cases() {
        let first = written(make, &case);
        for batch in [BATCH, 1, 1_000] {
            let again = written_in(make, &case, batch);
            let name = case.name;
            holds!(REPEATS, first == again, "{name}, by {batch}: {}", apart(&first, &again));
        }
    }
}

/// Files are named inside the artifact folder, whatever the run holds. A hostile prefix is the host's to refuse, and an
/// exporter that uses it passes the refusal on.
fn writes_into_its_folder(make: Make<'_, dyn Exporter>) {
    let law = STAYS;
    for case in fixture::cases() {
        let _ = written(make, &case);
    }
    for prefix in crate::law::HOSTILE {
        let mut case = fixture::cases().into_iter().next().expect("there are cases");
        case.report.run.export.prefix = Some(prefix.to_owned());
        let mut out = Folder::default();
        let done = export(make, &case, BATCH, &mut out);
        holds!(law, done.is_err() || out.refused.is_empty(), "it went on after {:?} were refused", out.refused);
    }
}

/// What is called JSON is JSON, what is called JSON lines is one JSON value a line, and what is shown without colours holds
/// no control characters, whatever a server wrote.
fn writes_what_can_be_read(make: Make<'_, dyn Exporter>) {
    let law = READABLE;
    for case in fixture::cases() {
        let Folder { files, shown, .. } = written(make, &case);
        for (name, bytes) in &files {
            let is_json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).map(drop);
            if name.ends_with(".json") {
                let read = is_json(bytes);
                holds!(law, read.is_ok(), "{}: {name}: {read:?}", case.name);
            } else if name.ends_with(".jsonl") {
                for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    let read = is_json(line);
                    holds!(law, read.is_ok(), "{}: {name}: {read:?} in {}", case.name, line.escape_ascii());
                }
            }
        }
        let control = shown.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
        holds!(law, control.is_none(), "{}: it shows {control:?}:\n{}", case.name, shown.escape_debug());
    }
}

/// An output that fails, at whichever call, makes the exporter return an error.
fn tells_of_a_failing_output(make: Make<'_, dyn Exporter>) {
    let law = TELLS;
    for case in fixture::cases() {
        let mut whole = Folder::default();
        let _ = export(make, &case, BATCH, &mut whole);
        for call in 0..whole.calls.min(MOST_FAILURES) {
            let mut out = Folder::failing_at(call);
            let done = export(make, &case, BATCH, &mut out);
            holds!(law, done.is_err(), "{}: call {call} of its output failed and it went on", case.name);
        }
    }
}

#[cfg(test)]
mod tests;
