//! [`Outlines`]: how many turns the sessions of a data set have and when they are to be sent, without their texts.

use super::{
    Pool,
    encode::{MOST_TURNS, Terms},
};
use crate::EngineError;
use inferometer_abi::{
    api::{DatasetLoader, OutlineSink, SessionSink, TextTools, Timetable},
    types::{Error, ErrorKind, Outline, Turn, TurnTime},
};
use inferometer_model::plan::Replay;
use std::cell::OnceCell;

/// The times of all turns of all sessions.
#[derive(Debug, Default)]
pub(crate) struct Outlines {
    times: Vec<TurnTime>,
    /// Where each session's turns end.
    ends: Vec<usize>,
    /// Sessions that a schedule begins; those after them are begun by others.
    sessions: u64,
}

/// Collects turns' times, as outlines or as the turns themselves.
struct Times<'a>(&'a mut Vec<TurnTime>);

impl OutlineSink for Times<'_> {
    fn name(&mut self, _: &str) {}

    fn turn(&mut self, outline: &Outline<'_>) {
        self.0.push(outline.time);
    }
}

impl SessionSink for Times<'_> {
    fn name(&mut self, _: &str) {}

    fn turn(&mut self, turn: &Turn<'_>) {
        self.0.push(turn.time);
    }
}

impl Outlines {
    /// Asks `loader` for the outlines of all its sessions, or for the sessions where it gives none.
    ///
    /// # Errors
    /// The loader's.
    pub(crate) fn of(
        loader: &dyn DatasetLoader,
        (sessions, branches): (u64, u64),
        terms: &Terms,
        text: &dyn TextTools,
    ) -> Result<Self, Error> {
        let mut times = Vec::new();
        let mut ends = Vec::new();
        for index in 0..sessions + branches {
            let start = times.len();
            match loader.outline(index, &mut Times(&mut times)) {
                Err(error) if error.kind == ErrorKind::UNSUPPORTED => {
                    times.truncate(start);
                    loader.session(index, text, &mut Times(&mut times))?;
                }
                outlined => outlined?,
            }
            if times.len() - start > MOST_TURNS {
                return Err(Error::config(format!("session {index} of the data set has more than {MOST_TURNS} turns")));
            }
            times[start..].iter_mut().for_each(|time| *time = terms.time(*time));
            ends.push(times.len());
        }
        Ok(Self { times, ends, sessions })
    }

    /// The times of a session's turns.
    pub(crate) fn session(&self, session: u64) -> &[TurnTime] {
        let Some(&end) = self.ends.get(session as usize) else { return &[] };
        let start = session.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        &self.times[start..end]
    }

    /// When the first turn of a session is to be sent, where that is said.
    fn begins(&self, session: u64) -> Option<u64> {
        self.session(session).first().map(|time| time.timestamp_ns).filter(|at| *at != TurnTime::NONE.timestamp_ns)
    }

    /// Follows the times in the way of `replay`.
    pub(crate) fn replayed(&self, replay: &Replay) -> Replayed<'_> {
        let begins = || (0..self.sessions).filter_map(|session| self.begins(session));
        let within = begins().filter(|at| (replay.start_ns..=replay.end_ns).contains(at));
        let zero_ns = replay.zero_ns.or_else(|| within.min()).unwrap_or(0);
        Replayed { outlines: self, course: Course { zero_ns, speedup: replay.speedup }, replay: *replay }
    }
}

/// From times of a trace to times of a phase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    zero_ns: u64,
    speedup: f64,
}

impl Course {
    /// A time of the trace, counted from the phase's beginning.
    pub(crate) fn at(&self, timestamp_ns: u64) -> u64 {
        self.scaled(timestamp_ns.saturating_sub(self.zero_ns))
    }

    /// A length of time in the trace, as it is in the phase.
    pub(crate) fn scaled(&self, length_ns: u64) -> u64 {
        if self.speedup == 1.0 { length_ns } else { (length_ns as f64 / self.speedup).round() as u64 }
    }
}

/// The times of a data set, as one phase follows them.
pub(crate) struct Replayed<'a> {
    outlines: &'a Outlines,
    pub(crate) course: Course,
    replay: Replay,
}

impl Replayed<'_> {
    /// Requests of all sessions that belong to the phase, and those sessions.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let turns = (0..self.outlines.sessions).map(|session| u64::from(self.turns(session)));
        let (requests, sessions) =
            turns.fold((0, 0), |(requests, sessions), turns| (requests + turns, sessions + u64::from(turns > 0)));
        let branches = self.outlines.sessions as usize..self.outlines.ends.len();
        let of_branches: usize = branches.map(|branch| self.outlines.session(branch as u64).len()).sum();
        (requests + of_branches as u64, sessions)
    }

    /// The sessions in order of their times.
    pub(crate) fn in_order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.outlines.sessions)
            .filter(|session| self.turns(*session) > 0)
            .map(|session| session as u32)
            .collect();
        order.sort_by_key(|session| self.outlines.begins(u64::from(*session)));
        order
    }
}

impl Timetable for Replayed<'_> {
    fn sessions(&self) -> u64 {
        self.outlines.sessions
    }

    fn turns(&self, session: u64) -> u32 {
        let is_part = match self.outlines.begins(session) {
            Some(at) => (self.replay.start_ns..=self.replay.end_ns).contains(&at),
            None => true,
        };
        if is_part { self.outlines.session(session).len() as u32 } else { 0 }
    }

    fn time(&self, session: u64, turn: u32) -> TurnTime {
        let Some(time) = self.outlines.session(session).get(turn as usize) else { return TurnTime::NONE };
        let given = time.timestamp_ns != TurnTime::NONE.timestamp_ns;
        TurnTime {
            timestamp_ns: if given { self.course.at(time.timestamp_ns) } else { time.timestamp_ns },
            delay_ns: self.course.scaled(time.delay_ns),
        }
    }
}

/// The times of a data set for a strategy, looked up when it first asks for one.
pub(crate) struct OnDemand<'a> {
    pool: &'a Pool,
    replay: Replay,
    replayed: OnceCell<Result<Replayed<'a>, EngineError>>,
}

impl<'a> OnDemand<'a> {
    pub(crate) fn new(pool: &'a Pool, replay: Replay) -> Self {
        Self { pool, replay, replayed: OnceCell::new() }
    }

    fn get(&self) -> Option<&Replayed<'a>> {
        let look = || self.pool.outlines().map(|outlines| outlines.replayed(&self.replay));
        self.replayed.get_or_init(look).as_ref().ok()
    }

    /// What was wrong when the times were looked up, if they were.
    ///
    /// # Errors
    /// That.
    pub(crate) fn finish(self) -> Result<(), EngineError> {
        self.replayed.into_inner().map_or(Ok(()), |replayed| replayed.map(|_| ()))
    }
}

impl Timetable for OnDemand<'_> {
    fn sessions(&self) -> u64 {
        self.pool.sessions()
    }

    fn turns(&self, session: u64) -> u32 {
        self.get().map_or(0, |replayed| replayed.turns(session))
    }

    fn time(&self, session: u64, turn: u32) -> TurnTime {
        self.get().map_or(TurnTime::NONE, |replayed| replayed.time(session, turn))
    }
}
