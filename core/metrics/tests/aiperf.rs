//! Three requests of a real AIPerf 0.13 run (24 requests, streaming chat, counted with its local tokenizer), taken over
//! as rows. Where the definitions agree the numbers must, and its reports' tags, units and statistics must all be there.

use inferometer_abi::documents::{MetricResult, Stats};
use inferometer_abi::types::Outcome;
use inferometer_metrics::{Options, Summary, TokenSource, catalogue, values};
use inferometer_model::Row;
use std::collections::BTreeMap;

/// What AIPerf wrote about a request: times in nanoseconds, then what it computed from them.
struct Seen {
    start: u64,
    first: u64,
    gaps: [u64; 15],
    connecting: u64,
    sending: u64,
    waiting: u64,
    receiving: u64,
    prompt: u32,
    body: u32,
    reads: u32,
    /// Request latency, inter token latency, throughput per user, end to end, prefill, prompt difference.
    values: [f64; 6],
}

const SEEN: [Seen; 3] = [
    Seen {
        start: 2_407_835,
        first: 77_449_411,
        gaps: [
            9823428, 7976934, 7990535, 5224428, 5252220, 5488523, 5205336, 5145997, 9687846, 7914957, 5165070, 5173491,
            5169168, 5163407, 5280671,
        ],
        connecting: 16_875_829,
        sending: 17_456_540,
        waiting: 59_795_405,
        receiving: 95_844_255,
        prompt: 58,
        body: 377,
        reads: 17,
        values: [173.111422, 5.034842684210527, 198.61593752194898, 115.53252679075098, 826.3458582015555, 9.375],
    },
    Seen {
        start: 18_469_373,
        first: 61_315_461,
        gaps: [
            9729350, 7948530, 7989927, 5218545, 5294380, 5448834, 5203132, 5145259, 9690622, 7916084, 5165613, 5175668,
            5161195, 5169168, 7159730,
        ],
        connecting: 1_169_083,
        sending: 1_362_282,
        waiting: 59_924_932,
        receiving: 97_413_288,
        prompt: 42,
        body: 316,
        reads: 16,
        values: [158.731498, 5.127159842105263, 195.03975510726227, 125.99893689656983, 1043.7824156618508, 34.375],
    },
    Seen {
        start: 18_198_206,
        first: 61_594_245,
        gaps: [
            9755131, 7956411, 7990165, 5218705, 5289882, 5453452, 5202110, 5147208, 9690119, 7916162, 5164788, 5172136,
            5165002, 5169206, 6253327,
        ],
        connecting: 1_446_001,
        sending: 1_659_938,
        waiting: 59_892_554,
        receiving: 96_543_878,
        prompt: 52,
        body: 355,
        reads: 16,
        values: [158.138049, 5.081252842105263, 196.80185794212127, 126.47177656782651, 1039.0581133026308, 18.75],
    },
];

impl Seen {
    fn row(&self) -> Row {
        let first = self.start + self.first;
        let last = first + self.gaps.iter().sum::<u64>();
        let written = self.start + self.sending;
        let first_byte = written + self.waiting;
        Row {
            outcome: Outcome::OK,
            status: 200,
            intended: 0,
            permitted: self.start,
            connected: self.start + self.connecting,
            sent: self.start + self.connecting,
            written,
            first_byte,
            headers: first_byte,
            first,
            first_output: first,
            second: first + self.gaps[0],
            last,
            last_byte: first_byte + self.receiving,
            end: last,
            connect_ns: self.connecting,
            body_bytes: self.body,
            reads: self.reads,
            received_bytes: 3336,
            events: 16,
            usage_prompt: self.prompt,
            usage_completion: 16,
            local_prompt: 64,
            local_output: 20,
            requested_output: 16,
            ..Row::EMPTY
        }
    }
}

/// The run counted with the local tokenizer, which is AIPerf's default.
fn options() -> Options {
    Options {
        streaming: true,
        produces_tokens: true,
        tokenizes_input: true,
        token_source: TokenSource::LocalOnly,
        ..Options::default()
    }
}

fn values_of(row: &Row) -> BTreeMap<String, f64> {
    let mut out = Vec::new();
    values(&options(), row, &mut out);
    let named = catalogue(&options()).into_iter().map(|info| info.tag).zip(out);
    named.filter(|(_, value)| !value.is_nan()).collect()
}

#[test]
fn values_of_single_requests_are_those_that_aiperf_wrote() {
    for seen in &SEEN {
        let found = values_of(&seen.row());
        let near = |tag: &str, expected: f64| {
            let value = found[tag];
            assert!((value - expected).abs() <= 1e-12 * expected.abs(), "{tag}: {value}, not {expected}");
        };
        let [latency, itl, per_user, end_to_end, prefill, prompt_difference] = seen.values;
        near("request_latency", latency);
        near("inter_token_latency", itl);
        near("output_token_throughput_per_user", per_user);
        near("e2e_output_token_throughput", end_to_end);
        near("prefill_throughput_per_user", prefill);
        near("usage_prompt_tokens_diff_pct", prompt_difference);
        near("usage_completion_tokens_diff_pct", 20.0);
        near("osl_mismatch_diff_pct", 25.0);
        near("time_to_first_token", seen.first as f64 / 1e6);
        near("time_to_first_output_token", seen.first as f64 / 1e6);
        near("time_to_second_token", seen.gaps[0] as f64 / 1e6);
        near("decode_duration", latency - seen.first as f64 / 1e6);
        near("output_sequence_length", 20.0);
        near("output_token_count", 20.0);
        near("input_sequence_length", 64.0);
        near("usage_total_tokens", f64::from(seen.prompt) + 16.0);
        near("http_req_data_sent", f64::from(seen.body) / 1024.0);
        near("http_req_data_received", 3.2578125);
        near("http_req_chunks_received", f64::from(seen.reads));
        near("http_req_connecting", seen.connecting as f64 / 1e6);
        near("http_req_connection_overhead", seen.connecting as f64 / 1e6);
        near("http_req_waiting", seen.waiting as f64 / 1e6);
        near("http_req_receiving", seen.receiving as f64 / 1e6);
        near("http_req_connection_reused", 0.0);
        near("http_req_blocked", 0.0);
    }
}

#[test]
fn connecting_is_counted_once() {
    for seen in &SEEN {
        let found = values_of(&seen.row());
        // AIPerf's `sending` starts before the connection is there, so connecting is in it, and in its total twice.
        let total = (seen.sending + seen.waiting + seen.receiving) as f64 / 1e6;
        let connecting = seen.connecting as f64 / 1e6;
        assert!((found["http_req_total"] - total).abs() < 1e-9);
        assert!((found["http_req_duration"] - (total - connecting)).abs() < 1e-9);
        assert!((found["http_req_sending"] - (seen.sending as f64 / 1e6 - connecting)).abs() < 1e-9);
    }
}

/// Metrics with sixteen keys; the first 32 are in each line of the per-request file.
const OF_REQUESTS: &[(&str, &str)] = &[
    ("decode_duration", "ms"),
    ("e2e_output_token_throughput", "tokens/sec/user"),
    ("http_req_blocked", "ms"),
    ("http_req_chunks_received", "count"),
    ("http_req_chunks_sent", "count"),
    ("http_req_connecting", "ms"),
    ("http_req_connection_overhead", "ms"),
    ("http_req_connection_reused", "ratio"),
    ("http_req_data_received", "KB"),
    ("http_req_data_sent", "KB"),
    ("http_req_dns_lookup", "ms"),
    ("http_req_duration", "ms"),
    ("http_req_receiving", "ms"),
    ("http_req_sending", "ms"),
    ("http_req_total", "ms"),
    ("http_req_waiting", "ms"),
    ("input_sequence_length", "tokens"),
    ("inter_token_latency", "ms"),
    ("osl_mismatch_diff_pct", "%"),
    ("output_sequence_length", "tokens"),
    ("output_token_count", "tokens"),
    ("output_token_throughput_per_user", "tokens/sec/user"),
    ("prefill_throughput_per_user", "tokens/sec/user"),
    ("request_latency", "ms"),
    ("time_to_first_output_token", "ms"),
    ("time_to_first_token", "ms"),
    ("time_to_second_token", "ms"),
    ("usage_completion_tokens", "tokens"),
    ("usage_completion_tokens_diff_pct", "%"),
    ("usage_prompt_tokens", "tokens"),
    ("usage_prompt_tokens_diff_pct", "%"),
    ("usage_total_tokens", "tokens"),
    ("credit_to_start_latency", "ms"),
    ("effective_latency", "ms"),
    ("inter_chunk_latency", "ms"),
];

/// Metrics weighted by time, with nine keys.
const OVER_TIME: &[(&str, &str)] = &[
    ("active_decode_throughput", "tokens/sec"),
    ("active_decode_throughput_per_user", "tokens/sec/user"),
    ("active_prefill_throughput", "tokens/sec"),
    ("active_prefill_throughput_per_user", "tokens/sec/user"),
    ("active_total_throughput", "tokens/sec"),
    ("effective_concurrency", "requests"),
    ("effective_decode_concurrency", "requests"),
    ("effective_decode_throughput", "tokens/sec"),
    ("effective_decode_throughput_per_user", "tokens/sec/user"),
    ("effective_prefill_concurrency", "requests"),
    ("effective_prefill_throughput", "tokens/sec"),
    ("effective_prefill_throughput_per_user", "tokens/sec/user"),
    ("effective_total_throughput", "tokens/sec"),
    ("tokens_in_flight", "tokens"),
];

/// Metrics that are one number.
const FIGURES: &[(&str, &str)] = &[
    ("benchmark_duration", "sec"),
    ("completed_request_count", "requests"),
    ("input_token_throughput", "tokens/sec"),
    ("osl_mismatch_count", "requests"),
    ("output_token_throughput", "tokens/sec"),
    ("request_count", "requests"),
    ("request_error_rate", "%"),
    ("request_throughput", "requests/sec"),
    ("total_isl", "tokens"),
    ("total_osl", "tokens"),
    ("total_output_tokens", "tokens"),
    ("total_token_throughput", "tokens/sec"),
    ("total_usage_completion_tokens", "tokens"),
    ("total_usage_prompt_tokens", "tokens"),
    ("total_usage_total_tokens", "tokens"),
    ("usage_discrepancy_count", "requests"),
];

/// Which statistics are there, in the order of the type's fields: avg, p1 … p99, min, max, std, count, sum.
fn present(stats: &Stats) -> String {
    let s = stats;
    let numbers = [s.avg, s.p1, s.p5, s.p10, s.p25, s.p50, s.p75, s.p90, s.p95, s.p99, s.min, s.max, s.std];
    let all = numbers.iter().map(Option::is_some).chain([s.count.is_some(), s.sum.is_some()]);
    all.map(|there| if there { 'x' } else { '-' }).collect()
}

#[test]
fn a_line_of_the_request_file_has_the_keys_of_aiperf() {
    let expected: Vec<_> = OF_REQUESTS[..32].iter().map(|(tag, _)| *tag).collect();
    for seen in &SEEN {
        // AIPerf counts TLS as connecting.
        let keys = values_of(&seen.row()).into_keys().filter(|tag| *tag != "http_req_tls_handshaking");
        assert_eq!(keys.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_summary_has_the_tags_units_and_statistics_of_aiperf() {
    for token_source in [TokenSource::LocalOnly, TokenSource::ServerFirst] {
        let mut summary = Summary::new(Options { token_source, ..options() });
        SEEN.iter().for_each(|seen| summary.push(&seen.row(), &seen.gaps));
        let metrics: BTreeMap<String, MetricResult> = summary.finish().metrics;
        let kinds = [(OF_REQUESTS, "xxxxxxxxxxxxxxx"), (OVER_TIME, "x----x-xxxxxx--"), (FIGURES, "x--------------")];
        for (expected, statistics) in kinds {
            for (tag, unit) in expected {
                let metric = metrics.get(*tag).unwrap_or_else(|| panic!("{tag} is missing"));
                assert_eq!(metric.info.unit, *unit, "{tag}");
                assert_eq!(present(&metric.stats), statistics, "{tag}");
            }
        }
        let known = OF_REQUESTS.len() + OVER_TIME.len() + FIGURES.len();
        let is_own = |tag: &&String| tag.starts_with("local_") || *tag == "http_req_tls_handshaking";
        let own: Vec<_> = metrics.keys().filter(is_own).collect();
        assert_eq!(own, ["http_req_tls_handshaking", "local_input_tokens", "local_output_tokens"]);
        assert_eq!(metrics.len(), known + own.len(), "nothing else");
        assert_eq!(metrics["inter_chunk_latency"].stats.count, Some(45));
    }
}
