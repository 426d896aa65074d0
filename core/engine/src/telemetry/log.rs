//! [`SourceLog`]: what one telemetry source gave, in bounded memory.

use inferometer_abi::{
    documents::{Subject, TelemetrySource},
    types::{Catalogue, Collection, Sample},
};
use inferometer_metrics::telemetry::{Readings, Span, seen};
use inferometer_model::plan::{SourceFlag, SourcePlan};

/// Samples kept of one source (24 bytes each); beyond it every second reading is let go and readings are taken half as often.
const MOST_SAMPLES: usize = 2_000_000;

/// Share of the measured time that a source may have missed at an edge without a word.
const UNSEEN: f64 = 0.01;

/// What one source gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceLog {
    pub(crate) source: TelemetrySource,
    pub(crate) collections: Vec<Collection>,
    pub(crate) samples: Vec<Sample>,
    /// Readings that are kept whatever happens: those at the edges of phases.
    edges: Vec<bool>,
    /// Samples of things that the catalogue does not have.
    pub(crate) unplaced: u64,
    /// How often the log had to be thinned out.
    pub(crate) thinned: u32,
}

impl SourceLog {
    pub(crate) fn new(plan: &SourcePlan) -> Self {
        let source = TelemetrySource {
            collector: plan.collector.clone(),
            name: plan.name.clone(),
            // Until the collector says so itself, which one that fails never does.
            subject: match plan.flag {
                SourceFlag::Gpu | SourceFlag::Collector => Subject::Device,
                SourceFlag::Server => Subject::Server,
                SourceFlag::Client => Subject::Client,
            },
            ..TelemetrySource::default()
        };
        Self { source, ..Self::default() }
    }

    /// Takes over what the collector has to offer, which may only have grown.
    ///
    /// # Errors
    /// When what was offered before is not at its beginning.
    pub(crate) fn describe(&mut self, catalogue: &Catalogue) -> Result<(), String> {
        let mut described = self.source.clone();
        described.describe(catalogue);
        let has_grown = described.metrics.starts_with(&self.source.metrics)
            && described.entities.starts_with(&self.source.entities);
        if !has_grown {
            return Err("it changed what it had said it measures".to_owned());
        }
        self.source = described;
        Ok(())
    }

    /// Whether all of `samples` are of things that the catalogue has.
    pub(crate) fn knows(&self, samples: &[Sample]) -> bool {
        samples.iter().all(|sample| self.places(sample))
    }

    fn places(&self, sample: &Sample) -> bool {
        (sample.metric as usize) < self.source.metrics.len() && (sample.entity as usize) < self.source.entities.len()
    }

    /// Adds one reading; `at_edge` marks one that was asked for at the edge of a phase.
    pub(crate) fn add(&mut self, began_ns: u64, ended_ns: u64, at_edge: bool, samples: &[Sample]) {
        let before = self.samples.len();
        let placed = samples.iter().filter(|sample| self.places(sample) && sample.value.is_finite());
        // No sample is of the future, whatever it says.
        let placed: Vec<Sample> =
            placed.map(|sample| Sample { at_ns: sample.at_ns.min(ended_ns), ..*sample }).collect();
        self.unplaced += (samples.len() - placed.len()) as u64;
        self.samples.extend(placed);
        let samples = (self.samples.len() - before) as u32;
        self.collections.push(Collection { began_ns, ended_ns, samples, ..Collection::default() });
        self.edges.push(at_edge);
        if self.samples.len() > MOST_SAMPLES {
            self.thin();
        }
    }

    /// Lets every second reading go.
    fn thin(&mut self) {
        let (mut at, mut number) = (0, 0_usize);
        let (mut samples, mut collections, mut edges) = (Vec::new(), Vec::new(), Vec::new());
        for (collection, edge) in self.collections.iter().zip(&self.edges) {
            let next = at + collection.samples as usize;
            if *edge || number.is_multiple_of(2) {
                samples.extend_from_slice(&self.samples[at..next]);
                collections.push(*collection);
                edges.push(*edge);
            }
            number += usize::from(!edge);
            at = next;
        }
        (self.samples, self.collections, self.edges) = (samples, collections, edges);
        self.thinned += 1;
    }

    /// What was read.
    pub(crate) fn readings(&self) -> Readings<'_> {
        Readings { collections: &self.collections, samples: &self.samples }
    }

    /// What is to be said where a source that was there was not read for all of the measured time.
    pub(crate) fn unseen(&self, span: Span) -> Option<String> {
        let Span { window, .. } = span;
        let of = window.seconds();
        let seconds = |at_ns: u64| (at_ns - window.start_ns) as f64 / 1e9;
        let missing = |from: u64, to: u64| (to - from) as f64 > UNSEEN * window.duration_ns() as f64;
        let name = &self.source.name;
        let Some(seen) = seen(&self.collections, span) else {
            let was_there = !self.collections.is_empty();
            return was_there.then(|| format!("telemetry of {name}: not read in any of the {of:.1} s measured"));
        };
        let from = missing(window.start_ns, seen.start_ns).then(|| format!(" from {:.1} s", seconds(seen.start_ns)));
        let until = missing(seen.end_ns, window.end_ns).then(|| format!(" until {:.1} s", seconds(seen.end_ns)));
        if from.is_none() && until.is_none() {
            return None;
        }
        let (from, until) = (from.unwrap_or_default(), until.unwrap_or_default());
        let counters =
            if span.suffices(seen) { "what it counts is of that time alone" } else { "what it counts is left out" };
        Some(format!("telemetry of {name}: read only{from}{until} of the {of:.1} s measured; {counters}"))
    }

    /// Sums up the readings in the source's description.
    pub(crate) fn finish(&mut self) {
        let source = &mut self.source;
        source.collections = self.collections.len() as u64;
        source.first_ns = self.collections.first().map(|collection| collection.ended_ns);
        source.last_ns = self.collections.last().map(|collection| collection.ended_ns);
        let spent: u64 = self.collections.iter().map(|collection| collection.ended_ns - collection.began_ns).sum();
        source.mean_ms = (source.collections > 0).then(|| spent as f64 / source.collections as f64 / 1e6);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_abi::types::{Entity, Metric, MetricKind};
    use inferometer_metrics::Window;

    fn catalogue(metrics: &[&str]) -> Catalogue {
        let metric =
            |name: &&str| Metric { name: (*name).into(), unit: "W".into(), help: "".into(), kind: MetricKind::GAUGE };
        Catalogue {
            metrics: metrics.iter().map(metric).collect(),
            entities: vec![Entity { id: "gpu_0".into(), labels_json: "{}".into() }].into(),
            ..Catalogue::default()
        }
    }

    fn sample(metric: u32, at_ns: u64) -> Sample {
        Sample { metric, entity: 0, at_ns, value: 1.0 }
    }

    #[test]
    fn a_catalogue_may_grow_and_nothing_else() {
        let mut log = SourceLog::default();
        log.describe(&catalogue(&["power"])).unwrap();
        assert!(!log.knows(&[sample(1, 0)]));
        log.describe(&catalogue(&["power", "heat"])).unwrap();
        assert!(log.knows(&[sample(1, 0)]));
        assert!(log.describe(&catalogue(&["heat", "power"])).is_err());
        assert!(log.describe(&catalogue(&["power"])).is_err());
    }

    #[test]
    fn what_cannot_be_placed_is_counted_and_nothing_is_of_the_future() {
        let mut log = SourceLog::default();
        log.describe(&catalogue(&["power"])).unwrap();
        let unknown = Sample { entity: 9, ..sample(0, 5) };
        let not_measured = Sample { value: f64::NAN, ..sample(0, 5) };
        log.add(10, 20, false, &[sample(0, 5), sample(7, 5), unknown, not_measured, sample(0, u64::MAX)]);
        assert_eq!(log.unplaced, 3);
        assert_eq!(log.samples.iter().map(|sample| sample.at_ns).collect::<Vec<_>>(), [5, 20]);
        assert_eq!(log.collections[0].samples, 2);
    }

    #[test]
    fn what_was_not_seen_of_the_measured_time_is_said() {
        let seconds = |start: u64, end: u64| Window { start_ns: start * 1_000_000_000, end_ns: end * 1_000_000_000 };
        let span = Span::alone(seconds(10, 14));
        let said = |tenths: &[u64]| {
            let mut log = SourceLog::default();
            log.source.name = "page".to_owned();
            tenths.iter().for_each(|at| log.add(at * 100_000_000, at * 100_000_000, false, &[]));
            log.unseen(span)
        };
        assert_eq!(said(&[]), None, "what was never there is said elsewhere");
        assert_eq!(said(&[99, 120, 141]), None);
        assert_eq!(said(&[100, 140]), None);
        let text = |words: &str| Some(format!("telemetry of page: {words} of the 4.0 s measured"));
        let part = |words: &str| text(words).map(|text| text + "; what it counts is of that time alone");
        let left_out = |words: &str| text(words).map(|text| text + "; what it counts is left out");
        assert_eq!(said(&[99, 114]), left_out("read only until 1.4 s"));
        assert_eq!(said(&[106, 150]), part("read only from 0.6 s"));
        assert_eq!(said(&[106, 114]), left_out("read only from 0.6 s until 1.4 s"));
        assert_eq!(said(&[99]), left_out("read only until 0.0 s"));
        assert_eq!(said(&[150]), left_out("read only from 4.0 s"));
    }

    #[test]
    fn thinning_keeps_edges_and_every_second_of_the_others_with_its_samples() {
        let mut log = SourceLog::default();
        log.describe(&catalogue(&["power"])).unwrap();
        for number in 0..9 {
            let samples = vec![sample(0, number); number as usize % 3];
            log.add(number, number, number == 3 || number == 8, &samples);
        }
        log.thin();
        assert_eq!(log.collections.iter().map(|c| c.began_ns).collect::<Vec<_>>(), [0, 2, 3, 5, 7, 8]);
        let mut at = 0;
        for collection in &log.collections {
            let own = &log.samples[at..at + collection.samples as usize];
            assert!(own.iter().all(|sample| sample.at_ns == collection.began_ns));
            assert_eq!(own.len() as u64, collection.began_ns % 3);
            at += own.len();
        }
        assert_eq!(at, log.samples.len());
    }
}
