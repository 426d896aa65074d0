//! Metrics that are one number for a whole phase: counts, totals and rates. Each is stored as an average alone.

use crate::{
    Options, TokenSource, Window,
    context::{Context, count, difference, length_mismatch},
};
use inferometer_abi::documents::{MetricInfo, MetricResult, Outcomes, Stats};
use inferometer_model::Row;

/// An answer's length is wrong when it is off by more than this share of the length asked for …
const LENGTH_SHARE: f64 = 0.05;
/// … or by more than this many tokens, whichever is less.
const LENGTH_TOKENS: f64 = 50.0;
/// Counts of server and local tokenizer disagree when they differ by more per cent than this.
const USAGE_PERCENT: f64 = 10.0;

/// What has to be asked of every success, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    good: u64,
    wrong_length: Share,
    discrepancy: Share,
}

/// For how many requests a question is answered with yes, and whether it can be answered for any.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    yes: u64,
    known: bool,
}

impl Share {
    fn add(&mut self, answer: Option<bool>) {
        self.known |= answer.is_some();
        self.yes += u64::from(answer == Some(true));
    }

    fn merge(&mut self, other: Self) {
        self.known |= other.known;
        self.yes += other.yes;
    }

    fn figure(self) -> Option<f64> {
        self.known.then_some(self.yes as f64)
    }
}

impl Counts {
    /// Adds a row that ended well.
    pub(crate) fn add(&mut self, options: &Options, row: &Row) {
        let context = Context::service(options, row);
        self.good += u64::from(options.slos.as_ref().is_some_and(|slos| slos.met(options, row)));
        self.wrong_length.add(wrong_length(options, &context));
        self.discrepancy.add(discrepancy(options, &context));
    }

    /// Adds those of other rows of the same run.
    pub(crate) fn merge(&mut self, other: Self) {
        self.good += other.good;
        self.wrong_length.merge(other.wrong_length);
        self.discrepancy.merge(other.discrepancy);
    }
}

/// Whether an answer is not as long as asked for.
fn wrong_length(options: &Options, context: &Context<'_>) -> Option<bool> {
    let asked = f64::from(context.row().requested_output);
    let off = length_mismatch(context).filter(|_| options.produces_tokens)?.abs() / 100.0 * asked;
    Some(off > (LENGTH_SHARE * asked).min(LENGTH_TOKENS))
}

/// Whether the server and the local tokenizer count its tokens differently.
fn discrepancy(options: &Options, context: &Context<'_>) -> Option<bool> {
    if options.token_source == TokenSource::ServerOnly {
        return None;
    }
    let row = context.row();
    let input = difference(row.usage_prompt, count(row.local_prompt)).filter(|_| options.tokenizes_input);
    let output = [
        difference(row.usage_completion, context.local_output()),
        difference(row.usage_reasoning, count(row.local_reasoning)),
    ];
    let output = output.map(|known| known.filter(|_| options.produces_tokens));
    let largest = [input, output[0], output[1]].into_iter().flatten().reduce(f64::max)?;
    Some(largest > USAGE_PERCENT)
}

/// What the numbers are made of.
pub(crate) struct Totals<'a> {
    pub(crate) options: &'a Options,
    pub(crate) outcomes: Outcomes,
    pub(crate) window: Option<Window>,
    pub(crate) counts: Counts,
    /// Sum of a per-request metric over the phase, by tag; absent if no request has it.
    pub(crate) sum: &'a dyn Fn(&str) -> Option<f64>,
}

impl Totals<'_> {
    /// All of them that were measured.
    pub(crate) fn metrics(&self) -> Vec<MetricResult> {
        let ok = self.outcomes.ok as f64;
        let errors = Some(self.outcomes.error as f64).filter(|&errors| errors > 0.0);
        let completed = ok + errors.unwrap_or(0.0);
        let seconds = self.window.map(|window| window.seconds());
        let per_second = |amount: f64| seconds.filter(|&seconds| seconds > 0.0).map(|seconds| amount / seconds);
        let of_completed = |part: f64| (completed > 0.0).then(|| part / completed);
        let sum = self.sum;
        let (isl, osl) = (sum("input_sequence_length"), sum("output_sequence_length"));
        let (prompt, cached) = (sum("usage_prompt_tokens"), sum("usage_prompt_cache_read_tokens"));
        let good = self.options.slos.as_ref().map(|_| self.counts.good as f64);
        let table = [
            lower("benchmark_duration", "Benchmark Duration", "sec", seconds),
            higher("request_count", "Request Count", "requests", Some(ok)),
            lower("error_request_count", "Error Request Count", "requests", errors),
            lower("completed_request_count", "Completed Requests (Success + Error)", "requests", Some(completed)),
            lower("request_error_rate", "Request Error Rate", "%", of_completed(errors.unwrap_or(0.0) * 100.0)),
            higher("request_throughput", "Request Throughput", "requests/sec", per_second(ok)),
            higher("output_token_throughput", "Output Token Throughput", "tokens/sec", osl.and_then(per_second)),
            higher("input_token_throughput", "Input Token Throughput", "tokens/sec", isl.and_then(per_second)),
            higher(
                "total_token_throughput",
                "Total Token Throughput",
                "tokens/sec",
                isl.zip(osl).and_then(|(isl, osl)| per_second(isl + osl)),
            ),
            higher("total_isl", "Total Input Sequence Length", "tokens", isl),
            higher("total_osl", "Total Output Sequence Length", "tokens", osl),
            higher("total_output_tokens", "Total Output Tokens", "tokens", sum("output_token_count")),
            higher("total_reasoning_tokens", "Total Reasoning Tokens", "tokens", sum("reasoning_token_count")),
            higher("total_error_isl", "Total Error Input Sequence Length", "tokens", sum("error_isl")),
            higher("total_usage_prompt_tokens", "Total Usage Prompt Tokens", "tokens", prompt),
            higher("total_usage_prompt_cache_read_tokens", "Total Usage Prompt Cache Read Tokens", "tokens", cached),
            higher(
                "overall_usage_prompt_cache_read_pct",
                "Overall Usage Prompt Cache Read %",
                "%",
                cached.zip(prompt.filter(|&prompt| prompt > 0.0)).map(|(cached, prompt)| cached / prompt * 100.0),
            ),
            higher(
                "total_usage_completion_tokens",
                "Total Usage Completion Tokens",
                "tokens",
                sum("usage_completion_tokens"),
            ),
            higher(
                "total_usage_reasoning_tokens",
                "Total Usage Reasoning Tokens",
                "tokens",
                sum("usage_reasoning_tokens"),
            ),
            higher("total_usage_total_tokens", "Total Usage Total Tokens", "tokens", sum("usage_total_tokens")),
            lower("osl_mismatch_count", "OSL Mismatch Count", "requests", self.counts.wrong_length.figure()),
            lower("usage_discrepancy_count", "Usage Discrepancy Count", "requests", self.counts.discrepancy.figure()),
            higher("good_request_count", "Good Request Count", "requests", good),
            higher("good_request_fraction", "Good Request Fraction", "ratio", good.and_then(of_completed)),
            higher("goodput", "Goodput", "requests/sec", good.and_then(per_second)),
        ];
        table.into_iter().flatten().collect()
    }
}

/// `context_overflow_count`: failed requests that were too long for the model, by the server's own words; absent where there
/// was none.
pub fn context_overflows(count: u64) -> Option<MetricResult> {
    let count = (count > 0).then_some(count as f64);
    lower("context_overflow_count", "Context Overflow Count", "requests", count)
}

fn higher(tag: &str, header: &str, unit: &str, value: Option<f64>) -> Option<MetricResult> {
    figure(tag, header, unit, true, value)
}

fn lower(tag: &str, header: &str, unit: &str, value: Option<f64>) -> Option<MetricResult> {
    figure(tag, header, unit, false, value)
}

/// A metric that is one number, if it was measured.
pub(crate) fn figure(
    tag: &str,
    header: &str,
    unit: &str,
    larger_is_better: bool,
    value: Option<f64>,
) -> Option<MetricResult> {
    let info =
        || MetricInfo { tag: tag.to_owned(), header: header.to_owned(), unit: unit.to_owned(), larger_is_better };
    value.map(|value| MetricResult { info: info(), stats: Stats { avg: Some(value), ..Stats::default() } })
}
