//! Seeds for named components.
//!
//! They are fixed for good: the same seed has to give the same bytes on every machine and in every
//! later version. So this is not the place for a hash that a library may change.

use inferometer_abi::random::SplitMix64;
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
    SplitMix64::from_state(component).nth(index)
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
