//! [`Control`]: how a run is watched and stopped from outside.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};
use tokio::sync::watch;

/// A handle to a run; clones are the same handle.
#[derive(Clone, Debug)]
pub struct Control {
    stop: watch::Sender<bool>,
    pub(crate) counters: Arc<Counters>,
}

impl Default for Control {
    fn default() -> Self {
        Self { stop: watch::Sender::new(false), counters: Arc::default() }
    }
}

impl Control {
    /// Stops the run: nothing further is sent, what is in flight is cancelled, and results are made of what there is.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether the run was stopped.
    pub fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// How far the run is.
    pub fn snapshot(&self) -> Snapshot {
        let counters = &self.counters;
        Snapshot {
            phase: counters.phase.load(Relaxed),
            sent: counters.sent.load(Relaxed),
            ok: counters.ok.load(Relaxed),
            failed: counters.failed.load(Relaxed),
            events: counters.events.load(Relaxed),
        }
    }

    pub(crate) fn stopped(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }
}

/// Counted once per request, so that sharing them costs nothing that can be measured.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Number of the phase, from 1; 0 before the first, and past the last when all are over.
    pub(crate) phase: AtomicU32,
    pub(crate) sent: AtomicU64,
    pub(crate) ok: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) events: AtomicU64,
}

impl Counters {
    pub(crate) fn begin_phase(&self, number: u32) {
        for counter in [&self.sent, &self.ok, &self.failed, &self.events] {
            counter.store(0, Relaxed);
        }
        self.phase.store(number, Relaxed);
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Number of the phase, from 1; 0 before the first.
    pub phase: u32,
    /// Requests sent in this phase.
    pub sent: u64,
    /// Requests of this phase that ended well.
    pub ok: u64,
    /// Requests of this phase that failed or were cancelled.
    pub failed: u64,
    /// Content events received in this phase.
    pub events: u64,
}
