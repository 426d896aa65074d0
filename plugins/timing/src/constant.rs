//! Gaps that are all the same: at a flat rate, arrival k comes at k / rate, the first one at 0.

use crate::rated::{Options, Pattern};
use inferometer_plugin_sdk::types::Result;

/// Arrivals at equal distances.
pub(crate) struct Constant;

impl Pattern for Constant {
    type Options = Options;
    type Kept = ();

    fn take(options: Options) -> Result<((), Options)> {
        Ok(((), options))
    }

    fn new((): &(), _seed: u64) -> Self {
        Self
    }

    /// k itself, so that no error adds up: 10⁹ is 2⁹ · 5⁹, hence k · 10⁹ is exact in an `f64` up to k = 4.6 · 10⁹. What
    /// rounds is the division by the rate, which IEEE 754 makes the same on every machine, and the step to whole
    /// nanoseconds; together they stay below one nanosecond for the first 52 days.
    fn sum(&mut self, k: u64) -> f64 {
        k as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        open::{Arrivals, Schedule},
        rated::{Rated, Stretched},
    };
    use inferometer_plugin_sdk::types::PhaseSpec;

    fn at(rate: f64) -> Stretched<Constant> {
        let schedule = Rated::<Constant>::new(Options::default()).unwrap();
        schedule.begin(&PhaseSpec { rate, ..PhaseSpec::default() }).unwrap()
    }

    /// 10⁹ k / rate to the nearest nanosecond, in whole numbers.
    fn exact(k: u64, rate: u64) -> u64 {
        let (twice, rate) = (2 * 1_000_000_000 * u128::from(k), u128::from(rate));
        u64::try_from((twice + rate) / (2 * rate)).unwrap()
    }

    #[test]
    fn ten_million_arrivals_are_exact() {
        for rate in [1_000, 7_000] {
            let mut arrivals = at(rate as f64);
            for k in 0..10_000_000 {
                assert_eq!(arrivals.time_ns(k), Some(exact(k, rate)), "arrival {k} at {rate}/s");
            }
        }
    }

    #[test]
    fn after_weeks_it_is_true_to_a_nanosecond() {
        let mut arrivals = at(7.0);
        for k in 30_000_000..31_000_000 {
            let time_ns = arrivals.time_ns(k).unwrap();
            assert!(time_ns.abs_diff(exact(k, 7)) <= 1, "arrival {k}, after 50 days");
        }
    }

    #[test]
    fn gaps_of_whole_nanoseconds_are_all_the_same() {
        let mut arrivals = at(0.1);
        for k in 0..100_000 {
            assert_eq!(arrivals.time_ns(k), Some(k * 10_000_000_000));
        }
    }
}
