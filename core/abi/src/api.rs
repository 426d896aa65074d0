//! The plain traits an author implements, one per kind of component.
//!
//! None of them performs I/O on the measured path, owns a timer or reads a clock: time, sockets, files and random seeds
//! come from the host, so that the same code runs live, on a virtual clock and in tests.

use crate::{
    documents::{DatasetInfo, DatasetRequest, EndpointInfo, Report, Run, TelemetrySource},
    types::{
        Answer, Branch, Catalogue, Collection, Delta, Error, ErrorKind, Event, Exchange, Flow, Load, Outgoing, Outline,
        PhaseSpec, Record, Reply, Request, Result, Sample, Step, Turn, TurnTime,
    },
};
use abi_stable::std_types::RVec;

/// Speaks one API of inference servers: writes requests and says what answers hold. Sans I/O.
///
/// One object serves all workers at once.
pub trait Endpoint: Send + Sync + 'static {
    /// What this endpoint is able to do, and where it lives on the server. The same at every call: for a library the
    /// host asks once, when the endpoint is made.
    fn info(&self) -> EndpointInfo;

    /// Writes the first exchange of `request` into `out`.
    ///
    /// # Errors
    /// When the request cannot be put in this API's words; the message goes to the user.
    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()>;

    /// Says what one event of a stream holds. `out` is empty when called; spans point into the event's data, or into
    /// `scratch` when flagged so. Called once per event on the measured path: it must not allocate when all is as usual.
    ///
    /// # Errors
    /// [`ErrorKind::MALFORMED`] when the event cannot be read.
    fn on_event(&self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind>;

    /// Says what a whole 2xx answer holds, or which exchange comes next.
    ///
    /// # Errors
    /// [`ErrorKind::MALFORMED`] when the body cannot be read; the message says what was expected.
    fn on_body(&self, answer: &Answer<'_>, out: &mut Reply) -> Result<()>;

    /// The same, told more: of which exchange it is the answer, and its header fields. For endpoints whose requests take
    /// several exchanges; the others have [`Endpoint::on_body`], which this calls unless it is written. Since 1.1: an
    /// older host calls [`Endpoint::on_body`].
    ///
    /// # Errors
    /// As for [`Endpoint::on_body`].
    fn on_answer(&self, answer: &Answer<'_>, _exchange: &Exchange<'_>, out: &mut Reply) -> Result<()> {
        self.on_body(answer, out)
    }
}

/// The data set's own times, for strategies that follow them.
pub trait Timetable {
    /// Number of sessions; 0: endless.
    fn sessions(&self) -> u64;
    /// Turns of a session; 0: it is not to be sent in this phase.
    fn turns(&self, session: u64) -> u32;
    /// When a turn is to be sent, counted from the phase's beginning.
    fn time(&self, session: u64, turn: u32) -> TurnTime;
}

/// Decides when which turn is sent: a state machine without timers, one object per worker.
///
/// Each worker runs its own, told its share; the union over the shards must be the same schedule whatever their number.
pub trait TimingStrategy: Send + 'static {
    /// Begins a phase; called once, before anything else.
    ///
    /// # Errors
    /// When the phase asks for what this strategy cannot do.
    fn start(&mut self, phase: &PhaseSpec, timetable: &dyn Timetable) -> Result<()>;

    /// The next thing to happen. Called again after each [`Step::send`], at the time a wait asked for, and after each
    /// flow event.
    ///
    /// # Errors
    /// Ends the phase; what was sent is still measured.
    fn next(&mut self, now_ns: u64, load: &Load) -> Result<Step>;

    /// A request of this shard ended; the host goes on with the session's next turn by itself.
    ///
    /// # Errors
    /// Ends the phase; what was sent is still measured.
    fn on_flow(&mut self, _event: &Flow) -> Result<()> {
        Ok(())
    }
}

/// Reads one source of hardware or server telemetry. May block: it has a thread of its own.
pub trait TelemetryCollector: Send + 'static {
    /// Connects to the source and says what it has to offer. Called before everything else, and again whenever a sample
    /// was of something that the catalogue did not have yet: catalogues grow at their ends.
    ///
    /// # Errors
    /// When the source is not there; the collector is left out and the message is shown.
    fn describe(&mut self) -> Result<Catalogue>;

    /// Takes one reading of everything. `now_ns` is the time of the call, in nanoseconds since the run began.
    ///
    /// # Errors
    /// The collector is dropped after repeated failures; the message is shown once.
    fn collect(&mut self, now_ns: u64, out: &mut RVec<Sample>) -> Result<()>;
}

/// Where an exporter writes: the run's artifact folder, and the terminal.
pub trait Output {
    /// Appends `bytes` to `file` in the artifact folder; the first write creates it.
    ///
    /// # Errors
    /// When the name leaves the folder or the disk refuses.
    fn write(&mut self, file: &str, bytes: &[u8]) -> Result<()>;

    /// Shows `text` to the user when the run is over.
    ///
    /// # Errors
    /// When the host has nowhere to show it.
    fn show(&mut self, text: &str) -> Result<()>;
}

/// Writes results. Called after the load has ended, so it may take its time.
pub trait Exporter: Send + 'static {
    /// The run's description, before any record.
    ///
    /// # Errors
    /// Reported to the user; the other exporters still write.
    fn begin(&mut self, _run: &Run, _out: &mut dyn Output) -> Result<()> {
        Ok(())
    }

    /// Some finished requests, in order of completion; called as often as it takes.
    ///
    /// # Errors
    /// As for [`Exporter::begin`].
    fn records(&mut self, _records: &[Record<'_>], _out: &mut dyn Output) -> Result<()> {
        Ok(())
    }

    /// What one telemetry source gave, in order of time, from before the first phase to after the last; called once per
    /// source, after the records. Since 1.1: an older host does not call it.
    ///
    /// # Errors
    /// As for [`Exporter::begin`].
    fn telemetry(
        &mut self,
        _source: &TelemetrySource,
        _collections: &[Collection],
        _samples: &[Sample],
        _out: &mut dyn Output,
    ) -> Result<()> {
        Ok(())
    }

    /// The whole report.
    ///
    /// # Errors
    /// As for [`Exporter::begin`].
    fn finish(&mut self, report: &Report, out: &mut dyn Output) -> Result<()>;
}

/// The run's tokenizer, as data sets see it.
pub trait TextTools {
    /// Tokens of `text`.
    fn count(&self, text: &str) -> u64;

    /// Text of exactly `tokens` tokens; the same seed gives the same text.
    ///
    /// # Errors
    /// When the vocabulary allows no such text.
    fn text(&self, seed: u64, tokens: u64) -> Result<String>;

    /// Text that follows other text: it begins with a blank and adds `tokens` tokens to the text it is appended to. Since
    /// 1.1; an older host gives the text of [`TextTools::text`] after a blank.
    ///
    /// # Errors
    /// As for [`TextTools::text`].
    fn continuation(&self, seed: u64, tokens: u64) -> Result<String> {
        Ok(format!(" {}", self.text(seed, tokens)?))
    }
}

/// Takes the turns of one session.
pub trait SessionSink {
    /// The session's name; a name is made up if this is never called.
    fn name(&mut self, name: &str);
    /// The session's next turn.
    fn turn(&mut self, turn: &Turn<'_>);
    /// A session that this one begins. Since 1.1; an older host begins none.
    fn branch(&mut self, _branch: &Branch) {}
}

/// Takes the outlines of one session's turns. Since 1.1.
pub trait OutlineSink {
    /// The session's name, as for [`SessionSink::name`].
    fn name(&mut self, name: &str);
    /// The outline of the session's next turn.
    fn turn(&mut self, outline: &Outline<'_>);
}

/// Gives sessions by number, so that they can be made on demand, by any worker, in any order.
pub trait DatasetLoader: Send + Sync + 'static {
    /// Opens the source and says how many sessions it holds; called once. Input is checked here, in full.
    ///
    /// # Errors
    /// Names the file, the line and the field.
    fn open(&mut self, request: &DatasetRequest, text: &dyn TextTools) -> Result<DatasetInfo>;

    /// Gives session `index`: a pure function of the index and of what [`DatasetLoader::open`] was told.
    ///
    /// # Errors
    /// When the session cannot be made.
    fn session(&self, index: u64, text: &dyn TextTools, sink: &mut dyn SessionSink) -> Result<()>;

    /// Gives the outlines of session `index`: as many as the session has turns, without making their texts. Schedules that
    /// follow the data's times and statistics of traces ask for them. Since 1.1; the host makes the session and looks at
    /// its turns where this is not written.
    ///
    /// # Errors
    /// [`ErrorKind::UNSUPPORTED`] where it is not written; otherwise as for [`DatasetLoader::session`].
    fn outline(&self, _index: u64, _sink: &mut dyn OutlineSink) -> Result<()> {
        Err(Error::new(ErrorKind::UNSUPPORTED, "the loader gives no outlines"))
    }
}
