//! What the curves show, followed one change after another and sampled.

use super::*;
use crate::{Window, context::Context, testing::*};
use inferometer_abi::types::NO_COUNT;
use inferometer_model::Row;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Metrics = BTreeMap<String, MetricResult>;

fn by_tag(metrics: Vec<MetricResult>) -> Metrics {
    metrics.into_iter().map(|metric| (metric.info.tag.clone(), metric)).collect()
}

fn window(rows: &[(Row, Vec<u64>)]) -> Window {
    rows.iter().fold(None, |window, (row, _)| Window::join(window, Window::of(row))).unwrap()
}

fn each(rows: &[(Row, Vec<u64>)]) -> impl Iterator<Item = (&Row, &[u64])> + Clone {
    rows.iter().map(|(row, gaps)| (row, gaps.as_slice()))
}

fn followed(rows: &[(Row, Vec<u64>)]) -> Metrics {
    by_tag(swept(&streaming(), window(rows), each(rows)))
}

fn sampled(rows: &[(Row, Vec<u64>)]) -> Metrics {
    by_tag(Sampled::of(&streaming(), each(rows)).metrics(window(rows)))
}

fn avg(metrics: &Metrics, tag: &str) -> f64 {
    metrics[tag].stats.avg.unwrap()
}

/// Intended and permitted at 0, first content at 10 ms, then three more at 20, 40 and 50 ms, end at 100 ms.
/// 30 tokens in, 4 out.
fn one() -> (Row, Vec<u64>) {
    let row = Row {
        permitted: 0,
        first: 10 * MS,
        last: 50 * MS,
        last_byte: 100 * MS,
        end: 100 * MS,
        events: 4,
        usage_prompt: 30,
        usage_completion: 4,
        intended: 0,
        ..answered()
    };
    (row, vec![10 * MS, 20 * MS, 10 * MS])
}

#[test]
fn one_request_makes_the_curves_drawn_by_hand() {
    let m = followed(&[one()]);
    // Busy for 50 of 100 ms, 10 of them in prefill at 30 tokens per 10 ms.
    assert_eq!(avg(&m, "effective_concurrency"), 0.5);
    assert_eq!(avg(&m, "effective_prefill_concurrency"), 0.1);
    assert_eq!(avg(&m, "effective_decode_concurrency"), 0.4);
    assert_eq!(avg(&m, "effective_prefill_throughput"), 300.0);
    assert_eq!(avg(&m, "active_prefill_throughput"), 3000.0);
    // Three tokens over gaps of 10, 20 and 10 ms: 100, 50 and 100 tokens a second.
    let active = m["active_decode_throughput"].stats;
    assert_eq!((active.min, active.avg, active.max), (Some(50.0), Some(75.0), Some(100.0)));
    assert_eq!((active.p50, active.p90), (Some(50.0), Some(100.0)));
    assert_eq!(avg(&m, "effective_decode_throughput"), 30.0);
    assert_eq!(avg(&m, "effective_total_throughput"), 330.0);
    // 30 tokens until 10 ms, then 31 until 20, 32 until 40, 33 until 50.
    assert_eq!(avg(&m, "tokens_in_flight"), (30.0 + 31.0 + 2.0 * 32.0 + 33.0) / 10.0);
}

#[test]
fn throughput_per_user_is_divided_among_those_in_the_phase() {
    let m = followed(&[one(), one()]);
    assert_eq!(avg(&m, "active_decode_throughput"), 150.0);
    assert_eq!(avg(&m, "active_decode_throughput_per_user"), 75.0);
    assert_eq!(m["effective_concurrency"].stats.max, Some(2.0));
}

#[test]
fn gaps_that_are_not_those_of_the_decode_are_not_used() {
    let (row, gaps) = one();
    let (with, without) = (followed(&[(row, gaps)]), followed(&[(row, vec![10 * MS])]));
    assert_eq!(without["active_decode_throughput"].stats.max, Some(75.0), "spread over decode");
    assert_eq!(avg(&with, "effective_decode_throughput"), avg(&without, "effective_decode_throughput"));
}

#[test]
fn what_was_not_measured_has_no_curve() {
    let silent = Row { usage_prompt: NO_COUNT, usage_completion: NO_COUNT, ..one().0 };
    let m = followed(&[(silent, one().1)]);
    let tags: Vec<_> = m.keys().map(String::as_str).collect();
    assert_eq!(tags, ["effective_concurrency", "effective_decode_concurrency", "effective_prefill_concurrency"]);
}

/// 32 users for half a minute: 20 ms of prefill, then 30 gaps of 7 ms, all of them more or less.
fn steady() -> Vec<(Row, Vec<u64>)> {
    let mut seed = 1_u64;
    let mut more_or_less = |ns: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ns / 2 + (seed >> 33) % ns
    };
    let mut rows = Vec::new();
    for _ in 0..32 {
        let mut permitted = more_or_less(100 * MS);
        while permitted < 30_000 * MS {
            let first = permitted + more_or_less(20 * MS);
            let gaps: Vec<u64> = (0..30).map(|_| more_or_less(7 * MS)).collect();
            let last = first + gaps.iter().sum::<u64>();
            let times = Row { intended: permitted, permitted, first, last, last_byte: last, end: last, ..answered() };
            rows.push((Row { events: 31, usage_completion: 31, usage_prompt: 200, ..times }, gaps));
            permitted = last;
        }
    }
    rows
}

#[test]
fn samples_of_a_steady_load_tell_what_following_it_tells() {
    let rows = steady();
    let (exact, found) = (followed(&rows), sampled(&rows));
    assert_eq!(exact.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (tag, exact) in &exact {
        let (a, b) = (exact.stats, found[tag].stats);
        let near = |a: Option<f64>, b: Option<f64>, share: f64| (a.unwrap() - b.unwrap()).abs() <= share * a.unwrap();
        assert!(near(a.avg, b.avg, 1e-3) && near(a.std, b.std, 1e-3), "{tag}: {a:?} {b:?}");
        // Where few requests ever were, values lie further apart.
        for (a, b, share) in [(a.p50, b.p50, 1e-3), (a.p90, b.p90, 2e-3), (a.p95, b.p95, 5e-3), (a.p99, b.p99, 5e-3)] {
            assert!(near(a, b, share), "{tag}: {a:?} {b:?}");
        }
    }
}

#[test]
fn one_user_alone_is_busy_as_long_as_sampled() {
    let (row, gaps) = one();
    // Prefill of 100 ns, far shorter than a tick.
    let short = |start: u64| {
        let times = Row { intended: start, permitted: start, first: start + 100, last: start + 40 * MS, ..row };
        (Row { end: start + 40 * MS, last_byte: start + 40 * MS, ..times }, gaps.clone())
    };
    let rows: Vec<_> = (0..500).map(|number| short(number * 50_000_017)).collect();
    let (exact, found) = (followed(&rows), sampled(&rows));
    let tag = "active_decode_throughput";
    assert!((avg(&exact, tag) - avg(&found, tag)).abs() < 1e-6 * avg(&exact, tag));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_integral_of_concurrency_is_the_sum_of_latencies(rows in rows(1..40)) {
        let m = followed(&rows);
        let window = window(&rows);
        let sum = |f: &dyn Fn(&Row) -> u64| rows.iter().map(|(row, _)| f(row)).sum::<u64>() as f64;
        let area = |tag: &str| avg(&m, tag) * window.duration_ns() as f64;
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.max(1.0);
        prop_assert!(near(area("effective_concurrency"), sum(&|row| row.last - row.permitted)));
        prop_assert!(near(area("effective_prefill_concurrency"), sum(&|row| row.first - row.permitted)));
        prop_assert!(near(area("effective_decode_concurrency"), sum(&|row| row.last - row.first)));
    }

    #[test]
    fn the_integral_of_decode_throughput_is_the_tokens_after_the_first_events(rows in rows(1..40)) {
        let m = followed(&rows);
        let window = window(&rows);
        let tokens = |row: &Row| Context::service(&streaming(), row).tokens_after_first();
        let expected: u32 = rows.iter().filter_map(|(row, _)| tokens(row)).sum();
        if let Some(metric) = m.get("effective_decode_throughput") {
            let found = metric.stats.avg.unwrap() * window.seconds();
            prop_assert!((found - f64::from(expected)).abs() < 1e-4, "{} {}", found, expected);
        } else {
            prop_assert_eq!(expected, 0);
        }
    }

    #[test]
    fn sampled_averages_over_the_window_are_those_that_were_followed(rows in rows(1..40), stretch in 1..3_000_u64) {
        let rows: Vec<_> = rows.into_iter().map(|row| stretched(row, stretch)).collect();
        let (exact, found) = (followed(&rows), sampled(&rows));
        for (tag, exact) in exact.iter().filter(|(tag, _)| !tag.starts_with("active") && !tag.ends_with("per_user")) {
            let (a, b) = (exact.stats.avg.unwrap(), avg(&found, tag));
            prop_assert!((a - b).abs() <= 1e-6 * a, "{} {} {}", tag, a, b);
        }
    }

    #[test]
    fn samples_are_the_same_in_any_order(rows in rows(1..30), stretch in 1..3_000_u64, cut in 0..30_usize) {
        let rows: Vec<_> = rows.into_iter().map(|row| stretched(row, stretch)).collect();
        let whole = sampled(&rows);
        let mut one_by_one = Sampled::of(&streaming(), std::iter::empty());
        each(&rows).for_each(|(row, gaps)| one_by_one.add(&streaming(), row, gaps));
        prop_assert_eq!(&whole, &by_tag(one_by_one.metrics(window(&rows))));
        let (left, right) = rows.split_at(cut.min(rows.len()));
        let mut merged = Sampled::of(&streaming(), each(right));
        merged.merge(Sampled::of(&streaming(), each(left)));
        prop_assert_eq!(&whole, &by_tag(merged.metrics(window(&rows))));
    }
}

/// The same request in another time.
fn stretched((row, gaps): (Row, Vec<u64>), by: u64) -> (Row, Vec<u64>) {
    let Row { intended, permitted, first, last, .. } = row;
    let [intended, permitted, first, last] = [intended, permitted, first, last].map(|stamp| stamp * by);
    let row = Row { intended, permitted, first, last, last_byte: last, end: last, ..row };
    (row, gaps.into_iter().map(|gap| gap * by).collect())
}
