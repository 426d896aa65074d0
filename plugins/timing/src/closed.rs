//! The closed loop: a new request whenever fewer than the allowed number are open.
//!
//! Not here: dividing the slots among the shards and counting the requests of all of them, which are the host's.

use crate::phase::{not_begun, or_unlimited};
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{Timetable, TimingStrategy},
    types::{ANY_SESSION, Error, Load, PhaseSpec, Result, Step},
};

/// Keeps this shard's slots filled. An arrival is intended for the moment its slot came free.
#[derive(Default)]
pub(crate) struct Concurrency {
    phase: Option<Phase>,
}

/// What is left of a phase for this shard.
struct Phase {
    slots: u32,
    /// Arrivals this shard may still hand over. The exact count over all shards is kept by the host; a shard that has
    /// handed over all of the phase's requests by itself knows that it is done.
    left: u64,
    end_ns: u64,
}

impl Component for Concurrency {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self::default())
    }
}

impl TimingStrategy for Concurrency {
    fn start(&mut self, phase: &PhaseSpec, _: &dyn Timetable) -> Result<()> {
        if phase.concurrency == 0 {
            return Err(Error::config(
                "concurrency 0: this strategy keeps a number of requests in flight and was given none; \
                 set --concurrency to 1 or more",
            ));
        }
        self.phase = Some(Phase {
            slots: phase.slots,
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
        if load.open >= phase.slots {
            return Ok(Step::PARK);
        }
        phase.left -= 1;
        Ok(Step::send(now_ns, ANY_SESSION))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::{NoTimes, SECOND, World};
    use inferometer_plugin_sdk::types::ErrorKind;
    use proptest::prelude::*;

    fn world(concurrency: u32, shards: u32) -> World {
        World { shards, spec: PhaseSpec { concurrency, ..PhaseSpec::default() }, ..World::default() }
    }

    #[test]
    fn keeps_every_slot_filled_and_never_one_more() {
        let world = World { service_ns: |n| 1_000_000 + n % 7 * 300_000, ..world(16, 3) };
        let run = world.with_requests(5_000).run::<Concurrency>();
        assert_eq!(run.sent.len(), 5_000);
        assert_eq!(run.peak_open, 16);
        // A freed slot is taken at the very moment it comes free, so the load is full until the requests run out.
        assert_eq!(run.least_open_before_last_send, 16);
    }

    #[test]
    fn a_request_is_intended_for_the_moment_its_slot_comes_free() {
        let run = World { service_ns: |_| 10, ..world(2, 1) }.with_requests(6).run::<Concurrency>();
        let times: Vec<_> = run.sent.iter().map(|s| s.at_ns).collect();
        assert_eq!(times, [0, 0, 10, 10, 20, 20]);
    }

    #[test]
    fn ends_at_the_duration() {
        let run = World { service_ns: |_| 100, ..world(4, 2) }.with_duration(1_000).run::<Concurrency>();
        assert_eq!(run.sent.len(), 40);
        assert!(run.sent.iter().all(|s| s.at_ns < 1_000));
        assert!(run.all_ended);
    }

    #[test]
    fn ends_at_the_request_limit_by_itself_when_alone() {
        let run = World { host_counts: false, ..world(4, 1) }.with_requests(10).run::<Concurrency>();
        assert_eq!(run.sent.len(), 10);
        assert!(run.all_ended);
    }

    #[test]
    fn a_shard_without_slots_ends_at_once() {
        let mut shard = Concurrency::default();
        let phase = PhaseSpec { concurrency: 1, slots: 0, shard: 1, shards: 2, ..PhaseSpec::default() };
        shard.start(&phase, &NoTimes).unwrap();
        assert_eq!(shard.next(0, &Load::default()).unwrap(), Step::END);
    }

    #[test]
    fn no_concurrency_is_an_error_that_says_what_to_set() {
        let error = Concurrency::default().start(&PhaseSpec::default(), &NoTimes).unwrap_err();
        assert_eq!(error.kind, ErrorKind::CONFIG);
        assert!(error.message.contains("--concurrency"), "{error}");
    }

    #[test]
    fn asking_before_the_phase_began_is_an_error() {
        assert!(Concurrency::default().next(0, &Load::default()).is_err());
    }

    proptest! {
        #[test]
        fn slots_are_never_exceeded(concurrency in 1_u32..40, shards in 1_u32..6, requests in 1_u64..300) {
            let world = World { service_ns: |n| n * n % 17 * 1_000, ..world(concurrency, shards) };
            let run = world.with_requests(requests).with_duration(SECOND).run::<Concurrency>();
            prop_assert!(run.peak_open <= concurrency);
            prop_assert!(run.peak_open_by_shard.iter().all(|peak| *peak <= concurrency.div_ceil(shards)));
            prop_assert_eq!(run.sent.len() as u64, requests);
        }
    }
}
