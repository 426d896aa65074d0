//! Counters: by how much one grew within a window.
//!
//! There are two rules, since the edges of a window lie between readings.
//!
//! What counts *events* (requests, tokens, observations) jumps when one is over, and around a phase nothing happens. So
//! the growth is taken between whole readings: from the one at the window's start, to the first at or after its end, when
//! the last request has been counted. To interpolate would make parts of requests, and miss the last of them, which fall
//! on the very end.
//!
//! *Energy* flows at all times, in idleness too: what was used between a reading and the edge of the window does not
//! belong to it. So its value at an edge is interpolated between the readings before and after. The error is at most a
//! quarter of the time between these two, times the step in power at the edge; none if power is steady. Exporters may
//! show the same value for many readings (dcgm-exporter asks its devices every 30 seconds unless told otherwise); then
//! only the readings at which it changed say how much energy had flowed by when.
//!
//! A counter that falls was reset to zero in between, as in Prometheus; what it grew before, unseen, is lost.

use super::covers;
use crate::Window;

/// Of a window, how much may have passed when a reading is taken for that at its start.
const LATE_SHARE: u64 = 20;

/// A reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) at_ns: u64,
    pub(super) value: f64,
}

/// The readings of a counter in order of time, one for each time.
pub(super) struct Counter(Vec<Point>);

impl Counter {
    /// Of readings in any order. Negative ones are no counts and are dropped; of two at the same time the larger stays.
    pub(super) fn new(mut points: Vec<Point>) -> Self {
        points.retain(|point| point.value >= 0.0);
        points.sort_unstable_by(|a, b| a.at_ns.cmp(&b.at_ns).then(b.value.total_cmp(&a.value)));
        points.dedup_by_key(|point| point.at_ns);
        Self(points)
    }

    /// When it was read first.
    pub(super) fn first_ns(&self) -> Option<u64> {
        self.0.first().map(|point| point.at_ns)
    }

    /// It is known to have been zero at `at_ns`, which is before all readings.
    pub(super) fn begin(&mut self, at_ns: u64) {
        self.0.insert(0, Point { at_ns, value: 0.0 });
    }

    /// How many events fell into `window`; absent without two readings to tell it from.
    pub(super) fn events(&self, window: Window) -> Option<f64> {
        let points = &self.0;
        let start = self.start(window)?;
        let end = points.partition_point(|point| point.at_ns < window.end_ns).min(points.len() - 1);
        (start < end).then(|| growth(&points[start..=end]).last().map_or(0.0, |point| point.value))
    }

    /// The reading to count events from: the nearest to the start. One after it has missed what happened in between, so
    /// it is taken only from the window's first moments.
    fn start(&self, window: Window) -> Option<usize> {
        let after = self.0.partition_point(|point| point.at_ns < window.start_ns);
        let Some(before) = after.checked_sub(1) else { return (!self.0.is_empty()).then_some(0) };
        let late = |point: &&Point| {
            let by = point.at_ns - window.start_ns;
            by < window.start_ns - self.0[before].at_ns && by <= window.duration_ns() / LATE_SHARE
        };
        Some(self.0.get(after).filter(late).map_or(before, |_| after))
    }

    /// How much energy was used in `window`; absent if too little of the window lies between readings. If only a little
    /// is missing, power is taken to have been the same there.
    pub(super) fn energy(&self, window: Window) -> Option<f64> {
        let fresh = self.fresh();
        let (first_ns, last_ns) = (fresh.first()?.at_ns, fresh.last()?.at_ns);
        if !covers(first_ns, last_ns, window) {
            return None;
        }
        let (from, to) = (first_ns.max(window.start_ns), last_ns.min(window.end_ns));
        let share = window.duration_ns() as f64 / (to - from) as f64;
        Some((interpolated(&fresh, to) - interpolated(&fresh, from)) * share)
    }

    /// The growth up to each reading at which the value was new. Of the first it is not known, but likely if the second
    /// one differs.
    fn fresh(&self) -> Vec<Point> {
        let changed = |pair: &[Point]| pair[0].value != pair[1].value;
        let pairs = self.0.windows(2).filter(|pair| changed(pair)).map(|pair| pair[1]);
        let first = self.0.first().filter(|_| self.0.windows(2).next().is_some_and(changed)).copied();
        let points: Vec<Point> = first.into_iter().chain(pairs).collect();
        growth(&points).collect()
    }
}

/// By how much the counter had grown at each of `points`, counted from the first.
fn growth(points: &[Point]) -> impl Iterator<Item = Point> {
    // Sums are formed once for each reset, not once for each reading, so that rounding errors do not pile up.
    let (mut before, mut since, mut previous) = (0.0, points.first().map_or(0.0, |point| point.value), 0.0);
    points.iter().map(move |point| {
        if point.value < previous {
            before += previous - since;
            since = 0.0;
        }
        previous = point.value;
        Point { at_ns: point.at_ns, value: before + (point.value - since) }
    })
}

/// The value at `at_ns`, which lies within `points`.
fn interpolated(points: &[Point], at_ns: u64) -> f64 {
    let after = points.partition_point(|point| point.at_ns < at_ns);
    let right = points[after];
    if right.at_ns == at_ns {
        return right.value;
    }
    let left = points[after - 1];
    let share = (at_ns - left.at_ns) as f64 / (right.at_ns - left.at_ns) as f64;
    left.value + (right.value - left.value) * share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MS;
    use proptest::prelude::*;

    fn counter(points: &[(u64, f64)]) -> Counter {
        Counter::new(points.iter().map(|&(ms, value)| Point { at_ns: ms * MS, value }).collect())
    }

    fn window(start_ms: u64, end_ms: u64) -> Window {
        Window { start_ns: start_ms * MS, end_ns: end_ms * MS }
    }

    /// A counter of something that flows at `rate` a second, idle outside 1000 to 2390 ms, read at these milliseconds.
    fn flow(at: impl Iterator<Item = u64>, idle: f64, busy: f64) -> Counter {
        let value = |ms: u64| {
            let inside = ms.clamp(1000, 2390) - 1000;
            (busy * inside as f64 + idle * (ms - inside) as f64) / 1e3
        };
        Counter::new(at.map(|ms| Point { at_ns: ms * MS, value: 5e6 + value(ms) }).collect())
    }

    const BUSY: Window = Window { start_ns: 1000 * MS, end_ns: 2390 * MS };

    #[test]
    fn forty_requests_are_forty_wherever_the_readings_fall() {
        // Four at a time, over every 139 ms from 1139 to 2390 ms; the server counts them as they end. Idle before.
        for offset in 0..333 {
            let ended = |ms: u64| 100.0 + (1..=10).filter(|round| 1000 + 139 * round <= ms).count() as f64 * 4.0;
            let points: Vec<_> = (0..10).map(|n| offset + 333 * n).map(|ms| (ms, ended(ms))).collect();
            assert_eq!(counter(&points).events(BUSY), Some(40.0), "{offset}");
        }
    }

    #[test]
    fn a_reading_just_after_the_start_is_better_than_an_old_one() {
        // Fifty requests of another phase ended between 700 ms and the start.
        let points = [(700, 10.0), (1003, 60.0), (1333, 70.0), (2391, 100.0), (2700, 130.0)];
        assert_eq!(counter(&points).events(BUSY), Some(40.0));
        assert_eq!(counter(&points[..2]).events(BUSY), None, "nothing was read after the start");
        assert_eq!(counter(&points[..3]).events(BUSY), Some(10.0), "as far as is known");
        let late = [(900, 50.0), (1080, 60.0), (2400, 90.0)];
        assert_eq!(counter(&late).events(BUSY), Some(40.0), "it would miss what happened in the first 80 ms");
    }

    #[test]
    fn one_reading_tells_no_growth() {
        for at in [0, 1000, 1500, 2390, 9000] {
            assert_eq!(counter(&[(at, 7.0)]).events(BUSY), None);
            assert_eq!(counter(&[(at, 7.0), (at, 9.0)]).events(BUSY), None, "at one time");
            assert_eq!(counter(&[(at, 7.0)]).energy(BUSY), None);
        }
        assert_eq!(counter(&[]).events(BUSY), None);
    }

    #[test]
    fn after_a_reset_it_counts_from_zero() {
        let points = [(1000, 90.0), (1300, 95.0), (1600, 3.0), (1900, 10.0), (2100, 0.0), (2400, 2.0)];
        assert_eq!(counter(&points).events(BUSY), Some(5.0 + 10.0 + 2.0));
        let energy = counter(&[(1000, 90.0), (1500, 95.0), (2390, 8.0)]).energy(BUSY);
        assert_eq!(energy, Some(13.0));
    }

    #[test]
    fn steady_power_gives_its_energy_exactly_wherever_the_readings_fall() {
        for offset in 0..333 {
            let joules = flow((0..12).map(|n| offset + 333 * n), 300.0, 300.0).energy(BUSY).unwrap();
            assert!((joules - 417.0).abs() < 1e-6, "{joules} J");
        }
    }

    #[test]
    fn a_step_in_power_costs_a_quarter_of_the_time_between_readings_at_most() {
        // 100 W before and after. Each edge is off by up to 200 W · 333 ms / 4 = 16.7 J, in opposite directions.
        for offset in 0..333 {
            let joules = flow((0..12).map(|n| offset + 333 * n), 100.0, 300.0).energy(BUSY).unwrap();
            assert!((joules - 417.0).abs() <= 2.0 * 16.65, "{joules} J");
        }
        // With readings 3 ms after both edges hardly anything is left to guess.
        let at = (0..12).map(|n| 333 * n).chain([1003, 2393]);
        let joules = flow(at, 100.0, 300.0).energy(BUSY).unwrap();
        assert!((joules - 417.0).abs() < 1.2, "{joules} J");
    }

    #[test]
    fn values_that_an_exporter_shows_for_long_are_placed_when_they_were_new() {
        // The device is asked once a second, the page read every 100 ms: what it shows is up to a second old.
        let stale = |ms: u64| (ms * MS, 300.0 * (ms / 1000) as f64);
        let points = (1..300).map(|n| stale(100 * n)).map(|(at_ns, value)| Point { at_ns, value });
        let joules = Counter::new(points.collect()).energy(window(5_500, 25_500)).unwrap();
        assert!((joules - 6000.0).abs() < 1e-6, "{joules} J");
    }

    #[test]
    fn energy_is_unknown_where_too_little_of_the_window_was_seen() {
        let whole = [(900, 10.0), (1500, 20.0), (2400, 30.0)];
        assert!(counter(&whole).energy(BUSY).is_some());
        assert_eq!(counter(&whole[..2]).energy(BUSY), None, "it was read for the first third only");
        assert_eq!(counter(&[(900, 10.0), (1500, 10.0), (2400, 10.0)]).energy(BUSY), None, "it stands still");
        assert_eq!(counter(&whole).energy(window(1200, 1200)), None, "no time, no energy");
        // Nine tenths of 300 W for 1.39 s were seen.
        let most = flow([1000, 1500, 2251].into_iter(), 300.0, 300.0).energy(BUSY).unwrap();
        assert!((most - 417.0).abs() < 1e-6, "{most} J");
    }

    proptest! {
        #[test]
        fn windows_that_adjoin_at_readings_add_up(
            values in prop::collection::vec(0..1000_u32, 3..40),
            middle in any::<prop::sample::Index>(),
        ) {
            let points: Vec<_> = values.iter().zip(0..).map(|(&value, n)| (n * 333, f64::from(value))).collect();
            let counter = counter(&points);
            let end = 333 * (values.len() as u64 - 1);
            let middle = 333 * (1 + middle.index(values.len() - 2) as u64);
            let sum = |of: &dyn Fn(Window) -> Option<f64>| Some(of(window(0, middle))? + of(window(middle, end))?);
            prop_assert_eq!(sum(&|window| counter.events(window)), counter.events(window(0, end)));
            let energy = |window| counter.energy(window);
            if let (Some(parts), Some(whole)) = (sum(&energy), counter.energy(window(0, end))) {
                // What stands still at an edge is extended from the part that is known.
                let moving = values.windows(2).all(|pair| pair[0] != pair[1]);
                prop_assert!(!moving || (parts - whole).abs() < 1e-6, "{} {}", parts, whole);
            }
        }
    }
}
