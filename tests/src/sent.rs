//! A run against the mock that keeps bodies, each request as both sides saw it.

use std::collections::BTreeMap;

use inferometer_mock::MockConfig;
use serde_json::Value;

use crate::mock::{Mock, Truth};
use crate::results::{Record, Results};
use crate::run::{Outcome, Program};

/// A run that has ended, and what the server saw of it.
#[derive(Debug)]
pub struct Sent {
    /// What it printed and left behind.
    pub outcome: Outcome,
    /// The results in its files.
    pub results: Results,
    /// All requests that got to the server, in the order in which they were read there.
    pub requests: Vec<Request>,
}

/// One request as both sides saw it.
#[derive(Clone, Debug)]
pub struct Request {
    /// What the program says of it.
    pub record: Record,
    /// What the server says of it.
    pub truth: Truth,
}

impl Sent {
    /// Runs `inferometer profile` with these words against a server of its own, with files in its folder, and expects it
    /// to end well.
    ///
    /// # Panics
    /// If it ends otherwise, or if the two sides saw different requests.
    #[must_use]
    pub fn run(config: MockConfig, files: &[(&str, &str)], words: &str) -> Self {
        let mock = Mock::start(MockConfig { truth_bodies: true, ..config });
        let outcome = with_files(mock.profile(), files).args(words.split_whitespace()).run().expect_code(0);
        Self::of(outcome, mock.stop())
    }

    /// What a run and the servers that it was sent to say of it.
    ///
    /// # Panics
    /// If the two sides saw different requests.
    #[must_use]
    pub fn of(outcome: Outcome, truth: Vec<Truth>) -> Self {
        let results = Results::of(&outcome);
        let mut records: BTreeMap<&str, &Record> = BTreeMap::new();
        for record in &results.records {
            let before = records.insert(&record.metadata.x_request_id, record);
            assert!(before.is_none(), "two records have one x_request_id: {record:?} {before:?}");
        }
        let mut requests: Vec<Request> = truth
            .into_iter()
            .map(|truth| {
                let record = records.remove(truth.x_request_id.as_str());
                let record = record.unwrap_or_else(|| panic!("no record of {truth:?}, or the server saw it twice"));
                Request { record: record.clone(), truth }
            })
            .collect();
        requests.sort_by_key(|request| request.truth.received_ns);
        for record in records.values() {
            // What was not sent, or broken off before the server had read it, is not seen there.
            assert!(record.error.is_some(), "the server did not see {record:?}");
        }
        Self { outcome, results, requests }
    }

    /// The requests by session, each session's in the order in which the server read them.
    #[must_use]
    pub fn sessions(&self) -> BTreeMap<&str, Vec<&Request>> {
        let mut sessions: BTreeMap<&str, Vec<&Request>> = BTreeMap::new();
        for request in &self.requests {
            sessions.entry(&request.record.metadata.x_correlation_id).or_default().push(request);
        }
        sessions
    }

    /// The bodies that `inputs.json` holds, by the session's name and the place among its bodies.
    ///
    /// # Panics
    /// If the file is not as it should be.
    #[must_use]
    pub fn inputs(&self) -> BTreeMap<(String, usize), Value> {
        let inputs = self.outcome.json("inputs.json");
        let mut bodies = BTreeMap::new();
        for session in inputs["data"].as_array().expect("a list of sessions") {
            let name = session["session_id"].as_str().expect("a session has a name");
            for (place, body) in session["payloads"].as_array().expect("a list of bodies").iter().enumerate() {
                bodies.insert((name.to_owned(), place), body.clone());
            }
        }
        bodies
    }

    /// The notes of the run, one a line.
    #[must_use]
    pub fn notes(&self) -> String {
        let notes = self.results.summary["inferometer"]["notes"].as_array();
        notes.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
    }
}

impl Request {
    /// Role and text of each message.
    ///
    /// # Panics
    /// If the body is none of a chat whose messages are text.
    #[must_use]
    pub fn messages(&self) -> Vec<(String, String)> {
        let body = self.truth.json();
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text in {body}")).to_owned();
        let messages = body["messages"].as_array().unwrap_or_else(|| panic!("no messages in {body}"));
        messages.iter().map(|message| (text(&message["role"]), text(&message["content"]))).collect()
    }

    /// When the server read it and when it had handed its last content over.
    ///
    /// # Panics
    /// If there was no content.
    #[must_use]
    pub fn span(&self) -> (u64, u64) {
        (self.truth.received_ns, self.truth.last_ns.expect("it was answered"))
    }
}

/// The program with files in its folder.
#[must_use]
pub fn with_files(program: Program, files: &[(&str, &str)]) -> Program {
    files.iter().fold(program, |program, (name, content)| program.file(name, content))
}

/// The most of these spans that overlap at one time. One that ends when another begins does not overlap it.
#[must_use]
pub fn most_at_once(spans: impl IntoIterator<Item = (u64, u64)>) -> i32 {
    let mut edges: Vec<(u64, i32)> = spans.into_iter().flat_map(|(begin, end)| [(begin, 1), (end, -1)]).collect();
    edges.sort_unstable();
    let counts = edges.iter().scan(0, |now, (_, step)| {
        *now += step;
        Some(*now)
    });
    counts.max().unwrap_or(0)
}
