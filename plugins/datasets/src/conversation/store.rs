//! The sessions of a file in memory: all strings in one piece, each kept once; everything else as places in it.
//!
//! A turn of one message costs some 250 bytes beyond its own text, and no allocation of its own.

use inferometer_plugin_sdk::{
    api::{OutlineSink, SessionSink, TextTools},
    types::{Branch, Message, NO_COUNT, Outline, Part, PartKind, Result, Turn, TurnTime},
};
use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    hash::Hasher,
    ops::Range,
};

/// One piece of a message.
#[derive(Debug, PartialEq)]
pub(crate) struct NewPart {
    pub(crate) kind: PartKind,
    pub(crate) name: String,
    pub(crate) mime: String,
    pub(crate) data: String,
}

impl NewPart {
    pub(crate) fn text(text: String) -> Self {
        Self { kind: PartKind::TEXT, name: String::new(), mime: String::new(), data: text }
    }
}

/// A message as its record gives it; what was not given is empty.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct NewMessage {
    pub(crate) role: String,
    pub(crate) parts: Vec<NewPart>,
    pub(crate) extra_json: String,
}

/// The most tokens that a turn asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit<T> {
    /// So many; 0: none is given.
    Tokens(u32),
    /// As many as this text has, which are counted when the turn is asked for.
    LengthOf(T),
}

/// A turn as its record gives it; what was not given is empty.
pub(crate) struct NewTurn<'a> {
    pub(crate) messages: Vec<NewMessage>,
    pub(crate) model: String,
    pub(crate) extra_json: String,
    pub(crate) raw_body: &'a str,
    pub(crate) limit: Limit<String>,
    pub(crate) flags: u32,
    pub(crate) time: TurnTime,
}

impl NewTurn<'_> {
    pub(crate) fn new(messages: Vec<NewMessage>) -> Self {
        Self {
            messages,
            model: String::new(),
            extra_json: String::new(),
            raw_body: "",
            limit: Limit::Tokens(0),
            flags: 0,
            time: TurnTime::NONE,
        }
    }
}

/// The sessions of a file.
#[derive(Default)]
pub(crate) struct Store {
    strings: Strings,
    parts: Vec<StoredPart>,
    messages: Vec<StoredMessage>,
    /// In order of sessions, and within a session as they were added.
    turns: Vec<StoredTurn>,
    /// In order of sessions.
    branches: Vec<(usize, Branch)>,
    sessions: Vec<StoredSession>,
}

/// A turn of one message, as it is stored.
pub(crate) struct StoredRow<'a> {
    pub(crate) role: &'a str,
    pub(crate) parts: Vec<Part<'a>>,
    pub(crate) model: &'a str,
    pub(crate) extra_json: &'a str,
    pub(crate) max_tokens: u32,
}

/// A place in [`Strings`]; nothing by default.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    start: usize,
    end: usize,
}

#[derive(Default)]
struct Strings(String);

struct StoredPart {
    kind: PartKind,
    name: Place,
    mime: Place,
    data: Place,
}

struct StoredMessage {
    role: Place,
    parts: Range<usize>,
    extra_json: Place,
}

struct StoredTurn {
    session: usize,
    messages: Range<usize>,
    model: Place,
    extra_json: Place,
    raw_body: Place,
    limit: Limit<Place>,
    flags: u32,
    time: TurnTime,
}

#[derive(Clone, Default)]
struct StoredSession {
    name: Place,
    turns: Range<usize>,
    branches: Range<usize>,
}

impl Store {
    /// Number of sessions.
    pub(crate) fn sessions(&self) -> u64 {
        self.sessions.len() as u64
    }

    /// Whether every session says when its first turn is to be sent.
    pub(crate) fn has_timestamps(&self) -> bool {
        let first = |session: &StoredSession| self.turns[session.turns.clone()].first();
        !self.sessions.is_empty()
            && self
                .sessions
                .iter()
                .all(|session| first(session).is_some_and(|turn| turn.time.timestamp_ns != TurnTime::NONE.timestamp_ns))
    }

    /// Gives session `index` to `sink`.
    ///
    /// # Errors
    /// When there is none of that number.
    pub(crate) fn give(&self, index: u64, text: &dyn TextTools, sink: &mut dyn SessionSink) -> Result<()> {
        let session = self.session(index)?;
        sink.name(self.strings.get(session.name));
        for turn in &self.turns[session.turns.clone()] {
            self.with_turn(turn, text, |turn| sink.turn(turn));
        }
        for (_, branch) in &self.branches[session.branches.clone()] {
            sink.branch(branch);
        }
        Ok(())
    }

    /// Gives what is known of session `index` without making it.
    ///
    /// # Errors
    /// When there is none of that number.
    pub(crate) fn outline(&self, index: u64, sink: &mut dyn OutlineSink) -> Result<()> {
        let session = self.session(index)?;
        sink.name(self.strings.get(session.name));
        for turn in &self.turns[session.turns.clone()] {
            let output_tokens = match turn.limit {
                Limit::Tokens(tokens) if tokens > 0 => tokens,
                _ => NO_COUNT,
            };
            sink.turn(&Outline { time: turn.time, output_tokens, ..Outline::EMPTY });
        }
        Ok(())
    }

    /// The first turn of session `index`, which must exist and be one message.
    pub(crate) fn row(&self, index: u64) -> StoredRow<'_> {
        let turn = &self.turns[self.sessions[index as usize].turns.start];
        let message = &self.messages[turn.messages.start];
        StoredRow {
            role: self.strings.get(message.role),
            parts: self.parts[message.parts.clone()].iter().map(|part| self.part(part)).collect(),
            model: self.strings.get(turn.model),
            extra_json: self.strings.get(turn.extra_json),
            max_tokens: if let Limit::Tokens(tokens) = turn.limit { tokens } else { 0 },
        }
    }

    fn session(&self, index: u64) -> Result<&StoredSession> {
        let session = usize::try_from(index).ok().and_then(|index| self.sessions.get(index));
        session.ok_or_else(|| crate::no_session(index))
    }

    fn part(&self, part: &StoredPart) -> Part<'_> {
        let text = |place| self.strings.get(place).into();
        Part { kind: part.kind, flags: 0, name: text(part.name), mime: text(part.mime), data: text(part.data) }
    }

    fn with_turn(&self, turn: &StoredTurn, tools: &dyn TextTools, look: impl FnOnce(&Turn<'_>)) {
        let text = |place| self.strings.get(place).into();
        let stored = &self.messages[turn.messages.clone()];
        // The parts of a turn's messages lie one after another, so that all of them are one slice.
        let first = stored.first().map_or(0, |message| message.parts.start);
        let end = stored.last().map_or(0, |message| message.parts.end);
        let parts: Vec<Part<'_>> = self.parts[first..end].iter().map(|part| self.part(part)).collect();
        let message = |message: &StoredMessage| Message {
            role: text(message.role),
            parts: parts[message.parts.start - first..message.parts.end - first].into(),
            extra_json: text(message.extra_json),
        };
        let messages: Vec<Message<'_>> = stored.iter().map(message).collect();
        look(&Turn {
            model: text(turn.model),
            extra_json: text(turn.extra_json),
            raw_body: self.strings.get(turn.raw_body).as_bytes().into(),
            max_tokens: match turn.limit {
                Limit::Tokens(tokens) => tokens,
                // An empty reply took its end-of-text token; 0 would ask for no limit.
                Limit::LengthOf(reply) => {
                    u32::try_from(tools.count(self.strings.get(reply))).unwrap_or(u32::MAX).max(1)
                }
            },
            flags: turn.flags,
            time: turn.time,
            ..Turn::new(&messages)
        });
    }
}

impl Strings {
    fn get(&self, place: Place) -> &str {
        &self.0[place.start..place.end]
    }

    fn add(&mut self, text: &str) -> Place {
        let start = self.0.len();
        self.0.push_str(text);
        Place { start, end: self.0.len() }
    }
}

/// A [`Store`] being filled.
#[derive(Default)]
pub(crate) struct Builder {
    store: Store,
    /// Where the string of a hash lies, so that roles, tools and replies that come again take no further room.
    known: HashMap<u64, Place>,
}

impl Builder {
    /// Begins a session and gives its number.
    pub(crate) fn session(&mut self, name: &str) -> usize {
        let name = self.store.strings.add(name);
        self.store.sessions.push(StoredSession { name, ..StoredSession::default() });
        self.store.sessions.len() - 1
    }

    /// Adds a turn to a session.
    pub(crate) fn push(&mut self, session: usize, turn: &NewTurn<'_>) {
        let first = self.store.messages.len();
        for message in &turn.messages {
            let first = self.store.parts.len();
            for part in &message.parts {
                let part = StoredPart {
                    kind: part.kind,
                    name: self.string(&part.name),
                    mime: self.string(&part.mime),
                    data: self.string(&part.data),
                };
                self.store.parts.push(part);
            }
            let (role, extra_json) = (self.string(&message.role), self.string(&message.extra_json));
            self.store.messages.push(StoredMessage { role, parts: first..self.store.parts.len(), extra_json });
        }
        let turn = StoredTurn {
            session,
            messages: first..self.store.messages.len(),
            model: self.string(&turn.model),
            extra_json: self.string(&turn.extra_json),
            raw_body: self.string(turn.raw_body),
            limit: match &turn.limit {
                Limit::Tokens(tokens) => Limit::Tokens(*tokens),
                Limit::LengthOf(reply) => Limit::LengthOf(self.string(reply)),
            },
            flags: turn.flags,
            time: turn.time,
        };
        self.store.turns.push(turn);
    }

    /// Lets session `session` begin another one.
    pub(crate) fn branch(&mut self, session: usize, branch: Branch) {
        self.store.branches.push((session, branch));
    }

    fn string(&mut self, text: &str) -> Place {
        if text.is_empty() {
            return Place::default();
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(text.as_bytes());
        let hash = hasher.finish();
        if let Some(place) = self.known.get(&hash)
            && self.store.strings.get(*place) == text
        {
            return *place;
        }
        let place = self.store.strings.add(text);
        self.known.insert(hash, place);
        place
    }

    /// Puts the turns of each session together.
    pub(crate) fn finish(mut self) -> Store {
        let Store { strings, parts, messages, turns, branches, sessions } = &mut self.store;
        turns.sort_by_key(|turn| turn.session);
        branches.sort_by_key(|(session, _)| *session);
        for (n, turn) in turns.iter().enumerate() {
            extend(&mut sessions[turn.session].turns, n);
        }
        for (n, (session, _)) in branches.iter().enumerate() {
            extend(&mut sessions[*session].branches, n);
        }
        strings.0.shrink_to_fit();
        parts.shrink_to_fit();
        messages.shrink_to_fit();
        turns.shrink_to_fit();
        sessions.shrink_to_fit();
        self.store
    }

    /// As [`Builder::finish`], with session `n` renumbered to `numbers[n]`, which is a permutation; branches name sessions
    /// by their new numbers already.
    pub(crate) fn finish_as(mut self, numbers: &[usize]) -> Store {
        let Store { turns, branches, sessions, .. } = &mut self.store;
        turns.iter_mut().for_each(|turn| turn.session = numbers[turn.session]);
        branches.iter_mut().for_each(|(session, _)| *session = numbers[*session]);
        let mut renumbered = vec![StoredSession::default(); sessions.len()];
        for (session, number) in sessions.drain(..).zip(numbers) {
            renumbered[*number] = session;
        }
        *sessions = renumbered;
        self.finish()
    }
}

/// Adds item `n` to a range of neighbours.
fn extend(range: &mut Range<usize>, n: usize) {
    let first = if range.end == 0 { n } else { range.start };
    *range = first..n + 1;
}
