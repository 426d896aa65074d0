//! [`Makers`]: the threads that make sessions while the load runs, and the [`Shelf`] that tells them which.

use super::{Made, Order, Pool, locked};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Bytes of sessions that are kept for the whole run.
pub(super) const KEPT: usize = 64 << 20;
/// Bytes of further sessions that are ready ahead of the schedule.
const AHEAD: usize = 64 << 20;
/// Places that are looked at in a row while nobody else may look.
const LOOKED_AT: u64 = 64;
/// Whoever asks for a place may be so far behind others; what lies further back is wanted by nobody.
const STRAGGLERS: u64 = 4_096;
/// What a thread asks of the system that is to run only when nothing else wants to.
const IDLE: i32 = 19;
/// How long the end of a run waits for sessions that are being made and that nobody wants any more.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is wanted of the makers, and what they have ready besides what is kept.
#[derive(Default)]
pub(super) struct Shelf {
    /// The order that is read ahead; none before the first phase.
    order: Option<Order>,
    /// The next place in it.
    next: u64,
    /// Bytes of the sessions that are kept, and how many are: of those that a schedule begins.
    pub(super) kept_bytes: usize,
    pub(super) kept: u64,
    /// Sessions ahead of the schedule that are not kept, by their place. Each is handed out once.
    ahead: BTreeMap<u64, Made>,
    ahead_bytes: usize,
    /// The furthest place that was asked for, plus one.
    reached: u64,
    /// Sessions that somebody waits for.
    asked: VecDeque<(u64, oneshot::Sender<Made>)>,
    is_closed: bool,
}

impl Shelf {
    /// From now on places are those of `order`.
    pub(super) fn begin(&mut self, order: Order, next: u64) {
        if self.order.as_ref().is_some_and(|before| before.goes_on_as(&order)) {
            return;
        }
        self.ahead.clear();
        self.asked.clear();
        (self.ahead_bytes, self.reached) = (0, 0);
        (self.order, self.next) = (Some(order), next);
    }

    /// What is ready for `place`; handed out once.
    pub(super) fn take(&mut self, place: u64) -> Option<Made> {
        self.reached = self.reached.max(place + 1);
        // What was passed over, as by arrivals that were dropped, would take the room for good.
        while let Some(first) = self.ahead.first_entry()
            && *first.key() + STRAGGLERS < self.reached
        {
            let (_, made) = first.remove_entry();
            self.ahead_bytes -= bytes(&made);
        }
        let made = self.ahead.remove(&place)?;
        self.ahead_bytes -= bytes(&made);
        Some(made)
    }

    pub(super) fn ask(&mut self, entry: u64, place: Option<u64>, answer: oneshot::Sender<Made>) {
        if self.is_closed {
            return;
        }
        // Whoever asks has come past what was made ahead; to make what lies behind would help nobody.
        self.next = self.next.max(place.map_or(0, |place| place + 1));
        self.asked.push_back((entry, answer));
    }

    /// Keeps a session that was made ahead for `place`, unless the place has been passed.
    fn put(&mut self, place: u64, made: Made) {
        if place >= self.reached {
            self.ahead_bytes += bytes(&made);
            self.ahead.insert(place, made);
        }
    }
}

/// Bytes that a session takes, about.
pub(super) fn bytes(made: &Made) -> usize {
    made.as_ref().map_or(0, |session| session.bytes())
}

/// The threads that make sessions. They end when this is dropped.
pub(crate) struct Makers {
    pool: Arc<Pool>,
    threads: Vec<JoinHandle<()>>,
}

impl Makers {
    /// Starts them: one for sessions that are waited for, and as many as there are processors for those ahead.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start(pool: &Arc<Pool>) -> io::Result<Self> {
        let mut makers = Self { pool: Arc::clone(pool), threads: Vec::new() };
        let ahead = thread::available_parallelism().map_or(1, usize::from);
        for number in 0..=ahead {
            let pool = Arc::clone(pool);
            let work = move || if number == 0 { pool.serve() } else { pool.stock() };
            makers.threads.push(thread::Builder::new().name(format!("data-{number}")).spawn(work)?);
        }
        Ok(makers)
    }
}

impl Drop for Makers {
    fn drop(&mut self) {
        let mut shelf = locked(&self.pool.shelf);
        shelf.is_closed = true;
        shelf.asked.clear();
        shelf.ahead.clear();
        drop(shelf);
        self.pool.asked.notify_all();
        self.pool.room.notify_all();
        let until = Instant::now() + PATIENCE;
        for thread in self.threads.drain(..) {
            while !thread.is_finished() && Instant::now() < until {
                thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                // A panic of it has been said.
                let _ = thread.join();
            }
        }
    }
}

impl Pool {
    /// Makes what somebody waits for, until the pool is closed.
    fn serve(&self) {
        let mut shelf = locked(&self.shelf);
        loop {
            if shelf.is_closed {
                return;
            }
            let Some((entry, answer)) = shelf.asked.pop_front() else {
                shelf = self.asked.wait(shelf).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if answer.is_closed() {
                continue;
            }
            drop(shelf);
            let made = self.kept(entry).unwrap_or_else(|| self.made(entry));
            // Whoever asked may have gone.
            let _ = answer.send(made);
            shelf = locked(&self.shelf);
        }
    }

    /// Makes what is wanted soon, until the pool is closed.
    fn stock(&self) {
        // Where the system refuses, the makers share the processors as others do.
        let _ = rustix::process::nice(IDLE);
        let mut shelf = locked(&self.shelf);
        loop {
            if shelf.is_closed {
                return;
            }
            match self.wanted(&mut shelf) {
                Wanted::Session { place, entry } => {
                    let order = shelf.order.clone();
                    drop(shelf);
                    let made = self.made(entry);
                    shelf = locked(&self.shelf);
                    let is_wanted =
                        shelf.order.as_ref().zip(order.as_ref()).is_some_and(|(now, then)| now.goes_on_as(then));
                    if !self.keep(&mut shelf, entry, &made) && is_wanted {
                        shelf.put(place, made);
                    }
                }
                Wanted::AnotherLook => {
                    drop(shelf);
                    thread::yield_now();
                    shelf = locked(&self.shelf);
                }
                Wanted::Nothing => shelf = self.room.wait(shelf).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// What comes next ahead of the schedule, if there is room for it.
    fn wanted(&self, shelf: &mut Shelf) -> Wanted {
        if shelf.kept >= self.sessions() || shelf.kept_bytes >= KEPT && shelf.ahead_bytes >= AHEAD {
            return Wanted::Nothing;
        }
        let Some(order) = shelf.order.clone() else { return Wanted::Nothing };
        for _ in 0..LOOKED_AT {
            let place = shelf.next;
            let Some(entry) = order.entry(place) else { return Wanted::Nothing };
            shelf.next += 1;
            if self.kept(entry).is_none() {
                return Wanted::Session { place, entry };
            }
        }
        Wanted::AnotherLook
    }
}

enum Wanted {
    Session {
        place: u64,
        entry: u64,
    },
    /// None was found yet.
    AnotherLook,
    Nothing,
}
