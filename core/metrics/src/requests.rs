//! [`Requests`]: the requests of a phase whose metrics have statistics. Kept while there are few of them, counted when
//! there are many.

use crate::{
    Options,
    context::Context,
    counted::Counted,
    definitions::{Definition, definitions},
    stats,
    times::Place,
};
use inferometer_abi::documents::{MetricInfo, MetricResult, Stats};
use inferometer_model::Row;

/// Up to this many successes and failures of a phase, the statistics of every metric are computed from all its values.
/// Beyond, percentiles come from histograms of three significant digits; count, sum, mean, deviation, minimum and
/// maximum stay exact.
pub const EXACT_REQUESTS: u64 = 100_000;

/// Metrics that also come with every failure counted as endless.
const ADJUSTED: &[&str] = &["request_latency", "time_to_first_token", "decode_duration", "inter_token_latency"];

/// So many metrics are computed in one pass over the rows: enough to look at them seldom, few enough for little memory.
const AT_ONCE: usize = 8;

/// Successes and failures.
pub(crate) enum Requests {
    /// One by one, with the place of their gaps.
    Kept(Vec<(Row, Place)>),
    /// A count for each definition that holds in the run.
    Counted(Vec<Counted>),
}

impl Requests {
    /// Those that are kept, if they are.
    pub(crate) fn kept(&self) -> Option<&[(Row, Place)]> {
        match self {
            Self::Kept(rows) => Some(rows),
            Self::Counted(_) => None,
        }
    }

    /// Adds one; counts all if there are more than `limit`.
    pub(crate) fn push(&mut self, options: &Options, limit: usize, row: &Row, place: Place) {
        match self {
            Self::Kept(rows) if rows.len() < limit => rows.push((*row, place)),
            _ => count(options, self.counted(options), row),
        }
    }

    /// Adds others of the same run, whose gaps have moved `by` so much.
    pub(crate) fn merge(&mut self, options: &Options, limit: usize, other: Self, by: u32) {
        match (&mut *self, other) {
            (Self::Kept(rows), Self::Kept(more)) if rows.len() + more.len() <= limit => {
                rows.extend(more.into_iter().map(|(row, place)| (row, place.moved(by))));
            }
            (_, Self::Kept(more)) => {
                let counts = self.counted(options);
                more.iter().for_each(|(row, _)| count(options, counts, row));
            }
            (_, Self::Counted(more)) => {
                self.counted(options).iter_mut().zip(&more).for_each(|(counted, more)| counted.merge(more));
            }
        }
    }

    /// The counts, which it turns into if it is not.
    fn counted(&mut self, options: &Options) -> &mut Vec<Counted> {
        if let Self::Kept(rows) = self {
            let mut counts: Vec<_> = definitions(options).map(|definition| Counted::new(definition.unit)).collect();
            rows.iter().for_each(|(row, _)| count(options, &mut counts, row));
            *self = Self::Counted(counts);
        }
        match self {
            Self::Counted(counts) => counts,
            Self::Kept(_) => unreachable!("it was turned into counts just now"),
        }
    }

    /// The metrics that were measured, of a phase in which `errors` requests failed.
    pub(crate) fn metrics(&self, options: &Options, errors: u64) -> Vec<MetricResult> {
        let all: Vec<_> = definitions(options).collect();
        let mut metrics = Vec::new();
        let mut add = |definition: &Definition, stats: Stats, censored: &dyn Fn() -> Stats| {
            if stats.count.is_none() {
                return;
            }
            metrics.push(MetricResult { info: definition.info(), stats });
            if errors > 0 && ADJUSTED.contains(&definition.tag) {
                let (tag, header) =
                    (format!("adj_{}", definition.tag), format!("Error-Adjusted {}", definition.header));
                let info = MetricInfo { tag, header, ..definition.info() };
                metrics.push(MetricResult { info, stats: censored() });
            }
        };
        match self {
            Self::Kept(rows) => {
                let mut columns = vec![Vec::new(); AT_ONCE];
                for some in all.chunks(AT_ONCE) {
                    fill(options, rows, some, &mut columns);
                    for (definition, column) in some.iter().zip(&mut columns) {
                        let stats = stats::of(column);
                        add(definition, stats, &|| stats::censored(column, errors));
                    }
                }
            }
            Self::Counted(counts) => {
                for (definition, counted) in all.iter().zip(counts) {
                    add(definition, counted.stats(), &|| counted.censored(errors));
                }
            }
        }
        metrics
    }
}

/// Puts the values of each definition into its column.
fn fill(options: &Options, rows: &[(Row, Place)], definitions: &[&Definition], columns: &mut [Vec<f64>]) {
    columns.iter_mut().for_each(Vec::clear);
    for (row, _) in rows {
        let context = Context::service(options, row);
        for (definition, column) in definitions.iter().zip(&mut *columns) {
            column.extend(definition.of(&context));
        }
    }
}

/// Adds the values of a row to the counts.
fn count(options: &Options, counts: &mut [Counted], row: &Row) {
    let context = Context::service(options, row);
    for (definition, counted) in definitions(options).zip(counts) {
        if let Some(value) = definition.of(&context) {
            counted.add(value);
        }
    }
}
