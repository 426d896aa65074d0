//! [`Prepared::rehearse`]: the run on a virtual clock, with a server that takes the same time for every answer. Nothing is
//! sent; what would be, and when, is told.

use crate::{EngineError, Prepared, data::OnDemand, job::Phase};
use inferometer_abi::{
    api::{Timetable as _, TimingStrategy},
    types::{Flow, TurnTime},
};
use inferometer_load::{Action, Pump};
use inferometer_model::config::{ConcurrencyUnit, OnOverload};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
};

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
    intended_ns: u64,
    gap_ns: u64,
    holds_slot: bool,
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
}

impl Prepared {
    /// Runs all phases on a virtual clock, each answer taking `latency_ns`, and tells `planned` of every request. Sessions
    /// that others begin are left out.
    ///
    /// # Errors
    /// A strategy's.
    pub fn rehearse(self, latency_ns: u64, mut planned: impl FnMut(Planned)) -> Result<(), EngineError> {
        let mut start_ns = 0;
        let workers = self.strategies.len();
        let mut strategies: Vec<_> = self.strategies.into_iter().map(Vec::into_iter).collect();
        let mut before = None;
        for (index, phase) in self.job.phases.iter().enumerate() {
            phase.begin(before, &self.job.pool, || start_ns);
            before = Some(phase);
            let own = strategies.iter_mut().filter_map(Iterator::next).collect();
            let mut rehearsal = Rehearsal {
                phase,
                timetable: OnDemand::new(&self.job.pool, phase.plan.replay),
                pool_sessions: self.job.pool.sessions(),
                pumps: pumps(phase, own),
                latency_ns,
                events: BinaryHeap::new(),
                told: 0,
                free: phase.plan.concurrency,
                waiting: VecDeque::new(),
                last_ns: 0,
            };
            let tell = |mut request: Planned| {
                request.phase = index;
                request.intended_ns += start_ns;
                request.sent_ns = request.sent_ns.map(|at| at + start_ns);
                planned(request);
            };
            rehearsal.run(workers, &self.job.pool, tell).map_err(EngineError::component(&phase.plan.strategy))?;
            let last_ns = rehearsal.last_ns;
            rehearsal.timetable.finish()?;
            start_ns += last_ns;
        }
        Ok(())
    }
}

fn pumps(phase: &Phase, strategies: Vec<Box<dyn TimingStrategy>>) -> Vec<Pump> {
    let pump = |strategy| Pump::new(strategy, Arc::clone(&phase.budget), phase.plan.stop.duration_ns);
    strategies.into_iter().map(pump).collect()
}

/// One phase of a rehearsal. Times are nanoseconds since it began.
struct Rehearsal<'a> {
    phase: &'a Phase,
    timetable: OnDemand<'a>,
    pool_sessions: u64,
    pumps: Vec<Pump>,
    latency_ns: u64,
    /// By time; what comes due at one time happens in the order in which it was planned.
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    told: u64,
    /// Slots that are free, where there is a limit.
    free: Option<u64>,
    waiting: VecDeque<Request>,
    last_ns: u64,
}

impl Rehearsal<'_> {
    fn at(&mut self, time_ns: u64, event: Event) {
        self.told += 1;
        self.events.push(Reverse((time_ns, self.told, event)));
    }

    fn run(
        &mut self,
        workers: usize,
        pool: &crate::data::Pool,
        mut tell: impl FnMut(Planned),
    ) -> inferometer_abi::types::Result<()> {
        (0..workers).for_each(|worker| self.at(0, Event::Ask(worker)));
        while let Some(Reverse((now, _, event))) = self.events.pop() {
            self.last_ns = self.last_ns.max(now);
            match event {
                Event::Ask(worker) => self.ask(worker, now, pool)?,
                Event::Due(request) => self.due(request, now, &mut tell),
                Event::Answered(request) => self.answered(request, now, &mut tell)?,
            }
        }
        Ok(())
    }

    fn ask(&mut self, worker: usize, now: u64, pool: &crate::data::Pool) -> inferometer_abi::types::Result<()> {
        loop {
            match self.pumps[worker].poll(now)? {
                Action::Launch(arrival) => {
                    let course = self.phase.course(&arrival, pool);
                    let request = Request {
                        worker,
                        number: arrival.request,
                        session: course.number,
                        entry: course.entry % self.pool_sessions,
                        turn: arrival.turn,
                        intended_ns: arrival.intended_ns,
                        gap_ns: arrival.gap_ns,
                        holds_slot: false,
                    };
                    self.at(now, Event::Due(request));
                }
                Action::Until(at) => {
                    self.at(at.max(now + 1), Event::Ask(worker));
                    return Ok(());
                }
                Action::Park | Action::End => return Ok(()),
            }
        }
    }

    fn due(&mut self, mut request: Request, now: u64, tell: &mut impl FnMut(Planned)) {
        let over = self.phase.plan.stop.duration_ns.is_some_and(|duration| now >= duration);
        let refused = self.phase.plan.on_overload == OnOverload::Drop && request.turn == 0;
        match (&mut self.free, request.holds_slot) {
            _ if over => return self.send(request, None, tell),
            (Some(0), false) if refused => return self.send(request, None, tell),
            (Some(0), false) => return self.waiting.push_back(request),
            (Some(free), false) => {
                *free -= 1;
                request.holds_slot = true;
            }
            _ => {}
        }
        self.send(request, Some(now), tell);
    }

    /// Tells of a request, and of its end if it is sent.
    fn send(&mut self, request: Request, sent_ns: Option<u64>, tell: &mut impl FnMut(Planned)) {
        let Request { number, entry, turn, intended_ns, .. } = request;
        tell(Planned { phase: 0, request: number, session: entry, turn, intended_ns, sent_ns });
        if let Some(at) = sent_ns {
            self.at(at.saturating_add(self.latency_ns), Event::Answered(request));
        }
    }

    fn answered(
        &mut self,
        request: Request,
        now: u64,
        tell: &mut impl FnMut(Planned),
    ) -> inferometer_abi::types::Result<()> {
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
        let over = self.phase.plan.stop.duration_ns.is_some_and(|duration| due >= duration);
        let next = if turn < turns && !over { self.phase.budget.request() } else { None };
        let flow = Flow {
            session: request.session,
            turn: request.turn,
            turns,
            at_ns: now,
            latency_ns: self.latency_ns,
            next_delay_ns: due - now,
            ..Flow::default()
        };
        self.pumps[request.worker].ended(&flow, next.is_some())?;
        let keeps_slot = next.is_some() && self.phase.plan.concurrency_unit == ConcurrencyUnit::Sessions;
        if let Some(number) = next {
            let holds_slot = request.holds_slot && keeps_slot;
            self.at(due, Event::Due(Request { number, turn, intended_ns: due, holds_slot, ..request }));
        }
        if request.holds_slot && !keeps_slot {
            match self.waiting.pop_front() {
                Some(waiting) => self.send(Request { holds_slot: true, ..waiting }, Some(now), tell),
                None => self.free = self.free.map(|free| free + 1),
            }
        }
        self.at(now, Event::Ask(request.worker));
        Ok(())
    }
}
