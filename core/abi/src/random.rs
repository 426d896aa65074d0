//! The one source of chance: splitmix64, by Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
//! OOPSLA 2014.
//!
//! Everything that a run draws from its seed goes back to this generator, and its stream never changes: the same seed
//! gives the same numbers on every machine and in every later version. That is why it is written out here and not taken
//! from a library, and why it uses nothing but wrapping integer arithmetic and exact conversions. It is fast and spreads
//! evenly; it keeps no secrets.

/// The step from state to state: 2^64 divided by the golden ratio, made odd.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The generator's output function, a bijection (Stafford's variant 13 of MurmurHash3's finalizer).
const fn finalize(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Scrambles `z`: the number that follows the state `z`. A bijection; numbers that lie close together come out far apart.
pub const fn mix(z: u64) -> u64 {
    finalize(z.wrapping_add(STEP))
}

/// Scales `drawn`, a number evenly spread over all of `u64`, to below `bound` by its upper bits; the bias is below
/// `bound` / 2^64.
pub const fn scale(drawn: u64, bound: u64) -> u64 {
    ((drawn as u128 * bound as u128) >> 64) as u64
}

/// The generator: one addition and one mix a number.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A stream for `seed`, which is scrambled first: seeds that lie a step apart do not share a stream.
    pub const fn new(seed: u64) -> Self {
        Self(finalize(seed))
    }

    /// The published generator, started at `state` as it is; for states that are well spread already.
    pub const fn from_state(state: u64) -> Self {
        Self(state)
    }

    /// The next number, evenly spread over all of `u64`.
    pub const fn next_u64(&mut self) -> u64 {
        let drawn = mix(self.0);
        self.0 = self.0.wrapping_add(STEP);
        drawn
    }

    /// The number that comes after `count` others, without drawing those.
    pub const fn nth(&self, count: u64) -> u64 {
        mix(self.0.wrapping_add(count.wrapping_mul(STEP)))
    }

    /// The next number, evenly spread over [0, 1) in steps of 2^-53. `1.0 - unit()` lies in (0, 1].
    pub const fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The next number from the standard normal distribution, by Marsaglia's polar method (SIAM Review 6, 1964). Its
    /// logarithm is that of the `libm` crate, which is the same on every machine.
    pub fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (self.unit() * 2.0 - 1.0, self.unit() * 2.0 - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * libm::log(square) / square).sqrt();
            }
        }
    }

    /// The next number, from 0 up to but not including `bound`; the bias is below `bound` / 2^64.
    pub const fn below(&mut self, bound: u64) -> u64 {
        scale(self.next_u64(), bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the published generator started at 1,234,567, from the authors' reference code.
    const PUBLISHED: [u64; 3] = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];

    #[test]
    fn the_generator_yields_the_published_sequence() {
        let mut random = SplitMix64::from_state(1_234_567);
        assert_eq!([random.next_u64(), random.next_u64(), random.next_u64()], PUBLISHED);
        assert_eq!(mix(1_234_567), PUBLISHED[0]);
    }

    #[test]
    fn skipping_gives_what_drawing_gives() {
        let (start, mut random) = (SplitMix64::new(5), SplitMix64::new(5));
        for count in 0..10 {
            assert_eq!(start.nth(count), random.next_u64());
        }
    }

    #[test]
    fn the_numbers_of_a_seed_are_the_same_for_ever() {
        let mut random = SplitMix64::new(42);
        assert_eq!(random.next_u64(), 10_996_452_266_160_306_281);
        assert_eq!(random.unit(), 0.160_365_387_598_577_2);
        assert_eq!(random.below(1_000_000), 166_397);
    }

    #[test]
    fn scaled_numbers_reach_both_ends_and_stay_below_the_bound() {
        assert_eq!((scale(0, 7), scale(u64::MAX, 7)), (0, 6));
        assert_eq!(scale(u64::MAX, u64::MAX), u64::MAX - 1);
        assert_eq!(scale(u64::MAX, 0), 0);
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

    #[test]
    fn units_are_evenly_spread_and_never_one() {
        let mut random = SplitMix64::new(7);
        let mut tenths = [0_u32; 10];
        for _ in 0..10_000 {
            tenths[(random.unit() * 10.0) as usize] += 1;
        }
        // Five standard deviations either way.
        assert!(tenths.iter().all(|count| count.abs_diff(1_000) < 150), "{tenths:?}");
    }
}
