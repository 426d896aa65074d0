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
    /// Further usage, see [`Delta::detail`]; zero where nothing is told.
    pub reserved: [u64; 4],
}

/// A count of usage beside the four that [`Delta`] names. An open set. Since 1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageDetail(pub u32);

impl UsageDetail {
    /// Prompt tokens written to the server's cache.
    pub const CACHE_WRITE: Self = Self(0);
    /// Prompt tokens that the server's cache did not have.
    pub const CACHE_MISS: Self = Self(1);
    /// Prompt tokens that are audio.
    pub const PROMPT_AUDIO: Self = Self(2);
    /// Answer tokens that are audio.
    pub const COMPLETION_AUDIO: Self = Self(3);
    /// Tokens of the caller's prediction that the answer has.
    pub const ACCEPTED_PREDICTION: Self = Self(4);
    /// Tokens of the caller's prediction that the answer does not have.
    pub const REJECTED_PREDICTION: Self = Self(5);
    /// Prompt tokens that tools were told or answered with.
    pub const TOOL_PROMPT: Self = Self(6);
    /// All tokens, as the server adds them up.
    pub const TOTAL: Self = Self(7);
}

/// The counts of [`UsageDetail`], two in a word: a count is stored as one more than it is, so that zero means that nothing is
/// told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageDetails(pub [u64; 4]);

impl UsageDetails {
    /// A count, if it was told.
    pub const fn get(&self, detail: UsageDetail) -> Option<u32> {
        ((self.0[detail.0 as usize / 2] >> (32 * (detail.0 % 2))) as u32).checked_sub(1)
    }

    /// Tells a count; the largest that can be told is two below `u32::MAX`.
    pub const fn set(&mut self, detail: UsageDetail, count: u32) {
        let (word, shift) = (detail.0 as usize / 2, 32 * (detail.0 % 2));
        let count = if count > NO_COUNT - 2 { NO_COUNT - 2 } else { count };
        self.0[word] = self.0[word] & !((NO_COUNT as u64) << shift) | (count as u64 + 1) << shift;
    }

    /// Takes over what `later` tells.
    pub fn update(&mut self, later: &Self) {
        for at in 0..2 * self.0.len() as u32 {
            if let Some(count) = later.get(UsageDetail(at)) {
                self.set(UsageDetail(at), count);
            }
        }
    }
}

impl Delta {
    /// A count of usage beside the four that have fields of their own, if it was told. Since 1.1.
    pub const fn detail(&self, detail: UsageDetail) -> Option<u32> {
        UsageDetails(self.reserved).get(detail)
    }

    /// Tells a count of usage beside the four that have fields of their own. Since 1.1.
    pub const fn set_detail(&mut self, detail: UsageDetail, count: u32) {
        let mut details = UsageDetails(self.reserved);
        details.set(detail, count);
        self.reserved = details.0;
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_of_usage_are_told_apart_from_one_another_and_from_silence() {
        let mut delta = Delta::EMPTY;
        let all = (0..8).map(UsageDetail);
        assert!(all.clone().all(|detail| delta.detail(detail).is_none()));
        all.clone().for_each(|detail| delta.set_detail(detail, 10 * detail.0));
        delta.set_detail(UsageDetail::TOTAL, 9);
        delta.set_detail(UsageDetail::CACHE_MISS, u32::MAX);
        let told: Vec<_> = all.map(|detail| delta.detail(detail)).collect();
        let expected = [0, u32::MAX - 2, 20, 30, 40, 50, 60, 9].map(Some);
        assert_eq!(told, expected);
        let mut sum = UsageDetails::default();
        sum.set(UsageDetail::TOTAL, 1);
        sum.set(UsageDetail::CACHE_WRITE, 5);
        let mut later = UsageDetails::default();
        later.set(UsageDetail::TOTAL, 2);
        sum.update(&later);
        assert_eq!((sum.get(UsageDetail::TOTAL), sum.get(UsageDetail::CACHE_WRITE)), (Some(2), Some(5)));
    }
}
