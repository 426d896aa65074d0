//! [`Makers`]: the threads that make sessions while the load runs, and the [`Shelf`] that tells them which.

use super::{Made, Order, Pool, WINDOW, locked};
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    thread::{self, JoinHandle},
};
use tokio::sync::oneshot;

/// Places that are looked at in a row while nobody else may look.
const LOOKED_AT: u64 = 1_000;
/// What a thread asks of the system that is to run only when nothing else wants to.
const IDLE: i32 = 19;

/// What is wanted of the makers.
#[derive(Default)]
pub(super) struct Shelf {
    /// The order that is read ahead; none before the first phase.
    order: Option<Order>,
    /// The next place in it.
    next: u64,
    /// Bytes of the sessions that are ready, and how many these are.
    pub(super) bytes: usize,
    pub(super) filled: usize,
    /// Sessions that somebody waits for.
    asked: VecDeque<(u64, oneshot::Sender<Made>)>,
    is_closed: bool,
}

impl Shelf {
    pub(super) fn begin(&mut self, order: Order, next: u64) {
        (self.order, self.next) = (Some(order), next);
    }

    pub(super) fn ask(&mut self, entry: u64, place: Option<u64>, answer: oneshot::Sender<Made>) {
        if self.is_closed {
            return;
        }
        // Whoever asks has come past what was made ahead; to make what lies behind would help nobody.
        self.next = self.next.max(place.map_or(0, |place| place + 1));
        self.asked.push_back((entry, answer));
    }
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
        drop(shelf);
        self.pool.changed.notify_all();
        for thread in self.threads.drain(..) {
            // Its panic has been said; what it would have made is asked for again.
            let _ = thread.join();
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
                shelf = self.changed.wait(shelf).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(shelf);
            // Whoever asked may have gone.
            let _ = answer.send(self.made(entry));
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
                Wanted::Session(entry) => {
                    drop(shelf);
                    // What cannot be made is told to whoever asks for it.
                    let _ = self.made(entry);
                    shelf = locked(&self.shelf);
                }
                Wanted::AnotherLook => {
                    drop(shelf);
                    thread::yield_now();
                    shelf = locked(&self.shelf);
                }
                Wanted::Nothing => shelf = self.changed.wait(shelf).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Session `entry`, made unless it is ready.
    fn made(&self, entry: u64) -> Made {
        let ready = locked(&self.cells[entry as usize]).clone();
        if let Some(session) = ready {
            return Ok(session);
        }
        let session = self.make(entry, false).map(Arc::new).map_err(|refused| self.words(refused))?;
        self.put(entry, Arc::clone(&session));
        Ok(session)
    }

    /// What comes next ahead of the schedule, if there is room for it.
    fn wanted(&self, shelf: &mut Shelf) -> Wanted {
        let is_complete = !self.evicts.load(Relaxed) && shelf.filled as u64 >= self.sessions();
        if shelf.bytes >= WINDOW || is_complete {
            return Wanted::Nothing;
        }
        let Some(order) = shelf.order.clone() else { return Wanted::Nothing };
        for _ in 0..LOOKED_AT {
            let Some(entry) = order.entry(shelf.next) else { return Wanted::Nothing };
            shelf.next += 1;
            if locked(&self.cells[entry as usize]).is_none() {
                return Wanted::Session(entry);
            }
        }
        Wanted::AnotherLook
    }
}

enum Wanted {
    Session(u64),
    /// None was found yet.
    AnotherLook,
    Nothing,
}
