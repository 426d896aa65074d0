//! [`Telemetry`]: one thread per collector, beside the load.
//!
//! A collector may be slow, fail, panic or never come back. Whatever it does, the load does not wait for it, what it gave
//! before is kept, and it is said.

mod log;
#[cfg(test)]
mod tests;

pub(crate) use log::SourceLog;

use inferometer_abi::{
    RVec,
    api::TelemetryCollector,
    documents::Subject,
    types::{Error, ErrorKind, Sample},
};
use inferometer_model::{Clock, plan::SourcePlan};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Refusals in a row after which a collector is given up.
const MOST_REFUSALS: u32 = 3;
/// What fails is tried again at the interval, and after each further failure in a row half as often; but not more often
/// than at the first of these, nor, unless the interval itself is longer, less often than at the second.
const RETRY_SOONEST_NS: u64 = 100_000_000;
const RETRY_LATEST_NS: u64 = 2_000_000_000;
/// How long sources that were asked for may take to give their first reading.
const PATIENCE_ASKED: Duration = Duration::from_secs(3);
/// How long the others may.
const PATIENCE: Duration = Duration::from_millis(300);
/// A first reading older than this is taken anew before the load begins.
const STALE: Duration = Duration::from_millis(20);
/// A server counts an answer a moment after its last byte: how long the last reading waits for that.
const SETTLING: Duration = Duration::from_millis(20);
/// How long a reading between phases may take; a page that needs 0.3 s, and was being read just then, still comes in time.
const PATIENCE_BETWEEN: Duration = Duration::from_millis(700);
/// How long the last reading may take.
const PATIENCE_LAST: Duration = Duration::from_secs(2);

/// The collectors of a run at work.
pub(crate) struct Telemetry {
    watches: Vec<Arc<Watch>>,
}

/// One collector, as its thread and the run see it.
struct Watch {
    plan: SourcePlan,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    log: SourceLog,
    /// Readings begun and ended, whatever came of them.
    begun: u64,
    ended: u64,
    /// Readings up to this number are due at once.
    asked: u64,
    /// Readings that failed, in a row and in all, with the words of the last.
    failures_in_a_row: u32,
    failures: u64,
    /// Of those in a row, refusals: the collector cannot, and does not expect that to change.
    refusals_in_a_row: u32,
    last_failure: String,
    stopping: bool,
    /// It has been waited for once, in vain, and has not come back since: nobody waits for it again.
    late: bool,
    /// The thread does nothing more.
    over: bool,
}

/// What telemetry gave.
pub(crate) struct Collected {
    pub(crate) logs: Vec<SourceLog>,
    /// What is to be said of it.
    pub(crate) notes: Vec<String>,
}

impl Telemetry {
    /// Sets each collector to work on a thread of its own.
    pub(crate) fn start(
        collectors: Vec<(SourcePlan, Box<dyn TelemetryCollector>)>,
        clock: Clock,
        interval_ns: u64,
    ) -> std::io::Result<Self> {
        let mut watches = Vec::new();
        for (plan, collector) in collectors {
            let watch = Arc::new(Watch::new(plan));
            let own = Arc::clone(&watch);
            let name = format!("collect-{}", watch.plan.collector);
            // A thread that hangs in a collector is never joined; it ends with the program.
            std::thread::Builder::new().name(name).spawn(move || own.run(collector, clock, interval_ns))?;
            watches.push(watch);
        }
        Ok(Self { watches })
    }

    /// Waits until each source has given a reading, or until patience ends; the load begins right after.
    pub(crate) fn wait_until_ready(&self) {
        let began = Instant::now();
        let patience = |watch: &Watch| if watch.plan.asked { PATIENCE_ASKED } else { PATIENCE };
        for watch in &self.watches {
            watch.wait_for(1, began + patience(watch));
        }
        if began.elapsed() > STALE {
            self.read(patience);
        }
    }

    /// Takes a reading between two phases, for as long as nothing is measured: it tells what was counted in which. That a
    /// source did not give it in time shows in its readings.
    pub(crate) fn read_between(&self) {
        self.settle();
        self.read(|_| PATIENCE_BETWEEN);
    }

    /// Gives a server the time to count its last answers.
    fn settle(&self) {
        if self.watches.iter().any(|watch| watch.tells_of_server()) {
            std::thread::sleep(SETTLING);
        }
    }

    /// Takes a reading of every source; says which of them came back in time.
    fn read(&self, patience: impl Fn(&Watch) -> Duration) -> Vec<bool> {
        let now = Instant::now();
        let asked: Vec<u64> = self.watches.iter().map(|watch| watch.ask()).collect();
        let waits = self.watches.iter().zip(asked);
        waits.map(|(watch, number)| watch.wait_for(number, now + patience(watch))).collect()
    }

    /// Takes a last reading, and what was given. A collector that does not come back in time is left behind.
    pub(crate) fn finish(&self) -> Collected {
        self.settle();
        let came_back = self.read(|_| PATIENCE_LAST);
        let mut collected = Collected { logs: Vec::new(), notes: Vec::new() };
        for (watch, came_back) in self.watches.iter().zip(came_back) {
            let mut state = watch.lock();
            state.stopping = true;
            watch.changed.notify_all();
            let name = &watch.plan.name;
            // A message that names the source does not need it said twice.
            let about = |message: &str| {
                let prefix = if message.contains(name.as_str()) { String::new() } else { format!(" of {name}") };
                format!("telemetry{prefix}: {message}")
            };
            let was_there = !state.log.collections.is_empty();
            if !came_back {
                let kept = if was_there { "; what it gave before is kept" } else { ", and never answered" };
                state.log.source.failure.get_or_insert(format!("does not answer{kept}"));
            } else if state.failures_in_a_row > 0 {
                let last = state.last_failure.clone();
                state.log.source.failure.get_or_insert(last);
            }
            let (failed, of) = (state.failures, state.ended);
            if let Some(failure) = &state.log.source.failure {
                // What nobody asked for and was never there is no news.
                if watch.plan.asked || was_there {
                    let readings = format!(" ({failed} of {of} readings failed)");
                    let readings = if was_there && failed > 0 { readings } else { String::new() };
                    collected.notes.push(about(&format!("{failure}{readings}")));
                }
            } else if failed > 0 {
                let last = &state.last_failure;
                collected.notes.push(about(&format!("{failed} of {of} readings failed: {last}")));
            }
            if state.log.unplaced > 0 {
                let unplaced = state.log.unplaced;
                collected.notes.push(about(&format!(
                    "{unplaced} samples were of things it does not list, or no numbers, and are left out"
                )));
            }
            if state.log.thinned > 0 {
                let kept = 1_u64 << state.log.thinned.min(63);
                collected.notes.push(about(&format!("to bound the memory, one reading in {kept} was kept")));
            }
            let mut log = std::mem::take(&mut state.log);
            log.finish();
            collected.logs.push(log);
        }
        collected
    }
}

impl State {
    /// Nothing more comes of this collector.
    fn give_up(&mut self, why: String) {
        self.over = true;
        self.log.source.failure = Some(why);
    }
}

impl Watch {
    fn new(plan: SourcePlan) -> Self {
        let state = State {
            log: SourceLog::new(&plan),
            begun: 0,
            ended: 0,
            asked: 0,
            failures_in_a_row: 0,
            failures: 0,
            refusals_in_a_row: 0,
            last_failure: String::new(),
            stopping: false,
            late: false,
            over: false,
        };
        Self { plan, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it gave readings of an inference server.
    fn tells_of_server(&self) -> bool {
        let log = &self.lock().log;
        log.source.subject == Subject::Server && !log.collections.is_empty()
    }

    /// Makes a reading due at once, and says which number it has.
    fn ask(&self) -> u64 {
        let mut state = self.lock();
        state.asked = state.begun + 1;
        self.changed.notify_all();
        state.asked
    }

    /// Waits until as many readings have ended or the collector is given up; says whether that came in time.
    fn wait_for(&self, number: u64, until: Instant) -> bool {
        let mut state = self.lock();
        while state.ended < number && !state.over {
            let left = until.checked_duration_since(Instant::now()).filter(|_| !state.late);
            let Some(left) = left else {
                state.late = true;
                return false;
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// What the collector's thread does.
    fn run(&self, mut collector: Box<dyn TelemetryCollector>, clock: Clock, interval_ns: u64) {
        let outcome = self.collect_until_stopped(&mut *collector, clock, interval_ns);
        let mut state = self.lock();
        state.over = true;
        if let Err(why) = outcome {
            state.give_up(why);
        }
        self.changed.notify_all();
        drop(state);
        // A destructor may panic as well, and nobody is left to be told.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(collector)));
    }

    /// Reads until the run is over.
    ///
    /// # Errors
    /// Why the collector is given up.
    fn collect_until_stopped(
        &self,
        collector: &mut dyn TelemetryCollector,
        clock: Clock,
        interval_ns: u64,
    ) -> Result<(), String> {
        let mut samples = RVec::new();
        // Known once the collector has been described.
        let mut least_ns = None;
        while let Some(at_edge) = self.begin() {
            let asked_ns = clock.now();
            let mut read = Ok(());
            if least_ns.is_none() {
                match contain(|| collector.describe()) {
                    Ok(catalogue) => {
                        self.lock().log.describe(&catalogue)?;
                        least_ns = Some(catalogue.min_interval_ns);
                    }
                    Err(error) => read = Err(error),
                }
            }
            let began_ns = clock.now();
            samples.clear();
            if read.is_ok() {
                read = contain(|| collector.collect(began_ns, &mut samples));
            }
            let ended_ns = clock.now();
            let mut grown = None;
            if read.is_ok() && !self.lock().log.knows(&samples) {
                match contain(|| collector.describe()) {
                    Ok(catalogue) => grown = Some(catalogue),
                    Err(error) => read = Err(error),
                }
            }
            let mut state = self.lock();
            if let Some(catalogue) = grown {
                state.log.describe(&catalogue)?;
            }
            self.end(&mut state, read, (began_ns, ended_ns), at_edge, &samples);
            if state.over {
                return Ok(());
            }
            // After it was thinned out, a log grows at the pace it has kept.
            let interval_ns = interval_ns.max(least_ns.unwrap_or(0));
            let pace = interval_ns.saturating_mul(1 << state.log.thinned.min(32));
            let pace = retry_after(pace, state.failures_in_a_row);
            self.rest(state, clock.instant(asked_ns.saturating_add(pace)));
        }
        Ok(())
    }

    /// Begins a reading, unless the run is over; says whether it was asked for.
    fn begin(&self) -> Option<bool> {
        let mut state = self.lock();
        state.begun += 1;
        let at_edge = state.asked >= state.begun || state.begun == 1;
        (!state.stopping).then_some(at_edge)
    }

    /// Books what came of a reading.
    fn end(
        &self,
        state: &mut State,
        read: Result<(), Error>,
        (began_ns, ended_ns): (u64, u64),
        at_edge: bool,
        samples: &[Sample],
    ) {
        state.ended += 1;
        state.late = false;
        match read {
            Ok(()) => {
                state.failures_in_a_row = 0;
                state.refusals_in_a_row = 0;
                if !state.stopping {
                    state.log.add(began_ns, ended_ns, at_edge, samples);
                }
            }
            Err(error) => {
                state.failures += 1;
                state.failures_in_a_row += 1;
                state.last_failure = error.to_string();
                // A server may be busy, gone for a while, or show something else for once. What a collector cannot do it
                // will not be able to do later.
                let is_refusal = matches!(error.kind, ErrorKind::CONFIG | ErrorKind::UNSUPPORTED);
                state.refusals_in_a_row = if is_refusal { state.refusals_in_a_row + 1 } else { 0 };
                let never_described = state.log.source.metrics.is_empty() && state.log.source.entities.is_empty();
                let most = if never_described { 1 } else { MOST_REFUSALS };
                if error.kind == ErrorKind::PANICKED || state.refusals_in_a_row == most {
                    state.give_up(error.to_string());
                }
            }
        }
        self.changed.notify_all();
    }

    /// Waits until the next reading is due.
    fn rest(&self, mut state: MutexGuard<'_, State>, until: Instant) {
        while !state.stopping && state.asked <= state.begun {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// How long after a reading the next is due, in nanoseconds, if so many failed in a row.
fn retry_after(pace_ns: u64, failures_in_a_row: u32) -> u64 {
    let Some(further) = failures_in_a_row.checked_sub(1) else { return pace_ns };
    let first = pace_ns.max(RETRY_SOONEST_NS);
    first.saturating_mul(1 << further.min(32)).min(RETRY_LATEST_NS.max(first))
}

/// Calls a collector; a panic becomes an error. (A library's panics never get here: its own side contains them.)
fn contain<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(Error::new(ErrorKind::PANICKED, "it panicked")))
}
