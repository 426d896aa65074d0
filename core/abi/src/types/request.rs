//! What is asked: turns as a data set gives them, and requests as an endpoint sees them.

use abi_stable::{
    StableAbi,
    std_types::{RSlice, RStr},
};

/// What a [`Part`] of a message holds.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartKind(pub u32);

impl PartKind {
    /// Plain text, in `data`.
    pub const TEXT: Self = Self(0);
    /// An image: a URL or a data URI, in `data`.
    pub const IMAGE: Self = Self(1);
    /// Audio: base64 in `data` and its format in `mime`; or, where `mime` is empty, a URL in `data`.
    pub const AUDIO: Self = Self(2);
    /// A video: a URL or a data URI, in `data`.
    pub const VIDEO: Self = Self(3);
}

/// One piece of a message.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Part<'a> {
    /// What `data` is.
    pub kind: PartKind,
    /// Zero.
    pub flags: u32,
    /// The part's name where the data set gives one (`query`, `passages`), else empty.
    pub name: RStr<'a>,
    /// Media type or format; empty for text and for audio behind a URL.
    pub mime: RStr<'a>,
    /// The content.
    pub data: RStr<'a>,
}

impl<'a> Part<'a> {
    /// A text part without a name.
    pub fn text(text: &'a str) -> Self {
        Self { kind: PartKind::TEXT, flags: 0, name: RStr::empty(), mime: RStr::empty(), data: text.into() }
    }
}

/// One message of a conversation.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Message<'a> {
    /// `user`, `assistant`, `system`, `tool` …
    pub role: RStr<'a>,
    /// Its pieces, in order.
    pub parts: RSlice<'a, Part<'a>>,
    /// A JSON object with further fields of the message (tool calls, say), or empty.
    pub extra_json: RStr<'a>,
}

/// One turn of a session as a data set gives it.
///
/// Turns build on one another: a request holds the messages of all turns so far, with the replies in between. A later
/// turn may bring the recorded reply to the turn before it, as messages of role `assistant` at its beginning; the host sends
/// that or the reply it got, as the user asks. A turn with a raw body stands alone.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// The messages this turn adds to the conversation.
    pub messages: RSlice<'a, Message<'a>>,
    /// The model to ask, or empty for the run's own.
    pub model: RStr<'a>,
    /// A JSON object merged over the request's body, or empty.
    pub extra_json: RStr<'a>,
    /// A whole request body to be sent as it is, or empty.
    pub raw_body: RSlice<'a, u8>,
    /// Most output tokens to ask for; 0: the run's own limit.
    pub max_tokens: u32,
    /// See [`turn_flags`]; hosts of 1.0 know none.
    pub flags: u32,
    /// When it is to be sent, and how long after the turn before it.
    pub time: super::TurnTime,
    /// Zero.
    pub reserved: [u64; 6],
}

impl<'a> Turn<'a> {
    /// A turn of `messages` alone: no model, limit, extras or times of its own.
    pub fn new(messages: &'a [Message<'a>]) -> Self {
        Self {
            messages: messages.into(),
            model: RStr::empty(),
            extra_json: RStr::empty(),
            raw_body: RSlice::EMPTY,
            max_tokens: 0,
            flags: 0,
            time: super::TurnTime::NONE,
            reserved: [0; 6],
        }
    }
}

/// Bits of [`Turn::flags`]. Since 1.1.
pub mod turn_flags {
    /// Its request holds this turn's messages and no others: the data set has put the history in, or there is none.
    pub const STANDS_ALONE: u32 = 1;
}

/// Bits of [`Request::flags`].
pub mod request_flags {
    /// The answer is to be streamed.
    pub const STREAM: u32 = 1;
    /// The output limit goes by its older name (`max_tokens`).
    pub const LEGACY_MAX_TOKENS: u32 = 2;
    /// Each event of a stream is to bring the usage so far. Since 1.1.
    pub const CHUNK_USAGE: u32 = 4;
}

/// One request, as an endpoint encodes it.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The model to ask.
    pub model: RStr<'a>,
    /// This turn's messages, after the history where the data set's turns build on one another.
    pub messages: RSlice<'a, Message<'a>>,
    /// A JSON object merged over the body last (the turn's extras over the run's), or empty.
    pub extra_json: RStr<'a>,
    /// A whole body to be sent as it is, or empty.
    pub raw_body: RSlice<'a, u8>,
    /// Most output tokens to ask for; 0: no limit is sent.
    pub max_tokens: u32,
    /// Place in the conversation, from 0.
    pub turn: u32,
    /// See [`request_flags`].
    pub flags: u32,
    /// Zero.
    pub pad: u32,
    /// Zero.
    pub reserved: [u64; 6],
}

impl<'a> Request<'a> {
    /// The first turn of a conversation: no limit, extras or flags.
    pub fn new(model: &'a str, messages: &'a [Message<'a>]) -> Self {
        Self {
            model: model.into(),
            messages: messages.into(),
            extra_json: RStr::empty(),
            raw_body: RSlice::EMPTY,
            max_tokens: 0,
            turn: 0,
            flags: 0,
            pad: 0,
            reserved: [0; 6],
        }
    }
}
