//! Files and folders in, drawn requests or an error out.

use super::RandomPool;
use crate::testing::{Collected, error, gzip, open, session};
use inferometer_plugin_sdk::{documents::DatasetRequest, types::turn_flags};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn request(entries: u64, seed: u64) -> DatasetRequest {
    DatasetRequest { entries, seed, ..DatasetRequest::default() }
}

fn all(files: &[(&str, &[u8])], request: &DatasetRequest) -> Vec<Collected> {
    let (loader, info) = open::<RandomPool>(files, request).unwrap();
    (0..info.sessions).map(|index| session(&loader, index)).collect()
}

#[test]
fn sessions_are_drawn_from_the_rows_with_replacement() {
    let file = b"{\"text\": \"a\"}\n{\"text\": \"b\"}\n{\"text\": \"c\", \"output_length\": 3, \"role\": \"tool\"}\n";
    let drawn = all(&[("data", file)], &request(60, 1));
    let turns: Vec<_> = drawn.iter().map(|session| &session.turns[0]).collect();
    let texts: BTreeSet<_> = turns.iter().map(|turn| turn.parts[0].data.as_str()).collect();
    assert_eq!(texts.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(turns.iter().all(|turn| turn.flags == turn_flags::STANDS_ALONE));
    assert!(turns.iter().all(|turn| (turn.parts[0].data == "c") == (turn.max_tokens == 3)));
    assert!(turns.iter().all(|turn| turn.role == if turn.parts[0].data == "c" { "tool" } else { "user" }));
    assert_eq!(drawn[7].name, "session_000007");
}

#[test]
fn without_a_number_there_are_a_hundred_sessions() {
    assert_eq!(all(&[("data", b"{\"text\": \"a\"}")], &request(0, 0)).len(), 100);
}

#[test]
fn a_session_draws_from_every_file_of_a_folder_and_parts_go_by_its_name() {
    let images = gzip(b"{\"image\": \"http://h/1.png\"}\n{\"image\": \"http://h/2.png\"}");
    let texts = b"{\"text\": \"x\", \"model\": \"m\"}\n{\"texts\": [{\"name\": \"own\", \"contents\": [\"y\"]}], \"model\": \"n\"}";
    let drawn = all(&[("pools/images.jsonl.gz", &images), ("pools/query.jsonl", texts)], &request(50, 3));
    let mut seen = BTreeSet::new();
    for session in &drawn {
        let turn = &session.turns[0];
        let [image, text] = &turn.parts[..] else { panic!("a part of each pool") };
        assert_eq!(image.name, "images");
        let expected = if text.data == "x" { ("query", "m") } else { ("own", "n") };
        assert_eq!((text.name.as_str(), turn.model.as_str()), expected);
        seen.insert((image.data.clone(), text.data.clone()));
    }
    assert_eq!(seen.len(), 4, "pools are drawn from apart");
}

#[test]
fn a_broken_row_is_named_with_its_field_and_reason() {
    for (line, named) in [
        ("{\"text\": \"a\", \"timestamp\": 1}", "timestamp: a row of a pool is drawn at any time"),
        ("{\"text\": \"a\", \"session_id\": \"b\"}", "session_id: unknown key"),
        ("{\"txt\": \"a\"}", "txt: unknown key; did you mean `text`?"),
        ("{}", "says nothing to send"),
    ] {
        let message = error::<RandomPool>(format!("{{\"text\": \"fine\"}}\n{line}"));
        assert!(message.starts_with("2: ") && message.contains(named), "{message}");
    }
    assert!(error::<RandomPool>("").contains("holds no requests"));
}

proptest! {
    #[test]
    fn what_is_drawn_depends_on_seed_and_number_alone(seed: u64, rows in 1..20_u32) {
        let file: String = (0..rows).map(|row| format!("{{\"text\": \"{row}\"}}\n")).collect();
        let few = all(&[("data", file.as_bytes())], &request(5, seed));
        let many = all(&[("data", file.as_bytes())], &request(20, seed));
        prop_assert_eq!(&few[..], &many[..5]);
    }
}
