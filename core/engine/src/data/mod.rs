//! [`Pool`]: the sessions of the run's data set, made ready ahead of the load.
//!
//! The first sessions are ready before the load begins, the others are made while it runs, by threads that take only time
//! which nothing else wants. What fits into [`WINDOW`] is kept for the whole run; of a larger data set so much is ready
//! ahead of the schedule, each session is let go when it was sent, and made again where it is wanted again. A session is
//! a pure function of its number, so the bytes sent depend neither on who makes it nor on when.

mod encode;
mod feed;
mod messages;
mod outlines;

use crate::{EngineError, text::Text};
use encode::{Refused, Terms};
use feed::Shelf;
use inferometer_abi::{
    RVec,
    api::{DatasetLoader, Endpoint},
    documents::DatasetInfo,
    types::{Error, Outgoing},
};
use inferometer_load::Sampler;
use inferometer_model::plan::Plan;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
};
use tokio::sync::oneshot;

pub(crate) use encode::{Ready, Session};
pub(crate) use feed::Makers;
pub(crate) use messages::{Conversation, Said};
use outlines::Outlines;
pub(crate) use outlines::{Course, OnDemand};

/// Most sessions of a data set: each takes a few bytes of memory, ready or not.
const MOST_SESSIONS: u64 = 10_000_000;
/// Bytes of sessions that are ready at a time.
const WINDOW: usize = 64 << 20;
/// Bytes of sessions that are ready before the load begins.
const UP_FRONT: usize = 16 << 20;

/// A session that is ready, or why there is none.
pub(crate) type Made = Result<Arc<Session>, Arc<str>>;

/// The sessions of a run.
pub(crate) struct Pool {
    loader: Box<dyn DatasetLoader>,
    endpoint: Arc<dyn Endpoint>,
    text: Text,
    pub(crate) terms: Terms,
    /// What loader and endpoint are called, for messages.
    names: [String; 2],
    pub(crate) info: DatasetInfo,
    /// Sessions that are ready, by their number in the data set.
    cells: Vec<Mutex<Option<Arc<Session>>>>,
    shelf: Mutex<Shelf>,
    /// Something changed that makers have to look at.
    changed: Condvar,
    /// The data set does not fit: what was sent is let go.
    evicts: AtomicBool,
    /// Requests that had to wait for their session.
    waited: AtomicU64,
    outlines: OnceLock<Result<Outlines, Error>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool of what `loader` holds, nothing of it ready.
    ///
    /// # Errors
    /// When there is nothing in it, or too much.
    pub(crate) fn new(
        plan: &Plan,
        info: DatasetInfo,
        loader: Box<dyn DatasetLoader>,
        endpoint: Arc<dyn Endpoint>,
        text: Text,
    ) -> Result<Self, EngineError> {
        let of_loader = EngineError::component(&plan.data.loader);
        let count = info.sessions.saturating_add(info.branches);
        if info.sessions == 0 {
            return Err(of_loader(Error::config("the data set holds no request; give one with at least one session")));
        }
        if count > MOST_SESSIONS {
            let text = format!("the data set has {count} sessions; give one of at most {MOST_SESSIONS}");
            return Err(of_loader(Error::config(text)));
        }
        let terms = Terms::new(plan, &info, &text).map_err(of_loader)?;
        let mut cells = Vec::new();
        cells.resize_with(count as usize, Mutex::default);
        Ok(Self {
            loader,
            endpoint,
            text,
            terms,
            names: [plan.data.loader.clone(), plan.server.endpoint.clone()],
            info,
            cells,
            shelf: Mutex::default(),
            changed: Condvar::new(),
            evicts: AtomicBool::new(false),
            waited: AtomicU64::new(0),
            outlines: OnceLock::new(),
        })
    }

    /// Sessions that a schedule begins.
    pub(crate) fn sessions(&self) -> u64 {
        self.info.sessions
    }

    /// How many turns there are, and when.
    ///
    /// # Errors
    /// The loader's.
    pub(crate) fn outlines(&self) -> Result<&Outlines, EngineError> {
        let numbers = (self.info.sessions, self.info.branches);
        let outlines = self.outlines.get_or_init(|| Outlines::of(&*self.loader, numbers, &self.terms, &self.text));
        outlines.as_ref().map_err(|error| EngineError::component(&self.names[0])(error.clone()))
    }

    /// Makes the sessions that come first in `order` ready: enough to begin with.
    ///
    /// # Errors
    /// What is wrong with the first of them that cannot be made.
    pub(crate) fn prepare(&self, order: Order) -> Result<(), EngineError> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let (next, bytes) = (AtomicU64::new(0), AtomicUsize::new(0));
        let refused = Mutex::new(BTreeMap::new());
        thread::scope(|scope| {
            let work = || {
                while bytes.load(Relaxed) < UP_FRONT && locked(&refused).is_empty() && !self.is_all_ready() {
                    let place = next.fetch_add(1, Relaxed);
                    let Some(entry) = order.entry(place) else { return };
                    if place >= self.cells.len() as u64 {
                        // Whatever is still missing is not wanted soon.
                        return;
                    }
                    if locked(&self.cells[entry as usize]).is_some() {
                        continue;
                    }
                    match self.make(entry, false) {
                        Ok(session) => {
                            bytes.fetch_add(session.bytes(), Relaxed);
                            self.put(entry, Arc::new(session));
                        }
                        Err(error) => {
                            locked(&refused).insert(place, error);
                        }
                    }
                }
            };
            (1..threads).for_each(|_| {
                scope.spawn(work);
            });
            work();
        });
        let first = refused.into_inner().unwrap_or_else(PoisonError::into_inner).pop_first();
        locked(&self.shelf).begin(order, next.load(Relaxed));
        first.map_or(Ok(()), |(_, refused)| Err(self.engine_error(refused)))
    }

    fn is_all_ready(&self) -> bool {
        locked(&self.shelf).filled as u64 >= self.info.sessions
    }

    /// Makes a session.
    fn make(&self, entry: u64, keeps_text: bool) -> Result<Session, Refused> {
        self.terms.make(entry, &*self.loader, &*self.endpoint, &self.text, keeps_text)
    }

    fn engine_error(&self, Refused { by_endpoint, error }: Refused) -> EngineError {
        EngineError::component(&self.names[usize::from(by_endpoint)])(error)
    }

    /// Session `entry`, at once if it is ready. `place` is where it stands in the order that is being read ahead.
    pub(crate) async fn session(&self, entry: u64, place: Option<u64>) -> Made {
        let answer = {
            let ready = locked(&self.cells[entry as usize]).clone();
            if let Some(session) = ready {
                return Ok(session);
            }
            let (asked, answer) = oneshot::channel();
            locked(&self.shelf).ask(entry, place, asked);
            self.changed.notify_all();
            self.waited.fetch_add(1, Relaxed);
            answer
        };
        answer.await.unwrap_or_else(|_| Err("the run has ended".into()))
    }

    /// Session `entry`, made now if it is not ready; with the texts of its messages where `keeps_text`.
    pub(crate) fn look_up(&self, entry: u64, keeps_text: bool) -> Made {
        let ready = if keeps_text { None } else { locked(&self.cells[entry as usize]).clone() };
        ready.map_or_else(|| self.make(entry, keeps_text).map(Arc::new).map_err(|refused| self.words(refused)), Ok)
    }

    fn words(&self, refused: Refused) -> Arc<str> {
        self.engine_error(refused).to_string().into()
    }

    /// A session was sent to its end: nothing holds it here any longer than there is room.
    pub(crate) fn release(&self, entry: u64) {
        if !self.evicts.load(Relaxed) {
            return;
        }
        let mut shelf = locked(&self.shelf);
        if let Some(session) = locked(&self.cells[entry as usize]).take() {
            shelf.filled -= 1;
            shelf.bytes -= session.bytes();
            drop(shelf);
            self.changed.notify_one();
        }
    }

    fn put(&self, entry: u64, session: Arc<Session>) {
        let mut shelf = locked(&self.shelf);
        let mut cell = locked(&self.cells[entry as usize]);
        if cell.is_none() {
            shelf.bytes += session.bytes();
            shelf.filled += 1;
            if shelf.bytes >= WINDOW && shelf.filled < self.cells.len() {
                self.evicts.store(true, Relaxed);
            }
            *cell = Some(session);
        }
    }

    /// Requests that had to wait for their session since this was last asked.
    pub(crate) fn take_waited(&self) -> u64 {
        self.waited.swap(0, Relaxed)
    }

    /// From now on sessions are wanted in another order.
    pub(crate) fn read_ahead(&self, order: Order) {
        let mut shelf = locked(&self.shelf);
        if self.evicts.load(Relaxed) {
            // What was made ahead of another order would take the room for good.
            self.cells.iter().for_each(|cell| *locked(cell) = None);
            (shelf.bytes, shelf.filled) = (0, 0);
        }
        shelf.begin(order, 0);
        drop(shelf);
        self.changed.notify_all();
    }

    /// Encodes a request of `turn` that holds `said`.
    ///
    /// # Errors
    /// The endpoint's.
    pub(crate) fn encode(&self, turn: &Ready, number: u32, said: &[Arc<Said>]) -> Result<Outgoing, Error> {
        self.terms.encode(&*self.endpoint, turn, number, said)
    }
}

/// In what order a phase goes through the data set.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// As the sampler has it, from that session of the schedule on.
    Sampled(Sampler, u64),
    /// As they stand, over and over.
    InTurn(u64),
    /// These, once.
    Listed(Arc<[u32]>),
}

impl Order {
    /// The session of the data set that comes at `place`.
    pub(crate) fn entry(&self, place: u64) -> Option<u64> {
        match self {
            Self::Sampled(sampler, first) => Some(sampler.entry(first.wrapping_add(place))),
            Self::InTurn(sessions) => Some(place % sessions),
            Self::Listed(entries) => entries.get(place as usize).map(|entry| u64::from(*entry)),
        }
    }
}

/// The body as bytes.
pub(crate) fn body(outgoing: &Outgoing) -> &[u8] {
    RVec::as_slice(&outgoing.body)
}

/// What the lock guards, also where a thread that held it panicked: each change is complete in itself.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
