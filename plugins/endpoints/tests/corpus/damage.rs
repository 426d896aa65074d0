//! Damaged answers: whatever comes, an endpoint reads or refuses it, without a panic and with all spans inside.
//!
//! `PROPTEST_CASES` says how many answers each endpoint is given.

use crate::files::{Corpus, corpora};
use inferometer_plugin_sdk::{
    RVec,
    api::Endpoint,
    types::{Answer, Delta, Event, Exchange, Reply, delta_flags},
};
use proptest::{collection::vec, prelude::*, sample::Index, test_runner::TestRunner};

/// Pieces that mean something to a reader of JSON.
const LOADED: [&str; 22] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "false",
    "-",
    "1e999",
    "18446744073709551616",
    "\\u0022",
    "\\ud83d",
    "\u{0}",
    "\n",
    "é",
    "\"type\":\"error\",",
    "\"error\":{},",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

/// One thing that is done to an answer.
#[derive(Clone, Debug)]
enum Damage {
    Overwrite(Index, u8),
    Insert(Index, usize),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
}

impl Damage {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Self::Overwrite(at, byte)),
            (any::<Index>(), 0..LOADED.len()).prop_map(|(at, piece)| Self::Insert(at, piece)),
            (any::<Index>(), 1..40_usize).prop_map(|(at, len)| Self::Remove(at, len)),
            (any::<Index>(), 1..40_usize).prop_map(|(at, len)| Self::Repeat(at, len)),
            any::<Index>().prop_map(Self::Cut),
        ]
    }

    fn apply(&self, data: &mut Vec<u8>) {
        if data.is_empty() {
            return;
        }
        let piece = |data: &[u8], at: &Index, len: usize| {
            let at = at.index(data.len());
            at..data.len().min(at + len)
        };
        match self {
            Self::Overwrite(at, byte) => {
                let at = at.index(data.len());
                data[at] = *byte;
            }
            Self::Insert(at, piece) => {
                let at = at.index(data.len());
                data.splice(at..at, LOADED[*piece].bytes());
            }
            Self::Remove(at, len) => drop(data.drain(piece(data, at, *len))),
            Self::Repeat(at, len) => {
                let piece = piece(data, at, *len);
                let again = data[piece.clone()].to_vec();
                data.splice(piece.end..piece.end, again);
            }
            Self::Cut(at) => data.truncate(at.index(data.len())),
        }
    }
}

/// Reads `data` as an event under several names and as a body.
fn survives(endpoint: &dyn Endpoint, data: &[u8]) -> Result<(), TestCaseError> {
    for name in ["", "error", "message"] {
        let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
        if endpoint.on_event(&Event::new(data).named(name), &mut delta, &mut scratch).is_ok() {
            lies_within(&delta, data, &scratch)?;
        }
    }
    let answer =
        Answer { status: 200, exchange: 0, flags: 0, content_type: "application/json".into(), body: data.into() };
    let mut reply = Reply::default();
    if endpoint.on_answer(&answer, &Exchange::new("/"), &mut reply).is_ok() {
        reply.deltas.iter().try_for_each(|delta| lies_within(delta, data, &reply.scratch))?;
    }
    Ok(())
}

/// All spans lie inside, and what they name is text.
fn lies_within(delta: &Delta, data: &[u8], scratch: &[u8]) -> Result<(), TestCaseError> {
    let within = if delta.flags & delta_flags::SCRATCH == 0 { data } else { scratch };
    for span in [delta.text, delta.reasoning, delta.tool] {
        let Some(bytes) = span.of(within) else {
            return Err(TestCaseError::fail(format!("{span:?} reaches outside {} bytes", within.len())));
        };
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(TestCaseError::fail(format!("{span:?} is no text")));
        };
        if delta.flags & delta_flags::ESCAPED != 0 {
            prop_assert!(serde_json::from_str::<String>(&format!("\"{text}\"")).is_ok(), "{text} is not escaped");
        }
    }
    prop_assert!(delta.error.of(within).is_some());
    Ok(())
}

/// Runs `PROPTEST_CASES` cases on each endpoint.
fn each_endpoint<S: Strategy>(
    data: impl Fn(&Corpus) -> S,
    test: impl Fn(&dyn Endpoint, S::Value) -> Result<(), TestCaseError>,
) {
    let mut failures = Vec::new();
    for corpus in corpora() {
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
        let endpoint = corpus.make();
        let mut runner = TestRunner::new(config);
        let run = runner.run(&data(&corpus), |value| test(&*endpoint, value));
        if let Err(failure) = run {
            failures.push(format!("{}: {failure}", corpus.endpoint));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn damaged_answers_are_read_or_refused() {
    each_endpoint(
        |corpus| {
            let events = corpus.goldens.iter().flat_map(|golden| golden.events.iter().map(|event| &event.data));
            let bodies = corpus.goldens.iter().filter_map(|golden| golden.body.as_ref());
            let answers: Vec<String> = events.chain(bodies).cloned().collect();
            (prop::sample::select(answers), vec(Damage::any(), 1..4))
        },
        |endpoint, (answer, damages)| {
            let mut data = answer.into_bytes();
            damages.iter().for_each(|damage| damage.apply(&mut data));
            survives(endpoint, &data)
        },
    );
}

#[test]
fn random_bytes_are_read_or_refused() {
    each_endpoint(|_| vec(any::<u8>(), 0..200), |endpoint, data| survives(endpoint, &data));
}
