//! [`Pump`]: turns what a strategy says into arrivals, and ends the phase. A state machine: it is asked at a time and
//! answers what to do, so it runs the same live, on a virtual clock and in a dry run.

use crate::Budget;
use inferometer_abi::{
    api::TimingStrategy,
    types::{ANY_SESSION, Flow, Load, Result, Step, StepKind},
};
use std::sync::Arc;

/// A session to be begun: which, and when its first turn is intended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Number of the request in its phase.
    pub request: u64,
    /// Number of the session in its phase.
    pub session: u64,
    /// When the schedule wants it sent, in nanoseconds since the phase began.
    pub intended_ns: u64,
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

/// One worker's share of a phase.
pub struct Pump {
    strategy: Box<dyn TimingStrategy>,
    budget: Arc<Budget>,
    duration_ns: u64,
    load: Load,
    /// An arrival whose time has not come.
    pending: Option<Step>,
    ended: bool,
}

impl Pump {
    /// A pump of a strategy that has been started; `duration_ns`: when to stop sending.
    pub fn new(strategy: Box<dyn TimingStrategy>, budget: Arc<Budget>, duration_ns: Option<u64>) -> Self {
        let duration_ns = duration_ns.unwrap_or(u64::MAX);
        Self { strategy, budget, duration_ns, load: Load::default(), pending: None, ended: false }
    }

    /// What to do at `now_ns`.
    ///
    /// # Errors
    /// The strategy's; there are no further arrivals then.
    pub fn poll(&mut self, now_ns: u64) -> Result<Action> {
        if self.ended || now_ns >= self.duration_ns || self.budget.is_spent() {
            self.ended = true;
            return Ok(Action::End);
        }
        let step = match self.pending.take() {
            Some(step) => step,
            None => self.strategy.next(now_ns, &self.load).inspect_err(|_| self.ended = true)?,
        };
        let wake_ns = step.at_ns.min(self.duration_ns);
        Ok(match step.kind {
            StepKind::SEND if step.at_ns > now_ns => {
                self.pending = Some(step);
                Action::Until(wake_ns)
            }
            StepKind::SEND => match self.budget.request() {
                Some(request) => {
                    self.load.open += 1;
                    self.load.sent += 1;
                    let session = if step.session == ANY_SESSION { self.budget.session() } else { step.session };
                    Action::Launch(Arrival { request, session, intended_ns: step.at_ns })
                }
                None => {
                    self.ended = true;
                    Action::End
                }
            },
            StepKind::WAIT if step.at_ns > now_ns => Action::Until(wake_ns),
            // A wait for the past would spin; the strategy is asked again when something happens.
            StepKind::PARK | StepKind::WAIT if self.duration_ns == u64::MAX => Action::Park,
            StepKind::PARK | StepKind::WAIT => Action::Until(self.duration_ns),
            _ => {
                self.ended = true;
                Action::End
            }
        })
    }

    /// A session of this worker ended with this request.
    ///
    /// # Errors
    /// The strategy's; there are no further arrivals then.
    pub fn ended(&mut self, flow: &Flow) -> Result<()> {
        self.load.open = self.load.open.saturating_sub(1);
        self.load.ended += 1;
        self.load.failed += u64::from(flow.failed != 0);
        self.strategy.on_flow(flow).inspect_err(|_| self.ended = true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_abi::{api::Timetable, types::PhaseSpec};

    /// Plays back a list of steps.
    struct Script(Vec<Step>);

    impl TimingStrategy for Script {
        fn start(&mut self, _: &PhaseSpec, _: &dyn Timetable) -> Result<()> {
            Ok(())
        }

        fn next(&mut self, _: u64, _: &Load) -> Result<Step> {
            Ok(if self.0.is_empty() { Step::END } else { self.0.remove(0) })
        }
    }

    fn pump(steps: &[Step], requests: Option<u64>, duration_ns: Option<u64>) -> Pump {
        Pump::new(Box::new(Script(steps.to_vec())), Arc::new(Budget::new(requests)), duration_ns)
    }

    /// Runs to the end on a virtual clock; what was launched, and when.
    fn run(mut pump: Pump) -> Vec<(u64, Arrival)> {
        let (mut now, mut launched) = (0, Vec::new());
        loop {
            match pump.poll(now).unwrap() {
                Action::Launch(arrival) => launched.push((now, arrival)),
                Action::Until(at) => now = at,
                Action::Park | Action::End => return launched,
            }
        }
    }

    #[test]
    fn an_arrival_is_launched_when_its_time_comes() {
        let launched = run(pump(&[Step::send(50, 7), Step::send(90, ANY_SESSION)], None, None));
        assert_eq!(
            launched,
            [
                (50, Arrival { request: 0, session: 7, intended_ns: 50 }),
                (90, Arrival { request: 1, session: 0, intended_ns: 90 })
            ]
        );
    }

    #[test]
    fn a_late_arrival_keeps_its_intended_time() {
        let mut late = pump(&[Step::send(10, 0)], None, None);
        assert_eq!(late.poll(500).unwrap(), Action::Launch(Arrival { request: 0, session: 0, intended_ns: 10 }));
    }

    #[test]
    fn the_count_and_the_duration_end_a_phase() {
        let steps: Vec<Step> = (0..10).map(|k| Step::send(k * 10, k)).collect();
        assert_eq!(run(pump(&steps, Some(3), None)).len(), 3);
        assert_eq!(run(pump(&steps, None, Some(50))).len(), 5);
    }

    #[test]
    fn a_budget_is_exact_over_workers() {
        let budget = Arc::new(Budget::new(Some(1000)));
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let budget = Arc::clone(&budget);
                std::thread::spawn(move || std::iter::from_fn(|| budget.request()).collect::<Vec<u64>>())
            })
            .collect();
        let mut taken: Vec<u64> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        taken.sort_unstable();
        assert_eq!(taken, (0..1000).collect::<Vec<u64>>());
    }

    #[test]
    fn a_wait_for_the_past_does_not_spin() {
        let wait = Step { kind: StepKind::WAIT, at_ns: 0, ..Step::PARK };
        assert_eq!(pump(&[wait], None, None).poll(5).unwrap(), Action::Park);
    }
}
