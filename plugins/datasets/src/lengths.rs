//! Lengths, and other numbers that are asked for by a mean and a deviation, drawn item by item.

use crate::random::{Place, Purpose, Seeds};
use inferometer_plugin_sdk::{
    documents::Length,
    random::SplitMix64,
    types::{Error, Result},
};

/// The longest mean and the largest deviation that are taken for what was meant, in tokens.
const MOST_TOKENS: f64 = 10_000_000.0;

/// What numbers of a kind are able to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// What the user calls the mean, for messages. The deviation's name follows from it.
    pub(crate) option: &'static str,
    /// What is counted, for messages.
    pub(crate) unit: &'static str,
    /// The least mean, and the least that is drawn.
    pub(crate) least: f64,
    /// The greatest mean, and the greatest deviation.
    pub(crate) most: f64,
    /// The greatest that is drawn, not less than `most`.
    pub(crate) ceiling: f64,
    /// All that is drawn is a multiple of this.
    pub(crate) step: f64,
}

impl Scale {
    /// Lengths of texts.
    pub(crate) const fn tokens(option: &'static str) -> Self {
        Self { option, unit: "tokens", least: 1.0, most: MOST_TOKENS, ceiling: u32::MAX as f64, step: 1.0 }
    }

    /// Whole numbers from `least` to `most`.
    pub(crate) const fn whole(option: &'static str, unit: &'static str, least: f64, most: f64) -> Self {
        Self { option, unit, least, most, ceiling: most, step: 1.0 }
    }

    /// Refuses what no number of this kind can be.
    fn check(&self, Length { mean, stddev }: Length) -> Result<()> {
        let Self { option, unit, least, most, .. } = self;
        if !(*least..=*most).contains(&mean) {
            return Err(Error::config(format!("{option} {mean:?}: a mean is from {least} to {most} {unit}")));
        }
        if !(0.0..=*most).contains(&stddev) {
            let option = option.strip_suffix("-mean").unwrap_or(option);
            let reason = format!("{option}-stddev {stddev:?}: a deviation is from 0 to {most} {unit}");
            return Err(Error::config(reason));
        }
        Ok(())
    }
}

/// The lengths of all items for one purpose.
#[derive(Debug)]
pub(crate) struct Lengths {
    spread: Spread,
    seeds: Seeds,
}

#[derive(Debug)]
enum Spread {
    /// Around a mean, or always the mean.
    Normal(Length, Scale),
    /// Whole numbers, all of them as likely.
    Even { from: u64, to: u64 },
}

impl Lengths {
    /// Lengths of `length`'s distribution, in tokens; `option` is what the user calls it, for messages.
    ///
    /// # Errors
    /// When the mean is below one token, or either number is none that a length can have.
    pub(crate) fn new(option: &'static str, length: Length, seed: u64, purpose: Purpose) -> Result<Self> {
        Self::scaled(Scale::tokens(option), length, seed, purpose)
    }

    /// Numbers of another kind than tokens.
    ///
    /// # Errors
    /// When the mean or the deviation is not on the scale.
    pub(crate) fn scaled(scale: Scale, length: Length, seed: u64, purpose: Purpose) -> Result<Self> {
        scale.check(length)?;
        Ok(Self { spread: Spread::Normal(length, scale), seeds: Seeds::new(seed, purpose) })
    }

    /// Lengths in tokens that are spread evenly over ⌊mean × (1 − ratio)⌋ to ⌈mean × (1 + ratio)⌉, but at least 1: the
    /// windows of vLLM's benchmark.
    ///
    /// # Errors
    /// When the mean is none that a length can have, or the ratio is not from 0 to 1.
    pub(crate) fn even(option: &'static str, mean: f64, ratio: f64, seed: u64, purpose: Purpose) -> Result<Self> {
        Scale::tokens(option).check(Length { mean, stddev: 0.0 })?;
        if !(0.0..=1.0).contains(&ratio) {
            return Err(Error::config(format!(
                "--random-range-ratio {ratio:?}: lengths spread by a part of their mean, from 0 (always the mean) to 1 \
                 (from one token to twice the mean)"
            )));
        }
        let (from, to) = ((mean * (1.0 - ratio)).floor().max(1.0), (mean * (1.0 + ratio)).ceil());
        Ok(Self { spread: Spread::Even { from: from as u64, to: to as u64 }, seeds: Seeds::new(seed, purpose) })
    }

    /// The length of item `index`; see [`Lengths::at`].
    pub(crate) fn draw(&self, index: u64) -> u32 {
        self.at(Place::turn(index, 0))
    }

    /// The length of what stands at `place`, as a whole number.
    pub(crate) fn at(&self, place: Place) -> u32 {
        self.number(place) as u32
    }

    /// The number of what stands at `place`: the mean, or one of the distribution, to the nearest step. What would be off
    /// the scale is drawn again; rounding to the nearest leaves the mean where it was asked.
    pub(crate) fn number(&self, place: Place) -> f64 {
        let mut random = SplitMix64::new(self.seeds.at(place));
        let (Length { mean, stddev }, scale) = match &self.spread {
            Spread::Normal(length, scale) => (*length, scale),
            Spread::Even { from, to } => return (from + random.below(to - from + 1)) as f64,
        };
        if stddev == 0.0 {
            return (mean / scale.step).round() * scale.step;
        }
        // The mean is on the scale, and the deviation no wider than the scale: a fifth of all draws at least is on it.
        loop {
            let number = ((mean + stddev * random.normal()) / scale.step).round() * scale.step;
            if (scale.least..=scale.ceiling).contains(&number) {
                return number;
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

    #[test]
    fn even_lengths_fill_their_window_and_no_more() {
        for (mean, ratio, from, to) in
            [(100.0, 0.25, 75, 125), (10.0, 0.33, 6, 14), (1.0, 1.0, 1, 2), (3.0, 1.0, 1, 6), (7.0, 0.0, 7, 7)]
        {
            let lengths = Lengths::even("--isl", mean, ratio, 1, Purpose::InputLength).unwrap();
            let drawn: Vec<u32> = (0..10_000).map(|index| lengths.draw(index)).collect();
            assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&from), Some(&to)), "{mean} {ratio}");
            let found = drawn.iter().sum::<u32>() as f64 / 10_000.0;
            let (expected, spread) = (f64::from(from + to) / 2.0, f64::from(to - from));
            assert!((found - expected).abs() <= spread * 0.015, "{found}, not {expected}");
        }
        for ratio in [-0.1, 1.1, f64::NAN] {
            let error = Lengths::even("--isl", 10.0, ratio, 1, Purpose::InputLength).unwrap_err();
            assert!(error.message.starts_with("--random-range-ratio"), "{error}");
        }
    }

    #[test]
    fn numbers_of_another_scale_keep_to_their_steps_and_bounds() {
        let seconds = Scale { option: "--s-mean", unit: "seconds", least: 0.01, most: 9.0, ceiling: 9.0, step: 0.001 };
        let lengths = Lengths::scaled(seconds, Length { mean: 8.0, stddev: 9.0 }, 1, Purpose::Seconds).unwrap();
        for index in 0..1_000 {
            let number = lengths.number(Place::turn(index, 0));
            let thousandths = number * 1_000.0;
            assert!((0.01..=9.0).contains(&number) && (thousandths - thousandths.round()).abs() < 1e-6, "{number}");
        }
        let error = Lengths::scaled(seconds, Length { mean: 1.0, stddev: 9.5 }, 1, Purpose::Seconds).unwrap_err();
        assert!(error.message.starts_with("--s-stddev 9.5: a deviation is from 0 to 9 seconds"), "{error}");
    }

    proptest! {
        #[test]
        fn a_length_is_at_least_one_token(mean in 1.0..20.0, stddev in 0.0..1e7, seed: u64, index: u64) {
            prop_assert!(lengths(mean, stddev, seed).draw(index) >= 1);
        }
    }
}
