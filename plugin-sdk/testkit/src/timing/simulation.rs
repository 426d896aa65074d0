//! A host on a virtual clock: runs the shards of a phase against a server of known service times.
//!
//! Not here: a host that falls behind its schedule. Nothing takes time but the server.

use crate::law::{broken, holds, survives};
use inferometer_plugin_sdk::{
    api::{Timetable, TimingStrategy},
    types::{Flow, Load, PhaseSpec, Result, Step, StepKind, TurnTime},
};
use std::{cmp::Reverse, collections::BinaryHeap};

/// More calls than any phase of these laws needs.
const MOST_CALLS: u64 = 1_000_000;

/// A phase to be run, and the world it is run in.
#[derive(Clone, Copy, Debug)]
pub struct Simulation {
    /// The phase, as told to every shard apart from its number and its slots.
    pub phase: PhaseSpec,
    /// Number of shards.
    pub shards: u32,
    /// How long the server takes for request number n, in nanoseconds.
    pub service_ns: fn(u64) -> u64,
    /// Turns of every session; the host sends all but the first by itself.
    pub turns: u32,
    /// Whether the host ends the phase at its limits, as a real one does. If not, the strategy has to.
    pub host_ends: bool,
}

impl Default for Simulation {
    fn default() -> Self {
        Self { phase: PhaseSpec::default(), shards: 1, service_ns: |_| 1_000_000, turns: 1, host_ends: true }
    }
}

/// An arrival that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    /// The session, as the strategy named it.
    pub session: u64,
    /// When, in nanoseconds since the phase began.
    pub at_ns: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// All arrivals, in the order in which they were sent.
    pub sent: Vec<Sent>,
    /// Most sessions open at a time.
    pub peak_open: u32,
    /// The same for each shard.
    pub peak_open_by_shard: Vec<u32>,
    /// Fewest sessions open at any moment before the last was sent, after all shards had their say.
    pub least_open: u32,
}

impl Outcome {
    /// The arrivals sorted by session and time, to be compared where shards may send at the same moment.
    #[must_use]
    pub fn sorted(&self) -> Vec<Sent> {
        let mut sent = self.sent.clone();
        sent.sort_unstable();
        sent
    }
}

/// The timetable of 1,000 sessions, five milliseconds apart.
#[derive(Clone, Copy, Debug)]
pub struct Sessions {
    /// Turns of each.
    pub turns: u32,
}

impl Timetable for Sessions {
    fn sessions(&self) -> u64 {
        1_000
    }

    fn turns(&self, _: u64) -> u32 {
        self.turns
    }

    fn time(&self, session: u64, turn: u32) -> TurnTime {
        match turn {
            0 => TurnTime { timestamp_ns: session.saturating_mul(5_000_000), delay_ns: 0 },
            _ => TurnTime { timestamp_ns: u64::MAX, delay_ns: 1_000_000 },
        }
    }
}

/// Something due, sorted by time; the number keeps the order within one moment.
type Due = Reverse<(u64, u64, usize, What)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Ends {
        session: u64,
        turn: u32,
    },
    /// A first turn is an arrival, further ones are the host's.
    Sends {
        session: u64,
        turn: u32,
    },
    Wakes,
}

struct Shard {
    strategy: Box<dyn TimingStrategy>,
    load: Load,
    peak: u32,
    /// An arrival was handed over whose time has not come.
    sleeping: bool,
    /// Asked to be asked again at this time.
    wakes_at: Option<u64>,
    ended: bool,
    last_at_ns: u64,
}

struct Running<'a> {
    world: &'a Simulation,
    shards: Vec<Shard>,
    due: BinaryHeap<Due>,
    /// Arrivals handed over.
    handed: u64,
    /// Things that became due.
    number: u64,
    calls: u64,
    outcome: Outcome,
    least_so_far: u32,
}

impl Simulation {
    /// Runs until every shard has ended and every request with it. `make` makes the strategy of one shard.
    ///
    /// # Errors
    /// When a strategy refuses the phase.
    ///
    /// # Panics
    /// When a strategy breaks a law that holds at every step: it fails in mid-phase, sends earlier than it sent before,
    /// waits for what is past, parks when nothing can happen any more, or never ends.
    pub fn run(&self, make: impl Fn() -> Box<dyn TimingStrategy>) -> Result<Outcome> {
        let shards = (0..self.shards).map(|shard| self.begin(shard, &make)).collect::<Result<Vec<_>>>()?;
        let outcome = Outcome { sent: Vec::new(), peak_open: 0, peak_open_by_shard: Vec::new(), least_open: u32::MAX };
        let due = BinaryHeap::new();
        let mut running =
            Running { world: self, shards, due, handed: 0, number: 0, calls: 0, outcome, least_so_far: u32::MAX };
        (0..running.shards.len()).for_each(|index| running.ask(0, index));
        running.look();
        while let Some(Reverse((at, _, index, what))) = running.due.pop() {
            running.happens(at, index, what);
            running.ask(at, index);
            running.look();
        }
        let Running { shards, mut outcome, .. } = running;
        outcome.peak_open_by_shard = shards.iter().map(|shard| shard.peak).collect();
        Ok(outcome)
    }

    fn begin(&self, shard: u32, make: &impl Fn() -> Box<dyn TimingStrategy>) -> Result<Shard> {
        let (each, over) = (self.phase.concurrency / self.shards, self.phase.concurrency % self.shards);
        let phase = PhaseSpec { shard, shards: self.shards, slots: each + u32::from(shard < over), ..self.phase };
        let mut strategy = make();
        survives(
            "a phase begins or is refused without a panic",
            || format!("{phase:?}"),
            || strategy.start(&phase, &Sessions { turns: self.turns }),
        )?;
        Ok(Shard {
            strategy,
            load: Load::default(),
            peak: 0,
            sleeping: false,
            wakes_at: None,
            ended: false,
            last_at_ns: 0,
        })
    }

    /// Whether a host that ends phases ends this one instead of sending at `at_ns`.
    fn is_over(&self, handed: u64, at_ns: u64) -> bool {
        let PhaseSpec { requests, duration_ns, .. } = self.phase;
        self.host_ends && ((requests > 0 && handed >= requests) || (duration_ns > 0 && at_ns >= duration_ns))
    }
}

impl Running<'_> {
    /// Asks one shard until it has nothing to say for now.
    fn ask(&mut self, now: u64, index: usize) {
        while !self.shards[index].sleeping && !self.shards[index].ended && self.ask_once(now, index) {}
    }

    /// Notes how many sessions are open.
    fn look(&mut self) {
        let open = self.shards.iter().map(|shard| shard.load.open).sum();
        self.outcome.peak_open = self.outcome.peak_open.max(open);
        self.least_so_far = self.least_so_far.min(open);
    }

    /// Asks one shard once. Whether it is to be asked again at once.
    fn ask_once(&mut self, now: u64, index: usize) -> bool {
        self.calls += 1;
        holds!("a strategy ends", self.calls < MOST_CALLS, "{MOST_CALLS} calls and no end, now at {now} ns");
        let shard = &mut self.shards[index];
        let (strategy, load) = (&mut shard.strategy, &shard.load);
        let step = survives(
            "a strategy goes on without a panic",
            || format!("{now} ns, {load:?}"),
            || strategy.next(now, load),
        );
        let step =
            step.unwrap_or_else(|error| broken("a phase that began goes on", format_args!("at {now} ns: {error}")));
        if self.world.host_ends && step.kind != StepKind::SEND && self.world.is_over(self.handed, now) {
            shard.ended = true;
            return false;
        }
        match step.kind {
            StepKind::SEND if self.world.is_over(self.handed, step.at_ns.max(now)) => shard.ended = true,
            StepKind::SEND => self.send(now, index, &step),
            StepKind::WAIT => {
                holds!("a strategy waits for what is to come", step.at_ns > now, "{} ns at {now} ns", step.at_ns);
                if shard.wakes_at != Some(step.at_ns) {
                    shard.wakes_at = Some(step.at_ns);
                    self.comes_due(step.at_ns, index, What::Wakes);
                }
                return false;
            }
            StepKind::PARK => {
                let open = shard.load.open;
                holds!("a strategy parks only while something is to happen", open > 0, "{now} ns, nothing is open");
                return false;
            }
            StepKind::END => shard.ended = true,
            kind => broken("a step is one of four", format_args!("{kind:?} at {now} ns")),
        }
        true
    }

    fn send(&mut self, now: u64, index: usize, step: &Step) {
        let shard = &mut self.shards[index];
        let last = std::mem::replace(&mut shard.last_at_ns, step.at_ns);
        holds!("arrival times never fall", step.at_ns >= last, "shard {index}: {} ns after {last} ns", step.at_ns);
        self.handed += 1;
        shard.load.open += 1;
        shard.peak = shard.peak.max(shard.load.open);
        shard.sleeping = step.at_ns > now;
        self.outcome.least_open = self.least_so_far;
        self.comes_due(step.at_ns.max(now), index, What::Sends { session: step.session, turn: step.turn });
    }

    fn comes_due(&mut self, at: u64, index: usize, what: What) {
        self.number += 1;
        self.due.push(Reverse((at, self.number, index, what)));
    }

    fn happens(&mut self, at: u64, index: usize, what: What) {
        let world = self.world;
        let shard = &mut self.shards[index];
        match what {
            // It may have asked for another time since.
            What::Wakes => shard.wakes_at = shard.wakes_at.filter(|wanted| *wanted != at),
            What::Sends { session, turn } => {
                if turn == 0 {
                    shard.sleeping = false;
                    self.outcome.sent.push(Sent { session, at_ns: at });
                }
                let ends = at.saturating_add((world.service_ns)(shard.load.sent));
                shard.load.sent += 1;
                self.comes_due(ends, index, What::Ends { session, turn });
            }
            What::Ends { session, turn } => {
                shard.load.ended += 1;
                let turns = world.turns;
                let is_last = turn + 1 >= turns;
                let next_delay_ns = if is_last { 0 } else { 1_000_000 };
                if is_last {
                    shard.load.open -= 1;
                }
                let flow = Flow { session, turn, turns, at_ns: at, next_delay_ns, ..Flow::default() };
                let strategy = &mut shard.strategy;
                let law = "a strategy takes what happens";
                if let Err(error) = survives(law, || format!("{flow:?}"), || strategy.on_flow(&flow)) {
                    broken(law, format_args!("{flow:?}: {error}"));
                }
                if !is_last {
                    self.comes_due(at + next_delay_ns, index, What::Sends { session, turn: turn + 1 });
                }
            }
        }
    }
}
