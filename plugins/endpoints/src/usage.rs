//! Token counts as servers report them: one table of the names that vendors use.
//!
//! A count that is missing, null or no whole number is absent; zero is a count.

use inferometer_plugin_sdk::types::{Delta, NO_COUNT};
use serde_json::Value;

/// Keys from an object down to a value within it.
pub(crate) type Path = &'static [&'static str];

/// A name of a count, and what has to be added to it, where present, to make it the whole.
struct Name {
    path: Path,
    plus: &'static [&'static str],
}

const fn plain(path: Path) -> Name {
    Name { path, plus: &[] }
}

/// Where in an answer its usage may be; the first that is an object and not empty counts.
const PLACES: [Path; 4] = [&["usage", "tokens"], &["usage"], &["usageMetadata"], &["meta", "tokens"]];

/// Anthropic's and Bedrock's prompts do not include what came from or went into the cache.
const PROMPT: [Name; 5] = [
    plain(&["prompt_tokens"]),
    Name { path: &["input_tokens"], plus: &["cache_read_input_tokens", "cache_creation_input_tokens"] },
    plain(&["promptTokenCount"]),
    Name { path: &["inputTokens"], plus: &["cacheReadInputTokens", "cacheWriteInputTokens"] },
    plain(&["input_token_count"]),
];

/// Gemini's candidates do not include its thoughts.
const COMPLETION: [Name; 5] = [
    plain(&["completion_tokens"]),
    plain(&["output_tokens"]),
    Name { path: &["candidatesTokenCount"], plus: &["thoughtsTokenCount"] },
    plain(&["outputTokens"]),
    plain(&["generated_token_count"]),
];

const CACHED: [Name; 7] = [
    plain(&["prompt_tokens_details", "cached_tokens"]),
    plain(&["input_tokens_details", "cached_tokens"]),
    plain(&["cache_read_input_tokens"]),
    plain(&["prompt_cache_hit_tokens"]),
    plain(&["cachedContentTokenCount"]),
    plain(&["cacheReadInputTokens"]),
    plain(&["cached_tokens"]),
];

const REASONING: [Name; 4] = [
    plain(&["completion_tokens_details", "reasoning_tokens"]),
    plain(&["output_tokens_details", "reasoning_tokens"]),
    plain(&["thoughtsTokenCount"]),
    plain(&["reasoning_tokens"]),
];

/// Puts the counts of `answer`, an event or a body, into `delta`. Whether it reports any usage.
pub(crate) fn read(answer: &Value, delta: &mut Delta) -> bool {
    let is_filled = |value: &&Value| value.as_object().is_some_and(|members| !members.is_empty());
    let mut places = PLACES.iter().filter_map(|path| at(answer, path));
    let Some(usage) = places.find(is_filled) else { return false };
    delta.prompt_tokens = count(usage, &PROMPT);
    delta.completion_tokens = count(usage, &COMPLETION);
    delta.cached_tokens = count(usage, &CACHED);
    delta.reasoning_tokens = count(usage, &REASONING);
    true
}

/// Whether there may be usage under the key `key` of an answer.
pub(crate) fn is_place(key: &[u8]) -> bool {
    PLACES.iter().any(|path| path[0].as_bytes() == key)
}

/// Whether usage may hold a count, or part of one, under the key `key`.
pub(crate) fn is_part(key: &[u8]) -> bool {
    let names = [&PROMPT[..], &COMPLETION, &CACHED, &REASONING].into_iter().flatten();
    let inner = PLACES.iter().filter_map(|path| path.get(1));
    names.flat_map(|name| name.path.iter().chain(name.plus)).chain(inner).any(|part| part.as_bytes() == key)
}

/// The value `path` leads to.
pub(crate) fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

fn count(usage: &Value, names: &[Name]) -> u32 {
    let found = names.iter().find_map(|name| {
        let part = |key: &&str| usage.get(key).and_then(Value::as_u64).unwrap_or(0);
        let whole = at(usage, name.path)?.as_u64()?;
        Some(name.plus.iter().map(part).fold(whole, u64::saturating_add))
    });
    found.and_then(|n| u32::try_from(n).ok()).unwrap_or(NO_COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Prompt, completion, cached, reasoning.
    fn counts(answer: &Value) -> [Option<u32>; 4] {
        let mut delta = Delta::EMPTY;
        read(answer, &mut delta);
        [delta.prompt_tokens, delta.completion_tokens, delta.cached_tokens, delta.reasoning_tokens]
            .map(|n| (n != NO_COUNT).then_some(n))
    }

    #[test]
    fn every_vendors_shape_gives_the_same_four_counts() {
        let all = [Some(20), Some(9), Some(12), Some(4)];
        for usage in [
            json!({"usage": {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29,
                "prompt_tokens_details": {"cached_tokens": 12}, "completion_tokens_details": {"reasoning_tokens": 4}}}),
            json!({"usage": {"input_tokens": 20, "output_tokens": 9,
                "input_tokens_details": {"cached_tokens": 12}, "output_tokens_details": {"reasoning_tokens": 4}}}),
            json!({"usage": {"prompt_tokens": 20, "completion_tokens": 9, "prompt_cache_hit_tokens": 12,
                "reasoning_tokens": 4}}),
            json!({"usage": {"input_tokens": 5, "cache_read_input_tokens": 12, "cache_creation_input_tokens": 3,
                "output_tokens": 9, "reasoning_tokens": 4}}),
            json!({"usage": {"inputTokens": 5, "cacheReadInputTokens": 12, "cacheWriteInputTokens": 3,
                "outputTokens": 9, "reasoning_tokens": 4}}),
            json!({"usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 5, "thoughtsTokenCount": 4,
                "cachedContentTokenCount": 12}}),
            json!({"meta": {"tokens": {"input_tokens": 20, "output_tokens": 9, "cached_tokens": 12,
                "reasoning_tokens": 4}}}),
            json!({"usage": {"billed_units": {}, "tokens": {"input_token_count": 20, "generated_token_count": 9,
                "cached_tokens": 12, "reasoning_tokens": 4}}}),
        ] {
            assert_eq!(counts(&usage), all, "{usage}");
        }
    }

    #[test]
    fn a_count_that_was_not_given_is_absent_and_never_zero() {
        assert_eq!(counts(&json!({"usage": null})), [None; 4]);
        assert_eq!(counts(&json!({"usage": {}})), [None; 4]);
        let odd = json!({"usage": {"prompt_tokens": null, "completion_tokens": -1, "cached_tokens": "7"}});
        assert_eq!(counts(&odd), [None; 4]);
        let huge = json!({"usage": {"prompt_tokens": u64::MAX, "completion_tokens": u32::MAX}});
        assert_eq!(counts(&huge), [None; 4]);
        assert_eq!(counts(&json!({"usage": {"prompt_tokens": 0}})), [Some(0), None, None, None]);
    }
}
