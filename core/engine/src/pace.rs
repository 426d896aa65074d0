//! [`Pace`]: what was asked of the schedule and what became of it.

use inferometer_abi::{
    documents::{LoadReport, Stats},
    types::ABSENT_NS,
};
use inferometer_metrics::{Times, Window};
use inferometer_model::{Row, plan::PhasePlan};

/// What a phase's requests have shown of the schedule so far.
pub(crate) struct Pace {
    /// How far behind the schedule requests were sent.
    lags: Times,
    sent: u64,
    first_ns: u64,
    last_ns: u64,
    /// Time in flight of all requests together, in nanoseconds.
    busy_ns: u128,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { lags: Times::default(), sent: 0, first_ns: u64::MAX, last_ns: 0, busy_ns: 0 }
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
        self.lags.add(row.sent.saturating_sub(row.intended));
    }

    /// How far behind the schedule requests were sent, in milliseconds.
    pub(crate) fn lag_ms(&self) -> Stats {
        self.lags.stats()
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
        let lag = self.lag_ms();
        LoadReport {
            strategy: plan.strategy.clone(),
            asked,
            achieved,
            asked_rate: plan.rate,
            achieved_rate,
            in_flight,
            lag_p50_ms: lag.p50,
            lag_p99_ms: lag.p99,
            tail_s: window
                .filter(|_| self.sent > 0)
                .map(|window| window.end_ns.saturating_sub(self.last_ns) as f64 / 1e9),
            sends_by_time: plan.stop.duration_ns.is_some(),
            ..LoadReport::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many lags as are kept as they are.
    const MANY: usize = 100_000;

    #[test]
    fn lags_beyond_those_kept_have_the_same_percentiles_to_three_digits() {
        let mut pace = Pace::new();
        for lag in (0..2 * MANY as u64).rev() {
            pace.push(&Row { intended: 10, sent: 10 + lag * 1_000, permitted: 10, end: 20, ..Row::EMPTY });
        }
        assert_eq!((pace.sent, pace.busy_ns, pace.first_ns), (2 * MANY as u64, 20 * MANY as u128, 10));
        let stats = pace.lag_ms();
        let (p50, p99) = (stats.p50.unwrap(), stats.p99.unwrap());
        assert!((p50 - 100.0).abs() < 0.1 && (p99 - 198.0).abs() < 0.2, "{p50} {p99}");
    }

    #[test]
    fn what_was_never_sent_has_no_lag() {
        let mut pace = Pace::new();
        pace.push(&Row { intended: 10, end: 20, ..Row::EMPTY });
        assert_eq!((pace.sent, pace.lag_ms().p50), (0, None));
    }
}
