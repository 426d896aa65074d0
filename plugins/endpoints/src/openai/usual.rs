//! The fast way to read an answer, an event of a stream or a whole body: a scan for the shape that nearly all have.
//!
//! Nothing is parsed, copied or allocated; what is found is told as spans into the answer, escaped as it stands there.
//! Where an answer is in the least unusual the scan declines, and `parse` reads it. What it takes, it reads exactly as
//! that module does.
//!
//! It takes an object with `choices` and `usage`. Members that `parse` has no interest in are passed over, whatever they
//! hold. It declines tool calls, errors, content in parts, usage in a vendor's own place, anything that counts and comes
//! twice, and what [`crate::scan`] gives up on.
//!
//! Members of no interest that most servers send are named all the same: passing a key that is known takes a third of the
//! time of finding its end.

use super::Dialect;
use crate::{
    scan::Cursor,
    usage::{self, Counts},
};
use inferometer_plugin_sdk::types::{Delta, delta_flags};

/// Puts what `data` holds into `delta`, which is empty, and gives `more` every further choice; `None` if it has to be
/// parsed, and then `delta` is spoilt.
#[inline]
pub(super) fn scan(
    dialect: Dialect,
    data: &[u8],
    delta: &mut Delta,
    mut more: impl FnMut(Delta) -> Option<()>,
) -> Option<()> {
    // Without escapes it is the same text, and keeping it takes no look at its bytes.
    delta.flags = delta_flags::ESCAPED;
    let mut cursor = Cursor::new(data)?;
    let mut seen = Seen::default();
    cursor.object(|c| {
        if c.key(b"\"choices\":") {
            seen.once(1)?;
            choices(dialect, c, delta, &mut more)
        } else if c.key(b"\"usage\":") {
            seen.once(2)?;
            let mut counts = Counts::NONE;
            counts.scan(c)?;
            counts.tell(delta);
            Some(())
        } else if c.key(b"\"error\":") {
            c.require(b"null")
        } else if c.eat(b"\"object\":\"chat.completion.chunk\"")
            || c.eat(b"\"object\":\"chat.completion\"")
            || c.eat(b"\"object\":\"text_completion\"")
        {
            Some(())
        } else if c.key(b"\"id\":")
            || c.key(b"\"created\":")
            || c.key(b"\"model\":")
            || c.key(b"\"system_fingerprint\":")
        {
            c.pass_value()
        } else {
            let key = c.any_key()?;
            (!usage::is_place(key)).then_some(())?;
            c.pass_value()
        }
    })?;
    // Without choices it may be an error in a shape of the vendor's own.
    (seen.has(1) && cursor.is_at_end()).then_some(())
}

/// Which members of an object have come: of those that come twice, parsers take the last.
#[derive(Default)]
struct Seen(u32);

impl Seen {
    #[inline]
    fn once(&mut self, bit: u32) -> Option<()> {
        let first = !self.has(bit);
        self.0 |= bit;
        first.then_some(())
    }

    #[inline]
    fn has(&self, bit: u32) -> bool {
        self.0 & bit != 0
    }
}

#[inline]
fn choices(
    dialect: Dialect,
    c: &mut Cursor<'_>,
    delta: &mut Delta,
    more: &mut impl FnMut(Delta) -> Option<()>,
) -> Option<()> {
    let mut is_first = true;
    c.list(|c| {
        if std::mem::take(&mut is_first) {
            return choice(dialect, c, delta);
        }
        let mut further = Delta { flags: delta_flags::ESCAPED, ..Delta::EMPTY };
        choice(dialect, c, &mut further)?;
        more(further)
    })
}

#[inline]
fn choice(dialect: Dialect, c: &mut Cursor<'_>, delta: &mut Delta) -> Option<()> {
    let mut seen = Seen::default();
    c.object(|c| {
        if c.key(b"\"index\":") {
            seen.once(1)?;
            delta.choice = c.count()?;
            Some(())
        } else if c.key(b"\"finish_reason\":") {
            seen.once(2)?;
            if !c.string_or_null()?.is_empty() {
                delta.flags |= delta_flags::FINISH;
            }
            Some(())
        } else if dialect == Dialect::Chat && (c.key(b"\"delta\":") || c.key(b"\"message\":")) {
            seen.once(4)?;
            message(c, delta)
        } else if dialect == Dialect::Completions && c.key(b"\"text\":") {
            seen.once(4)?;
            delta.text = c.string_or_null()?;
            Some(())
        } else if c.key(b"\"logprobs\":") || c.key(b"\"token_ids\":") || c.key(b"\"stop_reason\":") {
            c.pass_value()
        } else {
            c.pass_member()
        }
    })
}

#[inline]
fn message(c: &mut Cursor<'_>, delta: &mut Delta) -> Option<()> {
    let mut seen = Seen::default();
    c.object(|c| {
        if c.key(b"\"content\":") {
            seen.once(1)?;
            delta.text = c.string_or_null()?;
            Some(())
        } else if c.key(b"\"reasoning_content\":") {
            seen.once(2)?;
            reasoning(c, delta, true)
        } else if c.key(b"\"reasoning\":") {
            seen.once(4)?;
            reasoning(c, delta, false)
        } else if c.key(b"\"tool_calls\":") {
            (c.eat(b"null") || c.eat(b"[]")).then_some(())
        } else if c.key(b"\"role\":") || c.key(b"\"refusal\":") {
            c.pass_value()
        } else {
            c.pass_member()
        }
    })
}

/// One of the two names of reasoning; servers that send both say the same under both.
fn reasoning(c: &mut Cursor<'_>, delta: &mut Delta, takes_precedence: bool) -> Option<()> {
    let text = c.string_or_null()?;
    if !text.is_empty() && (takes_precedence || delta.reasoning.is_empty()) {
        delta.reasoning = text;
    }
    Some(())
}
