//! Collectors that do as they should and that do not.

use super::*;
use inferometer_abi::types::{Catalogue, Entity, Metric, MetricKind, Result};
use inferometer_model::plan::SourceFlag;
use std::sync::mpsc::{Receiver, Sender, channel};

/// A collector whose readings a test gives, one by one; it waits in `collect` until it has the next.
struct Fed {
    readings: Receiver<Reading>,
    metrics: Vec<&'static str>,
    /// How often it is not there when it is asked what it has.
    absent: u32,
}

enum Reading {
    Values(Vec<f64>),
    Failure,
    Refusal,
    Panic,
}

impl TelemetryCollector for Fed {
    fn describe(&mut self) -> Result<Catalogue> {
        if self.absent > 0 {
            self.absent -= 1;
            return Err(Error::new(ErrorKind::IO, "no such page"));
        }
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
            Ok(Reading::Refusal) => Err(Error::new(ErrorKind::UNSUPPORTED, "no such device")),
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
    (feed, Fed { readings, metrics: vec!["power"], absent: 0 })
}

/// Takes the first reading and `more` than that.
fn read(telemetry: &Telemetry, more: usize) {
    let patience = Duration::from_secs(20);
    assert!(telemetry.watches[0].wait_for(1, Instant::now() + patience));
    (0..more).for_each(|_| assert_eq!(telemetry.read(|_| patience), [true]));
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
    assert_eq!(collected.notes, ["telemetry of fed: does not answer; what it gave before is kept"]);
}

#[test]
fn a_collector_that_never_answered_is_said_to() {
    let (_feed, collector) = fed();
    let collected = at_work(collector).finish();
    assert_eq!(collected.notes, ["telemetry of fed: does not answer, and never answered"]);
}

#[test]
fn what_fails_is_tried_again_and_its_failures_are_said() {
    let (feed, collector) = fed();
    let telemetry = at_work(collector);
    feed.send(Reading::Values(vec![1.0])).unwrap();
    (0..4).for_each(|_| feed.send(Reading::Failure).unwrap());
    feed.send(Reading::Values(vec![2.0])).unwrap();
    feed.send(Reading::Values(vec![3.0])).unwrap();
    read(&telemetry, 5);
    let collected = telemetry.finish();
    assert_eq!(values(&collected), [(0, 1.0), (0, 2.0), (0, 3.0)]);
    assert_eq!(collected.logs[0].source.failure, None);
    assert_eq!(collected.notes, ["telemetry of fed: 4 of 7 readings failed: the page is gone"]);

    let (feed, collector) = fed();
    let telemetry = at_work(collector);
    feed.send(Reading::Values(vec![1.0])).unwrap();
    feed.send(Reading::Failure).unwrap();
    drop(feed);
    read(&telemetry, 3);
    let collected = telemetry.finish();
    assert_eq!(values(&collected), [(0, 1.0)]);
    assert_eq!(collected.logs[0].source.failure.as_deref(), Some("the page is gone"));
    assert_eq!(collected.notes, ["telemetry of fed: the page is gone (4 of 5 readings failed)"]);
}

#[test]
fn what_a_collector_cannot_do_is_not_asked_of_it_for_ever() {
    let (feed, collector) = fed();
    let telemetry = at_work(collector);
    feed.send(Reading::Values(vec![1.0])).unwrap();
    (0..3).for_each(|_| feed.send(Reading::Refusal).unwrap());
    read(&telemetry, 2);
    assert!(!telemetry.watches[0].lock().over);
    let collected = telemetry.finish();
    assert!(telemetry.watches[0].lock().over);
    assert_eq!(collected.notes, ["telemetry of fed: no such device (3 of 4 readings failed)"]);
}

#[test]
fn what_fails_is_tried_less_and_less_often_down_to_a_bound() {
    const MS: u64 = 1_000_000;
    assert_eq!([0, 1, 2, 3, 4, 99].map(|n| retry_after(333 * MS, n) / MS), [333, 333, 666, 1332, 2000, 2000]);
    assert_eq!([0, 1, 2].map(|n| retry_after(5000 * MS, n) / MS), [5000; 3]);
    assert_eq!([0, 1, 2].map(|n| retry_after(0, n) / MS), [0, 100, 200]);
}

#[test]
fn between_phases_a_reading_is_taken_and_not_only_asked_for() {
    let (feed, collector) = fed();
    let telemetry = at_work(collector);
    (1..=3).for_each(|value| feed.send(Reading::Values(vec![f64::from(value)])).unwrap());
    read(&telemetry, 0);
    telemetry.read_between();
    assert_eq!(telemetry.watches[0].lock().log.collections.len(), 2);
    assert_eq!(values(&telemetry.finish()), [(0, 1.0), (0, 2.0), (0, 3.0)]);
}

#[test]
fn a_source_that_is_not_there_yet_is_used_from_when_it_is() {
    let (feed, mut collector) = fed();
    collector.absent = 2;
    let telemetry = at_work(collector);
    (1..=3).for_each(|value| feed.send(Reading::Values(vec![f64::from(value)])).unwrap());
    read(&telemetry, 3);
    let collected = telemetry.finish();
    assert_eq!(values(&collected), [(0, 1.0), (0, 2.0), (0, 3.0)]);
    assert_eq!(collected.notes, ["telemetry of fed: 2 of 5 readings failed: no such page"]);
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
    assert_eq!(collected.notes, ["telemetry of fed: it panicked (1 of 2 readings failed)"]);
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
