//! The names under which known servers tell the few numbers that are shown.
//!
//! They are as pages of vLLM 0.32, llama.cpp, Triton 2.51 and Dynamo 1.6 have them, and as other tools look for them in
//! SGLang and TensorRT-LLM.

/// A metric of a server: its name without `_total`, and a label that a series must have, if not all count.
pub(super) type Name = (&'static str, Option<(&'static str, &'static str)>);

pub(super) const fn all(name: &'static str) -> Name {
    (name, None)
}

/// What is shown. The first of several names that a server has is taken: names change with versions.
pub(super) enum Fact {
    /// A level, summed over the series.
    Level(&'static [Name]),
    /// A share from 0 to 1, averaged over the series.
    Share(&'static [Name]),
    /// Growth a second, of a counter or of a histogram's sum.
    Rate(&'static [Name], &'static str),
    /// Growth over the growth of others together.
    Ratio(&'static [Name], &'static [Name]),
    /// Growth over the growth of another, in milliseconds, from microseconds.
    MeanUs(&'static [Name], &'static [Name]),
}

/// A kind of server: its name, and what it tells.
pub(super) type Kind = (&'static str, &'static [(&'static str, Fact)]);

pub(super) const RUNNING: &str = "Requests running";
pub(super) const WAITING: &str = "Requests waiting";
pub(super) const KV_CACHE: &str = "KV cache used";
pub(super) const HITS: &str = "Prefix cache hits";
pub(super) const PROMPT: &str = "Prompt tokens";
pub(super) const GENERATED: &str = "Generated tokens";
const TOKENS: &str = "tokens/s";

pub(super) const KINDS: [Kind; 7] = [
    (
        "vLLM",
        &[
            (RUNNING, Fact::Level(&[all("vllm:num_requests_running")])),
            (WAITING, Fact::Level(&[all("vllm:num_requests_waiting")])),
            (KV_CACHE, Fact::Share(&[all("vllm:kv_cache_usage_perc"), all("vllm:gpu_cache_usage_perc")])),
            (HITS, Fact::Ratio(&[all("vllm:prefix_cache_hits")], &[all("vllm:prefix_cache_queries")])),
            (PROMPT, Fact::Rate(&[all("vllm:prompt_tokens")], TOKENS)),
            (GENERATED, Fact::Rate(&[all("vllm:generation_tokens")], TOKENS)),
        ],
    ),
    (
        "SGLang",
        &[
            (RUNNING, Fact::Level(&[all("sglang:num_running_reqs")])),
            (WAITING, Fact::Level(&[all("sglang:num_queue_reqs")])),
            (KV_CACHE, Fact::Share(&[all("sglang:token_usage")])),
            (HITS, Fact::Share(&[all("sglang:cache_hit_rate")])),
            (PROMPT, Fact::Rate(&[all("sglang:prompt_tokens")], TOKENS)),
            (GENERATED, Fact::Rate(&[all("sglang:generation_tokens")], TOKENS)),
        ],
    ),
    (
        "llama.cpp",
        &[
            (RUNNING, Fact::Level(&[all("llamacpp:requests_processing")])),
            (WAITING, Fact::Level(&[all("llamacpp:requests_deferred")])),
            (KV_CACHE, Fact::Share(&[all("llamacpp:kv_cache_usage_ratio")])),
            // Its prompt tokens are those that were not in the cache.
            (
                HITS,
                Fact::Ratio(
                    &[all("llamacpp:prompt_tokens_cached")],
                    &[all("llamacpp:prompt_tokens_cached"), all("llamacpp:prompt_tokens")],
                ),
            ),
            (PROMPT, Fact::Rate(&[all("llamacpp:prompt_tokens")], TOKENS)),
            (GENERATED, Fact::Rate(&[all("llamacpp:tokens_predicted")], TOKENS)),
        ],
    ),
    (
        "TensorRT-LLM",
        &[
            (RUNNING, Fact::Level(&[all("trtllm_num_requests_running")])),
            (WAITING, Fact::Level(&[all("trtllm_num_requests_waiting")])),
            (KV_CACHE, Fact::Share(&[all("trtllm_kv_cache_utilization")])),
            (HITS, Fact::Share(&[all("trtllm_kv_cache_hit_rate")])),
            ("Finished requests", Fact::Rate(&[all("trtllm_request_success")], "requests/s")),
        ],
    ),
    (
        "Triton, TensorRT-LLM",
        &[
            (RUNNING, Fact::Level(&[("nv_trt_llm_request_metrics", Some(("request_type", "active")))])),
            (WAITING, Fact::Level(&[("nv_trt_llm_request_metrics", Some(("request_type", "waiting")))])),
            (
                KV_CACHE,
                Fact::Share(&[("nv_trt_llm_kv_cache_block_metrics", Some(("kv_cache_block_type", "fraction")))]),
            ),
            ("Finished requests", Fact::Rate(&[all("nv_inference_request_success")], "requests/s")),
        ],
    ),
    (
        "Triton",
        &[
            (WAITING, Fact::Level(&[all("nv_inference_pending_request_count")])),
            ("Finished requests", Fact::Rate(&[all("nv_inference_request_success")], "requests/s")),
            (
                "Mean time in queue",
                Fact::MeanUs(&[all("nv_inference_queue_duration_us")], &[all("nv_inference_request_success")]),
            ),
            (
                "Mean compute time",
                Fact::MeanUs(&[all("nv_inference_compute_infer_duration_us")], &[all("nv_inference_request_success")]),
            ),
        ],
    ),
    (
        "Dynamo frontend",
        &[
            (RUNNING, Fact::Level(&[all("dynamo_frontend_inflight_requests"), all("dynamo_frontend_active_requests")])),
            (WAITING, Fact::Level(&[all("dynamo_frontend_queued_requests")])),
            (
                HITS,
                Fact::Ratio(&[all("dynamo_frontend_cached_tokens")], &[all("dynamo_frontend_input_sequence_tokens")]),
            ),
            (PROMPT, Fact::Rate(&[all("dynamo_frontend_input_sequence_tokens")], TOKENS)),
            (GENERATED, Fact::Rate(&[all("dynamo_frontend_output_tokens")], TOKENS)),
        ],
    ),
];
