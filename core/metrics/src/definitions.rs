//! The table of per-request metrics: one line each, in the order in which they are shown. Everything else about a metric
//! (catalogue, per-request values, statistics, objectives) follows from its line.
//!
//! Where a formula differs from AIPerf's, the reason:
//!
//! - Token counts prefer the server's usage, since a local tokenizer may not be the server's ([`crate::TokenSource`]).
//! - `inter_token_latency` divides by the tokens after the first *event*, so that a server which packs several tokens
//!   into an event is not shown as faster than it is.
//! - The parts of `http_req_total` add up to it: `sending` starts when the connection is ready, so connecting is counted
//!   once.
//! - `effective_latency` and `credit_to_start_latency` start when the schedule wanted the request sent, not when a slot
//!   was found for it, and hold successes only.
//!
//! Of our own: `error_duration` (how long failures took), `intended_time_to_first_token` and `intended_latency` (from the
//! schedule's time, in open-loop runs), `local_input_tokens` and `local_output_tokens` (the tokenizer's counts beside the
//! server's, where both exist), `first_receive_lag` and `last_receive_lag` (how long content had been in the system's hands
//! when it was read, which the latencies are without).

use crate::{
    Options, TokenSource,
    context::{Context, between, count, difference, length_mismatch},
};
use inferometer_abi::types::UsageDetail;

/// One metric of single requests.
pub(crate) struct Definition {
    /// Its tag.
    pub(crate) tag: &'static str,
    /// Its name for people.
    pub(crate) header: &'static str,
    /// The unit of its values.
    pub(crate) unit: &'static str,
    /// Whether more is better.
    pub(crate) larger_is_better: bool,
    /// Where it appears.
    pub(crate) scope: Scope,
    /// What a run must be like for it to exist.
    needs: &'static [Need],
    /// Its value for a row that ended in the way it is about, in `unit`.
    pub(crate) value: fn(&Context<'_>) -> Option<f64>,
}

/// Where a metric appears, and what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Successes: each of them, and their statistics.
    Request,
    /// Successes: only their statistics.
    Summary,
    /// Failures: each of them, and their statistics.
    Failure,
}

/// A property of a run that a metric depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Streaming,
    OutputTokens,
    InputTokens,
    LocalTokens,
    OpenLoop,
}

impl Need {
    /// Whether a run has it.
    fn met(self, options: &Options) -> bool {
        match self {
            Self::Streaming => options.streaming,
            Self::OutputTokens => options.produces_tokens,
            Self::InputTokens => options.tokenizes_input,
            Self::LocalTokens => options.token_source != TokenSource::ServerOnly,
            Self::OpenLoop => options.open_loop,
        }
    }

    /// What it is, as in "it needs …".
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Streaming => "streaming",
            Self::OutputTokens => "an endpoint whose answers are tokens",
            Self::InputTokens => "an endpoint whose requests are tokens",
            Self::LocalTokens => "counting with the local tokenizer",
            Self::OpenLoop => "a schedule that does not wait for answers",
        }
    }
}

impl Definition {
    /// The first thing it needs that a run does not have.
    pub(crate) fn unmet(&self, options: &Options) -> Option<Need> {
        self.needs.iter().copied().find(|need| !need.met(options))
    }

    const fn larger(self) -> Self {
        Self { larger_is_better: true, ..self }
    }

    const fn scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }
}

/// The definitions that hold in a run, in the order of the table.
pub(crate) fn definitions(options: &Options) -> impl Iterator<Item = &'static Definition> {
    DEFINITIONS.iter().filter(|definition| definition.unmet(options).is_none())
}

/// A line of the table: a metric of successes of which less is better, unless said otherwise.
const fn metric(
    tag: &'static str,
    header: &'static str,
    unit: &'static str,
    needs: &'static [Need],
    value: fn(&Context<'_>) -> Option<f64>,
) -> Definition {
    Definition { tag, header, unit, larger_is_better: false, scope: Scope::Request, needs, value }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn lag(ns: u32) -> f64 {
    ms(ns.into())
}

/// Tokens over nanoseconds, per second; absent if no time went by.
fn per_second(tokens: u32, ns: u64) -> Option<f64> {
    (ns > 0).then(|| f64::from(tokens) / (ns as f64 / 1e9))
}

fn tokens(known: Option<u32>) -> Option<f64> {
    known.map(f64::from)
}

use Need::{InputTokens, LocalTokens, OpenLoop, OutputTokens, Streaming};
use Scope::{Failure, Summary};

const ALWAYS: &[Need] = &[];
const TOKENS_IN: &[Need] = &[InputTokens];
const TOKENS_OUT: &[Need] = &[OutputTokens];
const STREAM: &[Need] = &[Streaming, OutputTokens];
const INTENDED_STREAM: &[Need] = &[OpenLoop, Streaming, OutputTokens];

/// All of them.
pub(crate) static DEFINITIONS: &[Definition] = &[
    metric("time_to_first_token", "Time to First Token", "ms", STREAM, |c| c.first().map(ms)),
    metric("time_to_second_token", "Time to Second Token", "ms", STREAM, |c| {
        between(c.row().first, c.row().second).map(ms)
    }),
    metric("time_to_first_output_token", "Time to First Output Token", "ms", STREAM, |c| {
        c.until(c.row().first_output).map(ms)
    }),
    metric("request_latency", "Request Latency", "ms", ALWAYS, |c| c.latency().map(ms)),
    metric("decode_duration", "Decode Duration", "ms", STREAM, |c| c.decode().map(ms)),
    metric("inter_token_latency", "Inter Token Latency", "ms", STREAM, |c| c.token_interval().map(|ns| ns / 1e6)),
    metric("output_token_throughput_per_user", "Output Token Throughput Per User", "tokens/sec/user", STREAM, |c| {
        c.token_interval().filter(|&ns| ns > 0.0).map(|ns| 1e9 / ns)
    })
    .larger(),
    metric("e2e_output_token_throughput", "E2E Output Token Throughput", "tokens/sec/user", TOKENS_OUT, |c| {
        per_second(c.output_tokens()?, c.latency()?)
    })
    .larger(),
    metric("output_sequence_length", "Output Sequence Length", "tokens", TOKENS_OUT, |c| tokens(c.output_tokens()))
        .larger(),
    metric("input_sequence_length", "Input Sequence Length", "tokens", TOKENS_IN, |c| tokens(c.input_tokens()))
        .larger(),
    metric("output_token_count", "Output Token Count", "tokens", TOKENS_OUT, |c| tokens(c.answer_tokens())).larger(),
    metric("reasoning_token_count", "Reasoning Token Count", "tokens", TOKENS_OUT, |c| {
        tokens(c.reasoning_tokens().filter(|&known| known > 0))
    })
    .larger(),
    metric(
        "prefill_throughput_per_user",
        "Prefill Throughput Per User",
        "tokens/sec/user",
        &[Streaming, OutputTokens, InputTokens],
        |c| per_second(c.input_tokens()?, c.first()?),
    )
    .larger(),
    metric("osl_mismatch_diff_pct", "OSL Mismatch Diff %", "%", TOKENS_OUT, length_mismatch),
    metric("intended_time_to_first_token", "Time to First Token from Intended Send", "ms", INTENDED_STREAM, |c| {
        c.as_intended().first().map(ms)
    }),
    metric("intended_latency", "Request Latency from Intended Send", "ms", &[OpenLoop], |c| {
        c.as_intended().latency().map(ms)
    }),
    metric("credit_to_start_latency", "Credit-to-Start Latency", "ms", ALWAYS, |c| {
        between(c.row().intended, c.row().permitted).map(ms)
    })
    .scope(Summary),
    metric("effective_latency", "Effective Latency (CO-aware)", "ms", ALWAYS, |c| {
        between(c.row().intended, c.row().end).map(ms)
    })
    .scope(Summary),
    metric("error_isl", "Error Input Sequence Length", "tokens", TOKENS_IN, |c| tokens(c.input_tokens()))
        .larger()
        .scope(Failure),
    metric("error_duration", "Error Duration", "ms", ALWAYS, |c| between(c.row().permitted, c.row().end).map(ms))
        .scope(Failure),
    metric("local_input_tokens", "Input Tokens by Local Tokenizer", "tokens", &[InputTokens, LocalTokens], |c| {
        count(c.row().usage_prompt)?;
        tokens(count(c.row().local_prompt))
    })
    .larger()
    .scope(Summary),
    metric("local_output_tokens", "Output Tokens by Local Tokenizer", "tokens", &[OutputTokens, LocalTokens], |c| {
        count(c.row().usage_completion)?;
        tokens(c.local_output())
    })
    .larger()
    .scope(Summary),
    metric("usage_prompt_tokens", "Usage Prompt Tokens", "tokens", TOKENS_IN, |c| tokens(count(c.row().usage_prompt)))
        .larger(),
    metric("usage_prompt_cache_read_tokens", "Usage Prompt Cache Read Tokens", "tokens", ALWAYS, |c| {
        tokens(count(c.row().usage_cached))
    })
    .larger(),
    metric("usage_prompt_cache_write_tokens", "Usage Prompt Cache Write Tokens", "tokens", ALWAYS, |c| {
        c.detail(UsageDetail::CACHE_WRITE)
    }),
    metric("usage_prompt_cache_miss_tokens", "Usage Prompt Cache Miss Tokens", "tokens", ALWAYS, |c| {
        c.detail(UsageDetail::CACHE_MISS)
    }),
    metric("usage_prompt_audio_tokens", "Usage Prompt Audio Tokens", "tokens", ALWAYS, |c| {
        c.detail(UsageDetail::PROMPT_AUDIO)
    }),
    metric("usage_tool_use_prompt_tokens", "Usage Tool Use Prompt Tokens", "tokens", ALWAYS, |c| {
        c.detail(UsageDetail::TOOL_PROMPT)
    }),
    metric("usage_completion_tokens", "Usage Completion Tokens", "tokens", TOKENS_OUT, |c| {
        tokens(count(c.row().usage_completion))
    })
    .larger(),
    metric("usage_reasoning_tokens", "Usage Reasoning Tokens", "tokens", TOKENS_OUT, |c| {
        tokens(count(c.row().usage_reasoning))
    })
    .larger(),
    metric("usage_completion_audio_tokens", "Usage Completion Audio Tokens", "tokens", ALWAYS, |c| {
        c.detail(UsageDetail::COMPLETION_AUDIO)
    }),
    metric("usage_accepted_prediction_tokens", "Usage Accepted Prediction Tokens", "tokens", TOKENS_OUT, |c| {
        c.detail(UsageDetail::ACCEPTED_PREDICTION)
    })
    .larger(),
    metric("usage_rejected_prediction_tokens", "Usage Rejected Prediction Tokens", "tokens", TOKENS_OUT, |c| {
        c.detail(UsageDetail::REJECTED_PREDICTION)
    }),
    metric("usage_total_tokens", "Usage Total Tokens", "tokens", TOKENS_IN, |c| {
        c.detail(UsageDetail::TOTAL)
            .or_else(|| Some(f64::from(count(c.row().usage_prompt)?) + f64::from(count(c.row().usage_completion)?)))
    })
    .larger(),
    metric("usage_prompt_tokens_diff_pct", "Usage Prompt Diff %", "%", &[InputTokens, LocalTokens], |c| {
        difference(c.row().usage_prompt, count(c.row().local_prompt))
    }),
    metric("usage_completion_tokens_diff_pct", "Usage Completion Diff %", "%", &[OutputTokens, LocalTokens], |c| {
        difference(c.row().usage_completion, c.local_output())
    }),
    metric("usage_reasoning_tokens_diff_pct", "Usage Reasoning Diff %", "%", &[OutputTokens, LocalTokens], |c| {
        difference(c.row().usage_reasoning, count(c.row().local_reasoning))
    }),
    metric("first_receive_lag", "First Token Receive Lag", "ms", &[Streaming], |c| count(c.row().first_lag).map(lag)),
    metric("last_receive_lag", "Last Token Receive Lag", "ms", ALWAYS, |c| count(c.row().last_lag).map(lag)),
    metric("http_req_blocked", "HTTP Blocked", "ms", ALWAYS, |c| c.blocked().map(ms)),
    metric("http_req_dns_lookup", "HTTP DNS Lookup", "ms", ALWAYS, |c| Some(ms(c.dns()))),
    metric("http_req_connecting", "HTTP Connecting", "ms", ALWAYS, |c| Some(ms(c.connecting()))),
    metric("http_req_tls_handshaking", "HTTP TLS Handshaking", "ms", ALWAYS, |c| Some(ms(c.tls()))),
    metric("http_req_sending", "HTTP Sending", "ms", ALWAYS, |c| between(c.row().connected, c.row().written).map(ms)),
    metric("http_req_waiting", "HTTP Waiting (TTFB)", "ms", ALWAYS, |c| {
        between(c.row().written, c.row().first_byte).map(ms)
    }),
    metric("http_req_receiving", "HTTP Receiving", "ms", ALWAYS, |c| {
        between(c.row().first_byte, c.row().last_byte).map(ms)
    }),
    metric("http_req_connection_reused", "HTTP Connection Reused", "ratio", ALWAYS, |c| {
        Some(f64::from(u8::from(c.row().reused)))
    })
    .larger(),
    metric("http_req_data_sent", "HTTP Data Sent", "KB", ALWAYS, |c| Some(f64::from(c.row().body_bytes) / 1024.0)),
    metric("http_req_chunks_sent", "HTTP Chunks Sent", "count", ALWAYS, |_| Some(1.0)),
    metric("http_req_data_received", "HTTP Data Received", "KB", ALWAYS, |c| {
        Some(c.row().received_bytes as f64 / 1024.0)
    }),
    metric("http_req_chunks_received", "HTTP Chunks Received", "count", ALWAYS, |c| Some(f64::from(c.row().reads))),
    metric("http_req_connection_overhead", "HTTP Connection Overhead", "ms", ALWAYS, |c| {
        c.connection_overhead().map(ms)
    }),
    metric("http_req_duration", "HTTP Duration (excl. conn)", "ms", ALWAYS, |c| c.exchange().map(ms)),
    metric("http_req_total", "HTTP Total Time", "ms", ALWAYS, |c| {
        Some(ms(c.connection_overhead()?.saturating_add(c.exchange()?)))
    }),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_tag_is_defined_twice() {
        let tags: BTreeSet<_> = DEFINITIONS.iter().map(|definition| definition.tag).collect();
        assert_eq!(tags.len(), DEFINITIONS.len());
    }
}
