//! Histograms: how many observations of each size fell into a window.

use super::{increase, numbers};
use crate::{Window, stats::percentiles};
use inferometer_abi::documents::{Bucket, Histogram, Stats};

/// How the parts of a histogram grew.
#[derive(Default)]
pub(super) struct Parts<'s> {
    /// Bound, the bound as it is written, and how many observations were no greater.
    pub(super) buckets: Vec<(f64, &'s str, f64)>,
    /// The sum of the observations.
    pub(super) sum: Option<f64>,
}

impl Parts<'_> {
    /// The histogram they make; none if the unbounded bucket is not known, which counts all.
    pub(super) fn histogram(mut self, window: Window) -> Option<Histogram> {
        // Of several buckets with the same bound the fullest stays.
        self.buckets.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(b.2.total_cmp(&a.2)).then(a.1.cmp(b.1)));
        self.buckets.dedup_by(|later, kept| later.0 == kept.0);
        let &(_, _, count) = self.buckets.last().filter(|bucket| bucket.0 == f64::INFINITY)?;
        // Cumulative they are as the source wrote them, but their growth need not be: a reset shows in some and not in others.
        let mut below = 0.0_f64;
        for bucket in &mut self.buckets {
            below = below.max(bucket.2).min(count);
            bucket.2 = below;
        }
        let sum = self.sum.and_then(|sum| increase(sum, window));
        Some(Histogram {
            count: increase(count, window)?,
            sum,
            avg: sum.filter(|_| count > 0.0).map(|sum| sum.total / count).filter(|avg| avg.is_finite()),
            estimates: estimates(&self.buckets, count),
            buckets: self.buckets.into_iter().map(|(_, le, count)| Bucket { le: le.to_owned(), count }).collect(),
        })
    }
}

/// Percentiles, as if the observations of each bucket were spread evenly from the bound below. Below the first bound, if it
/// is positive, that is zero; otherwise they are taken to be at the bound.
fn estimates(buckets: &[(f64, &str, f64)], count: f64) -> Stats {
    numbers(percentiles(|q| {
        let rank = q / 100.0 * count;
        let index = buckets.iter().position(|bucket| bucket.2 >= rank && bucket.2 > 0.0)?;
        let (upper, _, upto) = buckets[index];
        if upper == f64::INFINITY {
            return None;
        }
        let (lower, below) = match index.checked_sub(1) {
            Some(previous) => (buckets[previous].0, buckets[previous].2),
            None => (upper.min(0.0), 0.0),
        };
        Some(lower + (upper - lower) * ((rank - below) / (upto - below)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { start_ns: 0, end_ns: 2_000_000_000 };

    fn parts<'s>(buckets: &[(&'s str, f64)], sum: Option<f64>) -> Parts<'s> {
        Parts { buckets: buckets.iter().map(|&(le, count)| (le.parse().unwrap(), le, count)).collect(), sum }
    }

    #[test]
    fn percentiles_are_interpolated_within_their_bucket() {
        // 10 up to 0.1, 30 up to 0.5, 9 up to 1, one above. Half of 50 is 25: the 15th of 30 from 0.1 to 0.5.
        let buckets = [("1.0", 49.0), ("+Inf", 50.0), ("0.1", 10.0), ("0.5", 40.0)];
        let found = parts(&buckets, Some(20.0)).histogram(WINDOW).unwrap();
        assert_eq!((found.count.total, found.count.rate, found.avg), (50.0, Some(25.0), Some(0.4)));
        assert_eq!(found.sum.and_then(|sum| sum.rate), Some(10.0));
        let order: Vec<_> = found.buckets.iter().map(|bucket| (bucket.le.as_str(), bucket.count)).collect();
        assert_eq!(order, [("0.1", 10.0), ("0.5", 40.0), ("1.0", 49.0), ("+Inf", 50.0)]);
        let near = |found: Option<f64>, wanted: f64| assert!((found.unwrap() - wanted).abs() < 1e-12, "{found:?}");
        near(found.estimates.p50, 0.1 + 0.4 * 15.0 / 30.0);
        near(found.estimates.p10, 0.05);
        near(found.estimates.p95, 0.5 + 0.5 * 7.5 / 9.0);
        assert_eq!(found.estimates.p99, None, "the 49.5th of 50 is in the unbounded bucket");
        assert_eq!(found.estimates.avg, None);
    }

    #[test]
    fn no_observations_have_no_percentiles_and_no_mean() {
        let found = parts(&[("1", 0.0), ("+Inf", 0.0)], Some(0.0)).histogram(WINDOW).unwrap();
        assert_eq!((found.count.total, found.avg, found.estimates), (0.0, None, Stats::default()));
    }

    #[test]
    fn without_the_bucket_of_all_there_is_no_histogram() {
        assert_eq!(parts(&[("1", 4.0)], Some(2.0)).histogram(WINDOW), None);
        assert_eq!(parts(&[], Some(2.0)).histogram(WINDOW), None);
    }

    #[test]
    fn bounds_below_zero_and_buckets_out_of_step_are_borne() {
        let found = parts(&[("-1", 5.0), ("2", 3.0), ("2.0", 4.0), ("3", 99.0), ("+Inf", 10.0)], None);
        let found = found.histogram(WINDOW).unwrap();
        let counts: Vec<_> = found.buckets.iter().map(|bucket| bucket.count).collect();
        assert_eq!(counts, [5.0, 5.0, 10.0, 10.0]);
        assert_eq!(found.estimates.p25, Some(-1.0));
        assert_eq!(found.estimates.p75, Some(2.5));
    }
}
