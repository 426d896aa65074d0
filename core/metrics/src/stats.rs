//! Statistics of sorted values: all requests, and all requests with failures counted as endless.

use inferometer_abi::documents::Stats;

/// Statistics of `values`, which it sorts. They must be numbers; none of them: no statistics.
///
/// Percentiles interpolate linearly at index `q/100·(n−1)` of the sorted values, as NumPy does by default, and `std` is
/// that of a population (divisor `n`). Sums run over the sorted values, so the result does not depend on their order.
pub fn of(values: &mut [f64]) -> Stats {
    sort(values);
    let (Some(&min), Some(&max)) = (values.first(), values.last()) else { return Stats::default() };
    let count = values.len() as f64;
    let sum: f64 = values.iter().sum();
    // Rounding may carry the mean of equal values past them.
    let avg = (sum / count).max(min).min(max);
    let variance = values.iter().map(|value| (value - avg) * (value - avg)).sum::<f64>() / count;
    Stats {
        avg: Some(avg),
        min: Some(min),
        max: Some(max),
        std: Some(variance.sqrt()),
        count: Some(values.len() as u64),
        sum: Some(sum),
        ..percentiles(|q| quantile(|index| values.get(index as usize).copied(), values.len() as u64, q))
    }
}

/// Puts numbers in order.
fn sort(values: &mut [f64]) {
    // Whole numbers that are in the same order are sorted in half the time.
    let sign = 1 << 63;
    let keys = values.iter().map(|value| value.to_bits()).map(|bits| if bits < sign { bits | sign } else { !bits });
    let mut keys: Vec<u64> = keys.collect();
    keys.sort_unstable();
    let numbers = keys.into_iter().map(|key| if key < sign { !key } else { key ^ sign }).map(f64::from_bits);
    values.iter_mut().zip(numbers).for_each(|(value, number)| *value = number);
}

/// Statistics of `sorted` values and `endless` more that are larger than any number: requests that failed, of which is
/// known only that they did not succeed in time. A percentile that touches them is absent, and so is everything that
/// every value has a part in.
pub(crate) fn censored(sorted: &[f64], endless: u64) -> Stats {
    let total = (sorted.len() as u64).saturating_add(endless);
    let at = |index: u64| sorted.get(index as usize).copied();
    Stats { min: sorted.first().copied(), count: Some(total), ..percentiles(|q| quantile(at, total, q)) }
}

/// The nine percentiles that are published, each by `at(q)`.
pub(crate) fn percentiles(at: impl Fn(f64) -> Option<f64>) -> Stats {
    Stats {
        p1: at(1.0),
        p5: at(5.0),
        p10: at(10.0),
        p25: at(25.0),
        p50: at(50.0),
        p75: at(75.0),
        p90: at(90.0),
        p95: at(95.0),
        p99: at(99.0),
        ..Stats::default()
    }
}

/// The `q`-th percentile of `total` values, the lowest of which are `at` their index; absent where others take part in it.
pub(crate) fn quantile(at: impl Fn(u64) -> Option<f64>, total: u64, q: f64) -> Option<f64> {
    let index = q / 100.0 * total.checked_sub(1)? as f64;
    let below = index.floor();
    let share = index - below;
    let low = at(below as u64)?;
    if share == 0.0 {
        return Some(low);
    }
    let high = at(below as u64 + 1)?;
    // From the nearer end, as NumPy does: the result then never leaves [low, high].
    Some(if share < 0.5 { low + (high - low) * share } else { high - (high - low) * (1.0 - share) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statistics_of_four_values_are_those_computed_by_hand() {
        // Index of p25: 0.25·3 = 0.75, so 10 + 0.75·(20 − 10). Mean 25; squared distances 225 + 25 + 25 + 225 = 500.
        let stats = of(&mut [40.0, 10.0, 30.0, 20.0]);
        assert_eq!((stats.avg, stats.sum, stats.count), (Some(25.0), Some(100.0), Some(4)));
        assert_eq!((stats.min, stats.max), (Some(10.0), Some(40.0)));
        assert_eq!((stats.p25, stats.p50, stats.p75), (Some(17.5), Some(25.0), Some(32.5)));
        assert_eq!(stats.std, Some(125.0_f64.sqrt()));
        assert!((stats.p1.unwrap() - 10.3).abs() < 1e-12, "index 0.03");
        assert!((stats.p99.unwrap() - 39.7).abs() < 1e-12, "index 2.97");
    }

    #[test]
    fn statistics_of_one_value_are_that_value() {
        let stats = of(&mut [7.0]);
        assert_eq!((stats.p1, stats.p99, stats.std), (Some(7.0), Some(7.0), Some(0.0)));
    }

    #[test]
    fn no_values_have_no_statistics() {
        assert_eq!(of(&mut []), Stats::default());
    }

    #[test]
    fn failures_push_percentiles_up_until_they_have_no_number() {
        // Four successes and one failure: index of p50 is 2, of p75 is 3, of p90 is 3.6, which reaches the failure.
        let stats = censored(&[10.0, 20.0, 30.0, 40.0], 1);
        assert_eq!((stats.p50, stats.p75, stats.p90), (Some(30.0), Some(40.0), None));
        assert_eq!((stats.min, stats.max, stats.count), (Some(10.0), None, Some(5)));
        assert_eq!((stats.avg, stats.std, stats.sum), (None, None, None));
    }

    proptest! {
        #[test]
        fn percentiles_rise_and_stay_within_the_values(mut values in prop::collection::vec(-1e12..1e12_f64, 1..200)) {
            let s = of(&mut values);
            let rising = [s.min, s.p1, s.p5, s.p10, s.p25, s.p50, s.p75, s.p90, s.p95, s.p99, s.max];
            prop_assert!(rising.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}", s);
            prop_assert!(s.min <= s.avg && s.avg <= s.max);
        }

        #[test]
        fn failures_never_lower_a_percentile(mut values in prop::collection::vec(0.0..1e6_f64, 1..80), failed in 1..40_u64) {
            let without = of(&mut values);
            let with = censored(&values, failed);
            for (a, b) in [(without.p1, with.p1), (without.p50, with.p50), (without.p99, with.p99)] {
                prop_assert!(b.is_none() || a <= b);
            }
        }
    }
}
