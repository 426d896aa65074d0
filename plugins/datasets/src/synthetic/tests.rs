//! What users see of made-up sessions; images and audio have tests of their own.

use super::*;
use crate::testing::{Collected, Words, session};
use inferometer_plugin_sdk::{
    documents::{AudioRequest, ImageRequest, Length, LengthPair, PrefixRequest, RangeRatio, RankingRequest},
    random::{SplitMix64, mix},
    types::ErrorKind,
};
use proptest::prelude::*;

mod media;

fn request() -> DatasetRequest {
    DatasetRequest { seed: 42, entries: 100, input_tokens: length(20.0, 5.0), ..DatasetRequest::default() }
}

fn length(mean: f64, stddev: f64) -> Length {
    Length { mean, stddev }
}

fn opened(request: &DatasetRequest) -> Synthetic {
    let mut loader = Synthetic::default();
    loader.open(request, &Words).unwrap();
    loader
}

fn prompts(loader: &Synthetic) -> Vec<String> {
    (0..100).map(|index| session(loader, index).turns[0].parts[0].data.clone()).collect()
}

#[test]
fn a_session_is_one_user_message_of_the_length_asked_for() {
    let fixed = DatasetRequest { input_tokens: length(7.0, 0.0), ..request() };
    let Collected { name, turns, .. } = session(&opened(&fixed), 3);
    assert_eq!(name, "session_000003");
    assert_eq!((turns.len(), turns[0].role.as_str(), turns[0].parts.len()), (1, "user", 1));
    assert_eq!(Words.count(&turns[0].parts[0].data), 7);
    assert_eq!(turns[0].max_tokens, 0, "no limit is sent unless one was asked for");
}

#[test]
fn there_are_as_many_sessions_as_were_asked_for() {
    let mut loader = Synthetic::default();
    assert_eq!(loader.open(&request(), &Words).unwrap().sessions, 100);
    assert!(loader.session(99, &Words, &mut Collected::default()).is_ok());
    assert!(loader.session(100, &Words, &mut Collected::default()).is_err());
}

#[test]
fn asking_for_output_tokens_leaves_the_prompts_as_they_were() {
    let output_tokens = Some(length(64.0, 9.0));
    let with_output = opened(&DatasetRequest { output_tokens, ..request() });
    assert_eq!(prompts(&with_output), prompts(&opened(&request())));
    let limits: Vec<_> = (0..100).map(|index| session(&with_output, index).turns[0].max_tokens).collect();
    assert!(limits.iter().all(|limit| (20..110).contains(limit)), "{limits:?}");
    assert!(limits.iter().any(|limit| *limit != limits[0]));
}

#[test]
fn prompts_differ_from_each_other_and_from_seed_to_seed() {
    let mut distinct = prompts(&opened(&request()));
    distinct.extend(prompts(&opened(&DatasetRequest { seed: 43, ..request() })));
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 200);
}

#[test]
fn a_tokenizer_that_fails_is_reported_with_the_prompt() {
    let too_long = DatasetRequest { input_tokens: length(1e6, 0.0), ..request() };
    let error = opened(&too_long).session(5, &Words, &mut Collected::default()).unwrap_err();
    assert!(error.message.contains("prompt 5 of 1000000 tokens"), "{error}");
}

/// Outlines of a session: delay in nanoseconds, tokens in, tokens out.
#[derive(Default)]
struct Outlines(String, Vec<(u64, u32, u32)>);

impl OutlineSink for Outlines {
    fn name(&mut self, name: &str) {
        self.0 = name.to_owned();
    }

    fn turn(&mut self, outline: &Outline<'_>) {
        self.1.push((outline.time.delay_ns, outline.input_tokens, outline.output_tokens));
    }
}

fn outline(loader: &Synthetic, index: u64) -> Vec<(u64, u32, u32)> {
    let mut outlines = Outlines::default();
    loader.outline(index, &mut outlines).unwrap();
    assert_eq!(outlines.0, session(loader, index).name);
    outlines.1
}

/// Everything at once, but for images and audio.
fn rich() -> DatasetRequest {
    DatasetRequest {
        output_tokens: Some(length(64.0, 9.0)),
        turns: Some(length(4.0, 2.0)),
        delay_ms: Some(length(500.0, 200.0)),
        batch: 3,
        prefixes: Some(PrefixRequest { prompts: 4, tokens: 11 }),
        ..request()
    }
}

/// Mean and deviation.
fn moments(drawn: &[f64]) -> (f64, f64) {
    let count = drawn.len() as f64;
    let mean = drawn.iter().sum::<f64>() / count;
    (mean, (drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt())
}

fn hash(texts: impl IntoIterator<Item = String>) -> u64 {
    texts.into_iter().flat_map(String::into_bytes).fold(0, |hash, byte| mix(hash ^ u64::from(byte)))
}

#[test]
fn the_prompts_of_a_seed_are_the_same_for_ever() {
    let words = SplitMix64::new(SplitMix64::new(42).nth(3));
    for (index, prompt) in prompts(&opened(&request())).into_iter().enumerate() {
        let same = Words.text(words.nth(index as u64), Words.count(&prompt)).unwrap();
        assert_eq!(prompt, same, "session {index}");
    }
    let first: Vec<_> = prompts(&opened(&request())).iter().take(5).map(|prompt| Words.count(prompt)).collect();
    assert_eq!(first, [11, 17, 9, 13, 14]);
    let all = (0..100).flat_map(|index| session(&opened(&rich()), index).turns);
    let texts = all.flat_map(|turn| turn.parts).map(|part| part.data);
    assert_eq!(hash(texts), 2_184_394_872_269_111_363);
}

#[test]
fn further_turns_and_think_times_leave_the_first_turns_as_they_were() {
    let more = DatasetRequest { turns: Some(length(3.0, 1.0)), delay_ms: Some(length(900.0, 0.0)), ..request() };
    assert_eq!(prompts(&opened(&more)), prompts(&opened(&request())));
    let batch = DatasetRequest { batch: 4, ..request() };
    assert_eq!(prompts(&opened(&batch)), prompts(&opened(&request())));
}

#[test]
fn turns_and_think_times_have_the_means_and_deviations_asked_for() {
    let asked = DatasetRequest {
        entries: 4_000,
        turns: Some(length(10.0, 2.0)),
        delay_ms: Some(length(1_000.0, 100.0)),
        output_tokens: Some(length(100.0, 10.0)),
        input_tokens: length(200.0, 20.0),
        ..request()
    };
    let loader = opened(&asked);
    let sessions: Vec<_> = (0..4_000).map(|index| outline(&loader, index)).collect();
    let (mean, deviation) = moments(&sessions.iter().map(|turns| turns.len() as f64).collect::<Vec<_>>());
    assert!((mean - 10.0).abs() < 0.15 && (deviation - 2.0).abs() < 0.15, "{mean} {deviation}");
    assert!(sessions.iter().all(|turns| turns[0].0 == 0), "nobody thinks before the first turn");
    let delays: Vec<f64> = sessions.iter().flat_map(|turns| &turns[1..]).map(|turn| turn.0 as f64 / 1e6).collect();
    assert!(delays.iter().all(|delay| delay.fract() == 0.0), "think times are whole milliseconds");
    let (mean, deviation) = moments(&delays);
    assert!((mean - 1_000.0).abs() < 3.0 && (deviation - 100.0).abs() < 3.0, "{mean} {deviation}");
    // What the second turn adds: its own prompt, after the first prompt and its reply.
    let added = |turns: &Vec<(u64, u32, u32)>| f64::from(turns[1].1 - turns[0].1 - turns[0].2);
    let (mean, deviation) = moments(&sessions.iter().filter(|turns| turns.len() > 1).map(added).collect::<Vec<_>>());
    assert!((mean - 200.0).abs() < 1.5 && (deviation - 20.0).abs() < 1.5, "{mean} {deviation}");
    let outputs: Vec<f64> = sessions.iter().flatten().map(|turn| turn.2.into()).collect();
    let (mean, deviation) = moments(&outputs);
    assert!((mean - 100.0).abs() < 0.5 && (deviation - 10.0).abs() < 0.5, "{mean} {deviation}");
}

#[test]
fn each_turn_brings_a_new_prompt_of_a_length_of_its_own() {
    let asked = DatasetRequest { turns: Some(length(5.0, 0.0)), ..request() };
    let mut seen = Vec::new();
    for index in 0..50 {
        let turns = session(&opened(&asked), index).turns;
        assert_eq!(turns.len(), 5);
        let lengths: Vec<_> = turns.iter().map(|turn| Words.count(&turn.parts[0].data)).collect();
        assert!(lengths.iter().any(|length| *length != lengths[0]), "session {index}: {lengths:?}");
        seen.extend(turns.into_iter().map(|turn| turn.parts[0].data.clone()));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 250);
}

#[test]
fn an_outline_tells_what_the_session_holds() {
    let loader = opened(&rich());
    for index in 0..100 {
        let (outline, session) = (outline(&loader, index), session(&loader, index));
        assert_eq!(outline.len(), session.turns.len());
        let mut before = 0;
        for ((delay, input, output), turn) in outline.into_iter().zip(session.turns) {
            before += turn.parts.iter().map(|part| Words.count(&part.data) as u32).sum::<u32>();
            assert_eq!((delay, input, output), (turn.time.delay_ns, before, turn.max_tokens));
            before += turn.max_tokens;
        }
    }
    let unlimited = DatasetRequest { turns: Some(length(2.0, 0.0)), ..request() };
    let prompt = Words.count(&prompts(&opened(&request()))[7]) as u32;
    assert_eq!(outline(&opened(&unlimited), 7), [(0, prompt, NO_COUNT), (0, NO_COUNT, NO_COUNT)]);
}

#[test]
fn pairs_of_lengths_are_drawn_by_weight_for_each_turn_and_come_together() {
    let pair = |input, output, weight| LengthPair { input: length(input, 0.0), output: length(output, 0.0), weight };
    let asked = DatasetRequest {
        entries: 1_000,
        length_pairs: vec![pair(10.0, 1.0, 0.0), pair(20.0, 2.0, 60.0), pair(30.0, 3.0, 40.0), pair(40.0, 4.0, 0.0)],
        turns: Some(length(3.0, 0.0)),
        batch: 2,
        input_tokens: Length::default(),
        ..request()
    };
    let loader = opened(&asked);
    let mut short = 0;
    let mut mixed = 0;
    for turns in (0..1_000).map(|index| session(&loader, index).turns) {
        let found: Vec<_> = turns.iter().map(|turn| turn.max_tokens).collect();
        for turn in turns {
            let lengths: Vec<_> = turn.parts.iter().map(|part| Words.count(&part.data) as u32).collect();
            assert!(matches!(turn.max_tokens, 2 | 3), "a pair without a weight was drawn");
            assert_eq!(lengths, [turn.max_tokens * 10; 2]);
        }
        short += found.iter().filter(|output| **output == 2).count();
        mixed += usize::from(found.iter().any(|output| *output != found[0]));
    }
    assert!((1_730..1_870).contains(&short), "{short} of 3,000 turns, not about 1,800");
    assert!(mixed > 600, "turns of one session draw apart: {mixed}");
}

#[test]
fn lengths_of_pairs_have_deviations_of_their_own() {
    let pair = LengthPair { input: length(300.0, 30.0), output: length(50.0, 5.0), weight: 1.0 };
    let loader = opened(&DatasetRequest { entries: 4_000, length_pairs: vec![pair], ..request() });
    let drawn: Vec<_> = (0..4_000).map(|index| outline(&loader, index)[0]).collect();
    let (mean, deviation) = moments(&drawn.iter().map(|turn| turn.1.into()).collect::<Vec<_>>());
    assert!((mean - 300.0).abs() < 2.0 && (deviation - 30.0).abs() < 2.0, "{mean} {deviation}");
    let (mean, deviation) = moments(&drawn.iter().map(|turn| turn.2.into()).collect::<Vec<_>>());
    assert!((mean - 50.0).abs() < 0.5 && (deviation - 5.0).abs() < 0.5, "{mean} {deviation}");
}

#[test]
fn a_range_spreads_lengths_around_their_means_in_place_of_deviations() {
    let asked = DatasetRequest {
        entries: 4_000,
        input_tokens: length(100.0, 40.0),
        output_tokens: Some(length(10.0, 4.0)),
        range_ratio: Some(RangeRatio { input: 0.5, output: 0.25 }),
        ..request()
    };
    let loader = opened(&asked);
    let drawn: Vec<_> = (0..4_000).map(|index| outline(&loader, index)[0]).collect();
    let (mut inputs, mut outputs): (Vec<_>, Vec<_>) = drawn.iter().map(|turn| (turn.1, turn.2)).unzip();
    for (drawn, window) in [(&mut inputs, 50..=150), (&mut outputs, 7..=13)] {
        drawn.sort();
        drawn.dedup();
        assert_eq!(*drawn, window.collect::<Vec<_>>());
    }
}

#[test]
fn a_prefix_comes_before_the_first_prompt_and_is_shared() {
    let loader = opened(&DatasetRequest { input_tokens: length(9.0, 0.0), ..rich() });
    let mut drawn = std::collections::BTreeMap::<String, u32>::new();
    for turns in (0..100).map(|index| session(&loader, index).turns) {
        let first: Vec<_> = turns[0].parts.iter().map(|part| part.data.clone()).collect();
        let prefix: Vec<_> = first[0].split(' ').take(11).collect();
        assert!(first.iter().all(|text| Words.count(text) == 20 && text.starts_with(&prefix.join(" "))), "{first:?}");
        assert!(turns[1..].iter().flat_map(|turn| &turn.parts).all(|part| Words.count(&part.data) == 9));
        *drawn.entry(prefix.join(" ")).or_default() += 1;
    }
    assert_eq!(drawn.len(), 4, "{drawn:?}");
    assert!(drawn.values().all(|sessions| *sessions > 10), "{drawn:?}");
}

#[test]
fn a_batch_is_as_many_texts_in_one_message() {
    let turns = session(&opened(&DatasetRequest { batch: 5, ..request() }), 8).turns;
    let mut texts: Vec<_> = turns[0].parts.iter().map(|part| part.data.clone()).collect();
    assert_eq!((turns.len(), texts.len()), (1, 5));
    assert!(turns[0].parts.iter().all(|part| part.kind == PartKind::TEXT));
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 5, "each is a text of its own");
}

#[test]
fn what_cannot_be_made_is_an_error_that_says_what_to_give() {
    let zero = Length::default();
    let pair = |weight, mean| LengthPair { input: length(mean, 0.0), output: length(9.0, 0.0), weight };
    let prefixes = |prompts, tokens| Some(PrefixRequest { prompts, tokens });
    let ratio = |input, output| Some(RangeRatio { input, output });
    for (request, named) in [
        (DatasetRequest { entries: 0, ..request() }, "--num-dataset-entries"),
        (DatasetRequest { input_tokens: zero, ..request() }, "--isl"),
        (DatasetRequest { output_tokens: Some(zero), ..request() }, "--osl"),
        (DatasetRequest { source: Some("prompts.jsonl".into()), ..request() }, "prompts.jsonl"),
        (DatasetRequest { turns: Some(zero), ..request() }, "--session-turns-mean 0.0"),
        (DatasetRequest { turns: Some(length(1e9, 0.0)), ..request() }, "--session-turns-mean 1000000000.0"),
        (DatasetRequest { turns: Some(length(2.0, -1.0)), ..request() }, "--session-turns-stddev -1.0"),
        (DatasetRequest { delay_ms: Some(length(-1.0, 0.0)), ..request() }, "--session-turn-delay-mean -1.0"),
        (DatasetRequest { delay_ms: Some(length(1.0, f64::NAN)), ..request() }, "--session-turn-delay-stddev NaN"),
        (DatasetRequest { batch: u64::MAX, ..request() }, "--prompt-batch-size"),
        (DatasetRequest { length_pairs: vec![pair(0.0, 9.0)], ..request() }, "--seq-dist: no pair"),
        (DatasetRequest { length_pairs: vec![pair(1.0, 9.0), pair(-1.0, 9.0)], ..request() }, "of pair 2"),
        (DatasetRequest { length_pairs: vec![pair(1.0, 0.0)], ..request() }, "(input of pair 1)"),
        (
            DatasetRequest { length_pairs: vec![pair(1.0, 9.0)], range_ratio: ratio(0.1, 0.1), ..request() },
            "--random-range-ratio and --seq-dist",
        ),
        (DatasetRequest { range_ratio: ratio(2.0, 0.0), ..request() }, "--random-range-ratio 2.0"),
        (DatasetRequest { prefixes: prefixes(0, 5), ..request() }, "--num-prefix-prompts 0"),
        (DatasetRequest { prefixes: prefixes(5, 0), ..request() }, "--prefix-prompt-length 0"),
        (DatasetRequest { prefixes: prefixes(u64::MAX, u64::MAX), ..request() }, "--prefix-prompt-length"),
    ] {
        let error = Synthetic::default().open(&request, &Words).unwrap_err();
        assert_eq!(error.kind, ErrorKind::CONFIG);
        assert!(error.message.contains(named), "{error}");
    }
}

#[test]
fn a_ranking_is_a_query_and_passages_of_the_tokens_asked_for() {
    let ranking = RankingRequest { passages: length(3.0, 1.0), passage_tokens: length(5.0, 0.0), ..Default::default() };
    let loader = opened(&DatasetRequest { ranking: Some(ranking), ..request() });
    let mut counts = std::collections::BTreeSet::new();
    for index in 0..20 {
        let turn = &session(&loader, index).turns[0];
        let names: Vec<&str> = turn.parts.iter().map(|part| part.name.as_str()).collect();
        let tokens: Vec<u64> = turn.parts.iter().map(|part| Words.count(&part.data)).collect();
        assert_eq!((names[0], tokens[0]), ("query", 32));
        assert!(names[1..].iter().all(|name| *name == "passages") && tokens[1..].iter().all(|tokens| *tokens == 5));
        counts.insert(names.len());
    }
    assert!(counts.len() > 1, "the number of passages varies: {counts:?}");
    let batch = DatasetRequest { ranking: Some(ranking), batch: 2, ..request() };
    assert!(Synthetic::default().open(&batch, &Words).unwrap_err().message.contains("--prompt-batch-size"));
}

#[test]
fn a_prefix_that_cannot_be_made_is_reported_as_one() {
    let prefixes = Some(PrefixRequest { prompts: 1, tokens: 5_000 });
    let loader = opened(&DatasetRequest { prefixes, ..request() });
    let error = loader.session(0, &Words, &mut Collected::default()).unwrap_err();
    assert!(error.message.contains("--prefix-prompt-length 5000"), "{error}");
}

proptest! {
    #[test]
    fn a_session_does_not_depend_on_those_made_before(seed: u64, mut order in proptest::collection::vec(0..100_u64, 1..20)) {
        let loader = opened(&DatasetRequest { seed, ..rich() });
        let there: Vec<_> = order.iter().map(|index| (*index, session(&loader, *index))).collect();
        order.reverse();
        let again = opened(&DatasetRequest { seed, ..rich() });
        let mut back: Vec<_> = order.iter().map(|index| (*index, session(&again, *index))).collect();
        back.reverse();
        prop_assert_eq!(there, back);
    }

    #[test]
    fn turns_tokens_and_delays_keep_their_bounds(
        seed: u64,
        turns in 1.0..6.0,
        spread in 0.0..20.0,
        delay in 0.0..9.0,
        tokens in 1.0..9.0,
        batch in 0..4_u64,
    ) {
        let asked = DatasetRequest {
            seed,
            batch,
            turns: Some(length(turns, spread)),
            delay_ms: Some(length(delay, spread)),
            input_tokens: length(tokens, spread),
            output_tokens: Some(length(tokens, spread)),
            ..request()
        };
        let loader = opened(&asked);
        for index in 0..10 {
            let turns = session(&loader, index).turns;
            prop_assert!(!turns.is_empty());
            for turn in turns {
                prop_assert_eq!(turn.parts.len() as u64, batch.max(1));
                prop_assert!(turn.parts.iter().all(|part| Words.count(&part.data) >= 1));
                prop_assert!(turn.max_tokens >= 1);
                prop_assert!(turn.time.delay_ns <= 200_000_000, "a deviation of 20 ms does not reach that far");
                prop_assert_eq!(turn.time.timestamp_ns, u64::MAX);
            }
        }
    }
}
