//! How recently blocks were used, as a cache that drops the least recently used sees it.
//!
//! A block is in such a cache of `C` blocks exactly if fewer than `C` others were used since: if its rank is at most `C`
//! (R. L. Mattson et al., Evaluation techniques for storage hierarchies, 1970). So one pass over a trace tells the hits of
//! every size of cache. A request uses its blocks from the last to the first, so that a prompt's beginning is always kept
//! longer than what follows it, as servers do; what is kept of a prompt then is always a beginning of it.

/// Ranks blocks by their latest use.
pub(crate) struct Recency {
    /// The moment of each block's latest use, from 1; 0: never used.
    latest: Vec<usize>,
    /// A Fenwick tree over the moments: 1 at each block's latest use.
    counts: Vec<u32>,
    now: usize,
    /// Blocks used so far.
    used: usize,
}

impl Recency {
    /// For `blocks` different blocks, used `uses` times in all.
    pub(crate) fn new(blocks: usize, uses: usize) -> Self {
        Self { latest: vec![0; blocks], counts: vec![0; uses + 1], now: 0, used: 0 }
    }

    /// How many different blocks were used since `block` was, itself included; absent if it never was.
    pub(crate) fn rank(&self, block: usize) -> Option<usize> {
        let latest = self.latest[block];
        (latest > 0).then(|| self.used - self.up_to(latest - 1))
    }

    /// Uses `block`.
    pub(crate) fn touch(&mut self, block: usize) {
        self.now += 1;
        match std::mem::replace(&mut self.latest[block], self.now) {
            0 => self.used += 1,
            latest => self.change(latest, u32::wrapping_sub),
        }
        self.change(self.now, u32::wrapping_add);
    }

    /// Blocks whose latest use was at `moment` or before.
    fn up_to(&self, mut moment: usize) -> usize {
        let mut sum = 0;
        while moment > 0 {
            sum += self.counts[moment] as usize;
            moment &= moment - 1;
        }
        sum
    }

    fn change(&mut self, mut moment: usize, by: fn(u32, u32) -> u32) {
        while let Some(count) = self.counts.get_mut(moment) {
            *count = by(*count, 1);
            moment += moment & moment.wrapping_neg();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranks_are_places_in_a_list_that_each_use_moves_to_the_front(uses in prop::collection::vec(0..12_usize, 0..80)) {
            let mut recency = Recency::new(12, uses.len());
            let mut list: Vec<usize> = Vec::new();
            for block in uses {
                let place = list.iter().position(|other| *other == block);
                prop_assert_eq!(recency.rank(block), place.map(|place| place + 1));
                recency.touch(block);
                list.retain(|other| *other != block);
                list.insert(0, block);
            }
        }
    }
}
