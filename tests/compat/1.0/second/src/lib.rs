//! A second plugin for interface 1.0, of what the first leaves out: every bit of a delta, every kind of failure, part and
//! step, and every field of the documents and records. It is never changed: what it does today it has to do in every
//! later host.
//!
//! Its server is an echo: what a prompt says, line by line, is the answer that the endpoint reads.

use inferometer_plugin_sdk::{
    Component, NoOptions, RVec,
    api::{
        DatasetLoader, Endpoint, Exporter, Output, SessionSink, TelemetryCollector, TextTools, Timetable, TimingStrategy,
    },
    documents::{DatasetInfo, DatasetRequest, EndpointInfo, Framing, Report, Run},
    log,
    schemars::JsonSchema,
    serde::Deserialize,
    types::{
        ABSENT_NS, Answer, Catalogue, Delta, Error, ErrorKind, Event, Flow, Header, Load, Message, Outcome, Outgoing,
        Part, PartKind, PhaseSpec, Record, Reply, Request, Result, Sample, Span, Step, StepKind, Turn, TurnTime,
        delta_flags, request_flags, step_flags,
    },
};
use serde_json::{Value, json};

/// Reads lines such as `{"text":"…"}`, `{"usage":[1,2,3,4]}`, `{"flags":["FINISH"]}` and `{"fail":"MALFORMED"}`.
pub struct SecondEndpoint;

impl Component for SecondEndpoint {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl Endpoint for SecondEndpoint {
    fn info(&self) -> EndpointInfo {
        EndpointInfo {
            path: "/second/whole".into(),
            streaming_path: Some("/second/stream".into()),
            streams: true,
            framing: Framing::JsonLines,
            produces_tokens: true,
            tokenizes_input: true,
            ends_explicitly: true,
        }
    }

    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        let parts = request.messages.iter().flat_map(|message| message.parts.iter());
        let parts: Vec<Value> = parts
            .map(|part| {
                let kind = match part.kind {
                    PartKind::TEXT => "text",
                    PartKind::IMAGE => "image",
                    PartKind::AUDIO => "audio",
                    PartKind::VIDEO => "video",
                    _ => "unknown",
                };
                json!([kind, part.name.as_str(), part.mime.as_str(), part.data.as_str()])
            })
            .collect();
        let body = json!({
            "prompt": parts[0][3],
            "parts": parts,
            "role": request.messages[0].role.as_str(),
            "message_extra": request.messages[0].extra_json.as_str(),
            "model": request.model.as_str(),
            "stream": request.flags & request_flags::STREAM != 0,
            "legacy": request.flags & request_flags::LEGACY_MAX_TOKENS != 0,
            "max_tokens": request.max_tokens,
            "turn": request.turn,
            "extra": request.extra_json.as_str(),
        });
        out.method = "PUT".into();
        out.content_type = "application/second+json".into();
        out.headers.push(Header { name: "X-Second".into(), value: "of 1.0".into() });
        out.body = body.to_string().into_bytes().into();
        Ok(())
    }

    fn on_event(&self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind> {
        *out = read(&event.data, 0, scratch)?;
        Ok(())
    }

    fn on_body(&self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        let body = answer.body.as_slice();
        if answer.exchange == 0 {
            let path = format!("/second/next?status={}&type={}", answer.status, answer.content_type);
            let method = "GET".into();
            out.next.push(Outgoing { method, path: path.into(), delay_ns: 1_000_000, ..Outgoing::default() });
            return Ok(());
        }
        let mut start = 0;
        for line in body.split_inclusive(|byte| *byte == b'\n') {
            let delta = read(line, start, &mut out.scratch).map_err(|kind| Error::new(kind, "second: unreadable"))?;
            out.deltas.push(delta);
            start += line.len();
        }
        Ok(())
    }
}

/// What `line` says, its spans counted from `start` on.
fn read(line: &[u8], start: usize, scratch: &mut RVec<u8>) -> Result<Delta, ErrorKind> {
    let value: Value = serde_json::from_slice(line).map_err(|_| ErrorKind::MALFORMED)?;
    if let Some(kind) = value["fail"].as_str() {
        return Err(kind_of(kind));
    }
    let mut delta = Delta::EMPTY;
    for flag in value["flags"].as_array().into_iter().flatten() {
        delta.flags |= match flag.as_str() {
            Some("ESCAPED") => delta_flags::ESCAPED,
            Some("SCRATCH") => delta_flags::SCRATCH,
            Some("DONE") => delta_flags::DONE,
            Some("FINISH") => delta_flags::FINISH,
            Some("ERROR") => delta_flags::ERROR,
            Some("CONTENT") => delta_flags::CONTENT,
            _ => return Err(ErrorKind::UNSUPPORTED),
        };
    }
    let is_scratch = delta.flags & delta_flags::SCRATCH != 0;
    let mut span = |name: &str| {
        let Some(text) = value[name].as_str() else { return Span::default() };
        if is_scratch {
            let off = scratch.len() as u32;
            scratch.extend_from_slice(text.as_bytes());
            return Span { off, len: text.len() as u32 };
        }
        // As it stands in the line, which is as JSON writes it.
        let written = json!(text).to_string();
        let quoted = line.windows(written.len()).position(|window| window == written.as_bytes());
        let off = start + quoted.expect("the text stands in its line") + 1;
        Span { off: off as u32, len: written.len() as u32 - 2 }
    };
    (delta.text, delta.reasoning) = (span("text"), span("reasoning"));
    (delta.tool, delta.error) = (span("tool"), span("error"));
    if let Some(usage) = value["usage"].as_array() {
        let count = |at: usize| usage[at].as_u64().map_or(0, |count| count as u32);
        (delta.prompt_tokens, delta.completion_tokens) = (count(0), count(1));
        (delta.cached_tokens, delta.reasoning_tokens) = (count(2), count(3));
    }
    Ok(delta)
}

fn kind_of(name: &str) -> ErrorKind {
    match name {
        "CONFIG" => ErrorKind::CONFIG,
        "UNSUPPORTED" => ErrorKind::UNSUPPORTED,
        "MALFORMED" => ErrorKind::MALFORMED,
        "PANICKED" => ErrorKind::PANICKED,
        "IO" => ErrorKind::IO,
        _ => ErrorKind::OTHER,
    }
}

/// Waits, sends a session of the data set by its own number, and parks until it has ended. For one worker.
#[derive(Default)]
pub struct SecondTiming {
    waited: bool,
    sent: u64,
    ended: u64,
    sessions: u64,
}

impl Component for SecondTiming {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self::default())
    }
}

impl TimingStrategy for SecondTiming {
    fn start(&mut self, _: &PhaseSpec, timetable: &dyn Timetable) -> Result<()> {
        *self = Self { sessions: timetable.sessions(), ..Self::default() };
        Ok(())
    }

    fn next(&mut self, now_ns: u64, _: &Load) -> Result<Step> {
        if !self.waited {
            self.waited = true;
            return Ok(Step { kind: StepKind::WAIT, at_ns: now_ns + 1_000_000, ..Step::PARK });
        }
        if self.sent > self.ended {
            return Ok(Step::PARK);
        }
        if self.sent == self.sessions {
            return Ok(Step::END);
        }
        self.sent += 1;
        // From the last to the first: by chance or in turn it would be another order.
        let step = Step::send(now_ns, self.sessions - self.sent);
        Ok(Step { flags: step_flags::EXACT, ..step })
    }

    fn on_flow(&mut self, event: &Flow) -> Result<()> {
        self.ended += u64::from(event.turn + 1 == event.turns);
        Ok(())
    }
}

/// Writes down all that it is told.
#[derive(Default)]
pub struct SecondExporter;

impl Component for SecondExporter {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl Exporter for SecondExporter {
    fn begin(&mut self, run: &Run, out: &mut dyn Output) -> Result<()> {
        out.show("second: shown\n")?;
        write(out, "second-run.json", &json!(run))
    }

    fn records(&mut self, records: &[Record<'_>], out: &mut dyn Output) -> Result<()> {
        for record in records {
            let outcome = match record.outcome {
                Outcome::OK => "ok",
                Outcome::ERROR => "error",
                Outcome::CANCELLED => "cancelled",
                Outcome::DROPPED => "dropped",
                _ => "unknown",
            };
            let stamps = [
                record.intended_ns,
                record.permitted_ns,
                record.sent_ns,
                record.headers_ns,
                record.first_ns,
                record.last_ns,
                record.end_ns,
            ];
            let line = json!({
                "index": record.index,
                "session": record.session,
                "turn": record.turn,
                "phase": record.phase,
                "worker": record.worker,
                "status": record.status,
                "outcome": outcome,
                "events": record.events,
                "request_id": record.request_id,
                "correlation_id": record.correlation_id,
                "stamps": stamps.map(|stamp| (stamp != ABSENT_NS).then_some(stamp)),
                "gaps_ns": record.gaps_ns.as_slice(),
                "values": record.values.as_slice(),
                "conversation_id": record.conversation_id.as_str(),
                "phase_name": record.phase_name.as_str(),
                "phase_kind": record.phase_kind.as_str(),
                "error_type": record.error_type.as_str(),
                "error_message": record.error_message.as_str(),
                "body": String::from_utf8_lossy(&record.body),
            });
            write(out, "second-records.jsonl", &line)?;
        }
        Ok(())
    }

    fn finish(&mut self, report: &Report, out: &mut dyn Output) -> Result<()> {
        write(out, "second-report.json", &json!(report))
    }
}

fn write(out: &mut dyn Output, file: &str, value: &Value) -> Result<()> {
    out.write(file, format!("{value}\n").as_bytes())
}

/// Fails in the way it is told to, or measures nothing.
pub struct SecondCollector {
    options: Failing,
}

/// What a user may set.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(crate = "inferometer_plugin_sdk::serde", default)]
#[schemars(crate = "inferometer_plugin_sdk::schemars")]
pub struct Failing {
    /// The kind of failure.
    fails: String,
}

impl Component for SecondCollector {
    type Options = Failing;
    fn create(options: Failing) -> Result<Self> {
        log::error("second", "an error");
        log::warn("second", "a warning");
        log::info("second", "a piece of information");
        Ok(Self { options })
    }
}

impl TelemetryCollector for SecondCollector {
    fn describe(&mut self) -> Result<Catalogue> {
        match self.options.fails.as_str() {
            "" => Ok(Catalogue::default()),
            kind => Err(Error::new(kind_of(kind), format!("second: {kind}"))),
        }
    }

    fn collect(&mut self, _: u64, _: &mut RVec<Sample>) -> Result<()> {
        Ok(())
    }
}

/// A session per paragraph of a file, of parts of every kind, with all that a turn may have.
#[derive(Default)]
pub struct SecondDataset {
    paragraphs: Vec<String>,
    asked: String,
}

impl Component for SecondDataset {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self::default())
    }
}

impl DatasetLoader for SecondDataset {
    fn open(&mut self, request: &DatasetRequest, _: &dyn TextTools) -> Result<DatasetInfo> {
        let read = |path: &String| {
            std::fs::read_to_string(path).map_err(|error| Error::new(ErrorKind::IO, format!("{path}: {error}")))
        };
        let text = request.source.as_ref().map(read).transpose()?.unwrap_or_else(|| "nothing".into());
        self.paragraphs = text.trim_end().split("\n\n").map(str::to_owned).collect();
        self.asked = json!({ "asked": request }).to_string();
        Ok(DatasetInfo { sessions: self.paragraphs.len() as u64 })
    }

    fn session(&self, index: u64, _: &dyn TextTools, sink: &mut dyn SessionSink) -> Result<()> {
        let text = &self.paragraphs[index as usize];
        let part = |kind, name: &'static str, mime: &'static str, data: &'static str| Part {
            kind,
            flags: 0,
            name: name.into(),
            mime: mime.into(),
            data: data.into(),
        };
        let parts = [
            Part { name: "script".into(), ..Part::text(text) },
            part(PartKind::IMAGE, "picture", "", "http://host/cat.png"),
            part(PartKind::AUDIO, "sound", "wav", "AAAA"),
            part(PartKind::VIDEO, "film", "", "http://host/cat.mp4"),
        ];
        let (role, extra_json) = ("user".into(), r#"{"of":"message"}"#.into());
        let messages = [Message { role, parts: parts.as_slice().into(), extra_json }];
        sink.name(&format!("paragraph-{index}"));
        sink.turn(&Turn {
            model: "second-model".into(),
            extra_json: self.asked.as_str().into(),
            max_tokens: 100 + index as u32,
            time: TurnTime { timestamp_ns: index * 1_000_000, delay_ns: 0 },
            ..Turn::new(&messages)
        });
        Ok(())
    }
}

inferometer_plugin_sdk::endpoint! { name: "second-endpoint", summary: "Of interface 1.0.", component: SecondEndpoint }
inferometer_plugin_sdk::timing! { name: "second-timing", summary: "Of interface 1.0.", component: SecondTiming }
inferometer_plugin_sdk::exporter! { name: "second-exporter", summary: "Of interface 1.0.", component: SecondExporter }
inferometer_plugin_sdk::collector! { name: "second-collector", summary: "Of interface 1.0.", component: SecondCollector }
inferometer_plugin_sdk::dataset! { name: "second-dataset", summary: "Of interface 1.0.", component: SecondDataset }
inferometer_plugin_sdk::export_plugin!();
