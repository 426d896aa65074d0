//! `server_metrics_export.jsonl`: one line per reading that told something new, warm-up included, source after source.

use super::{
    labels,
    updates::{Change, Update, Updates},
};
use crate::chunked::Chunked;
use crate::telemetry::is_sum_of_histogram;
use inferometer_plugin_sdk::{
    api::Output,
    documents::{Report, TelemetrySource},
    types::Result,
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::collections::BTreeMap;

/// Writes the file, if there is a line for it.
pub(super) fn write(report: &Report, updates: &[Updates], file: String, out: &mut dyn Output) -> Result<()> {
    if updates.iter().all(|updates| updates.list.is_empty()) {
        return Ok(());
    }
    let mut file = Chunked::new(file);
    for Updates { source, list } in updates {
        let mut page = Page::new(source);
        for update in list {
            page.apply(&update.changes);
            file.line(&Line::new(report, source, update, &page), out)?;
        }
    }
    file.finish(out)
}

#[derive(Serialize)]
struct Line<'a> {
    endpoint_url: &'a str,
    timestamp_ns: u64,
    endpoint_latency_ns: u64,
    metrics: &'a Page<'a>,
    request_sent_ns: u64,
    first_byte_ns: u64,
    #[serde(flatten)]
    phase: Option<InPhase<'a>>,
}

/// The phase that a reading falls into.
#[derive(Serialize)]
struct InPhase<'a> {
    benchmark_phase: &'a str,
    phase_index: usize,
    phase_name: &'a str,
    phase_kind: &'a str,
}

impl<'a> Line<'a> {
    fn new(report: &'a Report, source: &'a TelemetrySource, update: &Update, metrics: &'a Page<'a>) -> Self {
        let wall = |stamp: u64| report.run.epoch_ns.saturating_add(stamp);
        let place = report.phases.iter().position(|phase| (phase.start_ns..=phase.end_ns).contains(&update.at_ns));
        let phase = place.map(|phase_index| {
            let phase = &report.phases[phase_index];
            InPhase { benchmark_phase: &phase.kind, phase_index, phase_name: &phase.name, phase_kind: &phase.kind }
        });
        Self {
            endpoint_url: &source.name,
            timestamp_ns: wall(update.at_ns),
            endpoint_latency_ns: update.ended_ns.saturating_sub(update.began_ns),
            metrics,
            request_sent_ns: wall(update.began_ns),
            first_byte_ns: wall(update.at_ns),
            phase,
        }
    }
}

/// All figures of a source at one time.
struct Page<'a> {
    metrics: Vec<Metric<'a>>,
    series: Vec<Series<'a>>,
}

struct Metric<'a> {
    name: &'a str,
    kind: Kind,
    /// Its figures, by entity.
    values: BTreeMap<u32, f64>,
}

enum Kind {
    Figure,
    /// With the place of the metric that holds the sums.
    Histogram(Option<usize>),
    SumOfHistogram,
}

/// What an entity says of a series.
struct Series<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    /// The bound, if the entity is a bucket: as a number, and as it is written.
    bound: Option<(f64, &'a str)>,
}

impl<'a> Page<'a> {
    fn new(source: &'a TelemetrySource) -> Self {
        let place = |name: String| source.metrics.iter().position(|metric| metric.name == name);
        let metrics = source.metrics.iter().map(|metric| {
            let kind = match metric.kind.as_str() {
                "histogram" => Kind::Histogram(place(format!("{}_sum", metric.name))),
                _ if is_sum_of_histogram(source, metric) => Kind::SumOfHistogram,
                _ => Kind::Figure,
            };
            Metric { name: &metric.name, kind, values: BTreeMap::new() }
        });
        let series = source.entities.iter().map(|entity| {
            let bound = entity.labels.get("le").map(|le| (le.parse().unwrap_or(f64::INFINITY), le.as_str()));
            Series { labels: labels(source, &entity.labels), bound }
        });
        Self { metrics: metrics.collect(), series: series.collect() }
    }

    fn apply(&mut self, changes: &[Change]) {
        for change in changes.iter().filter(|change| (change.entity as usize) < self.series.len()) {
            let Some(metric) = self.metrics.get_mut(change.metric as usize) else { continue };
            match change.value {
                Some(value) => metric.values.insert(change.entity, value),
                None => metric.values.remove(&change.entity),
            };
        }
    }

    fn figures<'p>(&'p self, metric: &'p Metric<'a>) -> Vec<Entry<'p>> {
        let entry = |(entity, value): (&u32, &f64)| Entry {
            labels: &self.series[*entity as usize].labels,
            value: Some(*value),
            histogram: None,
        };
        metric.values.iter().map(entry).collect()
    }

    /// The histograms of a metric, each put together from its buckets and its sum.
    fn histograms<'p>(&'p self, metric: &'p Metric<'a>, sums: Option<usize>) -> Vec<Entry<'p>> {
        let mut histograms: Vec<(&Labels<'p>, Histogram<'p>)> = Vec::new();
        let mut places: BTreeMap<&Labels<'p>, usize> = BTreeMap::new();
        for (entity, count) in &metric.values {
            let Series { labels, bound: Some((bound, le)) } = &self.series[*entity as usize] else { continue };
            let place = *places.entry(labels).or_insert_with(|| {
                histograms.push((labels, Histogram::default()));
                histograms.len() - 1
            });
            histograms[place].1.buckets.push((*bound, le, *count));
        }
        for (entity, sum) in sums.into_iter().flat_map(|place| &self.metrics[place].values) {
            if let Some(place) = places.get(&self.series[*entity as usize].labels) {
                histograms[*place].1.sum = Some(*sum);
            }
        }
        let entry = |(labels, mut histogram): (&'p Labels<'p>, Histogram<'p>)| {
            histogram.buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            Entry { labels, value: None, histogram: Some(histogram) }
        };
        histograms.into_iter().map(entry).collect()
    }
}

type Labels<'a> = BTreeMap<&'a str, &'a str>;

impl Serialize for Page<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for metric in &self.metrics {
            let entries = match metric.kind {
                Kind::Figure => self.figures(metric),
                Kind::Histogram(sums) => self.histograms(metric, sums),
                Kind::SumOfHistogram => continue,
            };
            if !entries.is_empty() {
                map.serialize_entry(metric.name, &entries)?;
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Entry<'a> {
    labels: &'a Labels<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(flatten)]
    histogram: Option<Histogram<'a>>,
}

#[derive(Default)]
struct Histogram<'a> {
    /// Bound, bound as written, cumulative count; the last counts all.
    buckets: Vec<(f64, &'a str, f64)>,
    sum: Option<f64>,
}

impl Serialize for Histogram<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let buckets: Buckets<'_> = Buckets(&self.buckets);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("buckets", &buckets)?;
        if let Some(sum) = self.sum {
            map.serialize_entry("sum", &sum)?;
        }
        if let Some((_, _, count)) = self.buckets.last() {
            map.serialize_entry("count", count)?;
        }
        map.end()
    }
}

struct Buckets<'a>(&'a [(f64, &'a str, f64)]);

impl Serialize for Buckets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(_, le, count)| (le, count)))
    }
}
