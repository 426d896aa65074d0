//! [`Pump`]: turns what a strategy says into arrivals, and ends the phase. A state machine: it is asked at a time and
//! answers what to do, so it runs the same live, on a virtual clock and in a dry run.

use crate::budget::{Budget, Numbered};
use inferometer_abi::{
    api::TimingStrategy,
    types::{ANY_SESSION, Error, ErrorKind, Flow, Load, Result, Step, StepKind, step_flags},
};
use std::sync::Arc;

/// A strategy that goes on sending so many times without getting later will do so for ever.
const MOST_AT_ONCE: u64 = 10_000_000;

/// A session to be begun: which, and when its first turn is intended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Number of the request in its phase.
    pub request: u64,
    /// Number of the session in its phase, or in the data set if it is exact.
    pub session: u64,
    /// Whether the session is the data set's own number.
    pub is_exact: bool,
    /// When the schedule wants it sent, in nanoseconds since the phase began.
    pub intended_ns: u64,
    /// The turn to begin with.
    pub turn: u32,
    /// Least time from one turn's intended send to the next one's, in nanoseconds.
    pub gap_ns: u64,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin this session now, then ask again.
    Launch(Arrival),
    /// Ask again at this time, or when a request has ended.
    Until(u64),
    /// Ask again when a request has ended.
    Park,
    /// No further arrivals.
    End,
}

/// How long after a phase's end an arrival that was due before it is still sent, in nanoseconds: timers and threads are
/// late by some microseconds, and one that was due right at the end is not to be lost for that.
pub const LEEWAY_NS: u64 = 1_000_000;

/// One worker's share of a phase.
pub struct Pump {
    strategy: Box<dyn TimingStrategy>,
    budget: Arc<Budget>,
    duration_ns: u64,
    load: Load,
    /// Sessions between two turns that hold no slot, which the strategy takes for no load.
    thinking: u32,
    /// An arrival whose time has not come.
    pending: Option<Step>,
    state: State,
}

/// How far a phase has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    /// Its time is over or its budget spent; the strategy may have more.
    Ended,
    /// The strategy has no more.
    Done,
    /// The strategy failed: it takes no more calls.
    Failed,
}

impl Pump {
    /// A pump of a strategy that has been started; `duration_ns`: when to stop sending.
    pub fn new(strategy: Box<dyn TimingStrategy>, budget: Arc<Budget>, duration_ns: Option<u64>) -> Self {
        let duration_ns = duration_ns.unwrap_or(u64::MAX);
        Self { strategy, budget, duration_ns, load: Load::default(), thinking: 0, pending: None, state: State::Running }
    }

    /// What to do at `now_ns`.
    ///
    /// # Errors
    /// The strategy's; there are no further arrivals then.
    pub fn poll(&mut self, now_ns: u64) -> Result<Action> {
        if self.state != State::Running {
            return Ok(Action::End);
        }
        if now_ns >= self.duration_ns.saturating_add(LEEWAY_NS) || self.budget.is_spent() {
            return Ok(self.end(State::Ended));
        }
        let step = self.next(now_ns.min(self.duration_ns))?;
        if now_ns >= self.duration_ns && !self.is_within(&step) {
            return Ok(self.end(State::Done));
        }
        let wake_ns = step.at_ns.min(self.duration_ns);
        Ok(match step.kind {
            StepKind::SEND if step.at_ns > now_ns => {
                self.pending = Some(step);
                Action::Until(wake_ns)
            }
            StepKind::SEND => self.launch(step).map_or_else(|| self.end(State::Ended), Action::Launch),
            StepKind::WAIT if step.at_ns > now_ns => Action::Until(wake_ns),
            // A wait for the past would spin; the strategy is asked again when something happens.
            StepKind::PARK | StepKind::WAIT if self.load.open == 0 && self.duration_ns == u64::MAX => {
                self.state = State::Failed;
                return Err(Error::new(ErrorKind::OTHER, "it waits for a request to end, and none is under way"));
            }
            StepKind::PARK | StepKind::WAIT if self.duration_ns == u64::MAX => Action::Park,
            StepKind::PARK | StepKind::WAIT => Action::Until(self.duration_ns),
            _ => self.end(State::Done),
        })
    }

    /// The strategy's next step, of a kind that is known.
    fn next(&mut self, now_ns: u64) -> Result<Step> {
        if let Some(step) = self.pending.take() {
            return Ok(step);
        }
        let load = Load { open: self.load.open - self.thinking, ..self.load };
        let step = self.strategy.next(now_ns, &load).and_then(|step| match step.kind {
            StepKind::SEND | StepKind::WAIT | StepKind::PARK | StepKind::END => Ok(step),
            StepKind(unknown) => {
                Err(Error::new(ErrorKind::UNSUPPORTED, format!("it gave a step of unknown kind {unknown}")))
            }
        });
        step.inspect_err(|_| self.state = State::Failed)
    }

    /// Whether `step` is an arrival that is due before the phase's end.
    fn is_within(&self, step: &Step) -> bool {
        step.kind == StepKind::SEND && step.at_ns < self.duration_ns
    }

    fn end(&mut self, state: State) -> Action {
        self.state = state;
        Action::End
    }

    /// Takes what the arrival needs from the budget, if it is still to be had.
    fn launch(&mut self, step: Step) -> Option<Arrival> {
        let is_exact = step.session != ANY_SESSION && step.flags & step_flags::EXACT != 0;
        let number = match step.session {
            ANY_SESSION => Numbered::Next,
            number if is_exact => Numbered::ByData(number),
            number => Numbered::BySchedule(number),
        };
        let (request, session) = self.budget.begin(number)?;
        self.load.open += 1;
        self.load.sent += 1;
        let (intended_ns, turn, gap_ns) = (step.at_ns, step.turn, step.gap_ns());
        Some(Arrival { request, session, is_exact, intended_ns, turn, gap_ns })
    }

    /// A session of this worker that is between two turns begins, or ceases, to be no load: where slots are requests', they
    /// are free for others while it thinks.
    pub fn thinks(&mut self, begins: bool) {
        self.thinking = if begins { self.thinking + 1 } else { self.thinking.saturating_sub(1) };
    }

    /// Arrivals that were due before the phase's end and were not launched: the worker did not come round to them.
    /// To be asked once, when the phase's time is over. Counting goes on for as long as `go_on` says.
    ///
    /// # Errors
    /// Beside the arrivals counted so far: the strategy's, or that there are more of them than can be counted.
    pub fn missed(&mut self, mut go_on: impl FnMut() -> bool) -> (u64, Result<()>) {
        let (mut missed, mut at_once, mut latest_ns) = (0, 0, 0);
        while self.has_more() && !self.budget.is_spent() {
            if at_once == MOST_AT_ONCE || !go_on() {
                self.state = State::Done;
                let first = format!("only the first {missed} could be counted");
                let text = format!("of the arrivals that were due and not sent, {first}");
                return (missed, Err(Error::new(ErrorKind::OTHER, text)));
            }
            match self.next(self.duration_ns) {
                // Part of the budget, so that the count stays exact over all workers.
                Ok(step) if self.is_within(&step) && self.budget.request().is_some() => {
                    missed += 1;
                    at_once = if step.at_ns > latest_ns { 1 } else { at_once + 1 };
                    latest_ns = latest_ns.max(step.at_ns);
                }
                Ok(_) => self.state = State::Done,
                Err(error) => return (missed, Err(error)),
            }
        }
        (missed, Ok(()))
    }

    /// Whether the strategy may have arrivals that were due before the phase's end.
    fn has_more(&self) -> bool {
        matches!(self.state, State::Running | State::Ended) && self.duration_ns != u64::MAX
    }

    /// A request of this worker ended, and its session with it unless another `follows`.
    ///
    /// # Errors
    /// The strategy's; there are no further arrivals then.
    pub fn ended(&mut self, flow: &Flow, follows: bool) -> Result<()> {
        if follows {
            self.load.sent += 1;
        } else {
            self.load.open = self.load.open.saturating_sub(1);
        }
        self.load.ended += 1;
        self.load.failed += u64::from(flow.failed != 0);
        if self.state == State::Failed {
            return Ok(());
        }
        self.strategy.on_flow(flow).inspect_err(|_| self.state = State::Failed)
    }
}

#[cfg(test)]
mod tests;
