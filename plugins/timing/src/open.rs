//! Open loops: schedules that are fixed before the first answer arrives, and how shards divide them.
//!
//! There is one global sequence of arrivals k = 0, 1, 2 …, a function of seed and rate alone. Shard i of n sends the
//! arrivals with k mod n = i, each for session k, so the union is the same schedule whatever the number of shards.
//! Times never depend on `now`: a host that falls behind catches up or reports what it dropped, and the schedule stays
//! where it was.

use crate::phase::{not_begun, or_unlimited};
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{Timetable, TimingStrategy},
    types::{Error, ErrorKind, Load, PhaseSpec, Result, Step},
};
use std::ops::RangeInclusive;

/// Rates a schedule can keep: above one arrival per nanosecond time would stand still, and below one in 30 years the
/// second arrival nears the end of what 64 bits of nanoseconds can tell.
const RATES: RangeInclusive<f64> = 1e-9..=1e9;

/// The global sequence of arrivals.
pub(crate) trait Arrivals: Send + 'static {
    /// A sequence of `rate` arrivals per second, from `seed` where there is chance in it.
    fn new(seed: u64, rate: f64) -> Self;

    /// When arrival `k` is intended, in nanoseconds since the phase began; never less for a later arrival, and capped
    /// at `u64::MAX`. `k` never decreases from call to call.
    fn time_ns(&mut self, k: u64) -> u64;
}

/// A strategy that sends at the times of `A`.
pub(crate) struct OpenLoop<A>(Option<Share<A>>);

/// One shard's part of the schedule.
struct Share<A> {
    arrivals: A,
    /// This shard's next arrival.
    k: u64,
    shards: u64,
    /// Number of arrivals over all shards.
    requests: u64,
    end_ns: u64,
}

impl<A: Arrivals> Component for OpenLoop<A> {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self(None))
    }
}

impl<A: Arrivals> TimingStrategy for OpenLoop<A> {
    fn start(&mut self, phase: &PhaseSpec, _: &dyn Timetable) -> Result<()> {
        if phase.shard >= phase.shards {
            let message = format!("told to be shard {} of {}; shards count from 0", phase.shard, phase.shards);
            return Err(Error::new(ErrorKind::OTHER, message));
        }
        self.0 = Some(Share {
            arrivals: A::new(phase.seed, checked_rate(phase.rate)?),
            k: phase.shard.into(),
            shards: phase.shards.into(),
            requests: or_unlimited(phase.requests),
            end_ns: or_unlimited(phase.duration_ns),
        });
        Ok(())
    }

    fn next(&mut self, _now_ns: u64, _: &Load) -> Result<Step> {
        Ok(self.0.as_mut().ok_or_else(not_begun)?.next())
    }
}

impl<A: Arrivals> Share<A> {
    fn next(&mut self) -> Step {
        if self.k >= self.requests {
            return Step::END;
        }
        let at_ns = self.arrivals.time_ns(self.k);
        if at_ns >= self.end_ns {
            return Step::END;
        }
        let step = Step::send(at_ns, self.k);
        self.k += self.shards;
        step
    }
}

fn checked_rate(rate: f64) -> Result<f64> {
    if RATES.contains(&rate) {
        return Ok(rate);
    }
    let reason = if rate == 0.0 {
        "request rate 0: this strategy sends at a rate and was given none".to_owned()
    } else {
        format!("request rate {rate:?}: no schedule can keep it")
    };
    let (least, most) = (RATES.start(), RATES.end());
    Err(Error::config(format!("{reason}; set --request-rate to requests per second, from {least:e} to {most:e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        constant::Constant,
        poisson::Poisson,
        simulation::{NoTimes, SECOND, World},
    };
    use proptest::prelude::*;

    fn world(rate: f64, shards: u32) -> World {
        World { shards, spec: PhaseSpec { rate, seed: 42, ..PhaseSpec::default() }, ..World::default() }
    }

    #[test]
    fn unkeepable_rates_are_errors_that_say_what_to_set() {
        for rate in [0.0, -0.0, -3.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-300, 1e300] {
            let phase = PhaseSpec { rate, shards: 1, ..PhaseSpec::default() };
            let error = OpenLoop::<Poisson>(None).start(&phase, &NoTimes).unwrap_err();
            assert_eq!(error.kind, ErrorKind::CONFIG, "{rate}");
            assert!(error.message.contains("--request-rate"), "{error}");
        }
    }

    #[test]
    fn a_share_that_does_not_exist_is_an_error() {
        for (shard, shards) in [(0, 0), (2, 2)] {
            let phase = PhaseSpec { rate: 1.0, shard, shards, ..PhaseSpec::default() };
            assert!(OpenLoop::<Constant>(None).start(&phase, &NoTimes).is_err());
        }
    }

    #[test]
    fn asking_before_the_phase_began_is_an_error() {
        assert!(OpenLoop::<Constant>(None).next(0, &Load::default()).is_err());
    }

    #[test]
    fn slow_answers_and_a_late_host_change_nothing() {
        let quick = World { service_ns: |_| 1, ..world(500.0, 2) }.with_requests(1_000).run::<OpenLoop<Poisson>>();
        let slow = World { service_ns: |_| 60 * SECOND, ..world(500.0, 2) };
        assert_eq!(slow.with_requests(1_000).run::<OpenLoop<Poisson>>().sent, quick.sent);

        let phase = PhaseSpec { rate: 500.0, seed: 42, shards: 1, ..PhaseSpec::default() };
        let mut late = OpenLoop::<Poisson>(None);
        late.start(&phase, &NoTimes).unwrap();
        for arrival in &quick.sent {
            let step = late.next(3_600 * SECOND, &Load { open: 9_999, ..Load::default() }).unwrap();
            assert_eq!(step, Step::send(arrival.at_ns, arrival.session));
        }
    }

    #[test]
    fn the_rate_is_kept() {
        let constant = world(200.0, 3).with_duration(100 * SECOND).run::<OpenLoop<Constant>>();
        assert_eq!(constant.sent.len(), 20_000);
        let poisson = world(200.0, 3).with_duration(100 * SECOND).run::<OpenLoop<Poisson>>();
        let off = poisson.sent.len() as f64 - 20_000.0;
        assert!(off.abs() < 3.0 * 20_000_f64.sqrt(), "off by {off}");
    }

    #[test]
    fn sends_up_to_but_not_at_the_duration() {
        let run = world(10.0, 2).with_duration(SECOND).run::<OpenLoop<Constant>>();
        assert_eq!(run.sent.last().unwrap().at_ns, 900_000_000);
        assert!(run.all_ended);
    }

    #[test]
    fn sends_exactly_the_requests_asked_for() {
        for shards in [1, 3, 16] {
            let run = World { host_counts: false, ..world(10.0, shards) }.with_requests(10).run::<OpenLoop<Poisson>>();
            let sessions: Vec<_> = run.sent.iter().map(|s| s.session).collect();
            assert_eq!(sessions, (0..10).collect::<Vec<_>>());
            assert!(run.all_ended);
        }
    }

    #[test]
    fn an_ended_schedule_stays_ended() {
        let phase = PhaseSpec { rate: 1.0, shards: 1, requests: 1, ..PhaseSpec::default() };
        let mut strategy = OpenLoop::<Constant>(None);
        strategy.start(&phase, &NoTimes).unwrap();
        let steps: Vec<_> = (0..3).map(|_| strategy.next(0, &Load::default()).unwrap()).collect();
        assert_eq!(steps, [Step::send(0, 0), Step::END, Step::END]);
    }

    #[test]
    fn the_slowest_rate_ends_before_time_does() {
        let run = world(1e-9, 1).run::<OpenLoop<Constant>>();
        assert_eq!(run.sent.len(), 19, "one arrival in 10^18 ns, and 64 bits of nanoseconds");
    }

    proptest! {
        #[test]
        fn the_union_over_shards_is_the_schedule_of_one(
            seed: u64, rate in 1e-3..1e6, shards in 2_u32..9, requests in 1_u64..400,
        ) {
            let world = |shards| World {
                shards, host_counts: false,
                spec: PhaseSpec { seed, rate, requests, ..PhaseSpec::default() }, ..World::default()
            };
            prop_assert_eq!(world(shards).run::<OpenLoop<Poisson>>().sent, world(1).run::<OpenLoop<Poisson>>().sent);
            prop_assert_eq!(world(shards).run::<OpenLoop<Constant>>().sent, world(1).run::<OpenLoop<Constant>>().sent);
        }

        #[test]
        fn the_same_holds_when_a_duration_ends_it(seed: u64, rate in 1.0..1e3, shards in 2_u32..9) {
            let world = |shards| World {
                shards,
                spec: PhaseSpec { seed, rate, duration_ns: SECOND / 2, ..PhaseSpec::default() }, ..World::default()
            };
            prop_assert_eq!(world(shards).run::<OpenLoop<Poisson>>().sent, world(1).run::<OpenLoop<Poisson>>().sent);
        }
    }
}
