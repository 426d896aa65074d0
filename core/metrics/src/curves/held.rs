//! [`Held`]: statistics of a value that is held for times, weighted by these.

use inferometer_abi::documents::Stats;

/// The percentiles that are published of curves.
const PERCENTILES: [u32; 4] = [50, 90, 95, 99];

/// A step function of time: values, none of them negative, and for how many nanoseconds each was held.
#[derive(Default)]
pub(super) struct Held {
    /// By the bits of the value: those of numbers that are not negative are in the order of the numbers, and are faster
    /// to compare.
    busy: Vec<(u64, u64)>,
    idle_ns: u64,
}

impl Held {
    /// Forgets all, but keeps its memory for as much again.
    pub(super) fn clear(&mut self) {
        self.busy.clear();
        self.idle_ns = 0;
    }

    /// `value` for `ns` more.
    pub(super) fn push(&mut self, value: f64, ns: u64) {
        // Of a value below zero, which only stamps beyond all reason could make, nothing is known.
        let bits = value.max(0.0).to_bits();
        match self.busy.last_mut() {
            Some(last) if last.0 == bits => last.1 += ns,
            _ if ns > 0 => self.busy.push((bits, ns)),
            _ => {}
        }
    }

    /// Nothing for `ns` more.
    pub(super) fn idle(&mut self, ns: u64) {
        self.idle_ns += ns;
    }

    /// Statistics over all the time, with zero while idle, and over the busy time alone; none of a time in which nothing
    /// went by. A percentile is the smallest value for which that share of the time was spent at it or below.
    ///
    /// Sums run in the order of time. Puts the values in another order.
    pub(super) fn stats(&mut self) -> (Option<Stats>, Option<Stats>) {
        let held = || self.busy.iter().map(|&(bits, ns)| (f64::from_bits(bits), ns));
        let busy_ns: u64 = held().map(|(_, ns)| ns).sum();
        let (mut sum, mut min, mut max) = (0.0, f64::INFINITY, 0.0_f64);
        for (value, ns) in held() {
            sum += value * ns as f64;
            min = min.min(value);
            max = max.max(value);
        }
        let busy = (sum / busy_ns as f64).max(min).min(max);
        let spread: f64 = held().map(|(value, ns)| (value - busy) * (value - busy) * ns as f64).sum();
        let whole_ns = busy_ns + self.idle_ns;
        // At how much of the busy time both kinds of percentiles are; at none of it: it is idle.
        let mut at: Vec<u64> = PERCENTILES
            .iter()
            .flat_map(|&q| [share(whole_ns, q).saturating_sub(self.idle_ns), share(busy_ns, q)])
            .collect();
        at.sort_unstable();
        at.dedup();
        let mut found = vec![0; at.len()];
        let idle = at.partition_point(|&at| at == 0);
        select(&mut self.busy, 0, &at[idle..], &mut found[idle..]);
        let value = |ns: u64| at.binary_search(&ns).ok().map(|place| f64::from_bits(found[place]));
        let stats = |total: u64, idle_ns: u64| {
            let avg = if idle_ns > 0 { (sum / total as f64).min(max) } else { busy };
            let variance =
                (spread + (busy - avg) * (busy - avg) * busy_ns as f64 + avg * avg * idle_ns as f64) / total as f64;
            let [p50, p90, p95, p99] = PERCENTILES.map(|q| value(share(total, q).saturating_sub(idle_ns)));
            let min = Some(if idle_ns > 0 { 0.0 } else { min });
            let (avg, max, std) = (Some(avg), Some(max), Some(variance.sqrt()));
            Stats { avg, min, max, std, p50, p90, p95, p99, ..Stats::default() }
        };
        ((whole_ns > 0).then(|| stats(whole_ns, self.idle_ns)), (busy_ns > 0).then(|| stats(busy_ns, 0)))
    }
}

/// `percent` of a time, rounded up.
fn share(ns: u64, percent: u32) -> u64 {
    // Never more than the time itself, since it is no more than all of it.
    (u128::from(ns) * u128::from(percent)).div_ceil(100) as u64
}

/// Finds for each of the rising times in `at` the smallest value with which the values up to it were held for so long.
/// `before` is how long values below all of `items` were held. Linear on average, unlike sorting.
fn select(items: &mut [(u64, u64)], before: u64, at: &[u64], found: &mut [u64]) {
    if at.is_empty() {
        return;
    }
    if items.len() <= 32 {
        items.sort_unstable();
        let (mut next, mut spent) = (0, before);
        for (value, ns) in items {
            spent += *ns;
            while next < at.len() && spent >= at[next] {
                found[next] = *value;
                next += 1;
            }
        }
        return;
    }
    let middle = items.len() / 2;
    items.select_nth_unstable_by_key(middle, |&(value, _)| value);
    let (lower, upper) = items.split_at_mut(middle);
    let below = before + lower.iter().map(|&(_, ns)| ns).sum::<u64>();
    let cut = at.partition_point(|&at| at <= below);
    let (found_lower, found_upper) = found.split_at_mut(cut);
    select(lower, before, &at[..cut], found_lower);
    select(upper, below, &at[cut..], found_upper);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn held(values: &[(u32, u64)], idle_ns: u64) -> Held {
        let mut held = Held::default();
        values.iter().for_each(|&(value, ns)| held.push(f64::from(value), ns));
        held.idle(idle_ns);
        held
    }

    #[test]
    fn values_held_for_a_time_are_weighted_by_it() {
        // 1 for 60 ns, 3 for 30 ns, idle for 10 ns: mean (60 + 90) / 100 = 1.5; mean square (60 + 270) / 100 = 3.3.
        let (whole, busy) = held(&[(3, 30), (1, 20), (1, 40)], 10).stats();
        let (whole, busy) = (whole.unwrap(), busy.unwrap());
        assert_eq!((whole.avg, whole.min, whole.max), (Some(1.5), Some(0.0), Some(3.0)));
        assert!((whole.std.unwrap() - (3.3_f64 - 2.25).sqrt()).abs() < 1e-12);
        assert_eq!((whole.p50, whole.p90, whole.count), (Some(1.0), Some(3.0), None));
        assert_eq!((busy.avg, busy.min), (Some(150.0 / 90.0), Some(1.0)));
    }

    #[test]
    fn without_time_there_are_no_statistics() {
        assert_eq!(held(&[], 0).stats(), (None, None));
        let (whole, busy) = held(&[], 7).stats();
        assert_eq!((whole.unwrap().max, whole.unwrap().p99, busy), (Some(0.0), Some(0.0), None));
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_every_nanosecond_sorted(
            values in prop::collection::vec((0..9_u32, 1..20_u64), 1..200),
            idle in 0..300_u64,
        ) {
            let (whole, busy) = held(&values, idle).stats();
            for (stats, idle) in [(whole.unwrap(), idle), (busy.unwrap(), 0)] {
                let each = values.iter().flat_map(|&(value, ns)| vec![value; ns as usize]);
                let mut all: Vec<u32> = each.chain(vec![0; idle as usize]).collect();
                all.sort_unstable();
                let at = |percent: usize| Some(f64::from(all[(all.len() * percent).div_ceil(100) - 1]));
                prop_assert_eq!([stats.p50, stats.p90, stats.p95, stats.p99], [at(50), at(90), at(95), at(99)]);
            }
        }
    }
}
