//! [`Pace`]: what was asked of the schedule and what became of it.

use inferometer_abi::{
    documents::{LoadReport, Stats},
    types::ABSENT_NS,
};
use inferometer_metrics::{Times, Window};
use inferometer_model::{Row, config::ConcurrencyUnit, plan::PhasePlan};
use serde_json::Value;
use std::collections::BTreeMap;

/// A request that is sent so far behind the schedule is late, in nanoseconds.
const LATE_NS: u64 = 10_000_000;

/// Share of a phase's duration in which it sent, with which it was the duration that ended it.
const BY_TIME: f64 = 0.9;

/// What a phase's requests have shown of the schedule so far.
#[derive(Default)]
pub(crate) struct Pace {
    /// How far behind the schedule requests were sent.
    lags: Times,
    sent: u64,
    late: u64,
    /// First and last send.
    sends: Span,
    /// Of all arrivals, first and last intended send.
    intended: Span,
    arrivals: u64,
    /// Time in flight of all requests together, in nanoseconds.
    busy_ns: u128,
    /// Sends and intended sends of first turns alone, with their numbers.
    begun: (Span, u64),
    to_begin: (Span, u64),
    has_later_turns: bool,
    /// First and last send of the requests intended at one instant, where the schedule has bursts.
    bursts: Option<BTreeMap<u64, Span>>,
}

/// From the first to the last of some times, in nanoseconds.
#[derive(Clone, Copy)]
struct Span {
    first: u64,
    last: u64,
}

impl Default for Span {
    fn default() -> Self {
        Self { first: u64::MAX, last: 0 }
    }
}

impl Span {
    fn add(&mut self, at: u64) {
        (self.first, self.last) = (self.first.min(at), self.last.max(at));
    }

    fn ns(&self) -> u64 {
        self.last.saturating_sub(self.first)
    }

    /// Of `count` events in that time, how many a second: so many have one gap less between them.
    fn rate(&self, count: u64) -> Option<f64> {
        (count > 1 && self.ns() > 0).then(|| (count - 1) as f64 / (self.ns() as f64 / 1e9))
    }
}

impl Pace {
    /// Of a phase of `plan`, before its first request.
    pub(crate) fn of(plan: &PhasePlan) -> Self {
        Self { bursts: (plan.strategy == "burst").then(BTreeMap::new), ..Self::default() }
    }

    /// Adds a request.
    pub(crate) fn push(&mut self, row: &Row) {
        self.arrivals += 1;
        self.intended.add(row.intended);
        self.has_later_turns |= row.turn > 0;
        if row.turn == 0 {
            self.to_begin.0.add(row.intended);
            self.to_begin.1 += 1;
        }
        if let Some(bursts) = &mut self.bursts {
            bursts.entry(row.intended).or_default();
        }
        if row.sent == ABSENT_NS {
            return;
        }
        self.sent += 1;
        self.sends.add(row.sent);
        if row.turn == 0 {
            self.begun.0.add(row.sent);
            self.begun.1 += 1;
        }
        self.busy_ns += u128::from(row.end.saturating_sub(row.permitted));
        let lag_ns = row.sent.saturating_sub(row.intended);
        self.late += u64::from(lag_ns > LATE_NS);
        self.lags.add(lag_ns);
        if let Some(bursts) = &mut self.bursts {
            bursts.entry(row.intended).or_default().add(row.sent);
        }
    }

    /// How far behind the schedule requests were sent, in milliseconds.
    pub(crate) fn lag_ms(&self) -> Stats {
        self.lags.stats()
    }

    /// What is to be told of a phase of `plan` and `window`.
    pub(crate) fn report(&self, plan: &PhasePlan, window: Option<Window>) -> LoadReport {
        // A rate that changes is known by its arrivals.
        let changes = ["ramp_s", "series"].iter().any(|option| plan.strategy_options.contains_key(*option));
        let asked_rate = plan.rate.filter(|_| !changes);
        let asked_rate = asked_rate.or_else(|| self.intended_rate(plan).filter(|_| plan.is_open_loop()));
        let requests_rate = self.sends.rate(self.sent);
        let by_session = self.is_by_session(plan);
        let achieved_rate = if by_session { self.begun.0.rate(self.begun.1) } else { requests_rate };
        let lasted = window.filter(|window| window.duration_ns() > 0);
        let in_flight = lasted.map(|window| self.busy_ns as f64 / window.duration_ns() as f64);
        let achieved = match (asked_rate, achieved_rate, in_flight) {
            (Some(_), Some(rate), _) if by_session => {
                format!("{rate:.1} sessions/s, {:.1} requests/s", requests_rate.unwrap_or_default())
            }
            (Some(_), Some(rate), _) => format!("{rate:.1} requests/s"),
            (None, _, Some(in_flight)) => format!("{in_flight:.1} requests in flight"),
            _ => String::new(),
        };
        let lag = self.lag_ms();
        let spreads = self.bursts.iter().flat_map(|bursts| bursts.values().map(Span::ns));
        LoadReport {
            strategy: plan.strategy.clone(),
            asked: self.asked(plan),
            achieved,
            asked_rate,
            achieved_rate,
            in_flight,
            lag_p50_ms: lag.p50,
            lag_p99_ms: lag.p99,
            late: (self.sent > 0).then_some(self.late),
            late_ms: (self.sent > 0).then_some(LATE_NS as f64 / 1e6),
            concurrency_unit: plan.concurrency.map(|_| plan.concurrency_unit.as_str().to_owned()),
            burst_spread_ms: spreads.max().map(|ns| ns as f64 / 1e6),
            waited_for_data: None,
            tail_s: window
                .filter(|_| self.sent > 0)
                .map(|window| window.end_ns.saturating_sub(self.sends.last) as f64 / 1e9),
            sends_by_time: self.lasted_as_long(plan),
        }
    }

    /// Whether sending ended by the clock.
    fn lasted_as_long(&self, plan: &PhasePlan) -> bool {
        let lasted = self.sends.last.saturating_sub(self.intended.first);
        plan.stop.duration_ns.is_some_and(|duration| self.sent > 0 && lasted as f64 >= BY_TIME * duration as f64)
    }

    /// Whether the rate of `plan` is one of sessions, whose later turns come by themselves.
    fn is_by_session(&self, plan: &PhasePlan) -> bool {
        self.has_later_turns && plan.rate.is_some() && plan.is_open_loop()
    }

    /// Arrivals a second, as the schedule wanted them.
    fn intended_rate(&self, plan: &PhasePlan) -> Option<f64> {
        if self.is_by_session(plan) {
            return self.to_begin.0.rate(self.to_begin.1);
        }
        let Some(bursts) = &self.bursts else { return self.intended.rate(self.arrivals) };
        // Each burst is worth the time until the next one.
        let count = bursts.len() as u64;
        self.intended.rate(count).map(|rate| rate * self.arrivals as f64 / count as f64)
    }

    /// What was asked of the schedule, in words.
    fn asked(&self, plan: &PhasePlan) -> String {
        let by_session = self.has_later_turns && plan.concurrency_unit == ConcurrencyUnit::Sessions;
        let unit = if by_session { "session in progress" } else { "request in flight" };
        let units = if by_session { "sessions in progress" } else { "requests in flight" };
        let slots = |slots: u64| format!("{slots} {}", if slots == 1 { unit } else { units });
        let option = |name: &str| plan.strategy_options.get(name);
        let series = || {
            let points = option("series")?.as_array()?.iter();
            let rates = points.filter_map(|point| point.get(1)?.as_f64());
            let (least, most) = rates.fold((f64::MAX, 0.0), |(least, most): (f64, f64), r| (least.min(r), most.max(r)));
            Some(format!("{least:.1} to {most:.1} requests/s, {}", plan.strategy))
        };
        let shape = match (plan.strategy.as_str(), plan.rate) {
            ("fixed_schedule", _) => {
                let faster = match plan.replay.speedup {
                    1.0 => String::new(),
                    speedup => format!(", {speedup} times as fast"),
                };
                Some(format!("{} requests at the times of the data set{faster}", self.arrivals))
            }
            ("burst", _) => {
                let bursts = self.bursts.as_ref().map_or(1, BTreeMap::len) as u64;
                let size = self.arrivals / bursts.max(1);
                let each = option("interval_s").and_then(Value::as_f64).filter(|_| bursts > 1);
                let each = each.map_or_else(|| "at once".to_owned(), |seconds| format!("at once, every {seconds} s"));
                Some(format!("{size} requests {each}"))
            }
            ("user_centric", Some(rate)) => {
                let users = option("users").and_then(Value::as_u64).unwrap_or(1);
                Some(format!("{users} users, {rate:.1} requests/s"))
            }
            (strategy, Some(_)) if option("series").is_some() => series().or_else(|| Some(strategy.to_owned())),
            (strategy, Some(rate)) => {
                let unit = if self.is_by_session(plan) { "sessions/s" } else { "requests/s" };
                let ramp = option("ramp_s").and_then(Value::as_f64);
                let ramp = ramp.map_or_else(String::new, |seconds| format!(", growing over {seconds} s"));
                Some(format!("{rate:.1} {unit}, {strategy}{ramp}"))
            }
            _ => None,
        };
        let ramp = match plan.concurrency_ramp_ns {
            0 => String::new(),
            ns => format!(", growing over {} s", ns as f64 / 1e9),
        };
        let asked = match (shape, plan.concurrency) {
            (Some(shape), Some(limit)) => format!("{shape}, at most {}{ramp}", slots(limit)),
            (Some(shape), None) => shape,
            (None, Some(limit)) => slots(limit) + &ramp,
            (None, None) => plan.strategy.clone(),
        };
        match plan.prefill_concurrency {
            Some(limit) => format!("{asked}, at most {limit} without a first token"),
            None => asked,
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
        let mut pace = Pace::default();
        for lag in (0..2 * MANY as u64).rev() {
            pace.push(&Row { intended: 10, sent: 10 + lag * 1_000, permitted: 10, end: 20, ..Row::EMPTY });
        }
        assert_eq!((pace.sent, pace.busy_ns, pace.sends.first), (2 * MANY as u64, 20 * MANY as u128, 10));
        let stats = pace.lag_ms();
        let (p50, p99) = (stats.p50.unwrap(), stats.p99.unwrap());
        assert!((p50 - 100.0).abs() < 0.1 && (p99 - 198.0).abs() < 0.2, "{p50} {p99}");
    }

    #[test]
    fn what_was_never_sent_has_no_lag() {
        let mut pace = Pace::default();
        pace.push(&Row { intended: 10, end: 20, ..Row::EMPTY });
        assert_eq!((pace.sent, pace.lag_ms().p50), (0, None));
    }

    fn phase(strategy: &str) -> PhasePlan {
        PhasePlan::new("profiling", inferometer_model::plan::PhaseKind::Profiling, strategy, Default::default())
    }

    #[test]
    fn what_is_late_is_counted_and_a_burst_is_as_wide_as_its_sends() {
        let mut pace = Pace::of(&phase("burst"));
        for (intended, sent) in [(0, 1_000_000), (0, 3_500_000), (50_000_000, 50_000_000), (50_000_000, 60_000_001)] {
            pace.push(&Row { intended, sent, permitted: sent, end: sent + 1, ..Row::EMPTY });
        }
        let report = pace.report(&phase("burst"), None);
        assert_eq!((report.late, report.late_ms, report.burst_spread_ms), (Some(1), Some(10.0), Some(10.000_001)));
    }

    #[test]
    fn a_schedule_that_follows_the_data_is_asked_for_at_the_datas_own_rate() {
        let plan = phase("fixed_schedule");
        let mut pace = Pace::of(&plan);
        for second in 0..5 {
            let at = second * 500_000_000;
            pace.push(&Row { intended: at, sent: 2 * at, permitted: at, end: 2 * at, ..Row::EMPTY });
        }
        let report = pace.report(&plan, None);
        assert_eq!((report.asked_rate, report.achieved_rate), (Some(2.0), Some(1.0)));
        assert_eq!(report.asked, "5 requests at the times of the data set");
    }
}
