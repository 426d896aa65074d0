//! What telemetry says of a phase, as the exporters look at it: readings with what they are readings of, put together by
//! device or by series. Nothing is computed here.

use crate::stats::finite;
use inferometer_plugin_sdk::documents::{
    PhaseReport, Report, Series, Stats, Subject, TelemetryEntity, TelemetryMetric, TelemetrySource,
};

/// One series of a phase, and what it is about.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) source: &'a TelemetrySource,
    pub(crate) metric: &'a TelemetryMetric,
    pub(crate) entity: &'a TelemetryEntity,
    pub(crate) series: &'a Series,
}

/// The readings of a phase that are about `subject`, in the report's order. Sums that belong to a histogram are left to it.
pub(crate) fn readings<'a>(
    report: &'a Report,
    phase: &'a PhaseReport,
    subject: Subject,
) -> impl Iterator<Item = Reading<'a>> {
    phase.telemetry.iter().filter_map(move |series| {
        let source = report.sources.get(series.source).filter(|source| source.subject == subject)?;
        let (metric, entity) = (source.metrics.get(series.metric)?, source.entities.get(series.entity)?);
        let wanted = series.histogram.is_some() || !is_sum_of_histogram(source, metric);
        wanted.then_some(Reading { source, metric, entity, series })
    })
}

/// Whether `metric` only completes a histogram of its source.
pub(crate) fn is_sum_of_histogram(source: &TelemetrySource, metric: &TelemetryMetric) -> bool {
    let of = metric.name.strip_suffix("_sum").filter(|_| metric.kind == "counter");
    of.is_some_and(|of| source.metrics.iter().any(|other| other.kind == "histogram" && other.name == of))
}

/// Whether a source of `subject` gave anything.
pub(crate) fn is_there(report: &Report, subject: Subject) -> bool {
    sources(report, subject).any(|source| source.collections > 0)
}

/// The sources of `subject`.
pub(crate) fn sources(report: &Report, subject: Subject) -> impl Iterator<Item = &TelemetrySource> {
    report.sources.iter().filter(move |source| source.subject == subject)
}

impl<'a> Reading<'a> {
    /// As statistics: a counter's increase stands in `avg`, where AIPerf has it.
    pub(crate) fn stats(&self) -> Stats {
        let Series { gauge, counter, histogram, .. } = self.series;
        if let Some(stats) = gauge {
            return *stats;
        }
        if let Some(increase) = counter {
            return Stats { avg: Some(increase.total), ..Stats::default() };
        }
        histogram.as_ref().map_or_else(Stats::default, |histogram| Stats {
            avg: histogram.avg,
            sum: histogram.sum.map(|sum| sum.total),
            count: Some(histogram.count.total.max(0.0) as u64),
            ..histogram.estimates
        })
    }

    /// The mean of a gauge or the increase of a counter, if it is a number.
    pub(crate) fn value(&self) -> Option<f64> {
        finite(self.stats().avg)
    }
}

/// Where a source's figures come from, without what is the same for all: `127.0.0.1:9400` for
/// `http://127.0.0.1:9400/metrics`.
pub(crate) fn endpoint(name: &str) -> &str {
    let rest = name.split_once("://").map_or(name, |(_, rest)| rest);
    let short = rest.trim_end_matches('/');
    let short = short.strip_suffix("/metrics").unwrap_or(short).trim_end_matches('/');
    if short.is_empty() { name } else { short }
}

/// A device under AIPerf's names. What a collector does not tell is taken from its place and its id.
#[derive(Clone, Copy)]
pub(crate) struct Device<'a> {
    pub(crate) id: &'a str,
    pub(crate) index: u64,
    pub(crate) uuid: &'a str,
    pub(crate) name: &'a str,
    pub(crate) platform: &'a str,
    /// Where it was read: a URL, or the collector's name.
    pub(crate) url: &'a str,
    pub(crate) pci_bus_id: Option<&'a str>,
    pub(crate) device: Option<&'a str>,
    pub(crate) hostname: Option<&'a str>,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) pod_name: Option<&'a str>,
    /// The part of a board that it is, if boards are divided.
    pub(crate) instance: Option<&'a str>,
}

impl<'a> Device<'a> {
    /// The device at `place` of `source`, if there is one.
    pub(crate) fn new(source: &'a TelemetrySource, place: usize) -> Option<Self> {
        let entity = source.entities.get(place)?;
        let label = |name: &str| entity.labels.get(name).map(String::as_str).filter(|text| !text.is_empty());
        Some(Self {
            id: &entity.id,
            index: label("gpu_index").and_then(|text| text.parse().ok()).unwrap_or(place as u64),
            uuid: label("gpu_uuid").unwrap_or(&entity.id),
            name: label("gpu_name").unwrap_or(&entity.id),
            platform: label("platform").unwrap_or(&source.collector),
            url: label("source").unwrap_or(&source.name),
            pci_bus_id: label("pci_bus_id"),
            device: label("device"),
            hostname: label("hostname"),
            namespace: label("namespace"),
            pod_name: label("pod_name"),
            instance: label("mig_instance").or_else(|| label("partition")),
        })
    }
}

/// The devices of a phase with their readings, in the order in which they are first met.
pub(crate) fn devices<'a>(report: &'a Report, phase: &'a PhaseReport) -> Vec<(Device<'a>, Vec<Reading<'a>>)> {
    let mut devices: Vec<(Device<'a>, Vec<Reading<'a>>)> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for reading in readings(report, phase, Subject::Device) {
        let place = *places.entry((reading.series.source, reading.series.entity)).or_insert_with(|| {
            let device = Device::new(reading.source, reading.series.entity);
            devices.push((device.expect("the entity of a reading is in its source"), Vec::new()));
            devices.len() - 1
        });
        devices[place].1.push(reading);
    }
    devices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::telemetry_report;

    #[test]
    fn an_endpoint_is_named_without_scheme_and_usual_path() {
        let cases = [
            ("http://127.0.0.1:18100/metrics", "127.0.0.1:18100"),
            ("http://127.0.0.1:18100/dcgm/metrics", "127.0.0.1:18100/dcgm"),
            ("https://[::1]:9400/", "[::1]:9400"),
            ("nvml", "nvml"),
            ("http://", "http://"),
            ("", ""),
        ];
        for (name, short) in cases {
            assert_eq!(endpoint(name), short);
        }
    }

    #[test]
    fn what_a_collector_does_not_tell_of_a_device_is_taken_from_its_place_and_id() {
        let bare = |id: &str| TelemetryEntity { id: id.into(), ..TelemetryEntity::default() };
        let source = TelemetrySource {
            collector: "acme".into(),
            name: "acme-bus".into(),
            entities: vec![bare("card-a"), bare("card-b")],
            ..TelemetrySource::default()
        };
        let device = Device::new(&source, 1).unwrap();
        assert_eq!((device.index, device.uuid, device.name), (1, "card-b", "card-b"));
        assert_eq!((device.platform, device.url, device.hostname), ("acme", "acme-bus", None));
        assert!(Device::new(&source, 2).is_none());
    }

    #[test]
    fn series_that_name_nothing_are_passed_over() {
        let mut report = telemetry_report();
        let before = readings(&report, &report.phases[1], Subject::Device).count();
        let out_of_range = [(9, 0, 0), (0, 99, 0), (0, 0, 99)];
        report.phases[1].telemetry.extend(out_of_range.map(|(source, metric, entity)| Series {
            source,
            metric,
            entity,
            ..Series::default()
        }));
        assert_eq!(readings(&report, &report.phases[1], Subject::Device).count(), before);
    }
}
