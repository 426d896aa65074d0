//! A machine made of files, for tests.

use super::Host;
use inferometer_plugin_sdk::{RVec, api::TelemetryCollector, types::Catalogue};
use std::{collections::BTreeMap, fs};
use tempfile::TempDir;

pub(super) const SECOND: u64 = 1_000_000_000;

/// Files below a folder of their own, and the collector that reads them.
pub(super) struct Machine {
    folder: TempDir,
    host: Host,
}

impl Machine {
    pub(super) fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Host { root: folder.path().to_owned(), opened: None };
        let machine = Self { folder, host };
        machine.write(files);
        machine
    }

    /// Gives files new text.
    pub(super) fn write(&self, files: &[(&str, &str)]) {
        for (file, text) in files {
            let path = self.folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    /// Takes away a file or a folder.
    pub(super) fn remove(&self, path: &str) {
        let path = self.folder.path().join(path);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }

    pub(super) fn catalogue(&mut self) -> Catalogue {
        self.host.describe().unwrap()
    }

    pub(super) fn refusal(&mut self) -> String {
        self.host.describe().unwrap_err().message.to_string()
    }

    /// The names of what is measured, but for the program's processor time, which comes from no file.
    pub(super) fn metrics(&mut self) -> Vec<String> {
        let metrics = self.catalogue().metrics.into_iter().map(|metric| metric.name.to_string());
        metrics.filter(|name| !name.starts_with("process_cpu_")).collect()
    }

    pub(super) fn labels(&mut self, entity: &str) -> serde_json::Value {
        let entities = self.catalogue().entities;
        let entity =
            entities.iter().find(|one| one.id == entity).unwrap_or_else(|| panic!("no {entity}: {entities:?}"));
        serde_json::from_str(&entity.labels_json).unwrap()
    }

    /// A reading, by names as in `host_cpu_steal` and `net_lo/host_network_sent`.
    pub(super) fn read(&mut self, at_ns: u64) -> BTreeMap<String, f64> {
        let catalogue = self.catalogue();
        let mut samples = RVec::new();
        self.host.collect(at_ns, &mut samples).unwrap();
        let named = samples.iter().map(|sample| {
            assert_eq!(sample.at_ns, at_ns);
            let metric = &catalogue.metrics[sample.metric as usize].name;
            let name = match sample.entity {
                0 => metric.to_string(),
                entity => format!("{}/{metric}", catalogue.entities[entity as usize].id),
            };
            (name, sample.value)
        });
        named.filter(|(name, _)| !name.starts_with("process_cpu_")).collect()
    }
}
