//! What vendors call the numbers of usage, and what counts they come to.

use inferometer_plugin_sdk::types::UsageDetail;

/// Keys from an object down to a value within it.
pub(crate) type Path = &'static [&'static str];

/// Makes the numbers that usage may hold, and where each stands in it: under a key, or under a key of an object in it.
macro_rules! parts {
    ($($part:ident = $($key:literal)/+;)*) => {
        /// A number that usage may hold.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Part { $($part),* }

        /// All of them.
        pub(super) const PARTS: &[(Part, Path)] = &[$((Part::$part, &[$($key),+])),*];

        /// The first key of each, for a scan.
        pub(super) static KEYS: [&[u8]; PARTS.len()] = [$([$($key),+][0].as_bytes()),*];
    };
}

// The most usual ones come first: a scan compares in this order.
parts! {
    PromptTokens = "prompt_tokens";
    CompletionTokens = "completion_tokens";
    TotalTokens = "total_tokens";
    InputTokens = "input_tokens";
    OutputTokens = "output_tokens";
    PromptTokenCount = "promptTokenCount";
    CandidatesTokenCount = "candidatesTokenCount";
    TotalTokenCount = "totalTokenCount";
    ThoughtsTokenCount = "thoughtsTokenCount";
    CachedContentTokenCount = "cachedContentTokenCount";
    ToolUsePromptTokenCount = "toolUsePromptTokenCount";
    CacheCreationInputTokens = "cache_creation_input_tokens";
    CacheReadInputTokens = "cache_read_input_tokens";
    PromptCached = "prompt_tokens_details" / "cached_tokens";
    PromptAudio = "prompt_tokens_details" / "audio_tokens";
    PromptCacheWrite = "prompt_tokens_details" / "cache_write_tokens";
    CompletionReasoning = "completion_tokens_details" / "reasoning_tokens";
    CompletionAudio = "completion_tokens_details" / "audio_tokens";
    CompletionAccepted = "completion_tokens_details" / "accepted_prediction_tokens";
    CompletionRejected = "completion_tokens_details" / "rejected_prediction_tokens";
    InputCached = "input_tokens_details" / "cached_tokens";
    InputAudio = "input_tokens_details" / "audio_tokens";
    InputCacheWrite = "input_tokens_details" / "cache_write_tokens";
    InputTokenAudio = "input_token_details" / "audio_tokens";
    OutputReasoning = "output_tokens_details" / "reasoning_tokens";
    OutputAudio = "output_tokens_details" / "audio_tokens";
    CachedTokens = "cached_tokens";
    ReasoningTokens = "reasoning_tokens";
    PromptCacheHitTokens = "prompt_cache_hit_tokens";
    PromptCacheMissTokens = "prompt_cache_miss_tokens";
    CamelInputTokens = "inputTokens";
    CamelOutputTokens = "outputTokens";
    CamelTotalTokens = "totalTokens";
    CamelCacheReadInputTokens = "cacheReadInputTokens";
    CamelCacheWriteInputTokens = "cacheWriteInputTokens";
    InputTokenCount = "input_token_count";
    GeneratedTokenCount = "generated_token_count";
    PromptEvalCount = "prompt_eval_count";
    EvalCount = "eval_count";
    InputLength = "input_length";
    GeneratedTokens = "generated_tokens";
}

/// The names of one count, of which the first that is there counts.
pub(super) struct Names {
    pub(super) names: &'static [Name],
    /// The parts that they begin with, a bit each.
    pub(super) mask: u64,
}

const fn names(names: &'static [Name]) -> Names {
    let (mut mask, mut at) = (0, 0);
    while at < names.len() {
        mask |= 1 << names[at].part as u32;
        at += 1;
    }
    Names { names, mask }
}

/// A name of a count, and what has to be added to it, where present, to make it the whole.
pub(super) struct Name {
    pub(super) part: Part,
    pub(super) plus: &'static [Part],
}

const fn plain(part: Part) -> Name {
    Name { part, plus: &[] }
}

/// Anthropic's and Bedrock's prompts do not include what came from or went into the cache.
pub(super) static PROMPT: Names = names(&[
    plain(Part::PromptTokens),
    Name { part: Part::InputTokens, plus: &[Part::CacheReadInputTokens, Part::CacheCreationInputTokens] },
    plain(Part::PromptTokenCount),
    Name { part: Part::CamelInputTokens, plus: &[Part::CamelCacheReadInputTokens, Part::CamelCacheWriteInputTokens] },
    plain(Part::InputTokenCount),
    plain(Part::PromptEvalCount),
    plain(Part::InputLength),
]);

/// Gemini's candidates do not include its thoughts, and there are none where an answer ends in thought.
pub(super) static COMPLETION: Names = names(&[
    plain(Part::CompletionTokens),
    plain(Part::OutputTokens),
    Name { part: Part::CandidatesTokenCount, plus: &[Part::ThoughtsTokenCount] },
    plain(Part::ThoughtsTokenCount),
    plain(Part::CamelOutputTokens),
    plain(Part::GeneratedTokenCount),
    plain(Part::EvalCount),
    plain(Part::GeneratedTokens),
]);

pub(super) static CACHED: Names = names(&[
    plain(Part::PromptCached),
    plain(Part::InputCached),
    plain(Part::CacheReadInputTokens),
    plain(Part::PromptCacheHitTokens),
    plain(Part::CachedContentTokenCount),
    plain(Part::CamelCacheReadInputTokens),
    plain(Part::CachedTokens),
]);

pub(super) static REASONING: Names = names(&[
    plain(Part::CompletionReasoning),
    plain(Part::OutputReasoning),
    plain(Part::ThoughtsTokenCount),
    plain(Part::ReasoningTokens),
]);

pub(super) static DETAILS: [(UsageDetail, Names); 8] = [
    (
        UsageDetail::TOTAL,
        names(&[plain(Part::TotalTokens), plain(Part::TotalTokenCount), plain(Part::CamelTotalTokens)]),
    ),
    (
        UsageDetail::CACHE_WRITE,
        names(&[
            plain(Part::CacheCreationInputTokens),
            plain(Part::CamelCacheWriteInputTokens),
            plain(Part::PromptCacheWrite),
            plain(Part::InputCacheWrite),
        ]),
    ),
    (UsageDetail::CACHE_MISS, names(&[plain(Part::PromptCacheMissTokens)])),
    (
        UsageDetail::PROMPT_AUDIO,
        names(&[plain(Part::PromptAudio), plain(Part::InputAudio), plain(Part::InputTokenAudio)]),
    ),
    (UsageDetail::COMPLETION_AUDIO, names(&[plain(Part::CompletionAudio), plain(Part::OutputAudio)])),
    (UsageDetail::ACCEPTED_PREDICTION, names(&[plain(Part::CompletionAccepted)])),
    (UsageDetail::REJECTED_PREDICTION, names(&[plain(Part::CompletionRejected)])),
    (UsageDetail::TOOL_PROMPT, names(&[plain(Part::ToolUsePromptTokenCount)])),
];
