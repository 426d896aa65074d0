//! Sources and samples for tests.

use super::{Readings, Span, summarize};
use crate::{Window, testing::MS};
use inferometer_abi::documents::{Series, TelemetryEntity, TelemetryMetric, TelemetrySource};
use inferometer_abi::types::{Collection, Sample};

/// A source of metrics (name, unit, kind) on entities with these labels.
pub(super) fn source(metrics: &[(&str, &str, &str)], entities: &[&[(&str, &str)]]) -> TelemetrySource {
    let metric = |&(name, unit, kind): &(&str, &str, &str)| TelemetryMetric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        kind: kind.to_owned(),
        ..TelemetryMetric::default()
    };
    let entity = |(index, labels): (usize, &&[(&str, &str)])| TelemetryEntity {
        id: format!("entity_{index}"),
        labels: labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
    };
    TelemetrySource {
        metrics: metrics.iter().map(metric).collect(),
        entities: entities.iter().enumerate().map(entity).collect(),
        ..TelemetrySource::default()
    }
}

/// Samples (milliseconds, value) of one metric of one entity.
pub(super) fn samples(metric: u32, entity: u32, points: &[(u64, f64)]) -> Vec<Sample> {
    points.iter().map(|&(ms, value)| Sample { metric, entity, at_ns: ms * MS, value }).collect()
}

/// What `samples` say of `source` in `window`, those of one time read by one collection that took no time.
pub(super) fn summed(index: usize, source: &TelemetrySource, samples: &[Sample], window: Window) -> Vec<Series> {
    let mut samples = samples.to_vec();
    samples.sort_by_key(|sample| sample.at_ns);
    let collections: Vec<_> = samples
        .chunk_by(|a, b| a.at_ns == b.at_ns)
        .map(|of| Collection {
            began_ns: of[0].at_ns,
            ended_ns: of[0].at_ns,
            samples: of.len() as u32,
            ..Collection::default()
        })
        .collect();
    summarize(index, source, Readings { collections: &collections, samples: &samples }, Span::alone(window))
}
