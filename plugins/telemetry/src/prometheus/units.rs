//! Units that a family does not state: guessed from the words of its name, then from its help. A guess that nothing supports
//! is no unit.

/// What a word says the unit is.
#[rustfmt::skip]
const WORDS: [(&str, &str); 24] = [
    ("seconds", "seconds"), ("secs", "seconds"), ("milliseconds", "ms"), ("ms", "ms"), ("microseconds", "us"),
    ("us", "us"), ("nanoseconds", "ns"), ("ns", "ns"), ("bytes", "bytes"), ("tokens", "tokens"),
    ("requests", "requests"), ("blocks", "blocks"), ("percent", "%"), ("percentage", "%"), ("ratio", "ratio"),
    // Of vLLM, where 1 is everything.
    ("perc", "ratio"),
    ("celsius", "°C"), ("joules", "J"), ("watts", "W"), ("volts", "V"), ("hertz", "Hz"), ("mhz", "MHz"),
    ("tokens/s", "tokens/s"), ("bytes/s", "bytes/s"),
];

/// Things that are counted: a name may hold them anywhere, and a help may be about them.
const COUNTED: [&str; 3] = ["tokens", "requests", "bytes"];

fn of_word(word: &str) -> Option<&'static str> {
    WORDS.iter().find(|(name, _)| *name == word).map(|(_, unit)| *unit)
}

/// The unit of the family called `name`, which `help` explains; empty if nothing says it.
pub(super) fn infer(name: &str, help: &str) -> String {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix("_total").unwrap_or(&name);
    let help = help.to_ascii_lowercase();
    let said = in_words(&help);
    // A rate is said to be one in the help, where the name ends like a time: `predicted_tokens_seconds`.
    if let Some(rate) = said.filter(|unit| unit.ends_with("/s")) {
        return rate.to_owned();
    }
    let (of, per) = name.split_once("_per_").unwrap_or((name, ""));
    let words: Vec<&str> = of.split(['_', ':']).collect();
    let last = words.last().and_then(|word| of_word(word));
    if matches!(per, "second" | "sec" | "s") {
        return last.map(|unit| format!("{unit}/s")).unwrap_or_default();
    }
    let counted =
        |one: &&str| words.contains(one) || words.contains(&one.trim_end_matches('s')) && has_word(&help, one);
    last.or(said).or_else(|| COUNTED.into_iter().find(counted)).unwrap_or_default().to_owned()
}

/// The unit that a text names after "in", or in parentheses.
fn in_words(help: &str) -> Option<&'static str> {
    let after = |opening: &'static str| {
        help.match_indices(opening).find_map(|(at, _)| {
            let rest = &help[at + opening.len()..];
            let end = rest.find(|char: char| !char.is_ascii_alphanumeric() && char != '/').unwrap_or(rest.len());
            of_word(&rest[..end])
        })
    };
    after(" in ").or_else(|| after("(in ")).or_else(|| after("("))
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|char: char| !char.is_ascii_alphanumeric()).any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_that_names_and_helps_of_real_servers_speak_of() {
        for (name, help, unit) in [
            ("vllm:e2e_request_latency_seconds", "", "seconds"),
            ("vllm:generation_tokens_total", "", "tokens"),
            ("vllm:iteration_tokens_total", "", "tokens"),
            ("vllm:num_requests_waiting_by_reason", "", "requests"),
            ("vllm:request_success_total", "Finished requests.", "requests"),
            ("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", "ratio"),
            ("vllm:estimated_read_bytes_per_gpu_total", "", "bytes"),
            ("vllm:num_preemptions_total", "Cumulative number of preemption from the engine.", ""),
            ("llamacpp:tokens_predicted_seconds_total", "Total time spent generating tokens", "seconds"),
            ("llamacpp:predicted_tokens_seconds", "Average generation throughput in tokens/s", "tokens/s"),
            ("dynamo_frontend_tokenizer_latency_ms", "Tokenizer latency in milliseconds", "ms"),
            ("dynamo_frontend_model_context_length", "Maximum context length in tokens for a worker", "tokens"),
            ("dynamo_frontend_images_per_request", "Number of image_url content parts per request", ""),
            ("dynamo_tokio_worker_mean_poll_time_ns", "Worker mean task poll time (nanoseconds)", "ns"),
            ("nv_inference_request_duration_us", "", "us"),
            ("nv_inference_request_success", "Number of successful inference requests, all batch sizes", "requests"),
            ("link_bytes_per_second", "", "bytes/s"),
            ("up", "", ""),
        ] {
            assert_eq!(infer(name, help), unit, "{name}: {help}");
        }
    }
}
