//! Counters: by how much one grew within a window.
//!
//! There are two rules, since the edges of a window lie between readings.
//!
//! What counts *events* (requests, tokens, observations) jumps when one is over, and around a phase nothing happens. So
//! the growth is taken between whole readings: from one that was known when the window began, to the first that was asked
//! for when it was over and the last request had been counted. To interpolate would make parts of requests, and miss the
//! last of them, which fall on the very end. Neither reading may be from the time of another phase, whose events it would
//! mix in. Where there are none such, the growth is that between the outermost readings inside, if these are far enough
//! apart, and its rate is by the time between them.
//!
//! *Energy* flows at all times, in idleness too: what was used between a reading and the edge of the window does not
//! belong to it. So its value at an edge is interpolated between the readings before and after. The error is at most a
//! quarter of the time between these two, times the step in power at the edge; none if power is steady. Exporters may
//! show the same value for many readings (dcgm-exporter asks its devices every 30 seconds unless told otherwise); then
//! only the readings at which it changed say how much energy had flowed by when.
//!
//! A counter that falls was reset to zero in between, as in Prometheus; what it grew before, unseen, is lost.

use super::{Span, covers};
use crate::Window;
use inferometer_abi::types::Collection;

/// A reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// When it was asked for, and when it had come: what it counts is that of some time in between.
    pub(super) asked_ns: u64,
    pub(super) known_ns: u64,
    /// When the source says it was so.
    pub(super) at_ns: u64,
    pub(super) value: f64,
}

impl Point {
    /// A value that was read at `at_ns` by `collection`. One that is older than the collection was not asked for by it.
    pub(super) fn new(at_ns: u64, value: f64, collection: &Collection) -> Self {
        let (asked_ns, known_ns) =
            if at_ns < collection.began_ns { (at_ns, at_ns) } else { (collection.began_ns, collection.ended_ns) };
        Self { asked_ns, known_ns, at_ns: at_ns.min(known_ns), value }
    }
}

/// The readings of a counter in order of time, one for each time.
pub(super) struct Counter(Vec<Point>);

/// How much a counter grew, and the part of the window in which it was seen to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Growth {
    pub(super) total: f64,
    pub(super) over: Window,
}

impl Counter {
    /// Of readings in any order. Negative ones are no counts and are dropped; of two at the same time the larger stays.
    pub(super) fn new(mut points: Vec<Point>) -> Self {
        points.retain(|point| point.value >= 0.0);
        points.sort_unstable_by(|a, b| a.at_ns.cmp(&b.at_ns).then(b.value.total_cmp(&a.value)));
        points.dedup_by_key(|point| point.at_ns);
        Self(points)
    }

    /// Its first reading.
    pub(super) fn first(&self) -> Option<&Point> {
        self.0.first()
    }

    /// It is known to have been zero when `collection` was taken, which was before all readings.
    pub(super) fn begin(&mut self, collection: &Collection) {
        let at_ns = self.0.first().map_or(u64::MAX, |point| point.at_ns).min(collection.ended_ns);
        self.0.insert(0, Point::new(at_ns, 0.0, collection));
    }

    /// How many events fell into the window of `span`; absent without two readings to tell it from, and if too little of
    /// the window lies between these.
    pub(super) fn events(&self, span: Span) -> Option<Growth> {
        let Edges { first, last, over } = edges(&self.0, span)?;
        if first >= last || !span.suffices(over) {
            return None;
        }
        let total = growth(&self.0[first..=last]).last().map_or(0.0, |point| point.value);
        Some(Growth { total, over })
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
        Point { value: before + (point.value - since), ..*point }
    })
}

/// Which readings to count between, and the part of the window that they see.
pub(super) struct Edges {
    first: usize,
    last: usize,
    pub(super) over: Window,
}

/// The edges of `span` among `points`, which are in order; absent if none tells of the window.
pub(super) fn edges(points: &[Point], span: Span) -> Option<Edges> {
    let Span { window, alone } = span;
    let before = |point: &Point| point.asked_ns >= alone.start_ns && point.known_ns <= window.start_ns;
    let after = |point: &Point| point.asked_ns >= window.end_ns && point.known_ns <= alone.end_ns;
    let first =
        points.iter().rposition(before).or_else(|| points.iter().position(|point| point.known_ns > window.start_ns))?;
    let last =
        points.iter().position(after).or_else(|| points.iter().rposition(|point| point.known_ns <= alone.end_ns))?;
    let within = |at_ns: u64| at_ns.min(window.end_ns).max(window.start_ns);
    let start_ns = within(points[first].at_ns);
    let over = Window { start_ns, end_ns: within(points[last].at_ns).max(start_ns) };
    Some(Edges { first, last, over })
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
        Counter::new(points.iter().map(|&(ms, value)| at(ms, value)).collect())
    }

    /// A reading that took no time.
    fn at(ms: u64, value: f64) -> Point {
        let at_ns = ms * MS;
        Point { asked_ns: at_ns, known_ns: at_ns, at_ns, value }
    }

    /// The number of events in `window`, with no other load around it.
    fn events(counter: &Counter, window: Window) -> Option<f64> {
        counter.events(Span::alone(window)).map(|growth| growth.total)
    }

    fn window(start_ms: u64, end_ms: u64) -> Window {
        Window { start_ns: start_ms * MS, end_ns: end_ms * MS }
    }

    /// A counter of something that flows at `rate` a second, idle outside 1000 to 2390 ms, read at these milliseconds.
    fn flow(at_ms: impl Iterator<Item = u64>, idle: f64, busy: f64) -> Counter {
        let value = |ms: u64| {
            let inside = ms.clamp(1000, 2390) - 1000;
            (busy * inside as f64 + idle * (ms - inside) as f64) / 1e3
        };
        Counter::new(at_ms.map(|ms| at(ms, 5e6 + value(ms))).collect())
    }

    const BUSY: Window = Window { start_ns: 1000 * MS, end_ns: 2390 * MS };

    #[test]
    fn forty_requests_are_forty_wherever_the_readings_fall() {
        // Four at a time, over every 139 ms from 1139 to 2390 ms; the server counts them as they end. Idle before.
        for offset in 0..333 {
            let ended = |ms: u64| 100.0 + (1..=10).filter(|round| 1000 + 139 * round <= ms).count() as f64 * 4.0;
            let points: Vec<_> = (0..10).map(|n| offset + 333 * n).map(|ms| (ms, ended(ms))).collect();
            assert_eq!(events(&counter(&points), BUSY), Some(40.0), "{offset}");
        }
    }

    #[test]
    fn readings_from_the_time_of_another_phase_are_not_counted_from_or_to() {
        // Fifty requests of another phase ended between 700 ms and the start, and more of a third after 2500 ms.
        let points = [(700, 10.0), (1003, 60.0), (1333, 70.0), (2391, 100.0), (2700, 130.0)].map(|(ms, n)| at(ms, n));
        let span = Span { window: BUSY, alone: window(990, 2500) };
        let of = |points: &[Point]| Counter::new(points.to_vec()).events(span);
        let seen = |total, start, end| Some(Growth { total, over: window(start, end) });
        assert_eq!(of(&points), seen(40.0, 1003, 2390));
        assert_eq!(of(&points[..2]), None, "nothing was read after the start");
        assert_eq!(of(&points[..3]), None, "a quarter is too little");
        assert_eq!(of(&[at(995, 60.0), at(1333, 70.0), at(2300, 99.0), points[4]]), seen(39.0, 1000, 2300));
    }

    #[test]
    fn a_reading_that_is_under_way_at_an_edge_is_no_edge() {
        let reading = |asked, known, value| Point { asked_ns: asked * MS, known_ns: known * MS, ..at(known, value) };
        // Asked for before the start and rendered long after it; asked for before the end and known after it.
        let (first, last) = (reading(995, 1150, 7.0), reading(2380, 2700, 40.0));
        let of = |points: &[Point]| Counter::new(points.to_vec()).events(Span::alone(BUSY));
        let total = |points: &[Point]| of(points).map(|growth| (growth.total, growth.over));
        assert_eq!(total(&[reading(700, 900, 0.0), first, last, reading(2710, 2990, 44.0)]), Some((44.0, BUSY)));
        assert_eq!(total(&[first, reading(2400, 2700, 44.0)]), Some((37.0, window(1150, 2390))));
    }

    #[test]
    fn what_was_seen_of_too_little_of_the_window_tells_no_growth() {
        let until = |ms: u64| (9..=ms / 100).map(|n| at(100 * n, (100 * n) as f64)).collect::<Vec<_>>();
        assert_eq!(Counter::new(until(2000)).events(Span::alone(BUSY)), None, "it fell silent");
        let most = Counter::new(until(2200)).events(Span::alone(BUSY)).unwrap();
        assert_eq!((most.total, most.over), (1200.0, window(1000, 2200)));
        assert_eq!(Counter::new(until(2500)[4..].to_vec()).events(Span::alone(BUSY)), None, "it came late");
        let outage: Vec<_> = until(2500).into_iter().filter(|point| point.at_ns % (1000 * MS) > 400 * MS).collect();
        assert!(Counter::new(outage).events(Span::alone(BUSY)).is_some(), "in the middle nothing is lost");
    }

    #[test]
    fn one_reading_tells_no_growth() {
        for at in [0, 1000, 1500, 2390, 9000] {
            assert_eq!(events(&counter(&[(at, 7.0)]), BUSY), None);
            assert_eq!(events(&counter(&[(at, 7.0), (at, 9.0)]), BUSY), None, "at one time");
            assert_eq!(counter(&[(at, 7.0)]).energy(BUSY), None);
        }
        assert_eq!(events(&counter(&[]), BUSY), None);
    }

    #[test]
    fn after_a_reset_it_counts_from_zero() {
        let points = [(1000, 90.0), (1300, 95.0), (1600, 3.0), (1900, 10.0), (2100, 0.0), (2400, 2.0)];
        assert_eq!(events(&counter(&points), BUSY), Some(5.0 + 10.0 + 2.0));
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
        let stale = |ms: u64| at(ms, 300.0 * (ms / 1000) as f64);
        let points = (1..300).map(|n| stale(100 * n));
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
            prop_assert_eq!(sum(&|window| events(&counter, window)), events(&counter, window(0, end)));
            let energy = |window| counter.energy(window);
            if let (Some(parts), Some(whole)) = (sum(&energy), counter.energy(window(0, end))) {
                // What stands still at an edge is extended from the part that is known.
                let moving = values.windows(2).all(|pair| pair[0] != pair[1]);
                prop_assert!(!moving || (parts - whole).abs() < 1e-6, "{} {}", parts, whole);
            }
        }
    }
}
