//! [`Spread`]: how values lie.

use serde::Serialize;

/// How values lie. Percentiles interpolate linearly at index `q/100·(n−1)` of the sorted values, as NumPy does by default;
/// the standard deviation is that of a population (divisor `n`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Number of values.
    pub count: u64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub std: f64,
    /// The least value.
    pub min: f64,
    /// 1st percentile.
    pub p1: f64,
    /// 5th percentile.
    pub p5: f64,
    /// 25th percentile.
    pub p25: f64,
    /// 50th percentile: the median.
    pub p50: f64,
    /// 75th percentile.
    pub p75: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The greatest value.
    pub max: f64,
}

impl Spread {
    /// That of `values`; none of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let count = sorted.len() as f64;
        // Rounding may carry the mean of equal values past them.
        let mean = (sorted.iter().sum::<f64>() / count).clamp(min, max);
        let variance = sorted.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
        let at = |q: f64| quantile(&sorted, q);
        Some(Self {
            count: sorted.len() as u64,
            mean,
            std: variance.sqrt(),
            min,
            p1: at(1.0),
            p5: at(5.0),
            p25: at(25.0),
            p50: at(50.0),
            p75: at(75.0),
            p90: at(90.0),
            p95: at(95.0),
            p99: at(99.0),
            max,
        })
    }
}

/// The `q`-th percentile of values that are there and in order.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let index = q / 100.0 * (sorted.len() - 1) as f64;
    let below = index.floor();
    let share = index - below;
    let low = sorted[below as usize];
    let high = sorted[(below as usize + 1).min(sorted.len() - 1)];
    // From the nearer end, as NumPy does: the result then never leaves [low, high].
    if share < 0.5 { low + (high - low) * share } else { high - (high - low) * (1.0 - share) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_spread_of_four_values_is_that_computed_by_hand() {
        // Index of p25: 0.25·3 = 0.75, so 10 + 0.75·10. Mean 25; squared distances 225 + 25 + 25 + 225 = 500.
        let spread = Spread::of([40.0, 10.0, 30.0, 20.0]).unwrap();
        assert_eq!((spread.count, spread.mean, spread.std), (4, 25.0, 125.0_f64.sqrt()));
        assert_eq!((spread.min, spread.p25, spread.p50, spread.p75, spread.max), (10.0, 17.5, 25.0, 32.5, 40.0));
        assert!((spread.p99 - 39.7).abs() < 1e-12, "index 2.97");
    }

    #[test]
    fn no_values_have_no_spread_and_one_value_is_its_own() {
        assert_eq!(Spread::of([]), None);
        let one = Spread::of([7.0]).unwrap();
        assert_eq!((one.std, one.p1, one.p99), (0.0, 7.0, 7.0));
    }

    proptest! {
        #[test]
        fn a_spread_does_not_depend_on_order_and_its_percentiles_rise(
            mut values in prop::collection::vec(-1e9..1e9_f64, 1..100)
        ) {
            let s = Spread::of(values.clone()).unwrap();
            let rising = [s.min, s.p1, s.p5, s.p25, s.p50, s.p75, s.p90, s.p95, s.p99, s.max];
            prop_assert!(rising.windows(2).all(|pair| pair[0] <= pair[1]), "{s:?}");
            prop_assert!(s.min <= s.mean && s.mean <= s.max);
            values.reverse();
            prop_assert_eq!(Spread::of(values), Some(s));
        }
    }
}
