//! The rows of a file in memory: all strings in one piece, everything else as places in it.
//!
//! A row costs some 200 bytes beyond its own text, and no allocation of its own.

use super::row::Row;
use inferometer_plugin_sdk::{
    api::SessionSink,
    types::{Message, Part, PartKind, Turn, TurnTime},
};
use std::{collections::HashMap, ops::Range};

/// The sessions of a file.
#[derive(Default)]
pub(super) struct Store {
    strings: Strings,
    parts: Vec<StoredPart>,
    /// In order of sessions, and within a session of the file.
    turns: Vec<StoredTurn>,
    sessions: Vec<StoredSession>,
}

/// A place in [`Strings`]; nothing by default.
#[derive(Clone, Copy, Default)]
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

struct StoredTurn {
    session: usize,
    parts: Range<usize>,
    role: Place,
    model: Place,
    extra_json: Place,
    max_tokens: u32,
    time: TurnTime,
}

#[derive(Default)]
struct StoredSession {
    name: Place,
    turns: Range<usize>,
}

impl Store {
    /// Number of sessions.
    pub(super) fn sessions(&self) -> u64 {
        self.sessions.len() as u64
    }

    /// Gives session `index`, which must exist, to `sink`.
    pub(super) fn give(&self, index: usize, sink: &mut dyn SessionSink) {
        let session = &self.sessions[index];
        sink.name(self.strings.get(session.name));
        for turn in &self.turns[session.turns.clone()] {
            self.give_turn(turn, sink);
        }
    }

    fn give_turn(&self, turn: &StoredTurn, sink: &mut dyn SessionSink) {
        let text = |place| self.strings.get(place).into();
        let parts: Vec<Part<'_>> = self.parts[turn.parts.clone()]
            .iter()
            .map(|part| Part {
                kind: part.kind,
                flags: 0,
                name: text(part.name),
                mime: text(part.mime),
                data: text(part.data),
            })
            .collect();
        let messages = [Message { role: text(turn.role), parts: parts.as_slice().into(), extra_json: "".into() }];
        sink.turn(&Turn {
            model: text(turn.model),
            extra_json: text(turn.extra_json),
            max_tokens: turn.max_tokens,
            time: turn.time,
            ..Turn::new(&messages)
        });
    }
}

impl Strings {
    fn add(&mut self, text: &str) -> Place {
        let start = self.0.len();
        self.0.push_str(text);
        Place { start, end: self.0.len() }
    }

    fn get(&self, place: Place) -> &str {
        &self.0[place.start..place.end]
    }
}

/// A [`Store`] being filled.
#[derive(Default)]
pub(super) struct Builder {
    store: Store,
    by_id: HashMap<String, usize>,
}

impl Builder {
    /// Number of rows so far.
    pub(super) fn rows(&self) -> u64 {
        self.store.turns.len() as u64
    }

    /// Adds the row of a line.
    pub(super) fn push(&mut self, line: u64, row: &Row) {
        let session = self.session_of(line, &row.session_id);
        let Store { strings, parts, turns, .. } = &mut self.store;
        let first = parts.len();
        parts.extend(row.parts.iter().map(|part| StoredPart {
            kind: part.kind,
            name: strings.add(&part.name),
            mime: strings.add(&part.mime),
            data: strings.add(&part.data),
        }));
        turns.push(StoredTurn {
            session,
            parts: first..parts.len(),
            role: strings.add(if row.role.is_empty() { "user" } else { &row.role }),
            model: strings.add(&row.model),
            extra_json: strings.add(&row.extra_json),
            max_tokens: row.max_tokens,
            time: row.time,
        });
    }

    /// The number of the session that a row belongs to: of its id, or one of its own.
    fn session_of(&mut self, line: u64, id: &str) -> usize {
        let Store { strings, sessions, .. } = &mut self.store;
        let next = sessions.len();
        let mut add = |name: &str| sessions.push(StoredSession { name: strings.add(name), turns: 0..0 });
        if id.is_empty() {
            add(&format!("line_{line:06}"));
            return next;
        }
        *self.by_id.entry(id.to_owned()).or_insert_with(|| {
            add(id);
            next
        })
    }

    /// Puts the turns of each session together.
    pub(super) fn finish(mut self) -> Store {
        let Store { strings, parts, turns, sessions } = &mut self.store;
        turns.sort_by_key(|turn| turn.session);
        for (n, turn) in turns.iter().enumerate() {
            let range = &mut sessions[turn.session].turns;
            let first = if range.end == 0 { n } else { range.start };
            *range = first..n + 1;
        }
        strings.0.shrink_to_fit();
        parts.shrink_to_fit();
        turns.shrink_to_fit();
        sessions.shrink_to_fit();
        self.store
    }
}
