//! [`summarize`]: from the readings of a source to what each of its metrics did.

use super::{
    counter::{Counter, Point},
    histogram::Parts,
    increase, numbers,
    unit::joules,
};
use crate::{Window, stats};
use inferometer_abi::{
    documents::{Series, Stats, Subject, TelemetrySource},
    types::Sample,
};
use std::collections::{BTreeMap, HashMap};

/// What `samples`, in any order, say of `source` within `window`; `index` is the source's place in the report. In order of
/// metric and entity. What was not read has no series, and samples of nothing in the catalogue are passed over.
///
/// - Levels: statistics of the samples from the window's start to its end, both included, unweighted by time.
/// - Counters: growth from the sample at the start to the first at or after the end, so there should be samples right
///   before or after both. Energy is interpolated between samples instead. Both are explained in `counter.rs`.
/// - Histograms: growth of each bucket, like that of counters of events.
///
/// Servers show some counters only from their first event on (`http_requests_total` of a path and a status). Where a page
/// had been read at the window's start and later shows a counter that it did not have, that was zero at the reading before.
pub fn summarize(index: usize, source: &TelemetrySource, samples: &[Sample], window: Window) -> Vec<Series> {
    let roles = roles(source);
    let mut pages = Pages::of(source);
    let mut points: HashMap<(u32, u32), Vec<Point>> = HashMap::new();
    for sample in samples {
        let Some(role) = roles.get(sample.metric as usize) else { continue };
        let outside = sample.at_ns < window.start_ns || sample.at_ns > window.end_ns;
        if sample.entity as usize >= source.entities.len() || !sample.value.is_finite() {
            continue;
        }
        pages.read(sample);
        if *role != Role::Level || !outside {
            let point = Point { at_ns: sample.at_ns, value: sample.value };
            points.entry((sample.metric, sample.entity)).or_default().push(point);
        }
    }
    pages.finish();

    // In order, so that of things that a catalogue names twice it is always the same one that stays.
    let points: BTreeMap<_, _> = points.into_iter().collect();
    let mut found = BTreeMap::new();
    let mut histograms: BTreeMap<(usize, usize), Parts<'_>> = BTreeMap::new();
    let mut bounds = None;
    for ((metric, entity), points) in points {
        let (metric, entity) = (metric as usize, entity as usize);
        let series = Series { source: index, metric, entity, ..Series::default() };
        let events = |points| pages.since_birth(Counter::new(points), entity, window).events(window);
        let series = match roles[metric] {
            Role::Level => Some(Series { gauge: Some(level(&points)), ..series }),
            Role::Events => counted(series, events(points), window),
            Role::Energy => counted(series, Counter::new(points).energy(window), window),
            Role::Buckets => {
                let bounds: &Vec<_> = bounds.get_or_insert_with(|| self::bounds(source));
                if let (Some(bound), Some(count)) = (&bounds[entity], events(points)) {
                    let parts = histograms.entry((metric, bound.base)).or_default();
                    parts.buckets.push((bound.value, bound.text, count));
                }
                None
            }
            Role::SumOf(histogram) => {
                histograms.entry((histogram, entity)).or_default().sum = events(points);
                None
            }
        };
        found.extend(series.map(|series| ((metric, entity), series)));
    }
    for ((metric, entity), parts) in histograms {
        let series = Series { source: index, metric, entity, ..Series::default() };
        let histogram = parts.histogram(window).map(|histogram| Series { histogram: Some(histogram), ..series });
        found.extend(histogram.map(|series| ((metric, entity), series)));
    }
    found.into_values().collect()
}

/// What the samples of a metric are.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Level,
    Events,
    Energy,
    Buckets,
    /// The sum of what a histogram, told by its place, observed.
    SumOf(usize),
}

fn roles(source: &TelemetrySource) -> Vec<Role> {
    let histograms = source.metrics.iter().enumerate().filter(|(_, metric)| metric.kind == "histogram");
    let histograms: HashMap<_, _> = histograms.map(|(index, metric)| (metric.name.as_str(), index)).collect();
    let role = |(name, unit, kind): (&str, &str, &str)| match kind {
        "histogram" => Role::Buckets,
        "counter" => match name.strip_suffix("_sum").and_then(|name| histograms.get(name)) {
            Some(&histogram) => Role::SumOf(histogram),
            None if joules(unit).is_some() => Role::Energy,
            None => Role::Events,
        },
        _ => Role::Level,
    };
    source.metrics.iter().map(|metric| role((&metric.name, &metric.unit, &metric.kind))).collect()
}

/// What a bucket counts up to, and whose it is.
struct Bound<'s> {
    value: f64,
    text: &'s str,
    base: usize,
}

/// The bounds of those entities that have one, and an entity that is like them but for it.
fn bounds(source: &TelemetrySource) -> Vec<Option<Bound<'_>>> {
    let mut bases = HashMap::new();
    for (index, entity) in source.entities.iter().enumerate().filter(|(_, entity)| !entity.labels.contains_key("le")) {
        bases.entry(entity.labels.iter().collect::<Vec<_>>()).or_insert(index);
    }
    let bounds = source.entities.iter().map(|entity| {
        let text = entity.labels.get("le")?;
        let value = text.parse().ok().filter(|&value| value > f64::NEG_INFINITY)?;
        let others: Vec<_> = entity.labels.iter().filter(|(name, _)| *name != "le").collect();
        Some(Bound { value, text, base: *bases.get(&others)? })
    });
    bounds.collect()
}

/// When the pages that servers show their counters on were read. Other counters than servers' do not begin at zero.
struct Pages {
    /// The page of each entity; empty if that is not to be known.
    of: Vec<usize>,
    /// When each page was read.
    times: Vec<Vec<u64>>,
}

impl Pages {
    fn of(source: &TelemetrySource) -> Self {
        let mut names = HashMap::new();
        let mut of = Vec::new();
        if source.subject == Subject::Server {
            for entity in &source.entities {
                let next = names.len();
                of.push(*names.entry(entity.labels.get("source")).or_insert(next));
            }
        }
        Self { of, times: vec![Vec::new(); names.len()] }
    }

    fn read(&mut self, sample: &Sample) {
        let Some(&page) = self.of.get(sample.entity as usize) else { return };
        let times = &mut self.times[page];
        if times.last() != Some(&sample.at_ns) {
            times.push(sample.at_ns);
        }
    }

    fn finish(&mut self) {
        for times in &mut self.times {
            times.sort_unstable();
            times.dedup();
        }
    }

    /// `counter`, beginning with zero if its page had been read before without showing it.
    fn since_birth(&self, mut counter: Counter, entity: usize, window: Window) -> Counter {
        let times = self.of.get(entity).map_or(&[][..], |&page| &self.times[page]);
        // A page that was first reached in the middle of the window shows counters that are old.
        let known = times.first().is_some_and(|&first| first <= window.start_ns);
        if let Some(born) = counter.first_ns().filter(|_| known)
            && let Some(before) = times.partition_point(|&at| at < born).checked_sub(1)
        {
            counter.begin(times[before]);
        }
        counter
    }
}

fn counted(series: Series, total: Option<f64>, window: Window) -> Option<Series> {
    let counter = Some(increase(total?, window)?);
    Some(Series { counter, ..series })
}

/// The statistics of a level, of which there is at least one sample.
fn level(points: &[Point]) -> Stats {
    let mut values: Vec<f64> = points.iter().map(|point| point.value).collect();
    let stats = stats::of(&mut values);
    let n = values.len() as f64;
    // The samples are a few of the many values it had, so the spread of all is estimated.
    let std = stats.std.filter(|_| n > 1.0).map(|std| std * (n / (n - 1.0)).sqrt());
    numbers(Stats { std, ..stats })
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::testing::MS;
    use proptest::prelude::*;

    const WINDOW: Window = Window { start_ns: 1000 * MS, end_ns: 3000 * MS };

    fn server(metrics: &[(&str, &str, &str)], entities: &[&[(&str, &str)]]) -> TelemetrySource {
        TelemetrySource { subject: Subject::Server, ..source(metrics, entities) }
    }

    /// A histogram on four bounds with its sum, beside a level and two counters.
    fn page() -> TelemetrySource {
        let metrics = [
            ("latency_seconds", "s", "histogram"),
            ("latency_seconds_sum", "s", "counter"),
            ("requests", "requests", "counter"),
            ("running", "requests", "gauge"),
            ("energy", "MJ", "counter"),
        ];
        let model = ("model", "m");
        server(
            &metrics,
            &[
                &[model],
                &[model, ("le", "0.1")],
                &[("le", "0.5"), model],
                &[("le", "+Inf"), model],
                &[("le", "what?"), model],
                &[("le", "+Inf"), ("model", "of nobody")],
            ],
        )
    }

    #[test]
    fn levels_are_those_of_the_window_alone() {
        let source = page();
        let level = |points| summarize(7, &source, &samples(3, 0, points), WINDOW);
        let found = level(&[(999, 0.0), (1000, 3.0), (1500, f64::NAN), (2000, 5.0), (3000, 10.0), (3001, 0.0)]);
        assert_eq!((found.len(), found[0].source, found[0].metric, found[0].entity), (1, 7, 3, 0));
        let stats = found[0].gauge.unwrap();
        assert_eq!((stats.avg, stats.min, stats.max), (Some(6.0), Some(3.0), Some(10.0)));
        assert_eq!((stats.count, stats.sum, stats.p50, stats.p25), (Some(3), Some(18.0), Some(5.0), Some(4.0)));
        // Distances 3, 1 and 4: 26 by two.
        assert!((stats.std.unwrap() - 13_f64.sqrt()).abs() < 1e-12);

        assert_eq!(level(&[(1200, 4.0)])[0].gauge.map(|stats| (stats.avg, stats.std)), Some((Some(4.0), None)));
        assert_eq!(level(&[(999, 4.0), (3001, 4.0)]), []);
    }

    #[test]
    fn counters_have_growth_and_a_rate_over_the_window() {
        let found = summarize(0, &page(), &samples(2, 0, &[(990, 10.0), (2000, 30.0), (3004, 50.0)]), WINDOW);
        assert_eq!(found[0].counter.map(|growth| (growth.total, growth.rate)), Some((40.0, Some(20.0))));
        let instant = Window { end_ns: WINDOW.start_ns, ..WINDOW };
        let found = summarize(0, &page(), &samples(2, 0, &[(990, 10.0), (3004, 50.0)]), instant);
        assert_eq!(found[0].counter.map(|growth| (growth.total, growth.rate)), Some((40.0, None)));
    }

    #[test]
    fn counters_of_energy_are_interpolated_at_the_edges() {
        let found = summarize(0, &page(), &samples(4, 0, &[(800, 1.0), (1200, 1.4), (2900, 3.1), (3100, 3.3)]), WINDOW);
        assert!((found[0].counter.unwrap().total - 2.0).abs() < 1e-12, "1 MJ a second");
    }

    #[test]
    fn buckets_and_their_sum_are_one_histogram_of_the_entity_without_bound() {
        let buckets = [(1, 4.0), (2, 10.0), (3, 20.0), (4, 99.0), (5, 99.0)];
        let mut all: Vec<_> = buckets
            .iter()
            .flat_map(|&(entity, count)| samples(0, entity, &[(999, 5.0), (3001, 5.0 + count)]))
            .collect();
        all.extend(samples(1, 0, &[(999, 1.0), (3001, 9.0)]));
        let found = summarize(0, &page(), &all, WINDOW);
        assert_eq!((found.len(), found[0].metric, found[0].entity), (1, 0, 0), "what is nobody's has no series");
        let histogram = found[0].histogram.clone().unwrap();
        assert_eq!((histogram.count.total, histogram.count.rate), (20.0, Some(10.0)));
        assert_eq!((histogram.sum.map(|sum| sum.total), histogram.avg), (Some(8.0), Some(0.4)));
        let bounds: Vec<_> = histogram.buckets.iter().map(|bucket| (bucket.le.as_str(), bucket.count)).collect();
        assert_eq!(bounds, [("0.1", 4.0), ("0.5", 10.0), ("+Inf", 20.0)]);
    }

    #[test]
    fn a_counter_that_appears_with_its_first_event_began_at_zero() {
        let pages: [&[(&str, &str)]; 3] =
            [&[("source", "a")], &[("source", "a"), ("status", "2xx")], &[("source", "b"), ("status", "2xx")]];
        let metrics = [("up", "", "gauge"), ("http_requests", "requests", "counter")];
        let mut all = samples(0, 0, &[(700, 1.0), (1002, 1.0), (1335, 1.0), (1668, 1.0), (3001, 1.0)]);
        all.extend(samples(1, 1, &[(1335, 4.0), (1668, 8.0), (3001, 40.0)]));
        all.extend(samples(1, 2, &[(1335, 5004.0), (3001, 5040.0)]));
        let totals = |source: &TelemetrySource| {
            let found = summarize(0, source, &all, WINDOW).into_iter();
            found.filter_map(|series| Some((series.entity, series.counter?.total))).collect::<Vec<_>>()
        };
        // Page b was not reached before: its counters may be old.
        assert_eq!(totals(&server(&metrics, &pages)), [(1, 40.0), (2, 36.0)]);
        assert_eq!(totals(&source(&metrics, &pages)), [(1, 36.0), (2, 36.0)], "devices count since they were made");
    }

    /// Samples near [`page`] and WINDOW, or far from both.
    fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
        let odd = prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::MAX, f64::MIN, -1.0, 0.0, -0.0]);
        let value = prop_oneof![8 => 0.0..1e4_f64, 1 => odd];
        let at = prop_oneof![8 => (0..40_u64).prop_map(|n| n * 100 * MS), 1 => any::<u64>()];
        let sample = (0..6_u32, 0..7_u32, at, value);
        let sample = sample.prop_map(|(metric, entity, at_ns, value)| Sample { metric, entity, at_ns, value });
        prop::collection::vec(sample, 0..200)
    }

    proptest! {
        #[test]
        fn the_order_of_samples_does_not_matter(
            (samples, shuffled) in any_samples().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        ) {
            prop_assert_eq!(summarize(0, &page(), &samples, WINDOW), summarize(0, &page(), &shuffled, WINDOW));
        }

        #[test]
        fn whatever_is_sampled_the_figures_are_numbers_and_histograms_add_up(
            samples in any_samples(),
            edges in prop::sample::select(vec![(1000, 3000), (1000, 1000), (3000, 1000), (0, u64::MAX / MS)]),
        ) {
            let window = Window { start_ns: edges.0 * MS, end_ns: edges.1 * MS };
            for series in summarize(0, &page(), &samples, window) {
                let increases = [series.counter, series.histogram.as_ref().map(|histogram| histogram.count)];
                for increase in increases.into_iter().flatten() {
                    prop_assert!(increase.total.is_finite() && increase.total >= 0.0);
                    prop_assert!(increase.rate.is_none_or(f64::is_finite));
                }
                let stats = series.gauge.iter().flat_map(|stats| [stats.avg, stats.std, stats.sum, stats.p99]);
                prop_assert!(stats.flatten().all(f64::is_finite));
                if let Some(histogram) = series.histogram {
                    prop_assert!(histogram.buckets.windows(2).all(|pair| pair[0].count <= pair[1].count));
                    let last = histogram.buckets.last().map(|bucket| (bucket.le.as_str(), bucket.count));
                    prop_assert_eq!(last, Some(("+Inf", histogram.count.total)));
                    let e = histogram.estimates;
                    let rising: Vec<_> = [e.p1, e.p25, e.p50, e.p75, e.p99].into_iter().map_while(|known| known).collect();
                    prop_assert!(rising.windows(2).all(|pair| pair[0] <= pair[1]));
                }
            }
        }
    }
}
