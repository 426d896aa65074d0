//! Reads metric pages in Prometheus' text format: those of accelerators' exporters, and those of inference servers.
//!
//! `text` knows the format, `fetch` gets pages, `reader` turns them into samples: of devices as `devices` says, of servers as
//! `server` does. It reads one page; which pages there are is for whoever sets `url`.

mod devices;
mod fetch;
mod fields;
mod index;
mod reader;
mod server;
mod text;
mod units;

use devices::Devices;
use fetch::{Page, Source};
use inferometer_plugin_sdk::{
    Component, RVec,
    api::TelemetryCollector,
    log,
    schemars::{self, JsonSchema},
    serde::{self, Deserialize},
    types::{Catalogue, Error, ErrorKind, Result, Sample},
};
use reader::{Preset, Reader};
use std::{collections::BTreeMap, num::NonZeroU32, path::PathBuf, time::Duration};
use text::Line;

/// Names of fields that a message gives at most.
const MOST_NAMES: usize = 8;

/// What a user may set.
#[derive(Deserialize, JsonSchema)]
#[serde(crate = "self::serde")]
#[schemars(crate = "self::schemars")]
pub(crate) struct Options {
    /// The page, such as http://localhost:9400/metrics; /metrics is added where there is no path.
    url: String,
    /// What the page tells of.
    #[serde(default)]
    preset: PresetName,
    /// A file of further fields of NVIDIA's, in the form of dcgm-exporter: "DCGM_FI_DEV_SM_CLOCK, gauge, SM clock (in MHz)".
    #[serde(default)]
    fields: Option<PathBuf>,
    /// Headers to ask with, by name.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// How long to wait for a whole page, in milliseconds.
    #[serde(default = "ten_seconds")]
    timeout_ms: NonZeroU32,
}

fn ten_seconds() -> NonZeroU32 {
    NonZeroU32::new(10_000).expect("is not zero")
}

/// Kinds of pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(crate = "self::serde", rename_all = "lowercase")]
#[schemars(crate = "self::schemars")]
enum PresetName {
    /// By what is on the page.
    #[default]
    Auto,
    /// NVIDIA's dcgm-exporter.
    Dcgm,
    /// AMD's device-metrics-exporter.
    Amd,
    /// An inference server: everything on the page, under the names it has there.
    Server,
}

/// The collector.
#[derive(Debug)]
pub(crate) struct Prometheus {
    source: Source,
    preset: PresetName,
    fields: Vec<devices::Field>,
    /// There once a page was read.
    reader: Option<Reader>,
    has_warned: bool,
}

impl Component for Prometheus {
    type Options = Options;

    fn create(options: Options) -> Result<Self> {
        let mut preset = options.preset;
        let mut fields = Vec::new();
        if let Some(file) = &options.fields {
            if !matches!(preset, PresetName::Auto | PresetName::Dcgm) {
                return Err(Error::config(
                    "the option 'fields' is of NVIDIA's: set 'preset' to dcgm, or leave 'fields' out",
                ));
            }
            preset = PresetName::Dcgm;
            fields = fields::read(file)?;
        }
        let timeout = Duration::from_millis(options.timeout_ms.get().into());
        let source = Source::new(fetch::place(&options.url)?, &options.headers, timeout)?;
        Ok(Self { source, preset, fields, reader: None, has_warned: false })
    }
}

impl TelemetryCollector for Prometheus {
    fn describe(&mut self) -> Result<Catalogue> {
        if self.reader.is_none() {
            self.read(0, &mut RVec::new())?;
        }
        Ok(self.reader.as_ref().map(Reader::catalogue).unwrap_or_default())
    }

    fn collect(&mut self, now_ns: u64, out: &mut RVec<Sample>) -> Result<()> {
        self.read(now_ns, out)
    }
}

impl Prometheus {
    fn read(&mut self, now_ns: u64, out: &mut RVec<Sample>) -> Result<()> {
        let page = if self.reader.is_some() { self.page()? } else { self.first_page()? };
        let source = self.source.shown();
        let at_ns = now_ns.saturating_add(u64::try_from(page.delay.as_nanos()).unwrap_or(u64::MAX));
        let mut first = self.reader.is_none().then(|| Reader::new(self.preset_of(&page.text, &source)));
        let reader = first.as_mut().or(self.reader.as_mut()).expect("there is one, or it is made");
        let before = out.len();
        let found = reader.read(&page.text, at_ns, out);
        let first_bad = found.first_bad.unwrap_or_default();
        if found.bad > found.lines {
            out.truncate(before);
            return Err(no_metrics(&source, &format!("it says '{first_bad}'")));
        }
        if reader.is_empty() && found.lines > 0 && !reader.is_of_server() {
            return Err(nothing_known(&source, &page.text));
        }
        let is_empty = reader.is_empty();
        self.reader = first.or(self.reader.take());
        if found.bad > 0 {
            self.warn(&format!("{source}: lines that cannot be read are left out, such as '{first_bad}'"));
        } else if is_empty {
            self.warn(&format!("{source}: there are no metrics on this page yet"));
        }
        Ok(())
    }

    /// The page, for the first time: if something else is there, it is looked for where other servers have it.
    fn first_page(&mut self) -> Result<Page> {
        let failed = match self.page() {
            Err(error) if error.kind == ErrorKind::MALFORMED => error,
            done => return done,
        };
        let Some(elsewhere) = self.source.elsewhere() else { return Err(failed) };
        let at_first = self.source.turn_to(elsewhere);
        self.page().map_err(|error| {
            self.source.turn_to(at_first);
            Error::new(failed.kind, format!("{failed}; nor is there one elsewhere ({error})"))
        })
    }

    /// The page, if it is in the format at all.
    fn page(&self) -> Result<Page> {
        let page = self.source.fetch()?;
        let what = match page.text.trim_ascii_start().as_bytes().first() {
            Some(b'{' | b'[') => "it is JSON",
            Some(b'<') => "it is HTML",
            _ => return Ok(page),
        };
        Err(no_metrics(&self.source.shown(), what))
    }

    fn preset_of(&self, page: &str, source: &str) -> Preset {
        match self.preset {
            PresetName::Dcgm => Preset::Devices(Devices::dcgm(&self.fields, source)),
            PresetName::Amd => Preset::Devices(Devices::amd(source)),
            PresetName::Server => Preset::Server,
            PresetName::Auto => {
                let recognized = series(page).find_map(|series| Devices::recognize(series, source));
                recognized.map_or(Preset::Server, Preset::Devices)
            }
        }
    }

    /// Says something once.
    fn warn(&mut self, text: &str) {
        if !std::mem::replace(&mut self.has_warned, true) {
            log::warn("prometheus", text);
        }
    }
}

/// The series of a page.
fn series(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter_map(|line| Some(Line::read(line.trim_ascii_start())?.series))
}

fn no_metrics(source: &str, because: &str) -> Error {
    Error::malformed(format!("{source}: this is no metrics page, {because}; give the page's URL as the option 'url'"))
}

/// The error of a page without a device's figures.
fn nothing_known(source: &str, page: &str) -> Error {
    let mut names: Vec<&str> = series(page).map(text::name).collect();
    names.sort_unstable();
    names.dedup();
    let more = if names.len() > MOST_NAMES { " …" } else { "" };
    names.truncate(MOST_NAMES);
    let has = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") + more };
    Error::malformed(format!(
        "{source}: none of the fields of the preset is on this page for a device; it has {has}: name some of them in a file \
         for the option 'fields', or set the option 'preset'"
    ))
}

#[cfg(test)]
mod tests;
