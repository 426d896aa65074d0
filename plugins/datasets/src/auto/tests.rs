//! Files of every kind in, and what they are taken for out.

use super::{Auto, kinds::KINDS};
use crate::{
    conversation::Conversations,
    single_turn::SingleTurn,
    testing::{gzip, open, outline, session},
};
use inferometer_plugin_sdk::{api::DatasetLoader, documents::DatasetRequest, types::ErrorKind};

fn kind(files: &[(&str, &[u8])]) -> String {
    open::<Auto>(files, &DatasetRequest::default()).unwrap().1.kind.expect("a kind")
}

fn error(files: &[(&str, &[u8])]) -> String {
    let error = open::<Auto>(files, &DatasetRequest::default()).err().expect("an error");
    assert_eq!(error.kind, ErrorKind::CONFIG);
    error.message.to_string()
}

/// A file of each kind that is read from one.
const FILES: [(&str, &str); 16] = [
    ("single_turn", "{\"text\": \"a\"}"),
    ("single_turn", "\n\u{20}{\"session_id\": \"x\", \"texts\": [\"a\"], \"delay\": 1}"),
    ("multi_turn", "{\"session_id\": \"x\", \"turns\": [{\"text\": \"messages\"}]}"),
    ("multi_turn", "{\"question_id\": 81, \"category\": \"writing\", \"turns\": [\"a\", \"b\"]}"),
    ("dag_jsonl", "{\"session_id\": \"x\", \"turns\": [{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}]}"),
    ("sharegpt", "[\n{\"id\": \"x\", \"conversations\": [\n{\"from\": \"human\", \"value\": \"a\"}]}]"),
    ("sharegpt", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"tools\": [], \"subset\": \"s\"}"),
    ("raw_payload", "{\"model\": \"m\", \"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}"),
    ("inputs_json", "{\n  \"data\": [\n{\"session_id\": \"x\", \"payloads\": [{}]}]}"),
    ("openai_batch", "{\"custom_id\": \"x\", \"method\": \"POST\", \"url\": \"/v1\", \"body\": {}}"),
    ("agentic_messages", "{\"conversation_id\": \"x\", \"turn\": 1, \"role\": \"user\", \"content\": \"a\"}"),
    ("mooncake_trace", "{\"timestamp\": 0, \"input_length\": 600, \"output_length\": 5, \"hash_ids\": [1, 2]}"),
    ("mooncake_trace", "{\"timestamp\": 0, \"text_input\": \"a\", \"output_length\": 5}"),
    (
        "bailian_trace",
        "{\"chat_id\": 1, \"parent_chat_id\": -1, \"timestamp\": 0.5, \"input_length\": 20, \"output_length\": 5, \
         \"type\": \"text\", \"turn\": 1, \"hash_ids\": [1, 2]}",
    ),
    (
        "burst_gpt_trace",
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,Conversation log\n",
    ),
    ("azure_trace", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n"),
];

#[test]
fn every_kind_of_file_is_known_by_its_beginning() {
    for (expected, contents) in FILES {
        assert_eq!(kind(&[("data", contents.as_bytes())]), expected, "{contents}");
        assert_eq!(kind(&[("data", &gzip(contents.as_bytes()))]), expected, "{contents}, compressed");
    }
}

#[test]
fn every_kind_can_be_found_out() {
    for found in &KINDS {
        let is_shown = FILES.iter().any(|(name, _)| *name == found.name) || found.name == "random_pool";
        assert!(is_shown, "{} has no file in this test", found.name);
    }
    assert!(KINDS.is_sorted_by_key(|kind| kind.name));
}

#[test]
fn a_folder_is_what_its_files_are() {
    assert_eq!(kind(&[("all/a", b"{\"text\": \"a\"}"), ("all/b", b"{\"image\": \"http://h/i\"}")]), "random_pool");
    let body = b"{\"model\": \"m\", \"prompt\": \"a\"}";
    assert_eq!(kind(&[("all/a", body), ("all/b", body)]), "raw_payload");
    let mixed = error(&[("all/a", body), ("all/b", b"{\"text\": \"a\"}")]);
    assert!(mixed.contains("a is raw_payload and b is random_pool"), "{mixed}");
    let traces = error(&[("all/a", b"{\"input_length\": 5}")]);
    assert!(traces.contains("/all/a: is mooncake_trace") && traces.contains("give this one"), "{traces}");
    let others = error(&[("all/a", b"{\"b\": 5}")]);
    assert!(others.contains("fits no kind"), "{others}");
}

#[test]
fn a_type_that_names_a_kind_goes_first() {
    let named = error(&[("data", b"{\"turns\": [], \"type\": \"single_turn\"}")]);
    assert!(named.contains("taken for single_turn"), "{named}");
    assert_eq!(kind(&[("data", b"{\"text\": \"a\", \"type\": \"random_pool\"}")]), "random_pool");
}

#[test]
fn what_fits_no_kind_or_two_is_refused_with_the_kinds_there_are() {
    for (contents, named) in [
        (" \n", "begins with nothing"),
        ("Shall I compare thee, or not", "begins with `Shall I compare thee, or not` fits no kind"),
        ("{\"question\": \"a\", \"answer\": \"b\"}", "fields question, answer fits no kind"),
        ("[1, 2]", "fits no kind"),
        ("[{\"text\": \"a\"}]", "an array of objects with the fields text fits no kind"),
        ("[{\"text\": \"a\"}]", "look like single_turn: write one object per line"),
        ("a\u{1b}[2Jb", "`a\\u{1b}[2Jb`"),
        ("{\"text\": \"a\", \"turns\": [\"b\"]}", "fits multi_turn and single_turn"),
        ("{\"text\": null}", "fits no kind"),
    ] {
        let message = error(&[("data", contents.as_bytes())]);
        assert!(message.contains(named), "{contents}\n  {message}");
        assert!(message.contains("--custom-dataset-type") && message.contains("sharegpt, single_turn"), "{message}");
    }
}

#[test]
fn a_file_that_is_empty_or_no_text_is_called_that() {
    for (contents, named) in [(&b""[..], "is empty"), (b"\xff\xfe\x00", "is not text"), (b"PK\x00", "is not text")] {
        let message = error(&[("data", contents)]);
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn a_file_of_another_kind_than_was_said_is_called_what_it_looks_like() {
    let line = b"{\"input_length\": 5, \"output_length\": 2}";
    let message =
        open::<Conversations<SingleTurn>>(&[("data", line)], &DatasetRequest::default()).err().unwrap().message;
    assert!(message.contains("it looks like mooncake_trace, not single_turn"), "{message}");
    let line = b"{\"text\": 5}";
    let message =
        open::<Conversations<SingleTurn>>(&[("data", line)], &DatasetRequest::default()).err().unwrap().message;
    assert!(!message.contains("looks like"), "{message}");
}

#[test]
fn an_error_in_the_file_says_what_the_file_was_taken_for() {
    let message = error(&[("data", b"{\"text\": \"a\"}\n{\"txet\": \"b\"}")]);
    assert!(message.contains("/data:2: txet: unknown key") && message.contains("taken for single_turn"), "{message}");
}

#[test]
fn sessions_and_outlines_are_those_of_the_loader_that_fits() {
    let file = b"{\"text\": \"a\", \"timestamp\": 1, \"output_length\": 4}";
    let (loader, info) = open::<Auto>(&[("data", file)], &DatasetRequest::default()).unwrap();
    assert!(info.sessions == 1 && info.has_timestamps);
    assert_eq!(session(&loader, 0).turns[0].parts[0].data, "a");
    assert_eq!(outline(&loader, 0).turns[0].1, 4);
}

#[test]
fn no_file_is_an_error() {
    let error = Auto::default().open(&DatasetRequest::default(), &crate::testing::Words).unwrap_err();
    assert!(error.kind == ErrorKind::CONFIG && error.message.contains("--input-file"), "{error}");
}
