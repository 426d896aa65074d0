//! Whole files in, sessions or an error out.

use super::SingleTurn as Form;
use crate::{
    conversation::Conversations,
    testing::{self, Collected, Words, gzip, outline, session},
};
use inferometer_plugin_sdk::{
    api::DatasetLoader,
    documents::{DatasetInfo, DatasetRequest, Length},
    types::{ErrorKind, NO_COUNT, PartKind, Result, TurnTime, turn_flags},
};
use proptest::prelude::*;

type SingleTurn = Conversations<Form>;

fn open(contents: impl AsRef<[u8]>) -> Result<(SingleTurn, DatasetInfo)> {
    testing::open(&[("prompts.jsonl", contents.as_ref())], &DatasetRequest::default())
}

fn sessions(contents: impl AsRef<[u8]>) -> Vec<Collected> {
    testing::sessions::<SingleTurn>(contents).0
}

/// The error of a file, without the folder it lies in.
fn error(contents: impl AsRef<[u8]>) -> String {
    testing::error::<SingleTurn>(contents)
}

#[test]
fn a_line_is_a_session_of_one_user_message() {
    let all = sessions("{\"text\": \"Hello\"}\n{\"text\": \"Grüß \\u0047ott\\n\"}\n");
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].name.as_str(), all[1].name.as_str()), ("line_000001", "line_000002"));
    let [turn] = &all[1].turns[..] else { panic!("one turn") };
    assert_eq!((turn.role.as_str(), turn.parts[0].data.as_str()), ("user", "Grüß Gott\n"));
    assert_eq!((turn.model.as_str(), turn.extra.as_str(), turn.max_tokens), ("", "", 0));
    assert_eq!(turn.time, TurnTime::NONE);
}

#[test]
fn every_key_arrives_where_it_belongs() {
    let all = sessions(
        r#"{"type": "single_turn", "text": "Hi", "role": "system", "session_id": "s", "output_length": 7,
            "model": "m", "extra": {"top_k": 1.50, "a": null}, "timestamp": 1700000000001}"#
            .replace('\n', " "),
    );
    assert_eq!(all[0].name, "s");
    let turn = &all[0].turns[0];
    assert_eq!((turn.role.as_str(), turn.model.as_str(), turn.max_tokens), ("system", "m", 7));
    assert_eq!(turn.extra, r#"{"top_k": 1.50, "a": null}"#, "as it was written");
    assert_eq!(turn.time, TurnTime { timestamp_ns: 1_700_000_000_001_000_000, delay_ns: 0 });
}

#[test]
fn times_may_have_fractions() {
    let all = sessions("{\"text\": \"a\", \"timestamp\": 0.25}\n{\"text\": \"b\", \"delay\": 1.5e3}");
    assert_eq!(all[0].turns[0].time.timestamp_ns, 250_000);
    assert_eq!(all[1].turns[0].time, TurnTime { delay_ns: 1_500_000_000, ..TurnTime::NONE });
}

#[test]
fn lists_and_named_contents_become_parts_in_order() {
    let all = sessions(
        r#"{"images": ["http://a/b.png"], "audio": "data:audio/wav;base64,AAAA", "texts": ["q", {"name": "passages", "contents": ["x", "y"]}]}"#,
    );
    let parts: Vec<_> = all[0].turns[0].parts.iter().map(|p| (p.kind, p.name.as_str(), &*p.mime, &*p.data)).collect();
    let expected = [
        (PartKind::TEXT, "", "", "q"),
        (PartKind::TEXT, "passages", "", "x"),
        (PartKind::TEXT, "passages", "", "y"),
        (PartKind::IMAGE, "", "", "http://a/b.png"),
        (PartKind::AUDIO, "", "wav", "AAAA"),
    ];
    assert_eq!(parts, expected);
}

#[test]
fn lines_of_one_session_id_are_its_turns_in_file_order() {
    let all = sessions(
        r#"{"session_id": "b", "text": "1"}
{"text": "2"}
{"session_id": "a", "text": "3"}

{"session_id": "b", "text": "4", "delay": 5}
"#,
    );
    let texts = |s: &Collected| s.turns.iter().map(|t| t.parts[0].data.clone()).collect::<Vec<_>>();
    let seen: Vec<_> = all.iter().map(|s| (s.name.as_str(), texts(s))).collect();
    let own = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    assert_eq!(seen, [("b", own(&["1", "4"])), ("line_000002", own(&["2"])), ("a", own(&["3"]))]);
}

#[test]
fn blank_lines_windows_line_ends_nulls_and_a_byte_order_mark_do_no_harm() {
    let all = sessions("\u{feff}{\"text\": \"a\", \"model\": null}\r\n \t\r\n\r\n{\"text\": \"b\"}");
    assert_eq!(all.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["line_000001", "line_000004"]);
}

#[test]
fn a_compressed_file_reads_like_a_plain_one() {
    let plain = "{\"text\": \"a\"}\n{\"text\": \"b\"}\n";
    let compressed = gzip(plain.as_bytes());
    assert_eq!(sessions(&compressed), sessions(plain));

    let twice: Vec<u8> = [&compressed[..], &compressed[..]].concat();
    assert_eq!(sessions(twice).len(), 4, "files that were joined after compression");

    let cut = error(&compressed[..compressed.len() - 12]);
    assert!(cut.contains("cannot be read further"), "{cut}");
}

#[test]
fn limits_are_those_of_the_rows_alone() {
    let lines = b"{\"text\": \"a\"}\n{\"text\": \"b\", \"output_length\": 5}\n";
    let output_tokens = Some(Length { mean: 64.0, stddev: 0.0 });
    let request = DatasetRequest { output_tokens, ..DatasetRequest::default() };
    let (loader, _) = testing::open::<SingleTurn>(&[("prompts.jsonl", lines)], &request).unwrap();
    let limits: Vec<_> = (0..2).map(|index| session(&loader, index).turns[0].max_tokens).collect();
    assert_eq!(limits, [0, 5], "the host draws those that are missing");
}

#[test]
fn every_line_stands_alone_also_within_a_session() {
    let all = sessions("{\"session_id\": \"a\", \"text\": \"1\"}\n{\"session_id\": \"a\", \"text\": \"2\"}");
    let flags: Vec<_> = all[0].turns.iter().map(|turn| turn.flags).collect();
    assert_eq!(flags, [turn_flags::STANDS_ALONE; 2]);
}

#[test]
fn outlines_say_times_and_lengths_without_the_text() {
    let (loader, info) = open(
        "{\"session_id\": \"a\", \"text\": \"1\", \"timestamp\": 5, \"output_length\": 7}\n\
         {\"session_id\": \"a\", \"text\": \"2\", \"delay\": 3}",
    )
    .unwrap();
    let found = outline(&loader, 0);
    let second = TurnTime { delay_ns: 3_000_000, ..TurnTime::NONE };
    assert_eq!(found.turns, [(TurnTime { timestamp_ns: 5_000_000, delay_ns: 0 }, 7), (second, NO_COUNT)]);
    assert_eq!(found.name, "a");
    assert!(info.has_timestamps, "the first turn of every session has one");
}

#[test]
fn timestamps_are_those_of_the_data_set_only_if_every_session_has_one() {
    let (_, info) = open("{\"text\": \"a\", \"timestamp\": 0}\n{\"text\": \"b\"}").unwrap();
    assert!(!info.has_timestamps);
}

#[test]
fn pictures_beside_the_file_are_put_in() {
    let line = b"{\"text\": \"a\", \"image\": \"pictures/cat.png\"}";
    let files: [(&str, &[u8]); 2] = [("prompts.jsonl", line), ("pictures/cat.png", &[0, 255, 16])];
    let (loader, _) = testing::open::<SingleTurn>(&files, &DatasetRequest::default()).unwrap();
    let part = &session(&loader, 0).turns[0].parts[1];
    assert_eq!((part.mime.as_str(), part.data.as_str()), ("image/png", "data:image/png;base64,AP8Q"));
}

#[test]
fn a_broken_line_is_named_with_its_field_and_reason() {
    for (line, named) in [
        ("{\"text\": \"a\"", "it ends inside an object"),
        ("{", "not JSON"),
        ("[", "write one object per line"),
        ("{\"text\": \"a\"} {\"text\": \"b\"}", "trailing characters"),
        ("{\"text\": \"\\ud800\"}", "text: "),
        ("[1]", "write one object per line"),
        ("5", "`5` stands where one object per line belongs"),
        ("{}", "says nothing to send"),
        ("{\"text\": null}", "says nothing to send"),
        ("{\"text\": \"\"}", "text: is empty"),
        ("{\"text\": 5}", "text: `5` stands where a string belongs"),
        ("{\"text\": \"a\", \"text\": \"b\"}", "`text` is given twice"),
        ("{\"text\": \"a\", \"texts\": [\"b\"]}", "text: given together with `texts`"),
        ("{\"texts\": []}", "texts: is an empty list"),
        ("{\"texts\": \"a\"}", "texts: \"a\" stands where a list belongs"),
        ("{\"texts\": [\"a\", \"\"]}", "texts[1]: is empty"),
        ("{\"texts\": [{\"name\": \"q\"}]}", "texts[0]: missing field `contents`"),
        ("{\"texts\": [{\"contents\": []}]}", "texts[0]: its `contents` are an empty list"),
        ("{\"texts\": [{\"contents\": [\"a\"], \"nam\": 1}]}", "texts[0]: unknown field `nam`"),
        ("{\"image\": \"cat.png\"}", "image: `cat.png` is none of what is accepted"),
        ("{\"images\": [\"http://a/b\", \"cat.png\"]}", "images[1]: `cat.png`"),
        ("{\"text\": \"a\", \"role\": \"\"}", "role: is empty"),
        ("{\"text\": \"a\", \"session_id\": 7}", "session_id: `7` stands where a string belongs"),
        ("{\"text\": \"a\", \"output_length\": 0}", "output_length: 0 tokens"),
        ("{\"text\": \"a\", \"output_length\": -1}", "output_length: `-1` stands where a whole number from 0"),
        ("{\"text\": \"a\", \"output_length\": 1.5}", "output_length: `1.5` stands where a whole number from 0"),
        ("{\"text\": \"a\", \"output_length\": 5000000000}", "output_length: `5000000000` stands where"),
        ("{\"text\": \"a\", \"extra\": [1]}", "extra: a list stands where an object belongs"),
        ("{\"text\": \"a\", \"extra\": {\"b\": \"\\ud800\"}}", "extra: "),
        ("{\"text\": \"a\", \"timestamp\": -1}", "timestamp: -1 is no time"),
        ("{\"text\": \"a\", \"timestamp\": 1e30}", "timestamp: 1e+30 is no time"),
        ("{\"text\": \"a\", \"timestamp\": \"1\"}", "timestamp: \"1\" stands where a number belongs"),
        ("{\"text\": \"a\", \"timestamp\": 18446744073709551615}", "timestamp: 18446744073709551615 is no time"),
        ("{\"text\": \"a\", \"timestamp\": 1, \"delay\": 1}", "timestamp: given together with `delay`"),
        ("{\"text\": \"a\", \"txet\": 1}", "txet: unknown key; did you mean `text`?"),
        ("{\"text\": \"a\", \"sessionid\": \"x\"}", "sessionid: unknown key; did you mean `session_id`?"),
        ("{\"turns\": []}", "turns: unknown key; the keys are text, texts,"),
        ("{\"\\u001b[2J\": 1}", "\\u{1b}[2J: unknown key"),
        ("{\"image_uuids\": []}", "image_uuids: not supported"),
        ("{\"type\": \"multi_turn\", \"text\": \"a\"}", "type: `multi_turn` is not what this data set reads"),
    ] {
        let message = error(format!("{{\"text\": \"fine\"}}\n\n{line}\n"));
        assert!(message.starts_with("3: ") && message.contains(named), "{line}\n  {message}");
    }
}

#[test]
fn long_values_are_not_quoted_in_full() {
    let book = "x".repeat(1_000_000);
    for line in [
        format!("{{\"text\": \"a\", \"output_length\": \"{book}\"}}"),
        format!("{{\"image\": \"{book}\"}}"),
        format!("{{\"{book}\": 1}}"),
        format!("{{\"type\": \"{book}\"}}"),
    ] {
        assert!(error(line).len() < 500);
    }
}

#[test]
fn deeply_nested_input_is_an_error() {
    let deep = format!("{{\"text\": \"a\", \"extra\": {{\"b\": {}{}}}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(error(deep).contains("extra: recursion limit exceeded"));
}

#[test]
fn bytes_that_are_no_text_are_named_with_their_place() {
    let message = error(b"{\"text\": \"a\"}\n{\"text\": \"\xff\"}\n");
    assert!(message.starts_with("2: is not text from byte 11 on"), "{message}");
}

#[test]
fn a_file_without_requests_is_an_error() {
    for contents in ["", "\n", " \n\t\n"] {
        assert!(error(contents).contains("holds no requests"), "{contents:?}");
    }
}

#[test]
fn a_missing_file_a_folder_and_no_file_at_all_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.jsonl").to_str().unwrap().to_owned();
    for (source, named) in [
        (Some(missing), "none.jsonl: there is no such file"),
        (Some(folder.path().to_str().unwrap().to_owned()), ": is a folder"),
        (None, "--input-file"),
    ] {
        let request = DatasetRequest { source, ..DatasetRequest::default() };
        let error = SingleTurn::default().open(&request, &Words).unwrap_err();
        assert_eq!(error.kind, ErrorKind::CONFIG);
        assert!(error.message.contains(named), "{error}");
    }
}

#[test]
fn a_session_that_is_not_there_is_an_error() {
    let (loader, info) = open("{\"text\": \"a\"}").unwrap();
    assert!(loader.session(info.sessions, &Words, &mut Collected::default()).is_err());
    assert!(SingleTurn::default().session(0, &Words, &mut Collected::default()).is_err());
}

proptest! {
    #[test]
    fn every_text_comes_back_as_it_was(texts in proptest::collection::vec("\\PC{1,40}|[\\n\"\\\\]{1,5}", 1..20)) {
        let lines: Vec<_> = texts.iter().map(|text| serde_json::json!({ "text": text }).to_string()).collect();
        let back: Vec<_> = sessions(lines.join("\n")).into_iter().map(|s| s.turns[0].parts[0].data.clone()).collect();
        prop_assert_eq!(back, texts);
    }

    #[test]
    fn no_file_makes_it_panic(contents in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = open(contents);
    }

    #[test]
    fn no_line_of_json_makes_it_panic(key in "[a-z_]{1,14}|text|extra|timestamp|texts", value in "-?[0-9]{1,25}|\"[a-z]*\"|[\\[\\]{},:0-9\"ea.]{0,20}") {
        let _ = open(format!("{{\"{key}\": {value}}}"));
    }
}
