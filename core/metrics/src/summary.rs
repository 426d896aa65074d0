//! [`Summary`]: takes the rows of a phase and finishes into its metrics.

use crate::{
    Options, Window,
    context::Context,
    definitions::{Scope, definitions},
    gaps::{EXACT_GAPS, Gaps, Place},
    stats, sweep,
    totals::Totals,
};
use inferometer_abi::documents::{MetricInfo, MetricResult, Outcomes, Stats};
use inferometer_abi::types::Outcome;
use inferometer_model::Row;
use std::collections::BTreeMap;

/// Metrics that also come with every failure counted as endless.
const ADJUSTED: &[&str] = &["request_latency", "time_to_first_token", "decode_duration", "inter_token_latency"];

/// What a phase has shown so far.
///
/// It keeps a row (216 bytes) for every success and failure, and the gaps between content events: up to four million of
/// them one by one (32 MB). When there are more, a histogram of three significant digits takes their place (below 1 MB):
/// the percentiles of `inter_chunk_latency` are then read from it, and in the curves over time the tokens of an answer
/// are spread evenly over its decode. Finishing takes about 60 bytes more for every change of these curves: three to
/// five a success, and one for each gap that is kept.
pub struct Summary {
    options: Options,
    rows: Vec<(Row, Place)>,
    gaps: Gaps,
    outcomes: Outcomes,
    window: Option<Window>,
}

/// What a phase has shown.
#[derive(Clone, Debug, Default)]
pub struct PhaseMetrics {
    /// First intended send to last end; absent if nothing was sent.
    pub window: Option<Window>,
    /// How the arrivals ended.
    pub outcomes: Outcomes,
    /// The metrics that were measured, by tag.
    pub metrics: BTreeMap<String, MetricResult>,
}

impl Summary {
    /// One of no arrivals.
    pub fn new(options: Options) -> Self {
        Self::with_exact_gaps(options, EXACT_GAPS)
    }

    fn with_exact_gaps(options: Options, limit: usize) -> Self {
        Self { options, rows: Vec::new(), gaps: Gaps::new(limit), outcomes: Outcomes::default(), window: None }
    }

    /// Adds an arrival, and the times between its content events in nanoseconds.
    pub fn push(&mut self, row: &Row, gaps_ns: &[u64]) {
        self.outcomes.add(row.outcome);
        self.window = Window::join(self.window, Window::of(row));
        if row.is_ok() {
            self.rows.push((*row, self.gaps.push(gaps_ns)));
        } else if !matches!(row.outcome, Outcome::CANCELLED | Outcome::DROPPED) {
            self.rows.push((*row, Place::default()));
        }
    }

    /// Adds what another summary of the same run has seen, as if its arrivals had been pushed here.
    pub fn merge(&mut self, other: Self) {
        let (a, b) = (&mut self.outcomes, other.outcomes);
        a.total += b.total;
        a.ok += b.ok;
        a.error += b.error;
        a.cancelled += b.cancelled;
        a.dropped += b.dropped;
        self.window = Window::join(self.window, other.window);
        let by = self.gaps.merge(other.gaps);
        self.rows.extend(other.rows.into_iter().map(|(row, place)| (row, place.moved(by))));
    }

    /// The metrics of everything that was pushed.
    pub fn finish(self) -> PhaseMetrics {
        let mut metrics = BTreeMap::new();
        let mut add = |metric: MetricResult| {
            if metric.stats != Stats::default() {
                metrics.insert(metric.info.tag.clone(), metric);
            }
        };
        let errors = self.outcomes.error;
        let mut column = Vec::new();
        for definition in definitions(&self.options) {
            column.clear();
            let rows = self.rows.iter().filter(|(row, _)| row.is_ok() != (definition.scope == Scope::Failure));
            column.extend(rows.filter_map(|(row, _)| definition.of(&Context::service(&self.options, row))));
            add(MetricResult { info: definition.info(), stats: stats::of(&mut column) });
            if errors > 0 && !column.is_empty() && ADJUSTED.contains(&definition.tag) {
                let (tag, header) =
                    (format!("adj_{}", definition.tag), format!("Error-Adjusted {}", definition.header));
                let info = MetricInfo { tag, header, ..definition.info() };
                add(MetricResult { info, stats: stats::censored(&column, errors) });
            }
        }
        drop(column);
        if self.options.streaming && self.options.produces_tokens {
            let (tag, header) = ("inter_chunk_latency".to_owned(), "Inter Chunk Latency".to_owned());
            let info = MetricInfo { tag, header, unit: "ms".to_owned(), larger_is_better: false };
            add(MetricResult { info, stats: self.gaps.stats() });
        }
        let successes = || self.rows.iter().filter(|(row, _)| row.is_ok()).map(|(row, place)| (row, *place));
        if let Some(window) = self.window {
            sweep::metrics(&self.options, window, &self.gaps, successes()).into_iter().for_each(&mut add);
        }
        let sum = |tag: &str| metrics.get(tag).and_then(|metric: &MetricResult| metric.stats.sum);
        let totals = Totals { options: &self.options, outcomes: self.outcomes, window: self.window, sum: &sum };
        let totals = totals.metrics(successes().map(|(row, _)| row));
        metrics.extend(totals.into_iter().map(|metric| (metric.info.tag.clone(), metric)));
        PhaseMetrics { window: self.window, outcomes: self.outcomes, metrics }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Slos, TokenSource, testing::*};
    use inferometer_abi::types::{ABSENT_NS, NO_COUNT};
    use proptest::prelude::*;

    fn finished(options: &Options, arrivals: &[(Row, Vec<u64>)]) -> PhaseMetrics {
        summed(options, arrivals, EXACT_GAPS).finish()
    }

    fn summed(options: &Options, arrivals: &[(Row, Vec<u64>)], limit: usize) -> Summary {
        let mut summary = Summary::with_exact_gaps(options.clone(), limit);
        arrivals.iter().for_each(|(row, gaps)| summary.push(row, gaps));
        summary
    }

    fn avg(phase: &PhaseMetrics, tag: &str) -> Option<f64> {
        phase.metrics.get(tag).and_then(|metric| metric.stats.avg)
    }

    #[test]
    fn rates_divide_by_the_window_that_is_reported() {
        let late_failure = Row { end: 508 * MS, last_byte: 508 * MS, last: ABSENT_NS, ..failed() };
        let options = Options { slos: Some(Slos::parse("ttft:40").unwrap()), ..streaming() };
        let phase = finished(&options, &[(answered(), gaps()), (answered(), gaps()), (late_failure, vec![])]);
        assert_eq!(phase.window, Some(Window { start_ns: 8 * MS, end_ns: 508 * MS }));
        assert_eq!(avg(&phase, "benchmark_duration"), Some(0.5));
        assert_eq!(avg(&phase, "request_throughput"), Some(4.0));
        assert_eq!(avg(&phase, "output_token_throughput"), Some(16.0));
        assert_eq!(avg(&phase, "total_token_throughput"), Some(416.0));
        assert_eq!(avg(&phase, "goodput"), Some(4.0));
        assert_eq!(avg(&phase, "good_request_fraction"), Some(2.0 / 3.0));
        assert_eq!(avg(&phase, "request_error_rate"), Some(100.0 / 3.0));
        assert_eq!(avg(&phase, "error_request_count"), Some(1.0));
        assert_eq!(avg(&phase, "completed_request_count"), Some(3.0));
    }

    #[test]
    fn a_failure_has_a_duration_and_an_input_but_nothing_else() {
        let phase = finished(&streaming(), &[(failed(), gaps())]);
        let tags: Vec<_> = phase.metrics.keys().map(String::as_str).collect();
        assert_eq!(
            tags,
            [
                "benchmark_duration",
                "completed_request_count",
                "error_duration",
                "error_isl",
                "error_request_count",
                "request_count",
                "request_error_rate",
                "request_throughput",
                "total_error_isl",
            ]
        );
        assert_eq!(avg(&phase, "error_duration"), Some(101.0));
        assert_eq!(avg(&phase, "request_count"), Some(0.0));
    }

    #[test]
    fn adjusted_latencies_exist_only_beside_failures() {
        let good = vec![(answered(), gaps()); 9];
        assert!(!finished(&streaming(), &good).metrics.keys().any(|tag| tag.starts_with("adj_")));
        let phase = finished(&streaming(), &[good, vec![(failed(), vec![])]].concat());
        let adjusted: Vec<_> = phase.metrics.keys().filter(|tag| tag.starts_with("adj_")).collect();
        let expected =
            ["adj_decode_duration", "adj_inter_token_latency", "adj_request_latency", "adj_time_to_first_token"];
        assert_eq!(adjusted, expected);
        let stats = phase.metrics["adj_request_latency"].stats;
        assert_eq!((stats.p75, stats.p90, stats.count), (Some(100.0), None, Some(10)));
    }

    #[test]
    fn a_run_that_does_not_stream_has_no_first_tokens() {
        let options = Options { streaming: false, ..streaming() };
        let phase = finished(&options, &[(answered(), vec![])]);
        assert_eq!(avg(&phase, "request_latency"), Some(101.0), "to the end");
        assert_eq!(avg(&phase, "output_sequence_length"), Some(4.0));
        assert!(phase.metrics.contains_key("effective_concurrency"));
        for tag in phase.metrics.keys() {
            let streamed = ["first", "second", "decode", "prefill", "inter_", "in_flight", "active_", "per_user"];
            assert!(!streamed.iter().any(|part| tag.contains(part)), "{tag}");
        }
    }

    #[test]
    fn an_endpoint_without_tokens_has_no_token_metrics() {
        let options = Options { produces_tokens: false, tokenizes_input: false, ..streaming() };
        let row = Row { requested_output: 9, local_prompt: 100, local_output: 4, ..answered() };
        let phase = finished(&options, &[(row, gaps())]);
        for tag in phase.metrics.keys() {
            assert!(!["token", "isl", "osl", "usage", "length"].iter().any(|part| tag.contains(part)), "{tag}");
        }
    }

    #[test]
    fn nothing_sent_means_no_window_and_no_rates() {
        let dropped = Row { outcome: Outcome::DROPPED, intended: 5, ..Row::EMPTY };
        let phase = finished(&streaming(), &[(dropped, vec![])]);
        assert_eq!((phase.window, phase.outcomes.dropped), (None, 1));
        assert_eq!(phase.metrics.keys().collect::<Vec<_>>(), ["completed_request_count", "request_count"]);
    }

    #[test]
    fn wrong_lengths_and_disagreeing_counts_are_counted() {
        let asked = |requested_output, usage_completion| Row { requested_output, usage_completion, ..answered() };
        // 5 % of 100 are 5 tokens; of 2000 they would be 100, but 50 are the most.
        let rows = [asked(100, 105), asked(100, 94), asked(2000, 2051), asked(2000, 1950), asked(0, 7)];
        let phase = finished(&streaming(), &rows.map(|row| (row, gaps())));
        assert_eq!(avg(&phase, "osl_mismatch_count"), Some(2.0));
        assert_eq!(avg(&phase, "usage_discrepancy_count"), None, "there is nothing to compare with");

        let counted = |local_output, local_prompt| Row { local_output, local_prompt, ..answered() };
        let rows = [counted(4, 100), counted(5, 100), counted(4, 80), counted(NO_COUNT, 95)];
        let phase = finished(&streaming(), &rows.map(|row| (row, gaps())));
        assert_eq!(avg(&phase, "usage_discrepancy_count"), Some(2.0));
        let server_only = Options { token_source: TokenSource::ServerOnly, ..streaming() };
        assert_eq!(avg(&finished(&server_only, &rows.map(|row| (row, gaps()))), "usage_discrepancy_count"), None);
    }

    #[test]
    fn cache_reads_are_a_share_of_all_prompt_tokens() {
        let rows = [Row { usage_cached: 60, ..answered() }, Row { usage_cached: 0, ..answered() }];
        let phase = finished(&streaming(), &rows.map(|row| (row, gaps())));
        assert_eq!(avg(&phase, "overall_usage_prompt_cache_read_pct"), Some(30.0));
    }

    #[test]
    fn stamps_out_of_order_do_no_harm() {
        let odd = Row { permitted: 500 * MS, intended: 900 * MS, first: MS, last: 0, end: 2 * MS, ..answered() };
        let full = Row { first: 0, last: u64::MAX - 1, end: u64::MAX - 1, usage_prompt: u32::MAX - 1, ..answered() };
        let phase = finished(&streaming(), &[(odd, vec![u64::MAX, u64::MAX]), (full, gaps())]);
        assert_eq!(phase.outcomes.ok, 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn merged_shards_equal_the_whole_in_any_order(
            arrivals in arrivals(0..40),
            shards in 1..5_usize,
            limit in prop::sample::select(vec![0_usize, 20, 4_000]),
        ) {
            let whole = summed(&streaming(), &arrivals, limit).finish();
            let mut merged = Summary::with_exact_gaps(streaming(), limit);
            for shard in (0..shards).rev() {
                let part: Vec<_> = arrivals.iter().skip(shard).step_by(shards).cloned().collect();
                merged.merge(summed(&streaming(), &part, limit));
            }
            let merged = merged.finish();
            prop_assert_eq!(whole.window, merged.window);
            prop_assert_eq!(whole.outcomes, merged.outcomes);
            prop_assert_eq!(whole.metrics, merged.metrics);
        }

        #[test]
        fn every_arrival_is_counted_once(arrivals in arrivals(0..60)) {
            let o = finished(&streaming(), &arrivals).outcomes;
            prop_assert_eq!(o.ok + o.error + o.cancelled + o.dropped, o.total);
            prop_assert_eq!(o.total, arrivals.len() as u64);
        }

        #[test]
        fn failures_never_change_the_statistics_of_successes(arrivals in arrivals(1..40)) {
            let successes: Vec<_> = arrivals.iter().filter(|(row, _)| row.is_ok()).cloned().collect();
            let (with, without) = (finished(&streaming(), &arrivals), finished(&streaming(), &successes));
            // Statistics over requests have a count; rates and curves share the window with failures.
            for (tag, metric) in without.metrics.iter().filter(|(_, metric)| metric.stats.count.is_some()) {
                prop_assert_eq!(metric, &with.metrics[tag]);
            }
        }
    }
}
