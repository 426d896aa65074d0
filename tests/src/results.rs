//! What a run found, read from the files it left.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::run::Outcome;

/// The summary and the lines per request of one run.
#[derive(Clone, Debug)]
pub struct Results {
    /// `profile_export_aiperf.json`.
    pub summary: Value,
    /// `profile_export.jsonl`, of all phases.
    pub records: Vec<Record>,
}

/// How the requests of the measured phase ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub struct Outcomes {
    pub total: u64,
    pub ok: u64,
    pub error: u64,
    pub cancelled: u64,
    pub dropped: u64,
}

/// One line per request.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    /// Who, where and when.
    pub metadata: Metadata,
    /// What was measured.
    pub metrics: BTreeMap<String, Measured>,
    /// Why it failed.
    pub error: Option<RequestError>,
}

/// The part of a record's metadata that tests read.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)]
pub struct Metadata {
    pub x_request_id: String,
    pub x_correlation_id: String,
    pub conversation_id: String,
    pub turn_index: u64,
    /// When the schedule wanted it sent.
    pub credit_issued_ns: u64,
    /// When it got leave to be sent; absent if it never did.
    pub request_start_ns: Option<u64>,
    pub request_end_ns: Option<u64>,
    pub benchmark_phase: String,
    pub phase_name: String,
    pub was_cancelled: bool,
}

/// A value and its unit.
#[derive(Clone, Debug, Deserialize)]
pub struct Measured {
    /// A number or a list of numbers.
    pub value: Value,
    /// The unit.
    pub unit: String,
}

/// Why a request failed.
#[derive(Clone, Debug, Deserialize)]
pub struct RequestError {
    /// The kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// The cause in words.
    pub message: String,
}

impl Results {
    /// Reads the files of a run.
    ///
    /// # Panics
    /// If one is missing or not as it should be.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        let records = outcome.jsonl("profile_export.jsonl").into_iter();
        Self {
            summary: outcome.json("profile_export_aiperf.json"),
            records: records
                .map(|line| {
                    let text = line.to_string();
                    serde_json::from_value(line).unwrap_or_else(|error| panic!("{error} in {text}"))
                })
                .collect(),
        }
    }

    /// How the requests of the measured phase ended.
    ///
    /// # Panics
    /// If the summary does not say.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        let outcomes = self.summary["inferometer"]["outcomes"].clone();
        serde_json::from_value(outcomes).expect("the summary says how requests ended")
    }

    /// The average of a metric, which of a single number is the number itself.
    ///
    /// # Panics
    /// If there is no such metric.
    #[must_use]
    pub fn value(&self, tag: &str) -> f64 {
        self.statistic(tag, "avg")
    }

    /// A statistic of a metric.
    ///
    /// # Panics
    /// If there is no such metric or statistic.
    #[must_use]
    pub fn statistic(&self, tag: &str, name: &str) -> f64 {
        self.summary[tag][name].as_f64().unwrap_or_else(|| panic!("no {name} of {tag} in {}", self.summary))
    }

    /// How often requests failed, by kind.
    ///
    /// # Panics
    /// If the summary does not say.
    #[must_use]
    pub fn errors(&self) -> BTreeMap<String, u64> {
        let groups = self.summary["error_summary"].as_array().expect("the summary lists errors");
        let mut errors = BTreeMap::new();
        for group in groups {
            let kind = group["error_details"]["type"].as_str().expect("an error has a kind");
            *errors.entry(kind.to_owned()).or_default() += group["count"].as_u64().expect("an error has a count");
        }
        errors
    }

    /// The records of the measured phase.
    pub fn measured(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| record.metadata.benchmark_phase == "profiling")
    }
}

impl Record {
    /// The number that a metric of this request has.
    ///
    /// # Panics
    /// If it has none.
    #[must_use]
    pub fn number(&self, tag: &str) -> f64 {
        let metric = self.metrics.get(tag).unwrap_or_else(|| panic!("no {tag} in {self:?}"));
        metric.value.as_f64().unwrap_or_else(|| panic!("{tag} is no number in {self:?}"))
    }
}
