//! The laws of data set loaders.

use crate::{
    law::{Law, Make, below, broken, holds, on_two_threads, random, survives},
    wire,
};
use inferometer_plugin_sdk::{
    api::{DatasetLoader, SessionSink, TextTools},
    documents::{DatasetInfo, DatasetRequest, Length},
    types::{Error, Message, Result, Turn, TurnTime},
};

/// Sessions looked at of each data set.
const MOST: u64 = 200;
const SURVIVES: &str = "what a loader cannot do it refuses without a panic";
const HOLDS: &str = "a data set holds the sessions it says, and every turn asks something";
const BY_NUMBER: &str = "a session depends on its number and its data set alone";

/// Holds a loader to all laws, as it is and behind the wire; `make` makes it anew, and each of `requests` is one that it
/// is able to open. See the functions of this module.
///
/// # Panics
/// When a law is broken, or when there is no request.
pub fn check(make: impl Fn() -> Box<dyn DatasetLoader>, requests: &[DatasetRequest]) {
    holds!("there is something to open", !requests.is_empty(), "give a request that the loader is able to open");
    let wired = || wire::dataset(make());
    for make in [&make as Make<'_, _>, &wired] {
        let of_requests = requests.iter().flat_map(|request| laws_of(make, request));
        of_requests.chain(laws(make)).for_each(Law::enforce);
    }
    for request in requests {
        let (here, there) = (all_of(&make, request), all_of(&wired, request));
        holds!("a data set is the same here and behind the wire", here == there, "{request:?}");
    }
}

/// The laws that any loader can be held to.
pub fn laws<'a>(make: Make<'a, dyn DatasetLoader>) -> Vec<Law<'a>> {
    vec![Law::new(SURVIVES, move || refuses_what_it_cannot_do(make))]
}

/// The laws of a loader that is able to open `request`.
pub fn laws_of<'a>(make: Make<'a, dyn DatasetLoader>, request: &'a DatasetRequest) -> Vec<Law<'a>> {
    vec![
        Law::new(HOLDS, move || holds_what_it_says(make, request)),
        Law::new(BY_NUMBER, move || gives_sessions_by_number(make, request)),
    ]
}

/// A tokenizer whose tokens are words; it knows no text beyond 100,000 of them.
pub struct Words;

impl TextTools for Words {
    fn count(&self, text: &str) -> u64 {
        text.split_whitespace().count() as u64
    }

    fn text(&self, seed: u64, tokens: u64) -> Result<String> {
        if tokens > 100_000 {
            return Err(Error::config("no text is that long"));
        }
        Ok((0..tokens).map(|n| format!("w{:x}", seed.rotate_left(n as u32))).collect::<Vec<_>>().join(" "))
    }
}

/// A session as a sink saw it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Session {
    /// Its name; none if none was given.
    pub name: Option<String>,
    /// Its turns.
    pub turns: Vec<SessionTurn>,
}

/// A turn of a [`Session`].
#[derive(Clone, Debug, PartialEq)]
pub struct SessionTurn {
    /// Role, parts and extras of each message.
    pub messages: Vec<(String, Vec<SessionPart>, String)>,
    /// The model to ask, or empty.
    pub model: String,
    /// Extras of the body, or empty.
    pub extra_json: String,
    /// A whole body, or empty.
    pub raw_body: Vec<u8>,
    /// Most output tokens to ask for, or 0.
    pub max_tokens: u32,
    /// When it is to be sent.
    pub time: TurnTime,
}

/// Kind of a part; name, media type and data.
pub type SessionPart = (u32, [String; 3]);

impl SessionSink for Session {
    fn name(&mut self, name: &str) {
        self.name = Some(name.to_owned());
    }

    fn turn(&mut self, turn: &Turn<'_>) {
        let message = |message: &Message<'_>| {
            let part = |p: &inferometer_plugin_sdk::types::Part<'_>| {
                (p.kind.0, [p.name.to_string(), p.mime.to_string(), p.data.to_string()])
            };
            (message.role.to_string(), message.parts.iter().map(part).collect(), message.extra_json.to_string())
        };
        self.turns.push(SessionTurn {
            messages: turn.messages.iter().map(message).collect(),
            model: turn.model.to_string(),
            extra_json: turn.extra_json.to_string(),
            raw_body: turn.raw_body.to_vec(),
            max_tokens: turn.max_tokens,
            time: turn.time,
        });
    }
}

/// Opens `request` in `loader`.
fn open(loader: &mut dyn DatasetLoader, request: &DatasetRequest) -> Result<DatasetInfo> {
    survives(SURVIVES, || format!("{request:?}"), || loader.open(request, &Words))
}

/// Session `index` of a loader that is open.
fn session(loader: &dyn DatasetLoader, index: u64) -> Result<Session> {
    let mut session = Session::default();
    survives(SURVIVES, || format!("session {index}"), || loader.session(index, &Words, &mut session))?;
    Ok(session)
}

fn opened(make: Make<'_, dyn DatasetLoader>, request: &DatasetRequest) -> (Box<dyn DatasetLoader>, u64) {
    let mut loader = make();
    match open(&mut *loader, request) {
        Ok(info) => (loader, info.sessions),
        Err(error) => broken("a loader opens what it is said to open", format_args!("{request:?}: {error}")),
    }
}

fn all_of(make: Make<'_, dyn DatasetLoader>, request: &DatasetRequest) -> Vec<Result<Session>> {
    let (loader, sessions) = opened(make, request);
    (0..sessions.min(MOST)).map(|index| session(&*loader, index)).collect()
}

/// There are as many sessions as it says, and no more; each has turns; every turn has a message or a whole body; extras are
/// JSON objects.
fn holds_what_it_says(make: Make<'_, dyn DatasetLoader>, request: &DatasetRequest) {
    let law = HOLDS;
    let (loader, sessions) = opened(make, request);
    holds!(law, sessions > 0, "no sessions in {request:?}");
    for index in (0..sessions.min(MOST)).chain([sessions - 1]) {
        let found = session(&*loader, index);
        let Ok(Session { turns, .. }) = &found else { broken(law, format_args!("session {index}: {found:?}")) };
        holds!(law, !turns.is_empty(), "session {index} of {sessions} has no turns");
        for (n, turn) in turns.iter().enumerate() {
            holds!(law, !turn.messages.is_empty() || !turn.raw_body.is_empty(), "session {index}, turn {n}: {turn:?}");
            let extras = turn.messages.iter().map(|(_, _, extra)| extra).chain([&turn.extra_json]);
            for extra in extras.filter(|extra| !extra.is_empty()) {
                let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(extra);
                holds!(law, object.is_ok(), "session {index}, turn {n}: extras {extra}");
            }
        }
    }
    for index in [sessions, u64::MAX] {
        let beyond = session(&*loader, index);
        holds!(law, beyond.is_err(), "session {index} of {sessions} is there: {beyond:?}");
    }
}

/// A session is a function of its number and of what was opened: in any order, again, by another loader, on another
/// thread.
fn gives_sessions_by_number(make: Make<'_, dyn DatasetLoader>, request: &DatasetRequest) {
    let law = BY_NUMBER;
    let in_order = all_of(make, request);
    let (loader, _) = opened(make, request);
    let mut random = random();
    let check = |index: usize, how: &str| {
        let again = session(&*loader, index as u64);
        holds!(law, again == in_order[index], "session {index} {how}\n  {:?}\n  {again:?}", in_order[index]);
    };
    (0..in_order.len()).rev().for_each(|index| check(index, "of another loader, asked backwards"));
    (0..in_order.len()).for_each(|_| check(below(&mut random, in_order.len()), "asked again"));
    on_two_threads(|| (0..in_order.len()).for_each(|index| check(index, "asked by several threads")));
}

/// Requests out of the ordinary, sources that are not there and calls before opening are refused, without a panic.
fn refuses_what_it_cannot_do(make: Make<'_, dyn DatasetLoader>) {
    let unopened = session(&*make(), 0);
    holds!(SURVIVES, unopened.is_err(), "before it was opened, session 0 was {unopened:?}");
    let sources = [None, Some(""), Some("/"), Some("\0"), Some("/no/such/file.jsonl")];
    let lengths = [0.0, -1.0, 0.5, 20.0, 1e9, 1e300, f64::INFINITY, f64::NAN];
    let length = |mean| lengths.map(|stddev| Length { mean, stddev });
    for source in sources {
        for input_tokens in lengths.into_iter().flat_map(length) {
            for (entries, output_tokens) in [(0, None), (3, Some(input_tokens)), (u64::MAX, None)] {
                let source = source.map(str::to_owned);
                let request = DatasetRequest {
                    source,
                    seed: u64::MAX,
                    entries,
                    input_tokens,
                    output_tokens,
                    ..DatasetRequest::default()
                };
                let mut loader = make();
                if let Ok(info) = open(&mut *loader, &request) {
                    let _ = session(&*loader, 0);
                    let _ = session(&*loader, info.sessions.saturating_sub(1));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    /// Three sessions of one message, with a fault.
    struct Fake {
        fault: &'static str,
        asked: AtomicU64,
        is_open: bool,
    }

    impl DatasetLoader for Fake {
        fn open(&mut self, request: &DatasetRequest, _: &dyn TextTools) -> Result<DatasetInfo> {
            assert!(self.fault != "panics" || request.entries < u64::MAX);
            self.is_open = true;
            Ok(DatasetInfo { sessions: 3, ..DatasetInfo::default() })
        }

        fn session(&self, index: u64, _: &dyn TextTools, sink: &mut dyn SessionSink) -> Result<()> {
            if !self.is_open || (index >= 3 && self.fault != "endless") {
                return Err(Error::config("no such session"));
            }
            let mut turn = Turn::new(&[]);
            turn.raw_body = if self.fault == "says nothing" { b"".as_slice() } else { b"{}" }.into();
            turn.max_tokens = if self.fault == "remembers" { self.asked.fetch_add(1, Relaxed) as u32 } else { 7 };
            sink.turn(&turn);
            Ok(())
        }
    }

    fn with(fault: &'static str) {
        check(
            || Box::new(Fake { fault, asked: AtomicU64::new(0), is_open: false }),
            &[DatasetRequest { entries: 3, ..DatasetRequest::default() }],
        );
    }

    #[test]
    fn a_loader_without_a_fault_is_lawful() {
        with("");
    }

    #[test]
    #[should_panic(expected = "every turn asks something")]
    fn a_turn_that_asks_nothing_is_found() {
        with("says nothing");
    }

    #[test]
    #[should_panic(expected = "holds the sessions it says")]
    fn a_session_beyond_the_end_is_found() {
        with("endless");
    }

    #[test]
    #[should_panic(expected = "depends on its number")]
    fn a_loader_that_remembers_is_found() {
        with("remembers");
    }

    #[test]
    #[should_panic(expected = "refuses without a panic")]
    fn a_panic_is_found() {
        with("panics");
    }
}
