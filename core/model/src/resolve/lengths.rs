//! Lengths of made-up sessions: tokens, turns and think times.

use crate::{
    config::{RankingConfig, SyntheticConfig},
    error::{ConfigError, refuse},
    values::{Millis, Number},
};
use inferometer_abi::documents::{Length, LengthPair, RangeRatio, RankingRequest};
use serde::Deserialize;
use serde_json::Value;

const DEFAULT_ISL: f64 = 550.0;
/// The longest text that is made up or asked for, in tokens.
pub(super) const MOST_TOKENS: f64 = 10_000_000.0;
const MOST_TURNS: f64 = 10_000.0;
const MOST_PASSAGES: f64 = 10_000.0;
/// The longest think time, in milliseconds: a day.
const LONGEST_DELAY: f64 = 86_400_000.0;
/// How far shares may be from 100 % together, for those that cannot be written exactly.
const TOLERANCE: f64 = 1e-3;

/// Input tokens of a prompt.
pub(super) fn input(config: &SyntheticConfig) -> Result<Length, ConfigError> {
    let mean = config.isl.map_or(DEFAULT_ISL, |isl| isl.0);
    length("--isl", mean, "--isl-stddev", config.isl_stddev, 1.0..=MOST_TOKENS, "a number of tokens")
}

/// Output tokens to ask for, if any.
pub(super) fn output(config: &SyntheticConfig) -> Result<Option<Length>, ConfigError> {
    let range = 1.0..=MOST_TOKENS;
    optional(config.osl, "--osl", config.osl_stddev, "--osl-stddev", range, "a number of tokens")
}

/// Turns of a session, if said.
pub(super) fn turns(config: &SyntheticConfig) -> Result<Option<Length>, ConfigError> {
    let (mean, stddev) = (config.session_turns_mean, config.session_turns_stddev);
    let range = 1.0..=MOST_TURNS;
    optional(mean, "--session-turns-mean", stddev, "--session-turns-stddev", range, "a number of turns")
}

/// Think time before the later turns, in milliseconds, if there is any.
pub(super) fn delay(config: &SyntheticConfig) -> Result<Option<Length>, ConfigError> {
    let number = |time: Option<Millis>| time.map(|time| Number(time.0));
    let (mean, stddev) = (number(config.session_turn_delay_mean), number(config.session_turn_delay_stddev));
    let flags = ("--session-turn-delay-mean", "--session-turn-delay-stddev");
    let delay = optional(mean, flags.0, stddev, flags.1, 0.0..=LONGEST_DELAY, "a time in milliseconds")?
        .filter(|delay| delay.mean > 0.0);
    if delay.is_some()
        && config.session_turns_mean.is_none_or(|turns| turns.0 <= 1.0)
        && config.session_turns_stddev.is_none_or(|stddev| stddev.0 == 0.0)
    {
        return refuse(format!(
            "{} is the time between two turns, and sessions have one; add --session-turns-mean 2 or more",
            flags.0
        ));
    }
    Ok(delay)
}

fn optional(
    mean: Option<Number>,
    flag: &str,
    stddev: Option<Number>,
    stddev_flag: &str,
    range: std::ops::RangeInclusive<f64>,
    what: &str,
) -> Result<Option<Length>, ConfigError> {
    match mean {
        Some(Number(mean)) => length(flag, mean, stddev_flag, stddev, range, what).map(Some),
        None if stddev.is_some_and(|stddev| stddev.0 != 0.0) => {
            refuse(format!("{stddev_flag} needs a mean; add {flag}"))
        }
        None => Ok(None),
    }
}

/// Queries and passages, if any setting of theirs was typed.
pub(super) fn ranking(config: &RankingConfig) -> Result<Option<RankingRequest>, ConfigError> {
    if *config == RankingConfig::default() {
        return Ok(None);
    }
    let usual = RankingRequest::default();
    let length = |usual: Length, flag: &str, mean: Option<Number>, stddev: Option<Number>, most: f64, what: &str| {
        let (mean, stddev_flag) = (mean.map_or(usual.mean, |mean| mean.0), flag.replace("-mean", "-stddev"));
        length(flag, mean, &stddev_flag, stddev, 1.0..=most, what)
    };
    let (count, tokens) = ("a number of passages", "a number of tokens");
    Ok(Some(RankingRequest {
        passages: length(
            usual.passages,
            "--rankings-passages-mean",
            config.rankings_passages_mean,
            config.rankings_passages_stddev,
            MOST_PASSAGES,
            count,
        )?,
        passage_tokens: length(
            usual.passage_tokens,
            "--rankings-passages-prompt-token-mean",
            config.rankings_passages_prompt_token_mean,
            config.rankings_passages_prompt_token_stddev,
            MOST_TOKENS,
            tokens,
        )?,
        query_tokens: length(
            usual.query_tokens,
            "--rankings-query-prompt-token-mean",
            config.rankings_query_prompt_token_mean,
            config.rankings_query_prompt_token_stddev,
            MOST_TOKENS,
            tokens,
        )?,
    }))
}

/// A mean within `range`, with its deviation.
pub(super) fn length(
    flag: &str,
    mean: f64,
    stddev_flag: &str,
    stddev: Option<Number>,
    range: std::ops::RangeInclusive<f64>,
    what: &str,
) -> Result<Length, ConfigError> {
    let stddev = stddev.map_or(0.0, |stddev| stddev.0);
    if !range.contains(&mean) {
        let (least, most) = range.into_inner();
        return refuse(format!("{flag} {mean} is not {what}; give {least} to {most}"));
    }
    if !(0.0..=*range.end()).contains(&stddev) {
        return refuse(format!("{stddev_flag} {stddev} is not a deviation; give 0 to {}", range.end()));
    }
    Ok(Length { mean, stddev })
}

/// How far lengths spread, if said.
pub(super) fn range_ratio(config: &SyntheticConfig) -> Result<Option<RangeRatio>, ConfigError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Both {
        input: f64,
        output: f64,
    }
    let Some(text) = &config.random_range_ratio else { return Ok(None) };
    let wrong = |why: &str| refuse(format!("--random-range-ratio {text}: {why}"));
    if config.seq_dist.is_some() {
        return wrong("--seq-dist brings lengths of its own; leave one out");
    }
    if config.isl.is_none() || config.osl.is_none() {
        return wrong("it spreads the lengths that are asked for; add --isl and --osl");
    }
    if config.isl_stddev.is_some() || config.osl_stddev.is_some() {
        return wrong("it takes the place of --isl-stddev and --osl-stddev; leave them out");
    }
    let ratio = match text.trim().parse::<f64>() {
        Ok(ratio) => RangeRatio { input: ratio, output: ratio },
        Err(_) => match serde_json::from_str::<Both>(text) {
            Ok(Both { input, output }) => RangeRatio { input, output },
            Err(_) => return wrong("it is neither a number nor {\"input\": …, \"output\": …}; write 0.2, for example"),
        },
    };
    if ![ratio.input, ratio.output].iter().all(|ratio| (0.0..1.0).contains(ratio)) {
        return wrong("a ratio is from 0 to less than 1");
    }
    Ok(Some(ratio))
}

/// Pairs of lengths, if said, in any of the three notations.
pub(super) fn pairs(config: &SyntheticConfig) -> Result<Vec<LengthPair>, ConfigError> {
    let Some(text) = config.seq_dist.as_deref().map(str::trim) else { return Ok(Vec::new()) };
    let typed = [
        ("--isl", config.isl.is_some()),
        ("--isl-stddev", config.isl_stddev.is_some()),
        ("--osl", config.osl.is_some()),
        ("--osl-stddev", config.osl_stddev.is_some()),
    ];
    if let Some((flag, _)) = typed.iter().find(|(_, is_typed)| *is_typed) {
        return refuse(format!("--seq-dist brings all lengths; leave it or {flag} out"));
    }
    let wrong = |why: &str| {
        refuse(format!("--seq-dist {text}: {why}; write it as '256,128:60;512|50,256:40', the shares in percent"))
    };
    let pairs = if text.starts_with('{') {
        from_json(text)
    } else if let Some(list) = text.strip_prefix('[') {
        list.strip_suffix(']').ok_or_else(|| "']' is missing".to_owned()).and_then(from_brackets)
    } else {
        text.split(';').filter(|piece| !piece.trim().is_empty()).map(pair).collect()
    };
    let pairs = match pairs {
        Ok(pairs) if pairs.is_empty() => return wrong("it holds no pair"),
        Ok(pairs) => pairs,
        Err(why) => return wrong(&why),
    };
    for LengthPair { input, output, weight } in &pairs {
        for Length { mean, stddev } in [input, output] {
            if !((1.0..=MOST_TOKENS).contains(mean) && (0.0..=MOST_TOKENS).contains(stddev)) {
                return wrong(&format!("{mean}|{stddev} is not a number of tokens with its deviation"));
            }
        }
        if !(0.0..=100.0).contains(weight) {
            return wrong(&format!("{weight} is not a percentage"));
        }
    }
    let sum: f64 = pairs.iter().map(|pair| pair.weight).sum();
    if (sum - 100.0).abs() > TOLERANCE {
        return wrong(&format!("the shares add up to {sum}, not to 100"));
    }
    Ok(pairs)
}

/// `(256,128):60,(512,256):40`
fn from_brackets(list: &str) -> Result<Vec<LengthPair>, String> {
    let mut pairs = Vec::new();
    let mut rest = list.trim();
    while !rest.is_empty() {
        let (lengths, after) = rest
            .strip_prefix('(')
            .and_then(|rest| rest.split_once(')'))
            .ok_or_else(|| format!("'{rest}' does not begin with a pair in brackets"))?;
        let (share, after) = after.split_once('(').map_or((after, ""), |(share, _)| (share, &after[share.len()..]));
        pairs.push(pair(&format!("{lengths}{}", share.trim().trim_end_matches([',', ';'])))?);
        rest = after;
    }
    Ok(pairs)
}

/// `512|50,256|10:40`
fn pair(text: &str) -> Result<LengthPair, String> {
    let wrong = || format!("'{}' is not a pair", text.trim());
    let number = |text: &str| text.trim().trim_end_matches('%').parse::<f64>().map_err(|_| wrong());
    let length = |text: &str| -> Result<Length, String> {
        let (mean, stddev) = text.split_once('|').unwrap_or((text, "0"));
        Ok(Length { mean: number(mean)?, stddev: number(stddev)? })
    };
    let (lengths, share) = text.rsplit_once(':').ok_or_else(wrong)?;
    let (input, output) = lengths.split_once(',').ok_or_else(wrong)?;
    Ok(LengthPair { input: length(input)?, output: length(output)?, weight: number(share)? })
}

/// `{"pairs": [{"isl": 256, "osl": 128, "prob": 60}]}`
fn from_json(text: &str) -> Result<Vec<LengthPair>, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pairs {
        pairs: Vec<Pair>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        isl: f64,
        #[serde(default, alias = "isl_std")]
        isl_stddev: f64,
        osl: f64,
        #[serde(default, alias = "osl_std")]
        osl_stddev: f64,
        #[serde(alias = "probability")]
        prob: f64,
    }
    let value: Value = serde_json::from_str(text).map_err(|e| format!("not JSON: {e}"))?;
    let Pairs { pairs } = serde_json::from_value(value).map_err(|e| e.to_string())?;
    let length = |mean, stddev| Length { mean, stddev };
    Ok(pairs
        .into_iter()
        .map(|pair| LengthPair {
            input: length(pair.isl, pair.isl_stddev),
            output: length(pair.osl, pair.osl_stddev),
            weight: pair.prob,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use crate::testing::{plan, refused};
    use inferometer_abi::documents::RankingRequest;
    use inferometer_abi::documents::{DatasetRequest, Length, LengthPair, RangeRatio};

    fn request(flags: &str) -> DatasetRequest {
        plan(flags).unwrap().data.request
    }

    #[test]
    fn lengths_are_asked_for_under_all_their_names() {
        let asked = Length { mean: 30.0, stddev: 2.0 };
        for (mean, stddev) in [
            ("--isl", "--isl-stddev"),
            ("--prompt-input-tokens-mean", "--prompt-input-tokens-stddev"),
            ("--synthetic-input-tokens-mean", "--synthetic-input-tokens-stddev"),
            ("--random-input-len", "--isl-stddev"),
        ] {
            assert_eq!(request(&format!("{mean} 30 {stddev} 2")).input_tokens, asked);
        }
        for (mean, stddev) in [
            ("--osl", "--osl-stddev"),
            ("--prompt-output-tokens-mean", "--prompt-output-tokens-stddev"),
            ("--output-tokens-mean", "--output-tokens-stddev"),
        ] {
            assert_eq!(request(&format!("{mean} 30 {stddev} 2")).output_tokens, Some(asked));
        }
        assert_eq!(request("").input_tokens, Length { mean: 550.0, stddev: 0.0 });
        assert_eq!(request("").output_tokens, None);
    }

    #[test]
    fn sessions_have_turns_and_think_times() {
        for prefix in ["session", "conversation"] {
            let turn = if prefix == "session" { "turns" } else { "turn" };
            let request = request(&format!(
                "--{prefix}-{turn}-mean 5 --{prefix}-{turn}-stddev 1 --{prefix}-turn-delay-mean 2s \
                 --{prefix}-turn-delay-stddev 100"
            ));
            assert_eq!(request.turns, Some(Length { mean: 5.0, stddev: 1.0 }));
            assert_eq!(request.delay_ms, Some(Length { mean: 2_000.0, stddev: 100.0 }));
        }
        assert_eq!((request("").turns, request("").delay_ms), (None, None));
    }

    #[test]
    fn any_setting_of_rankings_asks_for_them_and_the_others_have_their_usual_values() {
        assert_eq!(plan("").unwrap().data.request.ranking, None);
        let asked = plan("--rankings-passages-mean 4 --rankings-passages-stddev 1").unwrap().data.request.ranking;
        let passages = Length { mean: 4.0, stddev: 1.0 };
        assert_eq!(asked, Some(RankingRequest { passages, ..RankingRequest::default() }));
    }

    #[test]
    fn pairs_are_read_in_three_notations() {
        let length = |mean, stddev| Length { mean, stddev };
        let expected = [
            LengthPair { input: length(256.0, 10.0), output: length(128.0, 0.0), weight: 60.0 },
            LengthPair { input: length(512.0, 0.0), output: length(256.0, 5.0), weight: 40.0 },
        ];
        for text in [
            "256|10,128:60;512,256|5:40",
            " 256|10, 128 : 60 ; 512,256|5 : 40; ",
            "[(256|10,128):60,(512,256|5):40]",
            "[ (256|10, 128):60, (512, 256|5):40 ]",
            r#"{"pairs": [{"isl": 256, "isl_stddev": 10, "osl": 128, "prob": 60}, {"isl": 512, "osl": 256, "osl_stddev": 5, "prob": 40}]}"#,
        ] {
            assert_eq!(request(&format!("--sequence-distribution '{text}'")).length_pairs, expected, "{text}");
        }
    }

    #[test]
    fn lengths_spread_by_one_ratio_or_two() {
        let ratio = |text: &str| request(&format!("--isl 9 --osl 9 --random-range-ratio '{text}'")).range_ratio;
        assert_eq!(ratio("0.25"), Some(RangeRatio { input: 0.25, output: 0.25 }));
        assert_eq!(ratio(r#"{"input": 0, "output": 0.5}"#), Some(RangeRatio { input: 0.0, output: 0.5 }));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused_with_what_would_do() {
        refused(&[
            ("--isl 0", &["--isl 0", "give 1"]),
            ("--isl nan", &["--isl NaN"]),
            ("--osl inf", &["--osl inf"]),
            ("--isl-stddev=-1", &["--isl-stddev -1"]),
            ("--osl-stddev 1", &["--osl-stddev", "add --osl"]),
            ("--session-turns-mean 0.5", &["--session-turns-mean 0.5", "give 1"]),
            ("--session-turns-stddev 1", &["add --session-turns-mean"]),
            ("--session-turns-mean 2 --session-turn-delay-stddev 1", &["add --session-turn-delay-mean"]),
            ("--session-turn-delay-mean 1", &["add --session-turns-mean"]),
            ("--seq-dist 256,128:60", &["add up to 60"]),
            ("--seq-dist 256,128:60;512,256:50", &["add up to 110"]),
            ("--seq-dist 256:100", &["'256:100' is not a pair", "256,128:60"]),
            ("--seq-dist 0,5:100", &["0|0 is not a number of tokens"]),
            ("--seq-dist [(256,128):100", &["']' is missing"]),
            ("--seq-dist [256,128:100]", &["in brackets"]),
            ("--seq-dist '{\"pairs\": [{\"isl\": 5}]}'", &["osl"]),
            ("--seq-dist ;", &["no pair"]),
            ("--seq-dist 256,128:100 --osl 5", &["--seq-dist", "--osl out"]),
            ("--seq-dist 256,128:100 --random-range-ratio 0.5", &["--random-range-ratio", "--seq-dist"]),
            ("--random-range-ratio 0.5", &["add --isl and --osl"]),
            ("--random-range-ratio 0.5 --isl 5 --osl 5 --osl-stddev 1", &["--osl-stddev"]),
            ("--random-range-ratio 1 --isl 5 --osl 5", &["less than 1"]),
            ("--random-range-ratio much --isl 5 --osl 5", &["neither a number"]),
        ]);
    }
}
