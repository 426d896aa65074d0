//! Mooncake's form, and the texts of blocks.

use super::{OutlinedTurn, at, error, open, open_seeded, open_with, words};
use crate::trace::mooncake::Mooncake;
use flate2::{Compression, write::GzEncoder};
use inferometer_plugin_sdk::{
    documents::TraceRequest,
    types::{NO_COUNT, TurnTime, turn_flags},
};
use proptest::prelude::*;
use std::io::Write;

/// Requests of the published trace of conversations.
const PUBLISHED: &str = r#"{"timestamp": 3000, "input_length": 915, "output_length": 355, "hash_ids": [0, 462]}
{"timestamp": 5999, "input_length": 1053, "output_length": 26, "hash_ids": [0, 773, 774]}
{"timestamp": 9000, "input_length": 1477, "output_length": 615, "hash_ids": [0, 820, 821]}
{"timestamp": 9000, "input_length": 1110, "output_length": 240, "hash_ids": [0, 963, 964]}
{"timestamp": 12000, "input_length": 1066, "output_length": 324, "hash_ids": [0, 1028, 1029]}
{"timestamp": 15000, "input_length": 898, "output_length": 324, "hash_ids": [0, 1099]}
{"timestamp": 15000, "input_length": 934, "output_length": 421, "hash_ids": [0, 1426]}
{"timestamp": 18000, "input_length": 898, "output_length": 57, "hash_ids": [0, 1496]}
{"timestamp": 27000, "input_length": 1424, "output_length": 290, "hash_ids": [0, 1839, 1840]}
{"timestamp": 27000, "input_length": 954, "output_length": 48, "hash_ids": [0, 1944]}
"#;

fn blocks_of(block_tokens: u64) -> TraceRequest {
    TraceRequest { block_tokens: Some(block_tokens), ..TraceRequest::default() }
}

#[test]
fn a_published_trace_gives_its_lengths_times_and_blocks() {
    let trace = open::<Mooncake>(PUBLISHED);
    assert_eq!((trace.info.sessions, trace.info.has_timestamps), (10, true));
    assert!(trace.info.notes.is_empty(), "{:?}", trace.info.notes);
    let turns = trace.turns();
    let expected =
        OutlinedTurn { time: at(3_000_000_000), input: 915, output: 355, block_tokens: 512, blocks: vec![0, 462] };
    assert_eq!(turns[0], expected);
    for (turn, (prompt, session)) in turns.iter().zip(trace.prompts().iter().zip(trace.sessions())) {
        assert_eq!(words(prompt), u64::from(turn.input));
        assert_eq!(session.turns[0].max_tokens, turn.output);
        assert_eq!(session.turns[0].time, turn.time);
        assert_eq!(session.turns[0].flags, turn_flags::STANDS_ALONE);
    }
}

#[test]
fn sessions_are_named_by_their_id_or_their_number_in_both_views() {
    let trace = open::<Mooncake>(
        r#"{"input_length": 3, "session_id": "b", "timestamp": 1000}
{"input_length": 4}
{"input_length": 5, "session_id": "b", "delay": 250.5}
{"input_length": 6, "session_id": 7}"#,
    );
    let names: Vec<_> = trace.sessions().into_iter().map(|seen| (seen.name, seen.turns.len())).collect();
    let own = |names: [(&str, usize); 3]| names.map(|(name, turns)| (name.to_owned(), turns)).to_vec();
    assert_eq!(names, own([("b", 2), ("session_000001", 1), ("7", 1)]));
    let outlined: Vec<_> = trace.outlines().into_iter().map(|seen| (seen.name, seen.turns.len())).collect();
    assert_eq!(outlined, names);
    let times: Vec<_> = trace.outlines()[0].turns.iter().map(|turn| turn.time).collect();
    assert_eq!(times, [at(1_000_000_000), TurnTime { delay_ns: 250_500_000, ..TurnTime::NONE }]);
}

#[test]
fn times_that_only_some_sessions_have_are_not_followed_and_this_is_said() {
    let trace = open::<Mooncake>("{\"input_length\": 3, \"timestamp\": 0}\n\n{\"input_length\": 4}\n");
    assert!(!trace.info.has_timestamps);
    let [note] = &trace.info.notes[..] else { panic!("{:?}", trace.info.notes) };
    assert!(note.contains("1 of 2 sessions") && note.contains("trace.file:3"), "{note}");
    let without = open::<Mooncake>("{\"input_length\": 3}\n{\"input_length\": 4}\n");
    assert!(!without.info.has_timestamps && without.info.notes.is_empty());
}

#[test]
fn words_messages_and_whole_bodies_are_sent_as_they_are_written() {
    let trace = open::<Mooncake>(
        r#"{"text_input": "Hello", "session_id": "s", "output_length": 9, "extra": {"top_k": 1.50}}
{"text_input": "And?", "session_id": "s"}
{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]}, {"role": "assistant", "content": null, "tool_calls": []}], "tools": [{"type": "function"}], "extra": {"seed": 1}}
{"payload": {"model": "m",  "messages": []}, "timestamp": 2}
{"messages": [{"role": "user", "content": "x"}], "tools": []}"#,
    );
    let all = trace.sessions();
    let [first, second] = &all[0].turns[..] else { panic!("two turns") };
    assert_eq!((first.prompt(), first.max_tokens, first.flags, &*first.extra), ("Hello", 9, 0, r#"{"top_k": 1.50}"#));
    assert_eq!((second.prompt(), second.max_tokens, second.flags), ("And?", 0, 0));
    let chat = &all[1].turns[0];
    let roles: Vec<_> = chat.messages.iter().map(|(role, texts, _)| (role.as_str(), texts.concat())).collect();
    assert_eq!(roles, [("system", "Be brief.".to_owned()), ("user", "Hi".to_owned()), ("assistant", String::new())]);
    assert!(chat.messages[2].2.contains("tool_calls"), "{:?}", chat.messages[2]);
    assert_eq!(
        (&*chat.extra, chat.flags),
        (r#"{"tools": [{"type": "function"}], "seed": 1}"#, turn_flags::STANDS_ALONE)
    );
    let payload = &all[2].turns[0];
    assert_eq!((&*payload.raw_body, payload.messages.len()), (r#"{"model": "m",  "messages": []}"#, 0));
    assert_eq!(payload.flags, turn_flags::STANDS_ALONE);
    assert_eq!(all[3].turns[0].extra, r#"{"tools": []}"#);
    let lengths: Vec<_> = trace.turns().iter().map(|turn| (turn.input, turn.output)).collect();
    assert_eq!(lengths[..2], [(NO_COUNT, 9), (NO_COUNT, NO_COUNT)]);
}

#[test]
fn output_lengths_of_none_or_nothing_set_no_limit() {
    let trace = open::<Mooncake>("{\"input_length\": 3, \"output_length\": 0}\n{\"input_length\": 3}");
    assert!(trace.sessions().iter().all(|session| session.turns[0].max_tokens == 0));
    assert_eq!(trace.turns().iter().map(|turn| turn.output).collect::<Vec<_>>(), [0, NO_COUNT]);
}

#[test]
fn a_broken_line_is_named_with_its_field_and_reason() {
    for (line, named) in [
        ("{\"input_length\": 3", "not JSON"),
        ("[3]", "one object per line"),
        ("{}", "give one of input_length, text_input, messages, payload"),
        ("{\"input_length\": 3, \"text_input\": \"a\"}", "text_input: given together with `input_length`"),
        ("{\"payload\": {}, \"messages\": []}", "payload: given together with `messages`"),
        ("{\"input_length\": 0}", "input_length: expected a whole number of tokens from 1 to 10000000, but found `0`"),
        ("{\"input_length\": \"3\"}", "input_length: expected a whole number"),
        ("{\"input_length\": 1.5}", "input_length: expected a whole number"),
        ("{\"input_length\": -3}", "input_length: expected a whole number"),
        ("{\"input_length\": 10000001}", "input_length: expected a whole number"),
        ("{\"input_length\": 3, \"output_length\": -1}", "output_length: expected a whole number of tokens from 0"),
        ("{\"input_length\": 3, \"timestamp\": -1}", "timestamp: expected a time in milliseconds"),
        ("{\"input_length\": 3, \"timestamp\": \"1\"}", "timestamp: expected a time in milliseconds"),
        ("{\"input_length\": 3, \"delay\": 1e300}", "delay: expected a time"),
        ("{\"input_length\": 3, \"hash_ids\": [-1]}", "hash_ids: "),
        ("{\"input_length\": 3, \"hash_ids\": 7}", "hash_ids: "),
        (
            "{\"input_length\": 512, \"hash_ids\": [1, 2]}",
            "input_length: 512 tokens do not reach into the last of 2 blocks",
        ),
        ("{\"text_input\": \"a\", \"hash_ids\": [1]}", "hash_ids: goes with `input_length` only"),
        ("{\"input_length\": 3, \"tools\": []}", "tools: goes with `messages` only"),
        ("{\"text_input\": \"\"}", "text_input: is empty"),
        ("{\"messages\": []}", "messages: is an empty list"),
        ("{\"messages\": {}}", "messages: "),
        ("{\"messages\": [{\"content\": \"a\"}]}", "messages[0].role: missing"),
        ("{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"smell\"}]}]}", "messages[0].content[0]"),
        ("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"tools\": 1}", "tools: "),
        (
            "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"tools\": [], \"extra\": {\"tools\": 1}}",
            "tools: given in `extra` as well",
        ),
        ("{\"payload\": []}", "payload: "),
        ("{\"payload\": {}, \"extra\": {\"a\": 1}}", "extra: a `payload` is sent as it is"),
        ("{\"input_length\": 3, \"extra\": 1}", "extra: "),
        ("{\"input_length\": 3, \"session_id\": \"\"}", "session_id: is empty"),
        ("{\"input_length\": 3, \"type\": \"single_turn\"}", "type: `single_turn` is not what this data set reads"),
        ("{\"input_lenght\": 3}", "input_lenght: unknown key; did you mean `input_length`?"),
        ("{\"input_length\": 3, \"hash_id\": [1]}", "hash_id: unknown key; did you mean `hash_ids`?"),
    ] {
        let message = error::<Mooncake>(&format!("{{\"input_length\": 5}}\n\n{line}\n"), TraceRequest::default());
        assert!(message.starts_with(":3: ") && message.contains(named), "{line}\n  {message}");
    }
}

#[test]
fn a_file_without_requests_a_missing_one_and_sizes_of_blocks_that_cannot_be_are_refused() {
    assert!(error::<Mooncake>("\n", TraceRequest::default()).contains("holds no requests"));
    for size in [0, 10_000_001, u64::MAX] {
        assert!(error::<Mooncake>(PUBLISHED, blocks_of(size)).contains("--isl-block-size"));
    }
    let far = "{\"input_length\": 600, \"hash_ids\": [18446744073709551615]}";
    assert!(error::<Mooncake>(far, TraceRequest::default()).contains("hash_ids: the largest leaves no numbers free"));
}

#[test]
fn a_compressed_file_reads_like_a_plain_one() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(PUBLISHED.as_bytes()).unwrap();
    let compressed = open_with::<Mooncake>(&encoder.finish().unwrap(), TraceRequest::default()).unwrap();
    assert_eq!(compressed.outlines(), open::<Mooncake>(PUBLISHED).outlines());
}

#[test]
fn what_lies_beyond_the_blocks_is_one_block_that_nobody_shares() {
    let lines = "{\"input_length\": 25, \"hash_ids\": [4, 9]}\n{\"input_length\": 25, \"hash_ids\": [4, 9]}\n";
    let trace = open_with::<Mooncake>(lines.as_bytes(), blocks_of(8)).unwrap();
    let blocks: Vec<_> = trace.turns().into_iter().map(|turn| turn.blocks).collect();
    assert_eq!(blocks, [[4, 9, 10], [4, 9, 11]]);
    let prompts = trace.prompts();
    assert_eq!(common(&prompts[0], &prompts[1]), 16);
    assert!(prompts.iter().all(|prompt| words(prompt) == 25));
}

#[test]
fn another_seed_gives_other_texts_and_the_same_blocks() {
    let open = |seed| open_seeded::<Mooncake>(PUBLISHED.as_bytes(), TraceRequest::default(), seed).unwrap();
    assert_eq!(open(1).outlines(), open(2).outlines());
    assert!(open(1).prompts().iter().zip(open(2).prompts()).all(|(one, other)| common(one, &other) == 0));
}

/// Words that two texts begin with.
fn common(one: &str, other: &str) -> usize {
    one.split(' ').zip(other.split(' ')).take_while(|(one, other)| one == other).count()
}

/// Prompts of blocks of four tokens: ids, and tokens in the last block.
fn prompts() -> impl Strategy<Value = Vec<(Vec<u64>, u64)>> {
    proptest::collection::vec((proptest::collection::vec(0_u64..3, 0..6), 1_u64..5), 1..12)
}

proptest! {
    #[test]
    fn prompts_have_their_lengths_and_begin_alike_just_as_their_blocks_do(prompts in prompts()) {
        let lines: Vec<_> = prompts
            .iter()
            .map(|(ids, rest)| {
                let input = ids.len().saturating_sub(1) as u64 * 4 + rest;
                serde_json::json!({"input_length": input, "hash_ids": ids}).to_string()
            })
            .collect();
        let contents = lines.join("\n");
        let open = || open_with::<Mooncake>(contents.as_bytes(), blocks_of(4)).unwrap();
        let (trace, again) = (open(), open());
        let texts = trace.prompts();
        prop_assert_eq!(&texts, &again.prompts());
        for ((text, (ids, _)), turn) in texts.iter().zip(&prompts).zip(trace.turns()) {
            prop_assert_eq!(words(text), u64::from(turn.input));
            prop_assert_eq!(&turn.blocks, ids);
        }
        for (n, (one, (ids, rest))) in texts.iter().zip(&prompts).enumerate() {
            for (other, (other_ids, other_rest)) in texts[..n].iter().zip(&prompts) {
                if (ids, rest) == (other_ids, other_rest) && !ids.is_empty() {
                    prop_assert_eq!(one, other);
                    continue;
                }
                // Last blocks are only alike if they are of one size.
                let full = |ids: &[u64], rest: u64| ids.len() - usize::from(rest < 4 && !ids.is_empty());
                let both = full(ids, *rest).min(full(other_ids, *other_rest));
                let alike = ids.iter().zip(other_ids).take(both).take_while(|(one, other)| one == other).count();
                let found = common(one, other);
                prop_assert_eq!(found, alike * 4, "{} | {}", one, other);
            }
        }
    }

    #[test]
    fn no_line_makes_it_panic(
        key in "input_length|hash_ids|messages|payload|timestamp|delay|tools|extra|session_id",
        value in "-?[0-9]{1,25}(\\.[0-9]{0,30})?|\"[a-z]*\"|[\\[\\]{},:0-9\"ea.]{0,20}",
    ) {
        let contents = format!("{{\"{key}\": {value}}}\n{{\"input_length\": 4, \"{key}\": {value}}}");
        let _ = open_with::<Mooncake>(contents.as_bytes(), TraceRequest::default());
    }
}
