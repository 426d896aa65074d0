//! The part of the metrics page that vLLM would show, under vLLM's names, labels and bucket bounds.
//!
//! A model is an engine of its own, which answers everything at once: nothing ever waits. Requests that were refused
//! never reached an engine, and no vLLM metric knows of them. Tokens and times are counted when a request is over,
//! where vLLM counts them as they come, so that answering costs nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Spans;
use super::histogram::Histogram;
use super::page::{Page, escape};
use crate::truth::{Outcome, Record};

/// Bounds of vLLM's histogram of times to first token, in milliseconds.
const TTFT_MS: &[u64] = &[
    1, 5, 10, 20, 40, 60, 80, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000, 20_000, 40_000, 80_000, 160_000,
    640_000, 2_560_000,
];

/// Bounds of vLLM's histogram of request latencies, in milliseconds.
const E2E_MS: &[u64] = &[
    300, 500, 800, 1_000, 1_500, 2_000, 2_500, 5_000, 10_000, 15_000, 20_000, 30_000, 40_000, 50_000, 60_000, 120_000,
    240_000, 480_000, 960_000, 1_920_000, 7_680_000,
];

/// Blocks of the KV cache.
const BLOCKS: u64 = 4096;
/// Tokens in a block.
const BLOCK_TOKENS: u64 = 16;
/// Blocks that a running request holds, whatever its length.
const BLOCKS_PER_REQUEST: u64 = 16;

/// Why a request left the engine, as vLLM names it.
#[derive(Clone, Copy)]
enum Finished {
    Stop,
    Length,
    Abort,
    Error,
    /// Never met here, but on vLLM's page.
    Repetition,
}

impl Finished {
    const ALL: [(Self, &str); 5] = [
        (Self::Stop, "stop"),
        (Self::Length, "length"),
        (Self::Abort, "abort"),
        (Self::Error, "error"),
        (Self::Repetition, "repetition"),
    ];

    /// An answer that did not come to its own end was broken off by the engine (an error in the stream) or by
    /// something outside it.
    fn of(record: &Record) -> Self {
        match (record.finish_reason, record.outcome) {
            (Some("length"), _) => Self::Length,
            (Some(_), _) => Self::Stop,
            (None, Outcome::StreamError) => Self::Error,
            (None, _) => Self::Abort,
        }
    }
}

/// The counters of one model.
pub(super) struct Engine {
    /// The model's name, ready to be a label's value.
    model: String,
    running: AtomicU64,
    prompt_tokens: AtomicU64,
    generation_tokens: AtomicU64,
    finished: [AtomicU64; Finished::ALL.len()],
    ttft: Histogram,
    e2e: Histogram,
}

impl Engine {
    pub(super) fn new(model: &str) -> Self {
        Self {
            model: escape(model),
            running: AtomicU64::new(0),
            prompt_tokens: AtomicU64::new(0),
            generation_tokens: AtomicU64::new(0),
            finished: Default::default(),
            ttft: Histogram::new(TTFT_MS),
            e2e: Histogram::new(E2E_MS),
        }
    }

    pub(super) fn begin(&self) {
        self.running.fetch_add(1, Relaxed);
    }

    pub(super) fn end(&self, record: &Record, spans: &Spans) {
        self.prompt_tokens.fetch_add(record.prompt_tokens, Relaxed);
        if record.tokens > 0 {
            self.generation_tokens.fetch_add(record.tokens as u64, Relaxed);
            if let Some(first) = spans.first {
                self.ttft.add(first);
            }
        }
        self.finished[Finished::of(record) as usize].fetch_add(1, Relaxed);
        self.e2e.add(spans.end);
        self.running.fetch_sub(1, Relaxed);
    }

    pub(super) fn prompt_tokens(&self) -> u64 {
        self.prompt_tokens.load(Relaxed)
    }

    pub(super) fn generation_tokens(&self) -> u64 {
        self.generation_tokens.load(Relaxed)
    }

    fn running(&self) -> u64 {
        self.running.load(Relaxed)
    }

    fn kv_cache_usage(&self) -> f64 {
        (self.running() * BLOCKS_PER_REQUEST).min(BLOCKS) as f64 / BLOCKS as f64
    }
}

/// A metric with one sample for each model: its name behind `vllm:`, type and help, and the value.
type Metric = (&'static str, &'static str, &'static str, fn(&Engine) -> f64);

const METRICS: [Metric; 5] = [
    ("num_requests_running", "gauge", "Number of requests in model execution batches.", |e| e.running() as f64),
    ("num_requests_waiting", "gauge", "Number of requests waiting to be processed.", |_| 0.0),
    ("kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.", Engine::kv_cache_usage),
    ("prompt_tokens_total", "counter", "Number of prefill tokens processed.", |e| e.prompt_tokens() as f64),
    ("generation_tokens_total", "counter", "Number of generation tokens processed.", |e| e.generation_tokens() as f64),
];

/// Writes the metrics of all models.
pub(super) fn render(engines: &[Engine], page: &mut Page) {
    for (name, kind, help, value) in METRICS {
        page.family(&format!("vllm:{name}"), kind, help);
        for engine in engines {
            let value = value(engine);
            let series = format_args!("vllm:{name}{{engine=\"0\",model_name=\"{}\"}}", engine.model);
            page.sample(series, format_args!("{value:?}"));
        }
    }

    let name = "vllm:request_success_total";
    page.family(name, "counter", "Count of successfully processed requests.");
    for Engine { model, finished, .. } in engines {
        for (reason, word) in Finished::ALL {
            let series = format_args!("{name}{{engine=\"0\",finished_reason=\"{word}\",model_name=\"{model}\"}}");
            page.sample(series, format_args!("{}.0", finished[reason as usize].load(Relaxed)));
        }
    }

    let name = "vllm:time_to_first_token_seconds";
    page.family(name, "histogram", "Histogram of time to first token in seconds.");
    for engine in engines {
        engine.ttft.render(name, "engine=\"0\"", &format!("model_name=\"{}\"", engine.model), page);
    }

    let name = "vllm:e2e_request_latency_seconds";
    page.family(name, "histogram", "Histogram of e2e request latency in seconds.");
    for engine in engines {
        engine.e2e.render(name, "engine=\"0\"", &format!("model_name=\"{}\"", engine.model), page);
    }

    let name = "vllm:cache_config_info";
    page.family(name, "gauge", "Information of the LLMEngine CacheConfig");
    let tokens = BLOCKS * BLOCK_TOKENS;
    let series = format_args!(
        "{name}{{block_size=\"{BLOCK_TOKENS}\",cache_dtype=\"auto\",enable_prefix_caching=\"False\",engine=\"0\",\
         gpu_memory_utilization=\"0.92\",kv_cache_size_tokens=\"{tokens}\",num_cpu_blocks=\"None\",\
         num_gpu_blocks=\"{BLOCKS}\"}}"
    );
    page.sample(series, "1.0");
}
