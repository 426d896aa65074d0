//! [`Times`]: lengths of time of one kind, of all requests together. Exact while there are few of them, a histogram when there
//! are many.

use crate::{counted::Counted, stats};
use inferometer_abi::documents::Stats;

/// Up to this many are kept as they are (800 kB); beyond, percentiles are those of a histogram.
pub(crate) const EXACT_TIMES: usize = 100_000;

/// Where in the pool those of one request are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    start: u32,
    len: u32,
}

/// Lengths of time of one kind, in nanoseconds: gaps between content events, or lags behind the schedule.
///
/// Up to 100,000 are kept as they are; beyond, percentiles are those of a histogram of three significant digits. Which
/// of the two forms it has depends on nothing but how many there are, so pools that were filled apart and
/// merged are equal to one that was filled at once. Count, sum, mean, deviation, minimum and maximum are exact in both.
pub struct Times {
    limit: usize,
    pool: Pool,
}

enum Pool {
    Exact(Vec<u64>),
    Counted(Box<Counted>),
}

impl Default for Times {
    fn default() -> Self {
        Self::new(EXACT_TIMES)
    }
}

impl Times {
    /// An empty pool that keeps up to `limit` of them as they are.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.min(EXACT_TIMES), pool: Pool::Exact(Vec::new()) }
    }

    /// Adds one.
    pub fn add(&mut self, ns: u64) {
        self.push(&[ns]);
    }

    /// Adds those of one request and says where they are.
    pub(crate) fn push(&mut self, gaps_ns: &[u64]) -> Place {
        if let (true, Pool::Exact(all)) = (self.fits(gaps_ns.len()), &mut self.pool) {
            // Both are at most `EXACT_TIMES`.
            let place = Place { start: all.len() as u32, len: gaps_ns.len() as u32 };
            all.extend_from_slice(gaps_ns);
            return place;
        }
        self.counted().extend(gaps_ns);
        Place::default()
    }

    /// Adds those of another pool and says by how much its places move.
    pub(crate) fn merge(&mut self, other: Self) -> u32 {
        match other.pool {
            Pool::Exact(gaps) => self.push(&gaps).start,
            Pool::Counted(counts) => {
                self.counted().merge(&counts);
                0
            }
        }
    }

    /// Those at a place; none if they are not known one by one any more.
    pub(crate) fn at(&self, place: Place) -> &[u64] {
        let Pool::Exact(all) = &self.pool else { return &[] };
        let (start, len) = (place.start as usize, place.len as usize);
        all.get(start..).and_then(|rest| rest.get(..len)).unwrap_or_default()
    }

    /// How many there are, if they are known one by one.
    pub(crate) fn exact(&self) -> Option<usize> {
        match &self.pool {
            Pool::Exact(all) => Some(all.len()),
            Pool::Counted(_) => None,
        }
    }

    /// Whether `more` would still be known one by one.
    pub(crate) fn fits(&self, more: usize) -> bool {
        self.exact().is_some_and(|len| len + more <= self.limit)
    }

    /// Statistics in milliseconds.
    pub fn stats(&self) -> Stats {
        match &self.pool {
            Pool::Exact(all) => stats::of(&mut all.iter().map(|&ns| ns as f64 / 1e6).collect::<Vec<_>>()),
            Pool::Counted(counts) => counts.stats(),
        }
    }

    /// The pool as counts, which it becomes if it is not.
    fn counted(&mut self) -> &mut Counted {
        if let Pool::Exact(all) = &self.pool {
            let mut counts = Counted::new("ms");
            counts.extend(all);
            self.pool = Pool::Counted(Box::new(counts));
        }
        match &mut self.pool {
            Pool::Counted(counts) => counts,
            Pool::Exact(_) => unreachable!("it was turned into counts just now"),
        }
    }
}

impl Place {
    /// The same times after the pool was merged into another.
    pub(crate) fn moved(self, by: u32) -> Self {
        Self { start: self.start + by, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pool(limit: usize, requests: &[Vec<u64>]) -> Times {
        let mut gaps = Times::new(limit);
        for request in requests {
            gaps.push(request);
        }
        gaps
    }

    #[test]
    fn places_are_found_again_after_a_merge() {
        let mut first = pool(10, &[vec![1, 2]]);
        let mut second = Times::new(10);
        let place = second.push(&[3, 4, 5]);
        let by = first.merge(second);
        assert_eq!(first.at(place.moved(by)), [3, 4, 5]);
    }

    proptest! {
        #[test]
        fn pools_filled_apart_equal_one_filled_at_once(
            requests in prop::collection::vec(prop::collection::vec(0..10_000_000_u64, 0..8), 0..20),
            cut in 0..20_usize,
            limit in 0..80_usize,
        ) {
            let cut = cut.min(requests.len());
            let mut merged = pool(limit, &requests[cut..]);
            merged.merge(pool(limit, &requests[..cut]));
            prop_assert_eq!(merged.stats(), pool(limit, &requests).stats());
        }
    }

    #[test]
    fn percentiles_of_a_histogram_have_three_digits() {
        let gaps: Vec<u64> = (1..=100_000).map(|i| i * 1_000).collect();
        let stats = pool(0, &[gaps]).stats();
        assert!((stats.p50.unwrap() - 50.0).abs() < 0.05);
        assert!((stats.p99.unwrap() - 99.0).abs() < 0.1);
    }
}
