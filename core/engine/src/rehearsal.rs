//! [`Prepared::rehearse`]: the run on a virtual clock, with a server that takes the same time for every answer. Nothing is
//! sent; what would be, and when, is told.
//!
//! Slots, their growth, drops and the phase's end are those of a run. Not here: slots until the first token (their time is
//! not known), sessions that others begin, requests that fail or are broken off, and a client that falls behind.

mod room;

use crate::{
    EngineError, Prepared,
    data::{OnDemand, Pool},
    job::{Phase, USER_CENTRIC},
    worker::{FOR_EVER_NS, NO_WAIT_NS, NO_WAITS_IN_A_ROW},
};
use inferometer_abi::{
    api::{Timetable as _, TimingStrategy},
    types::{Error, ErrorKind, Flow, Result, TurnTime},
};
use inferometer_load::{Action, Arrival, LEEWAY_NS, Pump};
use inferometer_model::config::{ConcurrencyUnit, OnOverload};
use room::Room;
use std::{
    cell::Cell,
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
};

/// No answer takes less, in nanoseconds: a closed loop would not come to an end where answers take no time.
const LEAST_LATENCY_NS: u64 = 1_000;
/// So many arrivals at one time, where nothing limits their number, will never end.
const MOST_AT_ONCE: u32 = 1 << 20;

/// A request of a rehearsal. Times are nanoseconds since the run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Index of its phase.
    pub phase: usize,
    /// Number of the arrival in its phase, from 0.
    pub request: u64,
    /// Number of the session in the data set.
    pub session: u64,
    /// Place in the session.
    pub turn: u32,
    /// When the schedule wants it sent.
    pub intended_ns: u64,
    /// When it would be sent; absent: it would be dropped.
    pub sent_ns: Option<u64>,
}

/// A request on its way through a rehearsal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    worker: usize,
    number: u64,
    /// Number of the session in the schedule, and in the data set.
    session: u64,
    entry: u64,
    turn: u32,
    /// It begins its session.
    is_first: bool,
    intended_ns: u64,
    gap_ns: u64,
    holds_slot: bool,
    /// Its session is no load until it comes due.
    thinks: bool,
}

/// What happens at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A worker's schedule is asked.
    Ask(usize),
    /// A request comes due.
    Due(Request),
    /// Its answer is complete.
    Answered(Request),
    /// There is another slot.
    Grown,
}

impl Prepared {
    /// Runs all phases on a virtual clock, each answer taking `latency_ns`, and tells `planned` of every request. Slots until
    /// the first token are taken for unlimited, and sessions that others begin are left out. It goes on while `planned` says
    /// so.
    ///
    /// # Errors
    /// A strategy's.
    pub fn rehearse(self, latency_ns: u64, mut planned: impl FnMut(Planned) -> bool) -> Result<(), EngineError> {
        let goes_on = Cell::new(true);
        let mut start_ns = 0_u64;
        let mut strategies: Vec<_> = self.strategies.into_iter().map(Vec::into_iter).collect();
        let mut before = None;
        for (index, phase) in self.job.phases.iter().enumerate() {
            phase.begin(before, &self.job.pool, || start_ns);
            before = Some(phase);
            let own = strategies.iter_mut().filter_map(Iterator::next).collect();
            let tell = |mut request: Planned| {
                request.phase = index;
                request.intended_ns = request.intended_ns.saturating_add(start_ns);
                request.sent_ns = request.sent_ns.map(|at| at.saturating_add(start_ns));
                goes_on.set(planned(request));
            };
            let mut rehearsal = Rehearsal::new(phase, &self.job.pool, own, latency_ns, tell);
            rehearsal.run(&goes_on).map_err(EngineError::component(&phase.plan.strategy))?;
            let last_ns = rehearsal.last_ns;
            rehearsal.timetable.finish()?;
            start_ns = start_ns.saturating_add(last_ns);
        }
        Ok(())
    }
}

/// One worker's part in a phase.
struct Shard {
    pump: Pump,
    /// Sessions under way.
    open: u32,
    /// When it is to be asked again, if not before.
    wakes_at: Option<u64>,
    no_waits: u32,
}

/// One phase of a rehearsal. Times are nanoseconds since it began.
struct Rehearsal<'a, T> {
    phase: &'a Phase,
    pool: &'a Pool,
    timetable: OnDemand<'a>,
    shards: Vec<Shard>,
    latency_ns: u64,
    /// By time; what comes due at one time happens in the order in which it was planned.
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    told: u64,
    /// The slots, where there is a limit.
    room: Option<Room>,
    waiting: VecDeque<Request>,
    /// Somebody waits for slots to grow.
    awaits_growth: bool,
    last_ns: u64,
    tell: T,
}

impl<'a, T: FnMut(Planned)> Rehearsal<'a, T> {
    fn new(
        phase: &'a Phase,
        pool: &'a Pool,
        strategies: Vec<Box<dyn TimingStrategy>>,
        latency_ns: u64,
        tell: T,
    ) -> Self {
        let plan = &phase.plan;
        let pump = |strategy| Pump::new(strategy, Arc::clone(&phase.budget), plan.stop.duration_ns);
        let shard = |strategy| Shard { pump: pump(strategy), open: 0, wakes_at: None, no_waits: 0 };
        let is_ramped = phase.slots.as_ref().is_some_and(|slots| slots.is_ramped());
        let ramp_ns = if is_ramped { plan.concurrency_ramp_ns } else { 0 };
        Self {
            phase,
            pool,
            timetable: OnDemand::new(pool, plan.replay),
            shards: strategies.into_iter().map(shard).collect(),
            latency_ns: latency_ns.max(LEAST_LATENCY_NS),
            events: BinaryHeap::new(),
            told: 0,
            room: plan.concurrency.map(|slots| Room::new(slots, ramp_ns)),
            waiting: VecDeque::new(),
            awaits_growth: false,
            last_ns: 0,
            tell,
        }
    }

    fn at(&mut self, time_ns: u64, event: Event) {
        self.told += 1;
        self.events.push(Reverse((time_ns, self.told, event)));
    }

    /// Whether the phase's time is over at `at_ns`.
    fn is_over(&self, at_ns: u64) -> bool {
        self.phase.plan.stop.duration_ns.is_some_and(|duration| at_ns >= duration)
    }

    fn run(&mut self, goes_on: &Cell<bool>) -> Result<()> {
        let stop = self.phase.plan.stop;
        let end = |duration_ns: u64| duration_ns.saturating_add(stop.grace_ns.max(LEEWAY_NS));
        let deadline = stop.duration_ns.map_or(u64::MAX, end);
        (0..self.shards.len()).try_for_each(|worker| self.ask(worker, 0))?;
        while goes_on.get()
            && let Some(Reverse((now, _, event))) = self.events.pop()
        {
            if now >= deadline {
                // What is still under way is broken off.
                self.last_ns = deadline;
                break;
            }
            match event {
                Event::Ask(worker) if self.shards[worker].wakes_at != Some(now) => continue,
                Event::Grown => {
                    self.awaits_growth = false;
                    self.hand_out(now)?;
                    continue;
                }
                Event::Ask(worker) => self.ask(worker, now)?,
                Event::Due(request) => self.due(request, now)?,
                Event::Answered(request) => self.answered(request, now)?,
            }
            self.last_ns = now;
        }
        while let Some(request) = self.waiting.pop_front() {
            self.tell_of(&request, None);
        }
        Ok(())
    }

    fn ask(&mut self, worker: usize, now: u64) -> Result<()> {
        let stop = self.phase.plan.stop;
        let is_unlimited = stop.requests.is_none() && stop.sessions.is_none();
        let mut at_once = 0;
        loop {
            match self.shards[worker].pump.poll(now)? {
                Action::Launch(_) if is_unlimited && at_once == MOST_AT_ONCE => {
                    return Err(Error::new(ErrorKind::OTHER, "it sends again and again without getting later"));
                }
                Action::Launch(arrival) => {
                    at_once += 1;
                    self.launch(worker, &arrival, now);
                }
                Action::Until(at) => return self.wait(worker, now, at),
                Action::Park | Action::End => {
                    self.shards[worker].wakes_at = None;
                    return Ok(());
                }
            }
        }
    }

    fn launch(&mut self, worker: usize, arrival: &Arrival, now: u64) {
        let course = self.phase.course(arrival, self.pool);
        let shard = &mut self.shards[worker];
        (shard.open, shard.no_waits) = (shard.open + 1, 0);
        let request = Request {
            worker,
            number: arrival.request,
            session: course.number,
            entry: course.entry % self.pool.sessions(),
            turn: arrival.turn,
            is_first: true,
            intended_ns: arrival.intended_ns,
            gap_ns: arrival.gap_ns,
            holds_slot: false,
            thinks: false,
        };
        self.at(now, Event::Due(request));
    }

    /// A worker is to be asked again at `at_ns`, or when a request of it ends.
    fn wait(&mut self, worker: usize, now: u64, at_ns: u64) -> Result<()> {
        let shard = &mut self.shards[worker];
        let at_ns = at_ns.max(now.saturating_add(1));
        let wait_ns = at_ns - now;
        if shard.open == 0 {
            shard.no_waits = if wait_ns < NO_WAIT_NS { shard.no_waits + 1 } else { 0 };
            if wait_ns > FOR_EVER_NS || shard.no_waits == NO_WAITS_IN_A_ROW {
                return Err(Error::new(ErrorKind::OTHER, "it waits for ever, and nothing is under way"));
            }
        }
        let before = shard.wakes_at.replace(at_ns);
        if at_ns == u64::MAX {
            shard.wakes_at = None;
        } else if before != Some(at_ns) {
            self.at(at_ns, Event::Ask(worker));
        }
        Ok(())
    }

    fn due(&mut self, mut request: Request, now: u64) -> Result<()> {
        if std::mem::take(&mut request.thinks) {
            self.shards[request.worker].pump.thinks(false);
        }
        if self.is_over(now) {
            return self.drop(&request, now);
        }
        if !request.holds_slot
            && let Some(room) = &mut self.room
        {
            // Whoever waits is first.
            request.holds_slot = self.waiting.is_empty() && room.take(now);
            if !request.holds_slot {
                if self.phase.plan.on_overload == OnOverload::Drop && request.is_first {
                    return self.drop(&request, now);
                }
                self.waiting.push_back(request);
                self.await_growth(now);
                return Ok(());
            }
        }
        self.send(request, now);
        Ok(())
    }

    fn await_growth(&mut self, now: u64) {
        if !self.awaits_growth
            && let Some(at) = self.room.as_ref().and_then(|room| room.grows_at(now))
        {
            self.awaits_growth = true;
            self.at(at, Event::Grown);
        }
    }

    /// Gives the slots that are free to whoever waits; after the phase's end nothing is sent any more.
    fn hand_out(&mut self, now: u64) -> Result<()> {
        while !self.waiting.is_empty() {
            if self.is_over(now) {
                while let Some(request) = self.waiting.pop_front() {
                    self.last_ns = now;
                    self.drop(&request, now)?;
                }
            } else if self.room.as_mut().is_none_or(|room| room.take(now)) {
                if let Some(request) = self.waiting.pop_front() {
                    self.send(Request { holds_slot: true, ..request }, now);
                }
            } else {
                self.await_growth(now);
                break;
            }
        }
        Ok(())
    }

    fn tell_of(&mut self, request: &Request, sent_ns: Option<u64>) {
        let Request { number, entry, turn, intended_ns, .. } = *request;
        (self.tell)(Planned { phase: 0, request: number, session: entry, turn, intended_ns, sent_ns });
    }

    fn send(&mut self, request: Request, now: u64) {
        self.tell_of(&request, Some(now));
        self.at(now.saturating_add(self.latency_ns), Event::Answered(request));
    }

    /// A request is not sent, and its session ends.
    fn drop(&mut self, request: &Request, now: u64) -> Result<()> {
        self.tell_of(request, None);
        let &Request { worker, session, turn, .. } = request;
        let flow = Flow { session, turn, turns: turn + 1, at_ns: now, failed: 1, ..Flow::default() };
        self.ended(worker, &flow)?;
        if request.holds_slot {
            self.give_back(now)?;
        }
        self.ask(worker, now)
    }

    /// A session ends.
    fn ended(&mut self, worker: usize, flow: &Flow) -> Result<()> {
        let shard = &mut self.shards[worker];
        shard.open = shard.open.saturating_sub(1);
        shard.pump.ended(flow, false)
    }

    fn give_back(&mut self, now: u64) -> Result<()> {
        if let Some(room) = &mut self.room {
            room.give_back();
        }
        self.hand_out(now)
    }

    fn answered(&mut self, request: Request, now: u64) -> Result<()> {
        let worker = request.worker;
        let turns = self.timetable.turns(request.entry);
        let turn = request.turn + 1;
        let time = if turn < turns { self.timetable.time(request.entry, turn) } else { TurnTime::NONE };
        let mut due = now.saturating_add(time.delay_ns).max(match request.gap_ns {
            0 => 0,
            gap_ns => request.intended_ns.saturating_add(gap_ns),
        });
        if self.phase.timestamp(time).is_some() {
            due = due.max(time.timestamp_ns);
        }
        let next = if turn < turns && !self.is_over(due) { self.phase.budget.request() } else { None };
        let flow = Flow {
            session: request.session,
            turn: request.turn,
            turns,
            at_ns: now,
            latency_ns: self.latency_ns,
            next_delay_ns: due - now,
            ..Flow::default()
        };
        let plan = &self.phase.plan;
        let keeps_slot = next.is_some() && plan.concurrency_unit == ConcurrencyUnit::Sessions;
        if let Some(number) = next {
            // A strategy that knows its users counts them whatever they do.
            let thinks =
                due > now && plan.concurrency_unit == ConcurrencyUnit::Requests && plan.strategy != USER_CENTRIC;
            let holds_slot = request.holds_slot && keeps_slot;
            let next = Request { number, turn, is_first: false, intended_ns: due, holds_slot, thinks, ..request };
            let pump = &mut self.shards[worker].pump;
            pump.ended(&flow, true)?;
            if thinks {
                pump.thinks(true);
            }
            self.at(due, Event::Due(next));
        } else {
            self.ended(worker, &flow)?;
        }
        if request.holds_slot && !keeps_slot {
            self.give_back(now)?;
        }
        self.ask(worker, now)
    }
}
