//! Seeds for named components, and the small generator behind the texts.
//!
//! Both are fixed for good: the same seed has to give the same bytes on every machine and in every
//! later version. So this is not the place for a generator that a library may change.

use sha2::{Digest, Sha256};

/// The seed of item `index` of the component `name`, under the run's `root` seed.
///
/// The component's own seed is the first eight bytes, little-endian, of SHA-256 over the root's
/// eight little-endian bytes and the name; the item's seed is output number `index` of splitmix64
/// started there. A component's seeds therefore depend on its name alone: adding another component
/// shifts nothing.
pub fn seed_for(root: u64, name: &str, index: u64) -> u64 {
    let digest = Sha256::new().chain_update(root.to_le_bytes()).chain_update(name).finalize();
    let component = u64::from_le_bytes(*digest.first_chunk().expect("a SHA-256 digest has 32 bytes"));
    mix(component.wrapping_add(index.wrapping_add(1).wrapping_mul(STEP)))
}

/// The increment of splitmix64: 2^64 divided by the golden ratio, made odd.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finalizer of splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", OOPSLA 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// splitmix64: one addition and one mix a number.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Mixes the seed first, so that seeds one step apart do not share a stream.
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number from 0 up to but not including `bound`; the bias is below `bound` / 2^64.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        Self::scale(self.next(), bound)
    }

    /// Scales a drawn number to below `bound` by its upper bits, which leaves the lower ones free
    /// for another choice.
    pub(crate) fn scale(drawn: u64, bound: usize) -> usize {
        ((u128::from(drawn) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_the_same_for_ever() {
        assert_eq!(seed_for(42, "prompts", 0), 5_268_932_667_308_944_847);
        assert_eq!(seed_for(42, "prompts", 1), 10_509_978_212_140_604_122);
    }

    #[test]
    fn the_generator_yields_the_published_splitmix64_sequence() {
        let mut random = Random(1_234_567);
        let drawn = [random.next(), random.next(), random.next()];
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn components_and_items_do_not_share_seeds() {
        let mut seen = std::collections::HashSet::new();
        for name in ["prompts", "arrivals", "sessions"] {
            for index in 0..1000 {
                assert!(seen.insert(seed_for(7, name, index)), "{name} {index}");
            }
        }
        assert_ne!(seed_for(7, "prompts", 0), seed_for(8, "prompts", 0));
    }
}
