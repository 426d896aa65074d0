//! [`Pulse`] and [`Bell`]: who is woken when something happens on a connection, and who has yet to see to it.
//!
//! A connection has no task of its own: whichever of its requests is [woken](Pulse::beat) moves it on for all. A request
//! that something has come for hears its [`Bell`]; until it has seen to that, it is [owed](Pulse::owed) to it, and nothing
//! more is read, so that what came with one read is never taken for what came with the next.

use inferometer_abi::types::ABSENT_NS;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Wake, Waker},
};
use tokio::sync::{Notify, futures::Notified};

/// What a connection is woken by.
#[derive(Default)]
pub(super) struct Pulse {
    notify: Notify,
    /// Requests that have heard their bell and have not seen to it.
    owed: AtomicUsize,
}

impl Pulse {
    /// Has one of the requests move the connection on; the next one there will be, if there is none.
    pub(super) fn beat(&self) {
        self.notify.notify_one();
    }

    /// Waits until the connection is to be moved on. Dropped, it leaves that to another.
    pub(super) fn felt(&self) -> Notified<'_> {
        self.notify.notified()
    }

    /// Whether something that has come is yet to be seen to.
    pub(super) fn is_owed(&self) -> bool {
        self.owed.load(Relaxed) > 0
    }
}

impl Wake for Pulse {
    fn wake(self: Arc<Self>) {
        self.beat();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.beat();
    }
}

/// What one request is woken by. All of it happens on one thread: the atomics only make a [`Waker`] of it.
pub(super) struct Bell {
    pulse: Arc<Pulse>,
    /// It has rung, and was not seen to.
    has_rung: AtomicBool,
    /// Its request is at work, and looks again before it waits.
    is_awake: AtomicBool,
    /// Its request is no more.
    is_over: AtomicBool,
    /// When the kernel had the last byte of the request.
    written_ns: AtomicU64,
    /// The request's task.
    task: Mutex<Option<Waker>>,
}

impl Bell {
    /// A bell for a request on the connection that `pulse` wakes.
    pub(super) fn new(pulse: &Arc<Pulse>) -> Arc<Self> {
        Arc::new(Self {
            pulse: Arc::clone(pulse),
            has_rung: AtomicBool::new(false),
            is_awake: AtomicBool::new(true),
            is_over: AtomicBool::new(false),
            written_ns: AtomicU64::new(ABSENT_NS),
            task: Mutex::default(),
        })
    }

    /// The request is at work, in the task that `waker` wakes.
    pub(super) fn wakes(&self, waker: &Waker) {
        self.is_awake.store(true, Relaxed);
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *task {
            Some(task) => task.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// The request waits.
    pub(super) fn sleeps(&self) {
        self.is_awake.store(false, Relaxed);
    }

    /// Whether there is something to see to.
    pub(super) fn has_rung(&self) -> bool {
        self.has_rung.load(Relaxed)
    }

    /// Does what `see` does about whatever it rang for.
    pub(super) fn answer<T>(&self, see: impl FnOnce() -> T) -> T {
        let had_rung = self.has_rung.swap(false, Relaxed);
        let seen = see();
        if had_rung {
            self.pulse.owed.fetch_sub(1, Relaxed);
        }
        seen
    }

    /// It rings no more.
    pub(super) fn end(&self) {
        self.is_over.store(true, Relaxed);
        self.answer(|| ());
    }

    /// The kernel had all of the request at `at_ns`.
    pub(super) fn written(&self, at_ns: u64) {
        self.written_ns.store(at_ns, Relaxed);
        self.ring();
    }

    /// When the kernel had all of the request, if it has.
    pub(super) fn written_ns(&self) -> Option<u64> {
        Some(self.written_ns.load(Relaxed)).filter(|at_ns| *at_ns != ABSENT_NS)
    }

    fn ring(&self) {
        if self.is_over.load(Relaxed) || self.has_rung.swap(true, Relaxed) {
            return;
        }
        self.pulse.owed.fetch_add(1, Relaxed);
        if !self.is_awake.load(Relaxed)
            && let Some(task) = &*self.task.lock().unwrap_or_else(PoisonError::into_inner)
        {
            task.wake_by_ref();
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}
