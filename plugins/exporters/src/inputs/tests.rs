//! What the file holds of what was sent, whatever that was.

use super::{indent::DEEPEST, *};
use crate::fixture::{Disk, Request, sample_requests};

fn request(session: u64, turn: u32, body: &str) -> Request {
    let mut request = sample_requests().remove(0);
    (request.session, request.turn, request.body) = (session, turn, body.into());
    request.conversation_id = format!("conversation \"{session}\"");
    request
}

/// A request of a session's `run`th time, of which the body says enough.
fn again(run: u8, turn: u32, body: &str) -> Request {
    Request { correlation_id: [run; 16], index: u64::from(run) * 10 + u64::from(turn), ..request(5, turn, body) }
}

/// The conversations in the file: names, and bodies by turn.
fn conversations(requests: &[Request]) -> Vec<(String, serde_json::Value)> {
    let file: serde_json::Value = serde_json::from_str(&export(requests)).unwrap();
    let conversation =
        |one: &serde_json::Value| (one["session_id"].as_str().unwrap().to_owned(), one["payloads"].clone());
    file["data"].as_array().unwrap().iter().map(conversation).collect()
}

fn export(requests: &[Request]) -> String {
    let mut disk = Disk::default();
    let mut exporter = Inputs::default();
    exporter.begin(&Run::default(), &mut disk).unwrap();
    exporter.records(&requests.iter().map(Request::record).collect::<Vec<_>>(), &mut disk).unwrap();
    exporter.finish(&Report::default(), &mut disk).unwrap();
    disk.text("inputs.json")
}

#[test]
fn conversations_stand_in_the_order_of_the_data_set_and_payloads_in_that_of_turns() {
    let body = r#"{"z":[{"content":"a, \"b\": {c}\\"}],"a":1.0,"o":{},"l":[ ],"stream":true}"#;
    let text = export(&[request(7, 1, "[2]"), request(7, 0, body), request(3, 0, "\"plain\""), request(7, 0, body)]);
    let expected = r#"{
  "data": [
    {
      "session_id": "conversation \"3\"",
      "payloads": [
        "plain"
      ]
    },
    {
      "session_id": "conversation \"7\"",
      "payloads": [
        {
          "z": [
            {
              "content": "a, \"b\": {c}\\"
            }
          ],
          "a": 1.0,
          "o": {},
          "l": [],
          "stream": true
        },
        [
          2
        ]
      ]
    }
  ]
}"#;
    assert_eq!(text, expected);
}

#[test]
fn bodies_that_are_not_json_and_arrivals_that_were_never_sent_are_left_out() {
    let mut multipart = request(1, 0, "--boundary\r\n");
    multipart.body.push(0xff);
    assert_eq!(export(&[multipart, request(2, 0, ""), request(3, 0, "{} {}")]), "{\n  \"data\": []\n}");
    assert_eq!(export(&[]), "{\n  \"data\": []\n}");
}

#[test]
fn what_is_kept_has_a_limit() {
    let mut inputs = Inputs::default();
    for session in 0..10 {
        inputs.keep(&request(session, 0, "[1,2,3]").record(), 30);
        inputs.keep(&request(session, 0, "[1,2,3]").record(), 30);
    }
    assert_eq!((inputs.bodies.len(), inputs.over_limit), (28, 6));
}

#[test]
fn deep_nesting_and_escaped_text_survive_as_they_were_sent() {
    let deep = format!("{}\"\\u00e9 é \\\" \\\\\"{}", "[".repeat(100), "]".repeat(100));
    let text = export(&[request(0, 0, &deep)]);
    let compact: String = text.split_once("\"payloads\": [").unwrap().1.lines().map(str::trim_start).collect();
    assert!(compact.starts_with(&deep), "{compact}");
    assert!(text.lines().all(|line| line.len() < 2 * DEEPEST + 30));
}

#[test]
fn a_session_that_was_sent_again_with_other_bodies_is_a_further_conversation() {
    let found = conversations(&[
        again(1, 0, "[0]"),
        again(2, 0, "[0]"),
        // A later turn of the second comes before that of the first.
        again(2, 1, "[0,\"b\"]"),
        again(1, 1, "[0,\"a\"]"),
        again(3, 0, "[\"marked\"]"),
        again(2, 2, "[0,\"b\",2]"),
        again(1, 2, "[0,\"a\",2]"),
        again(3, 1, "[0,\"b\"]"),
        again(4, 0, "[0]"),
        again(4, 1, "[0,\"b\"]"),
    ]);
    let expected = [
        ("conversation \"5\"", serde_json::json!([[0], [0, "b"], [0, "b", 2]])),
        ("conversation \"5\"#2", serde_json::json!([[0], [0, "a"], [0, "a", 2]])),
        ("conversation \"5\"#3", serde_json::json!([["marked"], [0, "b"]])),
    ];
    assert_eq!(found, expected.map(|(name, payloads)| (name.to_owned(), payloads)));
}

#[test]
fn further_conversations_are_named_in_the_order_in_which_they_were_sent() {
    let found = conversations(&[again(3, 0, "[3]"), again(1, 0, "[1]"), again(2, 0, "[2]")]);
    let bodies: Vec<_> =
        found.iter().map(|(name, payloads)| (name.as_str(), payloads[0][0].as_u64().unwrap())).collect();
    let name = "conversation \"5\"";
    assert_eq!(bodies, [(name, 1), (&*format!("{name}#2"), 2), (&*format!("{name}#3"), 3)]);
}

#[test]
fn further_conversations_share_the_limit_and_none_is_kept_with_a_turn_missing() {
    let mut inputs = Inputs::default();
    let limit = 2 * (CONVERSATION + 2 * TURN) + 100;
    for run in 1..100 {
        inputs.keep(&again(run, 0, &format!("[{run}]")).record(), limit);
        inputs.keep(&again(run, 1, "[1]").record(), limit);
    }
    assert_eq!((inputs.further.len(), inputs.over_limit), (2, 96));
    assert!(inputs.further.values().all(|further| further.turns.len() == 2));
    assert!(inputs.bodies.len() + inputs.overhead <= limit);
}
