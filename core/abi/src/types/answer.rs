//! What comes back: events of a stream, whole bodies, and what an endpoint says they hold.

use super::Outgoing;
use abi_stable::{
    StableAbi,
    std_types::{RSlice, RStr, RVec},
};

/// A token count that the server did not give.
pub const NO_COUNT: u32 = u32::MAX;

/// A piece of the event's bytes (or of the scratch buffer, see [`delta_flags::SCRATCH`]); empty when `len` is 0.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub off: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// Whether it holds nothing.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The bytes of `within` it names; `None` when it reaches outside, which the host treats as a malformed answer.
    pub fn of(self, within: &[u8]) -> Option<&[u8]> {
        within.get(self.off as usize..)?.get(..self.len as usize)
    }
}

/// One event of a streamed answer.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The SSE `event:` name, or empty.
    pub name: RStr<'a>,
    /// The data, as it came.
    pub data: RSlice<'a, u8>,
    /// Its number in the stream, from 0.
    pub index: u32,
    /// Zero.
    pub flags: u32,
}

impl<'a> Event<'a> {
    /// The first event of a stream, without a name.
    pub fn new(data: &'a [u8]) -> Self {
        Self { name: RStr::empty(), data: data.into(), index: 0, flags: 0 }
    }

    /// The same event under an SSE name.
    #[must_use]
    pub fn named(self, name: &'a str) -> Self {
        Self { name: name.into(), ..self }
    }
}

/// Bits of [`Delta::flags`].
pub mod delta_flags {
    /// The spans hold JSON-escaped text; the host unescapes it after the record is complete.
    pub const ESCAPED: u32 = 1;
    /// The spans are in the scratch buffer and not in the event.
    pub const SCRATCH: u32 = 2;
    /// The stream's terminator (`[DONE]`).
    pub const DONE: u32 = 4;
    /// A finish reason was given.
    pub const FINISH: u32 = 8;
    /// The event reports an error; its text is in `error`.
    pub const ERROR: u32 = 16;
    /// The event counts as content though it holds no text (an embedding, an image).
    pub const CONTENT: u32 = 32;
}

/// What an event or a body holds.
///
/// The host clears it before each call. A span left empty and a count left at [`NO_COUNT`] say nothing.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta {
    /// See [`delta_flags`].
    pub flags: u32,
    /// Which of several parallel answers it belongs to.
    pub choice: u32,
    /// Text of the answer.
    pub text: Span,
    /// Reasoning text.
    pub reasoning: Span,
    /// Text of a tool call (name or arguments).
    pub tool: Span,
    /// The error's message.
    pub error: Span,
    /// Usage: tokens of the prompt.
    pub prompt_tokens: u32,
    /// Usage: tokens of the answer, reasoning included.
    pub completion_tokens: u32,
    /// Usage: prompt tokens found in the server's cache.
    pub cached_tokens: u32,
    /// Usage: tokens spent on reasoning.
    pub reasoning_tokens: u32,
    /// Zero.
    pub reserved: [u64; 4],
}

impl Delta {
    /// A delta that says nothing.
    pub const EMPTY: Self = Self {
        flags: 0,
        choice: 0,
        text: Span { off: 0, len: 0 },
        reasoning: Span { off: 0, len: 0 },
        tool: Span { off: 0, len: 0 },
        error: Span { off: 0, len: 0 },
        prompt_tokens: NO_COUNT,
        completion_tokens: NO_COUNT,
        cached_tokens: NO_COUNT,
        reasoning_tokens: NO_COUNT,
        reserved: [0; 4],
    };

    /// Whether it holds content in the sense of time to first token: text, reasoning, a tool call, or other output.
    pub const fn has_content(&self) -> bool {
        (self.text.len | self.reasoning.len | self.tool.len) != 0 || self.flags & delta_flags::CONTENT != 0
    }
}

impl Default for Delta {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// Bits of [`Answer::flags`].
pub mod answer_flags {
    /// The answer is longer than the host keeps, and `body` is its beginning. Said of answers that are no text; a text
    /// that is too long fails its request. Since 1.1.
    pub const TRUNCATED: u32 = 1;
}

/// A whole answer with a 2xx status that is not a stream.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// HTTP status.
    pub status: u16,
    /// The number of the exchange within this request, from 0.
    pub exchange: u16,
    /// See [`answer_flags`].
    pub flags: u32,
    /// `Content-Type`, or empty.
    pub content_type: RStr<'a>,
    /// The body.
    pub body: RSlice<'a, u8>,
}

/// What an endpoint makes of an [`Answer`].
#[repr(C)]
#[derive(StableAbi, Clone, Debug, Default)]
pub struct Reply {
    /// What the body holds, in order; spans are into the body unless flagged otherwise.
    pub deltas: RVec<Delta>,
    /// Where spans flagged [`delta_flags::SCRATCH`] point.
    pub scratch: RVec<u8>,
    /// The next exchange to make, if this answer was not the last: at most one.
    pub next: RVec<Outgoing>,
    /// Zero.
    pub reserved: [u64; 4],
}
