//! The catalogue of a page as it grows, and which figure belongs where in it.

use super::text::Labels;
use inferometer_plugin_sdk::{
    RVec,
    types::{Catalogue, Entity, Metric, MetricKind, Sample},
};
use std::collections::HashMap;

/// Shortest sensible time between two readings: a page is work for the server that is measured, so it is for the user to
/// choose more than a few a second, and nobody is served by more than this.
const MIN_INTERVAL_NS: u64 = 10_000_000;

/// Where the figures of a series go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    point: u32,
    /// What they are multiplied by.
    scale: f64,
    /// Of several series for one place, that of the lowest rank counts.
    rank: u16,
}

/// A metric of an entity.
#[derive(Clone, Copy, Debug)]
struct Point {
    metric: u32,
    entity: u32,
    /// The reading that last gave a sample, where it lies among the samples, and the rank of its series.
    latest: (u64, usize, u16),
}

/// What was found so far; numbers are given once and stay.
#[derive(Debug, Default)]
pub(super) struct Index {
    metrics: Vec<Metric>,
    metric_numbers: HashMap<String, u32>,
    entities: Vec<(String, Labels)>,
    entity_numbers: HashMap<String, u32>,
    points: Vec<Point>,
    point_numbers: HashMap<(u32, u32), u32>,
    readings: u64,
}

fn next<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).expect("series are far fewer than numbers")
}

impl Index {
    /// The number of the metric called as `metric` is, which is new or of the same kind; `None` if one of another kind has
    /// that name.
    pub(super) fn metric(&mut self, metric: Metric) -> Option<u32> {
        if let Some(number) = self.metric_numbers.get(metric.name.as_str()) {
            return (self.metrics[*number as usize].kind == metric.kind).then_some(*number);
        }
        let number = next(&self.metrics);
        self.metric_numbers.insert(metric.name.to_string(), number);
        self.metrics.push(metric);
        Some(number)
    }

    /// The number of the entity called `id`, which is given those of the labels that it does not have yet.
    pub(super) fn entity(&mut self, id: String, labels: Labels) -> u32 {
        if let Some(number) = self.entity_numbers.get(&id) {
            let known = &mut self.entities[*number as usize].1;
            for (name, value) in labels {
                known.entry(name).or_insert(value);
            }
            return *number;
        }
        let number = next(&self.entities);
        self.entity_numbers.insert(id.clone(), number);
        self.entities.push((id, labels));
        number
    }

    /// Where figures of `metric` on `entity` go.
    pub(super) fn place(&mut self, metric: u32, entity: u32, scale: f64, rank: u16) -> Place {
        let points = &mut self.points;
        let point = *self.point_numbers.entry((metric, entity)).or_insert_with(|| {
            let number = next(points);
            points.push(Point { metric, entity, latest: (0, 0, 0) });
            number
        });
        Place { point, scale, rank }
    }

    /// Begins a reading: from now on, places are empty.
    pub(super) fn begin(&mut self) {
        self.readings += 1;
    }

    /// Puts a figure into its place among the samples of this reading. The later counts, unless its rank is worse.
    pub(super) fn put(&mut self, place: Place, value: f64, at_ns: u64, out: &mut RVec<Sample>) {
        let value = value * place.scale;
        let point = &mut self.points[place.point as usize];
        let (reading, at, rank) = point.latest;
        if reading != self.readings {
            point.latest = (self.readings, out.len(), place.rank);
            out.push(Sample { metric: point.metric, entity: point.entity, at_ns, value });
        } else if place.rank <= rank {
            point.latest.2 = place.rank;
            out[at].value = value;
        }
    }

    /// Number of series that samples were found for.
    pub(super) fn len(&self) -> usize {
        self.points.len()
    }

    /// What there is up to now.
    pub(super) fn catalogue(&self) -> Catalogue {
        let entity = |(id, labels): &(String, Labels)| Entity {
            id: id.as_str().into(),
            labels_json: serde_json::to_string(labels).expect("text by text is JSON").into(),
        };
        Catalogue {
            metrics: self.metrics.clone().into(),
            entities: self.entities.iter().map(entity).collect(),
            min_interval_ns: MIN_INTERVAL_NS,
            ..Catalogue::default()
        }
    }
}

/// A metric, in the interface's words.
pub(super) fn metric(name: &str, kind: MetricKind, unit: &str, help: &str) -> Metric {
    Metric { name: name.into(), unit: unit.into(), help: help.into(), kind }
}
