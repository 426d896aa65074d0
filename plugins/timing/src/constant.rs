//! A constant rate: arrival k at k / rate, the first one at 0.

use crate::open::Arrivals;

/// Arrivals at equal distances.
pub(crate) struct Constant {
    rate: f64,
}

impl Arrivals for Constant {
    fn new(_seed: u64, rate: f64) -> Self {
        Self { rate }
    }

    /// k · 10⁹ / rate. Computed from k, so that no error adds up: 10⁹ is 2⁹ · 5⁹, hence k · 10⁹ is exact in an `f64` up
    /// to k = 4.6 · 10⁹. What rounds is the division, which IEEE 754 makes the same on every machine, and the step to
    /// whole nanoseconds; together they stay below one nanosecond for the first 52 days.
    fn time_ns(&mut self, k: u64) -> u64 {
        (k as f64 * 1e9 / self.rate).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10⁹ k / rate to the nearest nanosecond, in whole numbers.
    fn exact(k: u64, rate: u64) -> u64 {
        let (twice, rate) = (2 * 1_000_000_000 * u128::from(k), u128::from(rate));
        u64::try_from((twice + rate) / (2 * rate)).unwrap()
    }

    #[test]
    fn ten_million_arrivals_are_exact() {
        for rate in [1_000, 7_000] {
            let mut arrivals = Constant::new(0, rate as f64);
            for k in 0..10_000_000 {
                assert_eq!(arrivals.time_ns(k), exact(k, rate), "arrival {k} at {rate}/s");
            }
        }
    }

    #[test]
    fn after_weeks_it_is_true_to_a_nanosecond() {
        let mut arrivals = Constant::new(0, 7.0);
        for k in 30_000_000..31_000_000 {
            assert!(arrivals.time_ns(k).abs_diff(exact(k, 7)) <= 1, "arrival {k}, after 50 days");
        }
    }

    #[test]
    fn gaps_of_whole_nanoseconds_are_all_the_same() {
        let mut arrivals = Constant::new(0, 0.1);
        for k in 0..100_000 {
            assert_eq!(arrivals.time_ns(k), k * 10_000_000_000);
        }
    }
}
