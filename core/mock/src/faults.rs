//! The dice: what befalls one request, drawn from the seed and the request's ordinal alone.
//!
//! Draws are made in one fixed order, so that the same request of the same seed meets the same fate however the
//! threads were scheduled. How a fate is carried out on the wire is not decided here.

use std::f64::consts::TAU;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

use crate::config::MockConfig;

/// What goes wrong with an answer; at most one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Status,
    Reset,
    Truncate,
    Malformed,
    StreamError,
}

/// Everything that chance decides about one request.
pub(crate) struct Fate {
    /// Names the answer: the random part of its `id`.
    pub(crate) id: u64,
    pub(crate) fault: Option<Fault>,
    pub(crate) stalls: bool,
    sigma: f64,
    rng: Pcg64Mcg,
    /// Apart from the others, because how often it is asked depends on how writes fell together.
    splits: Pcg64Mcg,
}

impl Fate {
    pub(crate) fn roll(config: &MockConfig, ordinal: u64) -> Self {
        // Seeding scrambles its number, so that neighbouring ordinals have nothing in common.
        let mut rng = Pcg64Mcg::seed_from_u64(config.seed ^ ordinal.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let id = rng.random();
        let die: f64 = rng.random();
        let mut upper = 0.0;
        let fault = [
            (Fault::Status, config.error_rate),
            (Fault::Reset, config.reset_rate),
            (Fault::Truncate, config.truncate_rate),
            (Fault::Malformed, config.malformed_rate),
            (Fault::StreamError, config.stream_error_rate),
        ]
        .into_iter()
        .find_map(|(fault, rate)| {
            upper += rate;
            (die < upper).then_some(fault)
        });
        let stalls = rng.random::<f64>() < config.stall_rate;
        Self { id, fault, stalls, sigma: config.jitter, rng, splits: Pcg64Mcg::seed_from_u64(id) }
    }

    /// The content chunk before which a mid-stream event happens: never before the first, and after the only one.
    pub(crate) fn position(&mut self, chunks: usize) -> usize {
        if chunks <= 2 { 1 } else { self.rng.random_range(1..chunks) }
    }

    /// A duration with this mean: exactly the mean without jitter, lognormal with it.
    ///
    /// exp(σz − σ²/2) with a standard normal z has mean 1; z by Box and Muller's transform.
    pub(crate) fn duration(&mut self, mean_ms: f64) -> Duration {
        if mean_ms == 0.0 || self.sigma == 0.0 {
            return Duration::from_secs_f64(mean_ms / 1e3);
        }
        let radius = (-2.0 * (1.0 - self.rng.random::<f64>()).ln()).sqrt();
        let z = radius * (TAU * self.rng.random::<f64>()).cos();
        let factor = (self.sigma * z - self.sigma * self.sigma / 2.0).exp();
        Duration::from_secs_f64(mean_ms * factor / 1e3)
    }

    /// The size of the next piece when writes are split.
    pub(crate) fn piece(&mut self, most: usize) -> usize {
        self.splits.random_range(1..=most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(config: &MockConfig, fault: Fault) -> usize {
        (0..10_000).filter(|&ordinal| Fate::roll(config, ordinal).fault == Some(fault)).count()
    }

    #[test]
    fn a_rate_of_one_is_certain_and_a_rate_of_zero_never_happens() {
        let config = MockConfig { reset_rate: 1.0, ..MockConfig::default() };
        assert_eq!(count(&config, Fault::Reset), 10_000);
        assert_eq!(count(&MockConfig::default(), Fault::Reset), 0);
    }

    #[test]
    fn faults_come_at_their_rates() {
        let config = MockConfig { error_rate: 0.2, truncate_rate: 0.1, seed: 7, ..MockConfig::default() };
        // Five standard deviations either way.
        assert!(count(&config, Fault::Status).abs_diff(2_000) < 200);
        assert!(count(&config, Fault::Truncate).abs_diff(1_000) < 150);
    }

    #[test]
    fn the_same_seed_and_ordinal_meet_the_same_fate_and_others_do_not() {
        let config = MockConfig { jitter: 0.3, ..MockConfig::default() };
        let draw = |seed, ordinal| {
            let config = MockConfig { seed, ..config.clone() };
            let mut fate = Fate::roll(&config, ordinal);
            (fate.id, fate.position(100), fate.duration(50.0), fate.piece(9))
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }

    #[test]
    fn jitter_keeps_the_mean_and_spreads_by_sigma() {
        let config = MockConfig { jitter: 0.5, ..MockConfig::default() };
        let n = 20_000;
        let draws: Vec<f64> =
            (0..n).map(|ordinal| Fate::roll(&config, ordinal).duration(10.0).as_secs_f64() * 1e3).collect();
        let mean = draws.iter().sum::<f64>() / n as f64;
        assert!((mean - 10.0).abs() < 0.2, "{mean}");
        let logs: Vec<f64> = draws.iter().map(|d| d.ln()).collect();
        let centre = logs.iter().sum::<f64>() / n as f64;
        let sigma = (logs.iter().map(|l| (l - centre).powi(2)).sum::<f64>() / n as f64).sqrt();
        assert!((sigma - 0.5).abs() < 0.02, "{sigma}");
    }

    #[test]
    fn faults_lie_strictly_inside_the_stream() {
        let config = MockConfig::default();
        for ordinal in 0..200 {
            let mut fate = Fate::roll(&config, ordinal);
            assert_eq!(fate.position(1), 1);
            assert!((1..5).contains(&fate.position(5)));
        }
    }
}
