//! Whole files in, bodies or an error out.

use super::{InputsJson as Form, compact};
use crate::{
    conversation::Conversations,
    testing::{error, gzip, sessions},
};
use proptest::prelude::*;

type InputsJson = Conversations<Form>;

/// As AIPerf 0.13 lays it out.
const EXPORT: &str = r#"{
  "data": [
    {
      "session_id": "51c46139",
      "payloads": [
        {
          "messages": [
            {
              "role": "user",
              "content": "ans  \"TROILUS\" No remedy"
            }
          ],
          "model": "mock-model",
          "stream": true
        },
        {
          "a": 1.0
        }
      ]
    },
    {
      "session_id": "8cf6b95e",
      "payloads": [
        {}
      ]
    }
  ]
}
"#;

#[test]
fn what_was_sent_is_read_back() {
    let (all, info) = sessions::<InputsJson>(EXPORT);
    assert_eq!(
        all.iter().map(|s| (s.name.as_str(), s.turns.len())).collect::<Vec<_>>(),
        [("51c46139", 2), ("8cf6b95e", 1)]
    );
    assert_eq!(
        all[0].turns[0].raw_body,
        r#"{"messages":[{"role":"user","content":"ans  \"TROILUS\" No remedy"}],"model":"mock-model","stream":true}"#
    );
    assert_eq!(all[0].turns[1].raw_body, r#"{"a":1.0}"#, "numbers as they are written");
    assert!(info.notes[0].starts_with("1 of 3 request bodies name `stream`"), "{:?}", info.notes);
}

#[test]
fn a_compressed_file_reads_like_a_plain_one() {
    assert_eq!(sessions::<InputsJson>(gzip(EXPORT.as_bytes())), sessions::<InputsJson>(EXPORT));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (contents, named) in [
        ("{\"dta\": []}", "1: does not begin with {\"data\": ["),
        (" ", "1: does not begin with"),
        ("{\"data\": []}", "holds no requests"),
        ("{\"data\": [\n{\"session_id\": \"a\"}]}", "2 (entry 1): payloads: missing"),
        ("{\"data\": [\n{\"payload\": []}]}", "2 (entry 1): payload: unknown key; did you mean `payloads`?"),
        ("{\"data\": [{\"payloads\": []}]}", "payloads: is an empty list"),
        ("{\"data\": [{\"payloads\": [{}, 5]}]}", "payloads[1]: `5` is no request body"),
        ("{\"data\": [{\"payloads\": [{}]}", "entry 1 is not followed by a comma or the end"),
        ("{\"data\": [{\"payloads\": [{}]}], \"more\": 1}", "followed by something else"),
        ("{\"data\": [{\"payloads\": [{}]},", "entry 2 is missing"),
    ] {
        let message = error::<InputsJson>(contents);
        assert!(message.contains(named), "{contents}\n  {message}");
    }
}

proptest! {
    #[test]
    fn compact_json_is_what_serde_would_write(text in "\\PC{0,20}|[\\\\\" \n]{0,9}", number: i64) {
        let value = serde_json::json!({ "a": [text, number, { "b ": text }] });
        prop_assert_eq!(compact(&serde_json::to_string_pretty(&value).unwrap()), value.to_string());
    }
}
