//! Times of profiles against exact ones, and series that make no profile.

use super::*;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn series(points: &[[f64; 2]]) -> Profile {
    Course::new(0.0, Some(points)).unwrap().profile(0.0).unwrap()
}

/// Sums and their times, computed with 60 digits.
fn is_exact(profile: &Profile, expected: &[(f64, u64)]) {
    for (sum, exact_ns) in expected {
        let time_ns = profile.time_ns(*sum).unwrap();
        assert!(time_ns.abs_diff(*exact_ns) <= 1, "{sum}: {time_ns} ns and not {exact_ns}");
    }
}

#[test]
fn a_ramp_is_true_to_a_nanosecond() {
    let ramp = Course::new(100.0, None).unwrap().profile(1e4).unwrap();
    is_exact(
        &ramp,
        &[
            (0.0, 0),
            (1e-9, 4_472),
            (0.5, 100_000_000),
            (1.0, 141_421_356),
            (499_999.0, 99_999_900_000),
            (500_000.0, 100_000_000_000),
            (700_000_000.25, 70_050_000_025_000),
        ],
    );
}

#[test]
fn a_series_is_true_to_a_nanosecond_after_millions_of_arrivals_and_where_the_rate_begins_at_nothing() {
    let points = [
        [0.1, 0.3],
        [33.7, 1234.5],
        [33.8, 0.0],
        [1e6, 7.7],
        [1e6 + 1.0, 0.0],
        [1e6 + 2.0, 0.0],
        [1e6 + 100.0, 1e5],
        [2e6, 99_999.9],
    ];
    is_exact(
        &series(&points),
        &[
            (0.01, 33_333_333),
            (0.03, 100_000_000),
            (100.0, 2_424_911_379),
            (20_748.0, 33_702_734_845),
            (20_809.5, 931_834_658_024),
            (1_000_000.0, 504_342_638_651_334),
            (3_870_000.0, 999_912_169_519_396),
            (3_870_680.115_000_000_7, 1_000_002_000_001_085),
            (3_870_680.115_001, 1_000_002_000_044_270),
            (3_870_749.0, 1_000_002_367_443_329),
            (8_000_000.0, 1_000_091_963_698_093),
            (1e11, 2_000_012_793_161_643),
        ],
    );
}

#[test]
fn a_rate_that_hardly_changes_is_true_to_a_nanosecond() {
    let points = [[0.0, 1e4], [3_600.0, 1e4 + 1e-6], [7_200.0, 1e4 - 1e-6]];
    is_exact(&series(&points), &[(1.0, 100_000), (3.6e7, 3_599_999_999_820), (70_000_000.125, 7_000_000_012_301)]);
}

#[test]
fn a_schedule_that_ends_with_a_rate_of_nothing_has_as_many_arrivals_as_the_line_has_area() {
    // None of these tenths is one in binary.
    for (points, arrivals) in [
        (&[[0.0, 0.1], [30.0, 0.3], [50.0, 0.0]][..], 9),
        (&[[0.0, 0.7], [0.1, 0.7], [1.0, 0.7], [10.0, 0.7], [10.1, 0.0]], 8),
        (&[[0.0, 0.0], [0.3, 20.0], [0.6, 0.0]], 6),
        (&[[0.0, 3.3], [10.0, 3.3], [10.2, 0.0], [11.0, 0.0]], 34),
    ] {
        let profile = series(points);
        let count = (0..).take_while(|k| profile.time_ns(f64::from(*k)).is_some()).count();
        assert_eq!(count, arrivals, "{points:?}");
    }
}

#[test]
fn no_arrival_falls_where_nothing_is_to_be_sent() {
    let profile = series(&[[0.0, 10.0], [1.0, 0.0], [3.0, 0.0], [4.0, 10.0]]);
    let times: Vec<u64> = [4.999_999, 5.0, 5.000_001].map(|sum| profile.time_ns(sum).unwrap()).to_vec();
    assert!(times[0] < SECOND && times[1] == 3 * SECOND && times[2] > 3 * SECOND, "{times:?}");
    assert_eq!(series(&[[2.0, 0.0], [4.0, 1.0]]).time_ns(0.0), Some(2 * SECOND));
}

#[test]
fn a_series_that_makes_no_line_is_refused_in_words_that_name_the_point() {
    for (points, words) in [
        (&[][..], "0 points"),
        (&[[0.0, 1.0]], "1 points"),
        (&[[0.0, 1.0], [f64::NAN, 1.0]], "point 2 is at NaN s"),
        (&[[-1.0, 1.0], [0.0, 1.0]], "point 1 is at -1.0 s"),
        (&[[0.0, 1.0], [1e10, 1.0]], "point 2 is at 10000000000.0 s"),
        (&[[0.0, 1.0], [1.0, -2.0]], "point 2 has the rate -2.0"),
        (&[[0.0, 1.0], [1.0, f64::INFINITY]], "point 2 has the rate inf"),
        (&[[0.0, 1e-300], [1.0, 1.0]], "point 1 has the rate 1e-300"),
        (&[[0.0, 1.0], [1.0, 2.0], [1.0, 3.0]], "point 3, at 1.0 s, is not after the one before it"),
        (&[[0.0, 0.0], [1.0, 0.0]], "all rates are 0"),
    ] {
        let message = Course::new(0.0, Some(points)).err().unwrap().message;
        assert!(message.starts_with("series: ") && message.contains(words), "{message}");
    }
}

#[test]
fn a_ramp_and_a_series_exclude_each_other() {
    let message = Course::new(1.0, Some(&[[0.0, 1.0], [1.0, 2.0]])).err().unwrap().message;
    assert!(message.contains("ramp_s and series"), "{message}");
    assert!(Course::new(-1.0, None).err().unwrap().message.starts_with("ramp_s -1.0"));
}

proptest! {
    #[test]
    fn times_never_fall_and_the_area_below_the_line_up_to_them_is_the_sum(
        lengths in proptest::collection::vec(1_u64..100_000_000_000, 1..8),
        rates in proptest::collection::vec(prop_oneof![Just(0.0), 1e-3..1e5], 9),
        parts in proptest::collection::vec(0.0..1.2, 1..60),
        steps in proptest::collection::vec(0_u64..4, 1..60),
    ) {
        let mut at_ns = 0;
        let mut points = vec![[0.0, rates[0]]];
        for (length, rate) in lengths.iter().zip(&rates[1..]) {
            at_ns += length;
            points.push([at_ns as f64 / 1e9, *rate]);
        }
        prop_assume!(points.iter().any(|[_, rate]| *rate > 0.0));
        let area = |until: f64| -> f64 {
            let mut sum = 0.0;
            for pair in points.windows(2) {
                let ([start, from], [end, to]) = (pair[0], pair[1]);
                let d = (until.min(end) - start).max(0.0);
                sum += d * (from + (to - from) * d / (end - start) / 2.0);
            }
            let [last, rate] = points[points.len() - 1];
            sum + (until - last).max(0.0) * rate
        };
        let total = area(at_ns as f64 / 1e9);
        let profile = series(&points);
        // Sums that lie far apart, and some that differ in their last digits.
        let mut sums: Vec<f64> = parts.iter().map(|part| part * total).collect();
        for (place, steps) in steps.iter().enumerate() {
            let near = sums[place % parts.len()];
            sums.push(f64::from_bits(near.to_bits() + steps));
        }
        sums.sort_by(f64::total_cmp);
        let times: Vec<Option<u64>> = sums.iter().map(|sum| profile.time_ns(*sum)).collect();
        prop_assert!(times.iter().map(|time| time.unwrap_or(u64::MAX)).is_sorted(), "{sums:?} {times:?}");
        for (sum, time_ns) in sums.iter().zip(times) {
            let Some(time_ns) = time_ns else { continue };
            let reached = area(time_ns as f64 / 1e9);
            // Half a microsecond at the greatest rate there is.
            prop_assert!((reached - sum).abs() < 0.05, "{reached} arrivals and not {sum} at {time_ns} ns");
        }
    }
}
