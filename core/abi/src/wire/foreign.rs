//! The host's side of the boundary: wire objects made back into plain traits.

use super::objects::{
    CollectorObj, DatasetObj, EndpointObj, ExporterObj, TimingObj, WireOutline, WireOutline_TO, WireOutput,
    WireOutput_TO, WireSession, WireSession_TO, WireText, WireText_TO, WireTimetable, WireTimetable_TO,
};
use crate::{
    api,
    documents::{DatasetInfo, DatasetRequest, EndpointInfo, Report, Run, TelemetrySource},
    types::{
        Answer, Branch, Catalogue, Collection, Delta, Error, ErrorKind, Event, Exchange, Flow, Load, Outgoing, Outline,
        PhaseSpec, Record, Reply, Request, Result, Sample, Step, Turn, TurnTime,
    },
};
use abi_stable::{
    RMut, RRef,
    std_types::{RResult, RSlice, RStr, RString, RVec},
    type_level::downcasting::TD_Opaque,
};

/// A component from a library, and what the host keeps of it.
struct Foreign<O, K = ()> {
    object: O,
    kept: K,
}

/// An endpoint from its wire form. It is asked here, once, what it is able to do.
///
/// # Errors
/// When its description panics or is none that this host understands.
pub fn endpoint(object: EndpointObj) -> Result<Box<dyn api::Endpoint>> {
    let told: Result<RString> = object.info().into();
    let info: EndpointInfo = serde_json::from_str(&told?)
        .map_err(|e| Error::new(ErrorKind::UNSUPPORTED, format!("its description of itself cannot be used: {e}")))?;
    let paths = [Some(&info.path), info.streaming_path.as_ref()];
    if let Some(path) = paths.into_iter().flatten().find(|path| !path.is_empty() && !path.starts_with('/')) {
        return Err(Error::config(format!("it says that it lives at '{path}', and a path begins with a slash")));
    }
    Ok(Box::new(Foreign { object, kept: info }))
}

/// A timing strategy from its wire form.
pub fn timing(object: TimingObj) -> Box<dyn api::TimingStrategy> {
    Box::new(Foreign { object, kept: () })
}

/// A telemetry collector from its wire form.
pub fn collector(object: CollectorObj) -> Box<dyn api::TelemetryCollector> {
    Box::new(Foreign { object, kept: () })
}

/// An exporter from its wire form.
pub fn exporter(object: ExporterObj) -> Box<dyn api::Exporter> {
    Box::new(Foreign { object, kept: () })
}

/// A data set loader from its wire form.
pub fn dataset(object: DatasetObj) -> Box<dyn api::DatasetLoader> {
    Box::new(Foreign { object, kept: () })
}

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::new(ErrorKind::OTHER, e))
}

impl api::Endpoint for Foreign<EndpointObj, EndpointInfo> {
    fn info(&self) -> EndpointInfo {
        self.kept.clone()
    }

    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        self.object.encode(request, out).into()
    }

    #[inline]
    fn on_event(&self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind> {
        match self.object.on_event(event, out, scratch) {
            0 => Ok(()),
            code => Err(ErrorKind(code - 1)),
        }
    }

    fn on_body(&self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        self.object.on_body(answer, out).into()
    }

    fn on_answer(&self, answer: &Answer<'_>, exchange: &Exchange<'_>, out: &mut Reply) -> Result<()> {
        self.object.on_answer(answer, exchange, out).into()
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
        self.object.start(phase, WireTimetable_TO::from_ptr(RRef::new(&lent), TD_Opaque)).into()
    }

    fn next(&mut self, now_ns: u64, load: &Load) -> Result<Step> {
        self.object.next(now_ns, load).into()
    }

    fn on_flow(&mut self, event: &Flow) -> Result<()> {
        self.object.on_flow(event).into()
    }
}

impl api::TelemetryCollector for Foreign<CollectorObj> {
    fn describe(&mut self) -> Result<Catalogue> {
        self.object.describe().into()
    }

    fn collect(&mut self, now_ns: u64, out: &mut RVec<Sample>) -> Result<()> {
        self.object.collect(now_ns, out).into()
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
        self.object.begin(json.as_str().into(), WireOutput_TO::from_ptr(RMut::new(&mut lent), TD_Opaque)).into()
    }

    fn records(&mut self, records: &[Record<'_>], out: &mut dyn api::Output) -> Result<()> {
        let mut lent = Lend(out);
        self.object.records(records.into(), WireOutput_TO::from_ptr(RMut::new(&mut lent), TD_Opaque)).into()
    }

    fn finish(&mut self, report: &Report, out: &mut dyn api::Output) -> Result<()> {
        let (json, mut lent) = (to_json(report)?, Lend(out));
        self.object.finish(json.as_str().into(), WireOutput_TO::from_ptr(RMut::new(&mut lent), TD_Opaque)).into()
    }

    fn telemetry(
        &mut self,
        source: &TelemetrySource,
        collections: &[Collection],
        samples: &[Sample],
        out: &mut dyn api::Output,
    ) -> Result<()> {
        let (json, mut lent) = (to_json(source)?, Lend(out));
        let out = WireOutput_TO::from_ptr(RMut::new(&mut lent), TD_Opaque);
        self.object.telemetry(json.as_str().into(), collections.into(), samples.into(), out).into()
    }
}

impl WireText for Lend<&dyn api::TextTools> {
    fn count(&self, text: RStr<'_>) -> u64 {
        self.0.count(text.as_str())
    }

    fn text(&self, seed: u64, tokens: u64) -> RResult<RString, Error> {
        self.0.text(seed, tokens).map(Into::into).into()
    }

    fn continuation(&self, seed: u64, tokens: u64) -> RResult<RString, Error> {
        self.0.continuation(seed, tokens).map(Into::into).into()
    }
}

impl WireSession for Lend<&mut dyn api::SessionSink> {
    fn name(&mut self, name: RStr<'_>) {
        self.0.name(name.as_str());
    }

    fn turn(&mut self, turn: &Turn<'_>) {
        self.0.turn(turn);
    }

    fn branch(&mut self, branch: &Branch) {
        self.0.branch(branch);
    }
}

impl WireOutline for Lend<&mut dyn api::OutlineSink> {
    fn name(&mut self, name: RStr<'_>) {
        self.0.name(name.as_str());
    }

    fn turn(&mut self, outline: &Outline<'_>) {
        self.0.turn(outline);
    }
}

impl api::DatasetLoader for Foreign<DatasetObj> {
    fn open(&mut self, request: &DatasetRequest, text: &dyn api::TextTools) -> Result<DatasetInfo> {
        let (json, lent) = (to_json(request)?, Lend(text));
        let info: Result<RString> =
            self.object.open(json.as_str().into(), WireText_TO::from_ptr(RRef::new(&lent), TD_Opaque)).into();
        serde_json::from_str(&info?).map_err(|e| Error::new(ErrorKind::OTHER, format!("the loader's description: {e}")))
    }

    fn session(&self, index: u64, text: &dyn api::TextTools, sink: &mut dyn api::SessionSink) -> Result<()> {
        let (tools, mut lent) = (Lend(text), Lend(sink));
        self.object
            .session(
                index,
                WireText_TO::from_ptr(RRef::new(&tools), TD_Opaque),
                WireSession_TO::from_ptr(RMut::new(&mut lent), TD_Opaque),
            )
            .into()
    }

    fn outline(&self, index: u64, sink: &mut dyn api::OutlineSink) -> Result<()> {
        let mut lent = Lend(sink);
        self.object.outline(index, WireOutline_TO::from_ptr(RMut::new(&mut lent), TD_Opaque)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::Endpoint,
        wire::{guard, objects::WireEndpoint, objects::WireEndpoint_TO},
    };
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    /// An endpoint that describes itself by a function.
    struct Described<F>(F);

    impl<F: Fn() -> EndpointInfo + Send + Sync + 'static> Endpoint for Described<F> {
        fn info(&self) -> EndpointInfo {
            self.0()
        }
        fn encode(&self, _: &Request<'_>, _: &mut Outgoing) -> Result<()> {
            Ok(())
        }
        fn on_event(&self, _: &Event<'_>, _: &mut Delta, _: &mut RVec<u8>) -> Result<(), ErrorKind> {
            Ok(())
        }
        fn on_body(&self, _: &Answer<'_>, _: &mut Reply) -> Result<()> {
            Ok(())
        }
    }

    fn crossed(info: impl Fn() -> EndpointInfo + Send + Sync + 'static) -> Result<Box<dyn Endpoint>> {
        endpoint(guard::endpoint("described", Box::new(Described(info))))
    }

    /// An endpoint of another make, whose description is any text.
    struct Raw(&'static str);

    impl WireEndpoint for Raw {
        fn info(&self) -> RResult<RString, Error> {
            RResult::ROk(self.0.into())
        }
        fn encode(&self, _: &Request<'_>, _: &mut Outgoing) -> RResult<(), Error> {
            RResult::ROk(())
        }
        fn on_event(&self, _: &Event<'_>, _: &mut Delta, _: &mut RVec<u8>) -> u32 {
            0
        }
        fn on_body(&self, _: &Answer<'_>, _: &mut Reply) -> RResult<(), Error> {
            RResult::ROk(())
        }
    }

    #[test]
    fn an_endpoint_is_asked_once_what_it_is_able_to_do() {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let info = EndpointInfo { path: "/v1/x".into(), streams: true, ..EndpointInfo::default() };
        let told = info.clone();
        let foreign = crossed(move || {
            ASKED.fetch_add(1, SeqCst);
            told.clone()
        });
        let foreign = foreign.ok().unwrap();
        assert_eq!((foreign.info(), foreign.info()), (info.clone(), info));
        assert_eq!(ASKED.load(SeqCst), 1);
    }

    #[test]
    fn a_description_that_panics_is_an_error() {
        let error = crossed(|| panic!("no comment")).err().unwrap();
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::PANICKED, "panicked: no comment"));
    }

    #[test]
    fn a_path_without_its_slash_is_an_error_that_shows_it() {
        let error = crossed(|| EndpointInfo { path: "v1/x".into(), ..EndpointInfo::default() }).err().unwrap();
        assert!(error.message.contains("'v1/x'"), "{error}");
    }

    #[test]
    fn a_description_that_is_not_understood_is_an_error_with_the_reason() {
        for (told, reason) in
            [("", "EOF"), (r#"{"framing":"by_pigeon"}"#, "by_pigeon"), (r#"{"path":7}"#, "integer `7`")]
        {
            let error = endpoint(WireEndpoint_TO::from_value(Raw(told), TD_Opaque)).err().unwrap();
            assert!(error.message.contains(reason), "{told}: {error}");
        }
    }
}
