//! Chance by number: any item's random numbers, without those of the items before it.
//!
//! The same seed gives the same numbers on every machine, as it does with the generator they come from.

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
    /// How many turns sessions have.
    Turns = 4,
    /// Think times between turns.
    Delay = 5,
    /// Which pair of lengths a turn gets.
    Pair = 6,
    /// The words of the texts that sessions begin with.
    PrefixText = 7,
    /// Which of those texts a session begins with.
    PrefixChoice = 8,
    /// Widths of images.
    Width = 9,
    /// Heights of images.
    Height = 10,
    /// Whether an image is a PNG or a JPEG, and which picture it shows.
    ImageChoice = 11,
    /// What images of noise show.
    ImageNoise = 12,
    /// How long audio clips are.
    Seconds = 13,
    /// The sample rate and depth of audio clips.
    AudioChoice = 14,
    /// What audio clips sound like.
    AudioNoise = 15,
    /// Which rows of pools a session gets.
    Pool = 16,
    /// How many passages are to be ranked.
    Passages = 17,
    /// Lengths of passages.
    PassageLength = 18,
    /// Lengths of queries.
    QueryLength = 19,
}

/// Where in a data set something stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// Number of the session.
    pub(crate) session: u64,
    /// Number of its turn, from 0.
    pub(crate) turn: u32,
    /// Which of the turn's texts, images or clips, from 0.
    pub(crate) part: u32,
}

impl Place {
    /// The first part of turn `turn` of session `session`.
    pub(crate) fn turn(session: u64, turn: u32) -> Self {
        Self { session, turn, part: 0 }
    }
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

    /// The seed of what stands at `place`. A session's very first part has the session's own seed, so that asking for
    /// further turns and parts leaves it as it was.
    pub(crate) fn at(self, place: Place) -> u64 {
        let item = self.item(place.session);
        match u64::from(place.turn) << 32 | u64::from(place.part) {
            0 => item,
            // Of the complement: the stream of the seed itself is what is drawn for the first part.
            further => SplitMix64::new(!item).nth(further),
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
    fn no_two_parts_share_a_seed_and_the_first_has_that_of_its_session() {
        let seeds = Seeds::new(1, Purpose::Text);
        let mut seen = HashSet::new();
        for session in 0..20 {
            assert_eq!(seeds.at(Place::turn(session, 0)), seeds.item(session));
            for (turn, part) in (0..20).flat_map(|turn| (0..20).map(move |part| (turn, part))) {
                assert!(seen.insert(seeds.at(Place { session, turn, part })), "{session} {turn} {part}");
            }
        }
    }
}
