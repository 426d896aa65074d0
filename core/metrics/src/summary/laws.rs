//! What holds of a summary whatever was pushed, in all its forms.

use super::*;
use crate::testing::*;
use proptest::prelude::*;

type Arrivals = [(Row, Vec<u64>)];

const ALL: Limits = Limits { requests: 1_000, gaps: 10_000 };
const NONE: Limits = Limits { requests: 0, gaps: 0 };

fn summed(options: &Options, arrivals: &Arrivals, limits: Limits) -> Summary {
    let mut summary = Summary::with_limits(options.clone(), limits);
    arrivals.iter().for_each(|(row, gaps)| summary.push(row, gaps));
    summary
}

/// A run in which every kind of metric exists.
fn options() -> Options {
    Options { open_loop: true, slos: crate::Slos::parse("ttft:20").ok(), ..streaming() }
}

fn near(a: Option<f64>, b: Option<f64>, share: f64) -> bool {
    match (a, b) {
        // What cannot be whole is taken to the nearest millionth.
        (Some(a), Some(b)) => (a - b).abs() <= share * a.abs() + 1e-6,
        (a, b) => a == b,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn merged_shards_equal_the_whole_in_any_order(
        arrivals in arrivals(0..40),
        shards in 1..5_usize,
        requests in prop::sample::select(vec![0_usize, 5, 20, 1_000]),
        gaps in prop::sample::select(vec![0_usize, 20, 4_000]),
    ) {
        let limits = Limits { requests, gaps };
        let whole = summed(&options(), &arrivals, limits).finish();
        let parts = (0..shards).map(|shard| arrivals.iter().skip(shard).step_by(shards).cloned().collect::<Vec<_>>());
        let parts: Vec<_> = parts.collect();
        let mut forward = summed(&options(), &parts[0], limits);
        parts[1..].iter().for_each(|part| forward.merge(summed(&options(), part, limits)));
        let mut backward = Summary::with_limits(options(), limits);
        parts.iter().rev().for_each(|part| backward.merge(summed(&options(), part, limits)));
        for merged in [forward.finish(), backward.finish()] {
            prop_assert_eq!(whole.window, merged.window);
            prop_assert_eq!(whole.outcomes, merged.outcomes);
            prop_assert_eq!(&whole.metrics, &merged.metrics);
        }
    }

    #[test]
    fn counts_tell_the_same_as_the_requests_themselves(arrivals in arrivals(1..60)) {
        let exact = summed(&options(), &arrivals, ALL).finish();
        let counted = summed(&options(), &arrivals, NONE).finish();
        prop_assert_eq!(exact.window, counted.window);
        let curve = |tag: &str| ["active_", "effective_", "tokens_in_flight"].iter().any(|part| tag.starts_with(part));
        // One of the latter is that of requests.
        let of_requests = |tag: &str| !curve(tag) || tag == "effective_latency";
        for (tag, metric) in exact.metrics.iter().filter(|(tag, _)| of_requests(tag)) {
            let (a, b) = (metric.stats, counted.metrics[tag].stats);
            prop_assert_eq!((a.count, a.min, a.max), (b.count, b.min, b.max), "{}", tag);
            prop_assert!(near(a.avg, b.avg, 1e-9) && near(a.std, b.std, 1e-9), "{} {:?} {:?}", tag, a, b);
            // Every value may be off by half a millionth.
            let sum = |stats: &Stats| stats.sum.map(|sum| sum / stats.count.unwrap() as f64);
            prop_assert!(near(sum(&a), sum(&b), 1e-9), "{} {:?} {:?}", tag, a, b);
            let percentiles = |s: Stats| [s.p1, s.p5, s.p10, s.p25, s.p50, s.p75, s.p90, s.p95, s.p99];
            for (a, b) in percentiles(a).into_iter().zip(percentiles(b)) {
                prop_assert!(near(a, b, 1e-3), "{} {:?} {:?}", tag, a, b);
            }
        }
    }

    #[test]
    fn every_arrival_is_counted_once(arrivals in arrivals(0..60), requests in 0..60_usize) {
        let o = summed(&options(), &arrivals, Limits { requests, ..ALL }).finish().outcomes;
        prop_assert_eq!(o.ok + o.error + o.cancelled + o.dropped, o.total);
        prop_assert_eq!(o.total, arrivals.len() as u64);
    }

    #[test]
    fn failures_never_change_the_statistics_of_successes(arrivals in arrivals(1..40), counted in any::<bool>()) {
        let limits = if counted { NONE } else { ALL };
        let successes: Vec<_> = arrivals.iter().filter(|(row, _)| row.is_ok()).cloned().collect();
        let (with, without) =
            (summed(&options(), &arrivals, limits).finish(), summed(&options(), &successes, limits).finish());
        // Statistics over requests have a count; rates and curves share the window with failures.
        for (tag, metric) in without.metrics.iter().filter(|(_, metric)| metric.stats.count.is_some()) {
            prop_assert_eq!(metric, &with.metrics[tag]);
        }
    }
}
