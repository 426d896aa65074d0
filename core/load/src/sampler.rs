//! [`Sampler`]: which entry of the data set a session uses. A pure function of the seed and the session's number, so that
//! it does not matter who asks, in what order, or on how many workers.

use inferometer_abi::random::{mix, scale};
use inferometer_model::config::Sampling;

/// Maps session numbers to entries of a pool.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    how: Sampling,
    seed: u64,
    entries: u64,
}

impl Sampler {
    /// A sampler over `entries` (at least one) entries.
    pub fn new(how: Sampling, seed: u64, entries: u64) -> Self {
        Self { how, seed, entries: entries.max(1) }
    }

    /// The entry that session number `session` uses.
    pub fn entry(&self, session: u64) -> u64 {
        let (round, place) = (session / self.entries, session % self.entries);
        match self.how {
            Sampling::Sequential => place,
            Sampling::Random => scale(mix(self.seed ^ mix(session)), self.entries),
            Sampling::Shuffle => self.permute(place, mix(self.seed ^ mix(round))),
        }
    }

    /// A permutation of the entries chosen by `key`: a four-round Feistel network over the next even number of bits,
    /// walked until it lands inside (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). It needs no
    /// memory, however large the pool.
    fn permute(&self, place: u64, key: u64) -> u64 {
        let half = (64 - (self.entries - 1).leading_zeros()).div_ceil(2).max(1);
        let mask = (1_u64 << half) - 1;
        let mut at = place;
        loop {
            let (mut left, mut right) = (at >> half, at & mask);
            for round in 0..4 {
                (left, right) = (right, left ^ (mix(key ^ right ^ (round << 60)) & mask));
            }
            at = left << half | right;
            if at < self.entries {
                return at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sequential_goes_round() {
        let sampler = Sampler::new(Sampling::Sequential, 1, 3);
        assert_eq!((0..7).map(|s| sampler.entry(s)).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn another_round_is_shuffled_differently() {
        let sampler = Sampler::new(Sampling::Shuffle, 1, 50);
        let round = |n: u64| (0..50).map(|s| sampler.entry(n * 50 + s)).collect::<Vec<_>>();
        assert_ne!(round(0), round(1));
    }

    proptest! {
        #[test]
        fn a_shuffled_round_uses_each_entry_once(seed: u64, entries in 1_u64..400, round in 0_u64..5) {
            let sampler = Sampler::new(Sampling::Shuffle, seed, entries);
            let mut used: Vec<u64> = (0..entries).map(|s| sampler.entry(round * entries + s)).collect();
            used.sort_unstable();
            prop_assert_eq!(used, (0..entries).collect::<Vec<_>>());
        }

        #[test]
        fn random_entries_lie_in_the_pool(seed: u64, entries in 1_u64..1000, session: u64) {
            prop_assert!(Sampler::new(Sampling::Random, seed, entries).entry(session) < entries);
        }
    }
}
