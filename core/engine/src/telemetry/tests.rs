//! Collectors that do as they should and that do not.

use super::*;
use inferometer_abi::types::{Catalogue, Entity, Metric, MetricKind, Result};
use inferometer_model::plan::SourceFlag;
use std::sync::mpsc::{Receiver, Sender, channel};

/// A collector whose readings a test gives, one by one; it waits in `collect` until it has the next.
struct Fed {
    readings: Receiver<Reading>,
    metrics: Vec<&'static str>,
}

enum Reading {
    Values(Vec<f64>),
    Failure,
    Panic,
}

impl TelemetryCollector for Fed {
    fn describe(&mut self) -> Result<Catalogue> {
        let metric =
            |name: &&str| Metric { name: (*name).into(), unit: "W".into(), help: "".into(), kind: MetricKind::GAUGE };
        Ok(Catalogue {
            metrics: self.metrics.iter().map(metric).collect(),
            entities: vec![Entity { id: "gpu_0".into(), labels_json: "{}".into() }].into(),
            ..Catalogue::default()
        })
    }

    fn collect(&mut self, now_ns: u64, out: &mut RVec<Sample>) -> Result<()> {
        match self.readings.recv() {
            Ok(Reading::Values(values)) => {
                // What has more values than there were metrics has found more metrics.
                let names = ["power", "heat", "noise"];
                self.metrics = names[..values.len().max(self.metrics.len())].to_vec();
                let sample = |(metric, value): (usize, &f64)| Sample {
                    metric: metric as u32,
                    entity: 0,
                    at_ns: now_ns,
                    value: *value,
                };
                out.extend(values.iter().enumerate().map(sample));
                Ok(())
            }
            Ok(Reading::Panic) => panic!("out of ink"),
            Ok(Reading::Failure) | Err(_) => Err(Error::new(ErrorKind::IO, "the page is gone")),
        }
    }
}

fn source(asked: bool) -> SourcePlan {
    SourcePlan {
        collector: "fed".to_owned(),
        name: "fed".to_owned(),
        flag: SourceFlag::Collector,
        asked,
        headers: Vec::new(),
        options: serde_json::Map::new(),
    }
}

/// A collector at work that reads once at the start, and from then on when it is asked.
fn at_work(collector: impl TelemetryCollector) -> Telemetry {
    Telemetry::start(vec![(source(true), Box::new(collector))], Clock::start(), u64::MAX / 8).unwrap()
}

fn fed() -> (Sender<Reading>, Fed) {
    let (feed, readings) = channel();
    (feed, Fed { readings, metrics: vec!["power"] })
}

/// Takes the first reading and `more` than that.
fn read(telemetry: &Telemetry, more: usize) {
    let until = Instant::now() + Duration::from_secs(20);
    assert!(telemetry.watches[0].wait_for(1, until));
    (0..more).for_each(|_| assert_eq!(telemetry.read(until), [true]));
}

fn values(collected: &Collected) -> Vec<(u32, f64)> {
    collected.logs[0].samples.iter().map(|sample| (sample.metric, sample.value)).collect()
}

#[test]
fn readings_are_kept_in_order_and_a_catalogue_may_grow() {
    let (feed, collector) = fed();
    let telemetry = at_work(collector);
    feed.send(Reading::Values(vec![1.0])).unwrap();
    feed.send(Reading::Values(vec![2.0, 20.0])).unwrap();
    feed.send(Reading::Values(vec![3.0])).unwrap();
    read(&telemetry, 1);
    let collected = telemetry.finish();
    assert_eq!(values(&collected), [(0, 1.0), (0, 2.0), (1, 20.0), (0, 3.0)]);
    let source = &collected.logs[0].source;
    assert_eq!(source.metrics.iter().map(|metric| metric.name.as_str()).collect::<Vec<_>>(), ["power", "heat"]);
    assert_eq!((source.collections, source.failure.as_deref()), (3, None));
    assert!(collected.notes.is_empty(), "{:?}", collected.notes);
}

#[test]
fn a_collector_that_never_comes_back_is_left_behind_with_what_it_gave() {
    let (feed, collector) = fed();
    let telemetry = at_work(collector);
    feed.send(Reading::Values(vec![1.0])).unwrap();
    read(&telemetry, 0);
    let collected = telemetry.finish();
    assert_eq!(values(&collected), [(0, 1.0)]);
    assert!(collected.notes[0].contains("does not answer"), "{:?}", collected.notes);
}

#[test]
fn one_failure_is_said_and_three_in_a_row_end_it() {
    let (feed, collector) = fed();
    let telemetry = at_work(collector);
    for reading in [Reading::Failure, Reading::Values(vec![1.0]), Reading::Failure, Reading::Failure] {
        feed.send(reading).unwrap();
    }
    feed.send(Reading::Failure).unwrap();
    read(&telemetry, 3);
    assert!(!telemetry.watches[0].lock().over);
    let collected = telemetry.finish();
    assert_eq!(values(&collected), [(0, 1.0)]);
    assert_eq!(collected.notes, ["telemetry of fed: the page is gone"]);

    let (feed, collector) = fed();
    let telemetry = at_work(collector);
    feed.send(Reading::Failure).unwrap();
    feed.send(Reading::Values(vec![1.0])).unwrap();
    read(&telemetry, 0);
    let collected = telemetry.finish();
    assert_eq!(collected.notes, ["telemetry of fed: 1 of 2 readings failed: the page is gone"]);
}

#[test]
fn a_panic_ends_the_collector_and_nothing_else() {
    let (feed, collector) = fed();
    let telemetry = at_work(collector);
    feed.send(Reading::Values(vec![1.0])).unwrap();
    feed.send(Reading::Panic).unwrap();
    read(&telemetry, 0);
    let collected = telemetry.finish();
    assert_eq!(values(&collected), [(0, 1.0)]);
    assert_eq!(collected.notes, ["telemetry of fed: it panicked"]);
}

/// A source that is not there.
struct Absent;

impl TelemetryCollector for Absent {
    fn describe(&mut self) -> Result<Catalogue> {
        Err(Error::new(ErrorKind::IO, "no such page"))
    }

    fn collect(&mut self, _: u64, _: &mut RVec<Sample>) -> Result<()> {
        unreachable!("what could not be described is not asked")
    }
}

#[test]
fn a_source_that_is_not_there_is_said_if_it_was_asked_for() {
    for asked in [true, false] {
        let telemetry = Telemetry::start(vec![(source(asked), Box::new(Absent))], Clock::start(), 0).unwrap();
        telemetry.wait_until_ready();
        let collected = telemetry.finish();
        assert_eq!(collected.logs[0].source.failure.as_deref(), Some("no such page"));
        assert_eq!(collected.notes.len(), usize::from(asked));
    }
}
