//! [`Pool`]: the sessions of the run's data set, made ready ahead of the load.
//!
//! The first sessions are ready before the load begins, the others are made while it runs, by threads that take only time
//! which nothing else wants. So many as fit into 64 MiB are kept for the whole run. Of a larger data set as much again is
//! ready ahead of the schedule, by the place at which it comes, and handed out once. A session is a pure function of its
//! number, so the bytes sent depend neither on who makes it nor on when.

mod effects;
mod encode;
mod feed;
mod messages;
mod outlines;

use crate::{EngineError, server::own_path, text::Text};
use encode::{Refused, Terms};
use feed::{KEPT, Shelf, bytes};
use inferometer_abi::{
    RVec,
    api::{DatasetLoader, Endpoint},
    documents::DatasetInfo,
    types::{Error, Outgoing},
};
use inferometer_load::Sampler;
use inferometer_model::{ConfigError, plan::Plan};
use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::sync::oneshot;

pub(crate) use encode::{Ready, Session};
pub(crate) use feed::Makers;
pub(crate) use messages::{Conversation, Said};
use outlines::Outlines;
pub(crate) use outlines::{Course, OnDemand};

/// Most sessions of a data set: each takes a few bytes of memory, ready or not.
const MOST_SESSIONS: u64 = 10_000_000;
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
    /// Sessions that are kept, by their number in the data set; also those that cannot be made, with the reason.
    cells: Vec<Mutex<Option<Made>>>,
    shelf: Mutex<Shelf>,
    /// Somebody waits for a session.
    asked: Condvar,
    /// There is room for more ahead, or another order.
    room: Condvar,
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
        let path = own_path(&plan.server, &endpoint.info());
        let terms = Terms::new(plan, &info, path, &text).map_err(of_loader)?;
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
            asked: Condvar::new(),
            room: Condvar::new(),
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

    /// Makes the sessions that come first in `order` ready, one after another: enough to begin with. What is worth saying of
    /// settings that change nothing of what is sent.
    ///
    /// # Errors
    /// What is wrong with the first of them that cannot be made, or that the endpoint does not send what it was asked to.
    pub(crate) fn prepare(&self, order: Order) -> Result<Vec<String>, EngineError> {
        let (mut place, mut made_bytes, mut notes) = (0, 0, Vec::new());
        // Whatever is still missing after as many places as there are sessions is not wanted soon.
        while made_bytes < UP_FRONT && place < self.cells.len() as u64 && locked(&self.shelf).kept < self.sessions() {
            let Some(entry) = order.entry(place) else { break };
            place += 1;
            if self.kept(entry).is_none() {
                // The first of them tells what the endpoint makes of the settings, and keeps its texts for that.
                let is_first = place == 1;
                let made = self.make(entry, is_first).map_err(|refused| self.engine_error(refused))?;
                if is_first {
                    let effects = self.terms.effects(&*self.endpoint, &self.names[1], &made);
                    notes = effects.map_err(|error| EngineError::Config(ConfigError::new(error.message)))?;
                }
                made_bytes += made.bytes();
                self.keep(&mut locked(&self.shelf), entry, &Ok(Arc::new(made)));
            }
        }
        locked(&self.shelf).begin(order, place);
        Ok(notes)
    }

    /// Makes a session.
    fn make(&self, entry: u64, keeps_text: bool) -> Result<Session, Refused> {
        self.terms.make(entry, &*self.loader, &*self.endpoint, &self.text, keeps_text)
    }

    /// Makes a session, or says why there is none.
    fn made(&self, entry: u64) -> Made {
        match catch_unwind(AssertUnwindSafe(|| self.make(entry, false))) {
            Ok(made) => made.map(Arc::new).map_err(|refused| self.words(refused)),
            Err(panic) => Err(format!("session {entry} could not be made: {}", text_of(&*panic)).into()),
        }
    }

    /// Session `entry` if it is kept.
    fn kept(&self, entry: u64) -> Option<Made> {
        locked(&self.cells[entry as usize]).clone()
    }

    /// Keeps a session for the whole run if there is room; whether it did, or had it.
    fn keep(&self, shelf: &mut Shelf, entry: u64, made: &Made) -> bool {
        let mut cell = locked(&self.cells[entry as usize]);
        if cell.is_some() {
            return true;
        }
        // Of one that cannot be made only the reason is kept.
        let has_room = made.is_err() || shelf.kept_bytes < KEPT;
        if has_room {
            shelf.kept_bytes += bytes(made);
            shelf.kept += u64::from(entry < self.sessions());
            *cell = Some(made.clone());
        }
        has_room
    }

    fn engine_error(&self, Refused { by_endpoint, error }: Refused) -> EngineError {
        EngineError::component(&self.names[usize::from(by_endpoint)])(error)
    }

    /// Session `entry`, at once if it is ready. `place` is where it stands in the order that is being read ahead.
    pub(crate) async fn session(&self, entry: u64, place: Option<u64>) -> Made {
        let answer = {
            if let Some(made) = self.kept(entry) {
                return made;
            }
            let mut shelf = locked(&self.shelf);
            if let Some(made) = place.and_then(|place| shelf.take(place)) {
                drop(shelf);
                self.room.notify_one();
                return made;
            }
            let (asked, answer) = oneshot::channel();
            shelf.ask(entry, place, asked);
            drop(shelf);
            self.asked.notify_one();
            // Nobody could know that a session which another one begins would be wanted.
            self.waited.fetch_add(u64::from(place.is_some()), Relaxed);
            answer
        };
        answer.await.unwrap_or_else(|_| Err("the run has ended".into()))
    }

    /// The session at `place` is not wanted after all.
    pub(crate) fn skip(&self, place: Option<u64>) {
        if let Some(place) = place
            && locked(&self.shelf).take(place).is_some()
        {
            self.room.notify_one();
        }
    }

    /// Session `entry`, made now if it is not kept; with the texts of its messages where `keeps_text`.
    pub(crate) fn look_up(&self, entry: u64, keeps_text: bool) -> Made {
        let kept = if keeps_text { None } else { self.kept(entry) };
        kept.unwrap_or_else(|| self.make(entry, keeps_text).map(Arc::new).map_err(|refused| self.words(refused)))
    }

    fn words(&self, refused: Refused) -> Arc<str> {
        self.engine_error(refused).to_string().into()
    }

    /// Requests that had to wait for their session since this was last asked.
    pub(crate) fn take_waited(&self) -> u64 {
        self.waited.swap(0, Relaxed)
    }

    /// From now on sessions are wanted in another order.
    pub(crate) fn read_ahead(&self, order: Order) {
        locked(&self.shelf).begin(order, 0);
        self.room.notify_all();
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
    /// As the sampler has it, over all phases.
    Sampled(Sampler),
    /// As they stand, over and over, over all phases.
    InTurn(u64),
    /// These, once.
    Listed(Arc<Listed>),
}

/// Some sessions in an order of their own.
#[derive(Debug)]
pub(crate) struct Listed {
    entries: Vec<u32>,
    /// The place of each session of the data set.
    places: Vec<u32>,
}

impl Listed {
    /// `entries` in their order, of a data set of so many sessions.
    pub(crate) fn new(entries: Vec<u32>, sessions: u64) -> Self {
        let mut places = vec![u32::MAX; sessions as usize];
        for (place, entry) in entries.iter().enumerate() {
            places[*entry as usize] = place as u32;
        }
        Self { entries, places }
    }
}

impl Order {
    /// The session of the data set that comes at `place`.
    pub(crate) fn entry(&self, place: u64) -> Option<u64> {
        match self {
            Self::Sampled(sampler) => Some(sampler.entry(place)),
            Self::InTurn(sessions) => Some(place % sessions),
            Self::Listed(listed) => listed.entries.get(place as usize).map(|entry| u64::from(*entry)),
        }
    }

    /// The place of `entry`, where each comes once.
    pub(crate) fn place(&self, entry: u64) -> Option<u64> {
        let Self::Listed(listed) = self else { return None };
        listed.places.get(entry as usize).filter(|place| **place != u32::MAX).map(|place| u64::from(*place))
    }

    /// Whether `other` is the same order, so that places mean the same.
    fn goes_on_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sampled(_), Self::Sampled(_)) | (Self::InTurn(_), Self::InTurn(_)) => true,
            (Self::Listed(one), Self::Listed(another)) => Arc::ptr_eq(one, another),
            _ => false,
        }
    }
}

/// What a panic says.
fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("without a word"))
}

/// The body as bytes.
pub(crate) fn body(outgoing: &Outgoing) -> &[u8] {
    RVec::as_slice(&outgoing.body)
}

/// What the lock guards, also where a thread that held it panicked: each change is complete in itself.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
