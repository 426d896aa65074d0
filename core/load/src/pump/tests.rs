//! Schedules that are played back, and strategies that say anything for ever.

use super::*;
use inferometer_abi::{api::Timetable, types::PhaseSpec};
use proptest::prelude::*;

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
            (50, Arrival { request: 0, session: 7, is_exact: false, intended_ns: 50, turn: 0, gap_ns: 0 }),
            (90, Arrival { request: 1, session: 8, is_exact: false, intended_ns: 90, turn: 0, gap_ns: 0 })
        ]
    );
}

#[test]
fn a_late_arrival_keeps_its_intended_time() {
    let mut late = pump(&[Step::send(10, 0)], None, None);
    assert_eq!(
        late.poll(500).unwrap(),
        Action::Launch(Arrival { request: 0, session: 0, is_exact: false, intended_ns: 10, turn: 0, gap_ns: 0 })
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
    let worker = |budget: Arc<Budget>| {
        move || std::iter::from_fn(|| budget.begin(crate::budget::Numbered::Next)).collect::<Vec<_>>()
    };
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
    assert_eq!(late.poll(70 + LEEWAY_NS).unwrap(), Action::End);
    assert_eq!(late.missed(|| true), (6, Ok(())));
}

#[test]
fn an_arrival_that_was_due_right_before_the_end_is_launched_by_a_timer_that_comes_right_after_it() {
    let steps = [0, 50, 69, 70, 71].map(|at| Step::send(at, ANY_SESSION));
    let mut late = pump(&steps, None, Some(70));
    assert!(matches!(late.poll(0).unwrap(), Action::Launch(_)));
    assert_eq!(late.poll(49).unwrap(), Action::Until(50));
    for intended in [50, 69] {
        assert!(
            matches!(late.poll(69 + LEEWAY_NS).unwrap(), Action::Launch(arrival) if arrival.intended_ns == intended)
        );
    }
    assert_eq!(late.poll(69 + LEEWAY_NS).unwrap(), Action::End, "what is due from the end on is none of its arrivals");
    assert_eq!(late.missed(|| true), (0, Ok(())));
}

#[test]
fn a_closed_loop_misses_nothing() {
    let mut ended = pump(&[Step::PARK], None, Some(70));
    assert_eq!(ended.poll(70).unwrap(), Action::End);
    assert_eq!(ended.missed(|| true), (0, Ok(())));
}

/// Says the same over and over, for ever, and takes no call once it has failed, nor one for a step after its end.
struct Loop {
    said: Vec<Result<Step>>,
    calls: usize,
    /// After so many ends of requests it fails.
    flows: usize,
    failed: bool,
    ended: bool,
}

impl Loop {
    fn of(said: Vec<Result<Step>>, flows: usize) -> Self {
        Self { said, calls: 0, flows, failed: false, ended: false }
    }
}

impl TimingStrategy for Loop {
    fn start(&mut self, _: &PhaseSpec, _: &dyn Timetable) -> Result<()> {
        Ok(())
    }

    fn next(&mut self, _: u64, _: &Load) -> Result<Step> {
        assert!(!self.failed && !self.ended, "called after its end");
        let said = self.said[self.calls % self.said.len()].clone();
        self.calls += 1;
        self.failed = said.is_err();
        self.ended = said.as_ref().is_ok_and(|step| step.kind == StepKind::END);
        said
    }

    fn on_flow(&mut self, _: &Flow) -> Result<()> {
        assert!(!self.failed, "called after it failed");
        self.failed = self.flows == 0;
        self.flows = self.flows.saturating_sub(1);
        if self.failed { Err(failure()) } else { Ok(()) }
    }
}

fn failure() -> Error {
    Error::new(ErrorKind::OTHER, "it failed")
}

/// What a strategy may say: a step of any kind, known or not, at any time; or an error.
fn said() -> impl Strategy<Value = Result<Step>> {
    let step = (0..5_u32, prop_oneof![0..60_u64, Just(u64::MAX)]);
    prop_oneof![
        9 => step.prop_map(|(kind, at_ns)| Ok(Step { kind: StepKind(kind), at_ns, ..Step::PARK })),
        1 => Just(Err(failure())),
    ]
}

proptest! {
    #[test]
    fn whatever_a_strategy_says_for_ever_its_phase_ends_within_the_budget(
        said in prop::collection::vec(said(), 1..8), flows in 0..20_usize, requests in 1..100_u64, duration in 1..50_u64
    ) {
        let budget = Arc::new(Budget::new(Some(requests), None));
        let mut pump = Pump::new(Box::new(Loop::of(said, flows)), Arc::clone(&budget), Some(duration));
        let mut launched = 0;
        // Each step takes a moment, and each request ends a moment after it was sent.
        for now in 0..duration {
            match pump.poll(now) {
                Ok(Action::Launch(arrival)) => {
                    prop_assert!(arrival.intended_ns <= now);
                    launched += 1;
                    let _ = pump.ended(&Flow::default(), false);
                }
                Ok(Action::Until(at)) => prop_assert!(at > now && at <= duration),
                Ok(Action::Park) => prop_assert!(false, "the clock ends a phase that has one"),
                Ok(Action::End) | Err(_) => prop_assert_eq!(pump.poll(now), Ok(Action::End)),
            }
        }
        // Whoever looks after the end finds what was due before it, for as long as the leeway lasts.
        for _ in 0..10 {
            match pump.poll(duration) {
                Ok(Action::Launch(arrival)) => {
                    prop_assert!(arrival.intended_ns < duration);
                    launched += 1;
                }
                found => prop_assert!(matches!(found, Ok(Action::End) | Err(_))),
            }
        }
        prop_assert_eq!(pump.poll(duration + LEEWAY_NS), Ok(Action::End));
        let mut left = 200;
        let (missed, _) = pump.missed(|| { left -= 1; left > 0 });
        prop_assert!(launched + missed <= requests);
        prop_assert_eq!(pump.missed(|| true).0, 0, "they are counted once");
    }
}

#[test]
fn arrivals_without_end_are_counted_up_to_a_limit_and_it_is_said() {
    let send = |at_ns| Ok(Step::send(at_ns, ANY_SESSION));
    let endless = |said| Pump::new(Box::new(Loop::of(said, 0)), Arc::new(Budget::new(None, None)), Some(70));
    for said in [vec![send(0)], vec![send(3), send(1)]] {
        let (missed, error) = endless(said).missed(|| true);
        assert_eq!((missed, error.is_err()), (MOST_AT_ONCE, true));
    }
    let mut stopped = endless(vec![send(0)]);
    let mut left = 4;
    let (missed, error) = stopped.missed(|| {
        left -= 1;
        left > 0
    });
    assert_eq!(missed, 3);
    assert!(error.unwrap_err().message.contains("only the first 3 could be counted"));
}

#[test]
fn a_strategy_that_fails_while_missed_arrivals_are_counted_is_told_of() {
    let said = vec![Ok(Step::send(0, ANY_SESSION)), Ok(Step::send(1, ANY_SESSION)), Err(failure())];
    let mut pump = Pump::new(Box::new(Loop::of(said, 0)), Arc::new(Budget::new(None, None)), Some(70));
    assert_eq!(pump.missed(|| true), (2, Err(failure())));
    assert_eq!(pump.missed(|| true), (0, Ok(())));
}
