//! Gaps against the distributions that they are said to have.

use super::*;

const GAPS: usize = 10_000;

fn gaps<G: Gaps>(gaps: G, seed: u64) -> Vec<f64> {
    let mut random = SplitMix64::new(seed);
    (0..GAPS).map(|_| gaps.draw(&mut random)).collect()
}

/// The greatest distance between the gaps' distribution and `expected`, in units of its critical value at 5 % for large
/// numbers (Kolmogorov and Smirnov).
fn distance(mut gaps: Vec<f64>, expected: impl Fn(f64) -> f64) -> f64 {
    gaps.sort_by(f64::total_cmp);
    let n = gaps.len() as f64;
    let apart = |(i, gap): (usize, &f64)| {
        let expected = expected(*gap);
        (expected - i as f64 / n).max((i + 1) as f64 / n - expected)
    };
    gaps.iter().enumerate().map(apart).fold(0.0, f64::max) * n.sqrt() / 1.358
}

/// The regularized lower incomplete gamma function P(s, x), by its power series: x^s e^−x Σ xⁿ / Γ(s + n + 1).
fn incomplete_gamma(s: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let mut term = (s * x.ln() - x - libm::lgamma(s + 1.0)).exp();
    let mut sum = term;
    let mut n = s;
    while term > sum * 1e-16 {
        n += 1.0;
        term *= x / n;
        sum += term;
    }
    sum.min(1.0)
}

fn mean(of: &[f64]) -> f64 {
    of.iter().sum::<f64>() / of.len() as f64
}

#[test]
fn the_schedule_of_a_seed_is_the_same_for_ever() {
    let mut poisson = Renewal::<Exponential>::new(&Exponential, 42);
    let times: Vec<_> = [0, 1, 2, 999_999].map(|k| (poisson.sum(k) * 1e9 / 200.0).round() as u64).into();
    assert_eq!(times, [2_586_576, 11_738_078, 20_704_948, 5_009_603_077_195]);
    for (shape, expected) in [
        (0.3, [0.40891336856930083, 1.3685586905434255, 1.8911038989125593, 994_632.3331290592]),
        (4.0, [1.0792834681806145, 1.6165928490054844, 2.971080324974692, 999_433.0602926847]),
    ] {
        let mut gamma = Renewal::new(&Gamma { shape }, 42);
        assert_eq!([0, 1, 2, 999_999].map(|k| gamma.sum(k)), expected, "shape {shape}");
    }
}

#[test]
fn the_incomplete_gamma_function_of_these_tests_has_its_known_values() {
    for (s, x, expected) in [(1.0, 2.0, 0.864_664_716_763_387_3), (0.5, 0.5, 0.682_689_492_137_085_9)] {
        assert!((incomplete_gamma(s, x) - expected).abs() < 1e-12, "{s}, {x}");
    }
}

#[test]
fn exponential_gaps_are_exponential() {
    let distance = distance(gaps(Exponential, 42), |gap| 1.0 - (-gap).exp());
    assert!(distance < 1.0, "{distance}");
}

#[test]
fn gamma_gaps_have_the_gamma_distribution_of_any_shape() {
    for shape in [0.05, 0.3, 0.9, 1.0, 1.5, 4.0, 50.0] {
        let distance = distance(gaps(Gamma { shape }, 7), |gap| incomplete_gamma(shape, gap * shape));
        assert!(distance < 1.0, "{distance} at shape {shape}");
    }
}

#[test]
fn a_shape_of_one_is_poisson_traffic_and_no_other_is() {
    let of = |shape| distance(gaps(Gamma { shape }, 7), |gap| 1.0 - (-gap).exp());
    assert!(of(1.0) < 1.0);
    assert!(of(0.8) > 2.0 && of(1.25) > 2.0);
}

#[test]
fn the_mean_gap_is_one_and_its_variance_that_of_the_shape() {
    for shape in [0.3, 1.0, 4.0, 100.0, 1e6] {
        let gaps = gaps(Gamma { shape }, 42);
        let mean_gap = mean(&gaps);
        // Four standard deviations of the mean of that many.
        assert!((mean_gap - 1.0).abs() < 4.0 / (shape * GAPS as f64).sqrt(), "{mean_gap} at shape {shape}");
        let squares: Vec<f64> = gaps.iter().map(|gap| (gap - 1.0).powi(2)).collect();
        let variance = mean(&squares) * shape;
        assert!((variance - 1.0).abs() < 0.2, "{variance} at shape {shape}");
    }
    assert!((mean(&gaps(Exponential, 42)) - 1.0).abs() < 0.02);
}

#[test]
fn gaps_do_not_depend_on_each_other() {
    for gaps in [gaps(Exponential, 42), gaps(Gamma { shape: 2.0 }, 42), gaps(Gamma { shape: 0.5 }, 42)] {
        let centred: Vec<_> = gaps.iter().map(|gap| gap - 1.0).collect();
        let products = centred.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>();
        let correlation = products / centred.iter().map(|x| x * x).sum::<f64>();
        // Three standard deviations of the correlation of 10,000 independent gaps.
        assert!(correlation.abs() < 0.03, "{correlation}");
    }
}

#[test]
fn neighbouring_seeds_give_other_schedules() {
    assert_ne!(gaps(Exponential, 1), gaps(Exponential, 2));
    assert_ne!(gaps(Gamma { shape: 2.0 }, 1), gaps(Gamma { shape: 2.0 }, 2));
}

#[test]
fn a_smoothness_that_spreads_nothing_is_refused() {
    for smoothness in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-4] {
        let error = Gamma::take(GammaOptions { smoothness, ..GammaOptions::default() }).err().unwrap();
        assert!(error.message.starts_with("smoothness "), "{error}");
    }
}
