//! A cursor over JSON text that finds where things are without taking anything apart.
//!
//! It knows the syntax and no API. It is strict: what it passes over is JSON, to the letter. It is also narrow: it gives
//! up (`None`) on whatever is rare, valid or not, and leaves that to a real parser; so giving up is never an error.

use inferometer_plugin_sdk::types::Span;

/// How deep in objects and arrays a value may lie that is passed; parsers go deeper.
const DEPTH: u32 = 32;

/// What is left of some JSON text.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    len: u32,
}

impl<'a> Cursor<'a> {
    /// At the beginning of `text`. `None` if a span could not reach its end.
    #[inline]
    pub(crate) fn new(text: &'a [u8]) -> Option<Self> {
        Some(Self { rest: text, len: text.len().try_into().ok()? })
    }

    /// Whether nothing is left but white space.
    #[inline]
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.space();
        self.rest.is_empty()
    }

    /// What is left.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Passes white space.
    #[inline]
    pub(crate) fn space(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Passes `literal` if it is next.
    #[inline]
    pub(crate) fn eat<const N: usize>(&mut self, literal: &[u8; N]) -> bool {
        match self.rest.split_first_chunk::<N>() {
            Some((head, rest)) if head == literal => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Passes a member's key, given with its quotes and its colon, and stands before its value.
    #[inline]
    pub(crate) fn key<const N: usize>(&mut self, quoted: &[u8; N]) -> bool {
        let found = self.eat(quoted);
        if found {
            self.space();
        }
        found
    }

    /// Passes `literal`, or gives up.
    #[inline]
    pub(crate) fn require<const N: usize>(&mut self, literal: &[u8; N]) -> Option<()> {
        self.eat(literal).then_some(())
    }

    /// Passes an object. `member` is called before each key and has to pass the key and the value.
    #[inline]
    pub(crate) fn object(&mut self, member: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.sequence(b"{", b"}", member)
    }

    /// Passes an array. `item` is called before each value and has to pass it.
    #[inline]
    pub(crate) fn list(&mut self, item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.sequence(b"[", b"]", item)
    }

    #[inline]
    fn sequence(
        &mut self,
        open: &[u8; 1],
        close: &[u8; 1],
        mut item: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.require(open)?;
        self.space();
        if self.eat(close) {
            return Some(());
        }
        loop {
            item(self)?;
            self.space();
            if self.eat(close) {
                return Some(());
            }
            self.require(b",")?;
            self.space();
        }
    }

    /// Passes a member's key, tells it, and stands before its value. Gives up on a key with escapes and on one that is not
    /// right before its colon: what it passes is no key that [`Cursor::key`] looks for, in another spelling.
    #[inline]
    pub(crate) fn any_key(&mut self) -> Option<&'a [u8]> {
        let start = self.rest;
        let len = self.string()?.len as usize;
        self.require(b":")?;
        self.space();
        let key = &start[1..=len];
        (!key.contains(&b'\\')).then_some(key)
    }

    /// Passes a member of no interest.
    #[inline]
    pub(crate) fn pass_member(&mut self) -> Option<()> {
        self.any_key()?;
        self.pass_value()
    }

    /// Passes a value.
    #[inline]
    pub(crate) fn pass_value(&mut self) -> Option<()> {
        self.pass_within(DEPTH)
    }

    #[inline]
    fn pass_within(&mut self, depth: u32) -> Option<()> {
        self.rest = match self.rest.first()? {
            b'"' => behind_string(self.rest)?,
            b'n' => self.rest.strip_prefix(b"null")?,
            b't' => self.rest.strip_prefix(b"true")?,
            b'f' => self.rest.strip_prefix(b"false")?,
            b'{' | b'[' => behind_nested(*self, depth)?,
            _ => behind_number(self.rest)?,
        };
        Some(())
    }

    /// Passes a list of numbers that is not empty.
    #[inline]
    pub(crate) fn numbers(&mut self) -> Option<()> {
        let mut is_empty = true;
        self.list(|c| {
            is_empty = false;
            c.rest = behind_number(c.rest)?;
            Some(())
        })?;
        (!is_empty).then_some(())
    }

    /// Passes a string or `null`, which counts as an empty one.
    #[inline]
    pub(crate) fn string_or_null(&mut self) -> Option<Span> {
        if self.eat(b"null") { Some(Span::default()) } else { self.string() }
    }

    /// Passes a string and tells where it lies, without its quotes.
    #[inline]
    pub(crate) fn string(&mut self) -> Option<Span> {
        let before = self.rest.len();
        self.rest = behind_string(self.rest)?;
        // No more is left than there was.
        Some(Span { off: self.len - before as u32 + 1, len: (before - self.rest.len()) as u32 - 2 })
    }

    /// Passes a word, a truth or `null`, which is the empty word, and tells it as it stands there. Gives up on a word with
    /// escapes and on anything else.
    #[inline]
    pub(crate) fn word(&mut self) -> Option<&'a [u8]> {
        let start = self.rest;
        let span = match start.first()? {
            b'"' => 1..=self.string()?.len as usize,
            b't' => self.require(b"true").map(|()| 0..=3)?,
            b'f' => self.require(b"false").map(|()| 0..=4)?,
            _ => return self.require(b"null").map(|()| &[][..]),
        };
        let word = &start[span];
        (!word.contains(&b'\\')).then_some(word)
    }

    /// Passes a whole number of at most nine digits.
    #[inline]
    pub(crate) fn count(&mut self) -> Option<u32> {
        let start = self.rest;
        self.rest = behind_number(start)?;
        let digits = &start[..start.len() - self.rest.len()];
        let digit = |&b: &u8| b.is_ascii_digit().then(|| u32::from(b - b'0'));
        (digits.len() <= 9).then_some(())?;
        digits.iter().try_fold(0, |value, b| Some(value * 10 + digit(b)?))
    }
}

// What follows takes text and gives what is behind its beginning, rather than move a cursor: one whose address is never
// taken stays in registers, which saves a sixth of the time of a whole body.

/// What is behind the object or the array before which `cursor` stands.
fn behind_nested(mut cursor: Cursor<'_>, depth: u32) -> Option<&[u8]> {
    let depth = depth.checked_sub(1)?;
    if cursor.rest.starts_with(b"[") {
        cursor.list(|c| c.pass_within(depth))?;
    } else {
        cursor.object(|c| {
            c.string()?;
            c.require(b":")?;
            c.space();
            c.pass_within(depth)
        })?;
    }
    Some(cursor.rest)
}

/// What is behind a string.
fn behind_string(text: &[u8]) -> Option<&[u8]> {
    let [b'"', content @ ..] = text else { return None };
    let mut rest = content;
    let mut seen = 0;
    loop {
        // Long strings go by sixteen bytes. The rest, and short ones, by eight, so that finding the end takes no loop.
        while let Some((_, behind)) = rest.split_first_chunk().filter(|(bytes, _)| is_plain(bytes)) {
            rest = behind;
        }
        match rest.first_chunk() {
            Some(eight) => {
                let word = u64::from_le_bytes(*eight);
                seen |= word;
                let found = stops(word);
                rest = rest.get(found.trailing_zeros() as usize / 8..)?;
                if found == 0 {
                    continue;
                }
            }
            None => {
                let before = rest.iter().position(|&b| matches!(b, b'"' | b'\\' | 0..=0x1F))?;
                seen |= rest[..before].iter().fold(0, |all, &b| all | u64::from(b));
                rest = &rest[before..];
            }
        }
        if let [b'"', behind @ ..] = rest {
            if seen & HIGH_BITS != 0 {
                std::str::from_utf8(&content[..content.len() - rest.len()]).ok()?;
            }
            return Some(behind);
        }
        rest = behind_escape(rest)?;
    }
}

/// What is behind an escape, of a surrogate pair behind both. Gives up on halves of pairs.
fn behind_escape(text: &[u8]) -> Option<&[u8]> {
    match text {
        [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..] => Some(rest),
        [b'\\', b'u', rest @ ..] => match code_unit(rest)? {
            (0xD800..0xDC00, [b'\\', b'u', rest @ ..]) => {
                let (low, rest) = code_unit(rest)?;
                (0xDC00..0xE000).contains(&low).then_some(rest)
            }
            (unit, rest) => (!(0xD800..0xE000).contains(&unit)).then_some(rest),
        },
        _ => None,
    }
}

/// Four hexadecimal digits, and what is behind them.
pub(crate) fn code_unit(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<4>()?;
    let unit = digits.iter().try_fold(0, |unit, &digit| Some(unit * 16 + char::from(digit).to_digit(16)?))?;
    Some((unit, rest))
}

/// What is behind a number. Gives up on one with so many digits that parsers begin to differ.
fn behind_number(text: &[u8]) -> Option<&[u8]> {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let mut rest = behind_digits(unsigned, 18)?;
    if unsigned[0] == b'0' && unsigned.len() - rest.len() > 1 {
        return None;
    }
    if let [b'.', fraction @ ..] = rest {
        rest = behind_digits(fraction, 32)?;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let unsigned = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
        rest = behind_digits(unsigned, 2)?;
    }
    Some(rest)
}

/// What is behind one digit or several, `most` at most.
#[inline]
fn behind_digits(text: &[u8], most: usize) -> Option<&[u8]> {
    let mut rest = text;
    while let [b'0'..=b'9', behind @ ..] = rest {
        rest = behind;
    }
    (1..=most).contains(&(text.len() - rest.len())).then_some(rest)
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH_BITS: u64 = ONES << 7;

/// Whether all of sixteen bytes are ASCII and neither quotes, backslashes nor control characters.
///
/// Written so that it compiles to a few vector instructions.
#[inline]
fn is_plain(bytes: &[u8; 16]) -> bool {
    bytes.iter().fold(true, |all, &b| all & ((b as i8) >= 0x20) & ((b ^ b'"').min(b ^ b'\\') != 0))
}

/// Marks the quotes, backslashes and control characters among eight bytes by their high bits.
///
/// Exact up to and including the first mark; borrows may set false ones behind it.
#[inline]
const fn stops(word: u64) -> u64 {
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let quotes = zeros(word ^ (ONES * b'"' as u64));
    let backslashes = zeros(word ^ (ONES * b'\\' as u64));
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | backslashes | controls) & HIGH_BITS
}
