//! The wire form of each kind and of each thing a host lends to a call.
//!
//! A `last_prefix_field` marks where version 1.0 ends: later minor versions add methods after it, with defaults.

#![allow(missing_docs, non_camel_case_types, non_local_definitions, unreachable_pub, reason = "sabi_trait's output")]
#![allow(clippy::all, reason = "sabi_trait's output")]

use crate::types::{
    Answer, Branch, Catalogue, Collection, Delta, Error, ErrorKind, Event, Exchange, Flow, Load, Outgoing, Outline,
    PhaseSpec, Record, Reply, Request, Sample, Step, Turn, TurnTime,
};
use abi_stable::{
    RMut, RRef, sabi_trait,
    std_types::{RBox, RResult, RSlice, RStr, RString, RVec},
};

#[sabi_trait]
pub trait WireEndpoint: Send + Sync {
    /// An [`crate::documents::EndpointInfo`] as JSON.
    fn info(&self) -> RResult<RString, Error>;
    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> RResult<(), Error>;
    /// 0, or an error kind plus one.
    fn on_event(&self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> u32;
    #[sabi(last_prefix_field)]
    fn on_body(&self, answer: &Answer<'_>, out: &mut Reply) -> RResult<(), Error>;
    /// Since 1.1.
    fn on_answer(&self, answer: &Answer<'_>, _exchange: &Exchange<'_>, out: &mut Reply) -> RResult<(), Error> {
        self.on_body(answer, out)
    }
}

#[sabi_trait]
pub trait WireTimetable {
    fn sessions(&self) -> u64;
    fn turns(&self, session: u64) -> u32;
    #[sabi(last_prefix_field)]
    fn time(&self, session: u64, turn: u32) -> TurnTime;
}

#[sabi_trait]
pub trait WireTiming: Send {
    fn start(&mut self, phase: &PhaseSpec, timetable: TimetableRef<'_>) -> RResult<(), Error>;
    fn next(&mut self, now_ns: u64, load: &Load) -> RResult<Step, Error>;
    #[sabi(last_prefix_field)]
    fn on_flow(&mut self, event: &Flow) -> RResult<(), Error>;
}

#[sabi_trait]
pub trait WireCollector: Send {
    fn describe(&mut self) -> RResult<Catalogue, Error>;
    #[sabi(last_prefix_field)]
    fn collect(&mut self, now_ns: u64, out: &mut RVec<Sample>) -> RResult<(), Error>;
}

#[sabi_trait]
pub trait WireOutput {
    fn write(&mut self, file: RStr<'_>, bytes: RSlice<'_, u8>) -> RResult<(), Error>;
    #[sabi(last_prefix_field)]
    fn show(&mut self, text: RStr<'_>) -> RResult<(), Error>;
}

#[sabi_trait]
pub trait WireExporter: Send {
    fn begin(&mut self, run_json: RStr<'_>, out: OutputRef<'_>) -> RResult<(), Error>;
    fn records(&mut self, records: RSlice<'_, Record<'_>>, out: OutputRef<'_>) -> RResult<(), Error>;
    #[sabi(last_prefix_field)]
    fn finish(&mut self, report_json: RStr<'_>, out: OutputRef<'_>) -> RResult<(), Error>;
    /// Since 1.1.
    fn telemetry(
        &mut self,
        _source_json: RStr<'_>,
        _collections: RSlice<'_, Collection>,
        _samples: RSlice<'_, Sample>,
        _out: OutputRef<'_>,
    ) -> RResult<(), Error> {
        RResult::ROk(())
    }
}

#[sabi_trait]
pub trait WireText {
    fn count(&self, text: RStr<'_>) -> u64;
    #[sabi(last_prefix_field)]
    fn text(&self, seed: u64, tokens: u64) -> RResult<RString, Error>;
    /// Since 1.1.
    fn continuation(&self, seed: u64, tokens: u64) -> RResult<RString, Error> {
        self.text(seed, tokens).map(|text| format!(" {text}").into())
    }
}

#[sabi_trait]
pub trait WireSession {
    fn name(&mut self, name: RStr<'_>);
    #[sabi(last_prefix_field)]
    fn turn(&mut self, turn: &Turn<'_>);
    /// Since 1.1.
    fn branch(&mut self, _branch: &Branch) {}
}

#[sabi_trait]
pub trait WireOutline {
    fn name(&mut self, name: RStr<'_>);
    #[sabi(last_prefix_field)]
    fn turn(&mut self, outline: &Outline<'_>);
}

#[sabi_trait]
pub trait WireDataset: Send + Sync {
    fn open(&mut self, request_json: RStr<'_>, text: TextRef<'_>) -> RResult<RString, Error>;
    #[sabi(last_prefix_field)]
    fn session(&self, index: u64, text: TextRef<'_>, sink: SessionRef<'_>) -> RResult<(), Error>;
    /// Since 1.1.
    fn outline(&self, _index: u64, _sink: OutlineRef<'_>) -> RResult<(), Error> {
        RResult::RErr(Error::new(ErrorKind::UNSUPPORTED, "the loader gives no outlines"))
    }
}

pub type OutputRef<'a> = WireOutput_TO<'a, RMut<'a, ()>>;
pub type TimetableRef<'a> = WireTimetable_TO<'a, RRef<'a, ()>>;
pub type TextRef<'a> = WireText_TO<'a, RRef<'a, ()>>;
pub type SessionRef<'a> = WireSession_TO<'a, RMut<'a, ()>>;
pub type OutlineRef<'a> = WireOutline_TO<'a, RMut<'a, ()>>;

/// An endpoint from a library.
pub type EndpointObj = WireEndpoint_TO<'static, RBox<()>>;
/// A timing strategy from a library.
pub type TimingObj = WireTiming_TO<'static, RBox<()>>;
/// A telemetry collector from a library.
pub type CollectorObj = WireCollector_TO<'static, RBox<()>>;
/// An exporter from a library.
pub type ExporterObj = WireExporter_TO<'static, RBox<()>>;
/// A data set loader from a library.
pub type DatasetObj = WireDataset_TO<'static, RBox<()>>;
