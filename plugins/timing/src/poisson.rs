//! A Poisson process: independent, exponentially distributed gaps; the first arrival comes after one gap.
//!
//! The same seed gives the same schedule on every machine. It rests on wrapping integer arithmetic, on the operations
//! that IEEE 754 defines to the last bit (`+ − × ÷`, rounding), and on the logarithm of the `libm` crate, which is built
//! from those alone; the standard library's own goes to the system's and may differ in the last bit.

use crate::open::Arrivals;
use inferometer_plugin_sdk::random::SplitMix64;

/// Arrivals at random, without memory.
pub(crate) struct Poisson {
    random: SplitMix64,
    rate: f64,
    /// Gaps drawn.
    drawn: u64,
    /// Their sum, in units of the mean gap: one seed gives one pattern, which the rate only stretches. An `f64` holds
    /// it to a millionth of a gap for the first 10⁹ arrivals.
    elapsed: f64,
}

impl Arrivals for Poisson {
    fn new(seed: u64, rate: f64) -> Self {
        Self { random: SplitMix64::new(seed), rate, drawn: 0, elapsed: 0.0 }
    }

    /// Every shard draws all gaps and skips those of others: a draw takes some ten nanoseconds, and nothing is shared.
    fn time_ns(&mut self, k: u64) -> u64 {
        while self.drawn <= k {
            self.elapsed += exponential(&mut self.random);
            self.drawn += 1;
        }
        (self.elapsed * 1e9 / self.rate).round() as u64
    }
}

/// From the exponential distribution of mean 1, by inversion: −ln of a number evenly spread over (0, 1].
fn exponential(random: &mut SplitMix64) -> f64 {
    const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
    -libm::log(random.unit() + STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f64 = 200.0;

    fn gaps(seed: u64, n: u64) -> Vec<f64> {
        let mut arrivals = Poisson::new(seed, RATE);
        let mut before = 0;
        (0..n)
            .map(|k| {
                let at = arrivals.time_ns(k);
                let gap = at - std::mem::replace(&mut before, at);
                gap as f64 / 1e9
            })
            .collect()
    }

    #[test]
    fn the_schedule_of_a_seed_is_the_same_for_ever() {
        let mut arrivals = Poisson::new(42, RATE);
        let times: Vec<_> = [0, 1, 2, 999_999].map(|k| arrivals.time_ns(k)).into();
        assert_eq!(times, [2_586_576, 11_738_078, 20_704_948, 5_009_603_077_195]);
    }

    #[test]
    fn gaps_are_exponential_by_the_kolmogorov_smirnov_test() {
        let mut gaps = gaps(42, 10_000);
        gaps.sort_by(f64::total_cmp);
        let n = gaps.len() as f64;
        let distance = gaps
            .iter()
            .enumerate()
            .map(|(i, gap)| {
                let expected = 1.0 - (-gap * RATE).exp();
                (expected - i as f64 / n).max((i + 1) as f64 / n - expected)
            })
            .fold(0.0, f64::max);
        // The critical value at 5 % for large n.
        assert!(distance < 1.358 / n.sqrt(), "distance {distance}");
    }

    #[test]
    fn the_mean_gap_is_that_of_the_rate() {
        let gaps = gaps(42, 10_000);
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((mean * RATE - 1.0).abs() < 0.02, "mean gap {mean} s");
    }

    #[test]
    fn gaps_do_not_depend_on_each_other() {
        let gaps = gaps(42, 10_000);
        let centred: Vec<_> = gaps.iter().map(|gap| gap * RATE - 1.0).collect();
        let products = centred.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>();
        let correlation = products / centred.iter().map(|x| x * x).sum::<f64>();
        // Three standard deviations of the correlation of 10,000 independent gaps.
        assert!(correlation.abs() < 0.03, "{correlation}");
    }

    #[test]
    fn neighbouring_seeds_give_other_schedules() {
        assert_ne!(gaps(1, 10), gaps(2, 10));
    }

    #[test]
    fn another_rate_stretches_the_same_pattern() {
        let (mut slow, mut fast) = (Poisson::new(7, 10.0), Poisson::new(7, 1_000.0));
        for k in 0..1_000 {
            let (slow, fast) = (slow.time_ns(k), fast.time_ns(k));
            assert!(slow.abs_diff(fast * 100) <= 51, "arrival {k}: {slow} and {fast} ns");
        }
    }
}
