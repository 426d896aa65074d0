//! Laws of every telemetry collector. Where its source is not there, none can be tried.

use super::{Fault, Law, Maker, Verdict, broken, survives};
use inferometer_abi::{
    RVec,
    api::TelemetryCollector,
    types::{Catalogue, MetricKind, Sample},
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const LAWS: [Law<dyn TelemetryCollector>; 2] = [
    ("says what it has to offer, each thing once", describes),
    ("reads what it offers, and its counters never fall", reads),
];

/// Readings taken, a counted second apart.
const READINGS: u64 = 3;

/// A collector's catalogue, if its source is there.
fn catalogue(collector: &mut dyn TelemetryCollector) -> Result<Catalogue, Fault> {
    let described = survives(collector.describe(), || "being asked what it offers".to_owned())?;
    described.map_err(|error| Fault::Untried(format!("its source is not there: {error}")))
}

fn describes(make: Maker<'_, dyn TelemetryCollector>) -> Verdict {
    let catalogue = catalogue(&mut *make()?)?;
    let metrics = catalogue.metrics.iter().map(|metric| metric.name.as_str());
    let entities = catalogue.entities.iter().map(|entity| entity.id.as_str());
    for (what, names) in [("metric", metrics.collect::<Vec<_>>()), ("entity", entities.collect())] {
        let mut seen = BTreeSet::new();
        if let Some(name) = names.iter().find(|name| name.is_empty() || !seen.insert(**name)) {
            return Err(broken(format_args!("the {what} '{name}' has no name, or is there twice")));
        }
    }
    for entity in &catalogue.entities {
        if serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&entity.labels_json).is_err() {
            return Err(broken(format_args!(
                "the labels of '{}' are no JSON object: {}",
                entity.id, entity.labels_json
            )));
        }
    }
    Ok(format!("{} metrics of {} entities", catalogue.metrics.len(), catalogue.entities.len()))
}

fn reads(make: Maker<'_, dyn TelemetryCollector>) -> Verdict {
    let mut collector = make()?;
    let mut offered = catalogue(&mut *collector)?;
    let mut counters = BTreeMap::new();
    let mut count = 0;
    for reading in 0..READINGS {
        let mut samples: RVec<Sample> = RVec::new();
        let now_ns = reading * 1_000_000_000;
        let collected = survives(collector.collect(now_ns, &mut samples), || format!("reading {reading}"))?;
        collected.map_err(|error| Fault::Untried(format!("its source could not be read: {error}")))?;
        let is_known = |sample: &Sample, offered: &Catalogue| {
            (sample.metric as usize) < offered.metrics.len() && (sample.entity as usize) < offered.entities.len()
        };
        if !samples.iter().all(|sample| is_known(sample, &offered)) {
            // A catalogue may have grown.
            offered = catalogue(&mut *collector)?;
        }
        for sample in &samples {
            if !is_known(sample, &offered) || sample.value.is_nan() {
                return Err(broken(format_args!("{sample:?} is no number, or of nothing that it offers")));
            }
            if offered.metrics[sample.metric as usize].kind != MetricKind::GAUGE {
                let before = counters.insert((sample.metric, sample.entity), sample.value);
                if let Some(before) = before.filter(|before| sample.value < *before) {
                    return Err(broken(format_args!("{sample:?} of a counter that was {before}")));
                }
            }
        }
        count += samples.len();
    }
    Ok(format!("{count} samples in {READINGS} readings"))
}
