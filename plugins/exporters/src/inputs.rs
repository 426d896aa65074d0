//! `inputs.json`: the bodies that were sent, by conversation; a later run can take the file as its data set.
//!
//! Every body is kept once, however often it was sent. A session of the data set that was sent again with other bodies, as
//! where histories hold the server's answers or a mark keeps prompts out of its cache, is a further conversation, whose
//! name ends in `#2`, `#3` and so on.
//!
//! What is kept has a limit: it is held in memory until the run is over, because conversations are written in the order of
//! the data set. Beside its bytes a body takes some 70 bytes, and a conversation as many and its name.

mod indent;

use self::indent::indent;
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
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    ops::Range,
};

/// Most bytes that are kept: of bodies, and of what holds further conversations.
const LIMIT: usize = 64 << 20;

/// What a further conversation takes beside its bodies, and each of its turns, in bytes: about as much as they do.
const CONVERSATION: usize = 192;
const TURN: usize = 64;

/// Where a body is among all bodies; nowhere if it was looked at and cannot be shown.
type Place = Option<Range<usize>>;

#[derive(Default)]
struct Inputs {
    /// The sessions of the data set, by their place in it.
    sessions: HashMap<u64, Session>,
    /// Bodies of the first conversation of each, by session and turn.
    places: HashMap<(u64, u32), Place>,
    /// Conversations with other bodies, by correlation.
    further: HashMap<[u8; 16], Further>,
    /// All bodies, one after another.
    bodies: String,
    /// Bytes that `further` takes.
    overhead: usize,
    not_json: u64,
    over_limit: u64,
}

/// A session of the data set.
struct Session {
    name: Box<str>,
    /// The first request of its first conversation: its phase, and its number in that.
    first: (u32, u64),
}

/// A conversation with other bodies than those kept first.
struct Further {
    session: u64,
    /// The first request that differed, as of a session.
    first: (u32, u64),
    turns: BTreeMap<u32, Range<usize>>,
}

/// A body, and where it belongs.
struct Kept {
    session: u64,
    /// Which of the session's conversations: no two begin with the same request.
    first: (u32, u64),
    turn: u32,
    place: Range<usize>,
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
        let (key, body) = ((record.session, record.turn), record.body.as_slice());
        if self.further.contains_key(&record.correlation_id) {
            self.keep_further(record, limit);
            return;
        }
        match self.places.get(&key) {
            None => {
                let place = self.store(body, 0, limit);
                if place.is_some() {
                    let name = || record.conversation_id.as_str().into();
                    let first = (record.phase, record.index);
                    let session = self.sessions.entry(record.session);
                    let session = session.or_insert_with(|| Session { name: name(), first });
                    session.first = session.first.min(first);
                }
                self.places.insert(key, place);
            }
            Some(Some(place)) if self.bodies[place.clone()].as_bytes() != body => self.keep_further(record, limit),
            Some(_) => {}
        }
    }

    /// Keeps a body of a conversation that differs from the first one of its session.
    fn keep_further(&mut self, record: &Record<'_>, limit: usize) {
        let (session, turn, body) = (record.session, record.turn, record.body.as_slice());
        let shared = |inputs: &Self, turn: u32| inputs.places.get(&(session, turn)).cloned().flatten();
        // Turns before the first that differs were sent as they are in the first conversation.
        let begun: Option<BTreeMap<u32, Range<usize>>> = (!self.further.contains_key(&record.correlation_id))
            .then(|| (0..turn).filter_map(|turn| Some((turn, shared(self, turn)?))).collect());
        if begun.is_some() && self.over_limit > 0 {
            // After one that is missing, others would not be what was sent.
            self.over_limit += 1;
            return;
        }
        let overhead = begun.as_ref().map_or(0, |turns| CONVERSATION + turns.len() * TURN) + TURN;
        let place = match shared(self, turn).filter(|place| self.bodies[place.clone()].as_bytes() == body) {
            Some(same) if self.has_room(overhead, limit) => Some(same),
            Some(_) => {
                self.over_limit += 1;
                None
            }
            None => self.store(body, overhead, limit),
        };
        let Some(place) = place else { return };
        self.overhead += overhead;
        let new = || Further { session, first: (record.phase, record.index), turns: begun.unwrap_or_default() };
        self.further.entry(record.correlation_id).or_insert_with(new).turns.insert(turn, place);
    }

    /// Appends a body if it can be shown and if there is room for it and for so much `overhead`.
    fn store(&mut self, body: &[u8], overhead: usize, limit: usize) -> Place {
        let Some(text) = std::str::from_utf8(body).ok().filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
        else {
            self.not_json += 1;
            return None;
        };
        if !self.has_room(text.len() + overhead, limit) {
            self.over_limit += 1;
            return None;
        }
        let start = self.bodies.len();
        self.bodies.push_str(text);
        Some(start..self.bodies.len())
    }

    fn has_room(&self, bytes: usize, limit: usize) -> bool {
        self.bodies.len() + self.overhead + bytes <= limit
    }

    /// All that is kept, in the order of the data set, and for each session in the order in which its conversations were
    /// begun.
    fn kept(&self) -> Vec<Kept> {
        let first = self.places.iter().filter_map(|(&(session, turn), place)| {
            let place = place.clone()?;
            Some(Kept { session, first: self.sessions[&session].first, turn, place })
        });
        let further = self.further.values().flat_map(|&Further { session, first, ref turns }| {
            turns.iter().map(move |(&turn, place)| Kept { session, first, turn, place: place.clone() })
        });
        let mut kept: Vec<_> = first.chain(further).collect();
        kept.sort_unstable_by_key(|kept| (kept.session, kept.first, kept.turn));
        kept
    }

    fn write(&self, out: &mut dyn Output) -> Result<()> {
        let mut file = Chunked::new(names::INPUTS.to_owned());
        file.buffer().extend_from_slice(b"{\n  \"data\": [");
        let kept = self.kept();
        let mut between: &[u8] = b"\n";
        for session in kept.chunk_by(|one, other| one.session == other.session) {
            let name = &*self.sessions[&session[0].session].name;
            let conversations = session.chunk_by(|one, other| one.first == other.first);
            for (conversation, number) in conversations.zip(1_u64..) {
                let name = if number == 1 { Cow::Borrowed(name) } else { Cow::Owned(format!("{name}#{number}")) };
                file.buffer().extend_from_slice(between);
                self.write_conversation(&name, conversation, &mut file, out)?;
                between = b",\n";
            }
        }
        let end: &[u8] = if kept.is_empty() { b"]\n}" } else { b"\n  ]\n}" };
        file.buffer().extend_from_slice(end);
        file.finish(out)
    }

    fn write_conversation(&self, name: &str, turns: &[Kept], file: &mut Chunked, out: &mut dyn Output) -> Result<()> {
        file.buffer().extend_from_slice(b"    {\n      \"session_id\": ");
        serde_json::to_writer(&mut *file.buffer(), name)
            .map_err(|e| Error::new(ErrorKind::OTHER, format!("session {name:?} cannot be named in JSON: {e}")))?;
        file.buffer().extend_from_slice(b",\n      \"payloads\": [");
        let mut between: &[u8] = b"\n        ";
        for Kept { place, .. } in turns {
            file.buffer().extend_from_slice(between);
            indent(&self.bodies[place.clone()], 4, file.buffer());
            file.flush_full(out)?;
            between = b",\n        ";
        }
        file.buffer().extend_from_slice(b"\n      ]\n    }");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
