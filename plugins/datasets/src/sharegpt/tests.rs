//! Whole files in, conversations or an error out.

use super::ShareGpt as Form;
use crate::{
    conversation::Conversations,
    testing::{error, gzip, open, outline, sessions},
};
use inferometer_plugin_sdk::{
    documents::DatasetRequest,
    types::{NO_COUNT, PartKind},
};
use proptest::prelude::*;

type ShareGpt = Conversations<Form>;

/// The beginning of FastChat's dummy conversations, as they are laid out.
const SHAREGPT: &str = r#"[
{
"id": "identity_0",
"conversations": [
{
"from": "human",
"value": "Who are you?"
},
{
"from": "gpt",
"value": "I am Vicuna, a language model."
},
{
"from": "human",
"value": "Have a nice day!"
},
{
"from": "gpt",
"value": "You too!"
}
]
},
{
"id": "identity_1",
"conversations": [
{
"from": "human",
"value": "Who are you?"
}
]
}
]
"#;

/// The shape of function-calling samples.
const WITH_TOOLS: &str = r#"{"messages": [{"role": "system", "content": "Be exact."}, {"role": "user", "content": "What is the weather?"}], "tools": [{"type": "function", "function": {"name": "weather"}}], "subset": "live_simple"}"#;

fn texts(owned: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    owned.iter().map(|(role, text)| (*role, (*text).to_owned())).collect()
}

#[test]
fn people_ask_and_recorded_replies_lead_the_next_turn_and_limit_their_own() {
    let (all, info) = sessions::<ShareGpt>(SHAREGPT);
    assert_eq!((info.sessions, info.recorded_replies, info.notes.len()), (2, false, 0));
    assert_eq!(all[0].name, "identity_0");
    let [first, second] = &all[0].turns[..] else { panic!("two turns") };
    assert_eq!(first.said(), texts(&[("user", "Who are you?")]));
    let expected = [("assistant", "I am Vicuna, a language model."), ("user", "Have a nice day!")];
    assert_eq!(second.said(), texts(&expected));
    assert_eq!((first.max_tokens, second.max_tokens, all[1].turns[0].max_tokens), (6, 2, 0));
}

#[test]
fn one_per_line_compressed_and_without_line_breaks_is_the_same() {
    let entries: Vec<serde_json::Value> = serde_json::from_str(SHAREGPT).unwrap();
    let lines: Vec<String> = entries.iter().map(ToString::to_string).collect();
    let (expected, _) = sessions::<ShareGpt>(SHAREGPT);
    for other in
        [lines.join("\n").into_bytes(), gzip(SHAREGPT.as_bytes()), format!("[{}]", lines.join(",")).into_bytes()]
    {
        assert_eq!(sessions::<ShareGpt>(other).0, expected);
    }
}

#[test]
fn messages_of_the_chat_form_keep_what_they_have() {
    let (all, info) = sessions::<ShareGpt>(WITH_TOOLS);
    let [turn] = &all[0].turns[..] else { panic!("one turn") };
    assert_eq!(turn.said(), texts(&[("system", "Be exact."), ("user", "What is the weather?")]));
    assert_eq!(turn.extra, r#"{"tools":[{"type": "function", "function": {"name": "weather"}}]}"#);
    assert!(!info.recorded_replies);
}

#[test]
fn results_of_tools_need_the_replies_that_were_recorded() {
    let (all, info) = sessions::<ShareGpt>(
        r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]}, {"role": "tool", "tool_call_id": "1", "content": "b"}]}"#,
    );
    assert!(info.recorded_replies);
    let [_, second] = &all[0].turns[..] else { panic!("two turns") };
    assert_eq!(second.before[0].extra, r#"{"content":null,"tool_calls":[{"id": "1"}]}"#);
    assert_eq!((second.role.as_str(), second.message_extra.as_str()), ("tool", r#"{"tool_call_id":"1"}"#));
}

#[test]
fn content_in_parts_becomes_parts() {
    let (all, _) = sessions::<ShareGpt>(
        r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "http://h/b.png"}}, {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]}]}"#,
    );
    let parts: Vec<_> = all[0].turns[0].parts.iter().map(|p| (p.kind, p.mime.as_str(), p.data.as_str())).collect();
    let expected =
        [(PartKind::TEXT, "", "a"), (PartKind::IMAGE, "", "http://h/b.png"), (PartKind::AUDIO, "wav", "AAAA")];
    assert_eq!(parts, expected);
}

#[test]
fn conversations_begin_with_the_first_human_and_those_without_one_are_left_out() {
    let (all, info) = sessions::<ShareGpt>(
        r#"[{"id": "a", "conversations": [{"from": "gpt", "value": "x"}, {"from": "system", "value": "s"}, {"from": "user", "value": "y"}]},
            {"id": "b", "conversations": [{"from": "gpt", "value": "x"}]},
            {"id": "c", "conversations": []}]"#,
    );
    assert_eq!((all.len(), all[0].turns[0].said()), (1, texts(&[("system", "s"), ("user", "y")])));
    assert_eq!(info.notes, ["2 of 3 conversations have no message of a user and are left out"]);
    assert!(error::<ShareGpt>("[]").contains("holds no requests"));
    let none = error::<ShareGpt>(r#"{"conversations": []}"#);
    assert!(none.contains("1 of 1 conversations"), "{none}");
}

#[test]
fn entries_without_an_id_are_called_by_their_place() {
    let entry = r#"{"conversations": [{"from": "human", "value": "x"}]}"#;
    let names = |contents: String| sessions::<ShareGpt>(contents).0.into_iter().map(|s| s.name).collect::<Vec<_>>();
    assert_eq!(names(format!("[{entry}, {entry}]")), ["entry_000001", "entry_000002"]);
    assert_eq!(names(format!("{entry}\n\n{entry}")), ["line_000001", "line_000003"]);
}

#[test]
fn replies_are_counted_when_their_turn_is_asked_for_and_not_for_the_outline() {
    let (loader, _) = open::<ShareGpt>(&[("data", SHAREGPT.as_bytes())], &DatasetRequest::default()).unwrap();
    assert_eq!(outline(&loader, 0).turns.iter().map(|(_, tokens)| *tokens).collect::<Vec<_>>(), [NO_COUNT; 2]);
}

#[test]
fn a_broken_entry_is_named_with_its_line_number_and_field() {
    for (entry, named) in [
        (r#"{"conversation": []}"#, "3 (entry 2): conversations: missing; is `conversation` it?"),
        (r#"{"conversations": [{"form": "human", "value": "x"}]}"#, "conversations[0].from: missing; is `form` it?"),
        (r#"{"conversations": [{"from": "alien", "value": "x"}]}"#, "conversations[0].from: `alien` is none of"),
        (r#"{"conversations": [{"from": "human", "value": 5}]}"#, "conversations[0].value: `5` stands where"),
        (r#"{"conversations": {}}"#, "conversations: an object stands where a list belongs"),
        (r#"{"conversations": [], "messages": []}"#, "conversations: given together with `messages`"),
        (r#"{"messages": [{"content": "x"}]}"#, "messages[0].role: missing"),
        (r#"{"messages": [{"role": "user"}]}"#, "messages[0].content: missing"),
        (r#"{"messages": [{"role": "user", "content": [{"type": "txt"}]}]}"#, "messages[0].content[0].txt: missing"),
        (r#"{"messages": [{"role": "user", "content": [{"type": "a", "a": 1}]}]}"#, "content[0].type: `a` is none of"),
        ("{\n\n\"messages\": 5x}", "5 (entry 2): not JSON"),
        ("5", "entry 2 is no object"),
        (r#"{"conversations": []} {}"#, "entry 2 is not followed by a comma"),
        ("{\"a\": [", "entry 2 has no end"),
    ] {
        let fine = r#"{"conversations": [{"from": "human", "value": "x"}]}"#;
        let message = error::<ShareGpt>(format!("[\n{fine},\n{entry}\n]"));
        assert!(message.contains(named), "{entry}\n  {message}");
    }
}

proptest! {
    #[test]
    fn what_goes_in_comes_out_however_it_is_laid_out(
        conversations in proptest::collection::vec(proptest::collection::vec("\\PC{1,20}|[\\[\\]{}\"\\\\,]{1,9}", 1..5), 1..9),
        pretty: bool,
    ) {
        let entry = |texts: &Vec<String>| {
            let said = |(n, text)| serde_json::json!({ "from": if n % 2 == 0 { "human" } else { "gpt" }, "value": text });
            serde_json::json!({ "conversations": texts.iter().enumerate().map(said).collect::<Vec<_>>() })
        };
        let entries: serde_json::Value = conversations.iter().map(entry).collect();
        let file = if pretty { serde_json::to_string_pretty(&entries).unwrap() } else { entries.to_string() };
        let (all, _) = sessions::<ShareGpt>(file);
        for (session, mut texts) in all.iter().zip(conversations) {
            let back: Vec<String> = session.turns.iter().flat_map(|turn| turn.said()).map(|(_, text)| text).collect();
            // A reply that nothing follows is dropped.
            texts.truncate((texts.len() - 1) / 2 * 2 + 1);
            prop_assert_eq!(back, texts);
        }
    }

    #[test]
    fn no_file_makes_it_panic(contents in "[\\[{][\\[\\]{},:0-9\"a ]{0,60}") {
        let _ = open::<ShareGpt>(&[("data", contents.as_bytes())], &DatasetRequest::default());
    }
}
