//! Traces that are stretched, split and cut.

use super::{error, open, open_seeded, open_with, words};
use crate::trace::{azure::Azure, mooncake::Mooncake};
use inferometer_plugin_sdk::documents::TraceRequest;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

const NONE: TraceRequest = TraceRequest {
    block_tokens: Some(4),
    max_input_tokens: None,
    max_output_tokens: None,
    prefix_multiplier: 1.0,
    root_multiplier: 1,
    prompt_multiplier: 1.0,
    output_multiplier: 1.0,
};

/// Three prompts of blocks of four tokens: all share two blocks, two of them four; each has an end of its own.
const FAMILY: &str = r#"{"input_length": 18, "output_length": 10, "hash_ids": [0, 1, 2, 3, 4]}
{"input_length": 23, "output_length": 11, "hash_ids": [0, 1, 2, 3, 5, 6]}
{"input_length": 11, "output_length": 12, "hash_ids": [0, 1, 7]}
"#;

fn stretched(contents: &str, trace: TraceRequest) -> Vec<(u32, Vec<u64>)> {
    let trace = open_with::<Mooncake>(contents.as_bytes(), trace).unwrap_or_else(|error| panic!("{error}"));
    trace.turns().into_iter().map(|turn| (turn.input, turn.blocks)).collect()
}

fn common(one: &[u64], other: &[u64]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

#[test]
fn the_prefix_multiplier_stretches_what_is_shared_and_nothing_else() {
    let longer = stretched(FAMILY, TraceRequest { prefix_multiplier: 1.5, ..NONE });
    assert_eq!(longer.iter().map(|(input, _)| *input).collect::<Vec<_>>(), [6 * 4 + 2, 6 * 4 + 7, 3 * 4 + 3]);
    assert_eq!(longer.iter().map(|(_, blocks)| blocks.len()).collect::<Vec<_>>(), [7, 8, 4]);
    assert_eq!((common(&longer[0].1, &longer[1].1), common(&longer[0].1, &longer[2].1)), (6, 3));
    let shorter = stretched(FAMILY, TraceRequest { prefix_multiplier: 0.5, ..NONE });
    assert_eq!(shorter.iter().map(|(input, _)| *input).collect::<Vec<_>>(), [2 * 4 + 2, 2 * 4 + 7, 4 + 3]);
    assert_eq!((common(&shorter[0].1, &shorter[1].1), common(&shorter[0].1, &shorter[2].1)), (2, 1));
}

#[test]
fn the_prompt_multiplier_stretches_what_is_a_prompts_own() {
    let longer = stretched(FAMILY, TraceRequest { prompt_multiplier: 3.0, ..NONE });
    assert_eq!(longer.iter().map(|(input, _)| *input).collect::<Vec<_>>(), [16 + 6, 16 + 21, 8 + 9]);
    assert_eq!(longer.iter().map(|(_, blocks)| blocks.len()).collect::<Vec<_>>(), [6, 10, 5]);
    assert_eq!((common(&longer[0].1, &longer[1].1), common(&longer[0].1, &longer[2].1)), (4, 2));
    let plain = "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00,10,4\n";
    let by = TraceRequest { prompt_multiplier: 2.5, output_multiplier: 0.1, ..TraceRequest::default() };
    let turn = open_with::<Azure>(plain.as_bytes(), by).unwrap().turns()[0].clone();
    assert_eq!((turn.input, turn.output), (25, 1), "no answer is stretched to nothing");
}

#[test]
fn a_prompt_that_is_shared_to_its_end_is_stretched_as_shared() {
    let twice = "{\"input_length\": 10, \"hash_ids\": [0, 1, 2]}\n".repeat(2);
    let longer = stretched(&twice, TraceRequest { prefix_multiplier: 2.0, prompt_multiplier: 7.0, ..NONE });
    assert_eq!((longer[0].0, longer[0].1.len()), (20, 5));
    assert_eq!(longer[0], longer[1]);
    let least = stretched(&twice, TraceRequest { prefix_multiplier: 0.001, ..NONE });
    assert_eq!((least[0].0, least[0].1.len()), (1, 1), "something is always left");
    assert_eq!(least[0], least[1]);
}

#[test]
fn the_root_multiplier_splits_the_sessions_into_copies_that_share_nothing() {
    let lines: String = (0..60).map(|n| format!("{{\"input_length\": 8, \"hash_ids\": [0, {}]}}\n", n + 1)).collect();
    let split = TraceRequest { root_multiplier: 3, ..NONE };
    let roots = |seed| {
        let turns = open_seeded::<Mooncake>(lines.as_bytes(), split, seed).unwrap().turns();
        turns.into_iter().map(|turn| turn.blocks[0]).collect::<Vec<_>>()
    };
    let mut sizes: HashMap<u64, usize> = HashMap::new();
    roots(42).into_iter().for_each(|root| *sizes.entry(root).or_default() += 1);
    assert_eq!(sizes.len(), 3);
    assert!(sizes.values().all(|size| (8..=35).contains(size)), "{sizes:?}");
    assert_eq!(roots(42), roots(42));
    assert_ne!(roots(42), roots(43));
    let blocks: Vec<u64> = stretched(&lines, split).into_iter().map(|(_, blocks)| blocks[1]).collect();
    assert_eq!(blocks.iter().collect::<HashSet<_>>().len(), 60);
}

#[test]
fn turns_of_one_session_go_to_one_copy() {
    let line = "{\"input_length\": 8, \"hash_ids\": [0, 1], \"session_id\": \"a\"}\n";
    let turns = stretched(&line.repeat(20), TraceRequest { root_multiplier: 5, ..NONE });
    assert!(turns.iter().all(|turn| *turn == turns[0]));
}

#[test]
fn long_prompts_are_left_out_and_long_answers_are_cut_after_stretching() {
    let by = TraceRequest { max_input_tokens: Some(18), max_output_tokens: Some(23), output_multiplier: 2.0, ..NONE };
    let trace = open_with::<Mooncake>(FAMILY.as_bytes(), by).unwrap();
    let turns: Vec<_> = trace.turns().iter().map(|turn| (turn.input, turn.output)).collect();
    assert_eq!(turns, [(18, 20), (11, 23)]);
    assert_eq!(trace.info.notes, ["1 of 3 requests have more than 18 input tokens and are left out"]);
    let names: Vec<_> = trace.sessions().into_iter().map(|session| session.name).collect();
    assert_eq!(names, ["session_000000", "session_000001"]);
    let message = error::<Mooncake>(FAMILY, TraceRequest { max_input_tokens: Some(3), ..NONE });
    assert!(message.contains("--synthesis-max-isl 3: all 3 requests"), "{message}");
}

#[test]
fn numbers_that_cannot_be_are_refused_by_the_name_of_their_option() {
    for by in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        for (trace, option) in [
            (TraceRequest { prefix_multiplier: by, ..NONE }, "--synthesis-prefix-len-multiplier"),
            (TraceRequest { prompt_multiplier: by, ..NONE }, "--synthesis-prompt-len-multiplier"),
            (TraceRequest { output_multiplier: by, ..NONE }, "--synthesis-output-len-multiplier"),
        ] {
            assert!(error::<Mooncake>(FAMILY, trace).starts_with(option), "{option} {by}");
        }
    }
    for (trace, option) in [
        (TraceRequest { root_multiplier: 0, ..NONE }, "--synthesis-prefix-root-multiplier 0"),
        (TraceRequest { max_input_tokens: Some(0), ..NONE }, "--synthesis-max-isl 0"),
        (TraceRequest { max_output_tokens: Some(0), ..NONE }, "--synthesis-max-osl 0"),
    ] {
        assert!(error::<Mooncake>(FAMILY, trace).starts_with(option), "{option}");
    }
}

#[test]
fn what_a_trace_does_not_say_cannot_be_changed() {
    let text = "{\"input_length\": 8}\n{\"text_input\": \"a\"}";
    let payload = "{\"payload\": {}}";
    for (contents, trace, named) in [
        (text, TraceRequest { prompt_multiplier: 2.0, ..NONE }, ":2: the prompt is given in words"),
        (text, TraceRequest { max_input_tokens: Some(9), ..NONE }, "--synthesis-max-isl cannot be done"),
        (payload, TraceRequest { max_output_tokens: Some(9), ..NONE }, ":1: a payload is sent as it is"),
        (text, TraceRequest { prefix_multiplier: 2.0, ..NONE }, "has no hash_ids, which --synthesis-prefix-len"),
        (text, TraceRequest { root_multiplier: 2, ..NONE }, "has no hash_ids, which --synthesis-prefix-root"),
        (FAMILY, TraceRequest { prompt_multiplier: 1e300, ..NONE }, ":1: 18 tokens would become"),
        (FAMILY, TraceRequest { prefix_multiplier: 1e7, ..NONE }, "at most 10000000 are made"),
        (FAMILY, TraceRequest { output_multiplier: 1e9, ..NONE }, ":1: output_length: 10 tokens would become"),
    ] {
        let message = error::<Mooncake>(contents, trace);
        assert!(message.contains(named), "{named}\n  {message}");
    }
    let cut = open_with::<Mooncake>(
        b"{\"text_input\": \"a\", \"output_length\": 90}",
        TraceRequest { max_output_tokens: Some(9), ..NONE },
    );
    assert_eq!(cut.unwrap().turns()[0].output, 9);
}

/// Prompts whose ids name all that comes before them, as those of published traces do.
fn prompts() -> impl Strategy<Value = String> {
    let prompt = (proptest::collection::vec(0_u64..2, 0..8), 1_u64..5, 0_u64..9);
    proptest::collection::vec(prompt, 1..14).prop_map(|prompts| {
        let mut ids = HashMap::new();
        let mut line = |(choices, rest, beyond): (Vec<u64>, u64, u64)| {
            let mut path = Vec::new();
            let mut id_of = |choice| {
                path.push(choice);
                let next = ids.len();
                *ids.entry(path.clone()).or_insert(next)
            };
            let ids: Vec<_> = choices.iter().map(|choice| id_of(*choice)).collect();
            // Now and then a prompt is longer than its blocks.
            let input = ids.len().saturating_sub(1) as u64 * 4 + rest + if beyond > 6 { beyond } else { 0 };
            serde_json::json!({"input_length": input, "output_length": 5, "hash_ids": ids}).to_string()
        };
        prompts.into_iter().map(&mut line).collect::<Vec<_>>().join("\n")
    })
}

proptest! {
    #[test]
    fn multipliers_of_one_change_nothing_even_where_the_tree_is_rebuilt(contents in prompts()) {
        prop_assume!(contents.contains("hash_ids\":[0"));
        let as_it_is = stretched(&contents, NONE);
        // So near to one that every length is rounded back.
        let rebuilt = stretched(&contents, TraceRequest { prefix_multiplier: 1.0 + 1e-12, prompt_multiplier: 1.0 - 1e-12, ..NONE });
        prop_assert_eq!(as_it_is, rebuilt);
    }

    #[test]
    fn prompts_that_shared_k_blocks_share_k_times_the_multiplier(
        contents in prompts(),
        prefix in 0.3_f64..4.0,
        prompt in 0.3_f64..4.0,
    ) {
        prop_assume!(contents.contains("hash_ids\":[0"));
        let before = stretched(&contents, NONE);
        let after = stretched(&contents, TraceRequest { prefix_multiplier: prefix, prompt_multiplier: prompt, ..NONE });
        let full = |(input, blocks): &(u32, Vec<u64>)| blocks.len().min(*input as usize / 4);
        for one in 0..before.len() {
            for other in 0..one {
                let most = full(&before[one]).min(full(&before[other]));
                let shared = common(&before[one].1, &before[other].1);
                if shared > most || shared == before[one].1.len().min(before[other].1.len()) {
                    // A last block that is not full is alike only in name.
                    continue;
                }
                let expected = (shared as f64 * prefix).round() as usize;
                prop_assert_eq!(common(&after[one].1, &after[other].1), expected, "{:?} {:?}", before, after);
            }
        }
        for (input, blocks) in &after {
            prop_assert!(*input > 0);
            prop_assert!(blocks.is_empty() || *input as usize > (blocks.len() - 1) * 4, "{} {:?}", input, blocks);
        }
    }

    #[test]
    fn stretched_prompts_have_their_lengths_too(contents in prompts(), by in 0.1_f64..4.0) {
        prop_assume!(contents.contains("hash_ids\":[0"));
        let trace = TraceRequest { prefix_multiplier: by, root_multiplier: 2, ..NONE };
        let trace = open_with::<Mooncake>(contents.as_bytes(), trace).unwrap();
        for (text, turn) in trace.prompts().iter().zip(trace.turns()) {
            prop_assert_eq!(words(text), u64::from(turn.input));
        }
    }
}

#[test]
fn a_trace_without_multipliers_is_the_one_that_was_recorded() {
    let recorded = open::<Mooncake>("{\"input_length\": 600, \"hash_ids\": [70, 3]}");
    assert_eq!(recorded.turns()[0].blocks, [70, 3]);
}
