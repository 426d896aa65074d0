//! The closed loop: a new request whenever fewer than the allowed number are open.
//!
//! Not here: dividing the slots among the shards and counting the requests of all of them, which are the host's.

use crate::phase::{checked_span_ns, not_begun, or_unlimited};
use inferometer_plugin_sdk::{
    Component,
    api::{Timetable, TimingStrategy},
    schemars::{self, JsonSchema},
    serde::{self, Deserialize},
    types::{ANY_SESSION, Error, Load, PhaseSpec, Result, Step, StepKind},
};

/// What a user may set of a closed loop.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(crate = "self::serde", default)]
#[schemars(crate = "self::schemars")]
pub(crate) struct Options {
    /// Time in which the number of slots grows from 1 to all of them, one by one at equal distances; in seconds.
    ramp_s: f64,
}

/// Keeps this shard's slots filled. An arrival is intended for the moment its slot came free or was opened.
pub(crate) struct Concurrency {
    ramp_ns: u64,
    phase: Option<Phase>,
}

/// What is left of a phase for this shard.
struct Phase {
    ramp: Ramp,
    slots: u32,
    /// Of those, the ones that the ramp has opened.
    opened: u32,
    /// Arrivals this shard may still hand over. The exact count over all shards is kept by the host; a shard that has
    /// handed over all of the phase's requests by itself knows that it is done.
    left: u64,
    end_ns: u64,
}

/// When slots are opened: number k of the n over all shards at k / (n − 1) of the ramp, so that at the time t there are
/// 1 + (n − 1) · t / ramp of them, rounded down. The shard i has the slots with k mod shards = i, as many as the host gives it.
struct Ramp {
    ramp_ns: u64,
    concurrency: u32,
    shard: u32,
    shards: u32,
}

impl Component for Concurrency {
    type Options = Options;

    fn create(Options { ramp_s }: Options) -> Result<Self> {
        Ok(Self { ramp_ns: checked_span_ns("ramp_s", ramp_s)?, phase: None })
    }
}

impl TimingStrategy for Concurrency {
    fn start(&mut self, phase: &PhaseSpec, _: &dyn Timetable) -> Result<()> {
        let PhaseSpec { concurrency, shard, shards, slots, .. } = *phase;
        if concurrency == 0 {
            return Err(Error::config(
                "concurrency 0: this strategy keeps a number of requests in flight and was given none; \
                 set --concurrency to 1 or more",
            ));
        }
        self.phase = Some(Phase {
            ramp: Ramp { ramp_ns: self.ramp_ns, concurrency, shard, shards },
            slots,
            opened: if self.ramp_ns == 0 { slots } else { 0 },
            left: or_unlimited(phase.requests),
            end_ns: or_unlimited(phase.duration_ns),
        });
        Ok(())
    }

    fn next(&mut self, now_ns: u64, load: &Load) -> Result<Step> {
        let phase = self.phase.as_mut().ok_or_else(not_begun)?;
        if phase.slots == 0 || phase.left == 0 || now_ns >= phase.end_ns {
            return Ok(Step::END);
        }
        let step = phase.next(now_ns, load.open);
        phase.left -= u64::from(step.kind == StepKind::SEND);
        Ok(step)
    }
}

impl Phase {
    fn next(&mut self, now_ns: u64, open: u32) -> Step {
        let come = self.ramp.opened_by(now_ns).min(self.slots);
        // What is open has a slot already, be it a new one.
        self.opened = self.opened.max(come.min(open));
        if self.opened < come {
            self.opened += 1;
            return Step::send(self.ramp.opens_ns(self.opened - 1), ANY_SESSION);
        }
        if open < self.opened {
            return Step::send(now_ns, ANY_SESSION);
        }
        if self.opened < self.slots {
            let at_ns = self.ramp.opens_ns(self.opened).min(self.end_ns);
            return Step { kind: StepKind::WAIT, at_ns, ..Step::PARK };
        }
        Step::PARK
    }
}

impl Ramp {
    /// When the slot comes that is number `own` among the shard's.
    fn opens_ns(&self, own: u32) -> u64 {
        let k = u128::from(own) * u128::from(self.shards) + u128::from(self.shard);
        let last = u128::from(self.concurrency.saturating_sub(1)).max(1);
        // A host that gives more slots than there are asks for the impossible; they come with the last one.
        (k.min(last) * u128::from(self.ramp_ns)).div_ceil(last) as u64
    }

    /// How many of the shard's slots have come.
    fn opened_by(&self, now_ns: u64) -> u32 {
        if now_ns >= self.ramp_ns {
            return u32::MAX;
        }
        let last = u128::from(self.concurrency.saturating_sub(1)).max(1);
        let over_all = u128::from(now_ns) * last / u128::from(self.ramp_ns) + 1;
        let own = over_all.saturating_sub(self.shard.into()).div_ceil(u128::from(self.shards.max(1)));
        u32::try_from(own).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_plugin_sdk::types::ErrorKind;
    use inferometer_testkit::timing::{Outcome, Sessions, Simulation};
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;
    const SESSIONS: Sessions = Sessions { turns: 1 };

    fn world(concurrency: u32, shards: u32) -> Simulation {
        Simulation { shards, phase: PhaseSpec { concurrency, ..PhaseSpec::default() }, ..Simulation::default() }
    }

    fn limited(world: Simulation, requests: u64, duration_ns: u64) -> Simulation {
        Simulation { phase: PhaseSpec { requests, duration_ns, ..world.phase }, ..world }
    }

    fn concurrency(ramp_s: f64) -> Concurrency {
        Concurrency::create(Options { ramp_s }).unwrap()
    }

    fn run(world: Simulation, ramp_s: f64) -> Outcome {
        world.run(|| Box::new(concurrency(ramp_s))).unwrap()
    }

    fn times(outcome: &Outcome) -> Vec<u64> {
        outcome.sent.iter().map(|sent| sent.at_ns).collect()
    }

    #[test]
    fn keeps_every_slot_filled_and_never_one_more() {
        let world = Simulation { service_ns: |n| 1_000_000 + n % 7 * 300_000, ..world(16, 3) };
        let run = run(limited(world, 5_000, 0), 0.0);
        assert_eq!(run.sent.len(), 5_000);
        assert_eq!(run.peak_open, 16);
        // A freed slot is taken at the very moment it comes free, so the load is full until the requests run out.
        assert_eq!(run.least_open, 16);
    }

    #[test]
    fn a_request_is_intended_for_the_moment_its_slot_comes_free() {
        let run = run(limited(Simulation { service_ns: |_| 10, ..world(2, 1) }, 6, 0), 0.0);
        assert_eq!(times(&run), [0, 0, 10, 10, 20, 20]);
    }

    #[test]
    fn ends_at_the_duration() {
        let world = Simulation { service_ns: |_| 100, host_ends: false, ..world(4, 2) };
        let run = run(limited(world, 0, 1_000), 0.0);
        assert_eq!(run.sent.len(), 40);
        assert!(run.sent.iter().all(|sent| sent.at_ns < 1_000));
    }

    #[test]
    fn ends_at_the_request_limit_by_itself_when_alone() {
        let run = run(limited(Simulation { host_ends: false, ..world(4, 1) }, 10, 0), 0.0);
        assert_eq!(run.sent.len(), 10);
    }

    #[test]
    fn a_shard_without_slots_ends_at_once() {
        let mut shard = concurrency(1.0);
        let phase = PhaseSpec { concurrency: 1, slots: 0, shard: 1, shards: 2, ..PhaseSpec::default() };
        shard.start(&phase, &SESSIONS).unwrap();
        assert_eq!(shard.next(0, &Load::default()).unwrap(), Step::END);
    }

    #[test]
    fn no_concurrency_is_an_error_that_says_what_to_set() {
        let error = concurrency(0.0).start(&PhaseSpec::default(), &SESSIONS).unwrap_err();
        assert_eq!(error.kind, ErrorKind::CONFIG);
        assert!(error.message.contains("--concurrency"), "{error}");
    }

    #[test]
    fn a_ramp_that_is_no_time_is_refused() {
        for ramp_s in [-1.0, f64::NAN, f64::INFINITY] {
            let error = Concurrency::create(Options { ramp_s }).err().unwrap();
            assert!(error.message.starts_with("ramp_s "), "{error}");
        }
    }

    #[test]
    fn asking_before_the_phase_began_is_an_error() {
        assert!(concurrency(0.0).next(0, &Load::default()).is_err());
    }

    #[test]
    fn a_ramp_opens_the_slots_one_by_one_at_equal_distances() {
        for shards in [1, 2, 3] {
            let world = Simulation { service_ns: |_| 60 * SECOND, ..world(5, shards) };
            let run = run(limited(world, 0, 20 * SECOND), 8.0);
            assert_eq!(times(&run), [0, 2, 4, 6, 8].map(|second| second * SECOND), "{shards} shards");
        }
    }

    #[test]
    fn a_slot_that_came_free_during_the_ramp_is_filled_at_once() {
        let world = Simulation { service_ns: |_| SECOND, ..world(2, 1) };
        let run = run(limited(world, 0, 5 * SECOND), 2.5);
        let expected = [0.0, 1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5].map(|seconds: f64| (seconds * 1e9) as u64);
        assert_eq!(times(&run), expected);
    }

    #[test]
    fn one_slot_needs_no_ramp() {
        let run = run(limited(Simulation { service_ns: |_| SECOND, ..world(1, 1) }, 0, 3 * SECOND), 10.0);
        assert_eq!(times(&run), [0, SECOND, 2 * SECOND]);
    }

    #[test]
    fn a_slot_that_a_late_host_opens_is_still_intended_for_its_time() {
        let mut strategy = concurrency(1.0);
        let phase = PhaseSpec { concurrency: 3, slots: 3, shards: 1, ..PhaseSpec::default() };
        strategy.start(&phase, &SESSIONS).unwrap();
        let steps = [0, 1, 2].map(|open| strategy.next(700_000_000, &Load { open, ..Load::default() }).unwrap());
        let wait = Step { kind: StepKind::WAIT, at_ns: SECOND, ..Step::PARK };
        assert_eq!(steps, [Step::send(0, ANY_SESSION), Step::send(SECOND / 2, ANY_SESSION), wait]);
    }

    proptest! {
        #[test]
        fn slots_are_never_exceeded(
            concurrency in 1_u32..40, shards in 1_u32..6, requests in 1_u64..300, ramp_s in 0.0..0.2,
        ) {
            let world = Simulation { service_ns: |n| n * n % 17 * 1_000 + 1_000, ..world(concurrency, shards) };
            let run = run(limited(world, requests, SECOND), ramp_s);
            prop_assert!(run.peak_open <= concurrency);
            prop_assert!(run.peak_open_by_shard.iter().all(|peak| *peak <= concurrency.div_ceil(shards)));
            prop_assert_eq!(run.sent.len() as u64, requests);
        }

        #[test]
        fn the_slots_that_a_ramp_has_opened_are_those_of_one_shard_whatever_the_number_of_shards(
            concurrency in 1_u32..60, shards in 1_u32..9, ramp_s in 0.001..5.0,
        ) {
            let sent = |shards| {
                let world = Simulation { service_ns: |_| 60 * SECOND, ..world(concurrency, shards) };
                times(&run(limited(world, 0, 10 * SECOND), ramp_s))
            };
            let alone = sent(1);
            prop_assert_eq!(&alone, &sent(shards));
            prop_assert_eq!(alone.len(), concurrency as usize);
            for (k, at_ns) in alone.into_iter().enumerate() {
                let linear = k as f64 * ramp_s * 1e9 / f64::from(concurrency.max(2) - 1);
                prop_assert!((at_ns as f64 - linear).abs() < 2.0, "slot {} at {} ns", k, at_ns);
            }
        }
    }
}
