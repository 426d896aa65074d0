//! What telemetry gives in those runs: devices, servers and the machine that makes the load.

use super::fixture::{Case, all_stats};
use crate::law::HOSTILE;
use inferometer_plugin_sdk::{
    documents::{Bucket, Histogram, Increase, Series, Subject, TelemetryEntity, TelemetryMetric, TelemetrySource},
    types::{ABSENT_NS, Collection, Sample},
};

/// What one source gave, as an exporter is handed it.
pub(super) struct Given {
    pub(super) source: TelemetrySource,
    pub(super) collections: Vec<Collection>,
    pub(super) samples: Vec<Sample>,
}

/// A gauge, a counter, a histogram and its sum; on two entities, and on the two buckets of the second.
fn source(number: usize, subject: Subject) -> TelemetrySource {
    let metric = |name: &str, unit: &str, kind: &str| TelemetryMetric {
        name: name.into(),
        unit: unit.into(),
        help: "What it is.".into(),
        kind: kind.into(),
    };
    let entity = |id: &str, labels: &[(&str, &str)]| TelemetryEntity {
        id: id.into(),
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    };
    TelemetrySource {
        collector: "example".into(),
        name: format!("http://127.0.0.1:{}/metrics", 9400 + number),
        subject,
        metrics: vec![
            metric("power", "W", "gauge"),
            metric("energy", "J", "counter"),
            metric("latency", "s", "histogram"),
            metric("latency_sum", "s", "counter"),
        ],
        entities: vec![
            entity("gpu0", &[("gpu_index", "0"), ("gpu_name", "Example 100"), ("hostname", "node")]),
            entity("model", &[("model_name", "m")]),
            entity("model, 0.5", &[("model_name", "m"), ("le", "0.5")]),
            entity("model, +Inf", &[("model_name", "m"), ("le", "+Inf")]),
        ],
        collections: READINGS,
        first_ns: Some(1_000),
        last_ns: Some(20_000_000),
        mean_ms: Some(1.5),
        failure: None,
    }
}

const READINGS: u64 = 5;
/// The metrics and entities that are read.
const READ: [(u32, u32); 5] = [(0, 0), (1, 0), (2, 2), (2, 3), (3, 1)];

/// One source of each subject; the second half of the readings repeats the first.
pub(super) fn given() -> Vec<Given> {
    let subjects = [Subject::Device, Subject::Server, Subject::Client];
    let given = |(number, subject)| {
        let began = |reading: u64| reading * 5_000_000;
        let collection = |reading| Collection {
            began_ns: began(reading),
            ended_ns: began(reading) + 1_500_000,
            samples: READ.len() as u32,
            ..Collection::default()
        };
        let samples = (0..READINGS).flat_map(|reading| {
            let value = (reading.min(READINGS / 2) + 1) as f64;
            READ.map(|(metric, entity)| Sample { metric, entity, at_ns: began(reading) + 1_000_000, value })
        });
        Given {
            source: source(number, subject),
            collections: (0..READINGS).map(collection).collect(),
            samples: samples.collect(),
        }
    };
    subjects.into_iter().enumerate().map(given).collect()
}

/// The sources, as a report holds them, and one that was not there.
pub(super) fn sources(given: &[Given]) -> Vec<TelemetrySource> {
    let missing = TelemetrySource {
        collector: "example".into(),
        name: "http://127.0.0.1:9499/metrics".into(),
        failure: Some("connection refused".into()),
        ..TelemetrySource::default()
    };
    given.iter().map(|given| given.source.clone()).chain([missing]).collect()
}

/// What those sources say of the phase.
pub(super) fn series() -> Vec<Series> {
    let growth = Increase { total: 3.0, rate: Some(12.5) };
    let histogram = Histogram {
        count: growth,
        sum: Some(growth),
        avg: Some(1.0),
        buckets: ["0.5", "+Inf"].map(|le| Bucket { le: le.into(), count: 3.0 }).into(),
        estimates: all_stats(0.25),
    };
    let of = |source| {
        let base = Series { source, ..Series::default() };
        [
            Series { gauge: Some(all_stats(1234.5)), ..base.clone() },
            Series { metric: 1, counter: Some(growth), ..base.clone() },
            Series { metric: 2, entity: 1, histogram: Some(histogram.clone()), ..base },
        ]
    };
    (0..3).flat_map(of).collect()
}

/// Numbers that no JSON can say, places that are not there, and stamps at the ends of time.
pub(super) fn make_odd(case: &mut Case, odd: &[f64]) {
    for (n, series) in case.report.phases[0].telemetry.iter_mut().enumerate() {
        let value = odd[n % odd.len()];
        // What a document cannot leave out is a number.
        let total = if value.is_finite() { value } else { -1.0 };
        let growth = Increase { total, rate: Some(value) };
        series.gauge = series.gauge.map(|_| all_stats(value));
        series.counter = series.counter.map(|_| growth);
        if let Some(histogram) = &mut series.histogram {
            *histogram = Histogram { count: growth, sum: Some(growth), avg: Some(value), ..histogram.clone() };
            histogram.buckets[0].count = total;
        }
    }
    let nowhere = Series { source: 77, metric: usize::MAX, entity: 77, ..Series::default() };
    let nothing = Series { entity: 77, ..Series::default() };
    case.report.phases[0].telemetry.extend([nowhere, nothing, Series::default()]);
    for source in &mut case.report.sources {
        (source.first_ns, source.last_ns, source.mean_ms) = (Some(u64::MAX), Some(0), Some(f64::NAN));
    }
    for given in &mut case.telemetry {
        for (n, sample) in given.samples.iter_mut().enumerate() {
            sample.value = odd[n % odd.len()];
            sample.at_ns = [ABSENT_NS, 0, u64::MAX - 1][n % 3];
            sample.metric += if n % 11 == 10 { 1_000 } else { 0 };
            sample.entity += if n % 13 == 12 { 1_000 } else { 0 };
        }
        (given.collections[0].began_ns, given.collections[0].ended_ns) = (u64::MAX, 0);
        given.collections[1].samples = 0;
        given.collections[2].samples = u32::MAX;
    }
}

/// Strings of a server or a device that mean no good, everywhere.
pub(super) fn make_hostile(case: &mut Case, all: &str) {
    let spoil = |source: &mut TelemetrySource| {
        for (n, entity) in source.entities.iter_mut().enumerate() {
            let labels = HOSTILE.iter().map(|text| ((*text).to_owned(), all.to_owned()));
            entity.labels.extend(labels);
            entity.labels.values_mut().for_each(|value| all.clone_into(value));
            entity.id = format!("{all}{n}");
        }
        for metric in &mut source.metrics {
            metric.name = format!("{all}{}", metric.name);
            (metric.unit, metric.help) = (all.to_owned(), all.to_owned());
        }
        source.name = format!("{all}{}", source.name);
        (source.collector, source.failure) = (all.to_owned(), Some(all.to_owned()));
    };
    case.report.sources.iter_mut().for_each(spoil);
    case.telemetry.iter_mut().for_each(|given| spoil(&mut given.source));
    for series in &mut case.report.phases[0].telemetry {
        if let Some(histogram) = &mut series.histogram {
            histogram.buckets.iter_mut().for_each(|bucket| all.clone_into(&mut bucket.le));
        }
    }
}
