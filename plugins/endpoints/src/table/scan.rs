//! The fast way along a table: through the text itself.
//!
//! Nothing is parsed, copied or allocated; what is found is told as spans into the answer, escaped as it stands there. It
//! declines errors, a second text or count of the same kind, a member of interest that comes twice or is of an unexpected type, and
//! what [`crate::scan`] gives up on.

use super::{Holds, Member, Shape, When};
use crate::{scan::Cursor, usage::Counts};
use inferometer_plugin_sdk::types::{Delta, Span, delta_flags};

/// How many members of an object may come before the one that says of which kind it is.
const WAITING: usize = 3;

/// Puts what `data` holds into `delta`, which is empty, and says whether there was anything of the table in it; `None` if it
/// has to be parsed, and then `delta` is spoilt.
pub(super) fn scan(shape: &'static Shape, data: &[u8], delta: &mut Delta) -> Option<bool> {
    // Without escapes it is the same text, and keeping it takes no look at its bytes.
    delta.flags = delta_flags::ESCAPED;
    let mut cursor = Cursor::new(data)?;
    let mut scan = Scan { delta, counts: None };
    let is_known = scan.object(shape, &mut cursor, true)?;
    let Scan { counts, .. } = scan;
    if let Some(counts) = counts {
        counts.tell(delta);
    }
    cursor.is_at_end().then_some(is_known)
}

struct Scan<'d> {
    delta: &'d mut Delta,
    counts: Option<Counts>,
}

impl Scan<'_> {
    /// Passes an object. Whether there was anything of interest in it.
    fn object(&mut self, shape: &'static Shape, c: &mut Cursor<'_>, is_root: bool) -> Option<bool> {
        let mut kind: Option<&[u8]> = None;
        let mut seen: u32 = 0;
        let mut is_known = false;
        let mut waiting: [Option<(usize, Cursor<'_>)>; WAITING] = [None; WAITING];
        let mut waits = 0;
        c.object(|c| {
            let key = c.any_key()?;
            if key == shape.kind.as_bytes() && !key.is_empty() {
                kind.is_none().then_some(())?;
                kind = Some(c.word()?);
                return Some(());
            }
            let Some(at) = shape.members.iter().position(|member| member.key.as_bytes() == key) else {
                return if is_root { pass_unless_error(key, c) } else { c.pass_value() };
            };
            (seen & 1 << at == 0).then_some(())?;
            seen |= 1 << at;
            match (shape.members[at].when, kind) {
                (When::Always, _) => is_known |= self.take(&shape.members[at], c)?,
                (_, Some(kind)) => is_known |= self.take_by(shape, at, kind, c)?,
                (_, None) => {
                    *waiting.get_mut(waits)? = Some((at, *c));
                    waits += 1;
                    c.pass_value()?;
                }
            }
            Some(())
        })?;
        let kind = kind.unwrap_or_default();
        if is_root && kind == b"error" {
            return None;
        }
        for (at, mut before) in waiting.into_iter().flatten() {
            is_known |= self.take_by(shape, at, kind, &mut before)?;
        }
        if !kind.is_empty() {
            is_known |= self.marks(shape, kind)?;
        }
        Some(is_known)
    }

    /// Takes in what the kind itself says.
    fn marks(&mut self, shape: &Shape, kind: &[u8]) -> Option<bool> {
        let of_kind = |member: &&Member| member.key == shape.kind && member.is_for(kind);
        let Some(member) = shape.members.iter().find(of_kind) else { return Some(false) };
        let Holds::Mark(flags) = member.holds else { return None };
        if kind != b"false" {
            self.delta.flags |= flags;
        }
        Some(true)
    }

    /// Passes a value and takes it in by the first row for its key, at or behind `at`, that is for objects of this kind.
    fn take_by(&mut self, shape: &'static Shape, at: usize, kind: &[u8], c: &mut Cursor<'_>) -> Option<bool> {
        let rows = &shape.members[at..];
        match rows.iter().find(|member| member.key == rows[0].key && member.is_for(kind)) {
            Some(member) => self.take(member, c),
            None => c.pass_value().map(|()| false),
        }
    }

    /// Passes a value and takes it in. Whether it was of the type that is expected.
    fn take(&mut self, member: &'static Member, c: &mut Cursor<'_>) -> Option<bool> {
        if c.eat(b"null") {
            return Some(false);
        }
        match member.holds {
            Holds::Text => put(&mut self.delta.text, c.string()?)?,
            Holds::Reasoning => put(&mut self.delta.reasoning, c.string()?)?,
            Holds::Tool => put(&mut self.delta.tool, c.string()?)?,
            Holds::Within(shape) if c.rest().starts_with(b"[") => {
                c.list(|c| self.object(shape, c, false).map(drop))?;
            }
            Holds::Within(shape) => {
                self.object(shape, c, false)?;
            }
            Holds::Usage => {
                self.counts.is_none().then_some(())?;
                self.counts.insert(Counts::NONE).scan(c)?;
            }
            Holds::Count(part) => {
                let counts = self.counts.get_or_insert(Counts::NONE);
                (!counts.has(part)).then_some(())?;
                counts.set(part, c.count()?.into());
            }
            Holds::Mark(flags) => {
                let is_marked = c.eat(b"true") || !c.eat(b"false") && !c.string()?.is_empty();
                self.delta.flags |= if is_marked { flags } else { 0 };
            }
            Holds::Error => return None,
        }
        Some(true)
    }
}

/// Takes down the first text of its kind; there is no place for another.
#[inline]
fn put(place: &mut Span, text: Span) -> Option<()> {
    if !text.is_empty() {
        place.is_empty().then_some(())?;
        *place = text;
    }
    Some(())
}

/// Passes a value that no table names, unless it may be an error.
fn pass_unless_error(key: &[u8], c: &mut Cursor<'_>) -> Option<()> {
    match key {
        b"error" | b"message" | b"detail" => c.require(b"null"),
        b"type" if c.rest().starts_with(b"\"error\"") => None,
        _ => c.pass_value(),
    }
}
