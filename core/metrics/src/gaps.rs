//! [`Gaps`]: the times between content events, of all requests together. Exact while there are few of them, a histogram
//! when there are many.

use crate::stats;
use hdrhistogram::Histogram;
use inferometer_abi::documents::Stats;

/// Up to this many gaps are kept as they are (32 MB); beyond, percentiles are those of a histogram.
pub(crate) const EXACT_GAPS: usize = 4_000_000;

/// A longer gap counts as this (78 hours): the sum of the squares of a billion of them still fits its 128 bits.
const LONGEST_GAP: u64 = 1 << 48;

/// Where in the pool the gaps of one request are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    start: u32,
    len: u32,
}

/// The gaps between content events, in nanoseconds.
///
/// Which of the two forms it has depends on nothing but how many gaps there are, so pools that were filled apart and
/// merged are equal to one that was filled at once. Count, sum, mean, deviation, minimum and maximum are exact in both.
pub(crate) struct Gaps {
    limit: usize,
    pool: Pool,
}

enum Pool {
    Exact(Vec<u64>),
    Counted(Box<Counted>),
}

impl Gaps {
    /// An empty pool that keeps up to `limit` gaps as they are.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.min(EXACT_GAPS), pool: Pool::Exact(Vec::new()) }
    }

    /// Adds the gaps of one request and says where they are.
    pub(crate) fn push(&mut self, gaps_ns: &[u64]) -> Place {
        if let Pool::Exact(all) = &mut self.pool
            && all.len() + gaps_ns.len() <= self.limit
        {
            // Both are at most `EXACT_GAPS`.
            let place = Place { start: all.len() as u32, len: gaps_ns.len() as u32 };
            all.extend_from_slice(gaps_ns);
            return place;
        }
        self.counted().extend(gaps_ns);
        Place::default()
    }

    /// Adds the gaps of another pool and says by how much its places move.
    pub(crate) fn merge(&mut self, other: Self) -> u32 {
        match other.pool {
            Pool::Exact(gaps) => self.push(&gaps).start,
            Pool::Counted(counts) => {
                self.counted().merge(&counts);
                0
            }
        }
    }

    /// The gaps at a place, if they are still known one by one.
    pub(crate) fn at(&self, place: Place) -> Option<&[u64]> {
        match &self.pool {
            Pool::Exact(all) => all.get(place.start as usize..)?.get(..place.len as usize),
            Pool::Counted(_) => None,
        }
    }

    /// Statistics in milliseconds.
    pub(crate) fn stats(&self) -> Stats {
        match &self.pool {
            Pool::Exact(all) => stats::of(&mut all.iter().map(|&ns| ns as f64 / 1e6).collect::<Vec<_>>()),
            Pool::Counted(counts) => counts.stats(),
        }
    }

    /// The pool as counts, which it becomes if it is not.
    fn counted(&mut self) -> &mut Counted {
        if let Pool::Exact(all) = &self.pool {
            let mut counts = Counted::new();
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
    /// The same gaps after the pool was merged into another.
    pub(crate) fn moved(self, by: u32) -> Self {
        Self { start: self.start + by, ..self }
    }
}

/// A histogram with three significant digits, and exact moments beside it.
struct Counted {
    histogram: Histogram<u64>,
    count: u64,
    sum: u128,
    squares: u128,
    min: u64,
    max: u64,
}

impl Counted {
    fn new() -> Self {
        let hour_ns = 3_600_000_000_000;
        let mut histogram = Histogram::new_with_bounds(1, hour_ns, 3).expect("the bounds are valid");
        histogram.auto(true);
        Self { histogram, count: 0, sum: 0, squares: 0, min: u64::MAX, max: 0 }
    }

    fn extend(&mut self, gaps_ns: &[u64]) {
        for gap in gaps_ns.iter().map(|&gap| gap.min(LONGEST_GAP)) {
            self.histogram.saturating_record(gap);
            self.count += 1;
            self.sum += u128::from(gap);
            self.squares += u128::from(gap) * u128::from(gap);
            self.min = self.min.min(gap);
            self.max = self.max.max(gap);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("a histogram that resizes takes any other");
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    fn stats(&self) -> Stats {
        if self.count == 0 {
            return Stats::default();
        }
        let count = self.count as f64;
        let avg = self.sum as f64 / count;
        // Σ(x − m)² with a whole m near the mean: exact, where Σx² − n·mean² would cancel.
        let near = self.sum / u128::from(self.count);
        let spread = self.squares + near * near * u128::from(self.count) - 2 * near * self.sum;
        let off = avg - near as f64;
        let variance = (spread as f64 / count - off * off).max(0.0);
        let at = |q: f64| self.histogram.value_at_quantile(q / 100.0).clamp(self.min, self.max) as f64 / 1e6;
        Stats {
            avg: Some(avg / 1e6),
            min: Some(self.min as f64 / 1e6),
            max: Some(self.max as f64 / 1e6),
            std: Some(variance.sqrt() / 1e6),
            count: Some(self.count),
            sum: Some(self.sum as f64 / 1e6),
            ..stats::percentiles(|q| Some(at(q)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pool(limit: usize, requests: &[Vec<u64>]) -> Gaps {
        let mut gaps = Gaps::new(limit);
        for request in requests {
            gaps.push(request);
        }
        gaps
    }

    #[test]
    fn places_are_found_again_after_a_merge() {
        let mut first = pool(10, &[vec![1, 2]]);
        let mut second = Gaps::new(10);
        let place = second.push(&[3, 4, 5]);
        let by = first.merge(second);
        assert_eq!(first.at(place.moved(by)), Some(&[3, 4, 5][..]));
    }

    proptest! {
        #[test]
        fn a_histogram_tells_the_same_as_the_gaps_themselves(gaps in prop::collection::vec(0..10_000_000_000_u64, 1..300)) {
            let requests = [gaps];
            let (exact, counted) = (pool(usize::MAX, &requests).stats(), pool(0, &requests).stats());
            let near = |a: Option<f64>, b: Option<f64>, digits: f64| {
                let (a, b) = (a.unwrap(), b.unwrap());
                (a - b).abs() <= digits * a.abs().max(1e-3)
            };
            prop_assert_eq!((exact.min, exact.max, exact.count), (counted.min, counted.max, counted.count));
            prop_assert!(near(exact.avg, counted.avg, 1e-12));
            prop_assert!(near(exact.sum, counted.sum, 1e-12));
            prop_assert!(near(exact.std, counted.std, 1e-9), "{:?} {:?}", exact.std, counted.std);
        }

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
