//! What a source told, without what it had told before: servers are read more often than their figures change.

use crate::stats::finite;
use inferometer_plugin_sdk::{
    documents::TelemetrySource,
    types::{Collection, Sample},
};
use std::collections::BTreeMap;

/// The readings of one source that differ from the one before.
pub(super) struct Updates {
    pub(super) source: TelemetrySource,
    pub(super) list: Vec<Update>,
}

/// A reading that differs from the one before; stamps count from the beginning of the run.
pub(super) struct Update {
    pub(super) began_ns: u64,
    pub(super) ended_ns: u64,
    /// When the figures were true.
    pub(super) at_ns: u64,
    /// Empty where they are not kept.
    pub(super) changes: Vec<Change>,
}

/// A figure that is new, or has another value, or is gone.
pub(super) struct Change {
    pub(super) metric: u32,
    pub(super) entity: u32,
    pub(super) value: Option<f64>,
}

impl Updates {
    /// Goes through all readings of `source`; what changed is kept if `keep` says so, and otherwise only when.
    pub(super) fn new(
        source: &TelemetrySource,
        collections: &[Collection],
        mut samples: &[Sample],
        keep: bool,
    ) -> Self {
        let mut list = Vec::new();
        // The value of each series, and the number of the reading that told it.
        let mut state: BTreeMap<(u32, u32), (f64, usize)> = BTreeMap::new();
        for (number, collection) in collections.iter().enumerate() {
            let (taken, rest) = samples.split_at(samples.len().min(collection.samples as usize));
            samples = rest;
            let Some(first) = taken.first() else { continue };
            let mut changes = Vec::new();
            for &Sample { metric, entity, value, .. } in taken {
                if finite(Some(value)).is_none() {
                    continue;
                }
                let before = state.insert((metric, entity), (value, number));
                if before.is_none_or(|(before, _)| before != value) {
                    changes.push(Change { metric, entity, value: Some(value) });
                }
            }
            state.retain(|&(metric, entity), (_, told)| {
                if *told != number {
                    changes.push(Change { metric, entity, value: None });
                }
                *told == number
            });
            if !changes.is_empty() {
                changes = if keep { changes } else { Vec::new() };
                let Collection { began_ns, ended_ns, .. } = *collection;
                list.push(Update { began_ns, ended_ns, at_ns: first.at_ns, changes });
            }
        }
        Self { source: source.clone(), list }
    }

    /// Whether these are of `source`, which may have grown since.
    pub(super) fn are_of(&self, source: &TelemetrySource) -> bool {
        (&self.source.collector, &self.source.name) == (&source.collector, &source.name)
    }

    /// Milliseconds between updates: their mean and their median, if there are two at least.
    pub(super) fn intervals_ms(&self) -> Option<(f64, f64)> {
        let mut gaps: Vec<u64> = self.list.windows(2).map(|pair| pair[1].at_ns.saturating_sub(pair[0].at_ns)).collect();
        gaps.sort_unstable();
        let count = gaps.len();
        let upper = *gaps.get(count / 2)?;
        let lower = gaps[(count - 1) / 2];
        let mean = gaps.iter().map(|gap| *gap as f64).sum::<f64>() / count as f64;
        Some((mean / 1e6, (lower as f64 + upper as f64) / 2e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn updates(readings: &[&[f64]]) -> Updates {
        let mut at_ns = 0;
        let (mut collections, mut samples) = (Vec::new(), Vec::new());
        for values in readings {
            at_ns += 100_000_000 * (readings.len() as u64 - collections.len() as u64);
            collections.push(Collection { samples: values.len() as u32, ..Collection::default() });
            samples.extend((0..).zip(*values).map(|(entity, value)| Sample {
                metric: 0,
                entity,
                at_ns,
                value: *value,
            }));
        }
        Updates::new(&TelemetrySource::default(), &collections, &samples, true)
    }

    #[test]
    fn a_reading_is_kept_if_anything_is_new_or_other_or_gone() {
        let updates = updates(&[&[1.0, 2.0], &[1.0, 2.0], &[], &[1.0], &[1.0, f64::NAN], &[5.0]]);
        let changes = updates
            .list
            .iter()
            .map(|update| update.changes.iter().map(|change| (change.entity, change.value)).collect::<Vec<_>>());
        let expected = [vec![(0, Some(1.0)), (1, Some(2.0))], vec![(1, None)], vec![(0, Some(5.0))]];
        assert_eq!(changes.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn intervals_are_those_between_updates() {
        assert_eq!(updates(&[&[1.0]]).intervals_ms(), None);
        let (mean, median) = updates(&[&[1.0], &[2.0], &[3.0], &[4.0]]).intervals_ms().unwrap();
        assert!((mean - 200.0).abs() < 1e-9 && (median - 200.0).abs() < 1e-9);
        let (mean, median) = updates(&[&[1.0], &[2.0], &[3.0]]).intervals_ms().unwrap();
        assert!((mean - 150.0).abs() < 1e-9 && (median - 150.0).abs() < 1e-9);
    }
}
