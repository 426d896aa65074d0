//! Answers by table: where an API's answers hold what, said once and read in two ways.
//!
//! An [`Api`] is data: the shapes of its events and bodies, as a tree of members. `scan` goes along it through the text
//! itself, without parsing or allocating; `parse` goes along it through a parsed value, and takes what the other declines.
//!
//! Texts of one kind that an answer holds several of are told one after the other, in the order of the table and the lists.
//! What a table does not name is of no interest, but for errors, which are found wherever servers put them.

mod parse;
mod scan;

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod samples;

use crate::{
    reading::{self, Answers, Reader, no_answer},
    usage::Part,
};
use inferometer_plugin_sdk::{
    RVec,
    types::{Answer, Delta, ErrorKind, Event, Reply, Result, delta_flags},
};

/// What the answers of one API hold.
pub(crate) struct Api {
    /// An event of a stream.
    pub(crate) event: Shape,
    /// A whole answer; of a list, each of its objects.
    pub(crate) body: Shape,
    /// What a body is expected to be, for messages: `completion: expected a JSON object with …`.
    pub(crate) expected: &'static str,
}

/// What objects in one place hold.
#[derive(Debug)]
pub(crate) struct Shape {
    /// The member by which objects say what they are: a word or a truth; empty if none does.
    pub(crate) kind: &'static str,
    /// The members of interest. Of several rows for one key the first that goes by the object's kind counts.
    pub(crate) members: &'static [Member],
}

/// A row of a table.
#[derive(Debug)]
pub(crate) struct Member {
    key: &'static str,
    when: When,
    holds: Holds,
}

/// Which objects a row is for, by their kind.
#[derive(Clone, Copy, Debug)]
enum When {
    Always,
    Is(&'static [&'static str]),
    IsNot(&'static [&'static str]),
}

/// What a member holds. A value of another type says nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holds {
    /// Text of the answer.
    Text,
    /// Reasoning text.
    Reasoning,
    /// A tool's name or arguments: text, or anything else as JSON.
    Tool,
    /// An object with more, or a list of them.
    Within(&'static Shape),
    /// An object of token counts.
    Usage,
    /// A token count.
    Count(Part),
    /// These flags, if it is true or a text that is not empty.
    Mark(u32),
    /// An error, if it is neither null, false nor empty.
    Error,
}

impl Shape {
    /// Objects that say nothing of their kind.
    pub(crate) const fn new(members: &'static [Member]) -> Self {
        Self { kind: "", members }
    }

    /// Objects whose member `kind` says what they are.
    pub(crate) const fn by(kind: &'static str, members: &'static [Member]) -> Self {
        Self { kind, members }
    }
}

impl Member {
    /// A member that every object may have.
    pub(crate) const fn new(key: &'static str, holds: Holds) -> Self {
        Self { key, when: When::Always, holds }
    }

    /// The same in objects of these kinds alone.
    pub(crate) const fn when(self, kinds: &'static [&'static str]) -> Self {
        Self { when: When::Is(kinds), ..self }
    }

    /// The same in objects of all kinds but these.
    pub(crate) const fn unless(self, kinds: &'static [&'static str]) -> Self {
        Self { when: When::IsNot(kinds), ..self }
    }

    /// Whether the row is for objects of that kind.
    #[inline]
    fn is_for(&self, kind: &[u8]) -> bool {
        let is_among = |kinds: &[&str]| kinds.iter().any(|known| known.as_bytes() == kind);
        match self.when {
            When::Always => true,
            When::Is(kinds) => is_among(kinds),
            When::IsNot(kinds) => !is_among(kinds),
        }
    }
}

/// A tool call as OpenAI words it, and others after it.
pub(crate) static TOOL_CALL: Shape = Shape::new(&[Member::new("function", Holds::Within(&FUNCTION))]);

static FUNCTION: Shape = Shape::new(&[Member::new("name", Holds::Tool), Member::new("arguments", Holds::Tool)]);

impl Reader for &'static Api {
    #[inline]
    fn scan(self, data: &[u8], delta: &mut Delta) -> Option<()> {
        scan::scan(&self.event, data, delta).map(drop)
    }

    fn parse(self, data: &[u8], scratch: &mut RVec<u8>) -> Option<Delta> {
        parse::parse(&self.event, data, scratch).map(|found| found.delta)
    }
}

impl Answers for &'static Api {
    #[inline]
    fn on_event(self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind> {
        reading::on_event(self, event, out, scratch)
    }

    fn on_body(self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        let body = answer.body.as_slice();
        let mut delta = Delta::EMPTY;
        if scan::scan(&self.body, body, &mut delta) != Some(true) {
            let found = parse::parse(&self.body, body, &mut out.scratch);
            let is_answer = |found: &parse::Found| found.is_known || found.delta.flags & delta_flags::ERROR != 0;
            delta = found.filter(is_answer).ok_or_else(|| no_answer(self.expected, body))?.delta;
        }
        out.deltas.push(delta);
        Ok(())
    }
}
