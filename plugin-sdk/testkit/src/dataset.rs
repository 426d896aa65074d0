//! The laws of data set loaders.

use crate::{
    law::{Law, Make, below, broken, holds, on_two_threads, random, survives},
    wire,
};
use inferometer_plugin_sdk::{
    api::{DatasetLoader, OutlineSink, SessionSink, TextTools},
    documents::{DatasetInfo, DatasetRequest, Length},
    types::{BEFORE_FIRST, Branch, Error, ErrorKind, Message, NO_COUNT, NO_TURN, Outline, Result, Turn, TurnTime},
};

/// Sessions looked at of each data set, and as many branches.
const MOST: u64 = 200;
const SURVIVES: &str = "what a loader cannot do it refuses without a panic";
const HOLDS: &str = "a data set holds the sessions it says, and every turn asks something";
const BY_NUMBER: &str = "a session depends on its number and its data set alone";
const OUTLINES: &str = "an outline says of a session's turns what the session says";
const BRANCHES: &str = "a session begins branches of its data set, at turns that it has";
const TIMES: &str = "a data set that says it has times has one at the first turn of every session";

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
        Law::new(OUTLINES, move || outlines_its_sessions(make, request)),
        Law::new(BRANCHES, move || begins_its_branches(make, request)),
        Law::new(TIMES, move || has_the_times_it_says(make, request)),
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
    /// The sessions that it begins.
    pub branches: Vec<Branch>,
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
    /// Its flags.
    pub flags: u32,
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
            flags: turn.flags,
            time: turn.time,
        });
    }

    fn branch(&mut self, branch: &Branch) {
        self.branches.push(*branch);
    }
}

/// An outline as a sink saw it.
#[derive(Debug, Default, PartialEq)]
struct Outlined {
    name: Option<String>,
    turns: Vec<OutlinedTurn>,
}

#[derive(Debug, PartialEq)]
struct OutlinedTurn {
    time: TurnTime,
    input_tokens: u32,
    output_tokens: u32,
    block_tokens: u32,
    blocks: Vec<u64>,
}

impl OutlineSink for Outlined {
    fn name(&mut self, name: &str) {
        self.name = Some(name.to_owned());
    }

    fn turn(&mut self, outline: &Outline<'_>) {
        let Outline { time, input_tokens, output_tokens, block_tokens, blocks, .. } = *outline;
        self.turns.push(OutlinedTurn { time, input_tokens, output_tokens, block_tokens, blocks: blocks.to_vec() });
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

/// The outline of session `index` of a loader that is open; none if the loader gives no outlines.
fn outline(loader: &dyn DatasetLoader, index: u64) -> Option<Result<Outlined>> {
    let mut outlined = Outlined::default();
    match survives(SURVIVES, || format!("outline {index}"), || loader.outline(index, &mut outlined)) {
        Err(error) if error.kind == ErrorKind::UNSUPPORTED => None,
        result => Some(result.map(|()| outlined)),
    }
}

fn opened(make: Make<'_, dyn DatasetLoader>, request: &DatasetRequest) -> (Box<dyn DatasetLoader>, DatasetInfo) {
    let mut loader = make();
    match open(&mut *loader, request) {
        Ok(info) => (loader, info),
        Err(error) => broken("a loader opens what it is said to open", format_args!("{request:?}: {error}")),
    }
}

/// Sessions and branches.
fn count(info: &DatasetInfo) -> u64 {
    info.sessions.saturating_add(info.branches)
}

/// The numbers of the sessions that are looked at: the first and the last of those that a schedule begins, and the first of
/// the branches.
fn numbers(info: &DatasetInfo) -> Vec<u64> {
    let sessions = (0..info.sessions.min(MOST)).chain(info.sessions.checked_sub(1).filter(|last| *last >= MOST));
    sessions.chain(info.sessions..info.sessions.saturating_add(info.branches.min(MOST))).collect()
}

/// All that is looked at, each with its outline.
fn all_of(
    make: Make<'_, dyn DatasetLoader>,
    request: &DatasetRequest,
) -> Vec<(Result<Session>, Option<Result<Outlined>>)> {
    let (loader, info) = opened(make, request);
    numbers(&info).into_iter().map(|index| (session(&*loader, index), outline(&*loader, index))).collect()
}

/// Calls `look` with each session that is looked at, its number and its loader.
fn for_each(
    law: &str,
    make: Make<'_, dyn DatasetLoader>,
    request: &DatasetRequest,
    look: impl Fn(u64, &Session, &dyn DatasetLoader, &DatasetInfo),
) {
    let (loader, info) = opened(make, request);
    for index in numbers(&info) {
        match session(&*loader, index) {
            Ok(session) => look(index, &session, &*loader, &info),
            Err(error) => broken(law, format_args!("session {index}: {error}")),
        }
    }
}

/// There are as many sessions as it says, and no more; each has turns; every turn has a message or a whole body; extras are
/// JSON objects.
fn holds_what_it_says(make: Make<'_, dyn DatasetLoader>, request: &DatasetRequest) {
    let law = HOLDS;
    for_each(law, make, request, |index, Session { turns, .. }, _, _| {
        holds!(law, !turns.is_empty(), "session {index} has no turns");
        for (n, turn) in turns.iter().enumerate() {
            holds!(law, !turn.messages.is_empty() || !turn.raw_body.is_empty(), "session {index}, turn {n}: {turn:?}");
            let extras = turn.messages.iter().map(|(_, _, extra)| extra).chain([&turn.extra_json]);
            for extra in extras.filter(|extra| !extra.is_empty()) {
                let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(extra);
                holds!(law, object.is_ok(), "session {index}, turn {n}: extras {extra}");
            }
        }
    });
    let (loader, info) = opened(make, request);
    holds!(law, info.sessions > 0, "no sessions in {request:?}");
    let count = count(&info);
    for index in [count, u64::MAX] {
        let beyond = session(&*loader, index);
        holds!(law, beyond.is_err(), "session {index} of {count} is there: {beyond:?}");
        let beyond = outline(&*loader, index);
        holds!(law, !matches!(beyond, Some(Ok(_))), "session {index} of {count} has an outline: {beyond:?}");
    }
}

/// A session is a function of its number and of what was opened: in any order, again, by another loader, on another
/// thread.
fn gives_sessions_by_number(make: Make<'_, dyn DatasetLoader>, request: &DatasetRequest) {
    let law = BY_NUMBER;
    let in_order = all_of(make, request);
    let (loader, info) = opened(make, request);
    let numbers = numbers(&info);
    let same = numbers.len() == in_order.len();
    holds!(law, same, "{} sessions, and opened again {}", in_order.len(), numbers.len());
    let mut random = random();
    let check = |place: usize, how: &str| {
        let (index, first) = (numbers[place], &in_order[place]);
        let again = (session(&*loader, index), outline(&*loader, index));
        holds!(law, again == *first, "session {index} {how}\n  {first:?}\n  {again:?}");
    };
    (0..in_order.len()).rev().for_each(|place| check(place, "of another loader, asked backwards"));
    (0..in_order.len()).for_each(|_| check(below(&mut random, in_order.len()), "asked again"));
    on_two_threads(|| (0..in_order.len()).for_each(|place| check(place, "asked by several threads")));
}

/// An outline, where there are any, has the session's name, as many turns, their times and, where both say one, their limits.
fn outlines_its_sessions(make: Make<'_, dyn DatasetLoader>, request: &DatasetRequest) {
    let law = OUTLINES;
    for_each(law, make, request, |index, session, loader, _| {
        let outlined = match outline(loader, index) {
            None => return,
            Some(Ok(outlined)) => outlined,
            Some(Err(error)) => broken(law, format_args!("session {index} is there and its outline is not: {error}")),
        };
        let (name, own) = (&outlined.name, &session.name);
        holds!(law, name == own, "session {index}: its outline is called {name:?}, and it {own:?}");
        let (turns, own) = (outlined.turns.len(), session.turns.len());
        holds!(law, turns == own, "session {index}: {turns} turns in its outline, and {own} in it");
        for (n, (outlined, turn)) in outlined.turns.iter().zip(&session.turns).enumerate() {
            let (time, own) = (outlined.time, turn.time);
            holds!(law, time == own, "session {index}, turn {n}: {time:?} in its outline, and {own:?} in it");
            let (limit, own) = (outlined.output_tokens, turn.max_tokens);
            let is_same = limit == own || limit == NO_COUNT || own == 0;
            holds!(law, is_same, "session {index}, turn {n}: {limit} output tokens in its outline, and {own} in it");
        }
    });
}

/// What a session begins is a branch, after a turn that there is, and what waits for it is a later turn.
fn begins_its_branches(make: Make<'_, dyn DatasetLoader>, request: &DatasetRequest) {
    let law = BRANCHES;
    for_each(law, make, request, |index, session, _, info| {
        let turns = session.turns.len() as u64;
        for branch in &session.branches {
            let Branch { session: number, after_turn, join_turn, .. } = *branch;
            let (from, to) = (info.sessions, count(info));
            let is_one = (from..to).contains(&number);
            holds!(law, is_one, "session {index} begins session {number}, and branches are {from} up to {to}");
            let is_after = after_turn == BEFORE_FIRST || u64::from(after_turn) < turns;
            holds!(law, is_after, "session {index} of {turns} turns: {branch:?}");
            let is_later = after_turn == BEFORE_FIRST || join_turn > after_turn;
            let is_joined = join_turn == NO_TURN || (is_later && u64::from(join_turn) < turns);
            holds!(law, is_joined, "session {index} of {turns} turns: {branch:?}");
        }
    });
}

/// Whoever says that its sessions have times gives one to the first turn of each that a schedule begins.
fn has_the_times_it_says(make: Make<'_, dyn DatasetLoader>, request: &DatasetRequest) {
    for_each(TIMES, make, request, |index, session, _, info| {
        let is_timed = session.turns.first().is_some_and(|turn| turn.time.timestamp_ns != TurnTime::NONE.timestamp_ns);
        holds!(TIMES, !info.has_timestamps || is_timed || index >= info.sessions, "session {index} has none");
    });
}

/// Requests out of the ordinary, sources that are not there and calls before opening are refused, without a panic.
fn refuses_what_it_cannot_do(make: Make<'_, dyn DatasetLoader>) {
    let unopened = session(&*make(), 0);
    holds!(SURVIVES, unopened.is_err(), "before it was opened, session 0 was {unopened:?}");
    let unopened = outline(&*make(), 0);
    holds!(SURVIVES, !matches!(unopened, Some(Ok(_))), "before it was opened, session 0 had the outline {unopened:?}");
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
                    for index in [0, count(&info).saturating_sub(1)] {
                        let _ = session(&*loader, index);
                        let _ = outline(&*loader, index);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    /// Three sessions of two turns, each of which begins a fourth one, with a fault.
    struct Fake {
        fault: &'static str,
        asked: AtomicU64,
        is_open: bool,
    }

    impl Fake {
        /// Refuses what is not there.
        fn find(&self, index: u64, with: &str) -> Result<()> {
            if !self.is_open || (index >= 4 && self.fault != with) {
                return Err(Error::config("no such session"));
            }
            Ok(())
        }

        /// The time of a turn: every session's first has one.
        fn time(&self, index: u64, turn: u64) -> TurnTime {
            match turn {
                0 if self.fault == "has not all times" && index == 2 => TurnTime::NONE,
                0 => TurnTime { timestamp_ns: index, delay_ns: 0 },
                _ => TurnTime { delay_ns: 9, ..TurnTime::NONE },
            }
        }
    }

    impl DatasetLoader for Fake {
        fn open(&mut self, request: &DatasetRequest, _: &dyn TextTools) -> Result<DatasetInfo> {
            assert!(self.fault != "panics" || request.entries < u64::MAX);
            self.is_open = true;
            Ok(DatasetInfo { sessions: 3, branches: 1, has_timestamps: true, ..DatasetInfo::default() })
        }

        fn session(&self, index: u64, _: &dyn TextTools, sink: &mut dyn SessionSink) -> Result<()> {
            self.find(index, "endless")?;
            sink.name(&format!("number {index}"));
            for n in 0..2 {
                let mut turn = Turn::new(&[]);
                turn.raw_body = if self.fault == "says nothing" { b"".as_slice() } else { b"{}" }.into();
                turn.max_tokens = if self.fault == "remembers" { self.asked.fetch_add(1, Relaxed) as u32 } else { 7 };
                turn.time = self.time(index, n);
                sink.turn(&turn);
            }
            let branch = Branch { join_turn: 1, ..Branch::new(3, 0) };
            match self.fault {
                _ if index == 3 => {}
                "begins a session of the schedule" => sink.branch(&Branch { session: 2, ..branch }),
                "begins what is not there" => sink.branch(&Branch { session: 4, ..branch }),
                "begins after its end" => sink.branch(&Branch { after_turn: 2, join_turn: NO_TURN, ..branch }),
                "waits before it begins" => sink.branch(&Branch { join_turn: 0, ..branch }),
                _ => sink.branch(&branch),
            }
            Ok(())
        }

        fn outline(&self, index: u64, sink: &mut dyn OutlineSink) -> Result<()> {
            self.find(index, "outlines what is not there")?;
            if self.fault == "has not all outlines" && index == 1 {
                return Err(Error::config("no outline"));
            }
            sink.name(&format!("number {}", if self.fault == "outlines another name" { 0 } else { index }));
            for n in 0..if self.fault == "outlines fewer turns" { 1 } else { 2 } {
                let time = if self.fault == "outlines another time" { TurnTime::NONE } else { self.time(index, n) };
                let output_tokens = match self.fault {
                    "outlines no limit" => NO_COUNT,
                    "outlines another limit" => 8,
                    "remembers in outlines" => self.asked.fetch_add(1, Relaxed) as u32,
                    _ => 7,
                };
                sink.turn(&Outline { time, output_tokens, ..Outline::EMPTY });
            }
            Ok(())
        }
    }

    fn with(fault: &'static str) {
        check(
            || Box::new(Fake { fault, asked: AtomicU64::new(0), is_open: false }),
            &[DatasetRequest { entries: 3, ..DatasetRequest::default() }],
        );
    }

    /// What breaks with this fault.
    fn broken_by(fault: &'static str) -> String {
        let panic = std::panic::catch_unwind(|| with(fault)).expect_err(fault);
        panic.downcast_ref::<String>().expect("a law is told in words").clone()
    }

    #[test]
    fn a_loader_without_a_fault_is_lawful() {
        with("");
        with("outlines no limit");
    }

    #[test]
    fn each_law_that_is_broken_is_found() {
        for (law, faults) in [
            (SURVIVES, &["panics"][..]),
            (HOLDS, &["says nothing", "endless", "outlines what is not there"]),
            (BY_NUMBER, &["remembers", "remembers in outlines"]),
            (
                OUTLINES,
                &[
                    "has not all outlines",
                    "outlines another name",
                    "outlines fewer turns",
                    "outlines another time",
                    "outlines another limit",
                ],
            ),
            (
                BRANCHES,
                &[
                    "begins a session of the schedule",
                    "begins what is not there",
                    "begins after its end",
                    "waits before it begins",
                ],
            ),
            (TIMES, &["has not all times"]),
        ] {
            for fault in faults {
                let told = broken_by(fault);
                assert!(told.contains(law), "with a loader that {fault}: {told}");
            }
        }
    }
}
