//! Whole files in, conversations or an error out.

use super::MultiTurn as Form;
use crate::{
    conversation::Conversations,
    testing::{error, gzip, sessions},
};
use inferometer_plugin_sdk::types::TurnTime;
use proptest::prelude::*;

type MultiTurn = Conversations<Form>;

/// Two lines of MT-Bench's questions.
const MT_BENCH: &str = r#"{"question_id": 81, "category": "writing", "turns": ["Compose an engaging travel blog post about a recent trip to Hawaii, highlighting cultural experiences and must-see attractions.", "Rewrite your previous response. Start every sentence with the letter A."]}
{"question_id": 101, "category": "reasoning", "turns": ["Imagine you are participating in a race with a group of people.", "If you have just overtaken the last person, what's your current position?"], "reference": ["You are in second place.", "Uncertain."]}
"#;

fn texts(owned: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    owned.iter().map(|(role, text)| (*role, (*text).to_owned())).collect()
}

#[test]
fn a_line_is_a_conversation_whose_turns_build_on_one_another() {
    let (all, info) = sessions::<MultiTurn>(
        r#"{"session_id": "s", "turns": [{"text": "a", "timestamp": 5, "model": "m"}, {"text": "b", "delay": 2, "output_length": 9, "extra": {"top_k": 1}}]}
{"turns": [{"text": "c"}]}"#,
    );
    assert_eq!((info.sessions, info.has_timestamps, info.recorded_replies), (2, false, false));
    assert_eq!((all[0].name.as_str(), all[1].name.as_str()), ("s", "line_000002"));
    let [first, second] = &all[0].turns[..] else { panic!("two turns") };
    assert_eq!((first.said(), second.said()), (texts(&[("user", "a")]), texts(&[("user", "b")])));
    assert_eq!((first.flags, second.flags), (0, 0), "none stands alone");
    assert_eq!((first.model.as_str(), second.max_tokens, second.extra.as_str()), ("m", 9, r#"{"top_k": 1}"#));
    assert_eq!(first.time, TurnTime { timestamp_ns: 5_000_000, delay_ns: 0 });
    assert_eq!(second.time, TurnTime { delay_ns: 2_000_000, ..TurnTime::NONE });
}

#[test]
fn instructions_and_recorded_replies_lead_the_turn_after_them() {
    let (all, _) = sessions::<MultiTurn>(
        r#"{"turns": [{"role": "system", "text": "Be brief."}, {"text": "a"}, {"role": "assistant", "text": "A"}, {"text": "b"}, {"role": "assistant", "text": "dropped"}]}"#,
    );
    let said: Vec<_> = all[0].turns.iter().map(|turn| turn.said()).collect();
    let expected = [texts(&[("system", "Be brief."), ("user", "a")]), texts(&[("assistant", "A"), ("user", "b")])];
    assert_eq!(said, expected);
}

#[test]
fn questions_of_mt_bench_are_conversations() {
    let (all, _) = sessions::<MultiTurn>(MT_BENCH);
    assert_eq!(all.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["81", "101"]);
    assert!(all.iter().all(|session| session.turns.len() == 2));
    assert_eq!(
        all[1].turns[1].said(),
        texts(&[("user", "If you have just overtaken the last person, what's your current position?")])
    );
}

#[test]
fn a_compressed_file_reads_like_a_plain_one() {
    assert_eq!(sessions::<MultiTurn>(gzip(MT_BENCH.as_bytes())), sessions::<MultiTurn>(MT_BENCH));
}

#[test]
fn a_broken_line_is_named_with_its_field_and_reason() {
    for (line, named) in [
        ("{\"turns\": []}", "turns: is an empty list"),
        ("{\"turns\": 5}", "turns: `5` stands where a list belongs"),
        ("{\"session_id\": \"a\"}", "turns: missing"),
        ("{\"trns\": [\"a\"]}", "trns: unknown key; did you mean `turns`?"),
        ("{\"turns\": [5]}", "turns[0]: `5` is no object"),
        ("{\"turns\": [\"\"]}", "turns[0].text: is empty"),
        ("{\"turns\": [\"a\", {\"txet\": \"b\"}]}", "turns[1].txet: unknown key; did you mean `text`?"),
        ("{\"turns\": [{\"text\": \"a\", \"text\": \"b\"}]}", "turns[0]: `text` is given twice"),
        ("{\"turns\": [{\"text\": \"a\", \"session_id\": \"b\"}]}", "turns[0].session_id: unknown key"),
        ("{\"turns\": [{\"text\": \"a\", \"delay\": -1}]}", "turns[0].delay: -1 is no time"),
        ("{\"turns\": [{\"role\": \"assistant\", \"text\": \"a\"}, \"b\"]}", "turns[0].role: `assistant` is a reply"),
        (
            "{\"turns\": [\"a\", {\"role\": \"assistant\", \"text\": \"b\", \"delay\": 1}]}",
            "turns[1].delay: given with",
        ),
        ("{\"turns\": [{\"role\": \"system\", \"text\": \"a\"}]}", "turns: none of them asks anything"),
        ("{\"session_id\": \"fine\", \"turns\": [\"a\"]}", "session_id: `fine` is the name of an earlier line"),
        ("{\"session_id\": \"a\", \"question_id\": 1, \"turns\": [\"a\"]}", "given together with `question_id`"),
        ("{\"type\": \"single_turn\", \"turns\": [\"a\"]}", "type: `single_turn` is not what this data set reads"),
    ] {
        let message = error::<MultiTurn>(format!("{{\"session_id\": \"fine\", \"turns\": [\"x\"]}}\n\n{line}\n"));
        assert!(message.starts_with("3: ") && message.contains(named), "{line}\n  {message}");
    }
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(conversations in proptest::collection::vec(proptest::collection::vec("\\PC{1,20}", 1..5), 1..9)) {
        let lines: Vec<_> = conversations.iter().map(|turns| serde_json::json!({ "turns": turns }).to_string()).collect();
        let (all, _) = sessions::<MultiTurn>(lines.join("\n"));
        let back: Vec<Vec<String>> =
            all.iter().map(|session| session.turns.iter().map(|turn| turn.parts[0].data.clone()).collect()).collect();
        prop_assert_eq!(back, conversations);
    }
}
