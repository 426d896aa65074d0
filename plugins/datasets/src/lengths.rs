//! Lengths in tokens, drawn from what the user asked for.

use crate::random::{Purpose, Seeds, normal};
use inferometer_plugin_sdk::{
    documents::Length,
    random::SplitMix64,
    types::{Error, Result},
};

/// The longest mean and the largest deviation that are taken for what was meant, in tokens.
const MOST: f64 = 10_000_000.0;

/// The lengths of all items for one purpose.
pub(crate) struct Lengths {
    length: Length,
    seeds: Seeds,
}

impl Lengths {
    /// Lengths of `length`'s distribution; `option` is what the user calls it, for messages.
    ///
    /// # Errors
    /// When the mean is below one token, or either number is none that a length can have.
    pub(crate) fn new(option: &str, length: Length, seed: u64, purpose: Purpose) -> Result<Self> {
        let Length { mean, stddev } = length;
        if !(1.0..=MOST).contains(&mean) {
            return Err(Error::config(format!("{option} {mean:?}: a mean length is from 1 to {MOST} tokens")));
        }
        if !(0.0..=MOST).contains(&stddev) {
            return Err(Error::config(format!("{option}-stddev {stddev:?}: a deviation is from 0 to {MOST} tokens")));
        }
        Ok(Self { length, seeds: Seeds::new(seed, purpose) })
    }

    /// The length of item `index`: the mean, or a number from the normal distribution, to the nearest whole token. What
    /// would round to less than one token is drawn again; rounding to the nearest leaves the mean where it was asked.
    pub(crate) fn draw(&self, index: u64) -> u32 {
        let Length { mean, stddev } = self.length;
        if stddev == 0.0 {
            return mean.round() as u32;
        }
        // At least half of all draws are above the mean, and so at least 1.
        let mut random = SplitMix64::new(self.seeds.item(index));
        loop {
            let tokens = (mean + stddev * normal(&mut random)).round();
            if tokens >= 1.0 {
                return tokens as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lengths(mean: f64, stddev: f64, seed: u64) -> Lengths {
        Lengths::new("--isl", Length { mean, stddev }, seed, Purpose::InputLength).unwrap()
    }

    #[test]
    fn without_a_deviation_every_length_is_the_mean() {
        for (mean, expected) in [(550.0, 550), (1.0, 1), (10.4, 10), (10.5, 11)] {
            assert!((0..100).all(|index| lengths(mean, 0.0, 1).draw(index) == expected));
        }
    }

    #[test]
    fn mean_and_deviation_are_those_asked_for() {
        let lengths = lengths(550.0, 50.0, 42);
        let drawn: Vec<f64> = (0..10_000).map(|index| lengths.draw(index).into()).collect();
        let mean = drawn.iter().sum::<f64>() / 10_000.0;
        let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 10_000.0;
        assert!((mean - 550.0).abs() < 1.5, "mean {mean}");
        assert!((variance.sqrt() - 50.0).abs() < 1.5, "deviation {}", variance.sqrt());
    }

    #[test]
    fn the_lengths_of_a_seed_are_the_same_for_ever() {
        let lengths = lengths(550.0, 50.0, 42);
        assert_eq!([0, 1, 2, 999_999].map(|index| lengths.draw(index)), [456, 522, 438, 564]);
    }

    #[test]
    fn impossible_lengths_are_errors_that_name_the_option() {
        for (mean, stddev, named) in [
            (0.0, 0.0, "--isl 0.0:"),
            (0.4, 9.0, "--isl 0.4:"),
            (-5.0, 0.0, "--isl -5.0:"),
            (f64::NAN, 0.0, "--isl NaN:"),
            (f64::INFINITY, 0.0, "--isl inf:"),
            (10.0, -1.0, "--isl-stddev -1.0:"),
            (10.0, f64::NAN, "--isl-stddev NaN:"),
            (10.0, 1e300, "--isl-stddev 1e300:"),
        ] {
            let error = Lengths::new("--isl", Length { mean, stddev }, 0, Purpose::InputLength).err().unwrap();
            assert!(error.message.starts_with(named), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_length_is_at_least_one_token(mean in 1.0..20.0, stddev in 0.0..1e7, seed: u64, index: u64) {
            prop_assert!(lengths(mean, stddev, seed).draw(index) >= 1);
        }
    }
}
