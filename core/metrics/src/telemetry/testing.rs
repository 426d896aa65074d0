//! Sources and samples for tests.

use crate::testing::MS;
use inferometer_abi::documents::{TelemetryEntity, TelemetryMetric, TelemetrySource};
use inferometer_abi::types::Sample;

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
