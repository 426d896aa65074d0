//! [`Pump`]: turns what a strategy says into arrivals, and ends the phase. A state machine: it is asked at a time and
//! answers what to do, so it runs the same live, on a virtual clock and in a dry run.

use crate::Budget;
use inferometer_abi::{
    api::TimingStrategy,
    types::{ANY_SESSION, Error, ErrorKind, Flow, Load, Result, Step, StepKind, step_flags},
};
use std::sync::Arc;

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
            StepKind::SEND => self.launch(step).map_or_else(|| self.end(), Action::Launch),
            StepKind::WAIT if step.at_ns > now_ns => Action::Until(wake_ns),
            // A wait for the past would spin; the strategy is asked again when something happens.
            StepKind::PARK | StepKind::WAIT if self.load.open == 0 && self.duration_ns == u64::MAX => {
                self.ended = true;
                return Err(Error::new(ErrorKind::OTHER, "it waits for a request to end, and none is under way"));
            }
            StepKind::PARK | StepKind::WAIT if self.duration_ns == u64::MAX => Action::Park,
            StepKind::PARK | StepKind::WAIT => Action::Until(self.duration_ns),
            StepKind::END => self.end(),
            StepKind(unknown) => {
                self.ended = true;
                return Err(Error::new(ErrorKind::UNSUPPORTED, format!("it gave a step of unknown kind {unknown}")));
            }
        })
    }

    fn end(&mut self) -> Action {
        self.ended = true;
        Action::End
    }

    /// Takes what the arrival needs from the budget, if it is still to be had.
    fn launch(&mut self, step: Step) -> Option<Arrival> {
        let (request, session) = self.budget.begin((step.session != ANY_SESSION).then_some(step.session))?;
        self.load.open += 1;
        self.load.sent += 1;
        let is_exact = step.session != ANY_SESSION && step.flags & step_flags::EXACT != 0;
        Some(Arrival { request, session, is_exact, intended_ns: step.at_ns })
    }

    /// Arrivals that were due before the phase's end and were not launched: the worker did not come round to them.
    /// To be asked once, when the phase's time is over.
    pub fn missed(&mut self) -> u64 {
        let mut missed = 0;
        let mut step = self.pending.take();
        while self.duration_ns != u64::MAX && !self.budget.is_spent() {
            let next = step.take().map_or_else(|| self.strategy.next(self.duration_ns, &self.load), Ok);
            match next {
                Ok(Step { kind: StepKind::SEND, at_ns, .. }) if at_ns < self.duration_ns => missed += 1,
                _ => break,
            }
            // Part of the budget, so that the count stays exact over all workers.
            if self.budget.request().is_none() {
                return missed - 1;
            }
        }
        missed
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
        Pump::new(Box::new(Script(steps.to_vec())), Arc::new(Budget::new(requests, None)), duration_ns)
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
                (50, Arrival { request: 0, session: 7, is_exact: false, intended_ns: 50 }),
                (90, Arrival { request: 1, session: 8, is_exact: false, intended_ns: 90 })
            ]
        );
    }

    #[test]
    fn a_late_arrival_keeps_its_intended_time() {
        let mut late = pump(&[Step::send(10, 0)], None, None);
        assert_eq!(
            late.poll(500).unwrap(),
            Action::Launch(Arrival { request: 0, session: 0, is_exact: false, intended_ns: 10 })
        );
    }

    #[test]
    fn the_count_and_the_duration_end_a_phase() {
        let steps: Vec<Step> = (0..10).map(|k| Step::send(k * 10, k)).collect();
        assert_eq!(run(pump(&steps, Some(3), None)).len(), 3);
        assert_eq!(run(pump(&steps, None, Some(50))).len(), 5);
    }

    #[test]
    fn a_budget_is_exact_over_workers() {
        let budget = Arc::new(Budget::new(Some(1000), None));
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
    fn waiting_for_nothing_is_an_error_and_not_a_hang() {
        let past = Step { kind: StepKind::WAIT, at_ns: 0, ..Step::PARK };
        for step in [past, Step::PARK, Step { kind: StepKind(9), ..Step::PARK }] {
            let mut pump = pump(&[step], None, None);
            assert!(pump.poll(5).is_err());
            assert_eq!(pump.poll(6).unwrap(), Action::End);
        }
    }

    #[test]
    fn workers_that_come_too_late_leave_no_hole_in_the_sessions() {
        let budget = Arc::new(Budget::new(Some(1000), None));
        let worker = |budget: Arc<Budget>| move || std::iter::from_fn(|| budget.begin(None)).collect::<Vec<_>>();
        let workers: Vec<_> = (0..4).map(|_| std::thread::spawn(worker(Arc::clone(&budget)))).collect();
        let begun = workers.into_iter().flat_map(|worker| worker.join().unwrap());
        let mut sessions: Vec<u64> = begun.map(|(_, session)| session).collect();
        sessions.sort_unstable();
        assert_eq!(sessions, (0..1000).collect::<Vec<u64>>());
        assert_eq!(budget.sessions(), 1000);
    }

    #[test]
    fn a_wait_for_the_past_does_not_spin() {
        let wait = Step { kind: StepKind::WAIT, at_ns: 0, ..Step::PARK };
        let mut pump = pump(&[Step::send(0, 0), wait], None, None);
        assert!(matches!(pump.poll(5).unwrap(), Action::Launch(_)));
        assert_eq!(pump.poll(5).unwrap(), Action::Park);
    }

    #[test]
    fn sessions_end_a_phase_too() {
        let steps: Vec<Step> = (0..10).map(|_| Step::send(0, ANY_SESSION)).collect();
        let budget = Arc::new(Budget::new(None, Some(4)));
        assert_eq!(run(Pump::new(Box::new(Script(steps)), Arc::clone(&budget), None)).len(), 4);
        assert_eq!(budget.sessions(), 4);
    }

    #[test]
    fn arrivals_that_nobody_came_round_to_are_counted() {
        let steps: Vec<Step> = (0..10).map(|k| Step::send(k * 10, k)).collect();
        let mut late = pump(&steps, None, Some(70));
        assert!(matches!(late.poll(0).unwrap(), Action::Launch(_)));
        assert_eq!(late.poll(5).unwrap(), Action::Until(10));
        assert_eq!(late.poll(500).unwrap(), Action::End);
        assert_eq!(late.missed(), 6);
    }

    #[test]
    fn a_closed_loop_misses_nothing() {
        let mut ended = pump(&[Step::PARK], None, Some(70));
        assert_eq!(ended.poll(70).unwrap(), Action::End);
        assert_eq!(ended.missed(), 0);
    }
}
