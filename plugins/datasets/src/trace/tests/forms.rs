//! The forms other than Mooncake's.

use super::{at, error, open, words};
use crate::trace::{azure::Azure, bailian::Bailian, burst_gpt::BurstGpt};
use inferometer_plugin_sdk::{
    documents::TraceRequest,
    types::{NO_COUNT, turn_flags},
};
use proptest::prelude::*;

/// The beginning of the published trace of conversations of 2023, whose lines end as on Windows.
const AZURE_2023: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\r
2023-11-16 18:15:46.6805900,374,44\r
2023-11-16 18:15:50.9951690,396,109\r
2023-11-16 18:15:51.2224670,879,55\r
2023-11-16 18:15:51.3910170,91,16\r
2023-11-16 18:15:52.5732450,91,16\r
2023-11-16 18:15:52.9921190,381,84\r
2023-11-16 18:15:54.4260870,1313,142\r
2023-11-16 18:15:54.9320210,388,84\r
2023-11-16 18:15:55.0176690,242,14\r
2023-11-16 18:15:55.1455750,209,152\r
";

const BURST_GPT: &str = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,230,1317,Conversation log
118,GPT-4,417,276,693,Conversation log
";

/// Lines of a Bailian trace: id, parent, time, and ids of blocks of a prompt that fills them.
fn bailian(chats: &[(i64, i64, f64, &[u64])]) -> String {
    let line = |(id, parent, time, ids): &(i64, i64, f64, &[u64])| {
        let input = ids.len().max(1) * 16;
        serde_json::json!({
            "chat_id": id, "parent_chat_id": parent, "timestamp": time, "input_length": input, "output_length": 7,
            "type": "text", "turn": 1, "hash_ids": ids,
        })
        .to_string()
    };
    chats.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_azure_trace_of_2023_begins_at_its_first_request() {
    let trace = open::<Azure>(AZURE_2023);
    assert_eq!((trace.info.sessions, trace.info.has_timestamps), (10, true));
    let turns = trace.turns();
    let seen: Vec<_> = turns[..3].iter().map(|turn| (turn.time, turn.input, turn.output)).collect();
    assert_eq!(seen, [(at(0), 374, 44), (at(4_314_579_000), 396, 109), (at(4_541_877_000), 879, 55)]);
    assert!(turns.iter().all(|turn| turn.blocks.is_empty() && turn.block_tokens == 0));
    assert_eq!(trace.outlines()[9].name, "session_000009");
    let turn = &trace.session(0).turns[0];
    assert_eq!((words(turn.prompt()), turn.max_tokens, turn.flags), (374, 44, turn_flags::STANDS_ALONE));
}

#[test]
fn an_azure_trace_of_2024_may_be_out_of_order_and_have_its_columns_anywhere() {
    let trace = open::<Azure>(
        "\u{feff}\"GeneratedTokens\", contexttokens ,extra,TIMESTAMP\n\
         7,12,\"a, b\",2024-05-10 00:00:01.009930+00:00\n\n\
         8,13,,2024-05-10 00:00:00.009930+00:00\n\
         9,14,,2024-05-10 02:00:00.5+02:00\n",
    );
    let seen: Vec<_> = trace.turns().iter().map(|turn| (turn.time, turn.input, turn.output)).collect();
    assert_eq!(seen, [(at(1_000_000_000), 12, 7), (at(0), 13, 8), (at(490_070_000), 14, 9)]);
}

#[test]
fn a_burst_gpt_trace_gives_its_times_and_lengths_and_says_that_models_are_not_asked() {
    let trace = open::<BurstGpt>(BURST_GPT);
    let seen: Vec<_> = trace.turns().iter().map(|turn| (turn.time, turn.input, turn.output)).collect();
    assert_eq!(seen, [(at(0), 472, 18), (at(40_000_000_000), 1087, 230), (at(113_000_000_000), 417, 276)]);
    assert!(trace.info.has_timestamps);
    let [note] = &trace.info.notes[..] else { panic!("{:?}", trace.info.notes) };
    assert!(note.contains("`Model`"), "{note}");
}

#[test]
fn failures_of_a_burst_gpt_trace_are_left_out_and_rows_of_a_session_are_its_turns() {
    let trace = open::<BurstGpt>(
        "Timestamp,Session ID,Elapsed time,Request tokens,Response tokens\n\
         10.5,,1,0,0\n11,a,2.5,20,5\n12,,1,30,6\n13.25,a,1,40,7\n",
    );
    let all = trace.outlines();
    assert_eq!(all.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["a", "session_000001"]);
    let turns: Vec<_> = all[0].turns.iter().map(|turn| (turn.time, turn.input)).collect();
    assert_eq!(turns, [(at(500_000_000), 20), (at(2_750_000_000), 40)]);
    let [note] = &trace.info.notes[..] else { panic!("{:?}", trace.info.notes) };
    assert!(note.contains("1 of 4 rows have no response tokens"), "{note}");
    let failures = error::<BurstGpt>("Timestamp,Request tokens,Response tokens\n1,5,0\n", TraceRequest::default());
    assert!(failures.contains("holds no requests"), "{failures}");
}

#[test]
fn broken_rows_are_named_with_their_line_and_column() {
    for (row, named) in [
        ("2023-11-16 18:15:46,374", "has 2 columns, but the header has 3"),
        ("2023-11-16 18:15:46,374,44,9", "has 4 columns"),
        ("yesterday,374,44", "TIMESTAMP: expected a date and time such as"),
        ("2023-11-16 18:15:46,0,44", "ContextTokens: expected a whole number of tokens from 1"),
        ("2023-11-16 18:15:46,,44", "ContextTokens: expected a whole number"),
        ("2023-11-16 18:15:46,374,many", "GeneratedTokens: expected a whole number of tokens from 0"),
        ("\"2023-11-16 18:15:46,374,44", "has 1 columns"),
    ] {
        for line_end in ["\n", "\r\n"] {
            let header = "TIMESTAMP,ContextTokens,GeneratedTokens";
            let contents = [header, "2023-11-16 18:15:46.1,3,4", "", row, ""].join(line_end);
            let message = error::<Azure>(&contents, TraceRequest::default());
            assert!(message.starts_with(":4: ") && message.contains(named), "{row}\n  {message}");
        }
    }
    let message = error::<BurstGpt>(&BURST_GPT.replace("45,", "-45,"), TraceRequest::default());
    assert!(message.starts_with(":3: Timestamp: expected seconds"), "{message}");
}

#[test]
fn a_file_of_other_columns_is_refused_with_what_is_missing() {
    let message = error::<Azure>(BURST_GPT, TraceRequest::default());
    assert!(message.starts_with(":1: column `TIMESTAMP` is missing") || message.contains("`ContextTokens` is missing"));
    assert!(message.contains("Request tokens"), "{message}");
    let twice = error::<BurstGpt>("Timestamp,Timestamp,Request tokens,Response tokens\n", TraceRequest::default());
    assert!(twice.contains("column `Timestamp` is there twice"), "{twice}");
    assert!(error::<Azure>("", TraceRequest::default()).contains("is empty"));
    assert!(error::<Azure>("TIMESTAMP,ContextTokens,GeneratedTokens", TraceRequest::default()).contains("no requests"));
}

#[test]
fn chains_of_parents_are_sessions_in_order_of_time_wherever_they_lie_in_the_file() {
    let trace = open::<Bailian>(&bailian(&[
        (12, 11, 5.5, &[1, 2, 3]),
        (20, -1, 1.25, &[9]),
        (10, -1, 1.0, &[1]),
        (11, 10, 2.0, &[1, 2]),
        (31, 30, 4.0, &[]),
    ]));
    let all: Vec<_> = trace
        .outlines()
        .into_iter()
        .map(|s| (s.name, s.turns.iter().map(|turn| turn.time.timestamp_ns / 1_000_000).collect::<Vec<_>>()))
        .collect();
    let own = |name: &str, times: &[u64]| (name.to_owned(), times.to_vec());
    assert_eq!(all, [own("10", &[0, 1_000, 4_500]), own("20", &[250]), own("30", &[3_000])]);
    assert!(trace.info.has_timestamps);
    let [note] = &trace.info.notes[..] else { panic!("{:?}", trace.info.notes) };
    assert!(note.contains("1 of 5 requests continue one that is not in the trace"), "{note}");
    let turn = &trace.outlines()[0].turns[2];
    assert_eq!((turn.input, turn.output, turn.block_tokens, turn.blocks.as_slice()), (48, 7, 16, &[1, 2, 3][..]));
    let first = &trace.sessions()[0].turns;
    assert!(first[2].prompt().starts_with(first[1].prompt()), "the second turn's whole blocks begin the third");
    assert!(first.iter().all(|turn| turn.flags == turn_flags::STANDS_ALONE && turn.max_tokens == 7));
}

#[test]
fn further_fields_are_passed_over_and_needed_ones_are_not() {
    let line =
        r#"{"chat_id": 1, "parent_chat_id": -1, "timestamp": 61.114, "input_length": 5, "new": {}, "hash_ids": [3]}"#;
    assert_eq!(open::<Bailian>(line).turns()[0].output, NO_COUNT);
    for (was, is, named) in [
        ("\"chat_id\": 1, ", "", "chat_id: missing"),
        ("1,", "\"a\",", "chat_id: "),
        ("\"parent_chat_id\": -1, ", "", "parent_chat_id: missing"),
        ("\"parent_chat_id\": -1", "\"parent_chat_id\": 1", "parent_chat_id: this request is among those"),
        ("61.114", "-1", "timestamp: expected a time in seconds"),
        ("\"timestamp\": 61.114, ", "", "timestamp: missing"),
        ("5", "0", "input_length: expected"),
        ("\"input_length\": 5, ", "", "input_length: missing"),
        ("[3]", "[3, 4]", "input_length: 5 tokens do not reach into the last of 2 blocks of 16"),
        ("[3]", "3", "hash_ids: "),
    ] {
        let message = error::<Bailian>(&line.replacen(was, is, 1), TraceRequest::default());
        assert!(message.starts_with(":1: ") && message.contains(named), "{is}\n  {message}");
    }
    let twice = error::<Bailian>(&format!("{line}\n{line}"), TraceRequest::default());
    assert!(twice.starts_with(":2: chat_id: 1 is also that of line 1"), "{twice}");
}

#[test]
fn requests_that_go_round_in_a_circle_are_refused() {
    let chats = bailian(&[(5, -1, 0.0, &[1]), (1, 3, 0.0, &[1]), (2, 1, 0.0, &[1]), (3, 2, 0.0, &[1])]);
    let message = error::<Bailian>(&chats, TraceRequest::default());
    assert!(message.starts_with(":2: parent_chat_id: "), "{message}");
}

proptest! {
    #[test]
    fn every_chat_lies_in_the_session_of_its_parent(parents in proptest::collection::vec(any::<proptest::sample::Index>(), 1..40)) {
        // Each chat continues an earlier one or none; the file has them in another order.
        let parent_of = |n: usize| parents[n].index(n + 1) as i64 - 1;
        let place = |n: usize| (n * 7) % 41;
        let mut order: Vec<usize> = (0..parents.len()).collect();
        order.sort_by_key(|n| place(*n));
        let chats: Vec<_> = order.iter().map(|n| (*n as i64, parent_of(*n), *n as f64, &[][..])).collect();
        let trace = open::<Bailian>(&bailian(&chats));
        let root = |mut n: usize| {
            while parent_of(n) >= 0 {
                n = parent_of(n) as usize;
            }
            n.to_string()
        };
        let mut found = 0;
        for session in trace.outlines() {
            for turn in session.turns {
                found += 1;
                prop_assert_eq!(root((turn.time.timestamp_ns / 1_000_000_000) as usize), session.name.clone());
            }
        }
        prop_assert_eq!(found, parents.len());
    }

    #[test]
    fn no_table_makes_it_panic(contents in "(Timestamp|TIMESTAMP|\"|,|\\r?\\n|Request tokens|[0-9]{1,9}){0,30}", row in "[0-9,\"\\r\\n.:-]{0,60}") {
        let _ = super::open_with::<BurstGpt>(contents.as_bytes(), TraceRequest::default());
        let with_header = format!("Timestamp,Request tokens,Response tokens\n{row}");
        let _ = super::open_with::<BurstGpt>(with_header.as_bytes(), TraceRequest::default());
    }
}
