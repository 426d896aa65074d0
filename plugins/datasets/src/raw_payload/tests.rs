//! Whole files and folders in, bodies or an error out.

use super::RawPayload as Form;
use crate::{
    conversation::Conversations,
    testing::{error, gzip, open, session, sessions},
};
use inferometer_plugin_sdk::{documents::DatasetRequest, types::turn_flags};
use proptest::prelude::*;

type RawPayload = Conversations<Form>;

#[test]
fn a_line_is_a_session_and_its_body_is_sent_byte_for_byte() {
    let body = r#"{ "messages" : [{"role":"user","content":"Gr\u00fc\u00df"}],  "temperature": 1.0e0, "model": "m" }"#;
    let (all, info) = sessions::<RawPayload>(format!("{body}\r\n\n{{}}\n"));
    assert_eq!(all.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["line_000001", "line_000003"]);
    assert_eq!((all[0].turns[0].raw_body.as_str(), all[0].turns[0].flags), (body, turn_flags::STANDS_ALONE));
    assert!(info.notes.is_empty());
}

#[test]
fn bodies_that_name_stream_are_counted() {
    let (_, info) = sessions::<RawPayload>("{\"stream\": true}\n{\"a\": {\"stream\": true}}\n{\"stream\": false}");
    assert!(info.notes[0].starts_with("2 of 3 request bodies name `stream`"), "{:?}", info.notes);
}

#[test]
fn a_file_of_a_folder_is_a_session_whose_lines_are_its_turns() {
    let packed = gzip(b"{\"n\":3}");
    let files: [(&str, &[u8]); 3] =
        [("all/b.jsonl", b"{\"n\":1}\n{\"n\":2}\n"), ("all/a.jsonl.gz", &packed), ("all/.x", b"?")];
    let (loader, info) = open::<RawPayload>(&files, &DatasetRequest::default()).unwrap();
    assert_eq!(info.sessions, 2);
    let found: Vec<_> = (0..2).map(|n| session(&loader, n)).map(|s| (s.name, s.turns.len())).collect();
    assert_eq!(found, [("a".to_owned(), 1), ("b".to_owned(), 2)], "by name");
    assert_eq!(session(&loader, 1).turns[1].raw_body, "{\"n\":2}");
}

#[test]
fn what_is_no_body_is_named_with_its_line() {
    for (line, named) in [("[1]", "`[1]` is no request body"), ("{\"a\": 1", "not JSON"), ("{\"a\": 1} 2", "not JSON")]
    {
        let message = error::<RawPayload>(format!("{{}}\n{line}\n"));
        assert!(message.starts_with("2: ") && message.contains(named), "{message}");
    }
    assert!(error::<RawPayload>("\n").contains("holds no requests"));
}

#[test]
fn a_folder_with_an_empty_file_or_a_folder_in_it_is_refused() {
    for (files, named) in [
        ([("all/a", &b"{}"[..]), ("all/b", b"")], "b: is empty: it holds no requests"),
        ([("all/a", b"{}"), ("all/sub/b", b"{}")], "sub: is a folder inside a folder"),
    ] {
        let error = open::<RawPayload>(&files, &DatasetRequest::default()).err().unwrap();
        assert!(error.message.contains(named), "{error}");
    }
}

proptest! {
    #[test]
    fn every_body_comes_back_as_it_was(texts in proptest::collection::vec("\\PC{0,30}", 1..9)) {
        let bodies: Vec<String> = texts.iter().map(|text| serde_json::json!({ "prompt": text }).to_string()).collect();
        let (all, _) = sessions::<RawPayload>(bodies.join("\n"));
        let back: Vec<_> = all.into_iter().map(|session| session.turns[0].raw_body.clone()).collect();
        prop_assert_eq!(back, bodies);
    }
}
