//! Token counts as servers report them: those of the table `names`, read the fast way and the thorough way.
//!
//! A count that is missing, null or no whole number is absent; zero is a count.

mod names;

use crate::scan::Cursor;
use inferometer_plugin_sdk::types::{Delta, NO_COUNT};
use names::{CACHED, COMPLETION, DETAILS, KEYS, Names, PARTS, PROMPT, REASONING};
use serde_json::Value;

pub(crate) use names::{Part, Path};

/// Where in an answer its usage may be; the first that is an object and not empty counts.
const PLACES: [Path; 4] = [&["usage", "tokens"], &["usage"], &["usageMetadata"], &["meta", "tokens"]];

/// The numbers of an answer's usage, by their names.
#[derive(Clone, Copy)]
pub(crate) struct Counts {
    numbers: [u64; PARTS.len()],
    /// Which of them are there, a bit each.
    present: u64,
}

impl Counts {
    /// None so far.
    pub(crate) const NONE: Self = Self { numbers: [0; PARTS.len()], present: 0 };

    /// Takes down a number.
    #[inline]
    pub(crate) fn set(&mut self, part: Part, number: u64) {
        self.numbers[part as usize] = number;
        self.present |= 1 << part as u32;
    }

    /// Whether a number was taken down.
    #[inline]
    pub(crate) fn has(&self, part: Part) -> bool {
        self.present & 1 << part as u32 != 0
    }

    fn get(&self, part: Part) -> Option<u64> {
        self.has(part).then(|| self.numbers[part as usize])
    }

    /// Takes down what `usage`, an object, holds.
    pub(crate) fn read(&mut self, usage: &Value) {
        for (part, path) in PARTS {
            if let Some(number) = at(usage, path).and_then(Value::as_u64) {
                self.set(*part, number);
            }
        }
    }

    /// Passes an object or `null` and takes down what it holds, as [`Counts::read`] does. Gives up on anything odd.
    pub(crate) fn scan(&mut self, c: &mut Cursor<'_>) -> Option<()> {
        let mut outer: u64 = 0;
        if c.eat(b"null") {
            return Some(());
        }
        c.object(|c| {
            // Passing a key that is known takes a third of the time of finding its end.
            let at = if c.key(b"\"prompt_tokens\":") {
                Part::PromptTokens as usize
            } else if c.key(b"\"completion_tokens\":") {
                Part::CompletionTokens as usize
            } else if c.key(b"\"total_tokens\":") {
                Part::TotalTokens as usize
            } else if c.key(b"\"prompt_tokens_details\":") {
                Part::PromptCached as usize
            } else {
                let key = c.any_key()?;
                match KEYS.iter().position(|known| *known == key) {
                    Some(at) => at,
                    // An envelope within the envelope.
                    None if key == b"tokens" => return None,
                    None => return c.pass_value(),
                }
            };
            let bit = 1 << at;
            (outer & bit == 0).then_some(())?;
            outer |= bit;
            match PARTS[at] {
                (part, [_]) => self.scan_count(part, c),
                _ if c.eat(b"null") => Some(()),
                (_, path) => self.scan_details(path[0], c),
            }
        })
    }

    fn scan_details(&mut self, outer: &str, c: &mut Cursor<'_>) -> Option<()> {
        let mut seen: u64 = 0;
        c.object(|c| {
            let key = c.any_key()?;
            let is_it = |(_, path): &&(Part, Path)| path.len() == 2 && path[0] == outer && path[1].as_bytes() == key;
            let Some((part, _)) = PARTS.iter().find(is_it) else { return c.pass_value() };
            let bit = 1 << *part as u32;
            (seen & bit == 0).then_some(())?;
            seen |= bit;
            self.scan_count(*part, c)
        })
    }

    fn scan_count(&mut self, part: Part, c: &mut Cursor<'_>) -> Option<()> {
        if !c.eat(b"null") {
            self.set(part, c.count()?.into());
        }
        Some(())
    }

    /// Tells `delta` what the numbers come to.
    pub(crate) fn tell(&self, delta: &mut Delta) {
        if self.present == 0 {
            return;
        }
        for (names, place) in [
            (&PROMPT, &mut delta.prompt_tokens),
            (&COMPLETION, &mut delta.completion_tokens),
            (&CACHED, &mut delta.cached_tokens),
            (&REASONING, &mut delta.reasoning_tokens),
        ] {
            *place = self.count(names).unwrap_or(NO_COUNT);
        }
        for (detail, names) in &DETAILS {
            if let Some(count) = self.count(names) {
                delta.set_detail(*detail, count);
            }
        }
    }

    #[inline]
    fn count(&self, names: &Names) -> Option<u32> {
        if self.present & names.mask == 0 {
            return None;
        }
        let found = names.names.iter().find_map(|name| {
            let plus = name.plus.iter().filter_map(|part| self.get(*part));
            Some(plus.fold(self.get(name.part)?, u64::saturating_add))
        });
        found.and_then(|n| u32::try_from(n).ok()).filter(|n| *n != NO_COUNT)
    }
}

/// Puts the counts of `answer`, an event or a body, into `delta`. Whether it reports any usage.
pub(crate) fn read(answer: &Value, delta: &mut Delta) -> bool {
    let is_filled = |value: &&Value| value.as_object().is_some_and(|members| !members.is_empty());
    let mut places = PLACES.iter().filter_map(|path| at(answer, path));
    let Some(usage) = places.find(is_filled) else { return false };
    let mut counts = Counts::NONE;
    counts.read(usage);
    counts.tell(delta);
    true
}

/// The same of an answer of which its `usage` alone was kept.
pub(crate) fn read_alone(usage: &Value, delta: &mut Delta) {
    if !usage.is_null() {
        read(&serde_json::json!({"usage": usage}), delta);
    }
}

/// Whether there may be usage under the key `key` of an answer.
pub(crate) fn is_place(key: &[u8]) -> bool {
    PLACES.iter().any(|path| path[0].as_bytes() == key)
}

/// The value `path` leads to.
pub(crate) fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_plugin_sdk::types::UsageDetail;
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

    #[test]
    fn ollamas_and_hugging_faces_counts_are_known() {
        assert_eq!(counts(&json!({"usage": {"prompt_eval_count": 3, "eval_count": 4}}))[..2], [Some(3), Some(4)]);
        assert_eq!(counts(&json!({"usage": {"input_length": 3, "generated_tokens": 4}}))[..2], [Some(3), Some(4)]);
        assert_eq!(counts(&json!({"usageMetadata": {"thoughtsTokenCount": 4}})), [None, Some(4), None, Some(4)]);
    }

    #[test]
    fn further_counts_are_told_as_details() {
        let details = |usage: Value| {
            let mut delta = Delta::EMPTY;
            read(&json!({"usage": usage}), &mut delta);
            (0..8).map(|n| delta.detail(UsageDetail(n))).collect::<Vec<_>>()
        };
        let openai = json!({"total_tokens": 9, "prompt_cache_miss_tokens": 2,
            "prompt_tokens_details": {"audio_tokens": 3, "cache_write_tokens": 1},
            "completion_tokens_details": {"audio_tokens": 4, "accepted_prediction_tokens": 5,
                "rejected_prediction_tokens": 6}});
        assert_eq!(
            details(openai),
            [1, 2, 3, 4, 5, 6].map(Some).into_iter().chain([None, Some(9)]).collect::<Vec<_>>()
        );
        let gemini = json!({"totalTokenCount": 0, "toolUsePromptTokenCount": 7});
        assert_eq!(details(gemini)[6..], [Some(7), Some(0)]);
        let bedrock = json!({"cacheWriteInputTokens": 8, "totalTokens": 9});
        assert_eq!((details(bedrock.clone())[0], details(bedrock)[7]), (Some(8), Some(9)));
        assert_eq!(details(json!({"cache_creation_input_tokens": 8}))[0], Some(8));
    }

    #[test]
    fn what_a_scan_takes_it_reads_as_the_parser_does() {
        for (usage, is_taken) in [
            (r#"{"prompt_tokens": 3, "x": [1], "prompt_tokens_details": {"cached_tokens": 1, "y": {}}}"#, true),
            (r#"{"input_tokens":3,"cache_read_input_tokens":null,"input_tokens_details":null}"#, true),
            ("null", true),
            (r#"{"prompt_tokens":3,"prompt_tokens":4}"#, false),
            (r#"{"prompt_tokens":"3"}"#, false),
            (r#"{"tokens":{"input_tokens":3}}"#, false),
            (r#"{"prompt_tokens_details":{"cached_tokens":1,"cached_tokens":1}}"#, false),
        ] {
            let (mut scanned, mut parsed) = (Counts::NONE, Counts::NONE);
            let taken = Cursor::new(usage.as_bytes()).and_then(|mut c| scanned.scan(&mut c)).is_some();
            assert_eq!(taken, is_taken, "{usage}");
            parsed.read(&serde_json::from_str(usage).unwrap());
            if taken {
                assert_eq!((scanned.numbers, scanned.present), (parsed.numbers, parsed.present), "{usage}");
            }
        }
    }
}
