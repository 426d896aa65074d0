//! [`Pace`]: what was asked of the schedule and what became of it.

use hdrhistogram::Histogram;
use inferometer_abi::{documents::LoadReport, types::ABSENT_NS};
use inferometer_metrics::{Window, stats};
use inferometer_model::{Row, plan::PhasePlan};

/// Up to so many lags are kept as they are; percentiles of more are those of a histogram of three digits.
const EXACT_LAGS: usize = 100_000;

/// A longer lag counts as this: 78 hours.
const LONGEST_LAG_NS: u64 = 1 << 48;

/// What a phase's requests have shown of the schedule so far.
pub(crate) struct Pace {
    lags: Lags,
    sent: u64,
    first_ns: u64,
    last_ns: u64,
    /// Time in flight of all requests together, in nanoseconds.
    busy_ns: u128,
}

/// How far behind the schedule requests were sent, in nanoseconds.
enum Lags {
    Exact(Vec<u64>),
    Counted(Box<Histogram<u64>>),
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { lags: Lags::Exact(Vec::new()), sent: 0, first_ns: u64::MAX, last_ns: 0, busy_ns: 0 }
    }

    /// Adds a request.
    pub(crate) fn push(&mut self, row: &Row) {
        if row.sent == ABSENT_NS {
            return;
        }
        self.sent += 1;
        self.first_ns = self.first_ns.min(row.sent);
        self.last_ns = self.last_ns.max(row.sent);
        self.busy_ns += u128::from(row.end.saturating_sub(row.permitted));
        self.lags.push(row.sent.saturating_sub(row.intended));
    }

    /// Lags: the 50th and the 99th percentile in milliseconds.
    pub(crate) fn percentiles_ms(&self) -> [Option<f64>; 2] {
        match &self.lags {
            Lags::Exact(all) => {
                let mut all: Vec<f64> = all.iter().map(|lag| *lag as f64 / 1e6).collect();
                let stats = stats::of(&mut all);
                [stats.p50, stats.p99]
            }
            Lags::Counted(counts) => {
                [0.5, 0.99].map(|share| Some(counts.value_at_quantile(share).min(counts.max()) as f64 / 1e6))
            }
        }
    }

    /// What is to be told of a phase of `plan` and `window`.
    pub(crate) fn report(&self, plan: &PhasePlan, window: Option<Window>) -> LoadReport {
        let slots = |slots: u64| format!("{slots} {} in flight", if slots == 1 { "request" } else { "requests" });
        let asked = match (plan.rate, plan.concurrency) {
            (Some(rate), limit) => {
                let limit = limit.map_or_else(String::new, |limit| format!(", at most {}", slots(limit)));
                format!("{rate:.1} requests/s, {}{limit}", plan.strategy)
            }
            (None, Some(limit)) => slots(limit),
            (None, None) => plan.strategy.clone(),
        };
        let span = self.last_ns.saturating_sub(self.first_ns) as f64 / 1e9;
        // So many requests have one gap less between them.
        let achieved_rate = (self.sent > 1 && span > 0.0).then(|| (self.sent - 1) as f64 / span);
        let lasted = window.filter(|window| window.duration_ns() > 0);
        let in_flight = lasted.map(|window| self.busy_ns as f64 / window.duration_ns() as f64);
        let achieved = match (plan.rate, achieved_rate, in_flight) {
            (Some(_), Some(rate), _) => format!("{rate:.1} requests/s"),
            (None, _, Some(in_flight)) => format!("{in_flight:.1} requests in flight"),
            _ => String::new(),
        };
        let [lag_p50_ms, lag_p99_ms] = self.percentiles_ms();
        LoadReport {
            strategy: plan.strategy.clone(),
            asked,
            achieved,
            asked_rate: plan.rate,
            achieved_rate,
            in_flight,
            lag_p50_ms,
            lag_p99_ms,
            tail_s: window
                .filter(|_| self.sent > 0)
                .map(|window| window.end_ns.saturating_sub(self.last_ns) as f64 / 1e9),
            sends_by_time: plan.stop.duration_ns.is_some(),
        }
    }
}

impl Lags {
    fn push(&mut self, lag_ns: u64) {
        match self {
            Self::Exact(all) if all.len() < EXACT_LAGS => all.push(lag_ns),
            Self::Exact(all) => {
                let mut counts = Histogram::new_with_bounds(1, LONGEST_LAG_NS, 3).expect("the bounds are valid");
                all.iter().for_each(|lag| counts.saturating_record(*lag));
                counts.saturating_record(lag_ns);
                *self = Self::Counted(Box::new(counts));
            }
            Self::Counted(counts) => counts.saturating_record(lag_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_beyond_those_kept_have_the_same_percentiles_to_three_digits() {
        let mut pace = Pace::new();
        for lag in (0..2 * EXACT_LAGS as u64).rev() {
            pace.push(&Row { intended: 10, sent: 10 + lag * 1_000, permitted: 10, end: 20, ..Row::EMPTY });
        }
        assert_eq!((pace.sent, pace.busy_ns, pace.first_ns), (2 * EXACT_LAGS as u64, 20 * EXACT_LAGS as u128, 10));
        let [p50, p99] = pace.percentiles_ms().map(Option::unwrap);
        assert!((p50 - 100.0).abs() < 0.1 && (p99 - 198.0).abs() < 0.2, "{p50} {p99}");
    }

    #[test]
    fn what_was_never_sent_has_no_lag() {
        let mut pace = Pace::new();
        pace.push(&Row { intended: 10, end: 20, ..Row::EMPTY });
        assert_eq!((pace.sent, pace.percentiles_ms()), (0, [None, None]));
    }
}
