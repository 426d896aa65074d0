//! The host's side of the boundary: wire objects made back into plain traits.

use super::objects::{
    CollectorObj, DatasetObj, EndpointObj, ExporterObj, TimingObj, WireOutput, WireOutput_TO, WireSession,
    WireSession_TO, WireText, WireText_TO, WireTimetable, WireTimetable_TO,
};
use crate::{
    api,
    documents::{DatasetInfo, DatasetRequest, EndpointInfo, Report, Run},
    types::{
        Answer, Catalogue, Delta, Error, ErrorKind, Event, Flow, Load, Outgoing, PhaseSpec, Record, Reply, Request,
        Result, Sample, Step, Turn, TurnTime,
    },
};
use abi_stable::{
    RMut, RRef,
    std_types::{RResult, RSlice, RStr, RString, RVec},
    type_level::downcasting::TD_Opaque,
};

/// A component from a library.
pub struct Foreign<O>(pub O);

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::new(ErrorKind::OTHER, e))
}

impl api::Endpoint for Foreign<EndpointObj> {
    fn info(&self) -> EndpointInfo {
        serde_json::from_str(&self.0.info()).unwrap_or_default()
    }

    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        self.0.encode(request, out).into()
    }

    #[inline]
    fn on_event(&self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind> {
        match self.0.on_event(event, out, scratch) {
            0 => Ok(()),
            code => Err(ErrorKind(code - 1)),
        }
    }

    fn on_body(&self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        self.0.on_body(answer, out).into()
    }
}

struct Lend<T>(T);

impl WireTimetable for Lend<&dyn api::Timetable> {
    fn sessions(&self) -> u64 {
        self.0.sessions()
    }

    fn turns(&self, session: u64) -> u32 {
        self.0.turns(session)
    }

    fn time(&self, session: u64, turn: u32) -> TurnTime {
        self.0.time(session, turn)
    }
}

impl api::TimingStrategy for Foreign<TimingObj> {
    fn start(&mut self, phase: &PhaseSpec, timetable: &dyn api::Timetable) -> Result<()> {
        let lent = Lend(timetable);
        self.0.start(phase, WireTimetable_TO::from_ptr(RRef::new(&lent), TD_Opaque)).into()
    }

    fn next(&mut self, now_ns: u64, load: &Load) -> Result<Step> {
        self.0.next(now_ns, load).into()
    }

    fn on_flow(&mut self, event: &Flow) -> Result<()> {
        self.0.on_flow(event).into()
    }
}

impl api::TelemetryCollector for Foreign<CollectorObj> {
    fn describe(&mut self) -> Result<Catalogue> {
        self.0.describe().into()
    }

    fn collect(&mut self, now_ns: u64, out: &mut RVec<Sample>) -> Result<()> {
        self.0.collect(now_ns, out).into()
    }
}

impl WireOutput for Lend<&mut dyn api::Output> {
    fn write(&mut self, file: RStr<'_>, bytes: RSlice<'_, u8>) -> RResult<(), Error> {
        self.0.write(file.as_str(), bytes.as_slice()).into()
    }

    fn show(&mut self, text: RStr<'_>) -> RResult<(), Error> {
        self.0.show(text.as_str()).into()
    }
}

impl api::Exporter for Foreign<ExporterObj> {
    fn begin(&mut self, run: &Run, out: &mut dyn api::Output) -> Result<()> {
        let (json, mut lent) = (to_json(run)?, Lend(out));
        self.0.begin(json.as_str().into(), WireOutput_TO::from_ptr(RMut::new(&mut lent), TD_Opaque)).into()
    }

    fn records(&mut self, records: &[Record<'_>], out: &mut dyn api::Output) -> Result<()> {
        let mut lent = Lend(out);
        self.0.records(records.into(), WireOutput_TO::from_ptr(RMut::new(&mut lent), TD_Opaque)).into()
    }

    fn finish(&mut self, report: &Report, out: &mut dyn api::Output) -> Result<()> {
        let (json, mut lent) = (to_json(report)?, Lend(out));
        self.0.finish(json.as_str().into(), WireOutput_TO::from_ptr(RMut::new(&mut lent), TD_Opaque)).into()
    }
}

impl WireText for Lend<&dyn api::TextTools> {
    fn count(&self, text: RStr<'_>) -> u64 {
        self.0.count(text.as_str())
    }

    fn text(&self, seed: u64, tokens: u64) -> RResult<RString, Error> {
        self.0.text(seed, tokens).map(Into::into).into()
    }
}

impl WireSession for Lend<&mut dyn api::SessionSink> {
    fn name(&mut self, name: RStr<'_>) {
        self.0.name(name.as_str());
    }

    fn turn(&mut self, turn: &Turn<'_>) {
        self.0.turn(turn);
    }
}

impl api::DatasetLoader for Foreign<DatasetObj> {
    fn open(&mut self, request: &DatasetRequest, text: &dyn api::TextTools) -> Result<DatasetInfo> {
        let (json, lent) = (to_json(request)?, Lend(text));
        let info: Result<RString> =
            self.0.open(json.as_str().into(), WireText_TO::from_ptr(RRef::new(&lent), TD_Opaque)).into();
        serde_json::from_str(&info?).map_err(|e| Error::new(ErrorKind::OTHER, format!("the loader's description: {e}")))
    }

    fn session(&self, index: u64, text: &dyn api::TextTools, sink: &mut dyn api::SessionSink) -> Result<()> {
        let (tools, mut lent) = (Lend(text), Lend(sink));
        self.0
            .session(
                index,
                WireText_TO::from_ptr(RRef::new(&tools), TD_Opaque),
                WireSession_TO::from_ptr(RMut::new(&mut lent), TD_Opaque),
            )
            .into()
    }
}
