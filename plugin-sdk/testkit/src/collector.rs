//! The laws of telemetry collectors.

use crate::{
    law::{Law, Make, broken, holds, survives},
    wire,
};
use inferometer_plugin_sdk::{
    RVec,
    api::TelemetryCollector,
    types::{Catalogue, MetricKind, Sample},
};
use std::collections::{BTreeMap, BTreeSet};

const DESCRIBES: &str = "a catalogue names each metric and each entity once";
const READS: &str = "samples are of what the catalogue offers, and counters never fall";

/// Holds a collector to its laws, as it is and behind the wire; `make` makes one whose source is there. See [`laws`].
///
/// # Panics
/// When a law is broken.
pub fn check(make: impl Fn() -> Box<dyn TelemetryCollector>, readings: u32, mut between: impl FnMut()) {
    let wired = || wire::collector(make());
    for make in [&make as Make<'_, _>, &wired] {
        laws(make, readings, &mut between).into_iter().for_each(Law::enforce);
    }
}

/// The laws of collectors: a catalogue names each metric and entity once, samples name what is in the catalogue, and
/// counters never fall. `make` makes a collector whose source is there.
///
/// It is asked `readings` times, a virtual second apart; time between them is `between`'s, which may change the source.
pub fn laws<'a>(make: Make<'a, dyn TelemetryCollector>, readings: u32, between: &'a mut dyn FnMut()) -> Vec<Law<'a>> {
    vec![
        Law::new(DESCRIBES, move || drop(describes_what_it_offers(&mut *make()))),
        Law::new(READS, move || {
            let mut collector = make();
            let mut catalogue = describes_what_it_offers(&mut *collector);
            let mut counters = Counters::default();
            for reading in 0..readings {
                let now_ns = u64::from(reading) * 1_000_000_000;
                reads_what_it_offers(&mut *collector, &mut catalogue, now_ns, &mut counters);
                between();
            }
        }),
    ]
}

/// The names of a catalogue's metrics and entities.
fn names(catalogue: &Catalogue) -> (Vec<&str>, Vec<&str>) {
    let metrics = catalogue.metrics.iter().map(|metric| metric.name.as_str());
    (metrics.collect(), catalogue.entities.iter().map(|entity| entity.id.as_str()).collect())
}

/// The last value of each counter, by metric and entity.
type Counters = BTreeMap<(u32, u32), f64>;

/// The catalogue holds metrics and entities, each under a name of its own, and labels that are JSON objects.
fn describes_what_it_offers(collector: &mut dyn TelemetryCollector) -> Catalogue {
    let law = DESCRIBES;
    let described = survives(law, || "being asked".to_owned(), || collector.describe());
    let catalogue =
        described.unwrap_or_else(|error| broken(law, format_args!("its source is there, and yet: {error}")));
    let (metrics, entities) = names(&catalogue);
    for names in [&metrics, &entities] {
        let distinct: BTreeSet<_> = names.iter().collect();
        let is_named = !names.is_empty() && !distinct.contains(&"");
        holds!(law, is_named && distinct.len() == names.len(), "{names:?}");
    }
    for metric in &catalogue.metrics {
        let is_known = [MetricKind::GAUGE, MetricKind::COUNTER, MetricKind::HISTOGRAM].contains(&metric.kind);
        holds!(law, is_known, "'{}' is of kind {:?}", metric.name, metric.kind);
    }
    for entity in &catalogue.entities {
        let labels = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&entity.labels_json);
        holds!(law, labels.is_ok(), "the labels of '{}' are no JSON object: {}", entity.id, entity.labels_json);
    }
    catalogue
}

/// Every sample names a metric and an entity of the catalogue, which may have grown; its value is a number, and no counter
/// is lower than it was.
fn reads_what_it_offers(
    collector: &mut dyn TelemetryCollector,
    catalogue: &mut Catalogue,
    now_ns: u64,
    counters: &mut Counters,
) {
    let law = READS;
    let mut samples: RVec<Sample> = RVec::new();
    let collected = survives(law, || format!("a reading at {now_ns} ns"), || collector.collect(now_ns, &mut samples));
    holds!(law, collected.is_ok(), "the reading at {now_ns} ns failed: {collected:?}");
    let is_offered = |sample: &Sample, catalogue: &Catalogue| {
        (sample.metric as usize) < catalogue.metrics.len() && (sample.entity as usize) < catalogue.entities.len()
    };
    if !samples.iter().all(|sample| is_offered(sample, catalogue)) {
        let earlier = std::mem::replace(catalogue, describes_what_it_offers(collector));
        let (before, after) = (names(&earlier), names(catalogue));
        let has_grown = after.0.starts_with(&before.0) && after.1.starts_with(&before.1);
        holds!(law, has_grown, "the catalogue may grow at its ends only: {before:?}, then {after:?}");
    }
    for sample in &samples {
        let metric = catalogue.metrics.get(sample.metric as usize);
        holds!(law, is_offered(sample, catalogue), "{sample:?} of {} metrics", catalogue.metrics.len());
        holds!(law, !sample.value.is_nan(), "{sample:?}: what was not measured has no sample");
        if metric.is_some_and(|metric| metric.kind != MetricKind::GAUGE) {
            let before = counters.insert((sample.metric, sample.entity), sample.value);
            let is_growing = before.is_none_or(|before| sample.value >= before);
            holds!(law, is_growing, "{sample:?} of a counter that was {before:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_plugin_sdk::types::{Entity, Metric, Result};

    /// One counter on one device, whose readings are given.
    struct Fake {
        readings: Vec<Sample>,
        names: [&'static str; 2],
        at: usize,
    }

    impl TelemetryCollector for Fake {
        fn describe(&mut self) -> Result<Catalogue> {
            let metric = |name: &&str| Metric {
                name: (*name).into(),
                unit: "J".into(),
                help: "Energy.".into(),
                kind: MetricKind::COUNTER,
            };
            let entity = Entity { id: "gpu0".into(), labels_json: "{}".into() };
            Ok(Catalogue {
                metrics: self.names.iter().map(metric).collect(),
                entities: vec![entity].into(),
                ..Catalogue::default()
            })
        }

        fn collect(&mut self, now_ns: u64, out: &mut RVec<Sample>) -> Result<()> {
            out.push(Sample { at_ns: now_ns, ..self.readings[self.at] });
            self.at += 1;
            Ok(())
        }
    }

    fn reads(names: [&'static str; 2], readings: [(u32, u32, f64); 3]) {
        let sample = |(metric, entity, value)| Sample { metric, entity, value, at_ns: 0 };
        check(|| Box::new(Fake { readings: readings.map(sample).into(), names, at: 0 }), 3, || {});
    }

    #[test]
    fn a_counter_that_grows_or_rests_is_lawful() {
        reads(["energy", "faults"], [(0, 0, 1.0), (0, 0, 1.0), (0, 0, 2.5)]);
    }

    #[test]
    #[should_panic(expected = "counters never fall")]
    fn a_counter_that_falls_is_not() {
        reads(["energy", "faults"], [(0, 0, 1.0), (1, 0, 0.0), (0, 0, 0.5)]);
    }

    #[test]
    #[should_panic(expected = "of what the catalogue offers")]
    fn a_sample_of_nothing_in_the_catalogue_is_not() {
        reads(["energy", "faults"], [(0, 0, 1.0), (2, 0, 1.0), (0, 0, 1.0)]);
    }

    #[test]
    #[should_panic(expected = "names each metric and each entity once")]
    fn two_metrics_of_one_name_are_not() {
        reads(["energy", "energy"], [(0, 0, 1.0); 3]);
    }
}
