//! What a worker keeps of finished requests: rows, and the parts that vary in size in blocks that never move.

use inferometer_model::{Failure, Row};
use inferometer_net::RequestIds;

/// Elements per block of an [`Arena`].
const BLOCK: usize = 1 << 16;

/// A place in an [`Arena`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    block: u32,
    start: u32,
    len: u32,
}

impl Place {
    pub(crate) fn len(self) -> usize {
        self.len as usize
    }
}

/// Slices kept in blocks, so that growing never copies what is there.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    blocks: Vec<Vec<T>>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { blocks: Vec::new() }
    }
}

impl<T: Copy> Arena<T> {
    pub(crate) fn push(&mut self, items: &[T]) -> Place {
        if items.is_empty() {
            return Place::default();
        }
        if self.blocks.last().is_none_or(|block| block.capacity() - block.len() < items.len()) {
            self.blocks.push(Vec::with_capacity(BLOCK.max(items.len())));
        }
        let block = self.blocks.len() - 1;
        let start = self.blocks[block].len();
        self.blocks[block].extend_from_slice(items);
        Place { block: block as u32, start: start as u32, len: items.len() as u32 }
    }

    pub(crate) fn get(&self, place: Place) -> &[T] {
        match self.blocks.get(place.block as usize) {
            Some(block) => &block[place.start as usize..][..place.len()],
            None => &[],
        }
    }
}

/// Gaps between events in nanoseconds, 32 bits each; longer ones (over 4.29 s) take three words.
pub(crate) mod gaps {
    const LONG: u32 = u32::MAX;

    /// Appends `gap_ns`.
    #[inline]
    pub(crate) fn push(words: &mut Vec<u32>, gap_ns: u64) {
        match u32::try_from(gap_ns) {
            Ok(short) if short != LONG => words.push(short),
            _ => words.extend_from_slice(&[LONG, (gap_ns >> 32) as u32, gap_ns as u32]),
        }
    }

    /// The gaps in `words`.
    pub(crate) fn read(words: &[u32], out: &mut Vec<u64>) {
        out.clear();
        let mut words = words.iter().map(|word| u64::from(*word));
        while let Some(word) = words.next() {
            let gap = if word == u64::from(LONG) {
                words.next().unwrap_or_default() << 32 | words.next().unwrap_or_default()
            } else {
                word
            };
            out.push(gap);
        }
    }
}

/// What is kept of a request beside its row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detail {
    /// What it was called on the wire.
    pub(crate) ids: RequestIds,
    /// Gaps between its content events.
    pub(crate) gaps: Place,
    /// Its answer, still JSON-escaped.
    pub(crate) text: Place,
    /// Its reasoning, still JSON-escaped.
    pub(crate) reasoning: Place,
    /// How much of them the first content event brought.
    pub(crate) first: FirstEvent,
}

/// How much the first content event brought, in bytes of kept text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FirstEvent {
    pub(crate) text: u32,
    pub(crate) reasoning: u32,
}

/// Everything one worker found.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) rows: Vec<Row>,
    pub(crate) details: Vec<Detail>,
    pub(crate) gaps: Arena<u32>,
    pub(crate) text: Arena<u8>,
    /// Failures, with the number of their row.
    pub(crate) failures: Vec<(u32, Failure)>,
    /// Bytes of answers kept.
    pub(crate) text_bytes: usize,
    /// Answers whose text was let go to bound the memory.
    pub(crate) texts_let_go: u64,
    /// Arrivals by phase that were due and that this worker did not come round to.
    pub(crate) missed: Vec<u64>,
}

/// Most bytes of answers that one worker keeps for counting their tokens.
pub(crate) const TEXT_LIMIT: usize = 256 << 20;
/// Most bytes of one answer that are kept.
pub(crate) const ANSWER_LIMIT: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_come_back_as_they_went_in_also_across_blocks() {
        let mut arena = Arena::default();
        let slices: Vec<Vec<u32>> = (0..300_u32).map(|n| vec![n; 1000]).chain([vec![], vec![7; BLOCK + 1]]).collect();
        let places: Vec<Place> = slices.iter().map(|slice| arena.push(slice)).collect();
        for (place, slice) in places.into_iter().zip(&slices) {
            assert_eq!(arena.get(place), slice.as_slice());
        }
    }

    #[test]
    fn gaps_of_any_length_come_back() {
        let given = [0, 1, u64::from(u32::MAX) - 1, u64::from(u32::MAX), 1 << 40, 5];
        let (mut words, mut out) = (Vec::new(), Vec::new());
        given.iter().for_each(|gap| gaps::push(&mut words, *gap));
        gaps::read(&words, &mut out);
        assert_eq!(out, given);
    }
}
