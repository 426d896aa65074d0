//! Calls every component of a plugin library and prints what it did, a line each. Built against the host of each version of
//! the interface, so it uses nothing that 1.0 did not have.
//!
//! `driver LIBRARY [COMPONENT=OPTIONS_JSON …]`

use inferometer_abi::{
    RVec,
    api::{Output, SessionSink, TextTools, Timetable},
    documents::{DatasetRequest, Kind, Report, Run},
    types::{
        Answer, Delta, Event, Load, Message, Outgoing, Part, PhaseSpec, Reply, Request, Result, StepKind, Turn,
        TurnTime, request_flags,
    },
};
use inferometer_host::{Discovery, Origin, Registry, drain_log};
use std::{collections::BTreeMap, error::Error};

/// What a server of completions sends.
const CHUNK: &str = r#"{"choices":[{"index":0,"text":" token","finish_reason":null}]}"#;

struct Lent;

impl Timetable for Lent {
    fn sessions(&self) -> u64 {
        3
    }
    fn turns(&self, _: u64) -> u32 {
        1
    }
    fn time(&self, _: u64, _: u32) -> TurnTime {
        TurnTime::NONE
    }
}

impl TextTools for Lent {
    fn count(&self, text: &str) -> u64 {
        text.split(' ').count() as u64
    }
    fn text(&self, _: u64, tokens: u64) -> Result<String> {
        Ok(vec!["word"; tokens as usize].join(" "))
    }
}

#[derive(Default)]
struct Kept {
    bytes: usize,
    turns: usize,
}

impl Output for Kept {
    fn write(&mut self, _: &str, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len();
        Ok(())
    }
    fn show(&mut self, _: &str) -> Result<()> {
        Ok(())
    }
}

impl SessionSink for Kept {
    fn name(&mut self, _: &str) {}
    fn turn(&mut self, _: &Turn<'_>) {
        self.turns += 1;
    }
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let library = arguments.next().ok_or("which library?")?;
    let options: BTreeMap<String, String> = arguments
        .filter_map(|argument| argument.split_once('=').map(|(name, json)| (name.to_owned(), json.to_owned())))
        .collect();
    let registry = Registry::discover(&Discovery { explicit: vec![library.into()], ..Discovery::default() })?;
    for entry in registry.entries().filter(|entry| entry.origin != Origin::BuiltIn) {
        let options = options.get(&entry.name).map_or("{}", String::as_str);
        let did = call(&registry, entry.kind, &entry.name, options)?;
        println!("{} {}: {did}", entry.kind, entry.name);
        for line in drain_log() {
            println!("log {:?} {}: {}", line.level, line.target, line.message);
        }
    }
    Ok(())
}

fn call(registry: &Registry, kind: Kind, name: &str, options: &str) -> std::result::Result<String, Box<dyn Error>> {
    Ok(match kind {
        Kind::Endpoint => {
            let endpoint = registry.endpoint(name, options)?.component;
            let parts = [Part::text("hello")];
            let messages = [Message { role: "user".into(), parts: parts.as_slice().into(), extra_json: "".into() }];
            let mut out = Outgoing::default();
            let request = Request { flags: request_flags::STREAM, ..Request::new("m", &messages) };
            endpoint.encode(&request, &mut out)?;
            let body: serde_json::Value = serde_json::from_slice(&out.body)?;
            let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
            endpoint
                .on_event(&Event::new(CHUNK.as_bytes()), &mut delta, &mut scratch)
                .map_err(|kind| format!("{kind:?}"))?;
            let text = delta.text.of(&scratch).ok_or("a span outside of the scratch buffer")?;
            let mut reply = Reply::default();
            let answer = Answer {
                status: 200,
                exchange: 0,
                flags: 0,
                content_type: "application/json".into(),
                body: CHUNK.as_bytes().into(),
            };
            endpoint.on_body(&answer, &mut reply)?;
            format!(
                "{} prompt {} text {:?} deltas {}",
                endpoint.info().path,
                body["prompt"],
                String::from_utf8_lossy(text),
                reply.deltas.len()
            )
        }
        Kind::Timing => {
            let mut timing = registry.timing(name, options)?.component;
            timing.start(&PhaseSpec { requests: 3, shards: 1, rate: 1.0, ..PhaseSpec::default() }, &Lent)?;
            let (mut sent, mut now, mut calls) = (0, 0, 0);
            loop {
                let step = timing.next(now, &Load { sent, ..Load::default() })?;
                calls += 1;
                match step.kind {
                    StepKind::SEND if sent < 3 => sent += 1,
                    StepKind::WAIT if calls < 100 => now = step.at_ns,
                    _ => break format!("sent {sent}"),
                }
            }
        }
        Kind::Exporter => {
            let (mut exporter, mut out) = (registry.exporter(name, options)?.component, Kept::default());
            exporter.begin(&Run::default(), &mut out)?;
            exporter.records(&[], &mut out)?;
            exporter.finish(&Report::default(), &mut out)?;
            format!("wrote {}", out.bytes > 0)
        }
        Kind::Collector => {
            let mut collector = registry.collector(name, options)?.component;
            let (catalogue, mut samples) = (collector.describe()?, RVec::new());
            collector.collect(1, &mut samples)?;
            format!("metrics {} samples {}", catalogue.metrics.len(), samples.len())
        }
        Kind::Dataset => {
            let (mut dataset, mut sink) = (registry.dataset(name, options)?.component, Kept::default());
            let request = DatasetRequest { source: std::env::var("DRIVER_SOURCE").ok(), ..DatasetRequest::default() };
            let sessions = dataset.open(&request, &Lent)?.sessions;
            dataset.session(0, &Lent, &mut sink)?;
            format!("sessions {sessions} turns {}", sink.turns)
        }
    })
}
