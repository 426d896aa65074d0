//! Histograms of durations that any thread may add to without waiting.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::page::Page;

/// Counts by upper bound, and the exact sum.
pub(super) struct Histogram {
    /// The highest duration of each bucket, in milliseconds, ascending.
    bounds_ms: &'static [u64],
    /// Not cumulative. The last one is for what exceeds every bound.
    buckets: Box<[AtomicU64]>,
    sum_ns: AtomicU64,
}

impl Histogram {
    pub(super) fn new(bounds_ms: &'static [u64]) -> Self {
        Self {
            bounds_ms,
            buckets: (0..=bounds_ms.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_ns: AtomicU64::new(0),
        }
    }

    pub(super) fn add(&self, duration: Duration) {
        let ns = duration.as_nanos() as u64;
        let bucket = self.bounds_ms.partition_point(|ms| ms * 1_000_000 < ns);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(ns, Relaxed);
    }

    /// Writes the samples of one series, in seconds. `before` and `after` are the labels that stand on either side of
    /// `le` in alphabetical order.
    pub(super) fn render(&self, name: &str, before: &str, after: &str, page: &mut Page) {
        let mut count = 0;
        for (i, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Relaxed);
            let bound = self.bounds_ms.get(i).map_or("+Inf".into(), |&ms| format!("{:?}", ms as f64 / 1e3));
            page.sample(format_args!("{name}_bucket{{{before},le=\"{bound}\",{after}}}"), format_args!("{count}.0"));
        }
        page.sample(format_args!("{name}_count{{{before},{after}}}"), format_args!("{count}.0"));
        let sum = self.sum_ns.load(Relaxed) as f64 / 1e9;
        page.sample(format_args!("{name}_sum{{{before},{after}}}"), format_args!("{sum:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket_and_the_last_bucket_takes_the_rest() {
        let histogram = Histogram::new(&[1, 250]);
        for ns in [0, 1_000_000, 1_000_001, 250_000_000, 250_000_001] {
            histogram.add(Duration::from_nanos(ns));
        }
        let mut page = Page::default();
        histogram.render("h", "a=\"1\"", "z=\"2\"", &mut page);
        let expected = "h_bucket{a=\"1\",le=\"0.001\",z=\"2\"} 2.0\n\
                        h_bucket{a=\"1\",le=\"0.25\",z=\"2\"} 4.0\n\
                        h_bucket{a=\"1\",le=\"+Inf\",z=\"2\"} 5.0\n\
                        h_count{a=\"1\",z=\"2\"} 5.0\n\
                        h_sum{a=\"1\",z=\"2\"} 0.502000002\n";
        assert_eq!(String::from_utf8(page.into_bytes()).unwrap(), expected);
    }
}
