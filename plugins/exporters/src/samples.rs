//! `gpu_telemetry_export.jsonl` and `client_telemetry_export.jsonl`: one line per reading of a device or of the machine
//! that makes the load, warm-up included, source after source.
//!
//! Histograms are left to the summaries: as samples they are many counts without a meaning of their own.

use crate::{
    chunked::Chunked,
    names,
    stats::finite,
    telemetry::{Device, is_sum_of_histogram},
};
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{Exporter, Output},
    documents::{Report, Run, Subject, TelemetryEntity, TelemetrySource},
    exporter,
    types::{Collection, Result, Sample},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::collections::BTreeMap;

struct Lines {
    subject: Subject,
    name: String,
    /// Begun with the first line: without one there is no file.
    file: Option<Chunked>,
    epoch_ns: u64,
}

impl Lines {
    fn of(subject: Subject) -> Self {
        Self { subject, name: String::new(), file: None, epoch_ns: 0 }
    }

    fn begin(&mut self, name: String, run: &Run) {
        *self = Self { name, epoch_ns: run.epoch_ns, ..Self::of(self.subject) };
    }

    fn telemetry(
        &mut self,
        source: &TelemetrySource,
        collections: &[Collection],
        mut samples: &[Sample],
        out: &mut dyn Output,
    ) -> Result<()> {
        if source.subject != self.subject {
            return Ok(());
        }
        let columns = source.metrics.iter().map(|metric| {
            let wanted = metric.kind != "histogram" && !is_sum_of_histogram(source, metric);
            wanted.then_some(metric.name.as_str())
        });
        let columns = columns.collect::<Vec<_>>();
        for collection in collections {
            let (taken, rest) = samples.split_at(samples.len().min(collection.samples as usize));
            samples = rest;
            for (place, at_ns, data) in by_entity(&columns, taken) {
                let (Some(device), Some(entity)) = (Device::new(source, place), source.entities.get(place)) else {
                    continue;
                };
                let file = self.file.get_or_insert_with(|| Chunked::new(self.name.clone()));
                let timestamp_ns = self.epoch_ns.saturating_add(at_ns);
                match self.subject {
                    Subject::Device => file.line(&GpuLine::new(device, timestamp_ns, data), out)?,
                    _ => file.line(&OwnLine::new(source, entity, timestamp_ns, data), out)?,
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        self.file.take().map_or(Ok(()), |mut file| file.finish(out))
    }
}

/// An exporter of the samples about one subject.
macro_rules! lines {
    ($name:ident, $subject:ident, $file:path) => {
        struct $name(Lines);

        impl Component for $name {
            type Options = NoOptions;
            fn create(_: NoOptions) -> Result<Self> {
                Ok(Self(Lines::of(Subject::$subject)))
            }
        }

        impl Exporter for $name {
            fn begin(&mut self, run: &Run, _: &mut dyn Output) -> Result<()> {
                self.0.begin($file(&run.export), run);
                Ok(())
            }

            fn telemetry(
                &mut self,
                source: &TelemetrySource,
                collections: &[Collection],
                samples: &[Sample],
                out: &mut dyn Output,
            ) -> Result<()> {
                self.0.telemetry(source, collections, samples, out)
            }

            fn finish(&mut self, _: &Report, out: &mut dyn Output) -> Result<()> {
                self.0.finish(out)
            }
        }
    };
}

lines!(GpuTelemetry, Device, names::gpu_telemetry);
lines!(ClientTelemetry, Client, names::client_telemetry);

exporter! { name: "gpu_telemetry", summary: "Writes one JSON line per reading of a GPU.", component: GpuTelemetry }
exporter! { name: "client_telemetry", summary: "Writes one JSON line per reading of the machine that makes the load.", component: ClientTelemetry }

/// One JSON object from tag to value.
struct Data<'a>(Vec<(&'a str, f64)>);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (tag, value) in &self.0 {
            map.serialize_entry(tag, value)?;
        }
        map.end()
    }
}

/// The samples of one collection, put together by entity: its place, when it was read, and what. The order is that of the
/// samples; of two values of one metric the last holds.
fn by_entity<'a>(columns: &[Option<&'a str>], samples: &[Sample]) -> Vec<(usize, u64, Data<'a>)> {
    let mut entities: Vec<(usize, u64, Data<'a>)> = Vec::new();
    let mut places = BTreeMap::new();
    for sample in samples {
        let tag = columns.get(sample.metric as usize).copied().flatten();
        let (Some(tag), Some(value)) = (tag, finite(Some(sample.value))) else { continue };
        let place = *places.entry(sample.entity).or_insert_with(|| {
            entities.push((sample.entity as usize, sample.at_ns, Data(Vec::new())));
            entities.len() - 1
        });
        let data = &mut entities[place].2.0;
        match data.iter_mut().find(|(present, _)| *present == tag) {
            Some(present) => present.1 = value,
            None => data.push((tag, value)),
        }
    }
    entities
}

/// A device under AIPerf's names and in its order.
#[derive(Serialize)]
struct GpuLine<'a> {
    gpu_index: u64,
    gpu_uuid: &'a str,
    gpu_model_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pci_bus_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    platform: &'a str,
    timestamp_ns: u64,
    telemetry_source_url: &'a str,
    telemetry_data: Data<'a>,
}

impl<'a> GpuLine<'a> {
    fn new(device: Device<'a>, timestamp_ns: u64, telemetry_data: Data<'a>) -> Self {
        Self {
            gpu_index: device.index,
            gpu_uuid: device.uuid,
            gpu_model_name: device.name,
            pci_bus_id: device.pci_bus_id,
            device: device.device,
            hostname: device.hostname,
            namespace: device.namespace,
            pod_name: device.pod_name,
            instance: device.instance,
            platform: device.platform,
            timestamp_ns,
            telemetry_source_url: device.url,
            telemetry_data,
        }
    }
}

/// What is no device, by its own name and labels.
#[derive(Serialize)]
struct OwnLine<'a> {
    entity: &'a str,
    labels: &'a BTreeMap<String, String>,
    timestamp_ns: u64,
    telemetry_source: &'a str,
    telemetry_data: Data<'a>,
}

impl<'a> OwnLine<'a> {
    fn new(
        source: &'a TelemetrySource,
        entity: &'a TelemetryEntity,
        timestamp_ns: u64,
        telemetry_data: Data<'a>,
    ) -> Self {
        let TelemetryEntity { id, labels } = entity;
        Self { entity: id, labels, timestamp_ns, telemetry_source: &source.name, telemetry_data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Disk, GPU_JSONL, client, gpus, server, telemetry_report};
    use serde_json::Value;

    fn export(exporter: &mut dyn Exporter, given: &[crate::fixture::Given]) -> Disk {
        let (mut disk, report) = (Disk::default(), telemetry_report());
        exporter.begin(&report.run, &mut disk).unwrap();
        given.iter().for_each(|given| given.hand_to(exporter, &mut disk));
        exporter.finish(&report, &mut disk).unwrap();
        disk
    }

    #[test]
    fn the_sample_lines_come_out_as_aiperf_wrote_them() {
        let mut exporter = GpuTelemetry::create(NoOptions {}).unwrap();
        let disk = export(&mut exporter, &[gpus(), server(), client()]);
        let text = disk.text("gpu_telemetry_export.jsonl");
        let keys = |line: &str| line.matches("\":").count();
        assert_eq!(text.lines().count(), GPU_JSONL.lines().count());
        for (ours, sample) in text.lines().zip(GPU_JSONL.lines()) {
            let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap();
            assert_eq!(parse(ours), parse(sample));
            assert_eq!(ours.split(":").next(), sample.split(":").next());
            assert_eq!(keys(ours), keys(sample));
        }
        assert_eq!(disk.files.len(), 1, "one subject, one file");
    }

    #[test]
    fn the_machine_that_makes_the_load_has_a_file_of_its_own() {
        let disk = export(&mut ClientTelemetry::create(NoOptions {}).unwrap(), &[gpus(), server(), client()]);
        let text = disk.text("client_telemetry_export.jsonl");
        let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(
            line,
            serde_json::json!({
                "entity": "host",
                "labels": {"hostname": "bench-1", "memory_gb": "16.5"},
                "timestamp_ns": 1_795_288_691_900_000_000_u64,
                "telemetry_source": "host",
                "telemetry_data": {
                    "host_cpu_utilization": 43.1, "host_cpu_busiest_core": 61.0, "host_memory_used": 3.21
                }
            })
        );
        assert_eq!((text.lines().count(), disk.files.len()), (2, 1));
    }

    #[test]
    fn a_vendor_that_tells_little_gets_the_same_lines() {
        let mut given = gpus();
        given.source.collector = "acme".into();
        given.source.name = "acme-bus".into();
        given.source.entities.iter_mut().for_each(|entity| entity.labels.clear());
        given.samples.truncate(given.source.metrics.len() + 1);
        given.samples[0].value = f64::NAN;
        given.samples[1].entity = 99;
        let text =
            export(&mut GpuTelemetry::create(NoOptions {}).unwrap(), &[given]).text("gpu_telemetry_export.jsonl");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "what is in no catalogue has no line");
        assert_eq!(lines[1]["gpu_index"], 1);
        assert_eq!(
            (&lines[1]["gpu_uuid"], &lines[1]["gpu_model_name"]),
            (&"GPU-00000001".into(), &"GPU-00000001".into())
        );
        assert_eq!((&lines[1]["platform"], &lines[1]["telemetry_source_url"]), (&"acme".into(), &"acme-bus".into()));
        assert!(lines[0]["telemetry_data"].get("nvidia_power_usage").is_none(), "no number is no figure");
    }

    #[test]
    fn without_samples_there_is_no_file() {
        let mut given = gpus();
        given.samples.clear();
        assert!(export(&mut GpuTelemetry::create(NoOptions {}).unwrap(), &[given, server()]).files.is_empty());
    }
}
