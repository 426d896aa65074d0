//! A plugin of what interface 1.1 brought: an endpoint that is told of its exchange, an exporter of telemetry, and a
//! collector of a server's figures. What it does when 1.1 is released it has to do in every later host; then it is never
//! changed.

use inferometer_plugin_sdk::{
    Component, NoOptions, RVec,
    api::{Endpoint, Exporter, Output, TelemetryCollector},
    documents::{EndpointInfo, Report, TelemetrySource},
    types::{
        Answer, Catalogue, Collection, Delta, Entity, Error, ErrorKind, Event, Exchange, Metric, MetricKind, Outgoing,
        Reply, Request, Result, Sample, Span, Subject, answer_flags, delta_flags,
    },
};
use serde_json::{Value, json};

/// The state of the second exchange.
const ASKED_AGAIN: u64 = u64::MAX - 7;

/// Asks again where the first answer's head says, and takes the second answer for the text.
pub struct NewerEndpoint;

impl Component for NewerEndpoint {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl Endpoint for NewerEndpoint {
    fn info(&self) -> EndpointInfo {
        EndpointInfo { path: "/newer".into(), produces_tokens: true, tokenizes_input: true, ..EndpointInfo::default() }
    }

    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        out.body = json!({ "prompt": request.messages[0].parts[0].data.as_str() }).to_string().into_bytes().into();
        Ok(())
    }

    fn on_event(&self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind> {
        let length = event.data.len() as u32;
        scratch.extend(format!("{length} bytes").into_bytes());
        out.flags = delta_flags::FINISH | delta_flags::SCRATCH;
        out.text = Span { off: 0, len: scratch.len() as u32 };
        Ok(())
    }

    /// For hosts of 1.0.
    fn on_body(&self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        out.deltas.push(Delta { text: Span { off: 0, len: answer.body.len() as u32 }, ..Delta::EMPTY });
        Ok(())
    }

    fn on_answer(&self, answer: &Answer<'_>, exchange: &Exchange<'_>, out: &mut Reply) -> Result<()> {
        if exchange.state == ASKED_AGAIN && answer.exchange == 1 && answer.flags & answer_flags::TRUNCATED == 0 {
            return self.on_body(answer, out);
        }
        let place = exchange.header("X-Path").ok_or_else(|| Error::malformed("newer: no X-Path"))?;
        let path = format!("/newer/again?of={place}&from={}", exchange.path).into();
        let next = Outgoing { method: "GET".into(), path, ..Outgoing::default() };
        out.next.push(next.with_state(ASKED_AGAIN));
        Ok(())
    }
}

/// Writes down all that it is told of telemetry, and the report.
#[derive(Default)]
pub struct NewerExporter;

impl Component for NewerExporter {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl Exporter for NewerExporter {
    fn telemetry(
        &mut self,
        source: &TelemetrySource,
        collections: &[Collection],
        samples: &[Sample],
        out: &mut dyn Output,
    ) -> Result<()> {
        let first = collections.first().map_or(0, |collection| collection.samples as usize);
        let first: Vec<Value> =
            samples[..first].iter().map(|sample| json!([sample.metric, sample.entity, sample.value])).collect();
        let line = json!({
            "source": source,
            "collections": collections.len(),
            "samples": samples.len(),
            "counted": collections.iter().map(|collection| collection.samples).sum::<u32>(),
            "in_order": collections.iter().all(|collection| collection.began_ns <= collection.ended_ns),
            "first": first,
        });
        out.write("newer-telemetry.jsonl", format!("{line}\n").as_bytes())
    }

    fn finish(&mut self, report: &Report, out: &mut dyn Output) -> Result<()> {
        out.write("newer-report.json", format!("{}\n", json!(report)).as_bytes())
    }
}

/// A server with a level, a count and a distribution.
#[derive(Default)]
pub struct NewerCollector {
    readings: u32,
}

impl Component for NewerCollector {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self::default())
    }
}

impl TelemetryCollector for NewerCollector {
    fn describe(&mut self) -> Result<Catalogue> {
        let metric =
            |name: &str, kind| Metric { name: name.into(), unit: "count".into(), help: "Made up.".into(), kind };
        let entity = |id: &str, labels: &str| Entity { id: id.into(), labels_json: labels.into() };
        let catalogue = Catalogue {
            metrics: vec![
                metric("newer_level", MetricKind::GAUGE),
                metric("newer_count", MetricKind::COUNTER),
                metric("newer_time", MetricKind::HISTOGRAM),
                metric("newer_time_sum", MetricKind::COUNTER),
            ]
            .into(),
            entities: vec![
                entity("newer", r#"{"source":"made up"}"#),
                entity("newer-1", r#"{"source":"made up","le":"1"}"#),
                entity("newer-inf", r#"{"source":"made up","le":"+Inf"}"#),
            ]
            .into(),
            min_interval_ns: 1_000_000,
            ..Catalogue::default()
        };
        Ok(catalogue.about(Subject::SERVER))
    }

    fn collect(&mut self, now_ns: u64, out: &mut RVec<Sample>) -> Result<()> {
        let count = f64::from(self.readings);
        self.readings += 1;
        let samples = [(0, 0, 5.0), (1, 0, count), (2, 1, count), (2, 2, 4.0 * count), (3, 0, 8.0 * count)];
        out.extend(samples.map(|(metric, entity, value)| Sample { metric, entity, at_ns: now_ns, value }));
        Ok(())
    }
}

inferometer_plugin_sdk::endpoint! { name: "newer-endpoint", summary: "Of interface 1.1.", component: NewerEndpoint }
inferometer_plugin_sdk::exporter! { name: "newer-exporter", summary: "Of interface 1.1.", component: NewerExporter }
inferometer_plugin_sdk::collector! { name: "newer-collector", summary: "Of interface 1.1.", component: NewerCollector }
inferometer_plugin_sdk::export_plugin!();
