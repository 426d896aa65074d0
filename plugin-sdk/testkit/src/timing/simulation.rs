//! A host on a virtual clock: runs the shards of a phase against a server of known service times.
//!
//! Not here: a host that falls behind its schedule. Nothing takes time but the server.

use crate::law::{broken, holds, survives};
use inferometer_plugin_sdk::{
    api::{Timetable, TimingStrategy},
    types::{ANY_SESSION, Flow, Load, PhaseSpec, Result, Step, StepKind, TurnTime},
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
    /// How long the server takes for request number n of a shard, in nanoseconds.
    pub service_ns: fn(u64) -> u64,
    /// Turns of every session in [`Simulation::run`]; the host sends all but the first by itself.
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

/// A request of a session: an arrival, or one of the turns that the host sent after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requested {
    /// Which of the arrivals of [`Outcome::sent`] began the session.
    pub arrival: usize,
    /// The session's turn, from 0.
    pub turn: u32,
    /// When it was sent, in nanoseconds since the phase began.
    pub at_ns: u64,
    /// When its answer ended.
    pub ended_ns: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// All arrivals, in the order in which they were sent.
    pub sent: Vec<Sent>,
    /// All requests, in the order in which they were sent.
    pub requests: Vec<Requested>,
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

/// What is due, with the place of its session where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// An arrival is sent.
    Begins(usize),
    /// The host sends a further turn.
    Sends(usize),
    Ends(usize),
    Wakes,
}

/// A session under way.
struct Course {
    session: u64,
    /// Its row of the timetable.
    row: u64,
    turn: u32,
    turns: u32,
    gap_ns: u64,
    /// When the turn was intended.
    intended_ns: u64,
    /// Its place in [`Outcome::sent`], once it was sent.
    arrival: usize,
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
    timetable: &'a dyn Timetable,
    shards: Vec<Shard>,
    courses: Vec<Course>,
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
    /// Runs until every shard has ended and every request with it, with the timetable of [`Sessions`]. `make` makes the
    /// strategy of one shard.
    ///
    /// # Errors
    /// As for [`Simulation::run_with`].
    ///
    /// # Panics
    /// As for [`Simulation::run_with`].
    pub fn run(&self, make: impl Fn() -> Box<dyn TimingStrategy>) -> Result<Outcome> {
        self.run_with(&Sessions { turns: self.turns }, make)
    }

    /// The same with a timetable of one's own. Where a strategy does not name the data set's sessions, arrivals take them
    /// in turn; numbers beyond the last begin again with the first. A turn that is not the first is sent when its own time has come, its delay after the answer before it is
    /// over, and so is the gap that the strategy asked for.
    ///
    /// # Errors
    /// When a strategy refuses the phase.
    ///
    /// # Panics
    /// When a strategy breaks a law that holds at every step: it fails in mid-phase, sends earlier than it sent before,
    /// waits for what is past, parks when nothing can happen any more, begins a session that is not to be sent, or never
    /// ends.
    pub fn run_with(&self, timetable: &dyn Timetable, make: impl Fn() -> Box<dyn TimingStrategy>) -> Result<Outcome> {
        let shards = (0..self.shards).map(|shard| self.begin(shard, timetable, &make)).collect::<Result<Vec<_>>>()?;
        let mut running = Running {
            world: self,
            timetable,
            shards,
            courses: Vec::new(),
            due: BinaryHeap::new(),
            handed: 0,
            number: 0,
            calls: 0,
            outcome: Outcome {
                sent: Vec::new(),
                requests: Vec::new(),
                peak_open: 0,
                peak_open_by_shard: Vec::new(),
                least_open: u32::MAX,
            },
            least_so_far: u32::MAX,
        };
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

    fn begin(
        &self,
        shard: u32,
        timetable: &dyn Timetable,
        make: &impl Fn() -> Box<dyn TimingStrategy>,
    ) -> Result<Shard> {
        let (each, over) = (self.phase.concurrency / self.shards, self.phase.concurrency % self.shards);
        let phase = PhaseSpec { shard, shards: self.shards, slots: each + u32::from(shard < over), ..self.phase };
        let mut strategy = make();
        survives(
            "a phase begins or is refused without a panic",
            || format!("{phase:?}"),
            || strategy.start(&phase, timetable),
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
        let course = self.course(now, step);
        let shard = &mut self.shards[index];
        let last = std::mem::replace(&mut shard.last_at_ns, step.at_ns);
        holds!("arrival times never fall", step.at_ns >= last, "shard {index}: {} ns after {last} ns", step.at_ns);
        self.handed += 1;
        shard.load.open += 1;
        shard.peak = shard.peak.max(shard.load.open);
        shard.sleeping = step.at_ns > now;
        self.outcome.least_open = self.least_so_far;
        self.courses.push(course);
        self.comes_due(step.at_ns.max(now), index, What::Begins(self.courses.len() - 1));
    }

    /// The session that `step` begins.
    fn course(&self, now: u64, step: &Step) -> Course {
        let Step { session, turn, .. } = *step;
        let row = match (session, self.timetable.sessions()) {
            (ANY_SESSION, 0) => self.handed,
            (ANY_SESSION, sessions) => self.handed % sessions,
            (session, 0) => session,
            (session, sessions) => session % sessions,
        };
        let turns = self.timetable.turns(row);
        holds!(
            "a session begins with a turn that it has",
            turn < turns,
            "turn {turn} of {turns}, {step:?} at {now} ns"
        );
        Course { session, row, turn, turns, gap_ns: step.gap_ns(), intended_ns: step.at_ns, arrival: 0 }
    }

    fn comes_due(&mut self, at: u64, index: usize, what: What) {
        self.number += 1;
        self.due.push(Reverse((at, self.number, index, what)));
    }

    fn happens(&mut self, at: u64, index: usize, what: What) {
        match what {
            // It may have asked for another time since.
            What::Wakes => {
                let shard = &mut self.shards[index];
                shard.wakes_at = shard.wakes_at.filter(|wanted| *wanted != at);
            }
            What::Begins(place) => {
                self.shards[index].sleeping = false;
                self.courses[place].arrival = self.outcome.sent.len();
                self.outcome.sent.push(Sent { session: self.courses[place].session, at_ns: at });
                self.is_sent(at, index, place);
            }
            What::Sends(place) => self.is_sent(at, index, place),
            What::Ends(place) => self.has_ended(at, index, place),
        }
    }

    /// A turn is sent.
    fn is_sent(&mut self, at: u64, index: usize, place: usize) {
        let Course { arrival, turn, .. } = self.courses[place];
        let shard = &mut self.shards[index];
        let ended_ns = at.saturating_add((self.world.service_ns)(shard.load.sent));
        shard.load.sent += 1;
        self.outcome.requests.push(Requested { arrival, turn, at_ns: at, ended_ns });
        self.comes_due(ended_ns, index, What::Ends(place));
    }

    /// A turn's answer has ended.
    fn has_ended(&mut self, at: u64, index: usize, place: usize) {
        let shard = &mut self.shards[index];
        let course = &mut self.courses[place];
        let Course { session, turn, turns, .. } = *course;
        let is_last = turn + 1 == turns;
        let time = if is_last { TurnTime::NONE } else { self.timetable.time(course.row, turn + 1) };
        shard.load.ended += 1;
        shard.load.open -= u32::from(is_last);
        let flow = Flow { session, turn, turns, at_ns: at, next_delay_ns: time.delay_ns, ..Flow::default() };
        let strategy = &mut shard.strategy;
        let law = "a strategy takes what happens";
        if let Err(error) = survives(law, || format!("{flow:?}"), || strategy.on_flow(&flow)) {
            broken(law, format_args!("{flow:?}: {error}"));
        }
        if !is_last {
            course.turn += 1;
            let own = if time.timestamp_ns == TurnTime::NONE.timestamp_ns { 0 } else { time.timestamp_ns };
            let paced = course.intended_ns.saturating_add(course.gap_ns);
            course.intended_ns = at.saturating_add(time.delay_ns).max(own).max(paced);
            let intended = course.intended_ns;
            self.comes_due(intended, index, What::Sends(place));
        }
    }
}
