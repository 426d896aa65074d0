//! The plugin's side of the boundary: plain traits made into wire objects that never let a panic out.
//!
//! After one panic an object takes no more calls: its state is not to be trusted. The panic's text is in the error; where
//! there is no error to put it in, it is said through the host's log.

use super::{
    module::log,
    objects::{
        CollectorObj, DatasetObj, EndpointObj, ExporterObj, OutlineRef, OutputRef, SessionRef, TextRef, TimetableRef,
        TimingObj, WireCollector, WireCollector_TO, WireDataset, WireDataset_TO, WireEndpoint, WireEndpoint_TO,
        WireExporter, WireExporter_TO, WireTiming, WireTiming_TO,
    },
};
use crate::{
    api,
    types::{
        Answer, Branch, Catalogue, Collection, Delta, Error, ErrorKind, Event, Exchange, Flow, Load, Outgoing, Outline,
        PhaseSpec, Record, Reply, Request, Result, Sample, Step, Turn, TurnTime,
    },
};
use abi_stable::{
    std_types::{RResult, RSlice, RStr, RString, RVec},
    type_level::downcasting::TD_Opaque,
};
use std::{
    any::Any,
    mem::ManuallyDrop,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// An author's object, its panics contained.
struct Guard<T> {
    inner: ManuallyDrop<T>,
    /// What the component is called, for the log.
    name: &'static str,
    dead: AtomicBool,
}

impl<T> Guard<T> {
    fn new(inner: T, name: &'static str) -> Self {
        Self { inner: ManuallyDrop::new(inner), name, dead: AtomicBool::new(false) }
    }

    fn shared<R>(&self, call: impl FnOnce(&T) -> Result<R>) -> RResult<R, Error> {
        contain(&self.dead, || call(&self.inner)).into()
    }

    fn exclusive<R>(&mut self, call: impl FnOnce(&mut T) -> Result<R>) -> RResult<R, Error> {
        let Self { inner, dead, .. } = self;
        contain(dead, || call(inner)).into()
    }

    /// Says in the host's log that `call` panicked.
    fn say(&self, call: &str, panic: Box<dyn Any + Send>) {
        log::say(1, self.name, &format!("{call} {}", text_of(panic)));
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        let inner = &mut self.inner;
        // SAFETY: `inner` is dropped here and nowhere else, and is not used afterwards.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { ManuallyDrop::drop(inner) }));
        if let Err(panic) = dropped {
            self.say("drop", panic);
        }
    }
}

/// Runs `call` unless an earlier one panicked; a panic becomes an error with the panic's text.
pub(super) fn contain<R>(dead: &AtomicBool, call: impl FnOnce() -> Result<R>) -> Result<R> {
    if dead.load(Relaxed) {
        return Err(Error::new(ErrorKind::PANICKED, "disabled after an earlier panic"));
    }
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        dead.store(true, Relaxed);
        Err(Error::new(ErrorKind::PANICKED, text_of(panic)))
    })
}

/// The text a panic was raised with. The payload is leaked: dropping it may panic again.
fn text_of(panic: Box<dyn Any + Send>) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned());
    std::mem::forget(panic);
    format!("panicked: {text}")
}

fn to_json(value: &impl serde::Serialize) -> Result<RString> {
    serde_json::to_string(value).map(Into::into).map_err(|e| Error::new(ErrorKind::OTHER, e))
}

fn from_json<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::new(ErrorKind::OTHER, format!("a document of the host: {e}")))
}

impl WireEndpoint for Guard<Box<dyn api::Endpoint>> {
    fn info(&self) -> RResult<RString, Error> {
        self.shared(|e| to_json(&e.info()))
    }

    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> RResult<(), Error> {
        self.shared(|e| e.encode(request, out))
    }

    fn on_event(&self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> u32 {
        if self.dead.load(Relaxed) {
            return ErrorKind::PANICKED.0 + 1;
        }
        match catch_unwind(AssertUnwindSafe(|| self.inner.on_event(event, out, scratch))) {
            Ok(Ok(())) => 0,
            Ok(Err(kind)) => kind.0.saturating_add(1),
            Err(panic) => {
                // Of several threads that panic at once, one says why.
                if !self.dead.swap(true, Relaxed) {
                    self.say("on_event", panic);
                } else {
                    std::mem::forget(panic);
                }
                ErrorKind::PANICKED.0 + 1
            }
        }
    }

    fn on_body(&self, answer: &Answer<'_>, out: &mut Reply) -> RResult<(), Error> {
        self.shared(|e| e.on_body(answer, out))
    }

    fn on_answer(&self, answer: &Answer<'_>, exchange: &Exchange<'_>, out: &mut Reply) -> RResult<(), Error> {
        self.shared(|e| e.on_answer(answer, exchange, out))
    }
}

struct LentTimetable<'a>(TimetableRef<'a>);

impl api::Timetable for LentTimetable<'_> {
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

impl WireTiming for Guard<Box<dyn api::TimingStrategy>> {
    fn start(&mut self, phase: &PhaseSpec, timetable: TimetableRef<'_>) -> RResult<(), Error> {
        self.exclusive(|s| s.start(phase, &LentTimetable(timetable)))
    }

    fn next(&mut self, now_ns: u64, load: &Load) -> RResult<Step, Error> {
        self.exclusive(|s| s.next(now_ns, load))
    }

    fn on_flow(&mut self, event: &Flow) -> RResult<(), Error> {
        self.exclusive(|s| s.on_flow(event))
    }
}

impl WireCollector for Guard<Box<dyn api::TelemetryCollector>> {
    fn describe(&mut self) -> RResult<Catalogue, Error> {
        self.exclusive(|c| c.describe())
    }

    fn collect(&mut self, now_ns: u64, out: &mut RVec<Sample>) -> RResult<(), Error> {
        self.exclusive(|c| c.collect(now_ns, out))
    }
}

struct LentOutput<'a>(OutputRef<'a>);

impl api::Output for LentOutput<'_> {
    fn write(&mut self, file: &str, bytes: &[u8]) -> Result<()> {
        self.0.write(file.into(), bytes.into()).into()
    }

    fn show(&mut self, text: &str) -> Result<()> {
        self.0.show(text.into()).into()
    }
}

impl WireExporter for Guard<Box<dyn api::Exporter>> {
    fn begin(&mut self, run_json: RStr<'_>, out: OutputRef<'_>) -> RResult<(), Error> {
        self.exclusive(|e| e.begin(&from_json(run_json.as_str())?, &mut LentOutput(out)))
    }

    fn records(&mut self, records: RSlice<'_, Record<'_>>, out: OutputRef<'_>) -> RResult<(), Error> {
        self.exclusive(|e| e.records(records.as_slice(), &mut LentOutput(out)))
    }

    fn finish(&mut self, report_json: RStr<'_>, out: OutputRef<'_>) -> RResult<(), Error> {
        self.exclusive(|e| e.finish(&from_json(report_json.as_str())?, &mut LentOutput(out)))
    }

    fn telemetry(
        &mut self,
        source_json: RStr<'_>,
        collections: RSlice<'_, Collection>,
        samples: RSlice<'_, Sample>,
        out: OutputRef<'_>,
    ) -> RResult<(), Error> {
        self.exclusive(|e| {
            let source = from_json(source_json.as_str())?;
            e.telemetry(&source, collections.as_slice(), samples.as_slice(), &mut LentOutput(out))
        })
    }
}

struct LentText<'a>(TextRef<'a>);

impl api::TextTools for LentText<'_> {
    fn count(&self, text: &str) -> u64 {
        self.0.count(text.into())
    }

    fn text(&self, seed: u64, tokens: u64) -> Result<String> {
        self.0.text(seed, tokens).map(RString::into_string).into()
    }

    fn continuation(&self, seed: u64, tokens: u64) -> Result<String> {
        self.0.continuation(seed, tokens).map(RString::into_string).into()
    }
}

struct LentSession<'a>(SessionRef<'a>);

impl api::SessionSink for LentSession<'_> {
    fn name(&mut self, name: &str) {
        self.0.name(name.into());
    }

    fn turn(&mut self, turn: &Turn<'_>) {
        self.0.turn(turn);
    }

    fn branch(&mut self, branch: &Branch) {
        self.0.branch(branch);
    }
}

struct LentOutline<'a>(OutlineRef<'a>);

impl api::OutlineSink for LentOutline<'_> {
    fn name(&mut self, name: &str) {
        self.0.name(name.into());
    }

    fn turn(&mut self, outline: &Outline<'_>) {
        self.0.turn(outline);
    }
}

impl WireDataset for Guard<Box<dyn api::DatasetLoader>> {
    fn open(&mut self, request_json: RStr<'_>, text: TextRef<'_>) -> RResult<RString, Error> {
        self.exclusive(|d| to_json(&d.open(&from_json(request_json.as_str())?, &LentText(text))?))
    }

    fn session(&self, index: u64, text: TextRef<'_>, sink: SessionRef<'_>) -> RResult<(), Error> {
        self.shared(|d| d.session(index, &LentText(text), &mut LentSession(sink)))
    }

    fn outline(&self, index: u64, sink: OutlineRef<'_>) -> RResult<(), Error> {
        self.shared(|d| d.outline(index, &mut LentOutline(sink)))
    }
}

/// The wire form of the endpoint of that name.
pub fn endpoint(name: &'static str, inner: Box<dyn api::Endpoint>) -> EndpointObj {
    WireEndpoint_TO::from_value(Guard::new(inner, name), TD_Opaque)
}

/// The wire form of the timing strategy of that name.
pub fn timing(name: &'static str, inner: Box<dyn api::TimingStrategy>) -> TimingObj {
    WireTiming_TO::from_value(Guard::new(inner, name), TD_Opaque)
}

/// The wire form of the telemetry collector of that name.
pub fn collector(name: &'static str, inner: Box<dyn api::TelemetryCollector>) -> CollectorObj {
    WireCollector_TO::from_value(Guard::new(inner, name), TD_Opaque)
}

/// The wire form of the exporter of that name.
pub fn exporter(name: &'static str, inner: Box<dyn api::Exporter>) -> ExporterObj {
    WireExporter_TO::from_value(Guard::new(inner, name), TD_Opaque)
}

/// The wire form of the data set loader of that name.
pub fn dataset(name: &'static str, inner: Box<dyn api::DatasetLoader>) -> DatasetObj {
    WireDataset_TO::from_value(Guard::new(inner, name), TD_Opaque)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{documents::EndpointInfo, wire::module::HostApi_Ref};
    use std::sync::Mutex;

    /// What the log was told.
    static SAID: Mutex<Vec<(u32, String, String)>> = Mutex::new(Vec::new());

    extern "C" fn log(level: u32, target: RStr<'_>, message: RStr<'_>) {
        SAID.lock().unwrap().push((level, target.into(), message.into()));
    }

    /// Panics at every call, and when it is dropped.
    struct Shy;

    impl Drop for Shy {
        fn drop(&mut self) {
            panic!("go away");
        }
    }

    impl api::Endpoint for Shy {
        fn info(&self) -> EndpointInfo {
            panic!("who asks?")
        }
        fn encode(&self, _: &Request<'_>, _: &mut Outgoing) -> Result<()> {
            panic!("not me")
        }
        fn on_event(&self, event: &Event<'_>, _: &mut Delta, _: &mut RVec<u8>) -> Result<(), ErrorKind> {
            panic!("no words for {} bytes", event.data.len())
        }
        fn on_body(&self, _: &Answer<'_>, _: &mut Reply) -> Result<()> {
            panic!("nor for this")
        }
    }

    #[test]
    fn a_panic_that_no_error_tells_of_is_told_to_the_log_once() {
        log::set(HostApi_Ref::lend(log));
        let object = endpoint("shy", Box::new(Shy));
        for _ in 0..2 {
            let code = object.on_event(&Event::new(b"hi"), &mut Delta::default(), &mut RVec::new());
            assert_eq!(code, ErrorKind::PANICKED.0 + 1);
        }
        drop(object);
        let said = std::mem::take(&mut *SAID.lock().unwrap());
        let line = |message: &str| (1, "shy".to_owned(), message.to_owned());
        assert_eq!(said, [line("on_event panicked: no words for 2 bytes"), line("drop panicked: go away")]);
    }

    #[test]
    fn a_panic_on_a_whole_answer_is_an_error_by_either_call() {
        let answer = Answer { status: 200, exchange: 0, flags: 0, content_type: "".into(), body: RSlice::EMPTY };
        let call = |by: fn(&EndpointObj, &Answer<'_>, &mut Reply) -> RResult<(), Error>| {
            // Its drop is another test's.
            let object = ManuallyDrop::new(endpoint("shy", Box::new(Shy)));
            by(&object, &answer, &mut Reply::default()).into_result().unwrap_err()
        };
        let errors = [
            call(|object, answer, out| object.on_body(answer, out)),
            call(|object, answer, out| object.on_answer(answer, &Exchange::new("/"), out)),
        ];
        for error in errors {
            assert_eq!((error.kind, error.message.as_str()), (ErrorKind::PANICKED, "panicked: nor for this"));
        }
    }
}
