//! Telemetry: where it comes from, and what it says of a phase.

use super::Stats;
use crate::types::{self, Catalogue, MetricKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a source's figures are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// Accelerators and other hardware that serves the model.
    #[default]
    Device,
    /// The inference server, as it tells of itself.
    Server,
    /// The machine that makes the load.
    Client,
}

/// A collector at work, and what it found there is to measure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TelemetrySource {
    /// The collector.
    pub collector: String,
    /// What it reads, such as a URL; the collector's name where there is no better one.
    pub name: String,
    /// What its figures are about.
    pub subject: Subject,
    /// What is measured; [`types::Sample::metric`] counts in it.
    pub metrics: Vec<TelemetryMetric>,
    /// On what; [`types::Sample::entity`] counts in it.
    pub entities: Vec<TelemetryEntity>,
    /// Readings that gave samples.
    pub collections: u64,
    /// When the first of them returned, in nanoseconds since the run began.
    pub first_ns: Option<u64>,
    /// When the last of them returned.
    pub last_ns: Option<u64>,
    /// Mean time a reading took, in milliseconds.
    pub mean_ms: Option<f64>,
    /// Why there is nothing, or nothing more, from a certain time on.
    pub failure: Option<String>,
}

/// One thing that is measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TelemetryMetric {
    /// Its tag, such as `nvidia_power_usage`.
    pub name: String,
    /// Its unit, such as `W`.
    pub unit: String,
    /// What it is, in a sentence.
    pub help: String,
    /// `gauge`, `counter` or `histogram`, see [`types::MetricKind`].
    pub kind: String,
}

/// One thing that is measured on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TelemetryEntity {
    /// Its name, unique in the source.
    pub id: String,
    /// Its labels, see [`types::Entity`].
    pub labels: BTreeMap<String, String>,
}

/// What one metric of one entity did during a phase; of the three summaries there is the one that fits its kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Series {
    /// Place in [`super::Report::sources`].
    pub source: usize,
    /// Place in [`TelemetrySource::metrics`].
    pub metric: usize,
    /// Place in [`TelemetrySource::entities`]; for a histogram the entity without a bound.
    pub entity: usize,
    /// Statistics over the samples within the window; `std` divides by `n − 1`.
    pub gauge: Option<Stats>,
    /// How much a counter grew.
    pub counter: Option<Increase>,
    /// How a histogram grew.
    pub histogram: Option<Histogram>,
}

/// How much a counter grew during a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Increase {
    /// By how much.
    pub total: f64,
    /// By how much a second; absent for a window without length.
    pub rate: Option<f64>,
}

/// What was observed during a phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Histogram {
    /// Number of observations, and how many a second.
    pub count: Increase,
    /// Their sum, and its growth a second, if the source tells.
    pub sum: Option<Increase>,
    /// Their mean, if there were any and their sum is known.
    pub avg: Option<f64>,
    /// The buckets by bound, cumulative.
    pub buckets: Vec<Bucket>,
    /// Percentiles, estimated by linear interpolation within buckets; absent where they fall in the last, unbounded one.
    pub estimates: Stats,
}

/// Observations no greater than a bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bucket {
    /// The bound as the source writes it; `+Inf` for the last.
    pub le: String,
    /// How many.
    pub count: f64,
}

/// What a kind of metric is called in documents. Kinds of a later version are taken for gauges.
pub const fn metric_kind(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::COUNTER => "counter",
        MetricKind::HISTOGRAM => "histogram",
        _ => "gauge",
    }
}

impl From<types::Subject> for Subject {
    /// Subjects of a later version are taken for devices.
    fn from(subject: types::Subject) -> Self {
        match subject {
            types::Subject::SERVER => Self::Server,
            types::Subject::CLIENT => Self::Client,
            _ => Self::Device,
        }
    }
}

impl TelemetrySource {
    /// Takes over what `catalogue` says; labels that are not text are kept as JSON, and labels that are no JSON object are
    /// left out.
    pub fn describe(&mut self, catalogue: &Catalogue) {
        self.subject = catalogue.subject().into();
        self.metrics = catalogue
            .metrics
            .iter()
            .map(|metric| TelemetryMetric {
                name: metric.name.to_string(),
                unit: metric.unit.to_string(),
                help: metric.help.to_string(),
                kind: metric_kind(metric.kind).to_owned(),
            })
            .collect();
        self.entities = catalogue
            .entities
            .iter()
            .map(|entity| TelemetryEntity { id: entity.id.to_string(), labels: labels(&entity.labels_json) })
            .collect();
    }
}

fn labels(json: &str) -> BTreeMap<String, String> {
    let labels: BTreeMap<String, serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    labels.into_iter().map(|(name, value)| (name, text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Entity, Metric};

    #[test]
    fn a_catalogue_becomes_a_source_whatever_its_labels_are() {
        let entity = |id: &str, labels: &str| Entity { id: id.into(), labels_json: labels.into() };
        let metric = Metric { name: "p".into(), unit: "W".into(), help: "Power.".into(), kind: MetricKind(77) };
        let catalogue = Catalogue {
            metrics: vec![metric].into(),
            entities: vec![entity("gpu_0", r#"{"gpu_index":0,"gpu_name":"A"}"#), entity("broken", "no JSON")].into(),
            ..Catalogue::default()
        };
        let mut source = TelemetrySource::default();
        source.describe(&catalogue.about(types::Subject::CLIENT));
        assert_eq!(source.subject, Subject::Client);
        assert_eq!(source.metrics[0].kind, "gauge");
        assert_eq!(source.entities[0].labels["gpu_index"], "0");
        assert!(source.entities[1].labels.is_empty());
    }
}
