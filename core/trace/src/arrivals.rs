//! [`Arrivals`]: how requests come.

use crate::{Spread, schedule::Schedule};
use serde::Serialize;

const SECOND_NS: u64 = 1_000_000_000;

/// How requests come, in those whose time is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Arrivals {
    /// Requests whose time is known.
    pub requests: u64,
    /// Those of them whose time is not recorded but follows from the turn before: its time and their delay.
    pub inferred: u64,
    /// Requests per second: one over the mean gap.
    #[serde(rename = "mean_rate_per_s")]
    pub mean_rate: f64,
    /// The most requests within any second.
    #[serde(rename = "peak_1s_rate_per_s")]
    pub peak_1s_rate: f64,
    /// The most requests within any ten seconds, per second; absent from shorter traces.
    #[serde(rename = "peak_10s_rate_per_s", skip_serializing_if = "Option::is_none")]
    pub peak_10s_rate: Option<f64>,
    /// Seconds between one request and the next.
    pub gaps_s: Spread,
    /// Coefficient of variation of the gaps: their standard deviation over their mean. 0: evenly spaced; 1: as a Poisson
    /// process has it.
    pub gap_variation: f64,
    /// Shape of the gamma distribution whose gaps vary as much: one over the variation's square, which is what vLLM calls
    /// burstiness. Below 1: burstier than a Poisson process. Absent where gaps do not vary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burstiness: Option<f64>,
}

impl Arrivals {
    /// Absent where fewer than two moments are known.
    pub(crate) fn of(schedule: &Schedule) -> Option<Self> {
        let times: Vec<u64> = schedule.times_ns().collect();
        let span = times.last()? - times.first()?;
        if span == 0 {
            return None;
        }
        let gaps_s = Spread::of(times.windows(2).map(|pair| seconds(pair[1] - pair[0])))?;
        let gap_variation = gaps_s.std / gaps_s.mean;
        Some(Self {
            requests: times.len() as u64,
            inferred: schedule.inferred,
            mean_rate: (times.len() - 1) as f64 / seconds(span),
            peak_1s_rate: busiest(&times, SECOND_NS) as f64,
            peak_10s_rate: (span >= 10 * SECOND_NS).then(|| busiest(&times, 10 * SECOND_NS) as f64 / 10.0),
            gaps_s,
            gap_variation,
            burstiness: (gap_variation > 0.0).then(|| 1.0 / (gap_variation * gap_variation)),
        })
    }
}

/// Nanoseconds as seconds.
pub(crate) fn seconds(ns: u64) -> f64 {
    ns as f64 / SECOND_NS as f64
}

/// The most of the rising `times` that lie within any `window`, its end not included.
fn busiest(times: &[u64], window: u64) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, time) in times.iter().enumerate() {
        while time - times[first] >= window {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::testing::trace;
    use proptest::prelude::*;

    fn arrivals(ms: &[u64]) -> Option<Arrivals> {
        let requests: Vec<(u64, u32, u32, &[u64])> = ms.iter().map(|ms| (*ms, 1, 1, &[][..])).collect();
        Arrivals::of(&Schedule::of(&trace(&requests)))
    }

    #[test]
    fn even_gaps_have_their_rate_and_no_variation() {
        let even = arrivals(&[0, 500, 1000, 1500, 2000]).unwrap();
        assert_eq!((even.mean_rate, even.gap_variation, even.burstiness), (2.0, 0.0, None));
        assert_eq!((even.peak_1s_rate, even.peak_10s_rate), (2.0, None));
    }

    #[test]
    fn peaks_are_of_the_busiest_window_wherever_it_begins() {
        let bursts = arrivals(&[0, 3900, 4000, 4500, 4899, 20_000]).unwrap();
        assert_eq!((bursts.peak_1s_rate, bursts.peak_10s_rate), (4.0, Some(0.5)));
    }

    #[test]
    fn gaps_vary_by_their_standard_deviation_over_their_mean() {
        // Gaps of 0 and 2 s: mean 1, standard deviation 1.
        let pairs = arrivals(&[0, 0, 2000, 2000, 4000]).unwrap();
        assert_eq!((pairs.gap_variation, pairs.burstiness), (1.0, Some(1.0)));
    }

    #[test]
    fn one_moment_has_no_rate() {
        assert_eq!(arrivals(&[5, 5, 5]), None);
        assert_eq!(arrivals(&[]), None);
    }

    proptest! {
        #[test]
        fn the_busiest_window_is_the_one_that_counting_every_window_finds(
            mut times in prop::collection::vec(0..50_u64, 1..40), window in 1..20_u64
        ) {
            times.sort_unstable();
            let within = |from: u64| times.iter().filter(|t| (from..from + window).contains(t)).count();
            prop_assert_eq!(Some(busiest(&times, window)), times.iter().map(|from| within(*from)).max());
        }
    }
}
