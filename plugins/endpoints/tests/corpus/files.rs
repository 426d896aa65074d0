//! The answers under `tests/data`, one folder per endpoint.

use inferometer_endpoints as _;
use inferometer_host::Registry;
use inferometer_plugin_sdk::{
    RVec,
    api::Endpoint,
    types::{Delta, Event},
};
use inferometer_testkit::endpoint::{Golden, GoldenEvent};
use serde_json::{Map, Value};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The answers to one endpoint, made with the same options.
pub(crate) struct Corpus {
    pub(crate) endpoint: String,
    /// A JSON object, or empty.
    pub(crate) options: String,
    pub(crate) goldens: Vec<Golden>,
}

impl Corpus {
    pub(crate) fn make(&self) -> Box<dyn Endpoint> {
        let made = Registry::builtin().endpoint(&self.endpoint, &self.options);
        made.unwrap_or_else(|error| panic!("{}: {error}", self.endpoint)).component
    }
}

/// All answers, by their endpoints and options.
pub(crate) fn corpora() -> Vec<Corpus> {
    let mut corpora: Vec<Corpus> = Vec::new();
    for folder in entries(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")).into_iter().filter(|p| p.is_dir())
    {
        let endpoint = name_of(&folder);
        for answer in entries(&folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "http")) {
            let (options, golden, is_odd) = read(&answer);
            let known = corpora.iter_mut().find(|corpus| corpus.endpoint == endpoint && corpus.options == options);
            let corpus = match known {
                Some(corpus) => corpus,
                None => {
                    corpora.push(Corpus { endpoint: endpoint.clone(), options, goldens: Vec::new() });
                    corpora.last_mut().unwrap()
                }
            };
            let golden = if is_odd { golden } else { with_usual_events_marked(&*corpus.make(), golden) };
            corpus.goldens.push(golden);
        }
    }
    corpora
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// The options that an answer is for, the answer, and whether it is an odd one.
fn read(answer: &Path) -> (String, Golden, bool) {
    let complain = |error: &dyn std::fmt::Display| -> ! { panic!("{}: {error}", answer.display()) };
    let said = answer.with_extension("json");
    let said = fs::read_to_string(&said).unwrap_or_else(|error| complain(&format!("{}: {error}", said.display())));
    let mut said: Map<String, Value> = serde_json::from_str(&said).unwrap_or_else(|error| complain(&error));
    let options = said.remove("options").map(|options| options.to_string()).unwrap_or_default();
    let is_odd = said.remove("odd").is_some_and(|odd| odd == true);
    let expect = serde_json::from_value(said.into()).unwrap_or_else(|error| complain(&error));

    let text = fs::read_to_string(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| complain(&"no head"));
    let (head, name) = (head.to_ascii_lowercase(), name_of(answer));
    let has_type = |kind: &str| head.contains(&format!("content-type: {kind}"));
    let mut golden = Golden::stream(&name, expect);
    if has_type("text/event-stream") {
        let body = body.replace("\r\n", "\n");
        golden.events = body.split("\n\n").filter(|block| block.contains("data:")).map(event).collect();
    } else if has_type("application/x-ndjson") {
        golden.events =
            body.lines().map(|line| GoldenEvent { data: line.to_owned(), ..GoldenEvent::default() }).collect();
    } else {
        golden.body = Some(body.to_owned());
    }
    (options, golden, is_odd)
}

/// A server-sent event.
fn event(block: &str) -> GoldenEvent {
    let field = |name: &str| -> Vec<&str> {
        let values = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        values.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect()
    };
    GoldenEvent { event: field("event").concat(), data: field("data").join("\n"), usual: false }
}

/// Events that hold text and nothing else are those that most streams are made of.
fn with_usual_events_marked(endpoint: &dyn Endpoint, mut golden: Golden) -> Golden {
    for event in &mut golden.events {
        let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
        let data = Event::new(event.data.as_bytes()).named(&event.event);
        let is_read = endpoint.on_event(&data, &mut delta, &mut scratch).is_ok();
        let has_text = !(delta.text.is_empty() && delta.reasoning.is_empty());
        event.usual = is_read && has_text && delta.tool.is_empty() && delta.error.is_empty();
    }
    golden
}
