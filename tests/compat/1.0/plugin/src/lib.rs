//! A plugin as it was written for interface 1.0, with a component of each kind. It is never changed: what it does today it
//! has to do in every later host.

use inferometer_plugin_sdk::{
    Component, NoOptions, RVec,
    api::{
        DatasetLoader, Endpoint, Exporter, Output, SessionSink, TelemetryCollector, TextTools, Timetable, TimingStrategy,
    },
    documents::{DatasetInfo, DatasetRequest, EndpointInfo, Report, Run},
    schemars::JsonSchema,
    serde::Deserialize,
    types::{
        ANY_SESSION, Answer, Catalogue, Delta, Entity, Error, ErrorKind, Event, Load, Message, Metric, MetricKind,
        Outgoing, Part, PhaseSpec, Record, Reply, Request, Result, Sample, Span, Step, Turn, delta_flags, request_flags,
    },
};
use serde_json::{Value, json};

/// Speaks OpenAI's completions.
pub struct OldEndpoint {
    options: Options,
}

/// What a user may set.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(crate = "inferometer_plugin_sdk::serde", default)]
#[schemars(crate = "inferometer_plugin_sdk::schemars")]
pub struct Options {
    /// Put in front of every prompt.
    prefix: String,
}

impl Component for OldEndpoint {
    type Options = Options;
    fn create(options: Options) -> Result<Self> {
        Ok(Self { options })
    }
}

impl Endpoint for OldEndpoint {
    fn info(&self) -> EndpointInfo {
        EndpointInfo {
            path: "/v1/completions".into(),
            streams: true,
            produces_tokens: true,
            tokenizes_input: true,
            ends_explicitly: true,
            ..EndpointInfo::default()
        }
    }

    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        let parts = request.messages.iter().flat_map(|message| message.parts.iter());
        let texts: Vec<&str> = parts.map(|part| part.data.as_str()).collect();
        let mut body = json!({
            "prompt": format!("{}{}", self.options.prefix, texts.join("\n")),
            "model": request.model.as_str(),
            "stream": request.flags & request_flags::STREAM != 0,
        });
        if request.max_tokens > 0 {
            body["max_tokens"] = request.max_tokens.into();
        }
        out.body = body.to_string().into_bytes().into();
        Ok(())
    }

    fn on_event(&self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind> {
        if event.data.as_slice() == b"[DONE]" {
            out.flags = delta_flags::DONE;
            return Ok(());
        }
        *out = read(&event.data, scratch).map_err(|_| ErrorKind::MALFORMED)?;
        Ok(())
    }

    fn on_body(&self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        let delta = read(&answer.body, &mut out.scratch).map_err(|error| Error::malformed(format!("old: {error}")))?;
        out.deltas.push(delta);
        Ok(())
    }
}

fn read(json: &[u8], scratch: &mut RVec<u8>) -> serde_json::Result<Delta> {
    let answer: Value = serde_json::from_slice(json)?;
    let choice = &answer["choices"][0];
    let mut delta = Delta { flags: delta_flags::SCRATCH, ..Delta::EMPTY };
    if let Some(text) = choice["text"].as_str() {
        delta.text = Span { off: scratch.len() as u32, len: text.len() as u32 };
        scratch.extend_from_slice(text.as_bytes());
    }
    if choice["finish_reason"].is_string() {
        delta.flags |= delta_flags::FINISH;
    }
    Ok(delta)
}

/// Sends one request a millisecond, each worker its share.
#[derive(Default)]
pub struct OldTiming {
    next: u64,
    shards: u64,
    end: u64,
}

impl Component for OldTiming {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self::default())
    }
}

impl TimingStrategy for OldTiming {
    fn start(&mut self, phase: &PhaseSpec, _: &dyn Timetable) -> Result<()> {
        *self = Self { next: phase.shard.into(), shards: phase.shards.into(), end: phase.requests };
        Ok(())
    }

    fn next(&mut self, _: u64, _: &Load) -> Result<Step> {
        if self.next >= self.end {
            return Ok(Step::END);
        }
        let at_ns = self.next * 1_000_000;
        self.next += self.shards;
        Ok(Step::send(at_ns, ANY_SESSION))
    }
}

/// Counts records into a file.
#[derive(Default)]
pub struct OldExporter {
    records: usize,
}

impl Component for OldExporter {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self::default())
    }
}

impl Exporter for OldExporter {
    fn begin(&mut self, run: &Run, out: &mut dyn Output) -> Result<()> {
        out.write("old.txt", format!("metrics {}\n", !run.metrics.is_empty()).as_bytes())
    }

    fn records(&mut self, records: &[Record<'_>], _: &mut dyn Output) -> Result<()> {
        self.records += records.len();
        Ok(())
    }

    fn finish(&mut self, report: &Report, out: &mut dyn Output) -> Result<()> {
        let ok: u64 = report.phases.iter().map(|phase| phase.outcomes.ok).sum();
        out.write("old.txt", format!("records {} ok {ok}\n", self.records).as_bytes())
    }
}

/// Counts how often it was read.
#[derive(Default)]
pub struct OldCollector {
    readings: u32,
}

impl Component for OldCollector {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self::default())
    }
}

impl TelemetryCollector for OldCollector {
    fn describe(&mut self) -> Result<Catalogue> {
        let metric = |name: &str, unit: &str, kind| Metric {
            name: name.into(),
            unit: unit.into(),
            help: "Made up.".into(),
            kind,
        };
        Ok(Catalogue {
            metrics: vec![
                metric("old_power_usage", "W", MetricKind::GAUGE),
                metric("old_readings", "count", MetricKind::COUNTER),
            ]
            .into(),
            entities: vec![Entity { id: "old0".into(), labels_json: r#"{"gpu_index":0,"platform":"old"}"#.into() }].into(),
            min_interval_ns: 1_000_000,
            ..Catalogue::default()
        })
    }

    fn collect(&mut self, now_ns: u64, out: &mut RVec<Sample>) -> Result<()> {
        self.readings += 1;
        out.push(Sample { metric: 0, entity: 0, at_ns: now_ns, value: 300.0 });
        out.push(Sample { metric: 1, entity: 0, at_ns: now_ns, value: self.readings.into() });
        Ok(())
    }
}

/// Three sessions of one turn.
pub struct OldDataset;

impl Component for OldDataset {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl DatasetLoader for OldDataset {
    fn open(&mut self, _: &DatasetRequest, _: &dyn TextTools) -> Result<DatasetInfo> {
        Ok(DatasetInfo { sessions: 3 })
    }

    fn session(&self, index: u64, _: &dyn TextTools, sink: &mut dyn SessionSink) -> Result<()> {
        let text = format!("prompt {index}");
        let parts = [Part::text(&text)];
        let messages = [Message { role: "user".into(), parts: parts.as_slice().into(), extra_json: "".into() }];
        sink.turn(&Turn::new(&messages));
        Ok(())
    }
}

inferometer_plugin_sdk::endpoint! { name: "old-endpoint", summary: "Of interface 1.0.", component: OldEndpoint }
inferometer_plugin_sdk::timing! { name: "old-timing", summary: "Of interface 1.0.", component: OldTiming }
inferometer_plugin_sdk::exporter! { name: "old-exporter", summary: "Of interface 1.0.", component: OldExporter }
inferometer_plugin_sdk::collector! { name: "old-collector", summary: "Of interface 1.0.", component: OldCollector }
inferometer_plugin_sdk::dataset! { name: "old-dataset", summary: "Of interface 1.0.", component: OldDataset }
inferometer_plugin_sdk::export_plugin!();
