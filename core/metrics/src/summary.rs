//! [`Summary`]: takes the rows of a phase and finishes into its metrics.

use crate::{
    Options, Window,
    curves::{Sampled, swept},
    requests::{EXACT_REQUESTS, Requests},
    times::{EXACT_TIMES, Times},
    totals::{Counts, Totals},
};
use inferometer_abi::documents::{MetricInfo, MetricResult, Outcomes, Stats};
use inferometer_abi::types::Outcome;
use inferometer_model::Row;
use std::collections::BTreeMap;

/// What a phase has shown so far, in memory that is bounded however many requests there are.
///
/// | what is kept | one by one up to | at | beyond, in all |
/// |---|---|---|---|
/// | requests that succeeded or failed | 100,000 ([`EXACT_REQUESTS`]) | 224 bytes each | 10 to 20 MB |
/// | gaps between content events | 100,000 | 8 bytes each | below 1 MB |
/// | changes of the curves over time | as long as both are | 56 bytes for each of 3 to 5 a request and 1 a gap, when it finishes | 10 MB, and 5 MB when it finishes |
///
/// As long as all are kept, every statistic is computed from all values. Beyond, percentiles are read from histograms
/// with three significant digits, while count, sum, mean, deviation, minimum and maximum stay exact.
///
/// The curves over time are then looked at in 100,000 to 260,000 equidistant moments. Averages over the whole window of
/// what adds up over requests (all but those per user) stay exact. Percentiles, extremes and deviations are those of the
/// values at these moments, and so are averages per user. The averages of `active_*` divide by the busy time, which is
/// known to about a thousandth then.
///
/// Which form a part has depends on nothing but how many requests and gaps there are, so that merged shards equal the
/// whole.
pub struct Summary {
    options: Options,
    limits: Limits,
    outcomes: Outcomes,
    window: Option<Window>,
    counts: Counts,
    requests: Requests,
    gaps: Times,
    /// None while the curves can be made from requests and gaps, all of which are then kept.
    curves: Option<Sampled>,
}

/// How many are kept one by one.
#[derive(Clone, Copy)]
struct Limits {
    requests: usize,
    gaps: usize,
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
        Self::with_limits(options, Limits { requests: EXACT_REQUESTS as usize, gaps: EXACT_TIMES })
    }

    fn with_limits(options: Options, limits: Limits) -> Self {
        Self {
            options,
            limits,
            outcomes: Outcomes::default(),
            window: None,
            counts: Counts::default(),
            requests: Requests::Kept(Vec::new()),
            gaps: Times::new(limits.gaps),
            curves: None,
        }
    }

    /// Adds an arrival, and the times between its content events in nanoseconds.
    pub fn push(&mut self, row: &Row, gaps_ns: &[u64]) {
        self.outcomes.add(row.outcome);
        self.window = Window::join(self.window, Window::of(row));
        if matches!(row.outcome, Outcome::CANCELLED | Outcome::DROPPED) {
            return;
        }
        let gaps_ns = if row.is_ok() { gaps_ns } else { &[] };
        self.make_room(1, Some(gaps_ns.len()));
        if row.is_ok() {
            self.counts.add(&self.options, row);
            if let Some(curves) = &mut self.curves {
                curves.add(&self.options, row, gaps_ns);
            }
        }
        let place = self.gaps.push(gaps_ns);
        self.requests.push(&self.options, self.limits.requests, row, place);
    }

    /// Adds what another summary of the same run has seen, as if its arrivals had been pushed here.
    pub fn merge(&mut self, mut other: Self) {
        let (a, b) = (&mut self.outcomes, other.outcomes);
        a.total += b.total;
        a.ok += b.ok;
        a.error += b.error;
        a.cancelled += b.cancelled;
        a.dropped += b.dropped;
        self.window = Window::join(self.window, other.window);
        self.counts.merge(other.counts);
        self.make_room(other.requests.kept().map_or(usize::MAX, <[_]>::len), other.gaps.exact());
        if let Some(curves) = &mut self.curves {
            curves.merge(other.take_curves());
        }
        let by = self.gaps.merge(other.gaps);
        self.requests.merge(&self.options, self.limits.requests, other.requests, by);
    }

    /// Turns to sampled curves if not all requests and gaps can be kept when there are so many more of them.
    fn make_room(&mut self, requests: usize, gaps: Option<usize>) {
        if self.curves.is_some() {
            return;
        }
        let kept = self.requests.kept().map_or(usize::MAX, <[_]>::len);
        let fit =
            kept.saturating_add(requests) <= self.limits.requests && gaps.is_some_and(|gaps| self.gaps.fits(gaps));
        if !fit {
            self.curves = Some(self.take_curves());
        }
    }

    /// The curves, sampled.
    fn take_curves(&mut self) -> Sampled {
        let kept = || Sampled::of(&self.options, successes(&self.requests, &self.gaps));
        self.curves.take().unwrap_or_else(kept)
    }

    /// The metrics of everything that was pushed.
    pub fn finish(self) -> PhaseMetrics {
        let Self { options, outcomes, window, counts, requests, gaps, curves, .. } = self;
        let mut metrics = requests.metrics(&options, outcomes.error);
        if options.streaming && options.produces_tokens {
            let (tag, header) = ("inter_chunk_latency".to_owned(), "Inter Chunk Latency".to_owned());
            let info = MetricInfo { tag, header, unit: "ms".to_owned(), larger_is_better: false };
            let measured = Some(gaps.stats()).filter(|stats| *stats != Stats::default());
            metrics.extend(measured.map(|stats| MetricResult { info, stats }));
        }
        metrics.extend(match (window, curves) {
            (None, _) => Vec::new(),
            (Some(window), Some(curves)) => curves.metrics(window),
            (Some(window), None) => swept(&options, window, successes(&requests, &gaps)),
        });
        let mut metrics: BTreeMap<_, _> = metrics.into_iter().map(|metric| (metric.info.tag.clone(), metric)).collect();
        let sum = |tag: &str| metrics.get(tag).and_then(|metric| metric.stats.sum);
        let totals = Totals { options: &options, outcomes, window, counts, sum: &sum }.metrics();
        metrics.extend(totals.into_iter().map(|metric| (metric.info.tag.clone(), metric)));
        PhaseMetrics { window, outcomes, metrics }
    }
}

/// The successes that are kept, and their gaps.
fn successes<'a>(requests: &'a Requests, gaps: &'a Times) -> impl Iterator<Item = (&'a Row, &'a [u64])> + Clone {
    let kept = requests.kept().unwrap_or_default();
    kept.iter().filter(|(row, _)| row.is_ok()).map(|(row, place)| (row, gaps.at(*place)))
}

#[cfg(test)]
mod laws;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Slos, TokenSource, testing::*};
    use inferometer_abi::types::{ABSENT_NS, NO_COUNT};

    fn finished(options: &Options, arrivals: &[(Row, Vec<u64>)]) -> PhaseMetrics {
        let mut summary = Summary::new(options.clone());
        arrivals.iter().for_each(|(row, gaps)| summary.push(row, gaps));
        summary.finish()
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
        for requests in [0, 1, 2] {
            let mut summary = Summary::with_limits(streaming(), Limits { requests, gaps: 10 });
            summary.push(&odd, &[u64::MAX, u64::MAX]);
            summary.push(&full, &gaps());
            assert_eq!(summary.finish().outcomes.ok, 2);
        }
    }
}
