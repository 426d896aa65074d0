//! [`Counted`]: what is known of any number of values in bounded memory.

use crate::stats;
use hdrhistogram::Histogram;
use inferometer_abi::documents::Stats;

/// Larger values count as this many steps (13 days in nanoseconds): the squares of a quarter of a billion of them still
/// fit their 128 bits.
const LARGEST: i64 = 1 << 50;

/// The count, the moments and the extremes of values, and a histogram of them with three significant digits.
///
/// A value is taken to the nearest whole step, which its unit decides: times are whole nanoseconds and sizes whole bytes,
/// so nothing of them is lost. Sums are of integers, so neither the order of the values nor how they were divided
/// changes a single bit of the result.
pub(crate) struct Counted {
    steps: f64,
    /// Values from zero up.
    above: Histogram<u64>,
    /// The magnitudes of negative ones.
    below: Option<Histogram<u64>>,
    count: u64,
    sum: i128,
    squares: u128,
    min: f64,
    max: f64,
}

/// Steps in one of a unit: as many as make a whole number of every value that can be one, a million for those that
/// cannot.
fn steps(unit: &str) -> f64 {
    match unit {
        "tokens" | "count" => 1.0,
        "KB" => 1024.0,
        _ => 1e6,
    }
}

/// One of three significant digits that grows with its values.
fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are allowed")
}

fn record(histogram: &mut Histogram<u64>, steps: u64) {
    histogram.record(steps).expect("it grows to any value up to the largest");
}

impl Counted {
    /// None yet, of values in `unit`.
    pub(crate) fn new(unit: &str) -> Self {
        Self {
            steps: steps(unit),
            above: histogram(),
            below: None,
            count: 0,
            sum: 0,
            squares: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }

    /// Adds a number.
    pub(crate) fn add(&mut self, value: f64) {
        // Half away from zero, since the conversion cuts off; far faster than `round`.
        let steps = (value * self.steps + 0.5_f64.copysign(value)) as i64;
        let steps = steps.clamp(-LARGEST, LARGEST);
        let size = steps.unsigned_abs();
        record(if steps < 0 { self.below.get_or_insert_with(histogram) } else { &mut self.above }, size);
        self.add_moments(1, i128::from(steps), u128::from(size) * u128::from(size), value, value);
    }

    /// Adds times in nanoseconds; the unit is milliseconds.
    pub(crate) fn extend(&mut self, ns: &[u64]) {
        let (mut sum, mut squares, mut min, mut max) = (0_i128, 0_u128, u64::MAX, 0);
        for &ns in ns {
            let size = ns.min(LARGEST as u64);
            record(&mut self.above, size);
            sum += i128::from(size);
            squares += u128::from(size) * u128::from(size);
            (min, max) = (min.min(ns), max.max(ns));
        }
        if !ns.is_empty() {
            self.add_moments(ns.len() as u64, sum, squares, min as f64 / 1e6, max as f64 / 1e6);
        }
    }

    fn add_moments(&mut self, count: u64, sum: i128, squares: u128, min: f64, max: f64) {
        self.count += count;
        self.sum += sum;
        self.squares = self.squares.saturating_add(squares);
        self.min = self.min.min(min);
        self.max = self.max.max(max);
    }

    /// Adds the values of another of the same unit.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.above.add(&other.above).expect("it grows to any other");
        if let Some(below) = &other.below {
            self.below.get_or_insert_with(histogram).add(below).expect("it grows to any other");
        }
        self.add_moments(other.count, other.sum, other.squares, other.min, other.max);
    }

    /// Their statistics: the percentiles right to three significant digits, everything else exact.
    pub(crate) fn stats(&self) -> Stats {
        if self.count == 0 {
            return Stats::default();
        }
        let count = self.count as f64;
        let avg = self.sum as f64 / count;
        Stats {
            avg: Some((avg / self.steps).max(self.min).min(self.max)),
            min: Some(self.min),
            max: Some(self.max),
            std: Some((self.spread(avg) / count).max(0.0).sqrt() / self.steps),
            count: Some(self.count),
            sum: Some(self.sum as f64 / self.steps),
            ..self.percentiles(self.count)
        }
    }

    /// Their statistics among `endless` more that are larger than any number.
    pub(crate) fn censored(&self, endless: u64) -> Stats {
        let total = self.count + endless;
        let min = Some(self.min).filter(|_| self.count > 0);
        Stats { min, count: Some(total), ..self.percentiles(total) }
    }

    /// The sum of squared distances from the mean, in steps.
    fn spread(&self, avg: f64) -> f64 {
        // Σ(x − m)² with a whole m near the mean: exact, where Σx² − n·mean² would cancel. Parts may be more than 128
        // bits hold; the whole is not, so what is carried out of them does not matter.
        let near = self.sum / i128::from(self.count);
        let twice = (2 * self.sum).wrapping_sub(near.wrapping_mul(i128::from(self.count)));
        let about_near = self.squares.wrapping_sub(near.wrapping_mul(twice) as u128);
        let off = avg - near as f64;
        about_near as f64 - off * off * self.count as f64
    }

    fn percentiles(&self, total: u64) -> Stats {
        let sorted = self.sorted();
        let at = |index: u64| {
            let place = sorted.partition_point(|&(up_to, _)| up_to <= index);
            Some(sorted.get(place)?.1.max(self.min).min(self.max))
        };
        stats::percentiles(|q| stats::quantile(at, total, q))
    }

    /// The values that occur, rising, each with how many there are up to and with it.
    fn sorted(&self) -> Vec<(u64, f64)> {
        // The middle of what a histogram holds as one, which is never off by more than half of that.
        let value = |histogram: &Histogram<u64>, size: u64| histogram.median_equivalent(size) as f64 / self.steps;
        let counts = |histogram: &Histogram<u64>| -> Vec<(u64, u64)> {
            histogram.iter_recorded().map(|at| (at.value_iterated_to(), at.count_since_last_iteration())).collect()
        };
        let below = self
            .below
            .iter()
            .flat_map(|below| counts(below).into_iter().rev().map(|(size, count)| (count, -value(below, size))));
        let above = counts(&self.above).into_iter().map(|(size, count)| (count, value(&self.above, size)));
        let mut up_to = 0;
        let cumulated = below.chain(above).map(|(count, value)| {
            up_to += count;
            (up_to, value)
        });
        cumulated.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(unit: &str, values: &[f64]) -> Counted {
        let mut counted = Counted::new(unit);
        values.iter().for_each(|&value| counted.add(value));
        counted
    }

    fn near(a: Option<f64>, b: Option<f64>, share: f64) -> bool {
        match (a, b) {
            // A value itself may be off by half a step.
            (Some(a), Some(b)) => (a - b).abs() <= share * a.abs() + 1e-6,
            (a, b) => a == b,
        }
    }

    fn published(s: &Stats) -> [Option<f64>; 9] {
        [s.p1, s.p5, s.p10, s.p25, s.p50, s.p75, s.p90, s.p95, s.p99]
    }

    #[test]
    fn whole_tokens_stay_whole() {
        let stats = counted("tokens", &[5.0, 5.0, 7.0, 1999.0]).stats();
        assert_eq!((stats.p50, stats.sum, stats.max), (Some(6.0), Some(2016.0), Some(1999.0)));
    }

    #[test]
    fn a_spread_far_below_the_mean_is_not_lost() {
        let stats = counted("ms", &[1e6, 1e6 + 1e-6, 1e6 + 2e-6]).stats();
        assert!((stats.std.unwrap() - 1e-6 * (2.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn values_beyond_all_reason_do_no_harm() {
        let stats = counted("ms", &[f64::MAX, -f64::MAX, 1e300]).stats();
        assert_eq!((stats.count, stats.max), (Some(3), Some(f64::MAX)));
    }

    proptest! {
        #[test]
        fn counts_tell_the_same_as_the_values_themselves(
            unit in prop::sample::select(vec!["ms", "%", "tokens/sec"]),
            mut values in prop::collection::vec(-1e5..1e7_f64, 1..300),
            endless in 0..40_u64,
        ) {
            let (counted, exact) = (counted(unit, &values), stats::of(&mut values));
            let found = counted.stats();
            prop_assert_eq!((exact.min, exact.max, exact.count), (found.min, found.max, found.count));
            prop_assert!(near(exact.avg, found.avg, 1e-9), "{:?} {:?}", exact, found);
            prop_assert!(near(exact.std, found.std, 1e-9), "{:?} {:?}", exact, found);
            let of_one_side = values[0] >= 0.0 || values[values.len() - 1] < 0.0;
            let censored = (stats::censored(&values, endless), counted.censored(endless));
            for (exact, found) in [(exact, found), censored] {
                for (a, b) in published(&exact).into_iter().zip(published(&found)) {
                    // Between a negative and a positive value the error is a share of these, not of what lies between.
                    prop_assert!(near(a, b, 1e-3) || !of_one_side && a.is_some() == b.is_some(), "{:?} {:?}", a, b);
                }
            }
        }

        #[test]
        fn counted_apart_or_at_once_is_the_same(values in prop::collection::vec(-1e6..1e6_f64, 0..80), cut in 0..80_usize) {
            let cut = cut.min(values.len());
            let mut merged = counted("%", &values[cut..]);
            merged.merge(&counted("%", &values[..cut]));
            prop_assert_eq!(merged.stats(), counted("%", &values).stats());
        }
    }
}
