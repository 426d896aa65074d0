//! Turns a page into samples. What a series is gets decided when it first appears; from then on its text leads straight to
//! its place, because pages are read several times a second beside the threads that measure.

use super::{
    devices::Devices,
    index::{Index, Place},
    server,
    text::{Families, Line},
};
use inferometer_plugin_sdk::{
    RVec, log,
    types::{Catalogue, Sample, Subject},
};
use std::collections::HashMap;

/// Series known at most: servers that put a request's name into labels would fill the memory.
const MOST_SERIES: usize = 100_000;

/// What a page is about.
#[derive(Debug)]
pub(super) enum Preset {
    /// An inference server.
    Server,
    /// Accelerators, by a vendor's table.
    Devices(Devices),
}

/// What a reading found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Lines with a figure, whether or not they made a sample.
    pub(super) lines: usize,
    /// Lines that are none of the format's, and the first of them.
    pub(super) bad: usize,
    pub(super) first_bad: Option<String>,
}

/// Reads one source, page by page.
#[derive(Debug)]
pub(super) struct Reader {
    preset: Preset,
    index: Index,
    known: HashMap<Box<str>, Option<Place>>,
    has_warned: bool,
}

impl Reader {
    pub(super) fn new(preset: Preset) -> Self {
        Self { preset, index: Index::default(), known: HashMap::new(), has_warned: false }
    }

    /// Adds what `page` says to `out`, as of `at_ns`.
    pub(super) fn read(&mut self, page: &str, at_ns: u64, out: &mut RVec<Sample>) -> Found {
        self.index.begin();
        let mut found = Found::default();
        let mut families = None;
        for line in page.lines() {
            let line = line.trim_ascii_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some(Line { series, value }) = Line::read(line) else {
                found.bad += 1;
                found.first_bad.get_or_insert_with(|| line.chars().take(60).collect());
                continue;
            };
            found.lines += 1;
            let place = match self.known.get(series) {
                Some(place) => *place,
                None => self.learn(series, families.get_or_insert_with(|| Families::of(page))),
            };
            let Some(place) = place else { continue };
            let is_missing = match &self.preset {
                Preset::Server => !value.is_finite(),
                Preset::Devices(devices) => devices.is_missing(value),
            };
            if !is_missing {
                self.index.put(place, value, at_ns, out);
            }
        }
        found
    }

    /// Decides what a new series is.
    fn learn(&mut self, series: &str, families: &Families<'_>) -> Option<Place> {
        if self.known.len() >= MOST_SERIES {
            if !std::mem::replace(&mut self.has_warned, true) {
                log::warn(
                    "prometheus",
                    &format!("{series}: is left out, with all further series, after {MOST_SERIES}"),
                );
            }
            return None;
        }
        let place = match &self.preset {
            Preset::Server => server::place(series, families, &mut self.index),
            Preset::Devices(devices) => devices.place(series, &mut self.index),
        };
        self.known.insert(series.into(), place);
        place
    }

    /// Whether nothing was found that could be measured.
    pub(super) fn is_empty(&self) -> bool {
        self.index.len() == 0
    }

    /// Whether pages are read as a server's.
    pub(super) fn is_of_server(&self) -> bool {
        matches!(self.preset, Preset::Server)
    }

    /// What was found up to now.
    pub(super) fn catalogue(&self) -> Catalogue {
        let subject = match self.preset {
            Preset::Server => Subject::SERVER,
            Preset::Devices(_) => Subject::DEVICE,
        };
        self.index.catalogue().about(subject)
    }
}
