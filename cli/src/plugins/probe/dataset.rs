//! Laws of every data set loader.

use super::{Fault, Law, Maker, Verdict, broken, survives};
use inferometer_abi::{
    api::{DatasetLoader, SessionSink, TextTools},
    documents::{DatasetRequest, Length},
    types::{Error, Result, Turn},
};

pub(super) const LAWS: [Law<dyn DatasetLoader>; 2] = [
    ("gives each session by its number, alike at every call", gives_by_number),
    ("refuses what it cannot open without a panic", refuses),
];

/// Sessions looked at.
const MOST: u64 = 50;

/// A tokenizer whose tokens are words.
struct Words;

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

/// What a session was given.
#[derive(Default, PartialEq)]
struct Session {
    name: Option<String>,
    turns: Vec<String>,
    is_empty_turn: bool,
}

impl SessionSink for Session {
    fn name(&mut self, name: &str) {
        self.name = Some(name.to_owned());
    }

    fn turn(&mut self, turn: &Turn<'_>) {
        self.is_empty_turn |= turn.messages.is_empty() && turn.raw_body.is_empty();
        self.turns.push(format!("{turn:?}"));
    }
}

fn request() -> DatasetRequest {
    DatasetRequest {
        seed: 42,
        entries: 20,
        input_tokens: Length { mean: 20.0, stddev: 5.0 },
        output_tokens: Some(Length { mean: 10.0, stddev: 0.0 }),
        ..DatasetRequest::default()
    }
}

fn session(loader: &dyn DatasetLoader, index: u64) -> std::result::Result<Result<Session>, Fault> {
    let mut session = Session::default();
    let given = survives(loader.session(index, &Words, &mut session), || format!("session {index}"))?;
    Ok(given.map(|()| session))
}

fn gives_by_number(make: Maker<'_, dyn DatasetLoader>) -> Verdict {
    let open = || {
        let mut loader = make()?;
        let opened = survives(loader.open(&request(), &Words), || "being opened".to_owned())?;
        let info = opened.map_err(|error| Fault::Untried(format!("it does not open without a source: {error}")))?;
        Ok((loader, info.sessions))
    };
    let ((one, sessions), (other, again)) = (open()?, open()?);
    if sessions == 0 || sessions != again {
        return Err(broken(format_args!("it holds {sessions} sessions, and then {again}")));
    }
    let looked_at = sessions.min(MOST);
    let mut first = Vec::new();
    for index in 0..looked_at {
        match session(&*one, index)? {
            Ok(session) if session.turns.is_empty() || session.is_empty_turn => {
                return Err(broken(format_args!("session {index} of {sessions} asks nothing")));
            }
            Ok(session) => first.push(session),
            Err(error) => return Err(broken(format_args!("session {index} of {sessions} is not given: {error}"))),
        }
    }
    for index in (0..looked_at).rev() {
        let is_same = session(&*other, index)?.is_ok_and(|session| session == first[index as usize]);
        if !is_same {
            return Err(broken(format_args!("session {index} is another when asked for in another order")));
        }
    }
    if session(&*one, sessions)?.is_ok() {
        return Err(broken(format_args!("it gives session {sessions}, counted from 0, of {sessions}")));
    }
    Ok(format!("{sessions} sessions"))
}

fn refuses(make: Maker<'_, dyn DatasetLoader>) -> Verdict {
    if session(&*make()?, 0)?.is_ok() {
        return Err(broken("it gives a session before it was opened"));
    }
    for source in [None, Some(""), Some("\0"), Some("/no/such/file.jsonl")] {
        for mean in [0.0, -1.0, 1e300, f64::INFINITY, f64::NAN] {
            let length = Length { mean, stddev: mean };
            let source = source.map(str::to_owned);
            let request = DatasetRequest { source, entries: 3, input_tokens: length, ..request() };
            let mut loader = make()?;
            let opened = survives(loader.open(&request, &Words), || format!("{request:?}"))?;
            if opened.is_ok() {
                let _ = session(&*loader, 0)?;
            }
        }
    }
    Ok(String::new())
}
