//! `inputs.json`: the bodies that were sent, by conversation; a later run can take the file as its data set.
//!
//! Every body is kept once, however often it was sent, and what is kept has a limit: it is held in memory until the run is
//! over, because conversations are written in the order of the data set. Beside its bytes a body takes some 70 bytes, and
//! a conversation as many and its name.

use crate::{chunked::Chunked, names};
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{Exporter, Output},
    documents::{Report, Run},
    exporter, log,
    types::{Error, ErrorKind, Record, Result},
};
use serde::de::IgnoredAny;
use std::{
    collections::{HashMap, hash_map::Entry},
    ops::Range,
};

/// Most bytes of bodies that are kept.
const LIMIT: usize = 256 << 20;

/// Deepest level that is still indented further, so that deep nesting cannot blow up the file.
const DEEPEST: usize = 32;

#[derive(Default)]
struct Inputs {
    /// Names of the conversations, by their place in the data set.
    names: HashMap<u64, Box<str>>,
    /// Where the bodies are, by conversation and turn; nowhere if one was looked at and cannot be shown.
    places: HashMap<(u64, u32), Option<Range<usize>>>,
    /// All bodies, one after another.
    bodies: String,
    not_json: u64,
    over_limit: u64,
}

impl Component for Inputs {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self::default())
    }
}

impl Exporter for Inputs {
    fn begin(&mut self, _: &Run, _: &mut dyn Output) -> Result<()> {
        *self = Self::default();
        Ok(())
    }

    fn records(&mut self, records: &[Record<'_>], _: &mut dyn Output) -> Result<()> {
        for record in records.iter().filter(|record| !record.body.is_empty()) {
            self.keep(record, LIMIT);
        }
        Ok(())
    }

    fn finish(&mut self, _: &Report, out: &mut dyn Output) -> Result<()> {
        for (count, reason) in [(self.not_json, "not JSON"), (self.over_limit, "more than the file may hold")] {
            if count > 0 {
                log::warn("inputs", &format!("{} leaves out {count} request bodies: {reason}", names::INPUTS));
            }
        }
        self.write(out)
    }
}

exporter! { name: "inputs", summary: "Writes the request bodies that were sent.", component: Inputs }

impl Inputs {
    fn keep(&mut self, record: &Record<'_>, limit: usize) {
        let Entry::Vacant(place) = self.places.entry((record.session, record.turn)) else { return };
        let body = record.body.as_slice();
        let text = std::str::from_utf8(body).ok().filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        place.insert(match text {
            None => {
                self.not_json += 1;
                None
            }
            Some(text) if self.bodies.len() + text.len() > limit => {
                self.over_limit += 1;
                None
            }
            Some(text) => {
                let start = self.bodies.len();
                self.bodies.push_str(text);
                self.names.entry(record.session).or_insert_with(|| record.conversation_id.as_str().into());
                Some(start..self.bodies.len())
            }
        });
    }

    fn write(&self, out: &mut dyn Output) -> Result<()> {
        let mut file = Chunked::new(names::INPUTS.to_owned());
        file.buffer().extend_from_slice(b"{\n  \"data\": [");
        let kept = self.places.iter().filter_map(|(key, place)| place.clone().map(|place| (*key, place)));
        let mut kept: Vec<_> = kept.collect();
        kept.sort_unstable_by_key(|(key, _)| *key);
        let mut between_sessions: &[u8] = b"\n";
        for session in kept.chunk_by(|((one, _), _), ((other, _), _)| one == other) {
            let name = &self.names[&session[0].0.0];
            file.buffer().extend_from_slice(between_sessions);
            file.buffer().extend_from_slice(b"    {\n      \"session_id\": ");
            serde_json::to_writer(&mut *file.buffer(), name)
                .map_err(|e| Error::new(ErrorKind::OTHER, format!("session {name:?} cannot be named in JSON: {e}")))?;
            file.buffer().extend_from_slice(b",\n      \"payloads\": [");
            let mut between_payloads: &[u8] = b"\n        ";
            for (_, place) in session {
                file.buffer().extend_from_slice(between_payloads);
                indent(&self.bodies[place.clone()], 4, file.buffer());
                file.flush_full(out)?;
                between_payloads = b",\n        ";
            }
            file.buffer().extend_from_slice(b"\n      ]\n    }");
            between_sessions = b",\n";
        }
        let end: &[u8] = if between_sessions == b"\n" { b"]\n}" } else { b"\n  ]\n}" };
        file.buffer().extend_from_slice(end);
        file.finish(out)
    }
}

/// Appends valid JSON with two blanks of indentation per level, beginning at `depth`. Names keep their order and values
/// their spelling, which a parser and a printer would not give back.
fn indent(json: &str, mut depth: usize, out: &mut Vec<u8>) {
    fn new_line(depth: usize, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth.min(DEEPEST), b' ');
    }
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let mut end = at;
                while bytes.get(end).is_some_and(|&b| b != b'"') {
                    end += if bytes[end] == b'\\' { 2 } else { 1 };
                }
                let end = (end + 1).min(bytes.len());
                out.extend_from_slice(&bytes[at - 1..end]);
                at = end;
            }
            b'{' | b'[' => {
                out.push(byte);
                let inside = at + bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
                if let Some(&close @ (b'}' | b']')) = bytes.get(inside) {
                    out.push(close);
                    at = inside + 1;
                } else {
                    depth += 1;
                    new_line(depth, out);
                }
            }
            b'}' | b']' => {
                depth -= 1;
                new_line(depth, out);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(depth, out);
            }
            b':' => out.extend_from_slice(b": "),
            _ if byte.is_ascii_whitespace() => {}
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Disk, Request, sample_requests};

    fn request(session: u64, turn: u32, body: &str) -> Request {
        let mut request = sample_requests().remove(0);
        (request.session, request.turn, request.body) = (session, turn, body.into());
        request.conversation_id = format!("conversation \"{session}\"");
        request
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
        let text = export(&[
            request(7, 1, "[2]"),
            request(7, 0, body),
            request(3, 0, "\"plain\""),
            request(7, 0, "{\"sent\":\"again\"}"),
        ]);
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
}
