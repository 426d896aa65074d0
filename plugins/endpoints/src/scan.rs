//! A cursor over JSON text that finds where things are without taking anything apart.
//!
//! It knows the syntax and no API. It is strict: what it passes over is JSON, to the letter. It is also narrow: it gives
//! up (`None`) on whatever is rare, valid or not, and leaves that to a real parser; so giving up is never an error.

use inferometer_plugin_sdk::types::Span;

/// A string: where it lies (without its quotes), and whether it holds escapes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) span: Span,
    pub(crate) escaped: bool,
}

/// What is left of some JSON text.
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

    #[inline]
    fn at(&self) -> u32 {
        // No more is left than there was.
        self.len - self.rest.len() as u32
    }

    /// Whether nothing is left but white space.
    #[inline]
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.space();
        self.rest.is_empty()
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

    /// Passes an object. `member` is called before each key and has to pass the key and the value.
    #[inline]
    pub(crate) fn object(&mut self, mut member: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.require(b"{")?;
        self.space();
        if self.eat(b"}") {
            return Some(());
        }
        loop {
            member(self)?;
            self.space();
            if self.eat(b"}") {
                return Some(());
            }
            self.require(b",")?;
            self.space();
        }
    }

    /// Passes `literal`, or gives up.
    #[inline]
    pub(crate) fn require<const N: usize>(&mut self, literal: &[u8; N]) -> Option<()> {
        self.eat(literal).then_some(())
    }

    /// Passes a member of no interest: a plain key, right before its colon, and a value that is no object or array.
    ///
    /// So plain that no such key is one that [`Cursor::key`] looks for, in another spelling.
    #[inline]
    pub(crate) fn pass_member(&mut self) -> Option<()> {
        if self.string()?.escaped {
            return None;
        }
        self.require(b":")?;
        self.space();
        self.pass_value()
    }

    /// Passes a value that is no object or array.
    #[inline]
    pub(crate) fn pass_value(&mut self) -> Option<()> {
        match self.rest.first()? {
            b'"' => self.string().map(drop),
            b'n' => self.require(b"null"),
            b't' => self.require(b"true"),
            b'f' => self.require(b"false"),
            _ => self.number(),
        }
    }

    /// Passes a string or `null`, which counts as an empty one.
    #[inline]
    pub(crate) fn string_or_null(&mut self) -> Option<Text> {
        if self.eat(b"null") { Some(Text::default()) } else { self.string() }
    }

    /// Passes a string.
    #[inline]
    pub(crate) fn string(&mut self) -> Option<Text> {
        self.require(b"\"")?;
        let off = self.at();
        let content = self.rest;
        let mut escaped = false;
        let mut seen = 0;
        loop {
            // Long strings go by sixteen bytes. The rest, and short ones, by eight, so that finding the end takes no loop.
            while let Some((_, rest)) = self.rest.split_first_chunk().filter(|(bytes, _)| is_plain(bytes)) {
                self.rest = rest;
            }
            match self.rest.first_chunk() {
                Some(eight) => {
                    let word = u64::from_le_bytes(*eight);
                    seen |= word;
                    let found = stops(word);
                    self.rest = self.rest.get(found.trailing_zeros() as usize / 8..)?;
                    if found == 0 {
                        continue;
                    }
                }
                None => {
                    let before = self.rest.iter().position(|&b| matches!(b, b'"' | b'\\' | 0..=0x1F))?;
                    seen |= self.rest[..before].iter().fold(0, |all, &b| all | u64::from(b));
                    self.rest = &self.rest[before..];
                }
            }
            if self.eat(b"\"") {
                break;
            }
            escaped = true;
            self.escape()?;
        }
        let len = self.at() - off - 1;
        if seen & HIGH_BITS != 0 {
            std::str::from_utf8(&content[..len as usize]).ok()?;
        }
        Some(Text { span: Span { off, len }, escaped })
    }

    /// Passes an escape. Gives up on halves of surrogate pairs, whole pairs included.
    fn escape(&mut self) -> Option<()> {
        self.require(b"\\")?;
        let (kind, rest) = self.rest.split_first()?;
        self.rest = rest;
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let (digits, rest) = self.rest.split_first_chunk::<4>()?;
                self.rest = rest;
                let is_surrogate = matches!(digits, [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..]);
                (digits.iter().all(u8::is_ascii_hexdigit) && !is_surrogate).then_some(())
            }
            _ => None,
        }
    }

    /// Passes a number, unless it has an exponent or so many digits that parsers begin to differ.
    fn number(&mut self) -> Option<()> {
        self.eat(b"-");
        let leading_zero = self.rest.first() == Some(&b'0');
        let digits = self.digits();
        if !(1..=18).contains(&digits) || (leading_zero && digits > 1) {
            return None;
        }
        if self.eat(b".") && !(1..=32).contains(&self.digits()) {
            return None;
        }
        (!matches!(self.rest.first(), Some(b'e' | b'E'))).then_some(())
    }

    #[inline]
    fn digits(&mut self) -> usize {
        let before = self.rest.len();
        while let [b'0'..=b'9', rest @ ..] = self.rest {
            self.rest = rest;
        }
        before - self.rest.len()
    }

    /// Passes a whole number of at most nine digits.
    #[inline]
    pub(crate) fn count(&mut self) -> Option<u32> {
        let start = self.rest;
        self.number()?;
        let digits = &start[..start.len() - self.rest.len()];
        let digit = |&b: &u8| b.is_ascii_digit().then(|| u32::from(b - b'0'));
        (digits.len() <= 9).then_some(())?;
        digits.iter().try_fold(0, |value, b| Some(value * 10 + digit(b)?))
    }
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH_BITS: u64 = ONES << 7;

/// Whether all of sixteen bytes are ASCII and neither quotes, backslashes nor control characters.
///
/// Written so that it compiles to a few vector instructions.
#[inline]
fn is_plain(bytes: &[u8; 16]) -> bool {
    bytes.iter().fold(true, |all, &b| all & ((b as i8) >= 0x20) & (b != b'"') & (b != b'\\'))
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
