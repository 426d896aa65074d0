//! Chance by number: any item's random numbers, without those of the items before it.
//!
//! The same seed gives the same numbers on every machine: they rest on wrapping integer arithmetic, on what IEEE 754
//! defines to the last bit (`+ − × ÷`, square root), and on the logarithm of the `libm` crate, which is built from those
//! alone.

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
        Self(SplitMix64::new(seed).skip(purpose as u64))
    }

    /// The seed of item `index`.
    pub(crate) fn item(self, index: u64) -> u64 {
        SplitMix64::new(self.0).skip(index)
    }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. Written out, because prompts
/// must not change with the version of a library.
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

    /// Mixes the seed first, so that seeds which lie close together start far apart.
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::STEP);
        mix(self.0)
    }

    /// The number after `count` others.
    fn skip(self, count: u64) -> u64 {
        Self(self.0.wrapping_add(count.wrapping_mul(Self::STEP))).next()
    }

    /// Evenly spread over [−1, 1).
    fn symmetric(&mut self) -> f64 {
        const STEP: f64 = 2.0 / (1_u64 << 53) as f64;
        (self.next() >> 11) as f64 * STEP - 1.0
    }

    /// From the standard normal distribution, by Marsaglia's polar method (SIAM Review 6, 1964).
    pub(crate) fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (self.symmetric(), self.symmetric());
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * libm::log(square) / square).sqrt();
            }
        }
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_generator_yields_the_published_sequence() {
        let mut random = SplitMix64(1_234_567);
        let drawn = [random.next(), random.next(), random.next()];
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn skipping_gives_what_drawing_gives() {
        let mut random = SplitMix64::new(5);
        for count in 0..10 {
            assert_eq!(SplitMix64::new(5).skip(count), random.next());
        }
    }

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
        let mut drawn: Vec<f64> = (0..10_000).map(|_| random.normal()).collect();
        drawn.sort_by(f64::total_cmp);
        // Quantiles of the normal distribution at 2.3 %, 15.9 %, 50 %, 84.1 % and 97.7 %, to a few standard errors.
        for (quantile, expected) in [(0.02275, -2.0), (0.15866, -1.0), (0.5, 0.0), (0.84134, 1.0), (0.97725, 2.0)] {
            let found = drawn[(quantile * 10_000.0) as usize];
            assert!((found - expected).abs() < 0.1, "{found} at {quantile}");
        }
    }
}
