//! What telemetry says of a phase: levels, growth, distributions, and what the load cost in energy.
//!
//! [`summarize`] takes the readings of one source and says what each of its metrics did within a [`Window`]. [`energy`] sets
//! the power of the accelerators against what was served with it. Reading, and when to read, is not done here; but how
//! well the edges of a phase are known depends on it, see [`summarize`].

mod counter;
mod energy;
mod histogram;
mod summary;
#[cfg(test)]
mod testing;
mod unit;

pub use energy::energy;
pub use summary::{Readings, summarize};

use crate::Window;
use counter::{Point, edges};
use inferometer_abi::{
    documents::{Increase, Series, Stats, Subject, TelemetrySource},
    types::Collection,
};

/// What has to be known of a window so that the rest of it may be taken to have been alike.
const KNOWN: f64 = 0.8;

/// The time that telemetry is to tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// What was measured.
    pub window: Window,
    /// The time around it in which nothing else was sent: from the end of the load before to the begin of the load after.
    pub alone: Window,
}

impl Span {
    /// A window without other load before and after it.
    pub const fn alone(window: Window) -> Self {
        Self { window, alone: Window { start_ns: 0, end_ns: u64::MAX } }
    }

    /// Whether a counter that was seen in this part of the window tells enough of the rest to be reported.
    pub fn suffices(self, seen: Window) -> bool {
        seen.duration_ns() as f64 >= KNOWN * self.window.duration_ns() as f64
    }
}

/// The part of the window of `span` that readings taken in `collections` tell of: the whole of it, if there is one before
/// and one after. Absent if none tells of it.
pub fn seen(collections: &[Collection], span: Span) -> Option<Window> {
    let points = collections.iter().map(|collection| Point::new(collection.ended_ns, 0.0, collection));
    edges(&points.collect::<Vec<_>>(), span).map(|edges| edges.over)
}

/// The statistics of the level `tag` of the machine that makes the load, of its first entity that was read.
pub fn client_level<'s>(sources: &[TelemetrySource], series: &'s [Series], tag: &str) -> Option<&'s Stats> {
    series.iter().find_map(|series| {
        let source = sources.get(series.source).filter(|source| source.subject == Subject::Client)?;
        let metric = source.metrics.get(series.metric)?;
        series.gauge.as_ref().filter(|_| metric.name == tag)
    })
}

/// Whether what is known from `first_ns` to `last_ns` says enough about `window`.
fn covers(first_ns: u64, last_ns: u64, window: Window) -> bool {
    let known = last_ns.min(window.end_ns).saturating_sub(first_ns.max(window.start_ns));
    known > 0 && known as f64 >= KNOWN * window.duration_ns() as f64
}

/// Growth by `total` in `window`; absent where it is more than a number can tell.
fn increase(total: f64, window: Window) -> Option<Increase> {
    let rate = finite(total / window.seconds()).filter(|_| window.duration_ns() > 0);
    finite(total).map(|total| Increase { total, rate })
}

/// `value`, if it is a number: documents cannot hold others.
fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}

/// `stats` without what is no number, as comes of values near the largest there are.
fn numbers(stats: Stats) -> Stats {
    let Stats { avg, min, max, std, sum, count, p1, p5, p10, p25, p50, p75, p90, p95, p99 } = stats;
    let number = |value: Option<f64>| value.and_then(finite);
    Stats {
        avg: number(avg),
        min: number(min),
        max: number(max),
        std: number(std),
        sum: number(sum),
        count,
        p1: number(p1),
        p5: number(p5),
        p10: number(p10),
        p25: number(p25),
        p50: number(p50),
        p75: number(p75),
        p90: number(p90),
        p95: number(p95),
        p99: number(p99),
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::*, *};
    use crate::testing::MS;

    #[test]
    fn of_a_window_is_seen_what_lies_between_readings_of_its_own_time() {
        let read =
            |began: u64, ended: u64| Collection { began_ns: began * MS, ended_ns: ended * MS, ..Collection::default() };
        let window = |start: u64, end: u64| Window { start_ns: start * MS, end_ns: end * MS };
        let span = Span { window: window(1000, 5000), alone: window(900, 5100) };
        let all = [read(500, 510), read(920, 980), read(2000, 2010), read(5000, 5050), read(5200, 5210)];
        assert_eq!(seen(&all, span), Some(window(1000, 5000)));
        assert_eq!(seen(&[all[0], all[2], all[4]], span), Some(window(2010, 2010)));
        assert_eq!(seen(&all[..3], span), Some(window(1000, 2010)));
        assert_eq!(seen(&all[..1], span), None);
        assert_eq!(seen(&[], span), None);
    }

    #[test]
    fn the_load_of_the_client_is_found_by_tag_and_not_mistaken_for_the_servers() {
        let gauges = [("host_cpu_utilization", "%", "gauge"), ("host_cpu_steal", "%", "gauge")];
        let server = TelemetrySource { subject: Subject::Server, ..source(&gauges, &[&[]]) };
        let client = TelemetrySource { subject: Subject::Client, ..source(&gauges, &[&[]]) };
        let window = Window { start_ns: 0, end_ns: 1000 * MS };
        let mut series = summed(0, &server, &samples(0, 0, &[(100, 5.0)]), window);
        series.extend(summed(1, &client, &samples(0, 0, &[(100, 60.0), (400, 90.0), (1400, 100.0)]), window));
        let sources = [server, client];
        let found = client_level(&sources, &series, "host_cpu_utilization").unwrap();
        assert_eq!((found.avg, found.max), (Some(75.0), Some(90.0)));
        assert_eq!(client_level(&sources, &series, "host_cpu_steal"), None, "not read in the window");
    }
}
