//! A telemetry collector: power, energy and memory of accelerators, from files as Linux drivers offer them.
//!
//! A folder holds a folder per device (`/sys/class/hwmon/hwmon0` …) with a number in each of these files, as far as the
//! driver has them: `power1_input` in microwatts, `energy1_input` in microjoules, `memory_used` in bytes. The files `name`
//! and `uuid` say which device it is.
//!
//! ```text
//! cargo build --release
//! inferometer profile --plugin target/release/libinferometer_example_collector.so \
//!     --collector example-collector --plugin-option example-collector.folder=/sys/class/hwmon …
//! ```
//!
//! A collector has a thread of its own, so it may wait for a device or a socket without disturbing the load.

use inferometer_plugin_sdk::{
    Component, RVec,
    api::TelemetryCollector,
    log,
    schemars::JsonSchema,
    serde::Deserialize,
    types::{Catalogue, Entity, Error, ErrorKind, Metric, MetricKind, Result, Sample},
};
use serde_json::json;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Whose devices they are: the label by which hosts tell vendors apart, and what names of metrics begin with.
const PLATFORM: &str = "acme";

/// What is measured: a file, how many of its units make one of ours, and what hosts and people are told of it.
#[rustfmt::skip]
const METRICS: [(&str, f64, &str, &str, &str, MetricKind); 3] = [
    ("power1_input",  1e6,  "power_usage",        "W",  "Power drawn.",                   MetricKind::GAUGE),
    ("energy1_input", 1e12, "energy_consumption", "MJ", "Energy used since it started.",  MetricKind::COUNTER),
    ("memory_used",   1e9,  "memory_used",        "GB", "Memory in use.",                 MetricKind::GAUGE),
];

/// The collector.
pub struct Example {
    options: Options,
    /// The devices' folders, in the order of the catalogue's entities.
    devices: Vec<PathBuf>,
    has_warned: bool,
}

/// What a user may set; `inferometer plugins show example-collector` prints it. Other names are refused before the run.
#[derive(Deserialize, JsonSchema)]
#[serde(crate = "inferometer_plugin_sdk::serde", default)]
#[schemars(crate = "inferometer_plugin_sdk::schemars")]
pub struct Options {
    /// The folder that holds a folder per device.
    pub folder: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self { folder: "/sys/class/hwmon".into() }
    }
}

impl Component for Example {
    type Options = Options;

    fn create(options: Options) -> Result<Self> {
        Ok(Self { options, devices: Vec::new(), has_warned: false })
    }
}

impl TelemetryCollector for Example {
    /// Looks what is there. An error leaves this collector out of the run, and the user is told why.
    fn describe(&mut self) -> Result<Catalogue> {
        let folder = &self.options.folder;
        let because = |reason: &str| Error::config(format!("{}: {reason}; set the option 'folder'", folder.display()));
        let entries = fs::read_dir(folder).map_err(|error| because(&error.to_string()))?;
        let devices = entries.filter_map(|entry| Some(entry.ok()?.path()));
        self.devices = devices.filter(|device| METRICS.iter().any(|metric| device.join(metric.0).exists())).collect();
        // Folders are listed in no order, and a device has to have the same number in every run.
        self.devices.sort();
        if self.devices.is_empty() {
            return Err(because("holds no device that says anything"));
        }
        let metric = |(_, _, name, unit, help, kind): &(_, _, _, &str, &str, _)| Metric {
            name: format!("{PLATFORM}_{name}").into(),
            unit: (*unit).into(),
            help: (*help).into(),
            kind: *kind,
        };
        Ok(Catalogue {
            metrics: METRICS.iter().map(metric).collect(),
            entities: self.devices.iter().enumerate().map(entity).collect(),
            // Drivers do not look at their devices more often than this.
            min_interval_ns: 50_000_000,
            ..Catalogue::default()
        })
    }

    fn collect(&mut self, now_ns: u64, out: &mut RVec<Sample>) -> Result<()> {
        let mut failure = None;
        for (entity, device) in (0..).zip(&self.devices) {
            for (metric, (file, per_unit, ..)) in (0..).zip(&METRICS) {
                let path = device.join(file);
                match number(&path) {
                    Ok(value) => out.push(Sample { metric, entity, at_ns: now_ns, value: value / per_unit }),
                    // What was not measured has no sample; a zero would be a lie.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => failure = Some(format!("{}: {error}", path.display())),
                }
            }
        }
        if out.is_empty() {
            let reason = failure.unwrap_or_else(|| "the devices are gone".to_owned());
            return Err(Error::new(ErrorKind::IO, reason));
        }
        // A device that sleeps may refuse to be read while others go on: worth a word, but not at every reading.
        if let Some(failure) = failure.filter(|_| !self.has_warned) {
            log::warn("example-collector", &failure);
            self.has_warned = true;
        }
        Ok(())
    }
}

fn entity((index, device): (usize, &PathBuf)) -> Entity {
    let id = device.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let said = |file| fs::read_to_string(device.join(file)).map_or_else(|_| id.clone(), |text| text.trim().to_owned());
    let labels = json!({
        "gpu_index": index.to_string(),
        "gpu_name": said("name"),
        "gpu_uuid": said("uuid"),
        "platform": PLATFORM,
    });
    Entity { labels_json: labels.to_string().into(), id: id.into() }
}

fn number(file: &Path) -> io::Result<f64> {
    let text = fs::read_to_string(file)?;
    let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| io::Error::other(format!("{:?} is no number", text.trim())))
}

// The name under which users ask for it; and, once in a library, what makes the library a plugin.
inferometer_plugin_sdk::collector! {
    name: "example-collector",
    summary: "Example: power, energy and memory of accelerators, from files as Linux drivers offer them.",
    component: Example
}
inferometer_plugin_sdk::export_plugin!();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_is_not_there_is_an_error_that_says_what_to_set() {
        let mut example = Example::create(Options { folder: "/no/such/folder".into() }).unwrap();
        let error = example.describe().unwrap_err();
        assert!(error.message.contains("/no/such/folder") && error.message.contains("'folder'"), "{error}");
    }
}
