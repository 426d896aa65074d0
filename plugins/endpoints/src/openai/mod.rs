//! OpenAI's words: which way an event or a body is read, and in `request` what requests end with.
//!
//! `usual` is the fast way, for what has the usual shape; `parse` is the thorough one, for everything else. On whatever
//! the fast way takes, the two agree.
//!
//! Of several parallel answers a body tells one by one. Servers that stream several put each into events of its own, and
//! the texts of those that share an event are told one after the other.

mod parse;
mod request;
mod usual;

pub(crate) use parse::{append, error_message, words, words_of_error};
pub(crate) use request::write_rest;

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod samples;

use crate::reading::{self, Answers, Reader, no_answer};
use inferometer_plugin_sdk::{
    RVec,
    types::{Answer, Delta, ErrorKind, Event, Reply, Result, delta_flags},
};
use parse::Several;

/// The two ways a choice keeps its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// In a message, which streams bring as a delta.
    Chat,
    /// In the choice itself.
    Completions,
}

impl Reader for Dialect {
    #[inline]
    fn scan(self, data: &[u8], delta: &mut Delta) -> Option<()> {
        usual::scan(self, data, delta, |_| None)
    }

    fn parse(self, data: &[u8], scratch: &mut RVec<u8>) -> Option<Delta> {
        parse::parse(self, data, Several::Joined, scratch).map(|found| found.delta)
    }
}

/// Reads an answer, an event or a body, if it is in the usual shape.
#[inline]
pub(crate) fn usual(dialect: Dialect, data: &[u8]) -> Option<Delta> {
    let mut delta = Delta::EMPTY;
    dialect.scan(data, &mut delta).map(|()| delta)
}

impl Answers for Dialect {
    #[inline]
    fn on_event(self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind> {
        reading::on_event(self, event, out, scratch)
    }

    fn on_body(self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        let body = answer.body.as_slice();
        let Reply { deltas, scratch, .. } = out;
        deltas.push(Delta::EMPTY);
        let mut first = Delta::EMPTY;
        let taken = usual::scan(self, body, &mut first, |further| {
            deltas.push(further);
            Some(())
        });
        if taken.is_none() {
            deltas.truncate(1);
            let found = parse::parse(self, body, Several::Apart, scratch);
            let completion = found.filter(|found| found.has_choices || found.delta.flags & delta_flags::ERROR != 0);
            let completion =
                completion.ok_or_else(|| no_answer("completion: expected a JSON object with `choices`", body))?;
            first = completion.delta;
            deltas.extend(completion.more);
        }
        deltas[0] = first;
        Ok(())
    }
}
