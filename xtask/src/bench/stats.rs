//! The arithmetic of the benchmark: medians, quantiles, and a test of the gaps between arrivals. Pure.

/// The quantile `q` (0 to 1) of unsorted values, linear between neighbours; nothing of nothing.
pub(super) fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = q * (sorted.len().checked_sub(1)? as f64);
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(below + (above - below) * at.fract())
}

/// The middle of unsorted values.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The least and the greatest.
pub(super) fn range(values: &[f64]) -> Option<(f64, f64)> {
    let least = values.iter().copied().min_by(f64::total_cmp)?;
    Some((least, values.iter().copied().max_by(f64::total_cmp)?))
}

/// Beyond this, [`gap_statistic`] rejects a Poisson process at 5 %: the asymptotic critical value of the
/// Kolmogorov–Smirnov distribution, √(−ln(0.05/2)/2). It holds from some 50 gaps on.
pub(super) const CRITICAL: f64 = 1.358;

/// The Kolmogorov–Smirnov statistic √n·D of the gaps between arrivals (in nanoseconds, in any order) against the
/// exponential distribution with `rate` per second. Nothing if there is no gap.
pub(super) fn gap_statistic(arrivals_ns: &[u64], rate: f64) -> Option<f64> {
    let mut sorted = arrivals_ns.to_vec();
    sorted.sort_unstable();
    let mut gaps: Vec<f64> = sorted.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e9).collect();
    gaps.sort_by(f64::total_cmp);
    let n = gaps.len() as f64;
    let distance = gaps.iter().enumerate().map(|(below, gap)| {
        let expected = 1.0 - (-gap * rate).exp();
        // The empirical distribution steps at the gap: either side of the step may be the farther one.
        f64::max(expected - below as f64 / n, (below + 1) as f64 / n - expected)
    });
    distance.max_by(f64::total_cmp).map(|most| most * n.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(median(&values), Some(2.5));
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(quantile(&values, 1.0), Some(4.0));
        assert_eq!(quantile(&[7.0], 0.99), Some(7.0));
        assert_eq!(median(&[]), None);
        assert_eq!(range(&values), Some((1.0, 4.0)));
    }

    /// The quantiles of the exponential distribution at (i + ½)/n, as arrivals: as near to it as n gaps can be.
    fn arrivals(rate: f64, count: u32) -> Vec<u64> {
        let mut at = 0.0;
        let gaps = (0..count).map(|i| -(1.0 - (f64::from(i) + 0.5) / f64::from(count)).ln() / rate);
        std::iter::once(0)
            .chain(gaps.map(|gap| {
                at += gap * 1e9;
                at as u64
            }))
            .collect()
    }

    #[test]
    fn exponential_gaps_pass_and_their_statistic_is_the_least_possible() {
        let statistic = gap_statistic(&arrivals(200.0, 1000), 200.0).unwrap();
        // D is 1/(2n) for these.
        assert!((statistic - 0.5 / 1000_f64.sqrt()).abs() < 1e-4, "{statistic}");
        assert!(statistic < CRITICAL);
    }

    #[test]
    fn even_gaps_and_gaps_of_another_rate_are_rejected() {
        let even: Vec<u64> = (0..1000).map(|i| i * 5_000_000).collect();
        // All gaps are the mean, where the distribution is at 1 − 1/e.
        let statistic = gap_statistic(&even, 200.0).unwrap();
        assert!((statistic - (1.0 - (-1_f64).exp()) * 999_f64.sqrt()).abs() < 1e-3, "{statistic}");
        assert!(gap_statistic(&arrivals(180.0, 2000), 200.0).unwrap() > CRITICAL);
    }

    #[test]
    fn the_order_of_arrivals_does_not_matter() {
        let mut shuffled = arrivals(200.0, 100);
        shuffled.reverse();
        assert_eq!(gap_statistic(&shuffled, 200.0), gap_statistic(&arrivals(200.0, 100), 200.0));
        assert_eq!(gap_statistic(&[5], 200.0), None);
    }

    #[test]
    fn the_critical_value_is_that_of_five_percent() {
        assert!((CRITICAL - (-(0.025_f64).ln() / 2.0).sqrt()).abs() < 1e-3);
    }
}
