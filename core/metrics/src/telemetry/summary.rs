//! [`summarize`]: from the readings of a source to what each of its metrics did.

use super::{
    Span,
    counter::{Counter, Growth, Point},
    histogram::Parts,
    increase, numbers,
    unit::joules,
};
use crate::{Window, stats};
use inferometer_abi::{
    documents::{Series, Stats, Subject, TelemetrySource},
    types::{Collection, Sample},
};
use std::collections::{BTreeMap, HashMap};

/// What was read of a source.
#[derive(Clone, Copy, Debug)]
pub struct Readings<'r> {
    /// The calls of its collector, in order.
    pub collections: &'r [Collection],
    /// What they gave, one after the other.
    pub samples: &'r [Sample],
}

impl<'r> Readings<'r> {
    /// Each sample with the collection that gave it.
    fn iter(self) -> impl Iterator<Item = (&'r Collection, &'r Sample)> {
        let mut rest = self.samples;
        self.collections.iter().flat_map(move |collection| {
            let (own, others) = rest.split_at(rest.len().min(collection.samples as usize));
            rest = others;
            own.iter().map(move |sample| (collection, sample))
        })
    }
}

/// What `readings` say of `source` within the window of `span`; `index` is the source's place in the report. In order of
/// metric and entity. What was not read has no series, and samples of nothing in the catalogue are passed over.
///
/// - Levels: statistics of the samples from the window's start to its end, both included, unweighted by time.
/// - Counters: growth from a reading known at the start to the first asked for at or after the end, so there should be
///   one right before and one right after; none if less than four fifths of the window were seen. Energy is interpolated
///   between samples instead. Both are explained in `counter.rs`.
/// - Histograms: growth of each bucket, like that of counters of events.
///
/// Servers show some counters only from their first event on (`http_requests_total` of a path and a status). Where a page
/// had been read at the window's start and later shows a counter that it did not have, that was zero at the reading before.
pub fn summarize(index: usize, source: &TelemetrySource, readings: Readings<'_>, span: Span) -> Vec<Series> {
    let window = span.window;
    let roles = roles(source);
    let page = Page::of(source, readings.collections);
    let mut points: HashMap<(u32, u32), Vec<Point>> = HashMap::new();
    for (collection, sample) in readings.iter() {
        let Some(role) = roles.get(sample.metric as usize) else { continue };
        let outside = sample.at_ns < window.start_ns || sample.at_ns > window.end_ns;
        if sample.entity as usize >= source.entities.len() || !sample.value.is_finite() {
            continue;
        }
        if *role != Role::Level || !outside {
            let point = Point::new(sample.at_ns, sample.value, collection);
            points.entry((sample.metric, sample.entity)).or_default().push(point);
        }
    }

    // In order, so that of things that a catalogue names twice it is always the same one that stays.
    let points: BTreeMap<_, _> = points.into_iter().collect();
    let mut found = BTreeMap::new();
    let mut histograms: BTreeMap<(usize, usize), (Parts<'_>, Window)> = BTreeMap::new();
    let nothing = || (Parts::default(), window);
    let mut bounds = None;
    for ((metric, entity), points) in points {
        let (metric, entity) = (metric as usize, entity as usize);
        let series = Series { source: index, metric, entity, ..Series::default() };
        let events = |points| page.since_birth(Counter::new(points), window).events(span);
        let series = match roles[metric] {
            Role::Level => Some(Series { gauge: Some(level(&points)), ..series }),
            Role::Events => counted(series, events(points)),
            Role::Energy => {
                let total = Counter::new(points).energy(window);
                counted(series, total.map(|total| Growth { total, over: window }))
            }
            Role::Buckets => {
                let bounds: &Vec<_> = bounds.get_or_insert_with(|| self::bounds(source));
                if let (Some(bound), Some(count)) = (&bounds[entity], events(points)) {
                    let (parts, over) = histograms.entry((metric, bound.base)).or_insert_with(nothing);
                    parts.buckets.push((bound.value, bound.text, count.total));
                    // That of the last bound stands for all; there is no histogram without it.
                    if bound.value == f64::INFINITY {
                        *over = count.over;
                    }
                }
                None
            }
            Role::SumOf(histogram) => {
                let sum = events(points).map(|growth| growth.total);
                histograms.entry((histogram, entity)).or_insert_with(nothing).0.sum = sum;
                None
            }
        };
        found.extend(series.map(|series| ((metric, entity), series)));
    }
    for ((metric, entity), (parts, over)) in histograms {
        let series = Series { source: index, metric, entity, ..Series::default() };
        let histogram = parts.histogram(over).map(|histogram| Series { histogram: Some(histogram), ..series });
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

/// The page that a server shows its counters on, by the calls that gave something of it; none for other sources, whose
/// counters do not begin at zero.
struct Page<'r>(Vec<&'r Collection>);

impl<'r> Page<'r> {
    fn of(source: &TelemetrySource, collections: &'r [Collection]) -> Self {
        let shown = collections.iter().filter(|collection| collection.samples > 0);
        Self(shown.filter(|_| source.subject == Subject::Server).collect())
    }

    /// `counter`, beginning with zero if the page had been read before without showing it.
    fn since_birth(&self, mut counter: Counter, window: Window) -> Counter {
        // A page that was first reached in the middle of the window shows counters that are old.
        let known = self.0.first().is_some_and(|first| first.ended_ns <= window.start_ns);
        if let Some(born) = counter.first().filter(|_| known)
            && let Some(before) = self.0.partition_point(|read| read.began_ns < born.asked_ns).checked_sub(1)
        {
            counter.begin(self.0[before]);
        }
        counter
    }
}

fn counted(series: Series, growth: Option<Growth>) -> Option<Series> {
    let growth = growth?;
    let counter = Some(increase(growth.total, growth.over)?);
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
        let level = |points| summed(7, &source, &samples(3, 0, points), WINDOW);
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
        let found = summed(0, &page(), &samples(2, 0, &[(990, 10.0), (2000, 30.0), (3004, 50.0)]), WINDOW);
        assert_eq!(found[0].counter.map(|growth| (growth.total, growth.rate)), Some((40.0, Some(20.0))));
        let instant = Window { end_ns: WINDOW.start_ns, ..WINDOW };
        let found = summed(0, &page(), &samples(2, 0, &[(990, 10.0), (3004, 50.0)]), instant);
        assert_eq!(found[0].counter.map(|growth| (growth.total, growth.rate)), Some((40.0, None)));
    }

    #[test]
    fn counters_of_energy_are_interpolated_at_the_edges() {
        let found = summed(0, &page(), &samples(4, 0, &[(800, 1.0), (1200, 1.4), (2900, 3.1), (3100, 3.3)]), WINDOW);
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
        let found = summed(0, &page(), &all, WINDOW);
        assert_eq!((found.len(), found[0].metric, found[0].entity), (1, 0, 0), "what is nobody's has no series");
        let histogram = found[0].histogram.clone().unwrap();
        assert_eq!((histogram.count.total, histogram.count.rate), (20.0, Some(10.0)));
        assert_eq!((histogram.sum.map(|sum| sum.total), histogram.avg), (Some(8.0), Some(0.4)));
        let bounds: Vec<_> = histogram.buckets.iter().map(|bucket| (bucket.le.as_str(), bucket.count)).collect();
        assert_eq!(bounds, [("0.1", 4.0), ("0.5", 10.0), ("+Inf", 20.0)]);
    }

    #[test]
    fn a_counter_that_appears_with_its_first_event_began_at_zero() {
        // What a server calls the source of a request says nothing of the page.
        let labels: [&[(&str, &str)]; 3] = [&[], &[("source", "chat"), ("status", "2xx")], &[("source", "other")]];
        let metrics = [("up", "", "gauge"), ("http_requests", "requests", "counter")];
        let mut all = samples(0, 0, &[(700, 1.0), (1002, 1.0), (1335, 1.0), (1668, 1.0), (3001, 1.0)]);
        all.extend(samples(1, 1, &[(1335, 4.0), (1668, 8.0), (3001, 40.0)]));
        all.extend(samples(1, 2, &[(700, 5004.0), (3001, 5040.0)]));
        let totals = |source: &TelemetrySource, samples: &[Sample]| {
            let found = summed(0, source, samples, WINDOW).into_iter();
            found.filter_map(|series| Some((series.entity, series.counter?.total))).collect::<Vec<_>>()
        };
        assert_eq!(totals(&server(&metrics, &labels), &all), [(1, 40.0), (2, 36.0)]);
        assert_eq!(
            totals(&source(&metrics, &labels), &all),
            [(1, 36.0), (2, 36.0)],
            "devices count since they were made"
        );
        all.retain(|sample| sample.at_ns > 1100 * MS);
        assert_eq!(totals(&server(&metrics, &labels), &all), [(1, 36.0)], "a page not reached before may be old");
    }

    #[test]
    fn rates_are_by_the_time_that_was_seen() {
        let found = summed(0, &page(), &samples(2, 0, &[(1200, 10.0), (2000, 30.0), (3004, 46.0)]), WINDOW);
        assert_eq!(found[0].counter.map(|growth| (growth.total, growth.rate)), Some((36.0, Some(20.0))));
        let counts = [(1200, 10.0), (3004, 46.0)];
        let found = summed(0, &page(), &samples(0, 3, &counts), WINDOW);
        let count = found[0].histogram.as_ref().map(|histogram| histogram.count);
        assert_eq!(count.map(|growth| (growth.total, growth.rate)), Some((36.0, Some(20.0))));
        assert_eq!(summed(0, &page(), &samples(2, 0, &[(1500, 10.0), (3004, 46.0)]), WINDOW), []);
    }

    #[test]
    fn levels_are_those_of_their_own_time_and_not_of_when_they_were_asked_for() {
        let level = |ms: u64, value| Sample { metric: 3, entity: 0, at_ns: ms * MS, value };
        let read = |began: u64, ended: u64| Collection {
            began_ns: began * MS,
            ended_ns: ended * MS,
            samples: 1,
            ..Collection::default()
        };
        let collections = [read(900, 1300), read(1300, 1700), read(2900, 3300)];
        let samples = [level(1290, 4.0), level(1690, 8.0), level(3290, 0.0)];
        let readings = Readings { collections: &collections, samples: &samples };
        let found = summarize(0, &page(), readings, Span::alone(WINDOW));
        assert_eq!(found[0].gauge.and_then(|stats| stats.avg), Some(6.0));
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
            prop_assert_eq!(summed(0, &page(), &samples, WINDOW), summed(0, &page(), &shuffled, WINDOW));
        }

        #[test]
        fn whatever_is_sampled_the_figures_are_numbers_and_histograms_add_up(
            samples in any_samples(),
            edges in prop::sample::select(vec![(1000, 3000), (1000, 1000), (3000, 1000), (0, u64::MAX / MS)]),
        ) {
            let window = Window { start_ns: edges.0 * MS, end_ns: edges.1 * MS };
            for series in summed(0, &page(), &samples, window) {
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
