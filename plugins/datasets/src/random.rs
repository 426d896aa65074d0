//! Chance by number: any item's random numbers, without those of the items before it.
//!
//! The same seed gives the same numbers on every machine: they rest on wrapping integer arithmetic, on what IEEE 754
//! defines to the last bit (`+ − × ÷`, square root), and on the logarithm of the `libm` crate, which is built from those
//! alone.

use inferometer_plugin_sdk::random::SplitMix64;

/// What random numbers are for. Each purpose has a stream of its own, so that asking for one more thing leaves the
/// others as they were.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Lengths of prompts.
    InputLength = 1,
    /// Output tokens to ask for.
    OutputLength = 2,
    /// The words of prompts.
    Text = 3,
}

/// The seeds of all items for one purpose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeds(u64);

impl Seeds {
    /// Those that follow from the data set's own seed.
    pub(crate) fn new(seed: u64, purpose: Purpose) -> Self {
        Self(SplitMix64::new(seed).nth(purpose as u64))
    }

    /// The seed of item `index`.
    pub(crate) fn item(self, index: u64) -> u64 {
        SplitMix64::new(self.0).nth(index)
    }
}

/// Evenly spread over [−1, 1).
fn symmetric(random: &mut SplitMix64) -> f64 {
    random.unit() * 2.0 - 1.0
}

/// From the standard normal distribution, by Marsaglia's polar method (SIAM Review 6, 1964).
pub(crate) fn normal(random: &mut SplitMix64) -> f64 {
    loop {
        let (x, y) = (symmetric(random), symmetric(random));
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * (-2.0 * libm::log(square) / square).sqrt();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_items_share_a_seed() {
        let mut seen = HashSet::new();
        for seed in 0..4 {
            for purpose in [Purpose::InputLength, Purpose::OutputLength, Purpose::Text] {
                let seeds = Seeds::new(seed, purpose);
                assert!((0..1_000).all(|index| seen.insert(seeds.item(index))), "{seed} {purpose:?}");
            }
        }
    }

    #[test]
    fn normal_numbers_have_the_normal_shape() {
        let mut random = SplitMix64::new(42);
        let mut drawn: Vec<f64> = (0..10_000).map(|_| normal(&mut random)).collect();
        drawn.sort_by(f64::total_cmp);
        // Quantiles of the normal distribution at 2.3 %, 15.9 %, 50 %, 84.1 % and 97.7 %, to a few standard errors.
        for (quantile, expected) in [(0.02275, -2.0), (0.15866, -1.0), (0.5, 0.0), (0.84134, 1.0), (0.97725, 2.0)] {
            let found = drawn[(quantile * 10_000.0) as usize];
            assert!((found - expected).abs() < 0.1, "{found} at {quantile}");
        }
    }
}
