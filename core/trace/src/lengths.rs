//! [`Lengths`]: how long prompts or answers are.

use crate::Spread;
use serde::Serialize;

/// How lengths lie, in tokens.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lengths {
    /// Tokens of all.
    pub total: u64,
    /// How they lie.
    #[serde(flatten)]
    pub spread: Spread,
    /// How many fall between two powers of two, from the shortest to the longest.
    pub histogram: Vec<Bin>,
}

/// How many lengths fall between two powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// The least length that belongs here.
    pub from_tokens: u64,
    /// The greatest.
    pub to_tokens: u64,
    /// How many there are.
    pub count: u64,
}

impl Lengths {
    /// That of `lengths`; none of none.
    pub(crate) fn of(lengths: impl Iterator<Item = u32> + Clone) -> Option<Self> {
        let spread = Spread::of(lengths.clone().map(f64::from))?;
        let mut counts = [0_u64; 33];
        let mut total = 0_u64;
        for length in lengths {
            counts[bin(length)] += 1;
            total += u64::from(length);
        }
        let last = counts.iter().rposition(|count| *count > 0)?;
        let first = counts.iter().position(|count| *count > 0)?;
        let bin = |number: usize| Bin {
            from_tokens: if number == 0 { 0 } else { 1 << (number - 1) },
            to_tokens: (1 << number) - 1,
            count: counts[number],
        };
        Some(Self { total, spread, histogram: (first..=last).map(bin).collect() })
    }
}

/// Zero, one, two to three, four to seven …
fn bin(length: u32) -> usize {
    (u32::BITS - length.leading_zeros()) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bins_lie_between_powers_of_two_from_the_shortest_to_the_longest_with_the_empty_ones_between() {
        let lengths = Lengths::of([2, 3, 16, 31].into_iter()).unwrap();
        assert_eq!(lengths.total, 52);
        let bins: Vec<_> = lengths.histogram.iter().map(|b| (b.from_tokens, b.to_tokens, b.count)).collect();
        assert_eq!(bins, [(2, 3, 2), (4, 7, 0), (8, 15, 0), (16, 31, 2)]);
    }

    proptest! {
        #[test]
        fn every_length_is_in_the_one_bin_whose_bounds_it_is_between(values in prop::collection::vec(any::<u32>(), 1..50)) {
            let lengths = Lengths::of(values.iter().copied()).unwrap();
            for bin in &lengths.histogram {
                let within = |value: &&u32| (bin.from_tokens..=bin.to_tokens).contains(&u64::from(**value));
                prop_assert_eq!(values.iter().filter(within).count() as u64, bin.count);
            }
            prop_assert_eq!(lengths.histogram.iter().map(|bin| bin.count).sum::<u64>(), values.len() as u64);
        }
    }
}
