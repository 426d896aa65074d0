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
mod tls;
mod units;

use devices::Devices;
use fetch::{COMPRESSED, Page, Source};
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
use tls::Tls;

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
    /// Over https, certificates (PEM) of who may vouch for the server, in place of the system's.
    #[serde(default)]
    ca_certificate: Option<PathBuf>,
    /// Over https, a certificate (PEM) to show to the server.
    #[serde(default)]
    client_certificate: Option<PathBuf>,
    /// The private key (PEM) of that certificate.
    #[serde(default)]
    client_key: Option<PathBuf>,
    /// Over https, take whatever certificate the server shows.
    #[serde(default)]
    insecure: bool,
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
    /// Accelerators, of whichever exporter it is; another page is refused.
    Device,
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
            if !matches!(preset, PresetName::Auto | PresetName::Device | PresetName::Dcgm) {
                return Err(Error::config(
                    "the option 'fields' is of NVIDIA's: set 'preset' to dcgm, or leave 'fields' out",
                ));
            }
            preset = PresetName::Dcgm;
            fields = fields::read(file)?;
        }
        let timeout = Duration::from_millis(options.timeout_ms.get().into());
        let Options { ca_certificate, client_certificate, client_key, insecure, .. } = options;
        let tls = Tls { ca_certificate, client_certificate, client_key, insecure };
        let source = Source::new(fetch::place(&options.url)?, &options.headers, &tls, timeout)?;
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
        let mut first = None;
        if self.reader.is_none() {
            let Some(preset) = self.preset_of(&page.text, &source)? else {
                self.warn(&nothing_yet(&source));
                return Ok(());
            };
            first = Some(Reader::new(preset));
        }
        let reader = first.as_mut().or(self.reader.as_mut()).expect("there is one, or it is made");
        let before = out.len();
        let found = reader.read(&page.text, at_ns, out);
        let first_bad = found.first_bad.unwrap_or_default();
        if found.bad > found.lines {
            out.truncate(before);
            return Err(no_metrics(&source, &says(&first_bad)));
        }
        if reader.is_empty() && found.lines > 0 && !reader.is_of_server() {
            return Err(nothing_known(&source, &page.text));
        }
        let is_empty = reader.is_empty();
        self.reader = first.or(self.reader.take());
        if found.bad > 0 {
            self.warn(&format!("{source}: lines that cannot be read are left out, such as '{first_bad}'"));
        } else if is_empty {
            self.warn(&nothing_yet(&source));
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
        let path = elsewhere.path().to_owned();
        let at_first = self.source.turn_to(elsewhere);
        self.page().map_err(|_| {
            self.source.turn_to(at_first);
            Error::new(failed.kind, format!("{failed} (there is none at {path} either)"))
        })
    }

    /// The page, if it is in the format at all.
    fn page(&self) -> Result<Page> {
        let page = self.source.fetch()?;
        let what = match page.text.trim_ascii_start().as_bytes().first() {
            Some(b'{' | b'[') => "this is JSON",
            Some(b'<') => "this is HTML",
            Some(0x1f) => return Err(Error::new(ErrorKind::IO, format!("{}: {COMPRESSED}", self.source.shown()))),
            _ => return Ok(page),
        };
        Err(no_metrics(&self.source.shown(), what))
    }

    /// How to read the page; `None` as long as it does not show that.
    fn preset_of(&self, page: &str, source: &str) -> Result<Option<Preset>> {
        let recognized = || series(page).find_map(|series| Devices::recognize(series, source)).map(Preset::Devices);
        Ok(Some(match self.preset {
            PresetName::Dcgm => Preset::Devices(Devices::dcgm(&self.fields, source)),
            PresetName::Amd => Preset::Devices(Devices::amd(source)),
            PresetName::Server => Preset::Server,
            PresetName::Auto => recognized().unwrap_or(Preset::Server),
            PresetName::Device => match recognized() {
                Some(devices) => devices,
                None if series(page).next().is_some() => return Err(no_device(source, page)),
                None => return first_bad(page).map_or(Ok(None), |line| Err(no_metrics(source, &says(line)))),
            },
        }))
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

/// The first line with something of its own, on a page without series.
fn first_bad(page: &str) -> Option<&str> {
    page.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))
}

fn says(line: &str) -> String {
    format!("this says '{}'", line.chars().take(60).collect::<String>())
}

fn no_metrics(source: &str, because: &str) -> Error {
    Error::malformed(format!("{source}: {because}, no metrics page; correct the URL"))
}

fn nothing_yet(source: &str) -> String {
    format!("{source}: there are no metrics on this page yet")
}

/// The error of a page that has nothing of the preset's fields for a device.
fn nothing_known(source: &str, page: &str) -> Error {
    Error::malformed(format!(
        "{source}: no known field of a GPU is on this page, but {}; correct the URL, or name some of them in a file of fields",
        names(page)
    ))
}

/// The error of a page of something else than devices.
fn no_device(source: &str, page: &str) -> Error {
    Error::malformed(format!(
        "{source}: this is no page of DCGM's or AMD's exporter; it has {}; correct the URL, or give it to --server-metrics \
         if it is the server's",
        names(page)
    ))
}

/// What is on a page, in short.
fn names(page: &str) -> String {
    let mut names: Vec<&str> = series(page).map(text::name).collect();
    names.sort_unstable();
    names.dedup();
    let more = if names.len() > MOST_NAMES { " …" } else { "" };
    names.truncate(MOST_NAMES);
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") + more }
}

#[cfg(test)]
mod tests;
