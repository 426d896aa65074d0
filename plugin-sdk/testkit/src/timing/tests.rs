//! Strategies that break one law each.

use super::*;
use inferometer_plugin_sdk::{
    api::Timetable,
    types::{ANY_SESSION, Error, Result, Step, TurnTime, step_flags},
};

/// A closed or an open loop, with a fault.
struct Fake {
    shape: Shape,
    fault: &'static str,
    phase: Option<PhaseSpec>,
    k: u64,
}

impl TimingStrategy for Fake {
    fn start(&mut self, phase: &PhaseSpec, _: &dyn Timetable) -> Result<()> {
        assert!(self.fault != "panics" || phase.shards > 0);
        let is_asked = match self.shape {
            Shape::Closed => phase.concurrency > 0,
            _ => (1e-6..1e6).contains(&phase.rate) && phase.shard < phase.shards,
        };
        if !is_asked && self.fault == "gives no reason" {
            return Err(Error::config(""));
        }
        if !is_asked {
            return Err(Error::config("nothing to do"));
        }
        self.k = u64::from(phase.shard);
        self.phase = Some(*phase);
        Ok(())
    }

    fn next(&mut self, now_ns: u64, load: &Load) -> Result<Step> {
        let phase = self.phase.as_ref().ok_or_else(|| Error::config("not begun"))?;
        if let Shape::Closed = self.shape {
            let slots = phase.slots.saturating_add(u32::from(self.fault == "opens one more"));
            return Ok(match slots {
                0 => Step::END,
                _ if self.fault == "ends too soon" && load.sent == 400 => Step::END,
                _ if self.fault == "leaves a slot" && load.open.saturating_add(1) == slots && slots > 1 => Step::PARK,
                _ if load.open < slots => Step::send(now_ns, ANY_SESSION),
                _ => Step::PARK,
            });
        }
        let rate = if self.fault == "is slow" { phase.rate / 2.0 } else { phase.rate };
        let at_ns = (self.k as f64 * 1e9 / rate) as u64;
        if self.fault == "waits" && at_ns > now_ns {
            return Ok(Step { kind: StepKind::WAIT, at_ns, ..Step::END });
        }
        let session = self.k;
        self.k += if self.fault == "does not share" { 1 } else { u64::from(phase.shards) };
        let is_fallen = self.fault == "goes back" && session > 100;
        let is_over = phase.requests > 0 && session >= phase.requests;
        Ok(if is_over { Step::END } else { Step::send(if is_fallen { 0 } else { at_ns }, session) })
    }
}

fn with(shape: Shape, fault: &'static str) {
    check(|| Box::new(Fake { shape, fault, phase: None, k: 0 }), shape);
}

#[test]
fn loops_without_a_fault_are_lawful() {
    with(Shape::Closed, "");
    with(Shape::Open, "");
}

#[test]
fn a_strategy_may_wait_instead_of_sending_ahead() {
    with(Shape::Open, "waits");
}

#[test]
#[should_panic(expected = "keeps its slots filled and opens no other")]
fn a_request_without_a_slot_is_found() {
    with(Shape::Closed, "opens one more");
}

#[test]
#[should_panic(expected = "keeps its slots filled and opens no other")]
fn a_slot_that_stays_empty_is_found() {
    with(Shape::Closed, "leaves a slot");
}

#[test]
#[should_panic(expected = "ends at its limits")]
fn a_phase_that_ends_too_soon_is_found() {
    with(Shape::Closed, "ends too soon");
}

#[test]
#[should_panic(expected = "keeps its rate")]
fn a_rate_that_is_not_kept_is_found() {
    with(Shape::Open, "is slow");
}

#[test]
#[should_panic(expected = "arrival times never fall")]
fn a_time_before_the_last_is_found() {
    with(Shape::Open, "goes back");
}

#[test]
#[should_panic(expected = "the same for any number of shards")]
fn shards_that_do_not_share_are_found() {
    with(Shape::Open, "does not share");
}

#[test]
#[should_panic(expected = "without a panic")]
fn a_panic_is_found() {
    with(Shape::Open, "panics");
}

#[test]
#[should_panic(expected = "a strategy ends")]
fn a_strategy_that_needs_its_host_to_end_is_found() {
    let make = || -> Box<dyn TimingStrategy> { Box::new(Fake { shape: Shape::Open, fault: "", phase: None, k: 0 }) };
    // Its requests it counts; the duration it does not keep, and the arrivals of a virtual server never run out.
    ends_by_itself(&make, Shape::Open);
}

/// A phase that an open loop refuses, since it gives no rate.
const NO_RATE: Shape = Shape::Other(PhaseSpec {
    seed: 0,
    requests: 0,
    duration_ns: 0,
    shard: 0,
    shards: 0,
    concurrency: 0,
    slots: 0,
    rate: 0.0,
    reserved: [0; 6],
});

fn refuses(fault: &'static str) {
    let make = || -> Box<dyn TimingStrategy> { Box::new(Fake { shape: Shape::Open, fault, phase: None, k: 0 }) };
    check(make, NO_RATE);
    ends_by_itself(&make, NO_RATE);
}

#[test]
fn a_strategy_of_no_known_shape_may_refuse_a_phase_in_words() {
    refuses("");
}

#[test]
#[should_panic(expected = "a phase of the usual kind is taken")]
fn a_refusal_without_a_reason_is_found() {
    refuses("gives no reason");
}

/// Sends the data set's session 1, in the second round through it, from its second turn on and with a gap.
struct Paced(bool);

impl TimingStrategy for Paced {
    fn start(&mut self, _: &PhaseSpec, _: &dyn Timetable) -> Result<()> {
        Ok(())
    }

    fn next(&mut self, _: u64, _: &Load) -> Result<Step> {
        let is_first = !std::mem::replace(&mut self.0, true);
        let step = Step { turn: 1, flags: step_flags::EXACT, ..Step::send(5, 3) }.with_gap(100);
        Ok(if is_first { step } else { Step::END })
    }
}

/// Two sessions, of three and of five turns; the fourth waits 300 ns and the fifth has a time of its own.
struct Table;

impl Timetable for Table {
    fn sessions(&self) -> u64 {
        2
    }

    fn turns(&self, session: u64) -> u32 {
        [3, 5][session as usize]
    }

    fn time(&self, _: u64, turn: u32) -> TurnTime {
        match turn {
            3 => TurnTime { delay_ns: 300, ..TurnTime::NONE },
            4 => TurnTime { timestamp_ns: 1_000, delay_ns: 0 },
            _ => TurnTime::NONE,
        }
    }
}

#[test]
fn a_session_begins_where_the_step_says_and_its_turns_keep_the_gap_the_delay_and_their_own_times() {
    let world = Simulation { service_ns: |_| 30, ..Simulation::default() };
    let outcome = world.run_with(&Table, || Box::new(Paced(false))).unwrap();
    let sent: Vec<_> = outcome.requests.iter().map(|request| (request.turn, request.at_ns, request.ended_ns)).collect();
    assert_eq!(sent, [(1, 5, 35), (2, 105, 135), (3, 435, 465), (4, 1_000, 1_030)]);
    assert_eq!(outcome.sent, [Sent { session: 3, at_ns: 5 }]);
}
